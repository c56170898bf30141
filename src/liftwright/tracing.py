"""Spans: how long a run, its stages and its calls took, and how each ended.

    with tracing(telemetry):                              # once per run
        with span("call", service="complete") as one:     # anywhere below
            one.set(tokens_input=412)

A span's parent is the span it was opened in, also in threads that `run_concurrently` starts.
Fields are ids, names, counts and durations; never a message's text, a person or a secret.
"""

from __future__ import annotations

import contextlib
import contextvars
from typing import TYPE_CHECKING

from liftwright.log import fault
from liftwright.ports import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from liftwright.ports import SpanField, Telemetry

__all__ = ["span", "tracing"]


class _Guarded:
    """A telemetry port whose failure stops nothing: it is logged, and no more spans are sent."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._failed = False

    def start(self, span: Span) -> None:
        if not self._failed:
            self._attempt(lambda: self._telemetry.start(span))

    def end(self, span: Span) -> None:
        if not self._failed:
            self._attempt(lambda: self._telemetry.end(span))

    def close(self) -> None:
        self._attempt(self._telemetry.close)

    def _attempt(self, ask: Callable[[], None]) -> None:
        try:
            ask()
        except Exception as error:  # noqa: BLE001 - whatever a third party's port raises
            if not self._failed:
                self._failed = True
                fault("telemetry_failed", error, agent="telemetry")


_telemetry: contextvars.ContextVar[Telemetry | None] = contextvars.ContextVar(
    "telemetry", default=None
)
_open: contextvars.ContextVar[Span | None] = contextvars.ContextVar("open", default=None)


@contextlib.contextmanager
def tracing(telemetry: Telemetry) -> Iterator[None]:
    """Within the block, spans are sent to `telemetry`.

    Args:
        telemetry: closed at the end of the block. If it fails, that is logged
            (`telemetry_failed`), it gets no more spans, and nothing stops.
    """
    guarded = _Guarded(telemetry)
    telemetry_token, open_token = _telemetry.set(guarded), _open.set(None)
    try:
        yield
    finally:
        _open.reset(open_token)
        _telemetry.reset(telemetry_token)
        guarded.close()


@contextlib.contextmanager
def span(name: str, /, **fields: SpanField) -> Iterator[Span]:
    """A span around the block; an exception that leaves it marks it as failed, by its type.

    Args:
        name: `run`, `stage` or `call`.
        **fields: ids, names, counts, durations; those that are None are left out.
    """
    telemetry, one = _telemetry.get(), Span(name=name, parent=_open.get())
    one.set(**fields)
    if telemetry is not None:
        telemetry.start(one)
    token = _open.set(one)
    try:
        yield one
    except BaseException as error:
        # A message may hold a row's values or a reply's text; a type never does.
        one.error = type(error).__name__
        raise
    finally:
        _open.reset(token)
        one.end()
        if telemetry is not None:
            telemetry.end(one)
