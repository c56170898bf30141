"""Approved content: reads and validates the documents of a folder or file.

A corpus is a folder, including its subfolders, or a single file, such as a JSONL file. JSON and the
front matter of Markdown have the fields of a document. The other formats have only text: the title
is the first heading or the file's name, the id is the path. Without an approval date, such a
document can be searched, but no run uses it. Of HTML in a text, only what readers see remains. A
sentence that orders a writer or a model to say something is left out, with a warning.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from liftwright.content.formats import FORMATS, markdown_text, plain_text, read_format
from liftwright.errors import DataError
from liftwright.log import event
from liftwright.model import Document, Section, fingerprint
from liftwright.text import sentences
from liftwright.text.language import is_english
from liftwright.text.lexicon import merge_tags
from liftwright.text.orders import without_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from liftwright.config import ContentDefaults
    from liftwright.text import Span

__all__ = ["OVERVIEW", "Corpus", "invalid_on", "read_documents"]

OVERVIEW = "Overview"
"""The title of the section before a document's first heading."""

SUFFIXES = (".json", ".jsonl", ".md", ".markdown", *FORMATS)
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
# How much of a document tells its language, and how many words it takes at least.
_READ_CHARACTERS = 4000
_FEWEST_WORDS = 8
_END_OF_LATIN = "\u0250"
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The documents of a content folder.

    Attributes:
        documents: in the order of their files; ids are unique.
        skipped: a message for each skipped document; empty unless `on_bad` is `skip`.
        unread: a message for each file that is not read: another format, damaged, or without text.
        left_out: a message for each document of which sentences are left out: those with merge
            tags, and orders to a writer or a model.
        fingerprint: changes with any document.
    """

    documents: tuple[Document, ...]
    skipped: tuple[str, ...]
    fingerprint: str
    unread: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the content, a sentence each."""
        undated = [repr(d.document_id) for d in self.documents if d.approval_date is None]
        found = [f"Not read: {message}." for message in self.unread]
        if undated:
            found.append(
                f"No approval date, so a run does not use them: {', '.join(undated)}; "
                "set defaults.approval_date in config/content.yaml."
            )
        return (*found, *self.left_out)


def read_documents(
    path: Path,
    *,
    on_bad: Literal["refuse", "skip"] = "refuse",
    defaults: ContentDefaults | None = None,
    english_only: bool = False,
) -> Corpus:
    """Read and check all documents of a folder or file.

    Args:
        path: a folder, or one file of a known format.
        on_bad: whether a bad document is an error, or is left out and reported in `skipped`.
        defaults: the approval date and category of documents that have none.
        english_only: whether a document in another language is a bad document.

    Raises:
        DataError: a file cannot be read, a document is not valid, an id is not unique, or there is
            no document. The message has file, document, field, what was found and what is allowed.
    """
    reader = _Reader(path, defaults, skip=on_bad == "skip", english_only=english_only)
    for file in reader.files():
        for record in reader.records(file):
            reader.add(record)
    if not reader.documents:
        left_out = [*reader.skipped, *reader.unread]
        counted = f" ({len(left_out)} skipped; the first: {left_out[0]})" if left_out else ""
        _fail(f"{path}: found no documents{counted}; allowed: at least one in {_suffixes()}")
    documents = _with_distinct_titles(tuple(reader.documents.values()))
    return Corpus(
        documents=documents,
        skipped=tuple(reader.skipped),
        fingerprint=fingerprint(documents),
        unread=tuple(reader.unread),
        left_out=tuple(reader.left_out),
    )


