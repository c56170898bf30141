from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liftwright.calls.cache_policy import complete_terms, screen_terms, search_terms
from liftwright.calls.ledger import Ledger, Terms
from liftwright.calls.metered_client import Guarded, PaidEmbed
from liftwright.calls.retry import Calls
from liftwright.config import Calls as CallSettings
from liftwright.config import Services
from liftwright.errors import BudgetSpent, ProviderRefused, ProviderUnavailable
from liftwright.model import (
    Completion,
    Finding,
    Identity,
    Limits,
    Passage,
    Prompt,
    Query,
    Segment,
    Tokens,
    Usage,
)
from liftwright.usage import report_usage
from memory_store import Memory

IDENTITY = Identity(provider="test", model="m")
PROMPT = Prompt(
    text="Write to ümlaut",
    brand="Larkspur",
    segment=Segment(label="s", size=1, share=1.0, definition="d", description=""),
    tone="urgent",
    passages=(),
    limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=9),
)
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
    """A search that is never asked."""

    identity = IDENTITY
    metered = True

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        raise AssertionError(request)


def free_terms() -> Terms[Completion]:
    return complete_terms(Services(), Writer(metered=True))


def test_guarded_metered_port_is_asked_once_with_retries_and_then_remembered() -> None:
    writer, calls = Writer(metered=True, failures=2), Calls(CallSettings(), sleep=lambda _: None)
    ledger = Ledger(Memory(), run_id="r1", budget_usd=None)
    guarded = Guarded(writer, free_terms(), calls, lambda: ledger)
    first, second = guarded(PROMPT), guarded(PROMPT)
    assert first == second == Completion(text=PROMPT.text, model="m", cost_usd=0.25)
    assert (writer.asked, ledger.calls, ledger.replayed, ledger.spent_usd) == (3, 1, 1, 0.25)
    assert calls.totals()["complete"].attempts == 3


def test_guarded_free_port_is_asked_each_time_and_opens_no_ledger() -> None:
    writer, calls = Writer(metered=False), Calls(CallSettings(), sleep=lambda _: None)

    def no_ledger() -> Ledger:
        pytest.fail("a port that costs nothing opened the ledger")

    guarded = Guarded(writer, free_terms(), calls, no_ledger)
    assert guarded(PROMPT) == guarded(PROMPT)
    assert writer.asked == 2
    assert (guarded.identity, guarded.metered) == (IDENTITY, False)


def test_guarded_port_that_stays_unavailable_raises_after_all_retries() -> None:
    writer = Writer(metered=True, failures=99)
    ledger = Ledger(Memory(), run_id="r1", budget_usd=None)
    calls = Calls(CallSettings(), sleep=lambda _: None)
    with pytest.raises(ProviderUnavailable):
        Guarded(writer, free_terms(), calls, lambda: ledger)(PROMPT)
    assert (writer.asked, ledger.calls, ledger.spent_usd) == (4, 0, 0.0)


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
        }
    )


def test_complete_terms_reserve_the_longest_reply_and_two_bytes_a_token() -> None:
    reserved = complete_terms(priced(), Writer(metered=True, longest=1000)).reserve_usd(PROMPT)
    most_input = len(PROMPT.text.encode()) / 2
    assert reserved == pytest.approx((most_input * 2.0 + 1000 * 10.0) / 1e6)


def test_terms_replies_come_back_as_they_were() -> None:
    reply = Completion(text="t", model="m", tokens=Tokens(input=3), cost_usd=0.5)
    terms = complete_terms(priced(), Writer(metered=True, longest=1000))
    assert terms.decode(terms.encode(reply)) == reply
    assert terms.cost_usd(reply) == 0.5
    screen = screen_terms(Services(), Screener())
    search = search_terms(Services(), Finder())
    assert screen.decode(screen.encode((FINDING, FINDING))) == (FINDING, FINDING)
    assert search.decode(search.encode((PASSAGE,))) == (PASSAGE,)
    assert (screen.reserve_usd("text"), search.cost_usd((PASSAGE,))) == (0.0, 0.0)
    assert [t.port for t in (terms, screen, search)] == ["complete", "screen", "search"]


