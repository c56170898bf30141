"""The layers of a call composed: `PortClient` is a port as agents and stages call it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from liftwright.calls.budget import budgeted
from liftwright.calls.ledger import cached, cached_texts
from liftwright.calls.observe import Observer, observed
from liftwright.calls.rate_limiter import RateLimiter, limited
from liftwright.calls.retry import retried
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.ports import ReportsUsage, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liftwright.calls.cache_policy import CachePolicy
    from liftwright.calls.ledger import Ledger
    from liftwright.calls.observe import ServiceTotals
    from liftwright.config import CallSettings
    from liftwright.model import Identity, Usage
    from liftwright.ports import Client, Port, Secrets

    Ask: TypeAlias = Callable[[Any, "CallContext"], Any]
    """A layer with everything inside it: takes a request, returns the reply."""

Q = TypeVar("Q", contravariant=True)  # noqa: PLC0105 - the request
R = TypeVar("R")


@dataclass(slots=True, kw_only=True)
class CallContext:
    """The state of one call, which its layers share.

    Attributes:
        service: the port that is called.
        tokens: the estimated tokens of an attempt, for limits per minute.
        nested: whether an adapter makes it within another call, which already has a slot.
        low_priority: whether it waits while other calls wait for a slot.
        ledger: caches and pays for the call; None outside a run.
        key, encode: the key of the ledger's row, and how a reply becomes JSON values; set by the
            cache.
        before_retry: reserves for another attempt; set by the budget.
        attempts: the number of requests made.
        usage, cost_usd: the billed usage and its price; None and 0 if nothing was billed.
    """

    service: str
    tokens: int = 0
    nested: bool = False
    low_priority: bool = False
    ledger: Ledger | None = None
    span: Span = field(default_factory=lambda: Span(name="call"))
    key: str = ""
    encode: Callable[[Any], object] = lambda reply: reply
    before_retry: Callable[[], None] = lambda: None
    attempts: int = 0
    usage: Usage | None = None
    cost_usd: float = 0.0

    def charge(self, usage: Usage, cost_usd: float) -> None:
        """Add an attempt's usage and cost."""
        self.usage = usage if self.usage is None else self.usage + usage
        self.cost_usd += cost_usd


