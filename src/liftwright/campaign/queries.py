"""Indexing, search, screening and grounding outside of a run."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.agents import grounding, safety
from liftwright.campaign.bootstrap import workspace_lock
from liftwright.campaign.checks import message_checks
from liftwright.campaign.run_resolver import COMPLETE, NO_EXPERIMENT
from liftwright.campaign.stages.messages import shield_content
from liftwright.content.documents import invalid_on
from liftwright.errors import DataError, InputError
from liftwright.log import Log, event, logging_to
from liftwright.model import CATEGORIES, Query, to_json
from liftwright.model.checks import SAFETY, in_stage
from liftwright.model.run_files import IndexRecord, all_runs
from liftwright.ports import ManagesIndexes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from liftwright.campaign.context import RunContext
    from liftwright.model import Finding, Json, Passage
    from liftwright.model.checks import CheckResult
    from liftwright.ports import IndexReport

_PASSAGE_KEYS = ("document_id", "title", "section", "paragraph_index", "text", "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedText:
    """A text and its safety decision."""

    id: Json
    decision: CheckResult

    def to_json(self) -> Json:
        """The line that `liftwright screen --json` prints."""
        return {
            "id": self.id,
            "status": self.decision.status,
            "findings": [_finding_json(finding) for finding in self.decision.findings],
        }


def _finding_json(finding: Finding) -> Json:
    """A finding; those of other checks than the categories include reason and position."""
    keys = ["category", "severity", "score"]
    if finding.category not in CATEGORIES:
        keys += ["reason", "start", "end"]
    return {key: to_json(getattr(finding, key)) for key in keys}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundedText:
    """A text and its claims, compared with its sources."""

    id: Json
    grounded: grounding.Grounded

    @property
    def supported(self) -> bool:
        """Whether no claim is unsupported."""
        return all(claim.verdict != "unsupported" for claim in self.grounded.claims)

    def to_json(self) -> Json:
        """The line that `liftwright ground --json` prints."""
        return {
            "id": self.id,
            "score": self.grounded.score,
            "claims": [
                {
                    "text": claim.text,
                    "start": claim.start,
                    "end": claim.end,
                    "verdict": claim.verdict,
                    "score": claim.score,
                    "source": to_json(claim.source),
                }
                for claim in self.grounded.claims
            ],
        }


def index_content(context: RunContext, content: Path | None, *, remove_old: bool) -> IndexReport:
    """Index the approved content; optionally delete the indexes that it replaces.

    Raises:
        InputError: the search service does not keep old indexes.
    """
    with (
        workspace_lock(context.root),
        logging_to(Log(context.root / "logs")),
        contextlib.closing(context),
    ):
        keeper: ManagesIndexes | None = None
        if remove_old:
            if not isinstance(context.ports.index, ManagesIndexes):
                name = context.settings.services.adapters.search
                raise InputError(f"--remove-old: adapters.search {name!r} keeps no old indexes")
            keeper = context.ports.index
        corpus = context.corpus if content is None else context.read_content(content)
        documents, _ = shield_content(context, corpus.documents)
        report = replace(context.index(documents), warnings=context.content_warnings(corpus))
        if keeper is None:
            return report
        keep = {report.name, *_needed_indexes(context.root)}
        removed = context.calls.make("index", partial(keeper.remove_old, keep))
        event("old_indexes_removed", agent="retrieval", removed=removed)
        return replace(report, removed_indexes=removed)


def _needed_indexes(root: Path) -> Iterator[str]:
    """The indexes of unfinished runs, which still search them."""
    for folder in all_runs(root):
        record = folder.record()
        ended = record is not None and record.status in (COMPLETE, NO_EXPERIMENT)
        if not ended and folder.file("index.json").is_file():
            yield folder.read("index.json", IndexRecord).name


def search_texts(
    context: RunContext,
    queries: Iterator[tuple[Json, str]],
    *,
    top_k: int,
    min_score: float,
    content: Path | None,
) -> Iterator[tuple[Json, tuple[Passage, ...]]]:
    """For each query, its id and the best passage of each document, best first."""
    with logging_to(Log(context.root / "logs")), contextlib.closing(context):
        configured = context.root / context.settings.experiment.content.path
        # A search writes and judges nothing.
        corpus = context.read_content(content or configured, any_language=True)
        for warning in corpus.warnings:
            event("content_warning", agent="retrieval", level="warning", message=warning)
        documents = corpus.documents
        if context.ports.shield is not None:
            # Only one process may use the ledger, which caches the results.
            with workspace_lock(context.root):
                documents, _ = shield_content(context, documents)
        # As in a run; but a search also finds documents whose approval date is unknown.
        invalid = invalid_on(documents, datetime.now(UTC).date(), or_undated=False)
        excluded = tuple(document.document_id for document in invalid)
        report = context.index(documents)
        search = context.search(report.name)
        for name, text in queries:
            query = Query(text=text, top_k=top_k, min_score=min_score, excluded=excluded)
            yield name, search(query)


def screen_texts(context: RunContext, source: str) -> Iterator[ScreenedText]:
    """Screen one text, or each line of a JSONL file."""
    with logging_to(Log(context.root / "logs")):
        for name, text in _texts(source):
            parts = safety.parts_of(text, "text")
            screen = safety.screen_concurrently(parts, context.screen, context.concurrency)
            decision = safety.screen_text(text, in_stage(message_checks(context, screen), SAFETY))
            yield ScreenedText(id=name, decision=decision)


def ground_texts(context: RunContext, file: Path) -> Iterator[GroundedText]:
    """Ground each text of a JSONL file in its own sources."""
    config = context.settings.experiment.grounding
    with logging_to(Log(context.root / "logs")):
        for number, line in read_lines(file):
            text = _field(file, number, line, "text")
            sources = _sources(file, number, line)
            grounded = grounding.ground_text(text, sources, context.ports.embed, config)
            yield GroundedText(id=_id(line, number), grounded=grounded)


def passage_json(passage: Passage) -> Json:
    """A passage as `liftwright search --json` prints it."""
    return {key: to_json(getattr(passage, key)) for key in _PASSAGE_KEYS}


def read_queries(file: Path) -> Iterator[tuple[Json, str]]:
    """The id and text of each line of a file of queries."""
    for number, line in read_lines(file):
        yield _id(line, number), _field(file, number, line, "text")


def read_lines(file: Path) -> Iterator[tuple[int, Mapping[str, Json]]]:
    """The objects of a JSONL file with their line numbers; blank lines are skipped.

    Raises:
        DataError: a line is not an object, or the file has none; names file and line.
    """
    is_empty = True
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for number, text in enumerate(lines, start=1):
                if text.strip():
                    is_empty = False
                    yield number, _object(file, number, text)
    except UnicodeDecodeError:
        raise DataError(f"{file}: not UTF-8") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    if is_empty:
        raise DataError(f"{file}: found no lines, allowed: one JSON object per line")


def _object(file: Path, number: int, text: str) -> Mapping[str, Json]:
    try:
        line = json.loads(text)
        # A lone surrogate is valid JSON, but cannot be encoded.
        json.dumps(line, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DataError(f"{file}:{number}: found a lone surrogate, allowed: text") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}:{number}: not JSON ({error})") from None
    if not isinstance(line, dict):
        raise DataError(f"{file}:{number}: found {_kind(line)}, allowed: an object")
    return line


def _texts(source: str) -> Iterator[tuple[Json, str]]:
    path = Path(source)
    if source.endswith(".jsonl"):
        yield from read_queries(path)
    else:
        yield None, source


def _id(line: Mapping[str, Json], number: int) -> Json:
    return line.get("id", number)


def _field(file: Path, number: int, line: Mapping[str, Json], name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str):
        raise DataError(f"{file}:{number}: {name}: found {_kind(value)}, allowed: text")
    return value


def _sources(file: Path, number: int, line: Mapping[str, Json]) -> list[tuple[str, str]]:
    value = line.get("sources", [])
    if not isinstance(value, list):
        raise DataError(f"{file}:{number}: sources: found {_kind(value)}, allowed: a list")
    sources = []
    for index, source in enumerate(value):
        where = f"sources.{index}"
        if not isinstance(source, dict):
            raise DataError(f"{file}:{number}: {where}: found {_kind(source)}, allowed: an object")
        text, title = source.get("text"), source.get("title", "")
        if not isinstance(text, str) or not isinstance(title, str | None):
            raise DataError(f"{file}:{number}: {where}: title and text must be text")
        sources.append((title or "", text))
    return sources


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "nothing" if value is None else names.get(type(value), "a number")
