"""Hybrid search on this machine: BM25 and sentence vectors, fused by reciprocal rank.

Filters: a document of another category, an excluded one, and one that is only for an audience
which the query does not name, is not given. A query without an audience is not a segment's and
gets everything. Passages for an audience that the query names are raised.

The score is a relevance in [0, 1]: a logistic curve of cosine and lexical match, made monotone in
the order of the results. On SciFact's training claims and on ESCI 0.5 lies above 98 % of what is
off the subject and below 96 % of what is judged relevant (`benchmarks/retrieval.py`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from liftwright.adapters.embedded.bm25 import Bm25, weighted_counts
from liftwright.adapters.embedded.filters import Filters
from liftwright.adapters.embedded.index_files import (
    Entry,
    Stored,
    index_if_whole,
    index_names,
    latest_index,
    read_index,
    recent_names,
    remove_indexes,
    write_index,
)
from liftwright.errors import ProviderRefused
from liftwright.model import Document, Identity, Passage, Query, fingerprint
from liftwright.ports import IndexNames, IndexReport
from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from liftwright.ports import Embed, Vectors

    Floats = npt.NDArray[np.float64]

__all__ = ["EmbeddedIndex", "EmbeddedSearch", "relevance"]

# A change here, or in how passages are read into words, makes another index.
FORMAT = "1"
TITLE_WEIGHT = 1.0
SECTION_WEIGHT = 1.0
KEYWORDS_WEIGHT = 0.5
TEXT_WEIGHT = 1.0
EMBEDDED_AT_ONCE = 64
# Cormack, Clarke, Büttcher (2009), Reciprocal Rank Fusion, use 60.
FUSION_CONSTANT = 60
# Whom a document is for was said by a person: a passage for all of the query's audience is
# raised over some forty ranks, one for a part of it less.
AUDIENCE_FACTOR = (1.2, 0.4)
AUDIENCE_LOGIT = (1.8, 1.0)
# Logit of relevance = offset + cosine * weight + lexical match * weight.
LOGIT_OFFSET = -4.0
LOGIT_COSINE = 8.0
LOGIT_LEXICAL = 4.0


class EmbeddedIndex:
    """The port `index`: what has not changed is not embedded again.

    Args:
        folder: where indexes are kept.
        embed: turns passages into vectors.
    """

    metered = False

    def __init__(self, folder: Path, embed: Embed) -> None:
        self.identity = _identity(embed, "")
        self._folder = folder
        self._embed = embed

    def __call__(
        self, request: tuple[Document, ...], /, *, progress: Callable[[int, int], None]
    ) -> IndexReport:
        """Index exactly these documents.

        Raises:
            InputError: the folder cannot be written.
        """
        embedder = fingerprint(self.identity)
        prints = {document.document_id: fingerprint(document) for document in request}
        name = fingerprint(embedder, prints)[:24]
        entries = [entry for document in request for entry in _entries(document)]
        latest = latest_index(self._folder)
        before = latest.documents if latest else {}
        known = index_if_whole(self._folder, name) or latest
        vectors = known.by_digest() if known and known.embedder == embedder else {}
        missing = _missing(entries, vectors)
        if latest is None or latest.name != name:
            self._embed_missing(missing, vectors, len(entries), progress)
            lexical = Bm25.build([c for document in request for c in _counts(document)])
            index = Stored(
                name=name,
                embedder=embedder,
                documents=prints,
                entries=tuple(entries),
                vectors=_stacked(entries, vectors),
                lexical=lexical,
            )
            write_index(self._folder, index)
        progress(len(entries), len(entries))
        return IndexReport(
            name=name,
            documents=len(prints),
            paragraphs=len(entries),
            added=sum(key not in before for key in prints),
            changed=sum(before.get(key, value) != value for key, value in prints.items()),
            removed=sum(key not in prints for key in before),
            unchanged=sum(before.get(key) == value for key, value in prints.items()),
            embedded=len(missing),
        )

    def index_names(self) -> IndexNames:
        """The latest index, and those before it whose vectors the next one could take over."""
        latest, *_ = [*recent_names(self._folder), None]
        return IndexNames(
            in_use=latest,
            others=tuple(name for name in index_names(self._folder) if name != latest),
        )

    def remove_old(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete the folders of indexes that are neither the latest nor in `keep`.

        Returns:
            The names of those that were deleted.
        """
        old = tuple(name for name in self.index_names().others if name not in keep)
        remove_indexes(self._folder, old)
        return old

    def _embed_missing(
        self,
        missing: Sequence[Entry],
        vectors: dict[str, Vectors],
        total: int,
        progress: Callable[[int, int], None],
    ) -> None:
        done = total - len(missing)
        for first in range(0, len(missing), EMBEDDED_AT_ONCE):
            progress(done + first, total)
            batch = missing[first : first + EMBEDDED_AT_ONCE]
            found = self._embed(tuple(_embedded_text(entry) for entry in batch))
            for entry, vector in zip(batch, found, strict=True):
                vectors[entry.digest] = vector


