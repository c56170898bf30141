"""Time and memory of indexing many help passages: first, unchanged, and with one changed document.

    python benchmarks/index_scale.py --data DIR/content/helpdocs_passages.jsonl.gz

The passages of a page become one document. Measured are the duration of each indexing and the
number of embedded paragraphs, the size of the index on disk, the time to open it, the query
latency, how often a passage's first sentence finds its document, and the peak memory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.adapters.embedded.search import EmbeddedIndex, EmbeddedSearch
from liftwright.model import Document, Query, Section
from liftwright.text import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP_K = 5
PROBES = 200
MIN_WORDS = 6


def read_documents(file: Path) -> tuple[Document, ...]:
    """The help pages, each with its passages as sections."""
    pages: dict[str, list[tuple[str, str]]] = {}
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        for line in stream:
            passage = json.loads(line)
            page = passage["id"].partition("#")[0]
            pages.setdefault(page, []).append((passage["section"] or "Overview", passage["text"]))
    return tuple(
        Document(
            document_id=page,
            title=page.rpartition("/")[2],
            category="help",
            sections=tuple(Section(title=name, paragraphs=(text,)) for name, text in passages),
            approval_date=date(2026, 1, 1),
        )
        for page, passages in pages.items()
    )


def measure(documents: tuple[Document, ...], folder: Path) -> Iterator[tuple[str, float]]:
    """The name and value of each measurement."""
    embed = MiniLmEmbed()
    index = EmbeddedIndex(folder, embed)
    yield "documents", len(documents)
    yield "paragraphs", sum(len(document.sections) for document in documents)
    first = documents[0].sections[0]
    words = replace(first, paragraphs=(f"{first.paragraphs[0]} Changed.",))
    changed = replace(documents[0], sections=(words, *documents[0].sections[1:]))
    latest = ""
    for name, corpus in (
        ("first", documents),
        ("again", documents),
        ("one changed", (changed, *documents[1:])),
    ):
        started = time.perf_counter()
        report = index(corpus, progress=_progress)
        latest = report.name
        yield f"{name}: seconds", time.perf_counter() - started
        yield f"{name}: paragraphs embedded", report.embedded
    yield "MB on disk", sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
    started = time.perf_counter()
    search = EmbeddedSearch(folder, embed, latest)
    search(Query(text="warm up", top_k=1))
    yield "open: seconds", time.perf_counter() - started
    yield from _queries(search, documents)
    yield "peak memory MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _queries(
    search: EmbeddedSearch, documents: tuple[Document, ...]
) -> Iterator[tuple[str, float]]:
    latencies, hits = [], []
    for document in documents[:: max(len(documents) // PROBES, 1)]:
        first = next(iter(sentences(document.sections[0].paragraphs[0])), None)
        if first is None or len(first.text.split()) < MIN_WORDS:
            continue
        started = time.perf_counter()
        passages = search(Query(text=first.text, top_k=TOP_K))
        latencies.append((time.perf_counter() - started) * 1000)
        hits.append(document.document_id in {passage.document_id for passage in passages})
    yield "queries", len(latencies)
    yield "query: ms p50", statistics.median(latencies)
    yield "query: ms p95", statistics.quantiles(latencies, n=20)[-1]
    yield f"recall at {TOP_K}", statistics.mean(hits)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {total:,} paragraphs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and memory of indexing many passages.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=None, help="number of pages; default: all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value in measure(read_documents(options.data)[: options.pages], Path(folder)):
            sys.stdout.write(f"{name:28} {value:12,.3f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
