"""The statements of sources that a claim may rest on, each with what an unbroken chain adds.

Comments in mark-up are no text, and a sentence that orders its reader to say something states
nothing, nor does what it dictates. A row of a table states what its headings say of its first cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from liftwright.agents.grounding.entailment import Premise
from liftwright.agents.grounding.statements import Limit, Statement, read_statements
from liftwright.agents.grounding.tokens import Token, key, tokenise
from liftwright.text import Span, sentences
from liftwright.text.orders import without_comments, without_orders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LINE = re.compile(r"[^\n]+")
_COLUMNS = re.compile(r"\||\t|\S {2,}\S")
_GAP = re.compile(r"\t| {2,}")
_CELL = re.compile(r"[^|\t\n]+")
_LONGEST_CELL = 60
_RULE = re.compile(r"[\s|:+=-]+")
_LIMITING = frozenset(
    [
        "applies",
        "apply",
        "valid",
        "excludes",
        "excluding",
        "limited",
        "only",
        "restricted",
        "except",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source as far as it states something: its text without comments, sentences, statements."""

    text: str
    spans: tuple[Span, ...]
    premises: tuple[Premise, ...]


@lru_cache(maxsize=4096)
def read_premises(title: str, text: str) -> Source:
    """Read a source; `Premise.sentence` counts within `spans`."""
    shown = without_comments(text)
    rows = _rows(shown)
    spans = without_orders(_spans(shown, rows))
    headings = frozenset(token.key for token in tokenise(title) if token.key)
    title_words = _words(title)
    found: list[Premise] = []
    before: Statement | None = None
    carried: frozenset[str] = frozenset()
    for number, span in enumerate(spans):
        row = next((row for start, end, row in rows if start <= span.start < end), None)
        if row is not None:
            if row.tokens:
                found.append(Premise(statement=row, sentence=number, title=headings,
                                     joined=_joined(_words(span.text) + title_words)))  # fmt: skip
            continue
        joined = _joined(title_words) | _joined(_words(span.text))
        statements = read_statements(span.text)
        for statement in statements:
            if before is not None and _refers(statement, before):
                carried |= before.subject
            else:
                carried = frozenset()
            found.append(
                Premise(
                    statement=statement,
                    sentence=number,
                    carried=carried,
                    title=headings,
                    joined=joined,
                )
            )
            if not statement.refers_back:
                before = statement
        limits = _later_limits(span.text, statements)
        if limits and len(found) > len(statements):
            place = len(found) - len(statements) - 1
            found[place] = replace(found[place], later=limits)
    return Source(text=shown, spans=spans, premises=tuple(found))


def _spans(text: str, rows: Sequence[tuple[int, int, Statement | None]]) -> list[Span]:
    """Sentences, and each row of a table as one."""
    found: list[Span] = []
    reached = 0
    for start, end, row_statement in (*rows, (len(text), len(text), None)):
        found += [
            Span(text=s.text, start=s.start + reached, end=s.end + reached)
            for s in sentences(text[reached:start])
        ]
        if row_statement is None:
            found += [
                Span(text=s.text, start=s.start + start, end=s.end + start)
                for s in sentences(text[start:end])
            ]
        elif row := text[start:end].strip():
            begin = start + text[start:end].index(row)
            found.append(Span(text=row, start=begin, end=begin + len(row)))
        reached = end
    return found


def _refers(statement: Statement, before: Statement) -> bool:
    """Whether a statement speaks of what the one before it speaks of."""
    if statement.refers_back:
        return True
    return statement.definite and bool(statement.subject) and statement.subject < before.subject


def _later_limits(sentence: str, statements: Sequence[Statement]) -> tuple[Limit, ...]:
    """The limits that a sentence puts on the one before it: "This applies to orders over £50"."""
    first = statements[0] if statements else None
    if first is None or not first.refers_back:
        return ()
    words = {token.text for token in first.tokens}
    if not words & _LIMITING:
        return ()
    keys = frozenset(token.key for token in first.tokens if token.key)
    return (Limit(words=sentence.rstrip("."), keys=keys),)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _joined(words: Sequence[str]) -> frozenset[str]:
    return frozenset(key(one + other) for one, other in pairwise(words))


def _rows(text: str) -> list[tuple[int, int, Statement | None]]:
    """Where each row of a table stands, and what it states; nothing of headings."""
    found: list[tuple[int, int, Statement | None]] = []
    table: list[re.Match[str]] = []
    reached = 0
    for line in _LINE.finditer(text):
        if not _COLUMNS.search(line[0]):
            continue
        if table and text[reached : line.start()].strip(" \t") != "\n":
            found += _read_table(table)
            table = []
        table.append(line)
        reached = line.end()
    return found + list(_read_table(table))


def _read_table(lines: Sequence[re.Match[str]]) -> Iterator[tuple[int, int, Statement | None]]:
    rows = [(line, _cells(line[0])) for line in lines if not _RULE.fullmatch(line[0])]
    rules = [line for line in lines if _RULE.fullmatch(line[0])]
    width = len(rows[0][1]) if rows else 0
    if len(rows) < 2 or width < 2 or any(len(cells) > width for _, cells in rows):  # noqa: PLR2004
        return
    if any(len(cell) > _LONGEST_CELL or cell.endswith(".") for _, cells in rows for cell in cells):
        # Text in columns: each cell is prose.
        for line in lines:
            yield from ((line.start() + cell.start(), line.start() + cell.end(), None)
                        for cell in _CELL.finditer(line[0]) if cell[0].strip(" -:"))  # fmt: skip
        return
    head = rows[0][1]
    empty = Statement(tokens=())
    for line in (rows[0][0], *rules):
        yield line.start(), line.end(), empty
    for line, cells in rows[1:]:
        yield line.start(), line.end(), _row(head, cells)


def _cells(line: str) -> list[str]:
    if "|" in line:
        return [cell.strip() for cell in line.strip().strip("|").split("|")]
    return [cell.strip() for cell in _GAP.split(line.strip())]


def _row(head: Sequence[str], cells: Sequence[str]) -> Statement:
    label = tokenise(cells[0])
    tokens = [*tokenise(head[0]), *label]
    for name, cell in zip(head[1:], cells[1:], strict=False):
        tokens += [*tokenise(name), *tokenise(cell), Token(text=";")]
    subject = frozenset(
        token.key for token in tokens[: len(tokenise(head[0])) + len(label)] if token.key
    )
    return Statement(
        tokens=tuple(tokens),
        subject=subject,
        definite=True,
        keys=frozenset(token.key for token in tokens if token.key),
    )
