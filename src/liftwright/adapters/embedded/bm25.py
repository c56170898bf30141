"""BM25 over weighted fields, as arrays that can be stored and loaded at once.

Source: Robertson, Zaragoza (2009), The Probabilistic Relevance Framework: BM25 and Beyond; the
fields are weighted as in its simple BM25F, before saturation.
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
    """An inverted index: for each word the passages that hold it, and its impact there.

    Attributes:
        vocabulary: the words, sorted.
        starts: where a word's entries begin; one more than there are words.
        passages: the passage of each entry.
        impacts: what the entry adds to its passage's score.
        size: the number of passages.
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
        """An index of passages, each given as its words and their weighted counts."""
        import numpy as np

        entries: dict[str, list[tuple[int, float]]] = {}
        for passage, weights in enumerate(counts):
            for word, weight in weights.items():
                entries.setdefault(word, []).append((passage, weight))
        vocabulary = sorted(entries)
        lengths = np.array([sum(weights.values()) for weights in counts] or [0.0])
        norms = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1e-9))
        holders = np.array([len(entries[word]) for word in vocabulary], dtype=np.int64)
        flat = [entry for word in vocabulary for entry in entries[word]]
        passages = np.array([passage for passage, _ in flat], dtype=np.int64)
        held = np.array([weight for _, weight in flat], dtype=np.float64)
        rarity = np.repeat(_rarity(holders, len(counts)), holders)
        impacts = rarity * held * (K1 + 1) / (held + norms[passages])
        return cls.of(
            vocabulary,
            np.concatenate([[0], np.cumsum(holders)]).astype(np.int64),
            passages,
            impacts.astype(np.float32),
            len(counts),
        )

    def scores(self, query: Iterable[str]) -> tuple[Floats, float]:
        """Each passage's score, and the most that a passage could have for these words."""
        import numpy as np

        scores = np.zeros(self.size, dtype=np.float32)
        most = 0.0
        for word, times in Counter(query).items():
            position = self.positions.get(word)
            begin, end = (0, 0) if position is None else self.starts[position : position + 2]
            scores[self.passages[begin:end]] += times * self.impacts[begin:end]
            holders = np.array([max(int(end - begin), 1)], dtype=np.int64)
            most += times * float(_rarity(holders, max(self.size, 1))[0]) * (K1 + 1)
        return scores, most


def weighted_counts(fields: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The words of a passage's fields, counted with the weight of the field they stand in."""
    counts: dict[str, float] = {}
    for text, weight in fields:
        for word in words(text):
            counts[word] = counts.get(word, 0.0) + weight
    return counts


def _rarity(holders: Ints, passages: int) -> npt.NDArray[np.float64]:
    """The inverse document frequency, never below 0."""
    import numpy as np

    return np.log1p((passages - holders + 0.5) / (holders + 0.5))
