"""Hybrid search with semantic ranking on Azure AI Search (ports Index and Search).

The service fuses keyword and vector search, and its semantic ranker scores the best fifty results
from 0 to 4. A quarter of that score is the relevance, so 0.5 is what the service calls somewhat
relevant. Only this score is absolute, so a query's minimum score applies to it alone.

If the ranker is not configured or gives up (`semantic_ranking_degraded`), the relevance comes from
the remaining scores, without a minimum:

- Keywords and vectors, fused by reciprocal rank: the score as a share of the highest possible one.
  The first result of one list alone has 0.5; results in both lists, down to rank 62, have more.
- Keywords alone: BM25 has no maximum, so `s / (s + 2.5 n)` for score s and n distinct query words,
  which is 0.5 if each word contributes 2.5. Measured with our own BM25 and the service's constants:
  above 0.5 are all of the relevant results in ESCI's first ten and 2 % of the irrelevant ones; in
  SciFact 95 % of the relevant ones, but also results of queries with one or two rare words.

Filters and audiences work as in the embedded search: documents restricted to an audience are left
out for other segments, and passages for the query's audience rank higher.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from liftwright.adapters.azure.search_client import (
    PROVIDER,
    SearchService,
    embedder_for,
    search_identity,
)
from liftwright.adapters.azure.search_fields import VECTOR, folded_audience, folded_category
from liftwright.adapters.azure.search_index import AzureSearchIndex, DocumentsRefused
from liftwright.log import event
from liftwright.model import Passage, Usage
from liftwright.ports import Meter
from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from azure.core.credentials import TokenCredential
    from azure.core.pipeline import PipelineResponse

    from liftwright.adapters.azure import AzureSearch
    from liftwright.model import Query
    from liftwright.ports import Embed, Reply

__all__ = ["AzurePassageSearch", "AzureSearchIndex", "DocumentsRefused", "odata_filter"]

# The semantic ranker scores the best fifty; the vector search returns as many.
DEPTH = 50
# One document may have all fifty; the next round then excludes it.
ROUNDS = 4
RERANKER, FUSED, BM25 = "reranker", "reciprocal_rank", "bm25"
RERANKER_MOST = 4.0
PARTIAL = 206
# The ranker's share of the time-out; the rest is for the search before it.
RANKER_SHARE = 0.8
RANKER_LEAST_MS = 700
# The service fuses by 1 / (60 + rank), ranks from 1; two lists, words and vectors.
FUSED_MOST = 2 / 61
BM25_PER_WORD = 2.5
# As in the embedded search: for any match of the audience, and for the matching share.
AUDIENCE_LOGIT = (1.8, 1.0)
LEAST_PROBABILITY = 1e-4
TEXT_CHARACTERS = 4000
_SELECTED = (
    "document_id",
    "version",
    "title",
    "section",
    "paragraph_index",
    "text",
    "category",
    "audience_folded",
)
# Signs that are operators in the service's simple query syntax.
_OPERATORS = re.compile(r"[+|\"()*~\\?:&!^{}\[\]/]|(?<!\w)['-]|['-](?!\w)")
_DELIMITERS = "|;~^"
_SLUG = re.compile(r"[A-Za-z]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    """A result: a passage with its relevance, and the service's score and its kind."""

    passage: Passage
    raw: float
    scale: str


