"""What a run may cost, and what it has cost so far.

Amounts are whole billionths of a dollar, so that sums come out the same in any order.
"""

from __future__ import annotations

import threading

from liftwright.errors import BudgetSpent

_DECIMALS = 9
_ROUNDING_USD = 10.0**-_DECIMALS


def usd(amount: float) -> float:
    """An amount of US dollars to the billionth; half of one is lost or gained at most."""
    return round(amount, _DECIMALS)


class Budget:
    """The money of one run; safe for threads.

    Args:
        limit_usd: the most that the run may cost; None is no limit.
    """

    def __init__(self, limit_usd: float | None) -> None:
        self._limit_usd = limit_usd
        self._spent_usd = 0.0
        self._refused: BudgetSpent | None = None
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> float:
        """What was spent, reservations included."""
        with self._lock:
            return self._spent_usd

    def reserve(self, amount_usd: float) -> None:
        """Set an amount aside before it is spent.

        Raises:
            BudgetSpent: where it does not fit; nothing was set aside.
        """
        with self._lock:
            # Written so that what is no number does not fit.
            if self._limit_usd is not None and not (
                self._spent_usd + amount_usd <= self._limit_usd + _ROUNDING_USD
            ):
                self._refused = BudgetSpent(
                    f"budget: the next call may cost {amount_usd:.4f} USD; "
                    f"{self._spent_usd:.4f} of {self._limit_usd:.4f} USD are spent. "
                    "Raise --budget and run again to go on"
                )
                raise self._refused
            self._spent_usd = usd(self._spent_usd + amount_usd)

    def settle(self, difference_usd: float) -> None:
        """Make what was set aside into what was spent: the difference, mostly below 0."""
        with self._lock:
            self._spent_usd = usd(self._spent_usd + difference_usd)

    def check(self) -> None:
        """Raise again what was refused.

        Raises:
            BudgetSpent: where any amount was.
        """
        if self._refused is not None:
            raise self._refused
