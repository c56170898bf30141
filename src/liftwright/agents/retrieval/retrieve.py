"""Finds the approved passages for a segment.

The query is built from the segment's interests, audience and defining features. Results are
filtered by score, limited to one passage per document, shortened, and cleared of prompt injections
and of instructions to staff. If too few remain, passages of the fallback documents are added and
marked.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from liftwright.log import event
from liftwright.model import Passage, Query, fingerprint
from liftwright.text import normalise, phrase, sentences, snippet
from liftwright.text.lexicon import speaks_to_staff
from liftwright.text.orders import gives_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from liftwright.config import Retrieval
    from liftwright.model import Document, Identity, Segment
    from liftwright.ports import Search

    Find = Callable[[Query], tuple[Passage, ...]]

__all__ = ["CachedRetriever", "build_query", "retrieve"]

AGENT = "retrieval"
MIN_PASSAGES = 3
# E-mail engagement says nothing about a customer's interests.
_READING_HABITS = frozenset({"historical_open_rate", "historical_click_rate"})
# Requested in addition to `top_k`, because passages with instructions are discarded.
EXTRA_PASSAGES = 3
# How many results are searched for fallback documents; documents not found there are read in order.
FALLBACK_DEPTH = 50
# A document with at least this share of paragraphs for staff is excluded as a whole.
MIN_STAFF_SHARE = 0.5
# Shorter sentences carry little information.
MIN_SENTENCE_WORDS = 6


class CachedRetriever:
    """A search that runs each query once; thread-safe.

    Args:
        search: the underlying search; its identity is part of the cache key.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._results: dict[str, Future[tuple[Passage, ...]]] = {}
        self._lock = Lock()

    @property
    def identity(self) -> Identity:
        """The identity of the search."""
        return self._search.identity

    @property
    def metered(self) -> bool:
        """Whether the search is metered."""
        return self._search.metered

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The passages for a query, from the cache or from the search."""
        key = fingerprint("retrieval", self._search.identity, request)
        new: Future[tuple[Passage, ...]] = Future()
        with self._lock:
            result = self._results.setdefault(key, new)
        if result is new:
            try:
                new.set_result(self._search(request))
            except BaseException as error:
                # Waiting threads get the error; a later query searches again.
                with self._lock:
                    del self._results[key]
                new.set_exception(error)
                raise
        return result.result()


def build_query(segment: Segment, config: Retrieval, excluded: Collection[str] = ()) -> Query:
    """The query for a segment.

    Args:
        segment: the readers of the message.
        config: number of passages, categories, minimum score.
        excluded: ids of documents that must not be returned.
    """
    audience = _audience(segment)
    features = [
        feature.words
        for feature in segment.defining_features
        if feature.feature not in _READING_HABITS
    ]
    parts = [", ".join(segment.interests), ", ".join(audience), ", ".join(features)]
    text = ". ".join(part.strip(" .") for part in parts if part.strip(" ."))
    return Query(
        text=text or segment.description or segment.definition,
        top_k=config.top_k + EXTRA_PASSAGES,
        audience=audience,
        categories=config.categories,
        excluded=tuple(sorted(set(excluded))),
        min_score=config.min_score,
    )


def retrieve(
    segment: Segment,
    search: Find,
    *,
    documents: Sequence[Document],
    config: Retrieval,
    excluded: Collection[str] = (),
) -> tuple[Passage, ...]:
    """The passages for a segment: best first, fragments after sentences, marked fallbacks last.

    Args:
        segment: the readers of the message.
        search: finds passages; pass a `CachedRetriever` to run each query once.
        documents: the corpus that `search` covers.
        config: number of passages, categories, minimum score and fallback documents.
        excluded: ids of documents that must not be returned (expired, not yet approved).

    Returns:
        At most `config.top_k` passages, one per document, each shortened to whole sentences. At
        least three if there are that many usable documents; empty only if there are none.
    """
    excluded_ids = {*excluded, *_wrong_audience(segment, documents), *_staff_documents(documents)}
    query = build_query(segment, config, excluded_ids)
    passages = _search(search, query, segment)
    relevant = [passage for passage in passages if passage.score >= config.min_score]
    chosen = _filter_passages(relevant, excluded_ids)[: config.top_k]
    if len(chosen) < MIN_PASSAGES:
        event(
            "relevant_passages_missing",
            agent=AGENT,
            level="warning",
            segment=segment.label,
            relevant=len(chosen),
            least=MIN_PASSAGES,
        )
        chosen += _fallback(
            segment, search, query, documents=documents, config=config, chosen=chosen
        )
    return tuple(
        replace(passage, text=snippet(passage.text, config.max_snippet_words)) for passage in chosen
    )


def _audience(segment: Segment) -> tuple[str, ...]:
    """The segment's audience terms, and its tier if all customers have the same one."""
    shared = [tier for tier, customers in segment.tiers.items() if customers == segment.size > 0]
    known = {phrase(word) for word in segment.audience}
    tiers = [f"{tier} members" for tier in shared if phrase(f"{tier} members") not in known]
    return (*segment.audience, *tiers)