def _with_distinct_titles(documents: tuple[Document, ...]) -> tuple[Document, ...]:
    """Documents with the same title get their id after it, so that a citation names one."""
    counts = Counter(document.title.casefold() for document in documents)
    return tuple(
        replace(document, title=f"{document.title} ({document.document_id})")
        if counts[document.title.casefold()] > 1
        else document
        for document in documents
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """The fields of one document as found.

    Attributes:
        where: the location for messages.
        other_id: the id if another document has the same; None if the id was written by a person.
    """

    where: str
    fields: Mapping[str, object]
    other_id: str | None = None


def invalid_on(
    documents: Sequence[Document], day: date, *, or_undated: bool = True
) -> tuple[Document, ...]:
    """The documents that are expired, or not approved by `day`.

    Args:
        documents: any documents.
        day: a UTC date.
        or_undated: whether documents without an approval date are included.
    """
    return tuple(
        document
        for document in documents
        if not document.is_valid(day) and (or_undated or document.approval_date is not None)
    )


def _fail(message: str) -> NoReturn:
    raise DataError(message)


def _suffixes() -> str:
    return ", ".join(SUFFIXES)


class _Reader:
    """Collects the documents of a folder or file.

    Attributes:
        documents: the valid documents by id.
    """

    def __init__(
        self, path: Path, defaults: ContentDefaults | None, *, skip: bool, english_only: bool
    ) -> None:
        self._path = path
        self._skip = skip
        self._english_only = english_only
        dated = defaults.approval_date if defaults else None
        self._defaults = {
            "approval_date": dated.isoformat() if dated else None,
            "category": defaults.category if defaults else None,
        }
        self._locations: dict[str, str] = {}
        self.documents: dict[str, Document] = {}
        self.skipped: list[str] = []
        self.unread: list[str] = []
        self.left_out: list[str] = []

    def files(self) -> list[Path]:
        """The files to read, sorted; others are listed in `unread`."""
        path = self._path
        if path.is_file():
            if path.suffix.lower() not in SUFFIXES:
                _fail(f"{path}: found a {path.suffix or 'nameless'} file; allowed: {_suffixes()}")
            return [path]
        if not path.is_dir():
            _fail(f"{path}: no such file or folder; allowed: a folder of documents, or one file")
        files = []
        for folder, subfolders, names in os.walk(path):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder, name)
                # Word marks an open document by a file `~$name.docx`.
                if name.startswith((".", "~$")):
                    continue
                if file.suffix.lower() in SUFFIXES:
                    files.append(file)
                else:
                    kind = file.suffix or "nameless"
                    self.unread.append(f"{file}: found a {kind} file; allowed: {_suffixes()}")
        return files

    def records(self, file: Path) -> Iterator[_Record]:
        """The records of one file."""
        suffix = file.suffix.lower()
        if suffix in FORMATS:
            try:
                title, text = read_format(file)
            except DataError as error:
                self.unread.append(str(error))
                return
            yield self._unmarked(file, {"title": title, "content": text})
            return
        try:
            text = _text(file)
            if suffix in (".md", ".markdown"):
                yield self._unmarked(file, _markdown(text, str(file)))
                return
            if suffix == ".jsonl":
                items = _lines(file, text, self.refuse)
            else:
                value = _json(text, str(file))
                items = [(str(file), value)]
                if isinstance(value, list):
                    items = [(f"{file}: document {n}", item) for n, item in enumerate(value, 1)]
        except DataError as error:
            self.refuse(error)
            return
        for where, item in items:
            if isinstance(item, Mapping):
                yield _Record(where=where, fields={**item, **self._missing(item)})
            else:
                self.refuse(
                    DataError(f"{where}: found {_shown(item)}; allowed: an object with fields")
                )

    def add(self, record: _Record) -> None:
        """Add the document of a record."""
        where, fields = record.where, record.fields
        if fields.get("document_id") in self._locations and record.other_id is not None:
            fields = {**fields, "document_id": record.other_id}
        try:
            document = _document(where, fields, needs_date=record.other_id is None)
            if document.document_id in self.documents:
                first = self._locations[document.document_id]
                _fail(f"{where}: document_id: found {document.document_id!r}, which {first} "
                      "also has; allowed: a unique id")  # fmt: skip
            if self._english_only:
                _check_english(where, document)
            tags = merge_tags("\n".join(p.text for p in document.paragraphs()))
            if tags:
                document, _ = _without_sentences(
                    where, document, _without_merge_tags, f"merge tags ({', '.join(tags)})"
                )
            document, orders = _without_sentences(
                where, document, without_orders, "orders to a writer or a model"
            )
        except DataError as error:
            self.refuse(error)
            return
        if tags:
            self.left_out.append(
                f"{where}: found merge tags, whose sentences are left out: {', '.join(tags)}."
            )
        if orders:
            event(
                "instruction_in_content_found",
                agent="retrieval",
                level="warning",
                document_id=document.document_id,
                sentences=orders,
            )
            self.left_out.append(
                f"{where}: orders to a writer or a model are left out (sentences: {orders})."
            )
        self.documents[document.document_id] = document
        self._locations[document.document_id] = where

    def refuse(self, error: DataError) -> None:
        """Raise the error of a bad document, or list it in `skipped`."""
        if not self._skip:
            raise error
        self.skipped.append(str(error))

    def _missing(self, fields: Mapping[str, object]) -> dict[str, object]:
        return {
            name: value
            for name, value in self._defaults.items()
            if fields.get(name) is None and value is not None
        }

    def _unmarked(self, file: Path, fields: Mapping[str, object]) -> _Record:
        """A record of a file whose fields may be missing."""
        path = file.relative_to(self._path if self._path.is_dir() else self._path.parent)
        name = " ".join(re.split(r"[\s_-]+", file.stem)).strip() or file.stem
        filled = {
            "document_id": path.with_suffix("").as_posix(),
            "title": name[:1].upper() + name[1:],
            **{key: value for key, value in fields.items() if value is not None},
        }
        filled = {**filled, **self._missing(filled)}
        other_id = path.as_posix() if "document_id" not in fields else None
        return _Record(where=str(file), fields=filled, other_id=other_id)


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
    """The content, and the fields of the optional front matter between two lines of `---`."""
    import yaml

    opening = _FENCE.match(text)
    if opening is None:
        title, body = markdown_text(text)
        return {"title": title, "content": body}
    closing = _FENCE.search(text, opening.end() + 1)
    if closing is None:
        _fail(f"{where}, line 1: found no end of the front matter; allowed: a second --- line")
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
    if "content" in fields or "sections" in fields:
        _fail(f"{where}: content: found in the front matter; allowed: in the text below it")
    title, body = markdown_text(text[closing.end() :])
    if title and " ".join(str(fields.get("title") or title).split()) != title:
        # The first heading is a section's if the title is another.
        is_there = re.search(rf"^## {re.escape(title)}$", body, re.MULTILINE)
        body = body if is_there else f"## {title}\n\n{body}"
    return {"title": title, **{str(key): value for key, value in fields.items()}, "content": body}


