"""A port as the agents get it: with retries around it and, where it is metered, the ledger."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from liftwright.domain import Completion, Finding, Opinion, Passage, Prompt, from_json, to_json
from liftwright.errors import BudgetSpent, ProviderError, ProviderRefused
from liftwright.ledger import Terms
from liftwright.spans import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from liftwright.calls import Calls
    from liftwright.domain import Identity
    from liftwright.ledger import Ledger
    from liftwright.ports import Port, SpanField
    from liftwright.settings import Services
    from liftwright.spans import OpenSpan

T = TypeVar("T")
_LEAST_BYTES_PER_TOKEN = 2

Q = TypeVar("Q", contravariant=True)  # noqa: PLC0105 - the request
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - the reply


class Asked(Protocol[Q, R]):
    """A port with one request and one reply."""

    @property
    def identity(self) -> Identity:
        """What would change the reply."""
        ...

    @property
    def metered(self) -> bool:
        """Whether a call costs money or leaves the machine."""
        ...

    def __call__(self, request: Q, /) -> R:
        """The reply."""
        ...


class Guarded(Generic[Q, R]):
    """Asks a port through `calls` and, where it is metered, through the ledger.

    Args:
        port: the adapter.
        terms: the port's name, and how its replies are kept and paid.
        calls: the retry layer.
        ledger: the memory of paid calls, made when the first one is asked for.
    """

    def __init__(
        self,
        port: Asked[Q, R],
        terms: Terms[R],
        calls: Calls,
        ledger: Callable[[], Ledger],
    ) -> None:
        self._port = port
        self._terms = terms
        self._calls = calls
        self._ledger = ledger

    @property
    def identity(self) -> Identity:
        """The port's own."""
        return self._port.identity

    @property
    def metered(self) -> bool:
        """The port's own."""
        return self._port.metered

    def __call__(self, request: Q, /) -> R:
        """The port's reply, remembered or asked for."""
        with call_span(self._terms.port, self._port) as one:

            def ask() -> R:
                one.set(outcome="ok")
                reply = self._calls.make(self._terms.port, lambda: self._port(request))
                if isinstance(reply, Completion):
                    one.set(**_paid(reply))
                return reply

            if not self._port.metered:
                return ask()
            # Stands where nothing is asked: the reply was remembered, or a like call is under way.
            one.set(outcome="replayed")
            return self._ledger().remember(self._terms, self._port.identity, request, ask)

    @property
    def many(self) -> Callable[[tuple[Q, ...]], tuple[R, ...]] | None:
        """Replies to several requests at once; None where the port cannot, or is paid by call."""
        ask: Callable[[tuple[Q, ...]], tuple[R, ...]] | None = getattr(self._port, "many", None)
        if ask is None or self._port.metered:
            return None

        def ask_many(requests: tuple[Q, ...]) -> tuple[R, ...]:
            with call_span(self._terms.port, self._port, requests=len(requests)):
                return self._calls.make(self._terms.port, lambda: ask(requests))

        return ask_many


@contextlib.contextmanager
def call_span(service: str, port: Port, /, **fields: SpanField) -> Iterator[OpenSpan]:
    """A span for one call to a port: which adapter was asked, and the call's outcome.

    The outcome is `ok` unless it is set to another, or an error leaves the block.
    """
    identity = port.identity
    with span(
        "call",
        service=service,
        provider=identity.provider,
        model=identity.model or None,
        metered=port.metered,
        outcome="ok",
        **fields,
    ) as one:
        try:
            yield one
        except Exception as error:
            one.set(outcome=_outcome(error))
            raise


def _outcome(error: Exception) -> str:
    if isinstance(error, BudgetSpent):
        return "budget_spent"
    if isinstance(error, ProviderRefused):
        return "refused"
    return "unavailable" if isinstance(error, ProviderError) else "failed"


def _paid(reply: Completion) -> dict[str, SpanField]:
    return {
        "tokens_input": reply.tokens.input,
        "tokens_cached_input": reply.tokens.cached_input,
        "tokens_output": reply.tokens.output,
        "cost_usd": reply.cost_usd,
    }


def complete_terms(services: Services) -> Terms[Completion]:
    """A writer's terms: the most a draft can cost is its prompt and the longest reply."""
    options = services.writer
    price = services.prices.get(options.model) if options else None
    longest = options.max_output_tokens if options else 0

    def reserve_usd(request: object) -> float:
        if price is None or not isinstance(request, Prompt):
            return 0.0
        # Four bytes to a token are usual; what is reserved too much comes back with the reply.
        most_input = len(request.text.encode()) / _LEAST_BYTES_PER_TOKEN
        usd = most_input * price.input_usd_per_million + longest * price.output_usd_per_million
        return usd / 1e6

    return Terms(
        port="complete",
        reserve_usd=reserve_usd,
        cost_usd=lambda reply: reply.cost_usd,
        encode=to_json,
        decode=lambda value: from_json(Completion, value),
    )


def screen_terms() -> Terms[tuple[Finding, ...]]:
    """A screener's terms."""
    return Terms(
        port="screen",
        reserve_usd=_free,
        cost_usd=_free,
        encode=to_json,
        decode=lambda value: _records(Finding, value),
    )


def search_terms() -> Terms[tuple[Passage, ...]]:
    """A search's terms."""
    return Terms(
        port="search",
        reserve_usd=_free,
        cost_usd=_free,
        encode=to_json,
        decode=lambda value: _records(Passage, value),
    )


def shield_terms() -> Terms[bool]:
    """The terms of who looks for attacks in documents."""
    return Terms(port="shield", reserve_usd=_free, cost_usd=_free, encode=to_json, decode=_flag)


def judge_terms() -> Terms[Opinion]:
    """The terms of who gives a second opinion."""
    return Terms(
        port="judge",
        reserve_usd=_free,
        cost_usd=_free,
        encode=to_json,
        decode=lambda value: from_json(Opinion, value),
    )


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return value


def _free(_: object) -> float:
    return 0.0


def _records(kind: type[T], value: object) -> tuple[T, ...]:
    if not isinstance(value, list):
        raise ValueError(f"a list expected, found {type(value).__name__}")  # noqa: TRY004 - as `from_json`
    return tuple(from_json(kind, item) for item in value)
