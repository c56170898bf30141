"""Reads the labelled cases of `liftwright eval` from a folder."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NoReturn

from liftwright.campaign.queries import read_lines
from liftwright.content.documents import OVERVIEW
from liftwright.errors import DataError
from liftwright.model import CATEGORIES, Document, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from liftwright.model import Json

_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
_JUDGEMENTS = ("query-id", "corpus-id", "score")
_BLANK_LINES = re.compile(r"\n\s*\n")
_SHOWN_CHARACTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyCase:
    """A text, and whether it is harmful in each labelled category.

    Attributes:
        where: file and line.
    """

    where: str
    text: str
    labels: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingCase:
    """A text, the (title, text) of each source, and whether the sources support the text."""

    text: str
    sources: tuple[tuple[str, str], ...]
    supported: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalCases:
    """Documents, queries and judgements.

    Attributes:
        queries: (id, text) of each query with a relevant document.
        gains: for each of these queries, the graded scores of judged documents by id.
        without_relevant: the number of judged queries without a relevant document.
    """

    documents: tuple[Document, ...]
    queries: tuple[tuple[str, str], ...]
    gains: Mapping[str, Mapping[str, float]]
    without_relevant: int


def read_safety_cases(folder: Path) -> tuple[SafetyCase, ...]:
    """The cases of cases.jsonl or cases.csv.

    Raises:
        DataError: naming file, line, field, what was found and what is allowed.
    """
    _check_folder(folder)
    names = [name for name in ("cases.jsonl", "cases.csv") if (folder / name).exists()]
    if len(names) != 1:
        found = "both cases.jsonl and cases.csv" if names else "neither cases.jsonl nor cases.csv"
        raise DataError(f"{folder}: found {found}, allowed: one of them")
    file = folder / names[0]
    rows = read_lines(file) if file.suffix == ".jsonl" else _rows(file)
    cases = tuple(
        SafetyCase(
            where=f"{file}:{number}",
            text=_text(file, number, row, "text"),
            labels=_labels(file, number, row),
        )
        for number, row in rows
    )
    _require(file, cases, "a case")
    return cases


def read_grounding_cases(folder: Path) -> tuple[GroundingCase, ...]:
    """The cases of cases.jsonl.

    Raises:
        DataError: naming file, line, field, what was found and what is allowed.
    """
    _check_folder(folder)
    file = folder / "cases.jsonl"
    cases = tuple(
        GroundingCase(
            text=_text(file, number, line, "text"),
            sources=_sources(file, number, line),
            supported=_verdict(file, number, line),
        )
        for number, line in read_lines(file)
    )
    _require(file, cases, "a case")
    return cases


def read_retrieval_cases(folder: Path) -> RetrievalCases:
    """corpus.jsonl, queries.jsonl and qrels/test.tsv, the layout of the BEIR benchmark.

    Raises:
        DataError: naming file, line, field, what was found and what is allowed.
    """
    _check_folder(folder)
    documents = _documents(folder / "corpus.jsonl")
    queries = _queries(folder / "queries.jsonl")
    judged: dict[str, dict[str, float]] = {}
    file = folder / "qrels" / "test.tsv"
    for number, row in _rows(file, delimiter="\t", needed=_JUDGEMENTS):
        query, document = row["query-id"], row["corpus-id"]
        for field, name, known, other in (
            ("query-id", query, queries, "queries.jsonl"),
            ("corpus-id", document, documents, "corpus.jsonl"),
        ):
            if name not in known:
                _fail(file, number, field, repr(name), f"an _id of {other}")
        if document in judged.setdefault(query, {}):
            _fail(file, number, "corpus-id", f"{document!r} twice", "one score for each pair")
        judged[query][document] = _gain(file, number, row["score"])
    gains = {query: scores for query, scores in judged.items() if any(scores.values())}
    _require(file, gains, "a score above 0")
    return RetrievalCases(
        documents=tuple(documents.values()),
        queries=tuple((query, queries[query]) for query in gains),
        gains=gains,
        without_relevant=len(judged) - len(gains),
    )


# ── Retrieval ─────────────────────────────────────────────────────────────────────────────────


def _documents(file: Path) -> dict[str, Document]:
    documents: dict[str, Document] = {}
    for number, line in read_lines(file):
        name = _new_id(file, number, line, documents)
        title = " ".join(_text(file, number, line, "title", blank=True).split())
        text = _text(file, number, line, "text", blank=True)
        # A document without text is still searchable by its title.
        parts = [part.strip() for part in _BLANK_LINES.split(text) if part.strip()] or [title]
        documents[name] = Document(
            document_id=name,
            title=title,
            category="evaluation",
            sections=(Section(title=OVERVIEW, paragraphs=tuple(filter(None, parts))),),
            approval_date=date.min,
        )
    _require(file, documents, "a document")
    return documents


def _queries(file: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for number, line in read_lines(file):
        name = _new_id(file, number, line, queries)
        queries[name] = _text(file, number, line, "text")
    return queries


def _new_id(file: Path, number: int, line: Mapping[str, Json], known: Mapping[str, object]) -> str:
    name = _text(file, number, line, "_id")
    if name in known:
        _fail(file, number, "_id", f"{name!r} twice", "unique ids")
    return name


def _gain(file: Path, number: int, text: str) -> float:
    try:
        gain = float(text)
    except ValueError:
        gain = math.nan
    if not 0 <= gain < math.inf:
        _fail(file, number, "score", _describe(text), "a number, 0 or more")
    return gain


# ── Safety and grounding ──────────────────────────────────────────────────────────────────────


def _labels(file: Path, number: int, row: Mapping[str, Json]) -> dict[str, bool]:
    labels = {}
    for name in row:
        # Otherwise a misspelt column would be ignored.
        category = re.sub(r"[\s-]", "_", name.strip().lower())
        if name != category and category in CATEGORIES:
            _fail(file, number, "field name", repr(name), repr(category))
    for category in CATEGORIES:
        value = row.get(category)
        if value is None or value == "":
            continue
        label = _LABELS.get(str(value).strip().lower())
        if label is None:
            _fail(file, number, category, _describe(value), "0, 1, or nothing if unknown")
        labels[category] = label
    return labels


def _verdict(file: Path, number: int, line: Mapping[str, Json]) -> bool:
    value = line.get("supported")
    if not isinstance(value, bool):
        _fail(file, number, "supported", _describe(value), "true or false")
    return value


def _sources(file: Path, number: int, line: Mapping[str, Json]) -> tuple[tuple[str, str], ...]:
    value = line.get("sources")
    if not isinstance(value, list):
        _fail(file, number, "sources", _describe(value), "a list of objects with title and text")
    sources = []
    for index, source in enumerate(value):
        if not isinstance(source, dict):
            _fail(file, number, f"sources.{index}", _describe(source), "an object")
        fields = {f"sources.{index}.{key}": item for key, item in source.items()}
        title = _text(file, number, fields, f"sources.{index}.title", blank=True)
        sources.append((title, _text(file, number, fields, f"sources.{index}.text", blank=True)))
    return tuple(sources)


# ── Files and fields ──────────────────────────────────────────────────────────────────────────


def _rows(
    file: Path, *, delimiter: str = ",", needed: tuple[str, ...] = ("text",)
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV file by column name, each with its line number."""
    line_number = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, delimiter=delimiter, strict=True)
            header = next(rows, [])
            for name in needed:
                if header.count(name) != 1:
                    allowed = f"a header with {', '.join(needed)}, each once"
                    _fail(file, 1, name, f"{header.count(name)} columns of this name", allowed)
            line_number = rows.line_num + 1
            for row in rows:
                if row and len(row) != len(header):
                    allowed = f"{len(header)} fields, as in the header"
                    _fail(file, line_number, "row", f"{len(row)} fields", allowed)
                if row:
                    yield line_number, dict(zip(header, row, strict=True))
                line_number = rows.line_num + 1
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{file}:{line_number}: not CSV ({error})") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None


def _text(
    file: Path, number: int, line: Mapping[str, Json], field: str, *, blank: bool = False
) -> str:
    value = line.get(field)
    if blank and value is None:
        return ""
    if not isinstance(value, str):
        _fail(file, number, field, _describe(value), "text")
    if not blank and not value.strip():
        _fail(file, number, field, "blank text", "text that is not blank")
    return value


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: found {found}, allowed: a folder of cases")


def _require(file: Path, found: object, what: str) -> None:
    if not found:
        raise DataError(f"{file}: found nothing, allowed: at least {what}")


def _describe(value: object) -> str:
    """A value for an error message, without the text of a case."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else "a longer text"


def _fail(file: Path, number: int, field: str, found: str, allowed: str) -> NoReturn:
    raise DataError(f"{file}:{number}: {field}: found {found}, allowed: {allowed}")