@pytest.mark.parametrize("kept", [None, {}, "text", [1], [{"check": "safety"}]])
def test_terms_kept_reply_of_another_form_is_refused(kept: object) -> None:
    terms: tuple[Terms[Any], ...] = (
        screen_terms(Services(), Screener()),
        search_terms(Services(), Finder()),
        free_terms(),
    )
    for one in terms:
        with pytest.raises(ValueError, match=r"expected|no field|missing"):
            one.decode(kept)


# ── Embeddings ────────────────────────────────────────────────────────────────────────────────


class Embedder:
    """A paid embedder: a vector tells a text's length; some calls fail."""

    identity = Identity(provider="acme", model="small")
    metered = True

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, request: tuple[str, ...], /) -> Any:
        self.asked.append(request)
        if len(self.asked) <= self.failures:
            raise ProviderUnavailable("503")
        report_usage(Usage(tokens=Tokens(input=sum(map(len, request)))))
        return np.array([[len(text), 1.5, -0.25] for text in request], dtype=np.float32)


PER_TOKEN = 1e-6
EMBEDDING = Services.model_validate(
    {"embedding_prices": {"small": {"input_usd_per_million": 1.0, "as_of": "2026-11-01"}}}
)


def paid_embed(
    embedder: Embedder, store: Memory, budget_usd: float | None = None
) -> tuple[PaidEmbed, Ledger]:
    ledger = Ledger(store, run_id="r1", budget_usd=budget_usd)
    port = PaidEmbed(embedder, EMBEDDING)
    port.attach(Calls(CallSettings(), sleep=lambda _: None), lambda: ledger)
    return port, ledger


def test_paid_embed_asks_for_each_text_once_and_pays_what_the_service_counts() -> None:
    embedder, store = Embedder(), Memory()
    embed, ledger = paid_embed(embedder, store)
    first = embed(("one", "three", "one"))
    np.testing.assert_array_equal(first[:, 0], np.float32([3, 5, 3]))
    assert first.dtype == np.float32
    embed(("three", "seven!!"))
    # As a run that is resumed has it: another process, another adapter, the same rows.
    again, resumed = paid_embed(embedder, store)
    np.testing.assert_array_equal(again(("seven!!", "one")), embed(("seven!!", "one")))
    assert embedder.asked == [("one", "three"), ("seven!!",)]
    assert ledger.spent_usd == resumed.spent_usd == pytest.approx(15 * PER_TOKEN)
    assert ledger.paid()["embed"].usage.tokens == Tokens(input=15)
    assert (again.metered, again.identity) == (True, Embedder.identity)


def test_paid_embed_without_texts_gives_no_rows_as_wide_as_the_others() -> None:
    embed, _ = paid_embed(Embedder(), Memory())
    assert embed(()).shape == (0, 3)


def test_paid_embed_reserves_a_token_a_byte_and_stays_within_the_budget() -> None:
    embedder = Embedder()
    embed, ledger = paid_embed(embedder, Memory(), budget_usd=12 * PER_TOKEN)
    embed(("éé",))
    with pytest.raises(BudgetSpent):
        embed(("eleven chars",))
    assert embedder.asked == [("éé",)]
    assert ledger.spent_usd == pytest.approx(2 * PER_TOKEN)


def test_paid_embed_that_nothing_is_attached_to_is_the_port_itself() -> None:
    embedder = Embedder(failures=1)
    port = PaidEmbed(embedder, EMBEDDING)
    with pytest.raises(ProviderUnavailable):
        port(("one",))
    assert port(("one",)).shape == (1, 3)


def test_paid_embed_that_stays_away_within_a_search_is_not_retried_twice_over() -> None:
    embedder, store = Embedder(failures=99), Memory()
    embed, ledger = paid_embed(embedder, store)

    class Search(Finder):
        def __call__(self, request: Query, /) -> tuple[Passage, ...]:
            embed((request.text,))
            return ()

    search = Guarded(
        Search(),
        search_terms(Services(), Search()),
        Calls(CallSettings(), sleep=lambda _: None),
        lambda: ledger,
    )
    with pytest.raises(ProviderRefused, match="503, however often"):
        search(Query(text="q", top_k=3))
    assert len(embedder.asked) == 4
    with pytest.raises(ProviderUnavailable):
        embed(("q",))


