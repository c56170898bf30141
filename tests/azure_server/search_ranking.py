"""How the search service ranks: words, vectors, their fusion, and its reranker."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from azure_server.search import Index, Row


def _text(index: Index, row: Row) -> list[str]:
    found: list[str] = []
    for name in sorted(index.named("searchable")):
        value = row.get(name)
        if isinstance(value, str):
            found += words(value)
        elif isinstance(value, list) and value and isinstance(value[0], str):
            found += words(" ".join(value))
    return found


def scored(index: Index, rows: list[Row], body: Row) -> list[tuple[float, Row]]:
    """Rows with their score, best first: all of them, BM25, or fused with vectors."""
    if body["search"].strip() == "*":
        return [(1.0, row) for row in rows]
    lexical = _ranking(_lexical(index, rows, words(body["search"])), rows)
    queries = body.get("vectorQueries", [])
    if not queries:
        return [(score, row) for score, row in lexical if score > 0]
    fused: Counter[int] = Counter()
    lists = [[row for score, row in lexical if score > 0]]
    for query in queries:
        close = _ranking([_cosine(row, query) for row in rows], rows)
        lists.append([row for _, row in close[: query["k"]]])
    for ranked in lists:
        for rank, row in enumerate(ranked, start=1):
            fused[id(row)] += 1 / (60 + rank)  # type: ignore[assignment] # counts of any number
    by_id = {id(row): row for row in rows}
    return [(score, by_id[one]) for one, score in fused.most_common()]


def _ranking(scores: Iterable[float], rows: Iterable[Row]) -> list[tuple[float, Row]]:
    return sorted(zip(scores, rows, strict=True), key=lambda one: -one[0])


def _lexical(index: Index, rows: list[Row], asked: list[str]) -> list[float]:
    counts = [Counter(_text(index, row)) for row in rows]
    scores = []
    for count in counts:
        score = 0.0
        for word in set(asked):
            holding = sum(word in other for other in counts)
            rarity = math.log(1 + (len(rows) - holding + 0.5) / (holding + 0.5))
            score += rarity * count[word] * 2.2 / (count[word] + 1.2)
        scores.append(score)
    return scores


def _cosine(row: Row, query: Mapping[str, Any]) -> float:
    vector = row.get(query["fields"]) or [0.0] * len(query["vector"])
    length = math.hypot(*vector) * math.hypot(*query["vector"])
    dot = sum(a * b for a, b in zip(vector, query["vector"], strict=True))
    return round(dot / length, 6) if length else 0.0


def reranked(index: Index, row: Row, body: Row) -> float:
    asked, held = set(words(body["search"])), set(_text(index, row))
    match = len(asked & held) / max(len(asked), 1)
    queries = body.get("vectorQueries", [])
    cosine = max((_cosine(row, query) for query in queries), default=match)
    return round(4 / (1 + math.exp(4 - 8 * cosine - 4 * match)), 6)
