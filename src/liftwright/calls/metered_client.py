"""A port as the agents get it: with retries around it and, where it is metered, the ledger."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from liftwright.calls.cache_policy import embed_terms
from liftwright.errors import BudgetSpent, ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import Completion
from liftwright.tracing import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from liftwright.calls.ledger import Ledger, Terms
    from liftwright.calls.retry import Calls
    from liftwright.config import Services
    from liftwright.model import Identity
    from liftwright.ports import Embed, Port, Secrets, SpanField, Vectors
    from liftwright.tracing import OpenSpan

Q = TypeVar("Q", contravariant=True)  # noqa: PLC0105 - the request
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - the reply

_WITHIN: ContextVar[bool] = ContextVar("liftwright_within_a_call", default=False)


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


@contextlib.contextmanager
def within_a_call() -> Iterator[None]:
    """Within the block, an adapter is at work: what it asks for in turn is a call within a call."""
    outer = _WITHIN.set(True)
    try:
        yield
    finally:
        _WITHIN.reset(outer)


class Guarded(Generic[Q, R]):
    """Asks a port through `calls` and, where it is metered, through the ledger.

    Args:
        port: the adapter.
        terms: the port's name, and how its replies are kept and paid.
        calls: the retry layer.
        ledger: the memory of paid calls, made when the first one is asked for; None outside a run.
    """

    def __init__(
        self,
        port: Asked[Q, R],
        terms: Terms[R],
        calls: Calls,
        ledger: Callable[[], Ledger | None],
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
        ledger = self._ledger() if self._port.metered else None
        with call_span(self._terms.port, self._port) as one:

            def attempt() -> R:
                if ledger is not None:
                    ledger.before_attempt()
                with within_a_call():
                    return self._port(request)

            def ask() -> R:
                one.set(outcome="ok")
                reply = self._calls.make(
                    self._terms.port,
                    attempt,
                    tokens=self._terms.tokens(request),
                    local=not self._port.metered,
                )
                if isinstance(reply, Completion):
                    one.set(**_paid(reply))
                return reply

            if ledger is None:
                return ask()
            # Stands where nothing is asked: the reply was remembered, or a like call is under way.
            one.set(outcome="replayed")
            return ledger.remember(self._terms, self._port.identity, request, ask)

    @property
    def many(self) -> Callable[[tuple[Q, ...]], tuple[R, ...]] | None:
        """Replies to several requests at once; None where the port cannot, or is paid by call."""
        ask: Callable[[tuple[Q, ...]], tuple[R, ...]] | None = getattr(self._port, "many", None)
        if ask is None or self._port.metered:
            return None

        def ask_many(requests: tuple[Q, ...]) -> tuple[R, ...]:
            with call_span(self._terms.port, self._port, requests=len(requests)):
                return self._calls.make(self._terms.port, lambda: ask(requests), local=True)

        return ask_many


class RetriedSecrets:
    """Secrets from a service, asked for with retries: a vault fails as any other service does.

    Args:
        secrets: the adapter.
        calls: the retry layer.
    """

    def __init__(self, secrets: Secrets, calls: Calls) -> None:
        self._secrets = secrets
        self._calls = calls

    def __repr__(self) -> str:
        return repr(self._secrets)

    def __call__(self, name: str, /) -> str | None:
        """The secret's value; None where there is none."""
        return self._calls.make("secrets", lambda: self._secrets(name))


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


class PaidEmbed:
    """An embedder that is paid for, as agents and other adapters get it: no text is paid twice.

    Adapters are made before there is a run, so the ledger is named later, by `attach`. Until then,
    and outside a run, the embedder is asked directly.

    Args:
        port: the adapter.
        services: the prices.
    """

    metered = True

    def __init__(self, port: Embed, services: Services) -> None:
        self._port = port
        self._terms = embed_terms(services, port)
        self.price_name: str | None = getattr(port, "price_name", None)
        self._calls: Calls | None = None
        self._ledger: Callable[[], Ledger | None] = lambda: None

    @property
    def identity(self) -> Identity:
        """The port's own."""
        return self._port.identity

    def attach(self, calls: Calls, ledger: Callable[[], Ledger | None]) -> None:
        """Name the retry layer, and what gives the ledger of the run; None outside a run."""
        self._calls, self._ledger = calls, ledger

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        """The texts' vectors, remembered or asked for; as the port's own.

        Raises:
            ProviderRefused: within another adapter's call also where the service stayed
                unavailable: this call was retried, and the one around it must not be for that.
        """
        import numpy as np

        ledger = self._ledger()
        if ledger is None:
            with call_span(self._terms.port, self._port, requests=len(request)):
                return self._ask(request, None)
        if not request:
            return self(("",))[:0]
        with call_span(self._terms.port, self._port, requests=len(request)) as one:

            def ask(texts: Sequence[object]) -> list[Any]:
                one.set(outcome="ok")
                return list(self._ask(tuple(map(str, texts)), ledger))

            # Stands where all is remembered.
            one.set(outcome="replayed")
            rows = ledger.remember_each(self._terms, self.identity, request, ask)
        return np.stack(rows)

    def _ask(self, texts: tuple[str, ...], ledger: Ledger | None) -> Vectors:
        if self._calls is None:
            return self._port(texts)

        def attempt() -> Vectors:
            if ledger is not None:
                ledger.before_attempt()
            return self._port(texts)

        try:
            tokens = sum(map(self._terms.tokens, texts))
            return self._calls.make(self._terms.port, attempt, tokens=tokens)
        except ProviderUnavailable as error:
            if not _WITHIN.get() or type(error) is not ProviderUnavailable:
                raise
            raise ProviderRefused(f"{error}, however often it was asked") from error
