"""The paid call, put together: a port as agents and stages call it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from liftwright.calls.budget import budgeted
from liftwright.calls.context import CallContext
from liftwright.calls.ledger import cached, cached_texts
from liftwright.calls.observe import Observer, observed
from liftwright.calls.rate_limiter import RateLimiter, limited
from liftwright.calls.retry import retried
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.ports import ReportsUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liftwright.calls.cache_policy import CachePolicy
    from liftwright.calls.context import Ask
    from liftwright.calls.ledger import Ledger
    from liftwright.calls.observe import ServiceTotals
    from liftwright.config import Calls as CallSettings
    from liftwright.model import Identity
    from liftwright.ports import Client, Port, Secrets

Q = TypeVar("Q", contravariant=True)  # noqa: PLC0105 - the request
R = TypeVar("R")


class Calls:
    """What all calls of a process share: slots, circuit breakers, totals; safe for threads.

    Args:
        settings: how often, how long, how many at once, how fast.
        sleep: waits for seconds.
        jitter: gives a number in [0, 1) to spread waits by.
        clock: the time in seconds.

    Attributes:
        ledger: gives the ledger of the run; None outside a run.
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
        """The whole way of a call to a port, from its client to the adapter."""
        attempt = charged(port, policy)
        if not port.metered:
            return observed(self._retried(attempt, local=True), self._observer, port)
        cache = cached_texts if policy.port == "embed" else cached
        call = cache(budgeted(self._retried(attempt), policy), policy, port)
        return observed(call, self._observer, port)

    def make(
        self, service: str, ask: Callable[[], R], *, local: bool = False, port: Port | None = None
    ) -> R:
        """Call what is no port of one request and one reply, with retries.

        Args:
            service: what is called.
            ask: makes one attempt.
            local: whether it stays on this machine: then it needs no slot.
            port: the adapter, for the call's span.

        Raises:
            ProviderUnavailable: the last attempt's error, when every attempt failed.
            ProviderRefused: at once, as another attempt cannot help.
            ServiceDown: the service was given up; it was not called.
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
        """Raise again what calls were refused with, where an agent went on without their replies.

        Raises:
            ServiceDown: a service was given up.
        """
        self._limiter.check()

    def _retried(self, ask: Ask, *, local: bool = False) -> Ask:
        attempt = ask if local else limited(ask, self._limiter)
        return retried(attempt, self._limiter, self._settings, self._jitter)


def charged(port: Any, policy: CachePolicy[Any]) -> Ask:  # noqa: ANN401 - any port
    """Ask the adapter once, and add what the attempt was charged to the call."""
    reports = isinstance(port, ReportsUsage)

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        context.attempts += 1
        try:
            reply = port.call_with_usage(request) if reports else port(request)
        except ProviderError as error:
            # Taken out of the error, so that a call around this one is not charged for it.
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
    """A port with everything around it.

    Args:
        port: the adapter.
        policy: how its replies are kept, and what they cost.
        calls: what all calls of the process share.
        ledger: gives the ledger when a metered port is called; None is that of `calls`.
        nested: whether other adapters call it within calls to themselves. It then raises
            `ProviderRefused` also where a service stayed unavailable: this call was retried, and
            the one around it must not be retried for that.
        low_priority: whether its calls acquire a slot only where no other call waits for one.
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
        """The port's own."""
        return self._port.identity

    @property
    def metered(self) -> bool:
        """The port's own."""
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
        """Replies to several requests at once; None where the port cannot, or is metered."""
        several: Callable[[tuple[Q, ...]], tuple[R, ...]] | None = getattr(self._port, "many", None)
        if several is None or self._port.metered:
            return None
        return lambda requests: self._calls.make(
            self._policy.port, lambda: several(requests), local=True, port=self._port
        )


class RetriedSecrets:
    """Secrets from a service, with retries: a vault fails as any other service does.

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
        """The secret's value; None where there is none."""
        return self._calls.make("secrets", lambda: self._secrets(name))
