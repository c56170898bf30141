"""Paid calls, remembered; and the budget.

A row is written `pending` before a call, with its cost reserved, and `done` with the reply. A
done reply is replayed for ever. A call that failed is not remembered, but what its attempts were
charged for is. A `pending` row of the run's own that is found at start is a call whose reply was
lost: its reservation counts as spent, and it is asked again.
"""

from __future__ import annotations

import math
import secrets
import threading
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from liftwright.calls.budget import Budget, usd
from liftwright.calls.spend import number, paid_by
from liftwright.errors import IntegrityError
from liftwright.log import event
from liftwright.model import Identity, Usage, fingerprint, to_json, utc_now
from liftwright.tracing import current
from liftwright.usage import metering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from liftwright.calls.spend import Paid
    from liftwright.ports import Store

R = TypeVar("R")
_EPOCH = "epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(Generic[R]):
    """How the replies of one port are kept, and what they cost.

    Attributes:
        port: the port's name.
        reserve_usd: the most that one attempt at a request can cost.
        cost_usd: what a reply says that it cost, where the adapter told nothing of what it used;
            where both say nothing, the price of `used` counts.
        encode: a reply as JSON values; `decode` turns them back.
        used: what a request and its reply used, where the adapter told nothing.
        price_usd: what the usage that an adapter tells of costs.
        tokens: how many an attempt may come to, reply included; an estimate, for rates a minute.
    """

    port: str
    reserve_usd: Callable[[object], float]
    cost_usd: Callable[[R], float]
    encode: Callable[[R], object]
    decode: Callable[[object], R]
    used: Callable[[object, R], Usage] = lambda _, __: Usage()
    price_usd: Callable[[Usage], float] = lambda _: 0.0
    tokens: Callable[[object], int] = lambda _: 0


@dataclass(slots=True, kw_only=True)
class _Call:
    """A call under way: what one attempt reserves, what is reserved so far, what was used."""

    key: str
    row: dict[str, object]
    each_usd: float
    reserved_usd: float
    price_usd: Callable[[Usage], float]
    used: list[Usage] = field(default_factory=list)

    @property
    def cost_usd(self) -> float:
        """What the attempts so far were charged."""
        return usd(math.fsum(map(self.price_usd, self.used)))


