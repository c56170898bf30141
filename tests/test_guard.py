from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liftwright.calls import Calls
from liftwright.domain import (
    Completion,
    Finding,
    Identity,
    Limits,
    Passage,
    Prompt,
    Segment,
    Tokens,
)
from liftwright.errors import ProviderUnavailable
from liftwright.guard import Guarded, complete_terms, screen_terms, search_terms
from liftwright.ledger import Ledger, Terms
from liftwright.settings import Calls as CallSettings
from liftwright.settings import Services

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


class Memory:
    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, object]] = {}

    def get(self, key: str) -> Mapping[str, object] | None:
        return self.kept.get(key)

    def put(self, key: str, row: Mapping[str, object]) -> None:
        self.kept[key] = {**row, "key": key}

    def rows(self, **equals: object) -> Iterable[Mapping[str, object]]:
        found = self.kept.values()
        return [r for r in found if all(r.get(name) == value for name, value in equals.items())]

    def close(self) -> None:
        """Nothing to give back."""


class Writer:
    """A writer that fails some times."""

    identity = IDENTITY

    def __init__(self, *, metered: bool, failures: int = 0) -> None:
        self.metered = metered
        self.failures = failures
        self.asked = 0

    def __call__(self, request: Prompt, /) -> Completion:
        self.asked += 1
        if self.asked <= self.failures:
            raise ProviderUnavailable("503")
        return Completion(text=request.text, model="m", cost_usd=0.25)


def free_terms() -> Terms[Completion]:
    return complete_terms(Services())


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
            "adapters": {"complete": "openai_compatible"},
            "openai_compatible": {
                "base_url": "http://127.0.0.1:9/v1",
                "model": "m",
                "max_output_tokens": 1000,
            },
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
    reserved = complete_terms(priced()).reserve_usd(PROMPT)
    most_input = len(PROMPT.text.encode()) / 2
    assert reserved == pytest.approx((most_input * 2.0 + 1000 * 10.0) / 1e6)


def test_complete_terms_without_a_price_or_a_prompt_reserve_nothing() -> None:
    assert complete_terms(Services()).reserve_usd(PROMPT) == 0.0
    assert complete_terms(priced()).reserve_usd("text") == 0.0


def test_terms_replies_come_back_as_they_were() -> None:
    reply = Completion(text="t", model="m", tokens=Tokens(input=3), cost_usd=0.5)
    terms = complete_terms(priced())
    assert terms.decode(terms.encode(reply)) == reply
    assert terms.cost_usd(reply) == 0.5
    screen, search = screen_terms(), search_terms()
    assert screen.decode(screen.encode((FINDING, FINDING))) == (FINDING, FINDING)
    assert search.decode(search.encode((PASSAGE,))) == (PASSAGE,)
    assert (screen.reserve_usd("text"), search.cost_usd((PASSAGE,))) == (0.0, 0.0)
    assert [t.port for t in (terms, screen, search)] == ["complete", "screen", "search"]


@pytest.mark.parametrize("kept", [None, {}, "text", [1], [{"check": "safety"}]])
def test_terms_kept_reply_of_another_form_is_refused(kept: object) -> None:
    for terms in (screen_terms(), search_terms(), complete_terms(Services())):
        with pytest.raises(ValueError, match=r"expected|no field|missing"):
            terms.decode(kept)


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
