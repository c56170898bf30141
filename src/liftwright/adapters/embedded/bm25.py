"""BM25 with weighted fields, as arrays that are quick to store and load.

Source: Robertson, Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond; the
fields are weighted before saturation, as in its simple BM25F.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liftwright.text import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ints = npt.NDArray[np.int64]

K1 = 1.2
B = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Bm25:
    """An inverted index: for each word, the passages that contain it and its impact there.

    Attributes:
        vocabulary: the words, sorted.
        starts: the offset of each word's postings, and at the end the number of postings.
        passages: the passage of each posting.
        impacts: the contribution of each posting to its passage's score.
        size: the number of passages.
        positions: the position of each word in the vocabulary.
    """

    vocabulary: tuple[str, ...]
    starts: Ints
    passages: Ints
    impacts: Floats
    size: int
    positions: Mapping[str, int] = field(repr=False)

    @classmethod
    def of(
        cls, vocabulary: Sequence[str], starts: Ints, passages: Ints, impacts: Floats, size: int
    ) -> Bm25:
        """An index from its stored arrays."""
        return cls(
            vocabulary=tuple(vocabulary),
            starts=starts,
            passages=passages,
            impacts=impacts,
            size=size,
            positions={word: position for position, word in enumerate(vocabulary)},
        )

    @classmethod
    def build(cls, counts: Sequence[Mapping[str, float]]) -> Bm25:
        """An index of passages, each given by the weighted counts of its words."""
        import numpy as np

        postings: dict[str, list[tuple[int, float]]] = {}
        for passage, weights in enumerate(counts):
            for word, weight in weights.items():
                postings.setdefault(word, []).append((passage, weight))
        vocabulary = sorted(postings)
        lengths = np.array([sum(weights.values()) for weights in counts] or [0.0])
        norms = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1e-9))
        frequencies = np.array([len(postings[word]) for word in vocabulary], dtype=np.int64)
        flat = [posting for word in vocabulary for posting in postings[word]]
        passages = np.array([passage for passage, _ in flat], dtype=np.int64)
        terms = np.array([weight for _, weight in flat], dtype=np.float64)
        idf = np.repeat(_idf(frequencies, len(counts)), frequencies)
        impacts = idf * terms * (K1 + 1) / (terms + norms[passages])
        return cls.of(
            vocabulary,
            np.concatenate([[0], np.cumsum(frequencies)]).astype(np.int64),
            passages,
            impacts.astype(np.float32),
            len(counts),
        )

    def scores(self, query: Iterable[str]) -> tuple[Floats, float]:
        """Each passage's score, and the highest possible score for these words."""
        import numpy as np

        scores = np.zeros(self.size, dtype=np.float32)
        most = 0.0
        for word, times in Counter(query).items():
            position = self.positions.get(word)
            begin, end = (0, 0) if position is None else self.starts[position : position + 2]
            scores[self.passages[begin:end]] += times * self.impacts[begin:end]
            frequency = np.array([max(int(end - begin), 1)], dtype=np.int64)
            most += times * float(_idf(frequency, max(self.size, 1))[0]) * (K1 + 1)
        return scores, most


def weighted_counts(fields: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The words of a passage's fields, counted with the weight of their field."""
    counts: dict[str, float] = {}
    for text, weight in fields:
        for word in words(text):
            counts[word] = counts.get(word, 0.0) + weight
    return counts


def _idf(frequencies: Ints, passages: int) -> npt.NDArray[np.float64]:
    """The inverse document frequency, at least 0."""
    import numpy as np

    return np.log1p((passages - frequencies + 0.5) / (frequencies + 0.5))
