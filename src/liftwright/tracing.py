"""Spans: the duration and the outcome of a run, its stages and its calls.

    with tracing(telemetry):                              # once per run
        with span("call", service="complete") as call:    # anywhere inside
            call.set(tokens_input=412)

A span's parent is the enclosing span, also in threads that `run_concurrently` starts.
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
    """Telemetry that cannot fail a run: a failure is logged once and ends the sending of spans."""

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

    def _attempt(self, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:  # noqa: BLE001 - a third party's adapter may raise anything
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
        telemetry: closed at the end of the block. If it fails, `telemetry_failed` is logged and it
            gets no more spans; the run goes on.
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
    """A span around the block; an exception marks it as failed, with the exception's type.

    Args:
        name: `run`, `stage` or `call`.
        **fields: ids, names, counts, durations; None is left out.
    """
    telemetry, current = _telemetry.get(), Span(name=name, parent=_open.get())
    current.set(**fields)
    if telemetry is not None:
        telemetry.start(current)
    token = _open.set(current)
    try:
        yield current
    except BaseException as error:
        # The message may quote a row or a reply; the type never does.
        current.error = type(error).__name__
        raise
    finally:
        _open.reset(token)
        current.end()
        if telemetry is not None:
            telemetry.end(current)
