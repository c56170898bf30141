"""Hybrid search with semantic ranking on Azure AI Search (ports Index and Search).

Words and vectors are fused by the service, and its semantic ranker judges the best fifty. Its
judgement, 0 to 4, is the one score with a meaning of its own: a quarter of it is the relevance,
so that 0.5 is what the service calls somewhat relevant, and a query's floor applies to it alone.

Where the ranker is not configured, or gives up (`semantic_ranking_degraded`), the relevance is
made of what is left, and no floor applies to it here:

- words and vectors fused by reciprocal rank: the share of the most that fusion can give. The
  first by one of the two alone stands at 0.5; what both found, down to rank 62, stands above.
- words alone: BM25 has no most. `s / (s + 2.5 n)` for score s and n different words asked for,
  which is 0.5 where each word counts 2.5: above lie all of what ESCI's judges call relevant among
  the first ten and 2 % of what is off its subject; of SciFact 95 %, but there a query of one or
  two rare words lies above as well. By our own BM25 with the service's constants, not by it.

Filters and audiences work as in the embedded search: a document for an audience only is kept
from a segment that is none of it, and passages for the query's audience are raised.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from liftwright.adapters.azure.search_client import (
    PROVIDER,
    SearchService,
    needed_embedder,
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

# The semantic ranker looks at the best fifty, and vectors bring as many.
DEPTH = 50
# A document may hold all of the fifty: the next ones are then asked for without it.
ROUNDS = 4
RERANKER, FUSED, BM25 = "reranker", "reciprocal_rank", "bm25"
RERANKER_MOST = 4.0
PARTIAL = 206
# Of the service's time the ranker may take so much; what is left is for the search before it.
RANKER_SHARE = 0.8
RANKER_LEAST_MS = 700
# The service fuses by 1 / (60 + rank), ranks from 1; two lists, words and vectors.
FUSED_MOST = 2 / 61
BM25_PER_WORD = 2.5
# As in the embedded search: a passage for all of the query's audience, or for a part of it.
AUDIENCE_LOGIT = (1.8, 1.0)
LEAST_CHANCE = 1e-4
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
# Signs that the service's simple syntax takes for operators.
_OPERATORS = re.compile(r"[+|\"()*~\\?:&!^{}\[\]/]|(?<!\w)['-]|['-](?!\w)")
_DELIMITERS = "|;~^"
_SLUG = re.compile(r"[A-Za-z]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    """A row as it came: a passage with its relevance, and the score that this is made of."""

    passage: Passage
    raw: float
    scale: str


class AzurePassageSearch:
    """The port `search` on one index; safe for threads.

    Args:
        config: the service and how it is asked.
        embed: the embedder that the index was made with; None where vectors are off.
        name: the index, as its report names it. The alias is not asked: it may lead to another
            corpus in the middle of a run.
        api_key: a query key of the service; None where a credential is given.
        credential: who we are to Microsoft Entra ID; None where a key is given.
        timeout_seconds: how long the service may stay silent.

    Raises:
        ConfigurationError: where address, key or embedder are missing or wrong.
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
        self._embed = needed_embedder(config, embed)
        self.identity = search_identity(config, self._embed, name)
        # Only the semantic ranker charges for a query.
        self.charged = config.semantic_configuration is not None
        self._config, self._name = config, name
        self._timeout_seconds = timeout_seconds
        self._service = SearchService(
            config, api_key=api_key, credential=credential, timeout_seconds=timeout_seconds
        )

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The best passage of each document, best first, ties by document_id.

        Raises:
            ProviderUnavailable: on a time-out, an overload, a lost connection, a broken answer.
            ProviderRefused: on credentials, rights, or an index that is not there.
        """
        return self.call_with_usage(request).value

    def call_with_usage(self, request: Query, /) -> Reply[tuple[Passage, ...]]:
        """The same, with the number of queries that were ranked semantically."""
        with Meter() as meter:
            return meter.reply(self._search(request, meter))

    def _search(self, request: Query, meter: Meter) -> tuple[Passage, ...]:
        text = _plain(request.text)
        # The ranker has nothing to judge by where there is no word.
        if request.top_k < 1 or not words(text):
            return ()
        vector = self._embed((request.text,))[0].tolist() if self._embed else None
        best: dict[str, _Hit] = {}
        lowest = 1.0
        for _ in range(ROUNDS):
            hits = self._ask(request, text, vector, meter, found=best)
            for hit in hits:
                # Ranks begin again in a further answer, which holds nothing better.
                _keep(best, hit if hit.scale == RERANKER else _at_most(hit, lowest))
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

    def _ask(
        self,
        request: Query,
        text: str,
        vector: list[float] | None,
        meter: Meter,
        *,
        found: Collection[str],
    ) -> list[_Hit]:
        """The best rows that are not of the documents found already."""
        replies: list[tuple[int, object]] = []
        with self._service.asking("search"):
            client = self._service.documents(self._name)
            answer = client.search(
                text,
                filter=odata_filter(request, found),
                select=list(_SELECTED),
                top=DEPTH,
                raw_response_hook=lambda reply: replies.append(_outcome(reply)),
                **self._options(vector),
            )
            # One page holds them all; what the service cuts short is not asked on for.
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
            patience_ms = int(self._timeout_seconds * 1000 * RANKER_SHARE)
            options |= {
                "query_type": "semantic",
                "semantic_configuration_name": self._config.semantic_configuration,
                "semantic_error_mode": "partial",
                "semantic_max_wait_in_milliseconds": max(patience_ms, RANKER_LEAST_MS),
            }
        return options

    def _hits(
        self, rows: Sequence[Mapping[str, Any]], request: Query, text: str, *, fused: bool
    ) -> list[_Hit]:
        """What the rows amount to; where some are ranked, the others have no place among them."""
        judged = [row for row in rows if row["@search.reranker_score"] is not None]
        scale, field = (RERANKER, "@search.reranker_score") if judged else ("", "@search.score")
        scale = scale or (FUSED if fused else BM25)
        asked = len(set(words(text)))
        wanted = {folded_audience(audience) for audience in request.audience}
        hits = []
        for row in judged or rows:
            raw = float(row[field])
            score = _raised(_relevance(raw, scale, asked), wanted, row["audience_folded"])
            hits.append(_Hit(passage=_passage(row, score), raw=raw, scale=scale))
        return hits


def odata_filter(query: Query, found: Collection[str] = ()) -> str | None:
    """What a query may have, in the service's language; None where it may have all.

    Args:
        query: categories, audience and excluded documents count.
        found: ids of documents that are not wanted any more.
    """
    parts = []
    if query.categories:
        parts.append(_any_of("category_folded", map(folded_category, query.categories)))
    if query.audience:
        named = _any_of("a", map(folded_audience, query.audience))
        parts.append(f"(audience_only eq false or audience_folded/any(a: {named}))")
    if query.excluded or found:
        parts.append(f"not {_any_of('document_id', (*query.excluded, *found))}")
    return " and ".join(parts) or None


def _any_of(field: str, values: Iterable[str]) -> str:
    """Whether a field has one of the values; for a few hundred of them as well."""
    different = sorted(set(values))
    free = [d for d in _DELIMITERS if not any(d in value for value in different)]
    if not free or not all(different):
        return f"({' or '.join(f'{field} eq {_quoted(value)}' for value in different)})"
    return f"search.in({field}, {_quoted(free[0].join(different))}, '{free[0]}')"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _plain(text: str) -> str:
    """Words without the signs that would be read as operators."""
    return " ".join(_OPERATORS.sub(" ", text[:TEXT_CHARACTERS]).split())


def _outcome(reply: PipelineResponse[Any, Any]) -> tuple[int, str]:
    """The status of an answer and, where it is partial, the service's word for why."""
    status = int(reply.http_response.status_code)
    if status != PARTIAL:
        return status, ""
    try:
        reason = reply.http_response.json().get("@search.semanticPartialResponseReason")
    except (AttributeError, ValueError):
        return status, ""
    return status, reason if isinstance(reason, str) and _SLUG.fullmatch(reason) else ""


