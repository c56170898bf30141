from __future__ import annotations

import contextlib
import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memory_store
from fake_clock import FakeClock
from liftwright.calls.cache_policy import CachePolicy, embed_policy, screen_policy
from liftwright.calls.client import CallContext
from liftwright.calls.ledger import Ledger
from liftwright.config import Services
from liftwright.errors import (
    BudgetSpent,
    IntegrityError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.model import Finding, Identity, Prompt, Query, Usage, from_json, to_json
from liftwright.ports import Meter
from waiting import PATIENCE_SECONDS
from writing_samples import BARE_PROMPT, PASSAGES, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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


def policy(reserve: float = 0.10, cost: float = 0.04, port: str = "complete") -> CachePolicy[str]:
    return CachePolicy(
        port=port,
        reserve_usd=lambda _: reserve,
        price_usd=lambda _: cost,
        encode=lambda reply: reply,
        decode=text_of,
    )


class Port:
    """A paid port that calls a function, and reports no usage."""

    metered = True

    def __init__(self, ask: Callable[[], object], identity: Identity = WRITER) -> None:
        self.identity = identity
        self._ask = ask

    def __call__(self, _: object, /) -> object:
        return self._ask()


def call(  # noqa: PLR0913 - what a call is made of
    book: Ledger,
    ask: Callable[[], object],
    request: object = "q",
    *,
    by: CachePolicy[Any] | None = None,
    identity: Identity = WRITER,
    retries: int = 0,
) -> object:
    """One call through all layers."""
    by = by or policy()
    calls = FakeClock().calls(retries=retries, concurrency=64)
    context = CallContext(service=by.port, ledger=book)
    return calls.compose(Port(ask, identity), by)(request, context)


class Service:
    """A paid service: replies with its number of calls, or raises the given errors first."""

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


def test_call_row_is_pending_with_its_reservation_before_the_call() -> None:
    store = Memory()

    def ask() -> str:
        store.order.append("asked")
        (row,) = store.rows(status="pending")
        assert (row["run_id"], row["port"]) == ("r1", "complete")
        return "reply"

    book = ledger(store)
    assert call(book, ask) == "reply"
    assert store.order == ["pending 0.1", "asked", "done 0.04"]
    (row,) = store.rows(status="done")
    assert row["reply"] == "reply"
    assert book.spent_usd == pytest.approx(0.04)
    assert (book.calls, book.replayed) == (1, 0)


def test_call_done_reply_is_replayed_in_this_and_every_later_run() -> None:
    store, service = Memory(), Service()
    first = ledger(store)
    assert [call(first, service) for _ in range(3)] == ["reply 1"] * 3
    assert (first.calls, first.replayed) == (1, 2)
    for run_id in ("r1", "r2", "r3"):
        later = ledger(store, run_id, budget_usd=0.04)
        assert call(later, service) == "reply 1"
        assert later.replayed == 1
    assert service.asked == 1
    assert ledger(store, "r2").spent_usd == 0.0


def test_call_that_failed_is_not_replayed_and_costs_nothing() -> None:
    store, service = Memory(), Service(ProviderUnavailable("503"))
    book = ledger(store)
    with pytest.raises(ProviderUnavailable):
        call(book, service)
    assert (book.spent_usd, book.calls) == (0.0, 0)
    assert store.order[-1] == "failed 0.0"
    assert call(ledger(store, "r2"), service) == "reply 2"


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
def test_call_anything_that_differs_is_made_anew(
    port: str, identity: Identity, request_: str
) -> None:
    service, book = Service(), ledger(Memory())
    call(book, service)
    call(book, service, request_, by=policy(port=port), identity=identity)
    assert service.asked == 2


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """The containers and keys of every leaf of a JSON value."""
    for key in value if isinstance(value, dict) else range(len(value)):
        if isinstance(value[key], dict | list):
            yield from leaves(value[key])
        else:
            yield value, key


@pytest.mark.parametrize(
    "request_",
    [
        dataclasses.replace(BARE_PROMPT, segment=SEGMENT, passages=PASSAGES[:1], feedback=("no",)),
        Query(text="a", top_k=3, categories=("c",), audience=("a",), excluded=("e",)),
    ],
)
def test_key_changes_with_every_value_of_a_request(request_: Prompt | Query) -> None:
    book, written = ledger(Memory()), to_json(request_)
    key = book.key("complete", WRITER, request_)
    for container, name in list(leaves(written)):
        before = container[name]
        if not isinstance(before, str | int | float):
            continue
        container[name] = f"{before}x" if isinstance(before, str) else before + 1
        if isinstance(before, bool):
            container[name] = not before
        changed = from_json(type(request_), written)
        assert book.key("complete", WRITER, changed) != key, name
        container[name] = before


def test_refresh_asks_anew_deletes_nothing_and_later_runs_replay_the_newest() -> None:
    store, service = Memory(), Service()
    call(ledger(store), service)
    call(ledger(store), service, "old only")
    before = {key: dict(row) for key, row in store.kept.items()}
    assert call(ledger(store, "r2", refresh=True), service) == "reply 3"
    assert {key: store.kept[key] for key in before} == before
    later = ledger(store, "r3")
    assert call(later, service) == "reply 3"
    assert call(later, service, "old only") == "reply 4"
    assert call(ledger(store, "r4", refresh=True), service) == "reply 5"


def test_call_like_requests_in_flight_become_one() -> None:
    store = Memory()
    book = ledger(store)
    entered, release, asked = threading.Event(), threading.Event(), []

    def ask() -> str:
        asked.append(1)
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        return "reply"

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(call, book, ask)]
        assert entered.wait(PATIENCE_SECONDS)
        running += [pool.submit(call, book, ask) for _ in range(5)]
        release.set()
        assert [done.result(timeout=PATIENCE_SECONDS) for done in running] == ["reply"] * 6
    assert (len(asked), book.calls) == (1, 1)
    assert book.spent_usd == pytest.approx(0.04)


