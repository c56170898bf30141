"""Hybrid search on this machine: BM25 and sentence vectors, fused by reciprocal rank.

Filters leave out documents of other categories, excluded documents, and documents restricted to an
audience that the query does not name. A query without an audience is not restricted. Passages for
an audience that the query names rank higher.

The score is a relevance in [0, 1]: a logistic function of cosine and lexical match, made monotone
in the order of the results. On SciFact's training claims and on ESCI, 98 % of the irrelevant
results score below 0.5 and 96 % of the relevant ones above (`benchmarks/retrieval.py`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from liftwright.adapters.embedded.bm25 import Bm25, weighted_counts
from liftwright.adapters.embedded.filters import FilterIndex
from liftwright.adapters.embedded.index_files import (
    IndexEntry,
    StoredIndex,
    index_names,
    latest_index,
    read_index,
    recent_names,
    remove_indexes,
    try_read_index,
    write_index,
)
from liftwright.errors import ProviderRefused
from liftwright.model import Document, Identity, Passage, Query, fingerprint
from liftwright.ports import IndexNames, IndexReport, check_length
from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from liftwright.ports import Embed, Vectors

    Floats = npt.NDArray[np.float64]

__all__ = ["EmbeddedIndex", "EmbeddedSearch", "relevance"]

# Change it with the fields or the tokenization: the next run then builds a new index.
FORMAT = "1"
TITLE_WEIGHT = 1.0
SECTION_WEIGHT = 1.0
KEYWORDS_WEIGHT = 0.5
TEXT_WEIGHT = 1.0
EMBEDDED_AT_ONCE = 64
# Cormack, Clarke, Büttcher (2009), Reciprocal Rank Fusion, use 60.
FUSION_CONSTANT = 60
# A person set a document's audience, so it counts: a passage for all of the query's audiences
# rises about forty ranks, one for some of them less.
AUDIENCE_FACTOR = (1.2, 0.4)
AUDIENCE_LOGIT = (1.8, 1.0)
# Logit of relevance = offset + cosine * weight + lexical match * weight.
LOGIT_OFFSET = -4.0
LOGIT_COSINE = 8.0
LOGIT_LEXICAL = 4.0


class EmbeddedIndex:
    """The port `index`; unchanged passages are not embedded again.

    Args:
        folder: of the indexes.
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
        known = try_read_index(self._folder, name) or latest
        vectors = known.by_digest() if known and known.embedder == embedder else {}
        missing = _missing(entries, vectors)
        if latest is None or latest.name != name:
            self._embed_missing(missing, vectors, len(entries), progress)
            lexical = Bm25.build([c for document in request for c in _counts(document)])
            index = StoredIndex(
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
        """The latest index, and the earlier ones, whose vectors the next one may reuse."""
        latest, *_ = [*recent_names(self._folder), None]
        return IndexNames(
            in_use=latest,
            others=tuple(name for name in index_names(self._folder) if name != latest),
        )

    def remove_old(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete the folders of indexes that are neither the latest nor in `keep`.

        Returns:
            The names of the deleted indexes.
        """
        old = tuple(name for name in self.index_names().others if name not in keep)
        remove_indexes(self._folder, old)
        return old

    def _embed_missing(
        self,
        missing: Sequence[IndexEntry],
        vectors: dict[str, Vectors],
        total: int,
        progress: Callable[[int, int], None],
    ) -> None:
        done = total - len(missing)
        for first in range(0, len(missing), EMBEDDED_AT_ONCE):
            progress(done + first, total)
            batch = missing[first : first + EMBEDDED_AT_ONCE]
            new = self._embed(tuple(_embedded_text(entry) for entry in batch))
            if vectors:
                check_length(new.shape[1], len(next(iter(vectors.values()))), self._embed.identity)
            for entry, vector in zip(batch, new, strict=True):
                vectors[entry.digest] = vector


class EmbeddedSearch:
    """The port `search` on one index; thread-safe.

    Args:
        folder: of the indexes.
        embed: the embedder of the index.
        name: the index, from its report.
    """

    metered = False

    def __init__(self, folder: Path, embed: Embed, name: str) -> None:
        self.identity = _identity(embed, name)
        self._folder = folder
        self._embed = embed
        self._name = name
        self._index: tuple[StoredIndex, FilterIndex] | None = None

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The best passage of each document, best first, ties by document_id.

        Raises:
            ProviderRefused: the index is missing, corrupt, or of another embedder.
        """
        import numpy as np

        index, filters = self._open()
        if not index.entries or request.top_k < 1:
            return ()
        lexical, most = index.lexical.scores(words(request.text))
        # Row by row: a matrix product could give equal passages different last digits.
        vector = self._embed((request.text,))[0]
        check_length(len(vector), index.vectors.shape[1], self._embed.identity)
        products = np.einsum("ij,j->i", index.vectors, vector)
        cosine = products.astype(np.float64)
        match = lexical.astype(np.float64) / most if most else np.zeros(len(cosine))
        shares = filters.audience_shares(request)
        allowed = filters.allowed(request, shares)
        fused = _fuse(match[allowed], cosine[allowed])
        fused *= np.where(shares[allowed], np.polyval(AUDIENCE_FACTOR[::-1], shares[allowed]), 1.0)
        best = filters.best_of_each_document(allowed, fused)
        scores = relevance(cosine[best], match[best], shares[best])
        return tuple(
            _passage(index.entries[row], score)
            for row, score in zip(best[: request.top_k], scores, strict=False)
            if score >= request.min_score
        )

    def _open(self) -> tuple[StoredIndex, FilterIndex]:
        # Two threads may both read the files at first; either copy will do.
        opened = self._index
        if opened is None:
            index = read_index(self._folder, self._name)
            if index.embedder != fingerprint(_identity(self._embed, "")):
                message = f"{self._folder / self._name}: created with another embedding model; "
                raise ProviderRefused(f"{message}run `liftwright index` again")
            opened = self._index = index, FilterIndex.of(index.entries)
        return opened


def relevance(cosine: Floats, match: Floats, shares: Floats | None = None) -> list[float]:
    """The relevance in [0, 1] of ranked results, non-increasing in their order.

    Args:
        cosine: of query and passage.
        match: the BM25 score as a share of the highest possible one for the query.
        shares: the share of the query's audiences that the passage names.
    """
    import numpy as np

    logit = LOGIT_OFFSET + LOGIT_COSINE * cosine + LOGIT_LEXICAL * match
    if shares is not None:
        logit = logit + np.where(shares, np.polyval(AUDIENCE_LOGIT[::-1], shares), 0.0)
    return _non_increasing([float(value) for value in 1 / (1 + np.exp(-logit))])


def _non_increasing(values: Sequence[float]) -> list[float]:
    """The closest non-increasing sequence (pool adjacent violators), to six decimals."""
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


def _entries(document: Document) -> list[IndexEntry]:
    return [
        IndexEntry(
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
    """The digest of an embedded text, whose parts are joined by NUL characters."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _counts(document: Document) -> list[dict[str, float]]:
    """The weighted word counts of each passage, with its title, section and keywords."""
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


def _embedded_text(entry: IndexEntry) -> str:
    return f"{entry.title}\n{entry.section}\n{entry.text}"


def _missing(entries: Sequence[IndexEntry], vectors: dict[str, Vectors]) -> list[IndexEntry]:
    """One entry for each text that has no vector yet."""
    by_digest = {entry.digest: entry for entry in entries if entry.digest not in vectors}
    return list(by_digest.values())


def _stacked(entries: Sequence[IndexEntry], vectors: dict[str, Vectors]) -> Vectors:
    import numpy as np

    if not entries:
        return np.zeros((0, 1), dtype=np.float32)
    return np.stack([vectors[entry.digest] for entry in entries]).astype(np.float32)


def _fuse(match: Floats, cosine: Floats) -> Floats:
    """Reciprocal rank fusion; a passage with none of the words has no lexical rank."""
    import numpy as np

    lexical = np.where(match > 0, 1 / (FUSION_CONSTANT + _ranks(match)), 0.0)
    fused: Floats = lexical + 1 / (FUSION_CONSTANT + _ranks(cosine))
    return fused


def _ranks(scores: Floats) -> Floats:
    """Ranks from 1; equal scores share the best rank, so ranks do not depend on input order."""
    import numpy as np

    descending = np.sort(-scores)
    return np.searchsorted(descending, -scores, side="left").astype(np.float64) + 1


def _passage(entry: IndexEntry, score: float) -> Passage:
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