class Calls:
    """The state that all calls of a process share: slots, circuit breakers, totals; thread-safe.

    Args:
        settings: retries, time limits, concurrency and rates.
        sleep: waits for a number of seconds.
        jitter: gives a random number in [0, 1) for the backoff.
        clock: the time in seconds.

    Attributes:
        ledger: gives the ledger of the run, or None outside a run.
    """

    def __init__(
        self,
        settings: CallSettings,
        *,
        sleep: Callable[[float], object] = time.sleep,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._jitter = jitter
        self._limiter = RateLimiter(settings, sleep=sleep, clock=clock)
        self._observer = Observer()
        self.ledger: Callable[[], Ledger | None] = lambda: None

    def compose(self, port: Port, policy: CachePolicy[Any]) -> Ask:
        """All layers of a call to a port, from its client to the adapter."""
        attempt = charged(port, policy)
        if not port.metered:
            return observed(self._retried(attempt, local=True), self._observer, port)
        cache = cached_texts if policy.port == "embed" else cached
        call = cache(budgeted(self._retried(attempt), policy), policy, port)
        return observed(call, self._observer, port)

    def make(
        self, service: str, ask: Callable[[], R], *, local: bool = False, port: Port | None = None
    ) -> R:
        """Make a call that does not fit `PortClient`, with retries but without the ledger.

        Args:
            service: the service's name.
            ask: makes one attempt.
            local: whether the call stays on this machine and needs no slot.
            port: the adapter, for the call's span.

        Raises:
            ProviderUnavailable: the last error, after every attempt has failed.
            ProviderRefused: at once, as another attempt cannot help.
            ServiceDown: the circuit breaker has given up the service; no call was made.
        """

        def attempt(_: object, context: CallContext) -> R:
            context.attempts += 1
            return ask()

        call = observed(self._retried(attempt, local=local), self._observer, port)
        reply: R = call(None, CallContext(service=service))
        return reply

    def totals(self) -> Mapping[str, ServiceTotals]:
        """The calls so far, by service."""
        return self._observer.totals()

    def check_services(self) -> None:
        """Raise the error of a service that was given up, which an agent may have handled.

        Raises:
            ServiceDown: a service was given up.
        """
        self._limiter.check()

    def _retried(self, ask: Ask, *, local: bool = False) -> Ask:
        attempt = ask if local else limited(ask, self._limiter)
        return retried(attempt, self._limiter, self._settings, self._jitter)


def charged(port: Any, policy: CachePolicy[Any]) -> Ask:  # noqa: ANN401 - any port
    """Call the adapter once, and add the attempt's usage and cost to the call."""
    reports = isinstance(port, ReportsUsage)

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        context.attempts += 1
        try:
            reply = port.call_with_usage(request) if reports else port(request)
        except ProviderError as error:
            # Removed from the error, so that an enclosing call does not count it again.
            usage, error.usage = error.usage, None
            if usage is not None:
                context.charge(usage, policy.price_usd(usage))
            raise
        if reports:
            context.charge(reply.usage, policy.price_usd(reply.usage))
            return reply.value
        usage = policy.used(request, reply)
        context.charge(usage, policy.cost_usd(reply) or policy.price_usd(usage))
        return reply

    return call


class PortClient(Generic[Q, R]):
    """A port with all layers of a call.

    Args:
        port: the adapter.
        policy: how its replies are stored and priced.
        calls: the state shared by all calls of the process.
        ledger: gives the ledger for a call to a metered port; None takes that of `calls`.
        nested: whether adapters call it within their own calls. It then also raises
            `ProviderRefused` when a service stays unavailable, so that the enclosing call is not
            retried after this one's retries.
        low_priority: whether its calls wait while other calls wait for a slot.
    """

    def __init__(  # noqa: PLR0913 - the port and what surrounds it
        self,
        port: Client[Q, R],
        policy: CachePolicy[R],
        calls: Calls,
        *,
        ledger: Callable[[], Ledger | None] | None = None,
        nested: bool = False,
        low_priority: bool = False,
    ) -> None:
        self._port = port
        self._policy = policy
        self._ask = calls.compose(port, policy)
        self._calls = calls
        self._ledger = ledger
        self._nested = nested
        self._low_priority = low_priority
        self.price_name: str | None = getattr(port, "price_name", None)

    @property
    def identity(self) -> Identity:
        """As the port's."""
        return self._port.identity

    @property
    def metered(self) -> bool:
        """As the port's."""
        return self._port.metered

    def __call__(self, request: Q, /) -> R:
        """The port's reply."""
        context = CallContext(
            service=self._policy.port,
            tokens=self._policy.tokens(request),
            nested=self._nested,
            low_priority=self._low_priority,
            ledger=(self._ledger or self._calls.ledger)() if self._port.metered else None,
        )
        try:
            reply: R = self._ask(request, context)
        except ProviderUnavailable as error:
            if self._nested:
                raise ProviderRefused(f"{error}, after all retries") from error
            raise
        return reply

    @property
    def many(self) -> Callable[[tuple[Q, ...]], tuple[R, ...]] | None:
        """Answers several requests in one call; None if the port cannot, or is metered."""
        several: Callable[[tuple[Q, ...]], tuple[R, ...]] | None = getattr(self._port, "many", None)
        if several is None or self._port.metered:
            return None
        return lambda requests: self._calls.make(
            self._policy.port, lambda: several(requests), local=True, port=self._port
        )


class RetriedSecrets:
    """Secrets from a service, with retries.

    Args:
        secrets: the adapter.
        calls: makes the calls.
    """

    def __init__(self, secrets: Secrets, calls: Calls) -> None:
        self._secrets = secrets
        self._calls = calls

    def __repr__(self) -> str:
        return repr(self._secrets)

    def __call__(self, name: str, /) -> str | None:
        """The secret's value; None if it does not exist."""
        return self._calls.make("secrets", lambda: self._secrets(name))
