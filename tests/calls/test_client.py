from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fake_clock import FakeClock
from liftwright.calls.cache_policy import (
    CachePolicy,
    complete_policy,
    embed_policy,
    judge_policy,
    screen_policy,
    search_policy,
    shield_policy,
)
from liftwright.calls.client import PortClient
from liftwright.calls.ledger import Ledger
from liftwright.config import Services
from liftwright.errors import BudgetSpent, ProviderRefused, ProviderUnavailable
from liftwright.model import (
    Completion,
    Finding,
    Identity,
    Judgment,
    Passage,
    Prompt,
    Query,
    Tokens,
    Usage,
)
from liftwright.ports import Meter, Reply
from memory_store import Memory
from writing_samples import BARE_PROMPT

IDENTITY = Identity(provider="test", model="m")
PROMPT = replace(BARE_PROMPT, text="Write to ümlaut")
FINDING = Finding(check="safety", category="hate", severity=0, score=0.0)
PASSAGE = Passage(
    document_id="d", version="1", title="t", section="s", paragraph_index=0, text="p", score=0.5
)


class Writer:
    """A writer that fails some times."""

    identity = IDENTITY

    def __init__(self, *, metered: bool, failures: int = 0, longest: int | None = None) -> None:
        self.metered = metered
        if longest is not None:
            self.max_output_tokens = longest
        self.failures = failures
        self.asked = 0

    def __call__(self, request: Prompt, /) -> Completion:
        self.asked += 1
        if self.asked <= self.failures:
            raise ProviderUnavailable("503")
        return Completion(text=request.text, model="m", cost_usd=0.25)


class Finder:
    """A port that is never called."""

    identity = IDENTITY
    metered = True

    def __call__(self, request: Any, /) -> Any:
        raise AssertionError(request)


def ledger_of(store: Memory | None = None, budget_usd: float | None = None) -> Ledger:
    return Ledger(store or Memory(), run_id="r1", budget_usd=budget_usd)


def free_policy() -> CachePolicy[Completion]:
    return complete_policy(Services(), Writer(metered=True))


def test_client_metered_port_is_called_once_with_retries_and_then_replayed() -> None:
    writer, calls, ledger = Writer(metered=True, failures=2), FakeClock().calls(), ledger_of()
    client = PortClient(writer, free_policy(), calls, ledger=lambda: ledger)
    first, second = client(PROMPT), client(PROMPT)
    assert first == second == Completion(text=PROMPT.text, model="m", cost_usd=0.25)
    assert (writer.asked, ledger.calls, ledger.replayed, ledger.spent_usd) == (3, 1, 1, 0.25)
    totals = calls.totals()["complete"]
    assert (totals.calls, totals.attempts) == (1, 3)
    assert (client.identity, client.metered) == (IDENTITY, True)


def test_client_port_on_this_machine_is_called_each_time_and_opens_no_ledger() -> None:
    def no_ledger() -> Ledger:
        pytest.fail("a port that costs nothing opened the ledger")

    writer = Writer(metered=False)
    client = PortClient(writer, free_policy(), FakeClock().calls(), ledger=no_ledger)
    assert client(PROMPT) == client(PROMPT)
    assert writer.asked == 2


class Screener:
    """A third party's screener, which reports no usage."""

    identity = IDENTITY
    metered = True

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        return (FINDING,) if request else ()


class Batch(Writer):
    """A writer that also takes several requests at once."""

    def many(self, requests: tuple[Prompt, ...]) -> tuple[Completion, ...]:
        return tuple(Completion(text=f"{len(requests)}", model="m") for _ in requests)


@pytest.mark.parametrize(
    ("writer", "offered"),
    [(Batch(metered=False), True), (Batch(metered=True), False), (Writer(metered=False), False)],
)
def test_client_many_is_offered_by_a_free_port_that_can_alone(
    writer: Writer,
    offered: bool,  # noqa: FBT001
) -> None:
    calls = FakeClock().calls()
    many = PortClient(writer, free_policy(), calls).many
    assert (many is not None) is offered
    if many is not None:
        assert [reply.text for reply in many((PROMPT, PROMPT))] == ["2", "2"]
        assert calls.totals()["complete"].calls == 1


