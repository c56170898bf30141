"""The budget of a run: reserved before each call, settled after it.

Amounts are rounded to a billionth of a dollar, so that sums are the same in any order.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from liftwright.errors import BudgetSpent, ProviderError

if TYPE_CHECKING:
    from liftwright.calls.cache_policy import CachePolicy
    from liftwright.calls.client import Ask, CallContext

_DECIMALS = 9
_ROUNDING_USD = 10.0**-_DECIMALS


def usd(amount: float) -> float:
    """An amount of US dollars, rounded to the billionth."""
    return round(amount, _DECIMALS)


class Budget:
    """The spending of one run against its limit; thread-safe.

    Args:
        limit_usd: the most that the run may spend; None is no limit.
    """

    def __init__(self, limit_usd: float | None) -> None:
        self._limit_usd = limit_usd
        self._spent_usd = self._reserved_usd = 0.0
        self._refused: BudgetSpent | None = None
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> float:
        """The amount spent, including reservations."""
        with self._lock:
            return usd(self._spent_usd + self._reserved_usd)

    def reserve(self, amount_usd: float) -> None:
        """Reserve an amount before it is spent.

        Raises:
            BudgetSpent: it exceeds the limit; nothing was reserved.
        """
        with self._lock:
            # The condition is negated so that NaN is refused.
            if self._limit_usd is not None and not (
                self._spent_usd + self._reserved_usd + amount_usd <= self._limit_usd + _ROUNDING_USD
            ):
                self._refused = BudgetSpent(
                    f"budget: the next call may cost {amount_usd:.4f} USD; "
                    f"{self._spent_usd:.4f} of {self._limit_usd:.4f} USD are spent and "
                    f"{self._reserved_usd:.4f} reserved for calls in flight. "
                    "Raise --budget and run again to resume"
                )
                raise self._refused
            self._reserved_usd = usd(self._reserved_usd + amount_usd)

    def settle(self, cost_usd: float, *, reserved_usd: float = 0.0) -> None:
        """Add a cost, and release what was reserved for it."""
        with self._lock:
            self._spent_usd = usd(self._spent_usd + cost_usd)
            self._reserved_usd = usd(self._reserved_usd - reserved_usd)

    def check(self) -> None:
        """Raise the last refusal again.

        Raises:
            BudgetSpent: an amount was refused.
        """
        if self._refused is not None:
            raise self._refused


def budgeted(ask: Ask, policy: CachePolicy[Any]) -> Ask:
    """Reserve the maximum cost of an attempt before `ask` is called, and settle the actual cost.

    The reservation is in the ledger's row, so it counts even if the process dies. A failed call
    costs what its attempts were billed. An interrupted call stays reserved, as it may be billed.
    """

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        ledger = context.ledger
        if ledger is None:
            return ask(request, context)
        payment = ledger.reserve(context.key, policy.port, policy.reserve_usd(request))
        context.before_retry = lambda: ledger.reserve_retry(payment, context)
        try:
            reply = ask(request, context)
        except Exception:
            ledger.fail(payment, context)
            raise
        try:
            encoded = context.encode(reply)
        except ProviderError as error:
            # A reply that cannot be used, such as vectors of another length.
            ledger.fail(payment, context)
            error.attempts = context.attempts
            raise
        ledger.settle(payment, context, encoded)
        return encoded

    return call
