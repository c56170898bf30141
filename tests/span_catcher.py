"""The port `telemetry` for tests: keeps what it is given."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.ports import Span


class SpanCatcher:
    """Keeps spans in the order in which they ended."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.started: list[Span] = []
        self.closed = 0
        self._lock = threading.Lock()

    def start(self, span: Span) -> None:
        with self._lock:
            self.started.append(span)

    def end(self, span: Span) -> None:
        with self._lock:
            self.spans.append(span)

    def close(self) -> None:
        self.closed += 1
