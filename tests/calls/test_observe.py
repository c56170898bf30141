"""Spans without text, log lines and totals by service."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_clock import FakeClock
from liftwright.calls.cache_policy import complete_policy, embed_policy
from liftwright.calls.client import PortClient
from liftwright.calls.ledger import Ledger
from liftwright.calls.observe import quantile
from liftwright.config import Services
from liftwright.errors import BudgetSpent, ModelBroken, ProviderRefused, ProviderUnavailable
from liftwright.log import Log, logging_to
from liftwright.model import Completion, Identity, Prompt, Tokens, Usage
from liftwright.ports import Meter
from liftwright.tracing import span, tracing
from memory_store import Memory
from span_catcher import SpanCatcher
from writing_samples import BARE_PROMPT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.ports import Span, Vectors

PROMPT = replace(BARE_PROMPT, text="canary-prompt 5512")
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
    """The spans of equal calls, which may all be expected to fail."""
    catcher = SpanCatcher()
    ledger = Ledger(Memory(), run_id="r", budget_usd=budget)
    policy = replace(complete_policy(Services(), writer), reserve_usd=lambda _: 1.0)
    client = PortClient(writer, policy, FakeClock().calls(retries=1), ledger=lambda: ledger)
    with tracing(catcher):
        for _ in range(times):
            if fails is None:
                client(PROMPT)
            else:
                with pytest.raises(fails):
                    client(PROMPT)
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


def test_call_replayed_or_beyond_the_budget_tells_neither_attempts_nor_cost() -> None:
    _, replayed = spans_of(Writer(), times=2)
    (refused,) = spans_of(Writer(), fails=BudgetSpent, budget=0.5)
    assert (replayed.fields["outcome"], refused.fields["outcome"]) == ("replayed", "budget_spent")
    for one in (replayed, refused):
        assert {"attempts", "cost_usd", "tokens_input"}.isdisjoint(one.fields)


def test_call_that_is_made_again_tells_the_attempt_that_failed() -> None:
    (found,) = spans_of(Writer(ProviderUnavailable("canary 503", retry_after_seconds=2)))
    assert (found.fields["outcome"], found.fields["attempts"]) == ("ok", 2)
    (moment,) = found.events
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


class Charged(Writer):
    """A writer whose failed attempts are charged."""

    def __call__(self, request: Prompt, /) -> Completion:
        with Meter() as meter:
            meter.add(Usage(tokens=Tokens(input=100, output=10)))
            return super().__call__(request)


def test_call_that_fails_and_is_charged_has_the_tokens_of_all_its_attempts() -> None:
    (found,) = spans_of(Charged(*[ProviderUnavailable("canary")] * 2), fails=ProviderUnavailable)
    told = {name: found.fields[name] for name in ("outcome", "tokens_input", "tokens_output")}
    assert told == {"outcome": "unavailable", "tokens_input": 200, "tokens_output": 20}


class Embedder:
    metered = True
    identity = Identity(provider="azure_openai", model="text-embedding-3-small")

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        return np.ones((len(request), 2), dtype=np.float32)


def test_paid_embedding_has_one_span_below_its_caller_and_none_of_its_cost_there() -> None:
    ledger = Ledger(Memory(), run_id="r", budget_usd=None)
    policy = embed_policy(Services(), Embedder())
    embed = PortClient(Embedder(), policy, FakeClock().calls(), ledger=lambda: ledger)
    catcher = SpanCatcher()
    with tracing(catcher), span("stage"):
        for _ in range(2):
            embed(("canary-text", "another"))
    first, second, stage = catcher.spans
    assert [one.parent for one in (first, second)] == [stage, stage]
    assert [one.fields["outcome"] for one in (first, second)] == ["ok", "replayed"]
    assert [one.fields["requests"] for one in (first, second)] == [2, 2]
    assert "cost_usd" in first.fields
    assert stage.fields == {}
    assert "canary" not in repr(catcher.spans)


def failing(failures: int) -> Callable[[], str]:
    """A service that is busy some times, and then replies."""
    left = [ProviderUnavailable("503")] * failures

    def ask() -> str:
        if left:
            raise left.pop()
        return "reply"

    return ask


def test_make_each_call_logs_service_status_latency_and_attempts(tmp_path: Path) -> None:
    calls = FakeClock().calls()
    with logging_to(Log(tmp_path)):
        calls.make("screen", failing(1))
        with pytest.raises(ProviderUnavailable):
            calls.make("complete", failing(99))
    text = (tmp_path / "system.log").read_text()
    written: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert [line["action"] for line in written] == [
        "call_retried",
        "call_made",
        *["call_retried"] * 3,
        "call_failed",
    ]
    for line, service, status, attempts, level in (
        (written[1], "screen", "ok", 2, "info"),
        (written[5], "complete", "ProviderUnavailable", 4, "error"),
    ):
        context = line["context"]
        assert (context["service"], context["status"]) == (service, status)
        assert (context["attempts"], line["level"]) == (attempts, level)
        assert context["latency_ms"] >= 0
    retries = [line["context"] for line in written if line["action"] == "call_retried"]
    assert [context["wait_seconds"] for context in retries] == [2.0, 2.0, 4.0, 8.0]


def test_totals_by_service_count_calls_attempts_and_errors() -> None:
    calls = FakeClock().calls()
    calls.make("screen", failing(0))
    calls.make("complete", failing(2))
    with pytest.raises(ProviderUnavailable):
        calls.make("complete", failing(99))
    totals = calls.totals()
    assert list(totals) == ["complete", "screen"]
    complete = totals["complete"]
    assert (complete.calls, complete.attempts, complete.errors) == (2, 7, 1)
    assert complete.error_rate == 0.5
    assert totals["screen"].error_rate == 0.0
    assert complete.latency_p50_ms <= complete.latency_p95_ms <= complete.latency_p99_ms


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400), st.integers(1, 100))
def test_quantile_any_values_equals_the_nearest_rank_of_numpy(
    values: list[float], percent: int
) -> None:
    ordered = sorted(values)
    assert quantile(ordered, percent) == np.percentile(ordered, percent, method="inverted_cdf")