def test_call_whoever_waits_for_a_failing_call_gets_its_error_as_do_later_ones() -> None:
    store, service = Memory(), Service()
    book = ledger(store)
    entered, release = threading.Event(), threading.Event()

    def ask() -> str:
        entered.set()
        assert release.wait(PATIENCE_SECONDS)
        raise ProviderUnavailable("503")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call, book, ask)
        assert entered.wait(PATIENCE_SECONDS)
        while store.looked_up.acquire(blocking=False):
            pass
        waiting = pool.submit(call, book, service)
        # Lookup and joining are one step: a call that has looked up has joined.
        assert store.looked_up.acquire(timeout=PATIENCE_SECONDS)
        release.set()
        for one in (first, waiting):
            with pytest.raises(ProviderUnavailable, match="503"):
                one.result(timeout=PATIENCE_SECONDS)
    assert service.asked == 0
    assert book.spent_usd == 0.0
    with pytest.raises(ProviderUnavailable, match="503"):
        call(book, service)
    # Another process asks again.
    assert call(ledger(store), service) == "reply 1"


@pytest.mark.parametrize(("budget", "reserve"), [(0.0, 0.1), (0.0999, 0.1), (1.0, float("nan"))])
def test_call_reservation_above_the_budget_is_refused_unasked(
    budget: float, reserve: float
) -> None:
    store, service = Memory(), Service()
    with pytest.raises(BudgetSpent) as caught:
        call(ledger(store, budget_usd=budget), service, by=policy(reserve))
    assert caught.value.exit_status == 3
    assert (service.asked, store.kept) == (0, {})


def test_check_budget_raises_again_what_an_agent_went_on_without() -> None:
    book = ledger(Memory(), budget_usd=0.1)
    call(book, Service())
    book.check_budget()
    with pytest.raises(BudgetSpent) as refused:
        call(book, Service(), "other")
    with pytest.raises(BudgetSpent) as again:
        book.check_budget()
    assert str(again.value) == str(refused.value)


@settings(deadline=None, max_examples=30)
@given(
    budget=st.floats(0, 1),
    calls=st.lists(st.tuples(st.floats(0, 0.4), st.floats(0, 1), st.booleans()), max_size=14),
)
def test_call_concurrent_calls_never_exceed_the_budget(
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

        with contextlib.suppress(BudgetSpent, ProviderUnavailable):
            call(book, ask, number, by=policy(reserve, reserve * part))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, n) for n in range(len(calls))]:
            done.result(timeout=PATIENCE_SECONDS)
    assert most[0] <= budget + 1e-6
    # Each call's cost is kept to the billionth of a dollar.
    assert book.spent_usd == pytest.approx(paid[0], abs=len(calls) * 1e-9)
    assert ledger(store).spent_usd == book.spent_usd


