"""Time and memory of indexing many help passages once, again unchanged, and with one changed.

    python benchmarks/index_scale.py --data ../shared/data/content/helpdocs_passages.jsonl.gz

The passages of a file become one document. What is measured: seconds of each indexing and how many
paragraphs it embedded, the size of the index on disk, seconds to open it, the latency of a query,
how often a passage's own first sentence finds its document, and the process's peak memory.
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
LEAST_WORDS = 6


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
    """Each measurement's name and number."""
    embed = MiniLmEmbed()
    index = EmbeddedIndex(folder, embed)
    yield "documents", len(documents)
    yield "paragraphs", sum(len(one.sections) for one in documents)
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
    latencies, found = [], []
    for document in documents[:: max(len(documents) // PROBES, 1)]:
        opening = next(iter(sentences(document.sections[0].paragraphs[0])), None)
        if opening is None or len(opening.text.split()) < LEAST_WORDS:
            continue
        started = time.perf_counter()
        passages = search(Query(text=opening.text, top_k=TOP_K))
        latencies.append((time.perf_counter() - started) * 1000)
        found.append(document.document_id in {one.document_id for one in passages})
    yield "queries", len(latencies)
    yield "query: ms p50", statistics.median(latencies)
    yield "query: ms p95", statistics.quantiles(latencies, n=20)[-1]
    yield f"own document among {TOP_K}", statistics.mean(found)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {total:,} paragraphs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and memory of indexing many passages.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pages", type=int, default=None, help="only so many; all if left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, value in measure(read_documents(options.data)[: options.pages], Path(folder)):
            sys.stdout.write(f"{name:28} {value:12,.3f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
