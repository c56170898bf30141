"""A cache of recent vectors, as the stages of a run embed the same sentences."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from liftwright.ports import Vectors


class VectorCache:
    """A least-recently-used cache of vectors by text; thread-safe.

    Args:
        size: the maximum number of vectors.
        longest: texts with more characters are not cached; None caches all.
    """

    def __init__(self, size: int, *, longest: int | None = None) -> None:
        self._size, self._longest = size, longest
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = RLock()
        self._pending: dict[str, Future[Vectors]] = {}

    def get(
        self, texts: tuple[str, ...], compute: Callable[[tuple[str, ...]], Vectors]
    ) -> dict[str, Vectors]:
        """The vectors of these texts; missing ones are computed.

        If another thread is computing a text's vector, this waits for it.

        Args:
            texts: may contain repeats.
            compute: gives the vectors of several texts, in order.
        """
        distinct = dict.fromkeys(texts)
        with self._lock:
            vectors = self.lookup(distinct)
            missing = [text for text in distinct if text not in vectors]
            others = {text: self._pending[text] for text in missing if text in self._pending}
            own: dict[str, Future[Vectors]] = {
                text: Future() for text in missing if text not in others
            }
            self._pending |= own
        try:
            if own:
                new = dict(zip(own, compute(tuple(own)), strict=True))
                self.store(new)
                vectors |= new
                for text, future in own.items():
                    future.set_result(new[text])
        except BaseException as error:
            for future in own.values():
                future.set_exception(error)
            raise
        finally:
            with self._lock:
                for text in own:
                    del self._pending[text]
        return vectors | {text: future.result() for text, future in others.items()}

    def lookup(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """The cached vectors of these texts."""
        cached = {}
        with self._lock:
            for text in texts:
                if text in self._vectors:
                    self._vectors.move_to_end(text)
                    cached[text] = self._vectors[text]
        return cached

    def store(self, vectors: Mapping[str, Vectors]) -> None:
        """Cache these vectors, and evict the least recently used ones."""
        with self._lock:
            for text, vector in vectors.items():
                if self._longest is not None and len(text) > self._longest:
                    continue
                # A copy, as a view would keep the vectors of the whole request in memory.
                self._vectors[text] = vector.copy()
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
