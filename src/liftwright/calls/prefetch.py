"""Calls made in the background before their replies are needed, while slots are idle."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

Q = TypeVar("Q", bound="Hashable")
R = TypeVar("R")


class Prefetch(Generic[Q, R]):
    """Makes calls in the background that will certainly be made later; safe for threads.

    The first call that fails stops it. Its error is raised to nobody: the later call is made
    anew, and raises its own.

    Args:
        call: the call that is made later; a `PortClient` of low priority, so that it delays no
            other call.
        workers: calls in flight at a time, at most; 0 prefetches nothing.
    """

    def __init__(self, call: Callable[[Q], R], workers: int) -> None:
        self._call = call
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._replies: dict[Q, Future[R]] = {}
        self._stopped = workers < 1

    def submit(self, requests: Iterable[Q]) -> None:
        """Queue a call for each request that has none yet; returns at once."""
        for request in requests:
            with self._lock:
                if self._stopped or request in self._replies:
                    continue
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="prefetch")
                job = partial(copy_context().run, self._run, request)
                self._replies[request] = self._pool.submit(job)

    def reply(self, request: Q) -> R | None:
        """The reply, once a running call has it; None if the call failed or was never begun."""
        with self._lock:
            future = self._replies.get(request)
        if future is None:
            return None
        try:
            return future.result()
        except Exception:  # noqa: BLE001 - the later call is made anew, and raises its own
            return None

    def stop(self) -> None:
        """Begin no more calls; running ones go on."""
        with self._lock:
            self._stopped = True
            futures = tuple(self._replies.values())
        for future in futures:
            future.cancel()

    def close(self) -> None:
        """Stop, and wait for the running calls: their replies are paid for and must be kept."""
        self.stop()
        if self._pool is not None:
            self._pool.shutdown()

    def _run(self, request: Q) -> R:
        try:
            return self._call(request)
        except BaseException:
            self.stop()
            raise