def priced() -> Services:
    return Services.model_validate(
        {
            "prices": {
                "m": {
                    "input_usd_per_million": 2.0,
                    "cached_input_usd_per_million": 1.0,
                    "output_usd_per_million": 10.0,
                    "as_of": "2026-03-01",
                }
            },
            "embedding_prices": {"small": {"input_usd_per_million": 1.0, "as_of": "2026-11-01"}},
            "service_prices": {"test": {"usd_per_thousand": 1.0, "as_of": "2026-11-01"}},
        }
    )


def test_complete_policy_reserves_the_longest_reply_and_two_bytes_a_token() -> None:
    reserved = complete_policy(priced(), Writer(metered=True, longest=1000)).reserve_usd(PROMPT)
    most_input = len(PROMPT.text.encode()) / 2
    assert reserved == pytest.approx((most_input * 2.0 + 1000 * 10.0) / 1e6)
    assert free_policy().reserve_usd(PROMPT) == 0.0


@pytest.mark.parametrize(
    ("policy", "reply"),
    [
        (free_policy(), Completion(text="t", model="m", tokens=Tokens(input=3), cost_usd=0.5)),
        (screen_policy(Services(), Screener()), (FINDING, FINDING)),
        (search_policy(Services(), Finder()), (PASSAGE,)),
        (shield_policy(Services(), Finder()), True),
        (judge_policy(Services(), Finder()), Judgment(grounded=False, ungrounded_share=0.5)),
    ],
    ids=lambda value: value.port if isinstance(value, CachePolicy) else "",
)
def test_policy_replies_are_decoded_as_they_were_and_nothing_else_is(
    policy: CachePolicy[Any], reply: object
) -> None:
    assert policy.decode(json.loads(json.dumps(policy.encode(reply)))) == reply
    for other in (None, {}, "text", [1], [{"check": "safety"}]):
        with pytest.raises(ValueError, match=r"expected|no field|missing"):
            policy.decode(other)


def test_screen_policy_charges_by_the_records_of_a_text() -> None:
    ledger, policy = ledger_of(budget_usd=0.004), screen_policy(priced(), Screener())
    screen = PortClient(Screener(), policy, FakeClock().calls(), ledger=lambda: ledger)
    screen("a" * 1500)
    screen("b")
    screen("b")
    assert ledger.spent_usd == 0.003
    with pytest.raises(BudgetSpent):
        screen("c" * 1001)
    # A text sent in several pieces has more records than thousands of characters.
    assert policy.reserve_usd("a" * 10_001) == pytest.approx(0.022)


def test_search_policy_reserves_the_most_queries_and_charges_those_that_were_made() -> None:
    class Deep(Finder):
        most_queries = 4

        def call_with_usage(self, request: Query, /) -> Reply[tuple[Passage, ...]]:
            with Meter() as meter:
                for _ in range(2):
                    meter.add(Usage(units=1))
                return meter.reply(() if request.text else (PASSAGE,))

    ledger, policy = ledger_of(), search_policy(priced(), Deep())
    assert policy.reserve_usd(None) == pytest.approx(0.004)
    PortClient(Deep(), policy, FakeClock().calls(), ledger=lambda: ledger)(Query(text="q", top_k=3))
    assert ledger.spent_usd == 0.002


def test_complete_policy_prices_the_tokens_of_a_third_partys_reply() -> None:
    class Silent(Writer):
        def __call__(self, request: Prompt, /) -> Completion:
            return Completion(text=request.text, model="m", tokens=Tokens(input=100, output=10))

    ledger, writer = ledger_of(), Silent(metered=True)
    policy = complete_policy(priced(), writer)
    PortClient(writer, policy, FakeClock().calls(), ledger=lambda: ledger)(PROMPT)
    assert ledger.spent_usd == pytest.approx((100 * 2.0 + 10 * 10.0) / 1e6)
    assert ledger.spend()["complete"].usage.tokens == Tokens(input=100, output=10)