class AzurePassageSearch:
    """The port `search` on one index; thread-safe.

    Args:
        config: the service and its options.
        embed: the embedder of the index; None if vectors are off.
        name: the index, from its report. The alias is not used, as it may point to another corpus
            in the middle of a run.
        api_key: a query key of the service; None if a credential is given.
        credential: a credential of Microsoft Entra ID; None if a key is given.
        timeout_seconds: the time-out of one request.

    Raises:
        ConfigurationError: the address, key or embedder is missing or wrong.
    """

    metered = True
    most_queries = ROUNDS

    def __init__(  # noqa: PLR0913 - what the service and its index depend on
        self,
        config: AzureSearch,
        embed: Embed | None,
        name: str,
        *,
        api_key: str | None = None,
        credential: TokenCredential | None = None,
        timeout_seconds: float = 1.0,
    ) -> None:
        self._embed = embedder_for(config, embed)
        self.identity = search_identity(config, self._embed, name)
        # Only semantic ranking is billed per query.
        self.charged = config.semantic_configuration is not None
        self._config, self._name = config, name
        self._timeout_seconds = timeout_seconds
        self._service = SearchService(
            config, api_key=api_key, credential=credential, timeout_seconds=timeout_seconds
        )

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The best passage of each document, best first, ties by document_id.

        Raises:
            ProviderUnavailable: time-out, overload, lost connection or malformed response.
            ProviderRefused: credentials, permissions, or an index that does not exist.
        """
        return self.call_with_usage(request).value

    def call_with_usage(self, request: Query, /) -> Reply[tuple[Passage, ...]]:
        """As the plain call, with the number of semantic queries."""
        with Meter() as meter:
            return meter.reply(self._search(request, meter))

    def _search(self, request: Query, meter: Meter) -> tuple[Passage, ...]:
        text = _plain(request.text)
        # The ranker needs at least one word.
        if request.top_k < 1 or not words(text):
            return ()
        vector = self._embed((request.text,))[0].tolist() if self._embed else None
        best: dict[str, _Hit] = {}
        lowest = 1.0
        for _ in range(ROUNDS):
            hits = self._query(request, text, vector, meter, excluded=best)
            for hit in hits:
                # Ranks restart in each round, but no later result is better than an earlier one.
                _keep_better(best, hit if hit.scale == RERANKER else _at_most(hit, lowest))
            lowest = min([lowest, *(hit.passage.score for hit in hits)])
            if len(hits) < DEPTH or len(best) >= request.top_k:
                break
            if hits[-1].scale == RERANKER and lowest < request.min_score:
                break
        ranked = sorted(best.values(), key=lambda h: (-h.passage.score, h.passage.document_id))
        relevant = [
            h for h in ranked if h.scale != RERANKER or h.passage.score >= request.min_score
        ]
        return tuple(hit.passage for hit in relevant[: request.top_k])

    def _query(
        self,
        request: Query,
        text: str,
        vector: list[float] | None,
        meter: Meter,
        *,
        excluded: Collection[str],
    ) -> list[_Hit]:
        """The best results that do not belong to the excluded documents."""
        replies: list[tuple[int, object]] = []
        with self._service.translated_errors("search"):
            client = self._service.documents(self._name)
            answer = client.search(
                text,
                filter=odata_filter(request, excluded),
                select=list(_SELECTED),
                top=DEPTH,
                raw_response_hook=lambda reply: replies.append(_outcome(reply)),
                **self._options(vector),
            )
            # One page has all results; if the service shortens it, the rest is not requested.
            rows = list(next(answer.by_page(), ()))
            if self._config.semantic_configuration:
                meter.add(Usage(units=1))
            hits = self._hits(rows, request, text, fused=vector is not None)
        status, reason = replies[-1]
        ranked = all(hit.scale == RERANKER for hit in hits)
        if self._config.semantic_configuration and (status == PARTIAL or not ranked):
            event(
                "semantic_ranking_degraded",
                agent=PROVIDER,
                level="warning",
                status=status,
                reason=reason,
                results=len(hits),
                scale=hits[0].scale if hits else None,
            )
        event(
            "passages_scored",
            agent=PROVIDER,
            index=self._name,
            scale=hits[0].scale if hits else None,
            results=[
                {
                    "document_id": hit.passage.document_id,
                    "paragraph_index": hit.passage.paragraph_index,
                    "raw": hit.raw,
                    "score": hit.passage.score,
                }
                for hit in hits[: request.top_k]
            ],
        )
        return hits

    def _options(self, vector: list[float] | None) -> dict[str, Any]:
        from azure.search.documents.models import VectorizedQuery

        options: dict[str, Any] = {}
        if vector is not None:
            query = VectorizedQuery(vector=vector, k_nearest_neighbors=DEPTH, fields=VECTOR)
            options |= {"vector_queries": [query], "vector_filter_mode": "preFilter"}
        if self._config.semantic_configuration:
            ranker_ms = int(self._timeout_seconds * 1000 * RANKER_SHARE)
            options |= {
                "query_type": "semantic",
                "semantic_configuration_name": self._config.semantic_configuration,
                "semantic_error_mode": "partial",
                "semantic_max_wait_in_milliseconds": max(ranker_ms, RANKER_LEAST_MS),
            }
        return options

    def _hits(
        self, rows: Sequence[Mapping[str, Any]], request: Query, text: str, *, fused: bool
    ) -> list[_Hit]:
        """The results of a response; if some have a reranker score, only those."""
        ranked = [row for row in rows if row["@search.reranker_score"] is not None]
        scale, field = (RERANKER, "@search.reranker_score") if ranked else ("", "@search.score")
        scale = scale or (FUSED if fused else BM25)
        query_words = len(set(words(text)))
        audiences = {folded_audience(audience) for audience in request.audience}
        hits = []
        for row in ranked or rows:
            raw = float(row[field])
            relevance = _relevance(raw, scale, query_words)
            score = _boosted(relevance, audiences, row["audience_folded"])
            hits.append(_Hit(passage=_passage(row, score), raw=raw, scale=scale))
        return hits


def odata_filter(query: Query, excluded: Collection[str] = ()) -> str | None:
    """A query's filter in OData; None for no filter.

    Args:
        query: gives categories, audience and excluded documents.
        excluded: ids of further excluded documents.
    """
    parts = []
    if query.categories:
        parts.append(_any_of("category_folded", map(folded_category, query.categories)))
    if query.audience:
        named = _any_of("a", map(folded_audience, query.audience))
        parts.append(f"(audience_only eq false or audience_folded/any(a: {named}))")
    if query.excluded or excluded:
        parts.append(f"not {_any_of('document_id', (*query.excluded, *excluded))}")
    return " and ".join(parts) or None


def _any_of(field: str, values: Iterable[str]) -> str:
    """A condition that a field has one of the values; works for hundreds of values."""
    distinct = sorted(set(values))
    unused = [d for d in _DELIMITERS if not any(d in value for value in distinct)]
    if not unused or not all(distinct):
        return f"({' or '.join(f'{field} eq {_quoted(value)}' for value in distinct)})"
    return f"search.in({field}, {_quoted(unused[0].join(distinct))}, '{unused[0]}')"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _plain(text: str) -> str:
    """The text without signs that are operators."""
    return " ".join(_OPERATORS.sub(" ", text[:TEXT_CHARACTERS]).split())


def _outcome(reply: PipelineResponse[Any, Any]) -> tuple[int, str]:
    """The status of a response and, if it is partial, the service's reason."""
    status = int(reply.http_response.status_code)
    if status != PARTIAL:
        return status, ""
    try:
        reason = reply.http_response.json().get("@search.semanticPartialResponseReason")
    except (AttributeError, ValueError):
        return status, ""
    return status, reason if isinstance(reason, str) and _SLUG.fullmatch(reason) else ""