def interrupted(store: Memory) -> Ledger:
    """A ledger whose only call was interrupted."""
    book = ledger(store)
    with pytest.raises(KeyboardInterrupt):
        call(book, Service(KeyboardInterrupt()))
    return book


def test_ledger_pending_row_of_a_dead_process_stays_spent_and_is_asked_again() -> None:
    store, service = Memory(), Service()
    interrupted(store)
    assert len(list(store.rows(status="pending"))) == 1
    resumed = ledger(store)
    assert (resumed.spent_usd, resumed.calls) == (0.10, 1)
    assert call(resumed, service) == "reply 1"
    assert resumed.spent_usd == pytest.approx(0.14)
    assert resumed.calls == 2
    after = ledger(store)
    assert (after.spent_usd, after.calls) == (pytest.approx(0.14), 2)
    assert ledger(store, "r2").spent_usd == 0.0


def test_ledger_closing_cut_short_counts_a_lost_call_once() -> None:
    store = Memory()
    interrupted(store)
    (pending,) = store.rows(status="pending")
    ledger(store)
    # As if the process had died after writing the lost row and before the other.
    store.kept[str(pending["key"])] = dict(pending)
    assert (ledger(store).spent_usd, ledger(store).calls) == (0.10, 1)


def test_call_reply_that_cannot_be_kept_stays_paid_for() -> None:
    def broken(_: str) -> object:
        raise ValueError("no form")

    store = Memory()
    with pytest.raises(ValueError, match="no form"):
        call(ledger(store), Service(), by=dataclasses.replace(policy(), encode=broken))
    assert (ledger(store).spent_usd, ledger(store).calls) == (0.10, 1)


@pytest.mark.parametrize("change", [{"reply": 7}, {"reply": None}, {"reply": {"a": 1}}])
def test_call_kept_reply_of_another_form_is_an_integrity_error(
    change: dict[str, object],
) -> None:
    store, service = Memory(), Service()
    call(ledger(store), service)
    (row,) = store.rows(status="done")
    store.kept[str(row["key"])] |= change
    with pytest.raises(IntegrityError) as caught:
        call(ledger(store), service)
    assert (caught.value.exit_status, service.asked) == (4, 1)


UNIT_USD = 0.04


def units(count: int) -> Usage:
    return Usage(units=count)


def priced(most: int = 3, port: str = "complete") -> CachePolicy[str]:
    """The policy of a service that charges by units."""
    return dataclasses.replace(
        policy(most * UNIT_USD, port=port), price_usd=lambda usage: usage.units * UNIT_USD
    )


class Reporting(Port):
    """A paid port that reports the usage of each attempt; the last may raise an error."""

    def __init__(self, *used: int | None, end: BaseException | None = None) -> None:
        super().__init__(lambda: None)
        self._used, self._end = list(used), end
        self.before_attempt: Callable[[], object] = lambda: None

    def call_with_usage(self, _: object, /) -> Any:
        self.before_attempt()
        with Meter() as meter:
            used = self._used.pop(0) if self._used else None
            if used is not None:
                meter.add(units(used))
            if self._used:
                raise ProviderUnavailable("broken")
            if self._end is not None:
                raise self._end
            return meter.reply("reply")


def pay(
    book: Ledger, port: Port, request: object = "q", *, by: CachePolicy[Any] | None = None
) -> object:
    """One call through all layers, with as many retries as it takes."""
    by, calls = by or priced(), FakeClock().calls(retries=9)
    return calls.compose(port, by)(request, CallContext(service=by.port, ledger=book))


def refused(*used: int) -> Reporting:
    return Reporting(*used, end=ProviderRefused("cut off"))


def test_call_refused_reply_that_was_charged_is_paid_and_asked_anew() -> None:
    store = Memory()
    book = ledger(store)
    with pytest.raises(ProviderRefused) as caught:
        pay(book, refused(2))
    # An outer call must not pay for it again.
    assert caught.value.usage is None
    assert (book.spent_usd, book.calls) == (0.08, 1)
    again = ledger(store)
    assert (again.spent_usd, again.calls) == (0.08, 1)
    assert pay(again, Reporting(1)) == "reply"
    assert (again.spent_usd, again.calls, again.replayed) == (0.12, 2, 0)
    assert ledger(store).spend()["complete"].usage == units(3)
    # The failure still belongs to the run that paid for it.
    assert ledger(store, "r2").spend() == {}