def _relevance(raw: float, scale: str, asked: int) -> float:
    """A score of the service as a relevance in [0, 1].

    Raises:
        ValueError: for what is no score.
    """
    if not 0 <= raw < math.inf:
        raise ValueError(scale)
    if scale == RERANKER:
        return min(raw / RERANKER_MOST, 1.0)
    if scale == FUSED:
        return min(raw / FUSED_MOST, 1.0)
    return raw / (raw + BM25_PER_WORD * asked)


def _raised(score: float, wanted: set[str], audience: Sequence[str]) -> float:
    """The relevance for readers of whom a passage is for some; six decimals."""
    share = len(wanted.intersection(audience)) / max(len(wanted), 1)
    if share:
        chance = min(max(score, LEAST_CHANCE), 1 - LEAST_CHANCE)
        logit = math.log(chance / (1 - chance)) + AUDIENCE_LOGIT[0] + AUDIENCE_LOGIT[1] * share
        score = 1 / (1 + math.exp(-logit))
    return round(score, 6)


def _passage(row: Mapping[str, Any], score: float) -> Passage:
    """A row as a passage.

    Raises:
        ValueError: where a field is not of its kind.
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


def _keep(best: dict[str, _Hit], hit: _Hit) -> None:
    """Keep the better one of a document's hits, of equal ones that of the earlier paragraph."""
    passage = hit.passage
    known = best.get(passage.document_id)
    if known is None or (-passage.score, passage.paragraph_index) < (
        -known.passage.score,
        known.passage.paragraph_index,
    ):
        best[passage.document_id] = hit


def _at_most(hit: _Hit, score: float) -> _Hit:
    return replace(hit, passage=replace(hit.passage, score=min(hit.passage.score, score)))
