"""Citations: `[Source: Title, Section]` in a message, and the passage each one means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Two levels of brackets inside are part of a title; the lengths are bounded to stay linear.
_INNER = r"\[[^\[\]]{0,200}(?:\[[^\[\]]{0,100}\][^\[\]]{0,100}){0,2}\]"
CITATION = re.compile(
    rf"\[\s{{0,4}}source\s{{0,4}}:([^\[\]]{{0,400}}(?:{_INNER}[^\[\]]{{0,200}}){{0,4}}"
    # A bracket that the title never closes.
    r"|[^\]\n]{0,400})\]",
    re.IGNORECASE,
)
"""Matches one citation; group 1 is what stands after the colon."""

_REPEATED = re.compile(r"^\s{0,4}source\s{0,4}:\s{0,4}", re.IGNORECASE)
_SPACE_BEFORE_STOP = re.compile(r"[ \t]+(?=[.,;:!?])")
_SPACES = re.compile(r"[ \t]{2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One citation found in a text.

    Attributes:
        title: the cited document's title; None where the citation names no known source.
        section: the cited section; None with the title.
        text: what the citation says, without brackets and `Source:`.
        start: where the bracket opens; references that share a bracket share their offsets.
        end: one past the closing bracket.
    """

    title: str | None
    section: str | None
    text: str
    start: int
    end: int


def cite(title: str, section: str) -> str:
    """The citation of a section."""
    return f"[Source: {title}, {section}]"


def references(text: str, known: Iterable[tuple[str, str]]) -> tuple[Reference, ...]:
    """All citations of a text, in order, matched exactly against the known sources.

    Only white space is forgiven. A bracket may cite several sources, parted by semicolons.

    Args:
        text: the message.
        known: (title, section) of each source that may be cited. Titles and sections may hold
            commas; where a citation can be read in two ways, the longer title wins.
    """
    pairs: dict[str, tuple[str, str]] = {}
    for title, section in sorted(known, key=lambda pair: -len(pair[0])):
        pairs.setdefault(_fold(f"{title}, {section}"), (title, section))
    found = []
    for match in CITATION.finditer(text):
        for part in _citations(_fold(match[1]), pairs):
            source = pairs.get(part)
            found.append(
                Reference(
                    title=source[0] if source else None,
                    section=source[1] if source else None,
                    text=part,
                    start=match.start(),
                    end=match.end(),
                )
            )
    return tuple(found)


def without_citations(text: str) -> str:
    """The text without its citations, and without the gaps that they leave."""
    if not CITATION.search(text):
        return text
    bare = _SPACES.sub(" ", CITATION.sub("", text))
    return "\n".join(_SPACE_BEFORE_STOP.sub("", line).rstrip() for line in bare.split("\n")).strip()


def _citations(bracket: str, known: Mapping[str, object]) -> Iterator[str]:
    """The citations that share a bracket; `Source:` may be repeated before each.

    A title may hold semicolons, so the longest known citation is taken each time.
    """
    parts = bracket.split(";")
    while parts:
        joined = [
            _REPEATED.sub("", ";".join(parts[:count])).strip() for count in range(1, len(parts) + 1)
        ]
        count = max((n for n, text in enumerate(joined, 1) if text in known), default=1)
        if joined[count - 1] or joined == [""]:
            yield joined[count - 1]
        parts = parts[count:]


def _fold(text: str) -> str:
    return " ".join(text.split())