class Embedder:
    """A paid embedder: a vector tells a text's length; some calls fail."""

    identity = Identity(provider="acme", model="small")
    metered = True

    def __init__(self, failures: int = 0, charged_failures: int = 0) -> None:
        self.failures, self.charged_failures = failures, charged_failures
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, request: tuple[str, ...], /) -> Any:
        return self.call_with_usage(request).value

    def call_with_usage(self, request: tuple[str, ...], /) -> Reply[Any]:
        with Meter() as meter:
            self.asked.append(request)
            if len(self.asked) <= self.failures:
                raise ProviderUnavailable("503")
            meter.add(Usage(tokens=Tokens(input=sum(map(len, request)))))
            if len(self.asked) <= self.charged_failures:
                raise ProviderUnavailable("broken vectors")
            rows = [[len(text), 1.5, -0.25] for text in request]
            return meter.reply(np.array(rows, dtype=np.float32))


PER_TOKEN = 1e-6


def embed_client(
    embedder: Embedder, ledger: Ledger, *, nested: bool = False
) -> PortClient[tuple[str, ...], Any]:
    policy = embed_policy(priced(), embedder)
    return PortClient(embedder, policy, FakeClock().calls(), ledger=lambda: ledger, nested=nested)


def test_embed_asks_for_each_text_once_and_pays_what_the_service_counts() -> None:
    embedder, store = Embedder(), Memory()
    ledger = ledger_of(store)
    embed = embed_client(embedder, ledger)
    first = embed(("one", "three", "one"))
    np.testing.assert_array_equal(first[:, 0], np.float32([3, 5, 3]))
    assert first.dtype == np.float32
    embed(("three", "seven!!"))
    # As in a resumed run: another adapter, the same rows.
    resumed = ledger_of(store)
    again = embed_client(embedder, resumed)
    np.testing.assert_array_equal(again(("seven!!", "one")), embed(("seven!!", "one")))
    assert embedder.asked == [("one", "three"), ("seven!!",)]
    assert ledger.spent_usd == resumed.spent_usd == pytest.approx(15 * PER_TOKEN)
    assert ledger.spend()["embed"].usage.tokens == Tokens(input=15)


def test_embed_reserves_a_token_a_byte_and_stays_within_the_budget() -> None:
    embedder, ledger = Embedder(), ledger_of(budget_usd=12 * PER_TOKEN)
    embed = embed_client(embedder, ledger)
    embed(("éé",))
    with pytest.raises(BudgetSpent):
        embed(("eleven chars",))
    assert embedder.asked == [("éé",)]
    assert ledger.spent_usd == pytest.approx(2 * PER_TOKEN)


def test_embed_charged_attempts_are_paid_though_they_failed() -> None:
    ledger = ledger_of()
    embed_client(Embedder(charged_failures=2), ledger)(("four",))
    assert ledger.spent_usd == pytest.approx(12 * PER_TOKEN)


def test_embed_that_stays_away_within_a_search_is_not_retried_twice_over() -> None:
    embedder, ledger = Embedder(failures=99), ledger_of()
    embed = embed_client(embedder, ledger, nested=True)

    class Search(Finder):
        def __call__(self, request: Query, /) -> tuple[Passage, ...]:
            embed((request.text,))
            return ()

    policy = search_policy(Services(), Search())
    search = PortClient(Search(), policy, FakeClock().calls(), ledger=lambda: ledger)
    with pytest.raises(ProviderRefused, match="503"):
        search(Query(text="q", top_k=3))
    assert len(embedder.asked) == 4
    with pytest.raises(ProviderUnavailable):
        embed_client(embedder, ledger)(("q",))
