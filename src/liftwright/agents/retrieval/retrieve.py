"""The approved passages that fit a segment.

A segment asks with its own words: audience, defining features, description. What comes back is
relevant (a floor on the score), from different documents, short, free of planted instructions and
of a brand's directions to its staff, and three to five; where too little is relevant, the
configured fallback documents fill up, and say so.
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
from liftwright.text.lexicon import gives_instructions, speaks_to_staff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from liftwright.config import Retrieval
    from liftwright.model import Document, Identity, Segment
    from liftwright.ports import Search

    Find = Callable[[Query], tuple[Passage, ...]]

__all__ = ["CachedRetriever", "build_query", "retrieve"]

AGENT = "retrieval"
LEAST_PASSAGES = 3
# How people read e-mail says nothing of what they would like to read about.
_READING_HABITS = frozenset({"historical_open_rate", "historical_click_rate"})
# Asked for beyond `top_k`, as passages may turn out to hold instructions.
SPARE_PASSAGES = 3
# How far down fallback documents are looked for; a document further down gives its beginning.
FALLBACK_DEPTH = 50
# From this share of paragraphs that speak to staff, the rest of a document is theirs, too.
STAFF_SHARE = 0.5
# What ends in a stop and is shorter says little by itself.
SENTENCE_WORDS = 6


class CachedRetriever:
    """A search that is asked the same thing once; safe for threads.

    Args:
        search: the search to ask; its identity is part of what makes two queries the same.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._found: dict[str, Future[tuple[Passage, ...]]] = {}
        self._lock = Lock()

    @property
    def identity(self) -> Identity:
        """That of the search."""
        return self._search.identity

    @property
    def metered(self) -> bool:
        """Whether the search is."""
        return self._search.metered

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The passages for a query, remembered or searched."""
        key = fingerprint("retrieval", self._search.identity, request)
        mine: Future[tuple[Passage, ...]] = Future()
        with self._lock:
            found = self._found.setdefault(key, mine)
        if found is mine:
            try:
                mine.set_result(self._search(request))
            except BaseException as error:
                # Whoever waits for it gets the error; a later query is asked anew.
                with self._lock:
                    del self._found[key]
                mine.set_exception(error)
                raise
        return found.result()


def build_query(segment: Segment, config: Retrieval, excluded: Collection[str] = ()) -> Query:
    """What a segment asks of the index.

    Args:
        segment: who is to be written to.
        config: how many passages, which categories, how relevant.
        excluded: ids of documents that must not be given.
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
        top_k=config.top_k + SPARE_PASSAGES,
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
    """The passages for a segment, best first but mere fragments later, fallbacks last and marked.

    Args:
        segment: who is to be written to.
        search: finds passages; pass a `CachedRetriever` to ask nothing twice.
        documents: the corpus that `search` looks in.
        config: how many passages, which categories, how relevant, and the fallback documents.
        excluded: ids of documents that must not be given (expired, not yet approved).

    Returns:
        `config.top_k` passages at most, from different documents for customers, each text cut at
        the end of a sentence. At least three where the usable documents are that many; none only
        where no document is usable at all.
    """
    barred = {*excluded, *_closed_to(segment, documents), *_for_staff(documents)}
    query = build_query(segment, config, barred)
    relevant = [one for one in _ask(search, query, segment) if one.score >= config.min_score]
    chosen = _clean(relevant, barred)[: config.top_k]
    if len(chosen) < LEAST_PASSAGES:
        event(
            "relevant_passages_missing",
            agent=AGENT,
            level="warning",
            segment=segment.label,
            relevant=len(chosen),
            least=LEAST_PASSAGES,
        )
        chosen += _fallback(
            segment, search, query, documents=documents, config=config, chosen=chosen
        )
    return tuple(
        replace(passage, text=snippet(passage.text, config.max_snippet_words)) for passage in chosen
    )


def _audience(segment: Segment) -> tuple[str, ...]:
    """The segment's words, and the tier's where all of it is of one tier."""
    whole = [tier for tier, customers in segment.tiers.items() if customers == segment.size > 0]
    known = {phrase(word) for word in segment.audience}
    tiers = [f"{tier} members" for tier in whole if phrase(f"{tier} members") not in known]
    return (*segment.audience, *tiers)


def _closed_to(segment: Segment, documents: Iterable[Document]) -> set[str]:
    """Documents for an audience only, which the segment is not."""
    own = {phrase(word) for word in _audience(segment)}
    return {
        document.document_id
        for document in documents
        if document.audience_only and not own.intersection(map(phrase, document.audience))
    }


def _for_staff(documents: Iterable[Document]) -> set[str]:
    """Documents that tell a brand's own people what to do: approved, but not for a message."""
    found = set()
    for document in documents:
        texts = [paragraph.text for paragraph in document.paragraphs()]
        if sum(map(speaks_to_staff, texts)) >= STAFF_SHARE * len(texts):
            found.add(document.document_id)
    if found:
        event("documents_for_staff_left_out", agent=AGENT, level="warning", documents=sorted(found))
    return found


def _ask(search: Find, query: Query, segment: Segment) -> tuple[Passage, ...]:
    """Search, and log it."""
    started = time.perf_counter()
    found = search(query)
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
            for passage in found
        ],
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
    )
    return found


def _clean(found: Iterable[Passage], barred: Collection[str]) -> list[Passage]:
    """One passage of each allowed document, none with orders; those without a sentence last."""
    kept: dict[str, Passage] = {}
    for passage in found:
        if passage.document_id in barred or passage.document_id in kept:
            continue
        text = normalise(passage.text)
        if gives_instructions(text) or speaks_to_staff(text):
            event(
                "instruction_in_content_found",
                agent=AGENT,
                level="warning",
                document_id=passage.document_id,
                paragraph_index=passage.paragraph_index,
            )
            continue
        kept[passage.document_id] = passage
    # A row of a table or a list of names may match best and yet give a writer nothing to say.
    return sorted(kept.values(), key=_holds_no_sentence)


def _holds_no_sentence(passage: Passage) -> bool:
    return not any(
        span.text[-1] in ".!?" and len(span.text.split()) >= SENTENCE_WORDS
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
    """What fills up `chosen`: the configured documents' best passages, else the best of all."""
    usable = {d.document_id: d for d in documents if d.document_id not in query.excluded}
    missing = [name for name in config.fallback_documents if name not in usable]
    if missing:
        event("fallback_documents_missing", agent=AGENT, level="warning", documents=missing)
    taken = {passage.document_id for passage in chosen}
    wanted = set(config.fallback_documents) & set(usable) or set(usable)
    widened = replace(query, top_k=FALLBACK_DEPTH, categories=(), min_score=0.0)
    found = _ask(search, widened, segment)
    reached = {passage.document_id for passage in found}
    unseen = [document for name, document in usable.items() if name in wanted - reached]
    offered = [*found, *(passage for document in unseen for passage in _opening(document))]
    fitting = [one for one in offered if one.document_id in wanted - taken]
    added = _clean(fitting, query.excluded)[: config.top_k - len(chosen)]
    event(
        "fallback_used",
        agent=AGENT,
        level="warning",
        segment=segment.label,
        documents=[passage.document_id for passage in added],
    )
    return [replace(passage, fallback=True) for passage in added]


def _opening(document: Document) -> list[Passage]:
    """A document's passages in order, for one that no search has found: score 0."""
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
