"""The span of a call: who was asked, what came of it, what it cost; and no text of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from liftwright.calls.cache_policy import complete_terms
from liftwright.calls.ledger import Ledger
from liftwright.calls.metered_client import Guarded, PaidEmbed
from liftwright.calls.retry import Calls
from liftwright.config import Calls as CallSettings
from liftwright.config import Services
from liftwright.errors import BudgetSpent, ModelBroken, ProviderRefused, ProviderUnavailable
from liftwright.model import Completion, Identity, Limits, Prompt, Segment, Tokens, Usage
from liftwright.tracing import span, tracing
from liftwright.usage import report_usage
from memory_store import Memory
from span_catcher import SpanCatcher

if TYPE_CHECKING:
    from liftwright.ports import Span, Vectors

PROMPT = Prompt(
    text="canary-prompt 5512",
    brand="Larkspur",
    segment=Segment(label="s", size=1, share=1.0, definition="d", description=""),
    tone="urgent",
    passages=(),
    limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=9),
)
REPLY = Completion(
    text="canary-reply 5513",
    model="m",
    tokens=Tokens(input=400, cached_input=300, output=50),
    cost_usd=0.25,
)


class Writer:
    """A writer that meets these errors first."""

    identity = Identity(provider="azure_openai", model="gpt-5-mini")

    def __init__(self, *errors: Exception, metered: bool = True) -> None:
        self.metered = metered
        self._errors = list(errors)

    def __call__(self, _: Prompt, /) -> Completion:
        if self._errors:
            raise self._errors.pop(0)
        return REPLY


def spans_of(
    writer: Writer, *, times: int = 1, fails: type[Exception] | None = None, budget: float = 9.0
) -> list[Span]:
    """The spans of as many like calls, the last of which may be bound to fail."""
    catcher = SpanCatcher()
    calls = Calls(CallSettings(retries=1), sleep=lambda _: None)
    ledger = Ledger(Memory(), run_id="r", budget_usd=budget)
    terms = replace(complete_terms(Services(), writer), reserve_usd=lambda _: 1.0)
    guarded = Guarded(writer, terms, calls, lambda: ledger)
    with tracing(catcher):
        for _ in range(times):
            if fails is None:
                guarded(PROMPT)
            else:
                with pytest.raises(fails):
                    guarded(PROMPT)
    assert "canary" not in repr(catcher.spans)
    return catcher.spans


def test_call_that_replies_tells_adapter_tokens_and_cost() -> None:
    (found,) = spans_of(Writer())
    assert found.name == "call"
    assert found.fields == {
        "service": "complete",
        "provider": "azure_openai",
        "model": "gpt-5-mini",
        "metered": True,
        "outcome": "ok",
        "attempts": 1,
        "tokens_input": 400,
        "tokens_cached_input": 300,
        "tokens_output": 50,
        "cost_usd": 0.25,
    }
    assert found.error is None


def test_call_answered_from_memory_is_replayed_and_costs_nothing() -> None:
    paid, replayed = spans_of(Writer(), times=2)
    assert paid.fields["outcome"] == "ok"
    assert replayed.fields["outcome"] == "replayed"
    assert {"attempts", "cost_usd", "tokens_input"}.isdisjoint(replayed.fields)


def test_call_that_is_made_again_tells_the_attempt_that_failed() -> None:
    (found,) = spans_of(Writer(ProviderUnavailable("canary 503", retry_after_seconds=2)))
    assert (found.fields["outcome"], found.fields["attempts"]) == ("ok", 2)
    (moment,) = found.moments
    assert moment.name == "attempt_failed"
    assert moment.fields == {"attempt": 1, "error": "ProviderUnavailable", "wait_seconds": 2.0}


@pytest.mark.parametrize(
    ("errors", "outcome", "attempts"),
    [
        ([ProviderUnavailable("canary")] * 2, "unavailable", 2),
        ([ProviderRefused("canary")], "refused", 1),
        ([ModelBroken("canary")], "unavailable", 1),
        ([RuntimeError("canary")], "failed", 1),
    ],
)
def test_call_that_fails_tells_how_by_the_type_of_its_error(
    errors: list[Exception], outcome: str, attempts: int
) -> None:
    (found,) = spans_of(Writer(*errors), fails=type(errors[0]))
    assert (found.fields["outcome"], found.fields["attempts"]) == (outcome, attempts)
    assert found.error == type(errors[0]).__name__
    assert "cost_usd" not in found.fields


def test_call_beyond_the_budget_is_not_made_and_says_so() -> None:
    (found,) = spans_of(Writer(), fails=BudgetSpent, budget=0.5)
    assert found.fields["outcome"] == "budget_spent"
    assert "attempts" not in found.fields


class Charged(Writer):
    """A writer that is charged for the attempt that fails, and says what it used."""

    def __call__(self, request: Prompt, /) -> Completion:
        report_usage(Usage(tokens=Tokens(input=100, output=10)))
        return super().__call__(request)


def test_call_that_fails_and_is_charged_tells_the_tokens_of_all_its_attempts() -> None:
    (found,) = spans_of(Charged(*[ProviderUnavailable("canary")] * 2), fails=ProviderUnavailable)
    told = {name: found.fields[name] for name in ("outcome", "tokens_input", "tokens_output")}
    assert told == {"outcome": "unavailable", "tokens_input": 200, "tokens_output": 20}


class Embedder:
    metered = True
    identity = Identity(provider="azure_openai", model="text-embedding-3-small")

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        return np.ones((len(request), 2), dtype=np.float32)


def test_paid_embedding_has_one_span_below_its_caller_and_none_of_its_cost_there() -> None:
    catcher, embed = SpanCatcher(), PaidEmbed(Embedder(), Services())
    ledger = Ledger(Memory(), run_id="r", budget_usd=None)
    embed.attach(Calls(CallSettings(retries=0), sleep=lambda _: None), lambda: ledger)
    with tracing(catcher), span("stage"):
        for _ in range(2):
            embed(("canary-text", "another"))
    first, second, stage = catcher.spans
    assert [one.parent_id for one in (first, second)] == [stage.span_id] * 2
    assert [one.fields["outcome"] for one in (first, second)] == ["ok", "replayed"]
    assert [one.fields["requests"] for one in (first, second)] == [2, 2]
    assert "cost_usd" in first.fields
    assert stage.fields == {}
    assert "canary" not in repr(catcher.spans)