class EmbeddedSearch:
    """The port `search` on one index; safe for threads.

    Args:
        folder: where indexes are kept.
        embed: the embedder that the index was made with.
        name: the index, as its report names it.
    """

    metered = False

    def __init__(self, folder: Path, embed: Embed, name: str) -> None:
        self.identity = _identity(embed, name)
        self._folder = folder
        self._embed = embed
        self._name = name
        self._index: tuple[Stored, Filters] | None = None

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The best passage of each document, best first, ties by document_id.

        Raises:
            ProviderRefused: the index is missing, broken, or of another embedder.
        """
        import numpy as np

        index, filters = self._opened()
        if not index.entries or request.top_k < 1:
            return ()
        lexical, most = index.lexical.scores(words(request.text))
        # Row by row: a matrix product gives equal passages unequal last digits by their place.
        found = np.einsum("ij,j->i", index.vectors, self._embed((request.text,))[0])
        cosine = found.astype(np.float64)
        match = lexical.astype(np.float64) / most if most else np.zeros(len(cosine))
        named = filters.named(request)
        allowed = filters.allowed(request, named)
        fused = _fused(match[allowed], cosine[allowed])
        fused *= np.where(named[allowed], np.polyval(AUDIENCE_FACTOR[::-1], named[allowed]), 1.0)
        best = filters.best_of_each_document(allowed, fused)
        scores = relevance(cosine[best], match[best], named[best])
        return tuple(
            _passage(index.entries[row], score)
            for row, score in zip(best[: request.top_k], scores, strict=False)
            if score >= request.min_score
        )

    def _opened(self) -> tuple[Stored, Filters]:
        # Two threads may both read it at first; either copy serves.
        opened = self._index
        if opened is None:
            index = read_index(self._folder, self._name)
            if index.embedder != fingerprint(_identity(self._embed, "")):
                message = f"{self._folder / self._name}: made with another embedding model; "
                raise ProviderRefused(f"{message}make the index again with liftwright index")
            opened = self._index = index, Filters.of(index.entries)
        return opened


def relevance(cosine: Floats, match: Floats, named: Floats | None = None) -> list[float]:
    """Relevance in [0, 1] of results in their order; never rising along it.

    Args:
        cosine: of query and passage.
        match: BM25 score over the most that any passage could have for the query.
        named: the share of the query's audience that the passage is for.
    """
    import numpy as np

    logit = LOGIT_OFFSET + LOGIT_COSINE * cosine + LOGIT_LEXICAL * match
    if named is not None:
        logit = logit + np.where(named, np.polyval(AUDIENCE_LOGIT[::-1], named), 0.0)
    return _never_rising([float(value) for value in 1 / (1 + np.exp(-logit))])


def _never_rising(values: Sequence[float]) -> list[float]:
    """The nearest sequence that never rises (pool adjacent violators), at six decimals."""
    pools: list[tuple[float, int]] = []
    for value in values:
        total, count = value, 1
        while pools and pools[-1][0] * count <= total * pools[-1][1]:
            before, members = pools.pop()
            total, count = total + before, count + members
        pools.append((total, count))
    return [round(total / count, 6) for total, count in pools for _ in range(count)]


def _identity(embed: Embed, corpus: str) -> Identity:
    model = f"bm25+{embed.identity.model}"
    version = f"{FORMAT}-{embed.identity.version}"
    return Identity(provider="embedded", model=model, version=version, corpus=corpus)


# ── Indexing ──────────────────────────────────────────────────────────────────────────────────


def _entries(document: Document) -> list[Entry]:
    return [
        Entry(
            document_id=document.document_id,
            version=document.version,
            title=document.title,
            category=document.category,
            section=paragraph.section,
            paragraph_index=paragraph.index,
            text=paragraph.text,
            digest=_digest(document.title, paragraph.section, paragraph.text),
            audience=document.audience,
            audience_only=document.audience_only,
        )
        for paragraph in document.paragraphs()
    ]


def _digest(*texts: str) -> str:
    """The embedded text's name; parts are joined by what no text holds."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _counts(document: Document) -> list[dict[str, float]]:
    """The words of each passage, those of its title, section and keywords among them."""
    keywords = " ".join(document.keywords)
    return [
        weighted_counts(
            (
                (document.title, TITLE_WEIGHT),
                (paragraph.section, SECTION_WEIGHT),
                (keywords, KEYWORDS_WEIGHT),
                (paragraph.text, TEXT_WEIGHT),
            )
        )
        for paragraph in document.paragraphs()
    ]


def _embedded_text(entry: Entry) -> str:
    return f"{entry.title}\n{entry.section}\n{entry.text}"


def _missing(entries: Sequence[Entry], vectors: dict[str, Vectors]) -> list[Entry]:
    """One entry for each text that has no vector yet."""
    by_digest = {entry.digest: entry for entry in entries if entry.digest not in vectors}
    return list(by_digest.values())


def _stacked(entries: Sequence[Entry], vectors: dict[str, Vectors]) -> Vectors:
    import numpy as np

    if not entries:
        return np.zeros((0, 1), dtype=np.float32)
    return np.stack([vectors[entry.digest] for entry in entries]).astype(np.float32)


# ── Searching ─────────────────────────────────────────────────────────────────────────────────


def _fused(match: Floats, cosine: Floats) -> Floats:
    """Reciprocal rank fusion; a passage without any of the words has no lexical rank."""
    import numpy as np

    lexical = np.where(match > 0, 1 / (FUSION_CONSTANT + _ranks(match)), 0.0)
    fused: Floats = lexical + 1 / (FUSION_CONSTANT + _ranks(cosine))
    return fused


def _ranks(scores: Floats) -> Floats:
    """Ranks from 1; equal scores share the best rank, so that order does not depend on place."""
    import numpy as np

    falling = np.sort(-scores)
    return np.searchsorted(falling, -scores, side="left").astype(np.float64) + 1


def _passage(entry: Entry, score: float) -> Passage:
    return Passage(
        document_id=entry.document_id,
        version=entry.version,
        title=entry.title,
        section=entry.section,
        paragraph_index=entry.paragraph_index,
        text=entry.text,
        score=score,
        category=entry.category,
    )
