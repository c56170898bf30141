"""The ledger of paid calls: their replies, and what they cost.

A row is written `pending` before a call, with its cost reserved, and `done` with the reply after
it. A done reply is replayed by every later run. A call that failed is not replayed, but what its
attempts were charged is kept. A `pending` row of the run's own that is found at start is a call
whose reply was lost with an earlier process: its reservation counts as spent, and it is made again.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from liftwright.calls.budget import Budget, usd
from liftwright.errors import IntegrityError
from liftwright.log import event
from liftwright.model import Usage, fingerprint, from_json, to_json, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from liftwright.calls.cache_policy import CachePolicy
    from liftwright.calls.context import Ask, CallContext
    from liftwright.model import Identity
    from liftwright.ports import Port, Store

_EPOCH = "epoch"
_REPLAYED = ("done", "part")
_CHARGED = ("done", "lost", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a run paid to one service.

    Attributes:
        calls: those that were charged: replies, lost replies, and charged failures.
        usage: what the service counted; that of lost replies is not known.
        cost_usd: reservations of lost replies included.
    """

    calls: int
    usage: Usage
    cost_usd: float


@dataclass(slots=True, kw_only=True)
class Payment:
    """A call in flight: its row, what one attempt reserves, and what is reserved in all."""

    key: str
    row: Mapping[str, object]
    attempt_usd: float
    reserved_usd: float


