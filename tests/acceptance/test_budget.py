"""The budget is asked before each call; what does not fit it waits for a larger one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import campaign
from liftwright.errors import ConfigurationError
from liftwright.workspace import RunRequest, Workspace
from metered_writer import INPUT_USD, OUTPUT_USD, most_usd

if TYPE_CHECKING:
    from pathlib import Path

    from metered_writer import MeteredWriter

MESSAGES = 12
ONE_BY_ONE = "calls.concurrency=1"
ROUNDING = 2e-6  # totals are rounded to millionths of a dollar


def test_run_beyond_its_budget_stops_before_the_call_and_resumes_for_the_rest(
    workspace: Path, writer: MeteredWriter
) -> None:
    prompts: list[str] = []

    def keep(request: object, _: int) -> None:
        prompts.append(request.prompt)  # type: ignore[attr-defined] # a request of the server

    writer.before_reply = keep
    budget = 0.05
    outcome = campaign.run(workspace, ONE_BY_ONE, budget_usd=budget)
    assert (outcome.exit_status, outcome.run.status) == (3, "unfinished")
    assert "budget" in str(outcome.reason)
    paid = writer.requests
    assert 0 < paid < MESSAGES
    # Each call was covered at its most before it was made, and the next one no longer was.
    assert writer.cost_usd <= budget
    assert writer.cost_usd + max(map(most_usd, prompts)) > budget
    assert outcome.run.totals["cost_usd"] == pytest.approx(writer.cost_usd, abs=ROUNDING)
    assert outcome.run.metered_calls == paid
    again = campaign.run(workspace, ONE_BY_ONE, budget_usd=1.0)
    assert (again.exit_status, again.run.run_id) == (0, outcome.run.run_id)
    assert writer.requests == MESSAGES
    assert set(writer.paid.values()) == {1}
    assert again.run.metered_calls == MESSAGES
    assert again.run.totals["replayed_calls"] == paid
    assert again.run.totals["tokens"] == writer.tokens
    assert again.run.totals["cost_usd"] == pytest.approx(writer.cost_usd, abs=ROUNDING)
    (summary,) = [
        one for one in campaign.events(workspace, "run_summary") if one["status"] == "complete"
    ]
    assert summary["totals"] == json.loads((again.folder / "run.json").read_text())["totals"]


@pytest.mark.parametrize("concurrency", [1, 4, 12])
def test_run_with_a_budget_never_spends_more_however_many_calls_at_once(
    workspace: Path, writer: MeteredWriter, concurrency: int
) -> None:
    budget = 0.045
    at_once = f"calls.concurrency={concurrency}"
    outcome = campaign.run(workspace, at_once, budget_usd=budget)
    assert outcome.exit_status == 3
    assert 0 < writer.cost_usd <= budget
    assert not (outcome.folder / "assignments.parquet").exists()


def test_run_with_budget_zero_makes_no_call(workspace: Path, writer: MeteredWriter) -> None:
    outcome = campaign.run(workspace, budget_usd=0.0)
    assert (outcome.exit_status, writer.requests) == (3, 0)
    assert outcome.run.metered_calls == 0


def test_run_with_embedded_parts_needs_no_budget(workspace: Path) -> None:
    campaign.stop_before(workspace, "report", budget_usd=0.0)
    assert (workspace / "data" / "runs").is_dir()
    assert not (workspace / "data" / "ledger.sqlite").exists()


def test_plan_numbers_cover_what_a_run_then_pays(workspace: Path, writer: MeteredWriter) -> None:
    plan = Workspace(workspace).plan()
    assert writer.requests == 0
    planned = {one.port: one for one in plan.calls}
    campaign.stop_before(workspace, "ground", budget_usd=plan.at_most_usd)
    assert planned["complete"].metered
    assert planned["complete"].expected == writer.requests == MESSAGES
    assert planned["complete"].at_most == 4 * MESSAGES
    given, written = planned["complete"].input_tokens, planned["complete"].output_tokens
    assert writer.tokens["input"] == pytest.approx(given, rel=0.5)
    assert writer.tokens["output"] <= written
    assert plan.expected_usd == pytest.approx(given * INPUT_USD + written * OUTPUT_USD)
    # Were every draft but the last refused, and each reply the longest, it would still cover it.
    assert 4 * sum(map(most_usd, writer.paid)) <= plan.at_most_usd


@pytest.mark.parametrize("asks", ["plan", "run"])
def test_plan_or_run_without_a_price_does_not_pretend(
    workspace: Path, writer: MeteredWriter, asks: str
) -> None:
    unpriced = "prices={}"
    if asks == "plan":
        plan = Workspace(workspace).plan(RunRequest(overrides=(unpriced,)))
        assert (plan.expected_usd, plan.at_most_usd) == (0.0, 0.0)
        assert any("no price" in warning for warning in plan.warnings)
    else:
        with pytest.raises(ConfigurationError, match="price"):
            campaign.run(workspace, unpriced, budget_usd=1.0)
    assert writer.requests == 0