def test_retry_after_a_charged_attempt_is_refused_where_it_does_not_fit_the_budget() -> None:
    book = ledger(Memory(), budget_usd=0.11)
    port = Reporting(2, 1)
    with pytest.raises(BudgetSpent):
        pay(book, port, by=priced(2))
    assert port._used == [1]
    assert book.spent_usd == 0.08


def test_retry_after_a_charged_attempt_is_reserved_in_the_row_and_settled() -> None:
    store = Memory()
    book, port, reserved = ledger(store, budget_usd=0.16), Reporting(2, 1), []
    port.before_attempt = lambda: reserved.append(
        (book.spent_usd, next(iter(store.rows(status="pending")))["cost_usd"])
    )
    pay(book, port, by=priced(2))
    assert reserved == [(0.08, 0.08), (0.16, 0.16)]
    assert book.spent_usd == ledger(store).spent_usd == 0.12


def test_call_within_a_call_pays_each_for_itself() -> None:
    class Search(Port):
        def call_with_usage(self, request: object, /) -> Any:
            with Meter() as meter:
                meter.add(units(1))
                pay(book, Reporting(2), by=priced(port="judge"))
                meter.add(units(3))
                if request == "fails":
                    pay(book, refused(1), "more", by=priced(port="judge"))
                return meter.reply("passages")

    book = ledger(Memory())
    search = Search(lambda: None)
    pay(book, search, by=priced(port="search"))
    assert {port: one.usage.units for port, one in book.spend().items()} == {
        "judge": 2,
        "search": 4,
    }
    with pytest.raises(ProviderRefused):
        pay(book, search, "fails", by=priced(port="search"))
    assert {port: one.usage.units for port, one in book.spend().items()} == {
        "judge": 3,
        "search": 8,
    }