def _wrong_audience(segment: Segment, documents: Iterable[Document]) -> set[str]:
    """The ids of documents that are restricted to another audience."""
    own = {phrase(word) for word in _audience(segment)}
    return {
        document.document_id
        for document in documents
        if document.audience_only and not own.intersection(map(phrase, document.audience))
    }


def _staff_documents(documents: Iterable[Document]) -> set[str]:
    """The ids of documents that instruct a brand's staff; approved, but not for customers."""
    excluded = set()
    for document in documents:
        texts = [paragraph.text for paragraph in document.paragraphs()]
        if sum(map(speaks_to_staff, texts)) >= MIN_STAFF_SHARE * len(texts):
            excluded.add(document.document_id)
    if excluded:
        names = sorted(excluded)
        event("documents_for_staff_left_out", agent=AGENT, level="warning", documents=names)
    return excluded


def _search(search: Find, query: Query, segment: Segment) -> tuple[Passage, ...]:
    """Run a query and log its results."""
    started = time.perf_counter()
    passages = search(query)
    event(
        "passages_retrieved",
        agent=AGENT,
        segment=segment.label,
        query=query.text,
        top_k=query.top_k,
        min_score=query.min_score,
        results=[
            {
                "document_id": passage.document_id,
                "paragraph_index": passage.paragraph_index,
                "score": passage.score,
            }
            for passage in passages
        ],
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
    )
    return passages


def _filter_passages(passages: Iterable[Passage], excluded_ids: Collection[str]) -> list[Passage]:
    """One passage per allowed document, without instructions; those without a sentence last."""
    kept: dict[str, Passage] = {}
    for passage in passages:
        if passage.document_id in excluded_ids or passage.document_id in kept:
            continue
        text = normalise(passage.text)
        if gives_orders(text) or speaks_to_staff(text):
            event(
                "instruction_in_content_found",
                agent=AGENT,
                level="warning",
                document_id=passage.document_id,
                paragraph_index=passage.paragraph_index,
            )
            continue
        kept[passage.document_id] = passage
    # A table row or a list of names may match best, but gives a writer nothing to say.
    return sorted(kept.values(), key=_has_no_sentence)


def _has_no_sentence(passage: Passage) -> bool:
    return not any(
        span.text[-1] in ".!?" and len(span.text.split()) >= MIN_SENTENCE_WORDS
        for span in sentences(passage.text)
    )


def _fallback(  # noqa: PLR0913 - what a fallback depends on
    segment: Segment,
    search: Find,
    query: Query,
    *,
    documents: Sequence[Document],
    config: Retrieval,
    chosen: Sequence[Passage],
) -> list[Passage]:
    """Passages to add to `chosen`: of the fallback documents, or of any if none is usable."""
    usable = {d.document_id: d for d in documents if d.document_id not in query.excluded}
    missing = [name for name in config.fallback_documents if name not in usable]
    if missing:
        event("fallback_documents_missing", agent=AGENT, level="warning", documents=missing)
    allowed = set(config.fallback_documents) & set(usable) or set(usable)
    candidates = list(
        _search(search, replace(query, top_k=FALLBACK_DEPTH, categories=(), min_score=0.0), segment)
    )
    not_found = allowed - {passage.document_id for passage in candidates}
    for name, document in usable.items():
        if name in not_found:
            candidates += _document_passages(document)
    new = allowed - {passage.document_id for passage in chosen}
    added = _filter_passages(
        (passage for passage in candidates if passage.document_id in new), query.excluded
    )[: config.top_k - len(chosen)]
    event(
        "fallback_used",
        agent=AGENT,
        level="warning",
        segment=segment.label,
        documents=[passage.document_id for passage in added],
    )
    return [replace(passage, fallback=True) for passage in added]


def _document_passages(document: Document) -> list[Passage]:
    """The passages of a document that the search did not return, in order, with score 0."""
    return [
        Passage(
            document_id=document.document_id,
            version=document.version,
            title=document.title,
            section=paragraph.section,
            paragraph_index=paragraph.index,
            text=paragraph.text,
            score=0.0,
            category=document.category,
        )
        for paragraph in document.paragraphs()
    ]
