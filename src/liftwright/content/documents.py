"""Approved content: reads and validates the documents of a folder or file.

A corpus is a folder of JSON and Markdown files, including its subfolders, or a single file, such as
a JSONL file. Markup inside a text, such as HTML, is kept as approved, except for comments. A
sentence that orders a writer or a model to say something is left out and logged.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from liftwright.errors import DataError
from liftwright.log import event
from liftwright.model import Document, Section, fingerprint
from liftwright.text import sentences
from liftwright.text.orders import without_comments, without_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["OVERVIEW", "Corpus", "invalid_on", "read_documents"]

OVERVIEW = "Overview"
"""The title of the section before a document's first heading."""

SUFFIXES = (".json", ".jsonl", ".md", ".markdown")
_FIELDS = frozenset(
    """document_id title category approval_date content sections audience audience_only keywords
    expires_on version source_url""".split()  # noqa: SIM905 - read as a text
)
_DAY = "an ISO date or date-time, such as 2026-03-31 or 2026-03-31T09:00:00Z"
_SHOWN_CHARACTERS = 60
_HEADING = re.compile(r"##[ \t]+(?P<title>\S.*?)(?:[ \t]+#+)?[ \t]*$")
_TITLE = re.compile(r"#[ \t]+(\S.*?)[ \t]*$")
_FENCE = re.compile(r"---[ \t]*$", re.MULTILINE)
_GAP = re.compile(r"[ \t]{2,}")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The documents of a content folder.

    Attributes:
        documents: in the order of their files; ids are unique.
        skipped: a message for each skipped document; empty unless `on_bad` is `skip`.
        fingerprint: changes with any document.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...]
    fingerprint: str


def read_documents(path: Path, *, on_bad: Literal["refuse", "skip"] = "refuse") -> Corpus:
    """Read and check all documents of a folder or file.

    Args:
        path: a folder, or one .json, .jsonl, .md or .markdown file.
        on_bad: whether a bad document is an error, or is left out and reported in `skipped`.

    Raises:
        DataError: a file cannot be read, a document is not valid, an id is not unique, or there is
            no document. The message has file, document, field, what was found and what is allowed.
    """
    documents: dict[str, Document] = {}
    locations: dict[str, str] = {}
    skipped: list[str] = []

    def refuse(error: DataError) -> None:
        if on_bad == "refuse":
            raise error
        skipped.append(str(error))

    for file in _files(path):
        for where, record in _records(file, refuse):
            try:
                document = _document(where, record)
                if document.document_id in documents:
                    first = locations[document.document_id]
                    _fail(f"{where}: document_id: found {document.document_id!r}, which {first} "
                          "also has; allowed: a unique id")  # fmt: skip
            except DataError as error:
                refuse(error)
                continue
            documents[document.document_id] = document
            locations[document.document_id] = where
    if not documents:
        left_out = f" ({len(skipped)} skipped; the first: {skipped[0]})" if skipped else ""
        _fail(f"{path}: found no documents{left_out}; allowed: at least one in {_suffixes()}")
    valid = tuple(documents.values())
    return Corpus(documents=valid, skipped=tuple(skipped), fingerprint=fingerprint(valid))


def invalid_on(documents: Sequence[Document], day: date) -> tuple[Document, ...]:
    """The documents that are expired or not yet approved on `day`."""
    return tuple(document for document in documents if not document.is_valid(day))


def _fail(message: str) -> NoReturn:
    raise DataError(message)