def _relevance(raw: float, scale: str, query_words: int) -> float:
    """A score of the service as a relevance in [0, 1].

    Raises:
        ValueError: the score is negative, infinite or NaN.
    """
    if not 0 <= raw < math.inf:
        raise ValueError(scale)
    if scale == RERANKER:
        return min(raw / RERANKER_MOST, 1.0)
    if scale == FUSED:
        return min(raw / FUSED_MOST, 1.0)
    return raw / (raw + BM25_PER_WORD * query_words)


def _boosted(score: float, wanted: set[str], audience: Sequence[str]) -> float:
    """The relevance, raised for a matching audience and rounded to six decimals."""
    share = len(wanted.intersection(audience)) / max(len(wanted), 1)
    if share:
        probability = min(max(score, LEAST_PROBABILITY), 1 - LEAST_PROBABILITY)
        logit = math.log(probability / (1 - probability))
        logit += AUDIENCE_LOGIT[0] + AUDIENCE_LOGIT[1] * share
        score = 1 / (1 + math.exp(-logit))
    return round(score, 6)


def _passage(row: Mapping[str, Any], score: float) -> Passage:
    """A result's fields as a passage.

    Raises:
        ValueError: a field has the wrong type.
    """
    passage = Passage(
        document_id=row["document_id"],
        version=row["version"],
        title=row["title"],
        section=row["section"],
        paragraph_index=row["paragraph_index"],
        text=row["text"],
        score=score,
        category=row["category"],
    )
    texts = (passage.document_id, passage.version, passage.title, passage.section, passage.text)
    if not all(isinstance(t, str) for t in texts) or not isinstance(passage.paragraph_index, int):
        raise ValueError(passage.document_id)
    return passage


def _keep_better(best: dict[str, _Hit], hit: _Hit) -> None:
    """Keep the better of a document's hits; in a tie, that of the earlier paragraph."""
    passage = hit.passage
    known = best.get(passage.document_id)
    if known is None or (-passage.score, passage.paragraph_index) < (
        -known.passage.score,
        known.passage.paragraph_index,
    ):
        best[passage.document_id] = hit


def _at_most(hit: _Hit, score: float) -> _Hit:
    return replace(hit, passage=replace(hit.passage, score=min(hit.passage.score, score)))
