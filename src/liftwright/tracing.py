"""Spans: how long a run, its stages and its calls to the outside took, and how each ended.

    with tracing(telemetry):                              # once per run
        with span("call", service="complete") as one:     # anywhere below
            one.set(tokens_input=412)

A span's parent is the span it was opened in, also in threads that `run_concurrently` starts.
Where telemetry is off, `span` gives one shared object that does nothing. Fields are ids, names,
counts and durations; never a message's text, a person or a secret.
"""

from __future__ import annotations

import contextlib
import contextvars
import secrets
import time
from typing import TYPE_CHECKING

from liftwright.log import fault
from liftwright.ports import Moment, Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from liftwright.ports import SpanField, Telemetry

__all__ = ["OpenSpan", "current", "span", "tracing"]

_TRACE_BITS, _SPAN_BITS = 128, 64


class OpenSpan:
    """A span under way, as a context manager; this one is what there is where telemetry is off."""

    __slots__ = ()

    def set(self, **fields: SpanField) -> None:
        """Add fields, or change them; None takes one away."""

    def tell(self, name: str, /, **fields: SpanField) -> None:
        """Record that something happened within the span, now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        return None


class _Trace:
    """One run's spans, and where they go; a port that fails is told of once, and stops nothing."""

    __slots__ = ("_failed", "_telemetry", "trace_id")

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._failed = False
        self.trace_id = _identifier(_TRACE_BITS)

    def take(self, finished: Span) -> None:
        try:
            self._telemetry(finished)
        except Exception as error:  # noqa: BLE001 - whatever a third party's port raises
            self._tell(error)

    def close(self) -> None:
        try:
            self._telemetry.close()
        except Exception as error:  # noqa: BLE001 - whatever a third party's port raises
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            fault("telemetry_failed", error, agent="telemetry")


class _Recording(OpenSpan):
    """A span that is recorded."""

    __slots__ = (
        "_clock_ns",
        "_fields",
        "_moments",
        "_name",
        "_parent",
        "_started_ns",
        "_token",
        "_trace",
        "span_id",
    )

    def __init__(self, trace: _Trace, name: str, fields: dict[str, SpanField]) -> None:
        self._trace = trace
        self._name = name
        self._fields = fields
        self._moments: list[Moment] = []
        self.span_id = _identifier(_SPAN_BITS)

    def set(self, **fields: SpanField) -> None:
        self._fields.update(fields)

    def tell(self, name: str, /, **fields: SpanField) -> None:
        self._moments.append(Moment(name=name, at_ns=self._now_ns(), fields=_known(fields)))

    def __enter__(self) -> Self:
        parent = _open.get()
        self._parent = parent.span_id if isinstance(parent, _Recording) else None
        self._token = _open.set(self)
        self._started_ns, self._clock_ns = time.time_ns(), time.perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        _open.reset(self._token)
        self._trace.take(
            Span(
                name=self._name,
                trace_id=self._trace.trace_id,
                span_id=self.span_id,
                parent_id=self._parent,
                started_ns=self._started_ns,
                ended_ns=self._now_ns(),
                fields=_known(self._fields),
                moments=tuple(self._moments),
                # A message may hold a row's values or a reply's text; a type never does.
                error=kind.__name__ if kind is not None else None,
            )
        )

    def _now_ns(self) -> int:
        # The wall clock may be set back while a span is open; it never ends before its start.
        return self._started_ns + time.perf_counter_ns() - self._clock_ns


_OFF = OpenSpan()
_trace: contextvars.ContextVar[_Trace | None] = contextvars.ContextVar("trace", default=None)
_open: contextvars.ContextVar[OpenSpan] = contextvars.ContextVar("open", default=_OFF)


@contextlib.contextmanager
def tracing(telemetry: Telemetry) -> Iterator[None]:
    """Within the block, spans are recorded as one trace, and sent on when it ends.

    Args:
        telemetry: takes each span as it ends; closed at the end of the block. One that fails is
            logged once (`telemetry_failed`) and stops nothing.
    """
    if not telemetry.on:
        yield
        return
    trace = _Trace(telemetry)
    trace_token, open_token = _trace.set(trace), _open.set(_OFF)
    try:
        yield
    finally:
        _open.reset(open_token)
        _trace.reset(trace_token)
        trace.close()


def span(name: str, /, **fields: SpanField) -> OpenSpan:
    """A span to open with `with`; an exception that leaves it marks it as failed, by its type.

    Args:
        name: what is done, one of few: `run`, `stage`, `call`.
        **fields: ids, names, counts, durations; those that are None are left out.
    """
    trace = _trace.get()
    return _OFF if trace is None else _Recording(trace, name, fields)


def current() -> OpenSpan:
    """The innermost span that is open here, to set its fields from below."""
    return _open.get()


def _known(fields: dict[str, SpanField]) -> dict[str, SpanField]:
    return {name: value for name, value in fields.items() if value is not None}


def _identifier(bits: int) -> int:
    # Zero is no id in the OpenTelemetry protocol.
    return secrets.randbits(bits) or 1
