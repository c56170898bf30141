"""Quality and speed of the embedded search on judged public queries.

    python benchmarks/retrieval.py --data DIR/retrieval [--index FOLDER] [--only esci]

nDCG@10 of BM25, vectors and the fused search, for SciFact's training claims and the ESCI subset
(gains 1/.1/.01/0), how well the score floor of 0.5 separates relevant from unrelated passages, and
the query latency. The first run embeds 12,000 texts; later runs reuse the `--index` folder.
"""

from __future__ import annotations

import argparse
import ast
import csv
import gzip
import json
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.adapters.embedded.index_files import read_index
from liftwright.adapters.embedded.search import EmbeddedIndex, EmbeddedSearch
from liftwright.model import Document, Query, Section
from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPTH = 10
FLOOR = 0.5
OFF_SUBJECT_QUERIES = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A corpus and its queries with gains by document; `relevant` is the minimum relevant gain."""

    documents: tuple[Document, ...]
    queries: tuple[tuple[str, Mapping[str, float]], ...]
    relevant: float


def _document(name: str, title: str, text: str) -> Document:
    return Document(
        document_id=name,
        title=title,
        category="",
        sections=(Section(title="Overview", paragraphs=(text or title,)),),
        approval_date=date(2026, 1, 1),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(10**9)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_scifact(folder: Path) -> Judged:
    """The abstracts, and the training claims with the documents they cite."""
    documents = []
    for row in _rows(folder / "scifact" / "corpus.csv.gz"):
        abstract = " ".join(ast.literal_eval(row["abstract"].strip()))
        documents.append(_document(row["doc_id"], row["title"], abstract))
    claims: dict[str, tuple[str, dict[str, float]]] = {}
    for row in _rows(folder / "scifact" / "claims_train.csv.gz"):
        cited = re.findall(r"\d+", f"{row['cited_doc_ids']} {row['evidence_doc_id']}")
        claims.setdefault(row["id"], (row["claim"], {}))[1].update(dict.fromkeys(cited, 1.0))
    return Judged(documents=tuple(documents), queries=tuple(claims.values()), relevant=1.0)


def read_esci(folder: Path) -> Judged:
    """The products by title and brand, and the queries with graded judgements."""
    with gzip.open(folder / "esci_products.json.gz", "rt", encoding="utf-8") as file:
        products = [json.loads(line) for line in file]
    documents = [_document(one["_id"], one["title"], one.get("brand") or "") for one in products]
    judged = json.loads((folder / "esci_judgments.json").read_bytes())
    listed = judged if isinstance(judged, list) else next(iter(judged.values()))
    queries = tuple(
        (one["query"], {rating["docId"]: float(rating["rating"]) for rating in one["ratings"]})
        for one in listed
    )
    return Judged(documents=tuple(documents), queries=queries, relevant=100.0)


def ndcg(found: Sequence[str], gains: Mapping[str, float]) -> float:
    """Normalised discounted cumulative gain of the first ten results, with linear gains."""
    ideal = _dcg(sorted(gains.values(), reverse=True))
    return _dcg([gains.get(name, 0.0) for name in found]) / ideal if ideal else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains[:DEPTH]))


def measure(judged: Judged, off_subject: Sequence[str], folder: Path) -> dict[str, float]:
    """All measurements on one corpus."""
    embed = MiniLmEmbed()
    started = time.perf_counter()
    report = EmbeddedIndex(folder, embed)(judged.documents, progress=_progress)
    indexed = time.perf_counter()
    search = EmbeddedSearch(folder, embed, report.name)
    search(Query(text="warm up", top_k=1))
    opened = time.perf_counter()
    stored = read_index(folder, report.name)
    names = [entry.document_id for entry in stored.entries]
    scores: dict[str, list[float]] = {"bm25": [], "vectors": [], "fused": []}
    relevant: list[bool] = []
    latencies = []
    for text, gains in judged.queries:
        before = time.perf_counter()
        found = search(Query(text=text, top_k=DEPTH))
        latencies.append(time.perf_counter() - before)
        scores["fused"].append(ndcg([one.document_id for one in found], gains))
        lexical = stored.lexical.scores(words(text))[0]
        for name, values in (("bm25", lexical), ("vectors", stored.vectors @ embed((text,))[0])):
            best = np.argsort(-values, kind="stable")[:DEPTH]
            scores[name].append(ndcg([names[row] for row in best], gains))
        good = [one for one in found if gains.get(one.document_id, 0.0) >= judged.relevant]
        relevant += [one.score >= FLOOR for one in good]
    stray = [
        one.score >= FLOOR
        for text in off_subject
        for one in search(Query(text=text, top_k=DEPTH // 2))
    ]
    return {
        "queries": len(judged.queries),
        "paragraphs": report.paragraphs,
        "embedded": report.embedded,
        **{f"ndcg@10 {name}": statistics.mean(values) for name, values in scores.items()},
        "relevant above the floor": statistics.mean(relevant),
        "unrelated above the floor": statistics.mean(stray),
        "index seconds": indexed - started,
        "open seconds": opened - indexed,
        "query ms p50": statistics.median(latencies) * 1000,
    }


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done:,} of {total:,} paragraphs")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Quality and speed of the embedded search.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--index", type=Path, default=None)
    parser.add_argument("--only", choices=("scifact", "esci"), default=None)
    options = parser.parse_args()
    corpora = {"scifact": read_scifact(options.data), "esci": read_esci(options.data)}
    with tempfile.TemporaryDirectory() as temporary:
        for name, judged in corpora.items():
            if options.only in (None, name):
                other = corpora["esci" if name == "scifact" else "scifact"]
                stray = [text for text, _ in other.queries[:OFF_SUBJECT_QUERIES]]
                folder = (options.index or Path(temporary)) / name
                for key, value in measure(judged, stray, folder).items():
                    print(f"{name:8} {key:34} {value:10.4f}")


if __name__ == "__main__":
    main()
