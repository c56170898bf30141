from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memory_store
from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.calls.ledger import Ledger, Terms
from liftwright.errors import (
    BudgetSpent,
    IntegrityError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.model import Identity, Prompt, Query, Tokens, Usage
from liftwright.usage import report_usage
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

WRITER = Identity(provider="test", model="m", version="1", corpus="c")


class Memory(memory_store.Memory):
    """A store in memory that records the order of what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []
        self.looked_up = threading.Semaphore(0)

    def get(self, key: str) -> Mapping[str, object] | None:
        self.looked_up.release()
        return super().get(key)

    def put(self, key: str, row: Mapping[str, object]) -> None:
        self.order.append(f"{row['status']} {row.get('cost_usd')}")
        super().put(key, row)


def text_of(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text expected")  # noqa: TRY004 - as the records' readers do
    return value


def terms(reserve: float = 0.10, cost: float = 0.04, port: str = "complete") -> Terms[str]:
    return Terms(
        port=port,
        reserve_usd=lambda _: reserve,
        cost_usd=lambda _: cost,
        encode=lambda reply: reply,
        decode=text_of,
    )


class Service:
    """A paid service: replies with how often it was asked, or raises what it is given."""

    def __init__(self, *errors: BaseException) -> None:
        self.asked = 0
        self._errors = list(errors)

    def __call__(self) -> str:
        self.asked += 1
        if self._errors:
            raise self._errors.pop(0)
        return f"reply {self.asked}"


def ledger(store: Any, run_id: str = "r1", **options: Any) -> Ledger:
    return Ledger(store, run_id=run_id, **{"budget_usd": None, **options})


def test_remember_row_is_pending_with_its_reservation_before_the_call() -> None:
    store = Memory()

    def ask() -> str:
        store.order.append("asked")
        (row,) = store.rows(status="pending")
        assert (row["run_id"], row["port"]) == ("r1", "complete")
        return "reply"

    book = ledger(store)
    assert book.remember(terms(), WRITER, "q", ask) == "reply"
    assert store.order == ["pending 0.1", "asked", "done 0.04"]
    (row,) = store.rows(status="done")
    assert row["reply"] == "reply"
    assert book.spent_usd == pytest.approx(0.04)
    assert (book.calls, book.replayed) == (1, 0)


def test_remember_done_reply_is_replayed_in_this_and_every_later_run() -> None:
    store, service = Memory(), Service()
    first = ledger(store)
    assert [first.remember(terms(), WRITER, "q", service) for _ in range(3)] == ["reply 1"] * 3
    assert (first.calls, first.replayed) == (1, 2)
    for run_id in ("r1", "r2", "r3"):
        later = ledger(store, run_id, budget_usd=0.04)
        assert later.remember(terms(), WRITER, "q", service) == "reply 1"
        assert later.replayed == 1
    assert service.asked == 1
    assert ledger(store, "r2").spent_usd == 0.0


def test_remember_failed_call_is_not_remembered_and_costs_nothing() -> None:
    store, service = Memory(), Service(ProviderUnavailable("503"))
    book = ledger(store)
    with pytest.raises(ProviderUnavailable):
        book.remember(terms(), WRITER, "q", service)
    assert (book.spent_usd, book.calls) == (0.0, 0)
    assert store.order[-1] == "failed 0.0"
    assert ledger(store, "r2").remember(terms(), WRITER, "q", service) == "reply 2"


@pytest.mark.parametrize(
    ("port", "identity", "request_"),
    [
        ("screen", WRITER, "q"),
        ("complete", WRITER, "other"),
        *(
            ("complete", dataclasses.replace(WRITER, **{field.name: "x"}), "q")
            for field in dataclasses.fields(Identity)
        ),
    ],
)
def test_remember_anything_that_differs_is_asked_anew(
    port: str, identity: Identity, request_: str
) -> None:
    store, service = Memory(), Service()
    book = ledger(store)
    book.remember(terms(), WRITER, "q", service)
    book.remember(terms(port=port), identity, request_, service)
    assert service.asked == 2


def variations(hint: Any) -> tuple[Any, Any]:
    """Two values of a type that differ."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        pairs = {name: variations(inner) for name, inner in hints.items()}
        return hint(**{n: p[0] for n, p in pairs.items()}), hint(
            **{n: p[1] for n, p in pairs.items()}
        )
    if origin is tuple:
        return (variations(arguments[0])[0],), (variations(arguments[0])[1],)
    if origin is not None and type(None) not in arguments:
        one, other = variations(arguments[1])
        return {"k": one}, {"k": other}
    kind = next((one for one in arguments if one is not type(None)), hint)
    simple = {str: ("a", "b"), int: (1, 2), float: (0.25, 0.5), bool: (False, True)}
    return {**simple, date: (date.min, date.max)}[kind]


def changed_by_one_field(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The record with each field, at any depth, changed in turn."""
    for name, hint in typing.get_type_hints(type(value)).items():
        current = getattr(value, name)
        if dataclasses.is_dataclass(hint):
            for inner, changed in changed_by_one_field(current, f"{path}{name}."):
                yield inner, dataclasses.replace(value, **{name: changed})
        elif isinstance(current, tuple) and dataclasses.is_dataclass(type(current[0])):
            for inner, changed in changed_by_one_field(current[0], f"{path}{name}[]."):
                yield inner, dataclasses.replace(value, **{name: (changed,)})
        else:
            yield f"{path}{name}", dataclasses.replace(value, **{name: variations(hint)[1]})


LEFT_OUT_OF_THE_KEY: frozenset[str] = frozenset()
"""Fields that would not change a reply, by their path; none so far."""


@pytest.mark.parametrize("kind", [Prompt, Query])
def test_remember_every_field_of_a_request_is_in_the_key_or_left_out_on_purpose(kind: type) -> None:
    request = variations(kind)[0]
    fields = dict(changed_by_one_field(request))
    assert {name.split(".")[0].split("[")[0] for name in fields} == {
        field.name for field in dataclasses.fields(kind)
    }
    for name, changed in fields.items():
        service, book = Service(), ledger(Memory())
        book.remember(terms(), WRITER, request, service)
        book.remember(terms(), WRITER, changed, service)
        assert service.asked == (1 if name in LEFT_OUT_OF_THE_KEY else 2), name


def test_refresh_asks_anew_deletes_nothing_and_later_runs_replay_the_newest() -> None:
    store, service = Memory(), Service()
    ledger(store).remember(terms(), WRITER, "q", service)
    ledger(store).remember(terms(), WRITER, "old only", service)
    before = {key: dict(row) for key, row in store.kept.items()}
    fresh = ledger(store, "r2", refresh=True)
    assert fresh.remember(terms(), WRITER, "q", service) == "reply 3"
    assert {key: store.kept[key] for key in before} == before
    later = ledger(store, "r3")
    assert later.remember(terms(), WRITER, "q", service) == "reply 3"
    assert later.remember(terms(), WRITER, "old only", service) == "reply 4"
    again = ledger(store, "r4", refresh=True)
    assert again.remember(terms(), WRITER, "q", service) == "reply 5"


def together(book: Ledger, count: int = 6) -> tuple[int, list[object]]:
    """One request from several threads, each there before the reply is."""
    entered, release, asked = threading.Event(), threading.Event(), []

    def ask() -> str:
        asked.append(1)
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        return "reply"

    def work() -> object:
        return book.remember(terms(), WRITER, "q", ask)

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(work)]
        assert entered.wait(PATIENCE_SECONDS)
        running += [pool.submit(work) for _ in range(count - 1)]
        release.set()
        return len(asked), [done.result(timeout=PATIENCE_SECONDS) for done in running]


def test_remember_like_requests_in_flight_become_one() -> None:
    book = ledger(Memory())
    assert together(book) == (1, ["reply"] * 6)
    assert book.calls == 1
    assert book.spent_usd == pytest.approx(0.04)


def test_remember_whoever_waits_for_a_failing_call_gets_its_error_and_later_ones_ask() -> None:
    store, service = Memory(), Service()
    book = ledger(store)
    entered, release = threading.Event(), threading.Event()

    def ask() -> str:
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        raise ProviderUnavailable("503")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(book.remember, terms(), WRITER, "q", ask)
        assert entered.wait(PATIENCE_SECONDS)
        assert store.looked_up.acquire(timeout=PATIENCE_SECONDS)

        waiting = pool.submit(book.remember, terms(), WRITER, "q", service)
        # Looking up and joining are one step: whoever has looked up has joined.
        assert store.looked_up.acquire(timeout=PATIENCE_SECONDS)
        release.set()
        for call in (first, waiting):
            with pytest.raises(ProviderUnavailable, match="503"):
                call.result(timeout=PATIENCE_SECONDS)
    assert service.asked == 0
    assert book.spent_usd == 0.0
    assert book.remember(terms(), WRITER, "q", service) == "reply 1"


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.0999])
def test_remember_reservation_above_the_budget_is_refused_unasked(budget: float) -> None:
    store, service = Memory(), Service()
    with pytest.raises(BudgetSpent, match=r"--budget") as caught:
        ledger(store, budget_usd=budget).remember(terms(), WRITER, "q", service)
    assert caught.value.exit_status == 3
    assert (service.asked, store.kept) == (0, {})


def test_remember_reservation_that_is_not_a_number_is_refused() -> None:
    service = Service()
    with pytest.raises(BudgetSpent):
        ledger(Memory(), budget_usd=1.0).remember(terms(float("nan")), WRITER, "q", service)
    assert service.asked == 0


@settings(deadline=None, max_examples=30)
@given(
    budget=st.floats(0, 1),
    calls=st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 1), st.booleans()), max_size=14),
)
def test_remember_concurrent_calls_never_exceed_the_budget(
    budget: float, calls: list[tuple[float, float, bool]]
) -> None:
    store = Memory()
    book = ledger(store, budget_usd=budget)
    lock, reserved, most, paid = threading.Lock(), [0.0], [0.0], [0.0]

    def work(number: int) -> None:
        reserve, part, fails = calls[number]

        def ask() -> str:
            with lock:
                reserved[0] += reserve
                most[0] = max(most[0], reserved[0])
            with lock:
                reserved[0] -= reserve if fails else reserve * (1 - part)
            if fails:
                raise ProviderUnavailable("503")
            with lock:
                paid[0] += reserve * part
            return "reply"

        try:
            book.remember(terms(reserve, reserve * part), WRITER, number, ask)
        except (BudgetSpent, ProviderUnavailable):
            return

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, n) for n in range(len(calls))]:
            done.result(timeout=PATIENCE_SECONDS)
    assert most[0] <= budget + 1e-6
    # Each call's cost is kept to the billionth of a dollar.
    assert book.spent_usd == pytest.approx(paid[0], abs=len(calls) * 1e-9)
    assert ledger(store).spent_usd == book.spent_usd


def test_ledger_pending_row_of_a_dead_process_stays_spent_and_is_asked_again() -> None:
    store, service = Memory(), Service()
    with pytest.raises(KeyboardInterrupt):
        ledger(store).remember(terms(), WRITER, "q", Service(KeyboardInterrupt()))
    assert len(list(store.rows(status="pending"))) == 1
    resumed = ledger(store)
    assert (resumed.spent_usd, resumed.calls) == (0.10, 1)
    assert resumed.remember(terms(), WRITER, "q", service) == "reply 1"
    assert resumed.spent_usd == pytest.approx(0.14)
    assert resumed.calls == 2
    after = ledger(store)
    assert (after.spent_usd, after.calls) == (pytest.approx(0.14), 2)
    assert ledger(store, "r2").spent_usd == 0.0


def test_ledger_closing_cut_short_counts_a_lost_call_once() -> None:
    store = Memory()
    with pytest.raises(KeyboardInterrupt):
        ledger(store).remember(terms(), WRITER, "q", Service(KeyboardInterrupt()))
    (pending,) = store.rows(status="pending")
    ledger(store)
    # As if the process had died after writing the lost row and before the other.
    store.kept[str(pending["key"])] = dict(pending)
    assert (ledger(store).spent_usd, ledger(store).calls) == (0.10, 1)


def test_remember_interrupted_call_asked_again_by_the_same_ledger_counts_both() -> None:
    store = Memory()
    book, service = ledger(store), Service(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        book.remember(terms(), WRITER, "q", service)
    assert book.remember(terms(), WRITER, "q", service) == "reply 2"
    assert (book.calls, book.spent_usd) == (2, pytest.approx(0.14))
    assert (ledger(store).calls, ledger(store).spent_usd) == (2, pytest.approx(0.14))


def test_remember_reply_that_cannot_be_kept_stays_paid_for() -> None:
    def broken(_: str) -> object:
        raise ValueError("no form")

    store, service = Memory(), Service()
    bad = dataclasses.replace(terms(), encode=broken)
    with pytest.raises(ValueError, match="no form"):
        ledger(store).remember(bad, WRITER, "q", service)
    assert (ledger(store).spent_usd, ledger(store).calls) == (0.10, 1)


@pytest.mark.parametrize("change", [{"reply": 7}, {"reply": None}, {"reply": {"a": 1}}])
def test_remember_kept_reply_of_another_form_is_an_integrity_error(
    change: dict[str, object],
) -> None:
    store, service = Memory(), Service()
    ledger(store).remember(terms(), WRITER, "q", service)
    (row,) = store.rows(status="done")
    store.kept[str(row["key"])] |= change
    with pytest.raises(IntegrityError, match="complete call") as caught:
        ledger(store).remember(terms(), WRITER, "q", service)
    assert (caught.value.exit_status, service.asked) == (4, 1)


# ── What replies of no use cost ───────────────────────────────────────────────────────────────


UNIT_USD = 0.04


def units(count: int) -> Usage:
    return Usage(units=count)


def priced(most: int = 3, port: str = "complete") -> Terms[str]:
    """Terms of a service that charges by units, and tells of them while it is asked."""
    return dataclasses.replace(
        terms(most * UNIT_USD, 0.0, port), price_usd=lambda usage: usage.units * UNIT_USD
    )


def charging(*units_each: int, fails: bool) -> Callable[[], str]:
    def ask() -> str:
        for one in units_each:
            report_usage(units(one))
        if fails:
            raise ProviderRefused("cut off")
        return "reply"

    return ask


def test_remember_refused_reply_that_was_charged_is_paid_and_asked_anew() -> None:
    store = Memory()
    book = ledger(store)
    with pytest.raises(ProviderRefused):
        book.remember(priced(), WRITER, "q", charging(2, fails=True))
    assert (book.spent_usd, book.calls) == (0.08, 1)
    again = ledger(store)
    assert (again.spent_usd, again.calls) == (0.08, 1)
    assert again.remember(priced(), WRITER, "q", charging(1, fails=False)) == "reply"
    assert (again.spent_usd, again.calls, again.replayed) == (0.12, 2, 0)
    assert ledger(store).paid()["complete"].usage == units(3)
    # The failure stays that of the run that paid for it, though another one got the reply.
    assert ledger(store, "r2").paid() == {}


def test_remember_failures_that_were_charged_spend_the_budget() -> None:
    book = ledger(Memory(), budget_usd=0.2)
    for number in range(2):
        with pytest.raises(ProviderRefused):
            book.remember(priced(2), WRITER, number, charging(2, fails=True))
    with pytest.raises(BudgetSpent):
        book.remember(priced(2), WRITER, 2, charging(2, fails=True))
    assert book.spent_usd == 0.16


def test_before_attempt_reserves_for_a_further_attempt_where_the_first_was_charged() -> None:
    store = Memory()
    book = ledger(store, budget_usd=0.11)

    def ask() -> str:
        book.before_attempt()
        report_usage(units(2))
        (row,) = store.rows(status="pending")
        assert row["cost_usd"] == 0.08
        book.before_attempt()
        pytest.fail("the second attempt did not fit the budget")

    with pytest.raises(BudgetSpent):
        book.remember(priced(2), WRITER, "q", ask)
    assert book.spent_usd == 0.08


def test_before_attempt_that_fits_is_reserved_in_the_row_and_settled() -> None:
    store = Memory()
    book = ledger(store, budget_usd=0.16)

    def ask() -> str:
        book.before_attempt()
        assert book.spent_usd == 0.08
        report_usage(units(2))
        book.before_attempt()
        (row,) = store.rows(status="pending")
        assert (row["cost_usd"], book.spent_usd) == (0.16, 0.16)
        report_usage(units(1))
        return "reply"

    book.remember(priced(2), WRITER, "q", ask)
    assert book.spent_usd == ledger(store).spent_usd == 0.12


def test_remember_call_within_a_call_pays_each_for_itself() -> None:
    store = Memory()
    book = ledger(store)

    def search() -> str:
        report_usage(units(1))
        book.remember(priced(port="embed"), WRITER, "q", charging(2, fails=False))
        report_usage(units(3))
        return "passages"

    book.remember(priced(port="search"), WRITER, "q", search)
    paid = book.paid()
    assert {port: one.usage.units for port, one in paid.items()} == {"embed": 2, "search": 4}


def test_paid_sums_tokens_and_units_of_a_port() -> None:
    book = ledger(Memory())
    told = [Usage(tokens=Tokens(input=5, cached_input=2, output=3)), Usage(tokens=Tokens(input=7))]

    def ask(usage: Usage) -> str:
        report_usage(usage)
        return "reply"

    for number, usage in enumerate(told):
        book.remember(priced(), WRITER, number, lambda usage=usage: ask(usage))  # type: ignore[misc] # bound now
    (one,) = book.paid().values()
    assert one.calls == 2
    assert one.usage == Usage(tokens=Tokens(input=12, cached_input=2, output=3))


CALLS = st.lists(
    st.tuples(
        st.integers(0, 6),  # which request
        st.integers(1, 3),  # the most that an attempt reserves
        st.lists(st.integers(0, 3), max_size=3),  # what its attempts use
        st.sampled_from(["reply", "refused", "died"]),
        st.sampled_from(["complete", "embed", "screen"]),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(calls=CALLS, budget=st.one_of(st.none(), st.integers(0, 30)), resume=st.integers(1, 9))
def test_ledger_spent_is_the_sum_of_its_rows_whatever_fails(
    calls: list[tuple[int, int, list[int], str, str]], budget: int | None, resume: int
) -> None:
    store = Memory()
    limit = None if budget is None else budget * UNIT_USD
    book = ledger(store, budget_usd=limit)
    for place, (request, most, used, end, port) in enumerate(calls):
        if place % resume == 0:
            book = ledger(store, budget_usd=limit)

        def ask(
            book: Ledger = book, used: list[int] = used, most: int = most, end: str = end
        ) -> str:
            for each in used:
                book.before_attempt()
                report_usage(units(min(each, most)))
            if end == "refused":
                raise ProviderRefused("cut off")
            if end == "died":
                raise KeyboardInterrupt
            return "reply"

        with contextlib.suppress(BudgetSpent, ProviderRefused, KeyboardInterrupt):
            book.remember(priced(most, port), WRITER, request, ask)
        if limit is not None:
            assert book.spent_usd <= limit + 1e-9
    for reader in (book, ledger(store)):
        rows = [row for row in store.kept.values() if row.get("run_id") == "r1"]
        whole = sum(Decimal(str(row["cost_usd"])) for row in rows)
        assert Decimal(str(reader.spent_usd)) == whole
    paid = ledger(store).paid()
    assert sum(Decimal(str(one.cost_usd)) for one in paid.values()) == whole
    assert sum(one.calls for one in paid.values()) == ledger(store).calls


# ── Requests that are paid for together ───────────────────────────────────────────────────────


class Batches:
    """A service that takes many texts at once, at a unit each, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[object]] = []

    def __call__(self, requests: Sequence[object]) -> list[str]:
        self.asked.append(list(requests))
        report_usage(units(len(requests)))
        return [f"v{request}" for request in requests]


def test_remember_each_asks_once_for_what_is_not_remembered() -> None:
    store, service = Memory(), Batches()
    book = ledger(store)
    assert book.remember_each(priced(1), WRITER, ["a", "b", "a"], service) == ("va", "vb", "va")
    assert book.remember_each(priced(1), WRITER, ["b", "c"], service) == ("vb", "vc")
    resumed = ledger(store)
    assert resumed.remember_each(priced(1), WRITER, ["c", "a"], service) == ("vc", "va")
    assert service.asked == [["a", "b"], ["c"]]
    assert (resumed.spent_usd, resumed.calls, resumed.replayed) == (0.12, 2, 1)
    assert ledger(store, "r2").spent_usd == 0.0


def test_remember_each_asks_again_for_all_that_a_dead_process_had_not_kept() -> None:
    store, service = Memory(), Batches()

    def die(_: Sequence[object]) -> list[str]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger(store).remember_each(priced(1), WRITER, ["a", "b"], die)
    resumed = ledger(store)
    assert (resumed.spent_usd, resumed.calls) == (0.08, 1)
    resumed.remember_each(priced(1), WRITER, ["a", "b"], service)
    assert service.asked == [["a", "b"]]
    assert (resumed.spent_usd, resumed.calls) == (0.16, 2)
    assert ledger(store).spent_usd == 0.16


def test_remember_each_text_under_way_in_another_thread_is_waited_for() -> None:
    book, service = ledger(Memory()), Batches()
    entered, release = threading.Event(), threading.Event()

    def slow(requests: Sequence[object]) -> list[str]:
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        return service(requests)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(book.remember_each, priced(1), WRITER, ["a", "b"], slow)
        assert entered.wait(PATIENCE_SECONDS)
        second = pool.submit(book.remember_each, priced(1), WRITER, ["b", "c"], service)
        while len(service.asked) < 1:
            assert not second.done()
        release.set()
        assert first.result(timeout=PATIENCE_SECONDS) == ("va", "vb")
        assert second.result(timeout=PATIENCE_SECONDS) == ("vb", "vc")
    assert service.asked == [["c"], ["a", "b"]]
    assert book.spent_usd == 0.12


def test_remember_each_failure_reaches_everyone_who_waits_and_is_not_remembered() -> None:
    store, service = Memory(), Batches()
    book = ledger(store)

    def refuse(_: Sequence[object]) -> list[str]:
        report_usage(units(1))
        raise ProviderRefused("no")

    with pytest.raises(ProviderRefused):
        book.remember_each(priced(1), WRITER, ["a", "b"], refuse)
    assert book.remember_each(priced(1), WRITER, ["a", "b"], service) == ("va", "vb")
    assert (book.spent_usd, ledger(store).spent_usd) == (0.12, 0.12)


# ── Beside another run ────────────────────────────────────────────────────────────────────────


def test_ledger_of_another_run_leaves_the_pending_row_of_a_live_call_alone() -> None:
    store = Memory()
    book = ledger(store)

    def ask() -> str:
        # As another process does, while this call is under way.
        assert ledger(store, "r2").spent_usd == 0.0
        (row,) = store.rows(status="pending")
        assert row["run_id"] == "r1"
        return "reply"

    assert book.remember(terms(), WRITER, "q", ask) == "reply"
    assert (ledger(store).calls, ledger(store).spent_usd) == (1, 0.04)


def test_remember_request_that_a_dead_run_left_pending_is_asked_and_stays_that_runs_loss() -> None:
    store = Memory()
    with pytest.raises(KeyboardInterrupt):
        ledger(store).remember(terms(), WRITER, "q", Service(KeyboardInterrupt()))
    other = ledger(store, "r2")
    other.remember(terms(), WRITER, "q", Service())
    assert (other.calls, other.spent_usd) == (ledger(store, "r2").calls, 0.04) == (1, 0.04)
    assert (ledger(store).calls, ledger(store).spent_usd) == (1, 0.10)


CHILD = """
import os, signal, sys
from pathlib import Path
from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.model import Identity
from liftwright.calls.ledger import Ledger, Terms

terms = Terms(port="complete", reserve_usd=lambda _: 0.10, cost_usd=lambda _: 0.04,
              encode=lambda reply: reply, decode=str)
ledger = Ledger(SqliteStore(Path(sys.argv[1])), run_id="r1", budget_usd=None)
asked = Path(sys.argv[2])

def ask(number):
    with asked.open("a") as file:
        file.write(f"{number}\\n")
    if str(number) == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"reply {number}"

me = Identity(provider="test")
print([ledger.remember(terms, me, n, lambda n=n: ask(n)) for n in range(4)])
print(round(ledger.spent_usd, 6), ledger.calls, ledger.replayed)
"""


def test_ledger_killed_between_call_and_reply_resumes_and_repeats_that_call_alone(
    tmp_path: Path,
) -> None:
    store, asked = tmp_path / "ledger.sqlite", tmp_path / "asked"

    def run(kill_at: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", CHILD, str(store), str(asked), kill_at]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert run("2").returncode == -9
    resumed = run("never")
    assert resumed.returncode == 0, resumed.stderr
    replies, totals = resumed.stdout.splitlines()
    assert replies == str([f"reply {n}" for n in range(4)])
    assert asked.read_text().split() == ["0", "1", "2", "2", "3"]
    assert totals == "0.26 5 2"
    assert run("never").stdout.splitlines()[1] == "0.26 5 4"


def test_ledger_on_a_damaged_file_is_an_integrity_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    store = SqliteStore(path)
    ledger(store).remember(terms(), WRITER, "q", Service())
    store.close()
    data = path.read_bytes()
    assert data.count(b"reply 1") == 1
    path.write_bytes(data.replace(b"reply 1", b"reply 9"))
    damaged = SqliteStore(path)
    with pytest.raises(IntegrityError) as caught:
        ledger(damaged).remember(terms(), WRITER, "q", Service())
    damaged.close()
    assert caught.value.exit_status == 4


def test_check_budget_raises_again_what_an_agent_went_on_without() -> None:
    book = ledger(Memory(), budget_usd=0.1)
    book.remember(terms(), WRITER, "q", Service())
    book.check_budget()
    with pytest.raises(BudgetSpent) as refused:
        book.remember(terms(), WRITER, "other", Service())
    with pytest.raises(BudgetSpent) as again:
        book.check_budget()
    assert str(again.value) == str(refused.value)
