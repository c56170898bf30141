"""Waiting for a condition, with a bound that only a hang reaches."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 60.0
"""How long a test waits for something that takes a moment on an idle machine."""


def wait_until(is_so: Callable[[], object]) -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: where it does not hold within PATIENCE_SECONDS.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, "the condition was not met in time"
        threading.Event().wait(0.01)