_UNDER_WAY: ContextVar[_Call | None] = ContextVar("liftwright_call", default=None)


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
        self._budget = Budget(budget_usd)
        self._lock = threading.Lock()
        self._in_flight: dict[str, Future[object]] = {}
        self._joined: dict[str, Future[Any]] = {}
        self._replayed = 0
        begun = store.get(_EPOCH) or {}
        self._epoch = number(begun.get("epoch"))
        if refresh and begun.get("begun_by") != run_id:
            self._epoch += 1
            store.put(_EPOCH, {"status": _EPOCH, "epoch": self._epoch, "begun_by": run_id})
        # Only this run's own: rows of another run may be those of a process that still lives.
        for row in list(store.rows(status="pending", run_id=run_id)):
            self._lose(str(row["key"]), row)
        paid = self.paid().values()
        self._budget.settle(math.fsum(one.cost_usd for one in paid))
        self._calls = sum(one.calls for one in paid)

    @property
    def spent_usd(self) -> float:
        """What the run has paid or lost, reservations of calls under way included."""
        return self._budget.spent_usd

    @property
    def calls(self) -> int:
        """Calls that the run paid for, lost ones and charged failures included."""
        return self._calls

    @property
    def replayed(self) -> int:
        """Calls that were answered from memory."""
        return self._replayed

    def paid(self) -> Mapping[str, Paid]:
        """What the run paid so far, by port; what was answered from memory cost nothing."""
        return paid_by(self._store, self._run_id)

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
            encoded = self._pay(key, row, terms, request, ask)
            mine.set_result(encoded)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._in_flight[key]
        return terms.decode(encoded)

    def remember_each(
        self,
        terms: Terms[R],
        identity: Identity,
        requests: Sequence[object],
        ask: Callable[[Sequence[object]], Sequence[R]],
    ) -> tuple[R, ...]:
        """The replies to requests that are paid for together; each is remembered by itself.

        Args:
            terms: as for one request.
            identity: as for one request.
            requests: what is asked; the same may stand there twice.
            ask: makes one call for those that are neither remembered nor under way.

        Raises:
            BudgetSpent: where their reservations together do not fit the budget.
            IntegrityError: as for one request.
        """
        keys = [fingerprint(self._epoch, terms.port, identity, request) for request in requests]
        found: dict[str, R] = {}
        mine: dict[str, Future[R]] = {}
        others: dict[str, Future[R]] = {}
        with self._lock:
            for key in dict.fromkeys(keys):
                row = self._store.get(key)
                if row is not None:
                    found[key] = _decoded(terms, key, row)
                    continue
                own: Future[R] = Future()
                under_way = self._joined.setdefault(key, own)
                (mine if under_way is own else others)[key] = under_way
            self._replayed += not mine and not others
        if mine:
            wanted = dict(zip(keys, requests, strict=True))
            try:
                self._pay_together({key: wanted[key] for key in mine}, terms, ask, found)
                for key, future in mine.items():
                    future.set_result(found[key])
            except BaseException as error:
                for future in mine.values():
                    future.set_exception(error)
                raise
            finally:
                with self._lock:
                    for key in mine:
                        del self._joined[key]
        found |= {key: future.result() for key, future in others.items()}
        return tuple(found[key] for key in keys)

    def before_attempt(self) -> None:
        """Reserve for a further attempt at the call under way, where earlier ones were charged.

        Raises:
            BudgetSpent: where it does not fit the budget.
        """
        call = _UNDER_WAY.get()
        if call is None or not call.used:
            return
        more = usd(call.cost_usd + call.each_usd - call.reserved_usd)
        if more > 0:
            self._budget.reserve(more)
            call.reserved_usd = usd(call.reserved_usd + more)
            self._store.put(call.key, {**call.row, "cost_usd": call.reserved_usd})

    def check_budget(self) -> None:
        """Raise again what a call was refused for, where an agent went on without its reply.

        Raises:
            BudgetSpent: where any call of this run was refused for the budget.
        """
        self._budget.check()

    # ── Paying ──

    def _pay(
        self,
        key: str,
        before: Mapping[str, object] | None,
        terms: Terms[R],
        request: object,
        ask: Callable[[], R],
    ) -> object:
        """Make a call, and keep its reply in JSON values; `before` is the row that it replaces."""
        if before is not None and before["status"] == "pending":
            self._lose(key, before)
            if before.get("run_id") == self._run_id:
                self._count()
        call = self._begin(key, terms, request)
        with metering() as call.used:
            outer = _UNDER_WAY.set(call)
            try:
                reply = ask()
            except Exception:
                self._fail(call)
                raise
            finally:
                _UNDER_WAY.reset(outer)
        # An interruption of `ask` leaves the row pending: the reply may have been paid for.
        encoded = terms.encode(reply)
        usage, cost = terms.used(request, reply), terms.cost_usd(reply)
        if call.used:
            usage, cost = reduce(add, call.used), call.cost_usd
        cost = usd(cost or terms.price_usd(usage))
        done = {"status": "done", "cost_usd": cost, "usage": to_json(usage), "reply": encoded}
        self._store.put(key, {**call.row, **done, "ended_at": utc_now()})
        _tell(usage, cost)
        self._budget.settle(cost - call.reserved_usd)
        self._count()
        return encoded

    def _pay_together(
        self,
        wanted: Mapping[str, object],
        terms: Terms[R],
        ask: Callable[[Sequence[object]], Sequence[R]],
        found: dict[str, R],
    ) -> None:
        """Pay for several requests in one call; each reply gets a row without a cost of its own."""

        def keep(replies: Sequence[R]) -> object:
            for key, reply in zip(wanted, replies, strict=True):
                row = {"status": "part", "port": terms.port, "reply": terms.encode(reply)}
                self._store.put(key, row)
                found[key] = reply
            return len(wanted)

        together: Terms[Sequence[R]] = Terms(
            port=terms.port,
            reserve_usd=lambda _: math.fsum(map(terms.reserve_usd, wanted.values())),
            cost_usd=lambda replies: math.fsum(map(terms.cost_usd, replies)),
            encode=keep,
            decode=lambda _: (),
            price_usd=terms.price_usd,
        )
        key = fingerprint(terms.port, tuple(wanted))
        self._pay(key, self._store.get(key), together, None, lambda: ask(tuple(wanted.values())))

    def _begin(self, key: str, terms: Terms[R], request: object) -> _Call:
        reserve_usd = usd(terms.reserve_usd(request))
        self._budget.reserve(reserve_usd)
        row: dict[str, object] = {
            "status": "pending",
            "run_id": self._run_id,
            "port": terms.port,
            "cost_usd": reserve_usd,
            "started_at": utc_now(),
            "call": secrets.token_hex(8),
        }
        self._store.put(key, row)
        return _Call(
            key=key,
            row=row,
            each_usd=reserve_usd,
            reserved_usd=reserve_usd,
            price_usd=terms.price_usd,
        )

    def _fail(self, call: _Call) -> None:
        failed = {**call.row, "status": "failed", "ended_at": utc_now()}
        if call.used:
            usage = reduce(add, call.used)
            _tell(usage, call.cost_usd)
            charged = {**failed, "cost_usd": call.cost_usd, "usage": to_json(usage)}
            self._store.put(_aside(call.key, call.row), charged)
            self._count()
        self._store.put(call.key, {**failed, "cost_usd": 0.0})
        self._budget.settle(call.cost_usd - call.reserved_usd)

    def _count(self) -> None:
        with self._lock:
            self._calls += 1

    def _lose(self, key: str, row: Mapping[str, object]) -> None:
        """Close a call whose reply was lost: paid for, reply unknown."""
        lost = {name: value for name, value in row.items() if name != "key"}
        # Named by the call: closing that is itself cut short counts no call twice.
        self._store.put(_aside(key, row), {**lost, "status": "lost"})
        self._store.put(key, {**lost, "status": "superseded", "cost_usd": 0.0})
        event("paid_call_lost", agent="ledger", level="warning", port=row.get("port"))


def _aside(key: str, row: Mapping[str, object]) -> str:
    """Where a row stands that its key is needed for again."""
    return f"{key}:{row.get('call') or row.get('started_at')}"


def _decoded(terms: Terms[R], key: str, row: Mapping[str, object]) -> R:
    try:
        return terms.decode(row["reply"])
    except (ValueError, TypeError, KeyError) as error:
        raise IntegrityError(
            f"ledger: the reply kept for a {terms.port} call (key {key[:12]}…) is not what was "
            f"written ({type(error).__name__})"
        ) from None


def _tell(usage: Usage, cost_usd: float) -> None:
    """Set what the call came to on its span; its attempts that failed and were charged included."""
    tokens = usage.tokens
    counted = any((tokens.input, tokens.cached_input, tokens.output))
    current().set(
        cost_usd=cost_usd,
        tokens_input=tokens.input if counted else None,
        tokens_cached_input=tokens.cached_input if counted else None,
        tokens_output=tokens.output if counted else None,
        units=usage.units or None,
    )