class Ledger:
    """The paid calls of one run; safe for threads.

    Args:
        store: where the rows are kept.
        run_id: the run that pays for new calls.
        budget_usd: the most that the run may cost; None is no limit.
        refresh: start a new epoch: nothing kept before is replayed, nothing is deleted. A run
            starts one at most, so that it pays nothing twice when it is resumed.
    """

    def __init__(
        self, store: Store, *, run_id: str, budget_usd: float | None, refresh: bool = False
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._budget = Budget(budget_usd)
        self._lock = threading.Lock()
        self._in_flight: dict[str, Future[object]] = {}
        self._replayed = 0
        begun = store.get(_EPOCH) or {}
        self._epoch = _number(begun.get("epoch"))
        if refresh and begun.get("begun_by") != run_id:
            self._epoch += 1
            store.put(_EPOCH, {"status": _EPOCH, "epoch": self._epoch, "begun_by": run_id})
        # Only this run's own: rows of another run may be those of a process that still lives.
        for row in list(store.rows(status="pending", run_id=run_id)):
            self._lose(str(row["key"]), row)
        spend = self.spend().values()
        self._budget.settle(math.fsum(one.cost_usd for one in spend))
        self._calls = sum(one.calls for one in spend)

    @property
    def spent_usd(self) -> float:
        """What the run has paid or lost, reservations of calls in flight included."""
        return self._budget.spent_usd

    @property
    def calls(self) -> int:
        """Calls that the run paid for, lost ones and charged failures included."""
        return self._calls

    @property
    def replayed(self) -> int:
        """Calls that were answered from the ledger."""
        return self._replayed

    def spend(self) -> Mapping[str, Spend]:
        """What the run has paid so far, by port; replayed calls cost nothing."""
        rows = defaultdict(list)
        for row in self._store.rows(run_id=self._run_id):
            if row["status"] in _CHARGED and (row["status"] != "failed" or "usage" in row):
                rows[str(row["port"])].append(row)
        return {
            port: Spend(
                calls=len(found),
                usage=reduce(add, map(_usage, found), Usage()),
                cost_usd=usd(math.fsum(_number(row["cost_usd"]) for row in found)),
            )
            for port, found in sorted(rows.items())
        }

    def check_budget(self) -> None:
        """Raise again what a call was refused with, where an agent went on without its reply.

        Raises:
            BudgetSpent: a call of this run was refused for the budget.
        """
        self._budget.check()

    # ── Replies ──

    def key(self, port: str, identity: Identity, request: object) -> str:
        """What names a reply: the port, all that would change the reply, and the epoch."""
        return fingerprint(self._epoch, port, identity, request)

    @contextlib.contextmanager
    def claim(self, keys: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
        """Find the replies of these keys as JSON values.

        Yields the keys that are neither kept nor in flight in another thread, and the replies by
        key. The block makes the call for the former and adds their replies; after it, those of
        other threads are there as well.

        Who waits for another thread's call gets its reply or its error, as that call was made
        with all its retries. A later call is made anew.
        """
        found: dict[str, object] = {}
        mine: dict[str, Future[object]] = {}
        others: dict[str, Future[object]] = {}
        with self._lock:
            for key in keys:
                row = self._store.get(key)
                if row is not None and row["status"] in _REPLAYED:
                    found[key] = row["reply"]
                    continue
                own: Future[object] = Future()
                in_flight = self._in_flight.setdefault(key, own)
                (mine if in_flight is own else others)[key] = in_flight
            self._replayed += not mine and not others
        try:
            yield tuple(mine), found
            for key, future in mine.items():
                future.set_result(found[key])
        except BaseException as error:
            for future in mine.values():
                future.set_exception(error)
            raise
        finally:
            with self._lock:
                for key in mine:
                    del self._in_flight[key]
        found |= {key: future.result() for key, future in others.items()}

    def keep_part(self, key: str, port: str, reply: object) -> None:
        """Keep one of several replies that are paid for by one call, whose row has the cost."""
        self._store.put(key, {"status": "part", "port": port, "reply": reply})

    # ── Payments ──

    def reserve(self, key: str, port: str, attempt_usd: float) -> Payment:
        """Reserve the most that an attempt can cost, and write the call's row.

        Raises:
            BudgetSpent: it does not fit the budget; nothing is written.
        """
        before = self._store.get(key)
        if before is not None and before["status"] == "pending":
            self._lose(key, before)
            if before.get("run_id") == self._run_id:
                self._count()
        attempt_usd = usd(attempt_usd)
        self._budget.reserve(attempt_usd)
        row = {
            "status": "pending",
            "run_id": self._run_id,
            "port": port,
            "cost_usd": attempt_usd,
            "started_at": utc_now(),
            "call": secrets.token_hex(8),
        }
        self._store.put(key, row)
        return Payment(key=key, row=row, attempt_usd=attempt_usd, reserved_usd=attempt_usd)

    def reserve_retry(self, payment: Payment, context: CallContext) -> None:
        """Reserve for one more attempt, where earlier ones were charged.

        Raises:
            BudgetSpent: it does not fit the budget.
        """
        more = usd(context.cost_usd + payment.attempt_usd - payment.reserved_usd)
        if context.usage is not None and more > 0:
            self._budget.reserve(more)
            payment.reserved_usd = usd(payment.reserved_usd + more)
            self._store.put(payment.key, {**payment.row, "cost_usd": payment.reserved_usd})

    def settle(self, payment: Payment, context: CallContext, reply: object) -> None:
        """Keep a reply and what it cost, failed attempts that were charged included."""
        cost = usd(context.cost_usd)
        done = {"status": "done", "cost_usd": cost, "usage": to_json(context.usage or Usage())}
        self._store.put(payment.key, {**payment.row, **done, "reply": reply, "ended_at": utc_now()})
        self._budget.settle(cost - payment.reserved_usd)
        self._count()

    def fail(self, payment: Payment, context: CallContext) -> None:
        """Keep what the attempts of a failed call were charged."""
        cost = usd(context.cost_usd)
        failed = {**payment.row, "status": "failed", "ended_at": utc_now()}
        if context.usage is not None:
            charged = {**failed, "cost_usd": cost, "usage": to_json(context.usage)}
            self._store.put(_aside(payment.key, payment.row), charged)
            self._count()
        self._store.put(payment.key, {**failed, "cost_usd": 0.0})
        self._budget.settle(cost - payment.reserved_usd)

    def _count(self) -> None:
        with self._lock:
            self._calls += 1

    def _lose(self, key: str, row: Mapping[str, object]) -> None:
        """Close a call whose reply was lost: paid for, reply unknown."""
        lost = {name: value for name, value in row.items() if name != "key"}
        # Named by the call: a process that dies between the two writes counts no call twice.
        self._store.put(_aside(key, row), {**lost, "status": "lost"})
        self._store.put(key, {**lost, "status": "superseded", "cost_usd": 0.0})
        event("paid_call_lost", agent="ledger", level="warning", port=row.get("port"))


def cached(ask: Ask, policy: CachePolicy[Any], port: Port) -> Ask:
    """Answer from the ledger, or from an equal call in flight; else by `ask`."""

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        ledger = context.ledger
        if ledger is None:
            return ask(request, context)
        key = ledger.key(policy.port, port.identity, request)
        with ledger.claim((key,)) as (missing, found):
            if missing:
                context.key, context.encode = key, policy.encode
                found[key] = ask(request, context)
        return _decoded(policy, key, found[key])

    return call


def cached_texts(ask: Ask, policy: CachePolicy[Any], port: Port) -> Ask:
    """Answer an embedder's texts one by one as `cached` does; those left are paid in one call."""

    def call(texts: tuple[str, ...], context: CallContext) -> Any:  # noqa: ANN401 - any port's
        import numpy as np

        ledger = context.ledger
        if ledger is None:
            return ask(texts, context)
        # The vector of any text tells how wide those of no texts are.
        keys = {ledger.key(policy.port, port.identity, text): text for text in texts or ("",)}
        with ledger.claim(tuple(keys)) as (missing, found):

            def keep(vectors: Iterable[Any]) -> int:
                for key, vector in zip(missing, vectors, strict=True):
                    found[key] = policy.encode(vector)
                    ledger.keep_part(key, policy.port, found[key])
                return len(missing)

            if missing:
                context.key, context.encode = fingerprint(policy.port, missing), keep
                ask(tuple(keys[key] for key in missing), context)
        rows = {text: _decoded(policy, key, found[key]) for key, text in keys.items()}
        return np.stack([rows[text] for text in texts or ("",)])[: len(texts)]

    return call


def _decoded(policy: CachePolicy[Any], key: str, reply: object) -> Any:  # noqa: ANN401 - the same
    try:
        return policy.decode(reply)
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            f"ledger: the reply kept for a {policy.port} call (key {key[:12]}…) is not what was "
            f"written ({type(error).__name__})"
        ) from None


def _aside(key: str, row: Mapping[str, object]) -> str:
    """The key of a row that makes room for another call with the same key."""
    return f"{key}:{row.get('call') or row.get('started_at')}"


def _usage(row: Mapping[str, object]) -> Usage:
    found = row.get("usage")
    return Usage() if found is None else from_json(Usage, found)


def _number(value: object) -> float:
    """A number of a row; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0
