"""The vectors of the texts that were asked for last; a run's stages ask for the same sentences."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from liftwright.ports import Vectors


class VectorMemory:
    """Remembers vectors by text; safe for threads.

    Args:
        size: how many texts' vectors are kept at most.
        longest: of more characters than this, a text is not remembered; None remembers any.
    """

    def __init__(self, size: int, *, longest: int | None = None) -> None:
        self._size, self._longest = size, longest
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = Lock()

    def recall(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """The vectors of those texts that are remembered."""
        found = {}
        with self._lock:
            for text in texts:
                if text in self._vectors:
                    self._vectors.move_to_end(text)
                    found[text] = self._vectors[text]
        return found

    def keep(self, vectors: Mapping[str, Vectors]) -> None:
        """Remember these, and forget what was asked for longest ago."""
        with self._lock:
            for text, vector in vectors.items():
                if self._longest is not None and len(text) > self._longest:
                    continue
                # A row of its own: a view would hold the vectors of its whole request.
                self._vectors[text] = vector.copy()
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
