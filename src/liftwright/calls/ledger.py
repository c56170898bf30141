"""The ledger of paid calls: their replies and costs.

A row is written `pending` before a call, with its cost reserved, and `done` with the reply after
it. Later runs replay a `done` reply. A failed call is not replayed, but its billed attempts stay in
the ledger. A `pending` row of the same run at start is a call whose reply was lost when a process
died: its reservation counts as spent, and the call is made again.
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
from liftwright.errors import IntegrityError, ProviderError
from liftwright.log import event
from liftwright.model import Usage, fingerprint, from_json, to_json, utc_now
from liftwright.ports import check_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.calls.cache_policy import CachePolicy
    from liftwright.calls.client import Ask, CallContext
    from liftwright.model import Identity
    from liftwright.ports import Port, Store

_EPOCH = "epoch"
_REPLAYED = ("done", "part")
_CHARGED = ("done", "lost", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """A run's spending on one service.

    Attributes:
        calls: billed calls: replies, lost replies, and billed failures.
        usage: the billed usage, without lost replies, whose usage is unknown.
        cost_usd: including the reservations of lost replies.
    """

    calls: int
    usage: Usage
    cost_usd: float


@dataclass(slots=True, kw_only=True)
class Payment:
    """A call in flight: its row, the reservation per attempt, and the total reservation."""

    key: str
    row: Mapping[str, object]
    attempt_usd: float
    reserved_usd: float


class Ledger:
    """The paid calls of one run; thread-safe.

    Args:
        store: holds the rows.
        run_id: the run that pays for new calls.
        budget_usd: the most that the run may spend; None is no limit.
        refresh: start a new epoch: earlier replies are not replayed, but not deleted either. A run
            starts at most one, so that it pays nothing twice when it is resumed.
    """

    def __init__(
        self, store: Store, *, run_id: str, budget_usd: float | None, refresh: bool = False
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._budget = Budget(budget_usd)
        self._lock = threading.Lock()
        self._in_flight: dict[str, Future[object]] = {}
        self._failed: dict[str, ProviderError] = {}
        self._replayed = 0
        begun = store.get(_EPOCH) or {}
        self._epoch = _number(begun.get("epoch"))
        if refresh and begun.get("begun_by") != run_id:
            self._epoch += 1
            store.put(_EPOCH, {"status": _EPOCH, "epoch": self._epoch, "begun_by": run_id})
        # Only this run's rows: another run's may belong to a process that is still running.
        for row in list(store.rows(status="pending", run_id=run_id)):
            self._lose(str(row["key"]), row)
        spend = self.spend().values()
        self._budget.settle(math.fsum(service.cost_usd for service in spend))
        self._calls = sum(service.calls for service in spend)

    @property
    def spent_usd(self) -> float:
        """The run's spending, including lost replies and reservations of calls in flight."""
        return self._budget.spent_usd

    @property
    def calls(self) -> int:
        """The number of billed calls, including lost replies and billed failures."""
        return self._calls

    @property
    def replayed(self) -> int:
        """The number of calls answered from the ledger."""
        return self._replayed

    def spend(self) -> Mapping[str, Spend]:
        """The run's spending so far, by port; replayed calls cost nothing."""
        rows = defaultdict(list)
        for row in self._store.rows(run_id=self._run_id):
            if row["status"] in _CHARGED and (row["status"] != "failed" or "usage" in row):
                rows[str(row["port"])].append(row)
        return {
            port: Spend(
                calls=len(charged),
                usage=reduce(add, map(_usage, charged), Usage()),
                cost_usd=usd(math.fsum(_number(row["cost_usd"]) for row in charged)),
            )
            for port, charged in sorted(rows.items())
        }

    def check_budget(self) -> None:
        """Raise the error of a call that exceeded the budget, which an agent may have handled.

        Raises:
            BudgetSpent: a call of this run exceeded the budget.
        """
        self._budget.check()

    def key(self, port: str, identity: Identity, request: object) -> str:
        """The key of a reply: the epoch, the port, its identity and the request."""
        return fingerprint(self._epoch, port, identity, request)

    @contextlib.contextmanager
    def claim(self, keys: Sequence[str]) -> Iterator[tuple[tuple[str, ...], dict[str, object]]]:
        """Look up the replies of these keys, and claim the missing ones.

        Yields the keys that are neither in the ledger nor in flight in another thread, and the
        replies by key, as JSON values. The block makes the call for the missing keys and adds
        their replies. After the block, the replies include those of other threads.

        A thread that waits for another thread's call gets its reply or, after all its retries, its
        error. So does a later call in this process: whoever asks, a request gets the configured
        number of attempts.
        """
        replies: dict[str, object] = {}
        mine: dict[str, Future[object]] = {}
        others: dict[str, Future[object]] = {}
        with self._lock:
            if failed := next(filter(None, map(self._failed.get, keys)), None):
                raise failed
            for key in keys:
                row = self._store.get(key)
                if row is not None and row["status"] in _REPLAYED:
                    replies[key] = row["reply"]
                    continue
                own: Future[object] = Future()
                in_flight = self._in_flight.setdefault(key, own)
                (mine if in_flight is own else others)[key] = in_flight
            self._replayed += not mine and not others
        try:
            yield tuple(mine), replies
            for key, future in mine.items():
                future.set_result(replies[key])
        except BaseException as error:
            for key, future in mine.items():
                future.set_exception(error)
                # A call that was not made, such as one beyond the budget, has not failed.
                if isinstance(error, ProviderError) and error.attempts:
                    self._failed[key] = error
            raise
        finally:
            with self._lock:
                for key in mine:
                    del self._in_flight[key]
        replies |= {key: future.result() for key, future in others.items()}

    def store_part(self, key: str, port: str, reply: object) -> None:
        """Store one of several replies to a call; the call's own row has the cost."""
        self._store.put(key, {"status": "part", "port": port, "reply": reply})

    def check_length(self, port: str, identity: Identity, length: int) -> None:
        """Check the length of an embedder's vectors against the first ones, and keep it.

        Raises:
            ProviderRefused: it differs.
        """
        key = self.key(port, identity, "length")
        known = self._store.get(key)
        if known is None:
            self.store_part(key, port, length)
        else:
            check_length(length, int(_number(known["reply"])), identity)

    def reserve(self, key: str, port: str, attempt_usd: float) -> Payment:
        """Reserve the maximum cost of an attempt, and write the call's row.

        Raises:
            BudgetSpent: it exceeds the budget; nothing is written.
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
        """Reserve for another attempt, if earlier ones were billed.

        Raises:
            BudgetSpent: it exceeds the budget.
        """
        more = usd(context.cost_usd + payment.attempt_usd - payment.reserved_usd)
        if context.usage is not None and more > 0:
            self._budget.reserve(more)
            payment.reserved_usd = usd(payment.reserved_usd + more)
            self._store.put(payment.key, {**payment.row, "cost_usd": payment.reserved_usd})

    def settle(self, payment: Payment, context: CallContext, reply: object) -> None:
        """Store a reply and the call's cost, including billed failed attempts."""
        cost = usd(context.cost_usd)
        done = {"status": "done", "cost_usd": cost, "usage": to_json(context.usage or Usage())}
        self._store.put(payment.key, {**payment.row, **done, "reply": reply, "ended_at": utc_now()})
        self._budget.settle(cost, reserved_usd=payment.reserved_usd)
        self._count()

    def fail(self, payment: Payment, context: CallContext) -> None:
        """Store the cost of a failed call's billed attempts."""
        cost = usd(context.cost_usd)
        failed = {**payment.row, "status": "failed", "ended_at": utc_now()}
        if context.usage is not None:
            charged = {**failed, "cost_usd": cost, "usage": to_json(context.usage)}
            self._store.put(_aside(payment.key, payment.row), charged)
            self._count()
        self._store.put(payment.key, {**failed, "cost_usd": 0.0})
        self._budget.settle(cost, reserved_usd=payment.reserved_usd)

    def _count(self) -> None:
        with self._lock:
            self._calls += 1

    def _lose(self, key: str, row: Mapping[str, object]) -> None:
        """Record a call whose reply was lost as spent."""
        lost = {name: value for name, value in row.items() if name != "key"}
        # The key contains the call's id, so dying between the two writes counts no call twice.
        self._store.put(_aside(key, row), {**lost, "status": "lost"})
        self._store.put(key, {**lost, "status": "superseded", "cost_usd": 0.0})
        event("paid_call_lost", agent="ledger", level="warning", port=row.get("port"))


