"""Paid calls, remembered; and the budget.

A row is written `pending` before a call, with its cost reserved, and `done` with the reply. A
done reply is replayed for ever. A call that failed is not remembered. A `pending` row found at
start is a call whose reply was lost: its reservation counts as spent, and it is asked again.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from liftwright.domain import Identity, fingerprint, utc_now
from liftwright.errors import BudgetSpent, IntegrityError
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from liftwright.ports import Store

R = TypeVar("R")
_EPOCH = "epoch"
_ROUNDING_USD = 1e-9  # what sums of prices as floats may be off by


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(Generic[R]):
    """How the replies of one port are kept, and what they cost.

    Attributes:
        port: the port's name.
        reserve_usd: the most that a request can cost.
        cost_usd: what a reply did cost.
        encode: a reply as JSON values; `decode` turns them back.
    """

    port: str
    reserve_usd: Callable[[object], float]
    cost_usd: Callable[[R], float]
    encode: Callable[[R], object]
    decode: Callable[[object], R]


class Ledger:
    """The memory of one run's metered calls; safe for threads.

    Args:
        store: where the rows are kept.
        run_id: the run that pays for new calls.
        budget_usd: the most that the run may cost; None is no limit.
        refresh: start a new epoch: nothing remembered before is replayed, nothing is deleted. A
            run starts one at most, so that it pays nothing twice when it is resumed.
    """

    def __init__(
        self, store: Store, *, run_id: str, budget_usd: float | None, refresh: bool = False
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._budget_usd = budget_usd
        self._lock = threading.Lock()
        self._in_flight: dict[str, Future[object]] = {}
        self._replayed = 0
        self._refused: BudgetSpent | None = None
        begun = store.get(_EPOCH) or {}
        self._epoch = _number(begun.get("epoch"))
        if refresh and begun.get("begun_by") != run_id:
            self._epoch += 1
            store.put(_EPOCH, {"status": _EPOCH, "epoch": self._epoch, "begun_by": run_id})
        self._close_lost()
        mine = list(store.rows(run_id=run_id))
        self._spent_usd = sum(_number(row["cost_usd"]) for row in mine)
        self._calls = sum(row["status"] in ("done", "lost") for row in mine)

    @property
    def spent_usd(self) -> float:
        """What the run has paid or lost, reservations of calls under way included."""
        with self._lock:
            return self._spent_usd

    @property
    def calls(self) -> int:
        """Calls that the run paid for, lost ones included."""
        return self._calls

    @property
    def replayed(self) -> int:
        """Calls that were answered from memory."""
        return self._replayed

    def remember(
        self, terms: Terms[R], identity: Identity, request: object, ask: Callable[[], R]
    ) -> R:
        """The reply to a request: from memory, from a like call under way, or by asking.

        Args:
            terms: how the port's replies are kept and what they cost.
            identity: what would change the reply.
            request: all that is asked, the reasons for a further draft included.
            ask: makes the call, with its retries.

        Raises:
            BudgetSpent: where the reservation does not fit the budget; nothing was asked.
            IntegrityError: where the reply that was kept is not what the product writes.

        Whoever waits for a like call under way gets its reply, or its error: that call was made
        with all its retries. A later request asks anew.
        """
        key = fingerprint(self._epoch, terms.port, identity, request)
        mine: Future[object] = Future()
        with self._lock:
            row = self._store.get(key)
            if row is not None and row["status"] == "done":
                self._replayed += 1
                return _decoded(terms, key, row)
            under_way = self._in_flight.setdefault(key, mine)
        if under_way is not mine:
            return terms.decode(under_way.result())
        try:
            if row is not None and row["status"] == "pending":
                self._lose(key, row)
                self._calls += 1
            encoded = self._pay(key, terms, ask, terms.reserve_usd(request))
            mine.set_result(encoded)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._in_flight[key]
        return terms.decode(encoded)

    def _pay(self, key: str, terms: Terms[R], ask: Callable[[], R], reserve_usd: float) -> object:
        self._reserve(reserve_usd)
        row: dict[str, object] = {
            "status": "pending",
            "run_id": self._run_id,
            "port": terms.port,
            "cost_usd": reserve_usd,
            "started_at": utc_now(),
        }
        self._store.put(key, row)
        try:
            reply = ask()
        except Exception:
            self._store.put(
                key, {**row, "status": "failed", "cost_usd": 0.0, "ended_at": utc_now()}
            )
            self._settle(-reserve_usd)
            raise
        # An interruption of `ask` leaves the row pending: the reply may have been paid for.
        encoded, cost = terms.encode(reply), terms.cost_usd(reply)
        done = {"status": "done", "cost_usd": cost, "reply": encoded, "ended_at": utc_now()}
        self._store.put(key, {**row, **done})
        self._settle(cost - reserve_usd)
        with self._lock:
            self._calls += 1
        return encoded

    def replies(self, terms: Terms[R]) -> Iterator[R]:
        """The replies of one port that the run paid for; those from memory are not among them."""
        for row in self._store.rows(run_id=self._run_id, status="done"):
            if row["port"] == terms.port:
                yield _decoded(terms, str(row["key"]), row)

    def check_budget(self) -> None:
        """Raise again what a call was refused for, where an agent went on without its reply.

        Raises:
            BudgetSpent: where any call of this run was refused for the budget.
        """
        if self._refused is not None:
            raise self._refused

    def _reserve(self, usd: float) -> None:
        with self._lock:
            if self._budget_usd is not None and not (
                self._spent_usd + usd <= self._budget_usd + _ROUNDING_USD
            ):
                self._refused = BudgetSpent(
                    f"budget: the next call may cost {usd:.4f} USD; {self._spent_usd:.4f} of "
                    f"{self._budget_usd:.4f} USD are spent. Raise --budget and run again to go on"
                )
                raise self._refused
            self._spent_usd += usd

    def _settle(self, usd: float) -> None:
        with self._lock:
            self._spent_usd += usd

    def _close_lost(self) -> None:
        """Calls that a dead process left behind: paid for, reply unknown."""
        for row in list(self._store.rows(status="pending")):
            self._lose(str(row["key"]), row)

    def _lose(self, key: str, row: Mapping[str, object]) -> None:
        lost = {name: value for name, value in row.items() if name != "key"}
        # Named by its start: closing that is itself cut short counts no call twice.
        self._store.put(f"{key}:lost:{row.get('started_at')}", {**lost, "status": "lost"})
        self._store.put(key, {**lost, "status": "superseded", "cost_usd": 0.0})
        event("paid_call_lost", agent="ledger", level="warning", port=row.get("port"))


def _decoded(terms: Terms[R], key: str, row: Mapping[str, object]) -> R:
    try:
        return terms.decode(row["reply"])
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            f"ledger: the reply kept for a {terms.port} call (key {key[:12]}…) is not what was "
            f"written ({type(error).__name__})"
        ) from None


def counted_calls(run: Mapping[str, object]) -> int:
    """How many metered calls a run's record says it paid for."""
    return int(_number(run.get("metered_calls")))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
