"""The budget is asked before each call; what does not fit it waits for a larger one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

import campaign
import stand_in
from acceptance_samples import configure
from liftwright.campaign import RunRequest, Workspace
from liftwright.errors import ConfigurationError
from metered_writer import INPUT_USD, OUTPUT_USD, most_usd

if TYPE_CHECKING:
    from pathlib import Path

    from compatible_server import Answer, Request
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


@pytest.mark.parametrize("concurrency", [4, 12])
def test_run_with_a_budget_never_spends_more_however_many_calls_at_once(
    workspace: Path, writer: MeteredWriter, concurrency: int
) -> None:
    budget = 0.045
    at_once = f"calls.concurrency={concurrency}"
    outcome = campaign.run(workspace, at_once, budget_usd=budget)
    assert outcome.exit_status == 3
    assert 0 < writer.cost_usd <= budget
    assert not (outcome.folder / "assignments.parquet").exists()


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


PER_RECORD = {"usd_per_thousand": 10.0, "as_of": "2026-11-01"}


def screened(root: Path) -> list[str]:
    """The texts that the workspace's screener was asked about."""
    return (root / "screened.log").read_text().splitlines()


def test_run_pays_for_a_reply_that_was_cut_off_and_tells_of_it(
    workspace: Path, writer: MeteredWriter
) -> None:
    def cut_off(request: Request, number: int) -> Answer | None:
        if number > 1:
            return None
        answer = writer.write(request)
        (choice,) = answer.body["choices"]
        shortened = [{**choice, "finish_reason": "length"}]
        return replace(answer, body={**answer.body, "choices": shortened})

    writer.before_reply = cut_off
    outcome = campaign.run(workspace, ONE_BY_ONE)
    assert outcome.exit_status == 0
    totals = outcome.run.totals
    assert writer.requests == outcome.run.metered_calls == MESSAGES
    assert totals["tokens"] == writer.tokens
    assert totals["cost_usd"] == pytest.approx(writer.cost_usd, abs=ROUNDING)
    # The variant that came to nothing is paid for by those that did.
    assert totals["approved_variants"] == MESSAGES - 1
    each = totals["cost_usd"] / (MESSAGES - 1)
    assert totals["cost_per_approved_variant_usd"] == pytest.approx(each)


def test_run_costs_stand_in_its_record_its_report_and_its_status(
    workspace: Path, writer: MeteredWriter
) -> None:
    stand_in.order(workspace, metered=True)
    configure(workspace, "azure_config.service_prices", {"stand-in": PER_RECORD})
    outcome = campaign.run(workspace)
    totals = json.loads((outcome.folder / "run.json").read_text())["totals"]
    by_service = totals["cost_by_service"]
    assert set(by_service) == {"complete", "screen"}
    assert by_service["complete"]["tokens"] == writer.tokens
    asked = screened(workspace)
    assert by_service["screen"]["calls"] == by_service["screen"]["units"] == len(asked)
    assert by_service["screen"]["cost_usd"] == pytest.approx(len(asked) * 0.01)
    whole = sum(Decimal(str(one["cost_usd"])) for one in by_service.values())
    assert Decimal(str(totals["cost_usd"])) == whole == ledger_sum(workspace)
    assert totals["approved_variants"] == MESSAGES
    assert totals["cost_per_approved_variant_usd"] == pytest.approx(float(whole) / MESSAGES)
    report = (outcome.folder / "report" / "experiment_report.ipynb").read_text()
    assert f"{totals['cost_usd']:.4f} US" in report
    again = campaign.run(workspace, run_id="second")
    assert again.run.totals["cost_usd"] == 0
    assert again.run.totals["cost_by_service"] == {}


def ledger_sum(root: Path) -> Decimal:
    with contextlib.closing(sqlite3.connect(root / "data" / "ledger.sqlite")) as rows:
        found = [json.loads(row) for (row,) in rows.execute("select row from records")]
    return sum((Decimal(str(row.get("cost_usd", 0.0))) for row in found), Decimal(0))


@pytest.mark.parametrize("price", [None, PER_RECORD])
def test_budget_with_a_paid_screener_needs_its_price(
    workspace: Path, writer: MeteredWriter, price: object
) -> None:
    stand_in.order(workspace, metered=True)
    if price is None:
        with pytest.raises(ConfigurationError, match=r"service_prices\.stand-in"):
            campaign.run(workspace, budget_usd=1.0)
        assert writer.requests == 0
        return
    configure(workspace, "azure_config.service_prices", {"stand-in": price})
    plan = Workspace(workspace).plan()
    (planned,) = [one for one in plan.calls if one.port == "screen"]
    assert planned.unit == "text records"
    campaign.stop_before(workspace, "assign", budget_usd=plan.at_most_usd)
    asked = len(screened(workspace))
    assert planned.expected / 2 <= asked <= planned.at_most
    assert planned.at_most_usd == pytest.approx(planned.at_most * 0.01, rel=0.1)