def test_paid_embed_charged_attempts_are_paid_though_they_failed() -> None:
    class Broken(Embedder):
        def __call__(self, request: tuple[str, ...], /) -> Any:
            vectors = super().__call__(request)
            if len(self.asked) <= 2:
                raise ProviderUnavailable("broken vectors")
            return vectors

    embed, ledger = paid_embed(Broken(), Memory())
    embed(("four",))
    assert ledger.spent_usd == pytest.approx(12 * PER_TOKEN)


# ── Services by their units ───────────────────────────────────────────────────────────────────


UNITS = Services.model_validate(
    {"service_prices": {"test": {"usd_per_thousand": 1.0, "as_of": "2026-11-01"}}}
)


class Screener:
    """A screener of a third party, which tells nothing of what it used."""

    identity = IDENTITY
    metered = True

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        return (FINDING,) if request else ()


def test_screen_terms_charge_by_the_records_of_a_text() -> None:
    ledger = Ledger(Memory(), run_id="r1", budget_usd=0.004)
    terms = screen_terms(UNITS, Screener())
    screen = Guarded(Screener(), terms, Calls(CallSettings()), lambda: ledger)
    screen("a" * 1500)
    screen("b")
    screen("b")
    assert ledger.spent_usd == 0.003
    with pytest.raises(BudgetSpent):
        screen("c" * 1001)
    # A text that goes out in several pieces begins more records than it has thousands.
    assert terms.reserve_usd("a" * 10_001) == pytest.approx(0.022)
    assert terms.reserve_usd(7) == 0.0


def test_search_terms_reserve_the_most_queries_and_charge_those_that_were_made() -> None:
    class Deep(Finder):
        most_queries = 4

        def __call__(self, request: Query, /) -> tuple[Passage, ...]:
            for _ in range(2):
                report_usage(Usage(units=1))
            return () if request.text else (PASSAGE,)

    ledger = Ledger(Memory(), run_id="r1", budget_usd=None)
    terms = search_terms(UNITS, Deep())
    assert terms.reserve_usd(None) == pytest.approx(0.004)
    Guarded(Deep(), terms, Calls(CallSettings()), lambda: ledger)(Query(text="q", top_k=3))
    assert ledger.spent_usd == 0.002


def test_complete_terms_price_the_tokens_of_a_third_partys_reply() -> None:
    class Silent(Writer):
        def __call__(self, request: Prompt, /) -> Completion:
            return Completion(text=request.text, model="m", tokens=Tokens(input=100, output=10))

    ledger = Ledger(Memory(), run_id="r1", budget_usd=None)
    writer = Silent(metered=True)
    terms = complete_terms(priced(), writer)
    Guarded(writer, terms, Calls(CallSettings()), lambda: ledger)(PROMPT)
    assert ledger.spent_usd == pytest.approx((100 * 2.0 + 10 * 10.0) / 1e6)
    assert ledger.paid()["complete"].usage.tokens == Tokens(input=100, output=10)


class Batch(Writer):
    """A writer that also takes several requests at once."""

    def many(self, requests: tuple[Prompt, ...]) -> tuple[Completion, ...]:
        return tuple(Completion(text=f"{len(requests)}", model="m") for _ in requests)


@pytest.mark.parametrize(
    ("writer", "offered"),
    [(Batch(metered=False), True), (Batch(metered=True), False), (Writer(metered=False), False)],
)
def test_guarded_many_is_offered_by_a_free_port_that_can_alone(
    writer: Writer,
    offered: bool,  # noqa: FBT001
) -> None:
    calls = Calls(CallSettings(), sleep=lambda _: None)
    ledger = Ledger(Memory(), run_id="r1", budget_usd=None)
    many = Guarded(writer, free_terms(), calls, lambda: ledger).many
    assert (many is not None) is offered
    if many is not None:
        assert [reply.text for reply in many((PROMPT, PROMPT))] == ["2", "2"]
        assert calls.totals()["complete"].calls == 1