def _check_english(where: str, document: Document) -> None:
    """Refuse a document that is clearly in another language than English."""
    text = "\n".join(paragraph.text for paragraph in document.paragraphs())[:_READ_CHARACTERS]
    tokens = re.findall(r"[^\W\d_]+", text.lower())
    letters = [letter for letter in text if letter.isalpha()]
    is_latin = sum(letter < _END_OF_LATIN for letter in letters) * 2 >= len(letters)
    if is_latin and len(tokens) < _FEWEST_WORDS:
        return
    if not is_english(text):
        _fail(f"{where}: content: found a text that is not in English; allowed: English, the only "
              "language that the embedded adapters (complete, embed, screen) judge")  # fmt: skip


def _without_sentences(
    where: str, document: Document, kept: Callable[[tuple[Span, ...]], Sequence[Span]], what: str
) -> tuple[Document, int]:
    """The document with only some of its sentences, and the number of the others.

    Args:
        where: the document, for messages.
        document: its sections that have no sentence left are dropped.
        kept: chooses from the sentences of a paragraph.
        what: the other sentences in words.

    Raises:
        DataError: no sentence is left.
    """
    left_out = 0
    sections = []
    for section in document.sections:
        paragraphs = []
        for paragraph in section.paragraphs:
            spans = sentences(paragraph)
            chosen = kept(spans)
            left_out += len(spans) - len(chosen)
            if len(chosen) == len(spans):
                paragraphs.append(paragraph)
            elif chosen:
                paragraphs.append(" ".join(span.text for span in chosen))
        if paragraphs:
            sections.append(replace(section, paragraphs=tuple(paragraphs)))
    if not sections:
        _fail(f"{where}: found only {what}; allowed: text without them")
    return replace(document, sections=tuple(sections)) if left_out else document, left_out


def _without_merge_tags(spans: tuple[Span, ...]) -> list[Span]:
    return [span for span in spans if not merge_tags(span.text)]


def _document(where: str, record: Mapping[str, object], *, needs_date: bool) -> Document:
    document_id = _required_text(where, record, "document_id")
    where = f"{where}: document {document_id!r}"
    approval_date = _day(where, record, "approval_date")
    if approval_date is None and needs_date:
        _fail(f"{where}: approval_date: found nothing; allowed: {_DAY}")
    expires_on = _day(where, record, "expires_on")
    if expires_on and approval_date and expires_on < approval_date:
        _fail(f"{where}: expires_on: found {expires_on}, before approval_date {approval_date}; "
              "allowed: that day or later")  # fmt: skip
    audience = _texts(where, record, "audience")
    named = tuple(word for word in audience if word.casefold() != "all")
    return Document(
        document_id=document_id,
        title=" ".join(plain_text(_required_text(where, record, "title")).split()),
        category=(
            _required_text(where, record, "category")
            if needs_date
            else _text_or_none(where, record, "category") or ""
        ),
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
        parsed = _sections_of(plain_text(_required_text(where, record, "content")))
    sections = tuple(section for section in parsed if section.paragraphs)
    if not sections:
        field = "content" if listed is None else "sections"
        _fail(f"{where}: {field}: found no paragraphs; allowed: at least one")
    return sections


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
        title = " ".join(plain_text(_required_text(location, item, "title")).split())
        text = plain_text(_required_text(location, item, "text")).replace("\r\n", "\n")
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