def _suffixes() -> str:
    return ", ".join(SUFFIXES)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            _fail(f"{path}: found a {path.suffix or 'nameless'} file; allowed: {_suffixes()}")
        return [path]
    if not path.is_dir():
        _fail(f"{path}: no such file or folder; allowed: a folder of documents, or one file")
    files = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        files += [
            Path(folder, name)
            for name in sorted(names)
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return files


def _records(
    file: Path, refuse: Callable[[DataError], None]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The records of one file, each with its location for messages."""
    try:
        text = _text(file)
        suffix = file.suffix.lower()
        if suffix == ".json":
            value = _json(text, str(file))
            if isinstance(value, list):
                items = [(f"{file}: document {n}", item) for n, item in enumerate(value, 1)]
            else:
                items = [(str(file), value)]
        elif suffix == ".jsonl":
            items = _lines(file, text, refuse)
        else:
            items = [(str(file), _markdown(text, str(file)))]
    except DataError as error:
        refuse(error)
        return
    for where, item in items:
        if isinstance(item, Mapping):
            yield where, item
        else:
            refuse(DataError(f"{where}: found {_shown(item)}; allowed: an object with fields"))


def _text(file: Path) -> str:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        _fail(f"{file}: cannot be read ({error.strerror}); allowed: a readable file")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        _fail(f"{file}, line {line}: found bytes that are not UTF-8; allowed: UTF-8 text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _json(text: str, where: str, first_line: int = 1) -> object:
    try:
        value: object = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        location = where if where.endswith(f"line {line}") else f"{where}, line {line}"
        _fail(f"{location}: found broken JSON ({error.msg}); allowed: valid JSON")
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        _fail(f"{where}: found unreadable JSON ({reason}); allowed: valid JSON")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not valid JSON")


def _lines(file: Path, text: str, refuse: Callable[[DataError], None]) -> list[tuple[str, object]]:
    items = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            items.append((where, _json(line, where, number)))
        except DataError as error:
            refuse(error)
    return items


def _markdown(text: str, where: str) -> dict[str, object]:
    """Front matter between two lines of `---`, then the content."""
    import yaml

    opening = _FENCE.match(text)
    closing = _FENCE.search(text, opening.end() + 1) if opening else None
    if opening is None or closing is None:
        _fail(f"{where}, line 1: found no front matter; allowed: fields between two --- lines")
    front = text[opening.end() : closing.start()]
    try:
        # Nested aliases can expand to more values than fit into memory.
        if "*" in front and any(isinstance(part, yaml.AliasEvent) for part in yaml.parse(front)):
            _fail(f"{where}: found a YAML alias (*name) in the front matter; allowed: plain values")
        fields = yaml.safe_load(front)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        problem = getattr(error, "problem", None) or "not readable"
        _fail(f"{where}, line {line}: found broken YAML ({problem}); allowed: valid front matter")
    except (ValueError, RecursionError) as error:
        _fail(f"{where}: found unreadable front matter ({error}); allowed: valid YAML")
    if not isinstance(fields, dict):
        _fail(f"{where}, line 1: found {_shown(fields)} as front matter; allowed: key: value lines")
    body = text[closing.end() :].strip("\n")
    title = _TITLE.match(body.split("\n", 1)[0])
    if title and fields.get("title", title[1]) == title[1]:
        fields["title"] = title[1]
        body = body.partition("\n")[2]
    if "content" in fields or "sections" in fields:
        _fail(f"{where}: content: found in the front matter; allowed: in the text below it")
    return {**{str(key): value for key, value in fields.items()}, "content": body}


def _document(where: str, record: Mapping[str, object]) -> Document:
    document_id = _required_text(where, record, "document_id")
    where = f"{where}: document {document_id!r}"
    approval_date = _day(where, record, "approval_date")
    if approval_date is None:
        _fail(f"{where}: approval_date: found nothing; allowed: {_DAY}")
    expires_on = _day(where, record, "expires_on")
    if expires_on and expires_on < approval_date:
        _fail(f"{where}: expires_on: found {expires_on}, before approval_date {approval_date}; "
              "allowed: that day or later")  # fmt: skip
    audience = _texts(where, record, "audience")
    named = tuple(word for word in audience if word.casefold() != "all")
    return Document(
        document_id=document_id,
        title=" ".join(_required_text(where, record, "title").split()),
        category=_required_text(where, record, "category"),
        sections=_sections(where, record),
        approval_date=approval_date,
        audience=named,
        audience_only=_flag(where, record, "audience_only") and len(named) == len(audience) > 0,
        keywords=_texts(where, record, "keywords"),
        expires_on=expires_on,
        version=_version(where, record),
        source_url=_text_or_none(where, record, "source_url"),
        metadata=json.loads(
            json.dumps({k: v for k, v in record.items() if k not in _FIELDS}, default=str)
        ),
    )


def _sections(where: str, record: Mapping[str, object]) -> tuple[Section, ...]:
    content, listed = record.get("content"), record.get("sections")
    if (content is None) == (listed is None):
        found = "neither" if content is None else "both"
        _fail(f"{where}: content, sections: found {found}; allowed: one of them")
    if content is None:
        parsed = _listed_sections(where, listed)
    else:
        parsed = _sections_of(_shown_text(_required_text(where, record, "content")))
    stated = [_stated(where, section) for section in parsed]
    sections = tuple(section for section in stated if section.paragraphs)
    if not sections:
        field = "content" if listed is None else "sections"
        _fail(f"{where}: {field}: found no paragraphs; allowed: at least one")
    return sections


def _shown_text(text: str) -> str:
    """The text without comments in mark-up, which no reader sees."""
    shown = without_comments(text)
    return text if shown == text else _GAP.sub(" ", shown)


def _stated(where: str, section: Section) -> Section:
    """A section without sentences that order a writer or a model to do or say something."""
    kept = []
    for paragraph in section.paragraphs:
        spans = sentences(paragraph)
        stated = without_orders(spans)
        if len(stated) == len(spans):
            kept.append(paragraph)
            continue
        event(
            "instruction_in_content_found",
            agent="retrieval",
            level="warning",
            document=where,
            section=section.title,
            sentences=len(spans) - len(stated),
        )
        if stated:
            kept.append(" ".join(span.text for span in stated))
    return Section(title=section.title, paragraphs=tuple(kept))


def _sections_of(content: str) -> list[Section]:
    sections = []
    title = OVERVIEW
    lines: list[str] = []
    for line in [*content.replace("\r\n", "\n").split("\n"), "## "]:
        heading = _HEADING.match(line)
        if heading or line == "## ":
            sections.append(Section(title=title, paragraphs=_split(lines)))
            title, lines = heading["title"] if heading else OVERVIEW, []
        else:
            lines.append(line.rstrip())
    return sections


def _split(lines: Sequence[str]) -> tuple[str, ...]:
    parts = _BLANK_LINES.split("\n".join(lines))
    return tuple(part.strip() for part in parts if part.strip())


def _listed_sections(where: str, listed: object) -> list[Section]:
    if not isinstance(listed, list):
        _fail(f"{where}: sections: found {_shown(listed)}; allowed: a list of {{title, text}}")
    sections = []
    for number, item in enumerate(listed):
        location = f"{where}: sections[{number}]"
        if not isinstance(item, Mapping) or set(item) - {"title", "text"}:
            _fail(f"{location}: found {_shown(item)}; allowed: an object with title and text")
        title = " ".join(_required_text(location, item, "title").split())
        text = _shown_text(_required_text(location, item, "text")).replace("\r\n", "\n")
        sections.append(Section(title=title, paragraphs=_split(text.split("\n"))))
    return sections


def _required_text(where: str, record: Mapping[str, object], field: str) -> str:
    text = _text_or_none(where, record, field)
    if text is None:
        _fail(f"{where}: {field}: found nothing; allowed: text that is not blank")
    return text


def _text_or_none(where: str, record: Mapping[str, object], field: str) -> str | None:
    value = record.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        _fail(f"{where}: {field}: found {_shown(value)}; allowed: text that is not blank")
    if _HALF_CHARACTER.search(value):
        _fail(f"{where}: {field}: found a lone surrogate; allowed: valid Unicode")
    return value.strip()


def _texts(where: str, record: Mapping[str, object], field: str) -> tuple[str, ...]:
    """A list of texts, or a comma-separated text as a list."""
    value = record.get(field)
    items = value.split(",") if isinstance(value, str) else value
    if items is None:
        return ()
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        _fail(f"{where}: {field}: found {_shown(value)}; allowed: text, or a list of texts")
    return tuple(dict.fromkeys(item.strip() for item in items if item.strip()))


def _flag(where: str, record: Mapping[str, object], field: str) -> bool:
    value = record.get(field, False)
    if not isinstance(value, bool):
        _fail(f"{where}: {field}: found {_shown(value)}; allowed: true or false")
    return value


def _version(where: str, record: Mapping[str, object]) -> str:
    value = record.get("version")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _text_or_none(where, record, "version") or "1"


def _day(where: str, record: Mapping[str, object], field: str) -> date | None:
    """A date; the UTC date of a date-time with a zone."""
    value = record.get(field)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            _fail(f"{where}: {field}: found {_shown(value)}; allowed: {_DAY}")
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if not isinstance(value, date):
        _fail(f"{where}: {field}: found {_shown(value)}; allowed: {_DAY}")
    return value


def _shown(value: object) -> str:
    """A value for messages, truncated."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}\u2026"
