"""The vectors of the texts that were asked for last; a run's stages ask for the same sentences."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from liftwright.ports import Vectors


class VectorCache:
    """Remembers vectors by text; safe for threads.

    Args:
        size: how many texts' vectors are kept at most.
        longest: of more characters than this, a text is not remembered; None remembers any.
    """

    def __init__(self, size: int, *, longest: int | None = None) -> None:
        self._size, self._longest = size, longest
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = RLock()
        self._pending: dict[str, Future[Vectors]] = {}

    def get(
        self, texts: tuple[str, ...], compute: Callable[[tuple[str, ...]], Vectors]
    ) -> dict[str, Vectors]:
        """The vectors of these texts; those not remembered are computed.

        A text that another thread is computing is waited for and not computed again.

        Args:
            texts: may hold a text more than once.
            compute: gives the vectors of several texts, in their order.
        """
        distinct = dict.fromkeys(texts)
        with self._lock:
            found = self.lookup(distinct)
            missing = [text for text in distinct if text not in found]
            others = {text: self._pending[text] for text in missing if text in self._pending}
            own: dict[str, Future[Vectors]] = {
                text: Future() for text in missing if text not in others
            }
            self._pending |= own
        try:
            if own:
                new = dict(zip(own, compute(tuple(own)), strict=True))
                self.store(new)
                found |= new
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
        return found | {text: future.result() for text, future in others.items()}

    def lookup(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """The vectors of those texts that are remembered."""
        found = {}
        with self._lock:
            for text in texts:
                if text in self._vectors:
                    self._vectors.move_to_end(text)
                    found[text] = self._vectors[text]
        return found

    def store(self, vectors: Mapping[str, Vectors]) -> None:
        """Remember these, and forget what was asked for longest ago."""
        with self._lock:
            for text, vector in vectors.items():
                if self._longest is not None and len(text) > self._longest:
                    continue
                # A row of its own: a view would hold the vectors of its whole request.
                self._vectors[text] = vector.copy()
            while len(self._vectors) > self._size:
                self._vectors.popitem(last=False)
