"""Concurrent calls: `run_concurrently` waits for all, `Prefetch` makes calls ahead of time."""

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


def run_concurrently(jobs: Iterable[Callable[[], R]], workers: int) -> list[R]:
    """Run jobs in threads and return their results in order.

    If jobs fail, the first error in that order is raised once the running jobs have ended; the
    remaining jobs are cancelled.

    Args:
        jobs: each runs in a thread, in the caller's log context.
        workers: the maximum number of jobs at a time.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = [pool.submit(copy_context().run, job) for job in jobs]
        try:
            return [job.result() for job in running]
        finally:
            for job in running:
                job.cancel()


class Prefetch(Generic[Q, R]):
    """Makes calls in the background that will certainly be needed later; thread-safe.

    The first failed call stops the prefetching. The later call raises its error: the ledger makes
    no further attempts.

    Args:
        call: the later call; a `PortClient` of low priority, so that it delays no other call.
        workers: the maximum number of calls in flight; 0 prefetches nothing.
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
        """Wait for the reply to a prefetched request; None if it failed or was not started."""
        with self._lock:
            future = self._replies.get(request)
        if future is None:
            return None
        try:
            return future.result()
        except Exception:  # noqa: BLE001 - the later call raises it
            return None

    def stop(self) -> None:
        """Start no more calls; running calls continue."""
        with self._lock:
            self._stopped = True
            futures = tuple(self._replies.values())
        for future in futures:
            future.cancel()

    def close(self) -> None:
        """Stop, and wait for the running calls, whose replies are paid for and must be stored."""
        self.stop()
        if self._pool is not None:
            self._pool.shutdown()

    def _run(self, request: Q) -> R:
        try:
            return self._call(request)
        except BaseException:
            self.stop()
            raise