CALLS = st.lists(
    st.tuples(
        st.integers(0, 6),  # which request
        st.integers(1, 3),  # the most that an attempt reserves
        st.lists(st.none() | st.integers(0, 3), max_size=3),  # what its attempts use
        st.sampled_from([None, ProviderRefused("cut off"), KeyboardInterrupt()]),
        st.sampled_from(["complete", "judge", "screen"]),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(calls=CALLS, budget=st.one_of(st.none(), st.integers(0, 30)), resume=st.integers(1, 9))
def test_ledger_spent_is_the_sum_of_its_rows_whatever_fails(
    calls: list[tuple[int, int, list[int | None], BaseException | None, str]],
    budget: int | None,
    resume: int,
) -> None:
    store = Memory()
    limit = None if budget is None else budget * UNIT_USD
    book = ledger(store, budget_usd=limit)
    for place, (request, most, used, end, port) in enumerate(calls):
        if place % resume == 0:
            book = ledger(store, budget_usd=limit)
        kept = [None if one is None else min(one, most) for one in used]
        with contextlib.suppress(BudgetSpent, ProviderRefused, KeyboardInterrupt):
            pay(book, Reporting(*kept, end=end), request, by=priced(most, port))
        if limit is not None:
            assert book.spent_usd <= limit + 1e-9
    for reader in (book, ledger(store)):
        rows = [row for row in store.kept.values() if row.get("run_id") == "r1"]
        whole = sum(Decimal(str(row["cost_usd"])) for row in rows)
        assert Decimal(str(reader.spent_usd)) == whole
    spend = ledger(store).spend()
    assert sum(Decimal(str(one.cost_usd)) for one in spend.values()) == whole
    assert sum(one.calls for one in spend.values()) == ledger(store).calls


class Embedder(Port):
    """Takes many texts at once, at a unit each; a vector tells a text's length."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.asked: list[tuple[str, ...]] = []
        self.before_reply: Callable[[], object] = lambda: None

    def call_with_usage(self, texts: tuple[str, ...], /) -> Any:
        with Meter() as meter:
            self.asked.append(texts)
            meter.add(units(len(texts)))
            self.before_reply()
            return meter.reply([np.float32([len(text), 0.5]) for text in texts])


VECTORS: CachePolicy[Any] = CachePolicy(
    port="embed",
    reserve_usd=lambda texts: len(texts) * UNIT_USD,
    price_usd=lambda usage: usage.units * UNIT_USD,
    encode=lambda vector: vector.tolist(),
    decode=np.float32,
)


def embed(book: Ledger, port: Embedder, *texts: str) -> list[float]:
    """The lengths that the vectors hold."""
    found: Any = pay(book, port, texts, by=VECTORS)
    return [float(row[0]) for row in found]


def dies() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("resumes", [True, False])
def test_embed_asks_again_for_all_that_an_interrupted_call_had_not_kept(
    resumes: bool,  # noqa: FBT001
) -> None:
    store, dying, port = Memory(), Embedder(), Embedder()
    book, dying.before_reply = ledger(store), dies
    with pytest.raises(KeyboardInterrupt):
        embed(book, dying, "a", "b")
    again = ledger(store) if resumes else book
    embed(again, port, "a", "b")
    assert port.asked == [("a", "b")]
    for reader in (again, ledger(store)):
        assert (reader.spent_usd, reader.calls) == (0.16, 2)


def test_embed_text_in_flight_in_another_thread_is_waited_for() -> None:
    book, slow, port = ledger(Memory()), Embedder(), Embedder()
    entered, release = threading.Event(), threading.Event()

    def hold() -> None:
        entered.set()
        assert release.wait(PATIENCE_SECONDS)

    slow.before_reply = hold
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(embed, book, slow, "a", "bb")
        assert entered.wait(PATIENCE_SECONDS)
        second = pool.submit(embed, book, port, "bb", "ccc")
        while not port.asked:
            assert not second.done()
        release.set()
        assert first.result(timeout=PATIENCE_SECONDS) == [1, 2]
        assert second.result(timeout=PATIENCE_SECONDS) == [2, 3]
    assert (slow.asked, port.asked) == ([("a", "bb")], [("ccc",)])
    assert book.spent_usd == 0.12


def test_rows_of_earlier_versions_are_replayed() -> None:
    """Users have paid for them: these are as the ledger's first version wrote them."""
    store = Memory()
    finding = {"check": "safety", "category": "hate", "severity": 0, "score": 0.0, "reason": ""}
    usage = {"tokens": {"input": 0, "cached_input": 0, "output": 0}, "units": 1}
    done = {"status": "done", "run_id": "r1", "cost_usd": 0.001, "usage": usage}
    store.put(
        "164cd4c55d95376375d4fa8db05d77cc8a5052fa7c924dd094fe05730e260d37",
        {**done, "port": "screen", "reply": [{**finding, "start": None, "end": None}]},
    )
    parts = {
        "9d0f95fc2939a97ba572b35a300623aa43746fb444c9982338309eac5c61d2dd": "AABAQAAAwD8=",
        "8a3fa8c47077c36f50f5256567c41cc768eeba9514c4d0c9b71a9e75813d29f4": "AACAQAAAwD8=",
    }
    for key, reply in parts.items():
        store.put(key, {"status": "part", "port": "embed", "reply": reply})
    book, service = ledger(store), Service()
    screen = screen_policy(Services(), Port(service))  # type: ignore[arg-type]
    assert call(book, service, "a text", by=screen) == (
        Finding(check="safety", category="hate", severity=0, score=0.0),
    )
    small = Identity(provider="acme", model="small")
    vectors = embed_policy(Services(), Port(service, small))  # type: ignore[arg-type]
    found: Any = call(book, service, ("one", "two!"), by=vectors, identity=small)
    assert found.tolist() == [[3.0, 1.5], [4.0, 1.5]]
    assert (service.asked, book.calls, book.spent_usd) == (0, 1, 0.001)


def test_ledger_of_another_run_leaves_the_pending_row_of_a_live_call_alone() -> None:
    store = Memory()

    def ask() -> str:
        # As another process does, while this call is in flight.
        assert ledger(store, "r2").spent_usd == 0.0
        (row,) = store.rows(status="pending")
        assert row["run_id"] == "r1"
        return "reply"

    assert call(ledger(store), ask) == "reply"
    assert (ledger(store).calls, ledger(store).spent_usd) == (1, 0.04)


def test_call_that_a_dead_run_left_pending_is_made_and_stays_that_runs_loss() -> None:
    store = Memory()
    interrupted(store)
    other = ledger(store, "r2")
    call(other, Service())
    assert (other.calls, other.spent_usd) == (ledger(store, "r2").calls, 0.04) == (1, 0.04)
    assert (ledger(store).calls, ledger(store).spent_usd) == (1, 0.10)
