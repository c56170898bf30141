"""Jobs in threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

R = TypeVar("R")


def run_concurrently(jobs: Iterable[Callable[[], R]], workers: int) -> list[R]:
    """The results of the jobs, in their order.

    The first error, in that order, is raised once the running jobs have ended; jobs that have not
    begun by then are dropped.

    Args:
        jobs: each is run in a thread, in the log context of the caller.
        workers: jobs at a time, at most.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        running = [pool.submit(copy_context().run, job) for job in jobs]
        try:
            return [job.result() for job in running]
        finally:
            for job in running:
                job.cancel()
