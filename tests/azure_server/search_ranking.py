"""How the search service ranks: words, vectors, their fusion, and its reranker."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Rows with their score, best first: all of them, by words, or fused with vectors."""
    if body["search"].strip() == "*":
        return [(1.0, row) for row in rows]
    asked = set(words(body["search"]))
    shared = [float(sum(word in asked for word in _text(index, row))) for row in rows]
    by_words = [one for one in _ranked(shared, rows) if one[0] > 0]
    queries = body.get("vectorQueries", [])
    if not queries:
        return by_words
    lists = [by_words]
    lists += [_ranked([_cosine(row, one) for row in rows], rows)[: one["k"]] for one in queries]
    fused = [
        sum(1 / (60 + rank) for ranked in lists for rank, one in enumerate(ranked) if one[1] is row)
        for row in rows
    ]
    return [one for one in _ranked(fused, rows) if one[0] > 0]


def _ranked(scores: list[float], rows: list[Row]) -> list[tuple[float, Row]]:
    return sorted(zip(scores, rows, strict=True), key=lambda one: -one[0])


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
