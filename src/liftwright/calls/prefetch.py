"""Calls that are made before their replies are wanted, while the places for calls stand free."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from liftwright.calls.rate_limiter import yielding

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

Q = TypeVar("Q", bound="Hashable")
R = TypeVar("R")


class Ahead(Generic[Q, R]):
    """Asks in the background what will certainly be asked later; safe for threads.

    Its calls take a place only where no other call waits for one. One that fails ends the asking:
    whoever wants the replies asks for himself, and hears himself what is wrong.

    Args:
        ask: makes a call; the same that is made later.
        workers: calls under way at a time, at most; 0 asks nothing.
    """

    def __init__(self, ask: Callable[[Q], R], workers: int) -> None:
        self._ask = ask
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._begun: dict[Q, Future[R]] = {}
        self._stopped = workers < 1

    def ask(self, requests: Iterable[Q]) -> None:
        """Have these asked for when there is room, each once; returns at once."""
        for request in requests:
            with self._lock:
                if self._stopped or request in self._begun:
                    continue
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="ahead")
                job = partial(copy_context().run, self._call, request)
                self._begun[request] = self._pool.submit(job)

    def reply(self, request: Q) -> tuple[R] | None:
        """The reply, once it is there; None where it was not asked for in time, or failed."""
        with self._lock:
            begun = self._begun.get(request)
        if begun is None:
            return None
        try:
            return (begun.result(),)
        except Exception:  # noqa: BLE001 - it is asked again, and raises then
            return None

    def stop(self) -> None:
        """Begin no further call; those under way go on."""
        with self._lock:
            self._stopped = True
            begun = tuple(self._begun.values())
        for one in begun:
            one.cancel()

    def close(self) -> None:
        """Stop, and wait for the calls under way: their replies are paid for and must be kept."""
        self.stop()
        if self._pool is not None:
            self._pool.shutdown()

    def _call(self, request: Q) -> R:
        try:
            with yielding():
                return self._ask(request)
        except BaseException:
            self.stop()
            raise