def cached(ask: Ask, policy: CachePolicy[Any], port: Port) -> Ask:
    """Answer from the ledger or from an equal call in flight, or else call `ask`."""

    def call(request: Any, context: CallContext) -> Any:  # noqa: ANN401 - any port's
        ledger = context.ledger
        if ledger is None:
            return ask(request, context)
        key = ledger.key(policy.port, port.identity, request)
        with ledger.claim((key,)) as (missing, replies):
            if missing:
                context.key, context.encode = key, policy.encode
                replies[key] = ask(request, context)
        return _decode(policy, key, replies[key])

    return call


def cached_texts(ask: Ask, policy: CachePolicy[Any], port: Port) -> Ask:
    """As `cached`, for each text of an embedder's request; one call embeds the missing texts."""

    def call(texts: tuple[str, ...], context: CallContext) -> Any:  # noqa: ANN401 - any port's
        import numpy as np

        ledger = context.ledger
        if ledger is None:
            return ask(texts, context)
        # Without texts, the vector of "" gives the number of dimensions.
        keys = {ledger.key(policy.port, port.identity, text): text for text in texts or ("",)}
        with ledger.claim(tuple(keys)) as (missing, replies):

            def store(vectors: Sequence[Any]) -> int:
                ledger.check_length(policy.port, port.identity, len(vectors[0]))
                for key, vector in zip(missing, vectors, strict=True):
                    replies[key] = policy.encode(vector)
                    ledger.store_part(key, policy.port, replies[key])
                return len(missing)

            if missing:
                context.key, context.encode = fingerprint(policy.port, missing), store
                ask(tuple(keys[key] for key in missing), context)
        rows = {text: _decode(policy, key, replies[key]) for key, text in keys.items()}
        return np.stack([rows[text] for text in texts or ("",)])[: len(texts)]

    return call


def _decode(policy: CachePolicy[Any], key: str, reply: object) -> Any:  # noqa: ANN401 - the same
    try:
        return policy.decode(reply)
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            f"ledger: the stored reply to a {policy.port} call (key {key[:12]}…) is corrupt "
            f"({type(error).__name__})"
        ) from None


def _aside(key: str, row: Mapping[str, object]) -> str:
    """The key under which a row is moved aside, to make room for another call."""
    return f"{key}:{row.get('call') or row.get('started_at')}"


def _usage(row: Mapping[str, object]) -> Usage:
    usage = row.get("usage")
    return Usage() if usage is None else from_json(Usage, usage)


def _number(value: object) -> float:
    """A number of a row; 0 if it is missing."""
    return float(value) if isinstance(value, int | float) else 0.0
