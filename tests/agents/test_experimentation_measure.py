from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.adapters.embedded.simulator import EmbeddedSimulator
from liftwright.agents.experimentation import (
    HISTORY,
    Assignment,
    assign,
    count_engagement,
    design_experiment,
    expected_outcomes,
    keep_history,
    measure,
    plan_power,
)
from liftwright.errors import NoExperiment
from plane_samples import (
    TONES,
    customer,
    decide,
    experiment_config,
    keep_customers,
    keep_segmented,
    open_tables,
    variants_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.config import Experiment
    from liftwright.data import Tables

AT = "2026-01-02T00:00:00.000Z"
MEASURED = ("open_rate", "click_rate", "conversion_rate", "revenue")


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    yield opened
    opened.close()


def run(
    tables: Tables, sizes: dict[str, int], experiment: Experiment, blocked: tuple[str, ...] = ()
) -> Assignment:
    rows = [(f"{s}-{i}", s) for s, size in sizes.items() for i in range(size)]
    keep_segmented(tables, rows)
    keep_customers(
        tables,
        [
            customer(0, customer_id=i, age=float(index % 50 + 20))
            for index, (i, _) in enumerate(rows)
        ],
    )
    variants = variants_for(sizes)
    design = design_experiment(variants, decide(variants, blocked), experiment, sizes)
    return assign(tables, design, AT)


def engage(tables: Tables, **events: str) -> None:
    """Make engagement from conditions on `arm`, `segment` and `place` (from 0 in each cell)."""
    flags = {"delivered": "true", "opened": "false", "clicked": "false", "converted": "false"}
    flags |= {"revenue": "0e0", "delivered_at": "null"} | events
    columns = ", ".join(f"{sql} as {name}" for name, sql in flags.items())
    tables.keep(
        "engagement",
        f"select customer_id, segment, arm, variant_id, {columns}, 'historical' as source, "  # noqa: S608
        "cast(null as timestamp with time zone) as opened_at, "
        "cast(null as timestamp with time zone) as clicked_at, "
        "cast(null as timestamp with time zone) as converted_at "
        "from (select *, row_number() over (partition by segment, arm order by customer_id) - 1 "
        "as place from assignments) as placed",
    )


def measured(
    tables: Tables, assignment: Assignment, experiment: Experiment, **options: Any
) -> dict[str, Any]:
    """The document of `measure`."""
    return measure(tables, assignment, experiment, **options).to_json()


def observed(  # noqa: PLR0913 - what a test may vary
    tables: Tables,
    sizes: dict[str, int],
    experiment: Experiment | None = None,
    *,
    blocked: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    minimum: int = 0,
    simulated: bool = False,
    **events: str,
) -> dict[str, Any]:
    """The document of `measure` for an experiment of so many customers and these events."""
    experiment = experiment or experiment_config()
    assignment = run(tables, sizes, experiment, blocked)
    engage(tables, **events)
    options = {"simulated": simulated, "absent": absent, "minimum": minimum}
    return measured(tables, assignment, experiment, **options)


def row(metrics: dict[str, Any], segment: str, arm: str, metric: str) -> dict[str, Any]:
    (found,) = [
        one
        for one in metrics["comparisons"]
        if (one["segment"], one["arm"], one["metric"]) == (segment, arm, metric)
    ]
    return found


def test_measure_counts_rates_of_delivered_messages(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 400},
        delivered="place < 80",
        opened="place < 20 or place > 90",
        clicked="place < 8",
        converted="place < 4",
        revenue="case when place < 4 then 12.5e0 when place > 90 then 99e0 else 0e0 end",
    )

    control = metrics["arms"][0]
    assert control["arm"] == "control"
    assert control["n"] == 80
    assert control["metrics"]["open_rate"]["value"] == 0.25
    assert control["metrics"]["click_rate"]["value"] == 0.1
    assert control["metrics"]["conversion_rate"]["value"] == 0.05
    assert control["metrics"]["revenue"]["value"] == pytest.approx(0.625)
    assert metrics["n"] == 320
    assert metrics["simulated"] is False
    assert metrics["balance"]["assigned"]["A"]["control"] == 100
    assert metrics["balance"]["delivered"]["A"]["control"] == 80
    assert metrics["daily"] == []
    assert metrics["srm"]["ok"]
    json.dumps(metrics, allow_nan=False)


def test_measure_names_the_best_arm_where_it_is_not_noise(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 2000, "B": 400},
        clicked="place < case when segment = 'A' and arm = 'urgent' then 150 "
        "when segment = 'A' and arm = 'friendly' then 120 when segment = 'A' then 50 "
        "when arm = 'urgent' then 12 else 10 end",
        simulated=True,
    )

    best = {one["segment"]: one for one in metrics["best"]}
    assert best["A"]["arm"] == "urgent"
    assert best["A"]["lift"] == pytest.approx(2.0)
    assert best["A"]["metric"] == "click_rate"
    assert best["B"]["arm"] is None
    assert best["B"]["lift"] is None
    assert best["B"]["reason"]
    assert best["all"]["arm"] == "urgent"
    assert metrics["simulated"] is True


def test_measure_with_a_sample_ratio_mismatch_trusts_no_winner(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 2000},
        delivered="arm <> 'urgent' or place < 300",
        clicked="place < case when arm = 'urgent' then 200 else 50 end",
        simulated=True,
    )

    assert not metrics["srm"]["ok"]
    assert {one["arm"] for one in metrics["best"]} == {None}
    assert "sample-ratio mismatch" in metrics["best"][0]["reason"]
    assert any("sample-ratio mismatch" in warning for warning in metrics["warnings"])


def test_measure_a_mismatch_within_one_segment_stops_every_winner(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 400, "B": 20_000},
        delivered="segment <> 'A' or arm <> 'urgent' or place < 40",
        clicked="arm = 'urgent' and place < 4000 or place % 20 = 0",
        simulated=True,
    )

    assert metrics["srm"]["ok"]
    assert not metrics["srm_by_segment"]["A"]["ok"]
    assert metrics["srm_failed"] == ["segment A"]
    assert {one["segment"] for one in metrics["best"]} == {"all", "A", "B"}
    assert {one["arm"] for one in metrics["best"]} == {None}
    assert {one["decision"] for one in metrics["decisions"]} == {"stop"}


def test_measure_an_arm_sent_later_than_the_others_stops_every_winner(tables: Tables) -> None:
    assignment = run(tables, {"A": 4000, "B": 4000}, experiment_config())
    late = "case when arm = 'urgent' then place % 5 + 5 else place % 10 end"
    engage(
        tables,
        clicked="place % 20 = 0 or arm = 'friendly' and place % 5 = 0",
        delivered_at=f"timestamptz '2026-01-02 00:00:00Z' + ({late}) * interval 1 day",
    )

    metrics = measured(tables, assignment, experiment_config(), simulated=False)

    assert metrics["srm"]["ok"]
    assert all(check["ok"] for check in metrics["srm_by_segment"].values())
    over_time = metrics["srm_over_time"]
    assert over_time["2026-01-02"]["observed"] == {
        **dict.fromkeys(("control", "informational", "friendly"), 200),
        "urgent": 0,
    }
    assert over_time["2026-01-02"]["expected"]["urgent"] == 150
    assert "period 2026-01-02" in metrics["srm_failed"]
    assert metrics["best"][0]["arm"] is None
    assert {one["decision"] for one in metrics["decisions"]} == {"stop"}


def test_measure_a_segment_where_less_arrives_is_no_mismatch(tables: Tables) -> None:
    blocked = tuple(f"{tone}@B" for tone in TONES)
    metrics = observed(
        tables, {"A": 4000, "B": 4000}, blocked=blocked, delivered="segment = 'A' or place % 2 = 0"
    )

    assert metrics["srm"]["observed"]["control"] == 3000
    assert metrics["srm"]["expected"]["control"] == pytest.approx(3000)
    assert metrics["srm_failed"] == []


def test_measure_compares_an_arm_only_where_it_exists(tables: Tables) -> None:
    experiment = experiment_config()
    blocked = ("urgent@A", *(f"{tone}@C" for tone in TONES))
    assignment = run(tables, {"A": 400, "B": 400, "C": 100}, experiment, blocked)
    # A clicks far more than B: a pooled estimate would blame urgent for being in B alone.
    engage(tables, clicked="place % 2 = 0 and segment = 'A' or place % 10 = 0")

    metrics = measured(tables, assignment, experiment, simulated=True)

    segments = {(one["segment"], one["arm"]) for one in metrics["comparisons"]}
    assert ("A", "urgent") not in segments
    assert not any(segment == "C" for segment, _ in segments)
    overall = row(metrics, "all", "urgent", "click_rate")
    assert overall["n_treatment"] == 100
    assert overall["n_control"] == 100
    assert overall["difference"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["srm"]["ok"]
    assert set(metrics["srm_by_segment"]) == {"A", "B"}
    assert any("'C'" in warning for warning in metrics["warnings"])


def test_measure_small_numbers_warn_of_power_and_give_intervals(tables: Tables) -> None:
    metrics = observed(
        tables, {"A": 250}, opened="place % 4 = 0", clicked="place % 12 = 0", simulated=True
    )

    (power,) = [
        one for one in metrics["power"] if (one["arm"], one["metric"]) == ("urgent", "open_rate")
    ]
    assert power["detectable_lift"] > 0.5
    assert power["detectable_lift"] == pytest.approx(power["detectable_difference"] / power["base"])
    assert power["warning"].startswith("underpowered: open_rate ")
    assert sum("underpowered: open_rate" in warning for warning in metrics["warnings"]) == 1
    found = row(metrics, "all", "urgent", "open_rate")
    assert found["difference_ci"][0] < found["difference"] < found["difference_ci"][1]


def test_measure_metrics_that_the_engagement_lacks_are_left_out(tables: Tables) -> None:
    absent = ("click_rate", "conversion_rate", "revenue")
    metrics = observed(tables, {"A": 400}, absent=absent, opened="place % 3 = 0")

    assert {one["metric"] for one in metrics["comparisons"]} == {"open_rate"}
    assert {one["arm"] for one in metrics["best"]} == {None}
    assert any("not measured" in warning for warning in metrics["warnings"])


def test_measure_when_nothing_was_delivered_gives_no_result(tables: Tables) -> None:
    with pytest.raises(NoExperiment, match="delivered"):
        observed(tables, {"A": 40}, delivered="false")


def test_measure_alpha_and_correction_change_the_verdict(tables: Tables) -> None:
    strict = experiment_config(analysis={"alpha": 1e-6})
    plain = experiment_config(analysis={"correction": "none"})
    assignment = run(tables, {"A": 2000}, strict)
    engage(tables, clicked="place < case when arm = 'urgent' then 75 else 50 end")

    first: dict[str, Any] = measured(tables, assignment, strict, simulated=True)
    second: dict[str, Any] = measured(tables, assignment, plain, simulated=True)

    assert first["best"][0]["arm"] is None
    assert second["best"][0]["arm"] == "urgent"
    assert second["power"][0]["alpha"] == 0.05


def test_measure_of_simulated_engagement_counts_days_and_agrees_with_the_table(
    tables: Tables,
) -> None:
    experiment = experiment_config(simulation={"uplift": {"urgent": {"mean": 0.5, "sd": 0.1}}})
    assignment = run(tables, {"A": 3000, "B": 1000}, experiment)
    EmbeddedSimulator(tables, experiment.simulation, seed=3, salt=experiment.name)("assignments")

    metrics = measured(tables, assignment, experiment, simulated=True)

    again = measured(tables, assignment, experiment, simulated=True)
    assert metrics == again
    days = metrics["daily"]
    assert [one["day"] for one in days] == sorted(one["day"] for one in days)
    for step, column in (("delivered", "delivered"), ("opened", "opened"), ("clicked", "clicked")):
        ((events,),) = tables.rows(f"select count(*) from engagement where {column}")  # noqa: S608
        assert sum(one[step] for one in days) == events
    for arm in metrics["arms"]:
        cells = [cell for cell in count_engagement(tables) if cell.arm == arm["arm"]]
        assert arm["n"] == sum(cell.delivered for cell in cells)
        assert arm["metrics"]["open_rate"]["events"] == sum(cell.totals["opened"] for cell in cells)


MANY_CLICKS = "place < case when arm = 'urgent' then 400 else 200 end"


def test_measure_with_every_column_tests_the_family_that_planning_corrected_for(
    tables: Tables,
) -> None:
    flags = ("opened", "clicked", "converted", "unsubscribed", "complained")
    events = dict.fromkeys(flags, "place % 2 = 0")
    experiment = experiment_config()

    rows = observed(
        tables, {"A": 200, "B": 200}, revenue="place % 3 + 1e0", experiment=experiment, **events
    )["comparisons"]

    family = [one for one in rows if one["segment"] == "all"]
    planned = {
        one.segment: one.alpha
        for one in plan_power(expected_outcomes(tables, experiment), experiment)
    }
    assert all(one["p_value"] is not None for one in rows)
    assert planned["all"] == pytest.approx(0.05 / len(family))
    assert planned["A"] == pytest.approx(0.05 / (len(rows) - len(family)))


def test_measure_with_unsubscribes_reports_them_and_stops_the_arm_that_causes_them(
    tables: Tables,
) -> None:
    metrics = observed(
        tables,
        {"A": 16_000},
        clicked=MANY_CLICKS,
        unsubscribed="place < case when arm = 'urgent' then 160 else 20 end",
    )

    names = [one["metric"] for one in metrics["comparisons"][: len(MEASURED) + 1]]
    assert names == [*MEASURED, "unsubscribe_rate"]
    found = row(metrics, "all", "urgent", "unsubscribe_rate")
    assert (found["treatment"], found["control"]) == (0.04, 0.005)
    assert found["lift"] == pytest.approx(7.0)
    decisions = {one["arm"]: one for one in metrics["decisions"]}
    assert metrics["best"][0]["arm"] is None
    assert metrics["verdict"]["state"] == "guardrail_not_met"
    states = {(one["arm"], one["metric"]): one["state"] for one in metrics["guardrails"]}
    assert states["urgent", "unsubscribe_rate"] == "harmed"
    assert decisions["urgent"]["decision"] == "stop"
    assert "unsubscribe_rate" in decisions["urgent"]["reasons"][0]
    assert not any("complaint_rate" in warning for warning in metrics["warnings"])


@pytest.mark.parametrize(
    ("analysis", "urgent", "control", "decision", "reasons"),
    [
        ({}, 20, 160, "ship", ["guardrail unsubscribe_rate: no harm shown"]),
        ({"guardrail_metrics": []}, 160, 20, "ship", []),
        ({"guardrail_metrics": ["complaint_rate"]}, 160, 20, "ship", []),
    ],
)
def test_measure_decides_by_the_guardrails_that_are_configured_and_measured(  # noqa: PLR0913, PLR0917 - a row of the table
    tables: Tables,
    analysis: dict[str, list[str]],
    urgent: int,
    control: int,
    decision: str,
    reasons: list[str],
) -> None:
    metrics = observed(
        tables,
        {"A": 16_000},
        experiment_config(analysis=analysis),
        clicked=MANY_CLICKS,
        unsubscribed=f"place < case when arm = 'urgent' then {urgent} else {control} end",
    )

    (found,) = [one for one in metrics["decisions"] if one["arm"] == "urgent"]
    assert (found["decision"], found["reasons"][1:]) == (decision, reasons)
    missing = any("complaint_rate" in warning for warning in metrics["warnings"])
    assert missing is ("complaint_rate" in analysis.get("guardrail_metrics", ()))


def test_measure_of_a_primary_metric_of_which_less_is_better_names_the_lowest_arm(
    tables: Tables,
) -> None:
    metrics = observed(
        tables,
        {"A": 8000},
        experiment_config(analysis={"primary_metric": "unsubscribe_rate"}),
        unsubscribed="place < case arm when 'urgent' then 40 when 'friendly' then 400 else 200 end",
    )

    best = metrics["best"][0]
    assert (best["arm"], best["lift"]) == ("urgent", pytest.approx(-0.8))
    decisions = {one["arm"]: one["decision"] for one in metrics["decisions"]}
    assert (decisions["urgent"], decisions["friendly"]) == ("ship", "stop")
    beliefs = {one["arm"]: one for one in metrics["bayes"] if one["metric"] == "unsubscribe_rate"}
    assert beliefs["urgent"]["probability_best"] > 0.999
    assert beliefs["friendly"]["probability_better"] < 0.001
    assert beliefs["friendly"]["expected_loss"] == pytest.approx(0.18, abs=0.01)


def test_measure_gives_what_may_be_read_at_any_time_and_decides(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 4_000, "B": 4_000},
        opened="place % 4 = 0",
        clicked="place % 10 = 0 or arm = 'urgent' and place % 10 = 5",
        simulated=True,
    )

    decisions = {one["arm"]: one for one in metrics["decisions"]}
    assert decisions["urgent"]["decision"] == "ship"
    assert decisions["friendly"]["decision"] == "stop"
    assert "no difference shown" in decisions["friendly"]["reasons"][0]
    anytime = next(
        one
        for one in metrics["sequential"]
        if (one["arm"], one["metric"]) == ("urgent", "click_rate")
    )
    plain = row(metrics, "all", "urgent", "click_rate")
    assert anytime["difference_ci"][0] < plain["difference_ci"][0]
    assert anytime["difference"] == pytest.approx(plain["difference"])
    best = [one for one in metrics["bayes"] if one["metric"] == "click_rate"]
    assert sum(one["probability_best"] for one in best) == pytest.approx(1.0)
    tested = {one["arm"] for one in metrics["interactions"] if one["p_value"] is not None}
    assert "urgent" in tested
    assert all(one["arm"] is None for one in metrics["best"] if one["segment"] != "all")


def test_measure_clicks_per_open_counts_clicks_without_an_open(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 2_000},
        opened="place < 200",
        clicked="place < case when arm = 'urgent' then 90 else 40 end or place = 450",
        simulated=True,
    )

    found = {(one["segment"], one["arm"]): one for one in metrics["ratios"]}
    urgent = found["all", "urgent"]
    assert (urgent["metric"], urgent["kind"]) == ("click_to_open", "ratio")
    assert urgent["treatment"] == pytest.approx(91 / 200)
    assert urgent["control"] == pytest.approx(41 / 200)
    assert urgent["significant"]
    assert ("A", "friendly") in found
    assert "click_to_open" not in {one["metric"] for one in metrics["comparisons"]}


def test_measure_with_history_takes_its_part_of_the_variance_away(
    tables: Tables, tmp_path: Path
) -> None:
    experiment = experiment_config()
    assignment = run(tables, {"A": 4_000}, experiment)
    # A customer's history is the chance to open; place is in the order of ids.
    tables.keep(
        "customers",
        "select * replace (case when cast(split_part(customer_id, '-', 2) as integer) % 2 = 0 "
        "then 0.9e0 else 0.1e0 end as historical_open_rate) from customers",
    )
    keep_history(tables, tmp_path / "history.parquet")
    tables.read("history", tmp_path / "history.parquet", HISTORY)
    engage(
        tables,
        opened="cast(split_part(customer_id, '-', 2) as integer) % 2 = 0 and place % 10 < 9 "
        "or place % 10 = 0 or arm = 'urgent' and place % 20 = 1",
    )

    metrics = measured(tables, assignment, experiment, simulated=True)

    assert metrics["variance_reduction"]["open_rate"] > 0.3
    (adjusted,) = [
        one
        for one in metrics["cuped"]
        if (one["segment"], one["arm"], one["metric"]) == ("all", "urgent", "open_rate")
    ]
    plain = row(metrics, "all", "urgent", "open_rate")
    width = adjusted["difference_ci"][1] - adjusted["difference_ci"][0]
    assert width < 0.85 * (plain["difference_ci"][1] - plain["difference_ci"][0])
    assert adjusted["difference"] == pytest.approx(plain["difference"], abs=0.05)
    assert adjusted["n_treatment"] == plain["n_treatment"]


def test_measure_with_opens_as_the_primary_metric_names_no_winner(tables: Tables) -> None:
    metrics = observed(
        tables,
        {"A": 2000},
        experiment_config(analysis={"primary_metric": "open_rate"}),
        opened="place < case when arm = 'urgent' then 300 else 50 end",
        simulated=True,
    )

    assert row(metrics, "A", "urgent", "open_rate")["significant"]
    assert {one["arm"] for one in metrics["best"]} == {None}


@pytest.mark.parametrize(("minimum", "decision"), [(0, "ship"), (5000, "continue")])
def test_measure_below_the_planned_least_sample_ships_nothing(
    tables: Tables, minimum: int, decision: str
) -> None:
    metrics = observed(
        tables,
        {"A": 4000},
        minimum=minimum,
        clicked="place < case when arm = 'urgent' then 500 else 100 end",
    )

    assert {one["arm"]: one["decision"] for one in metrics["decisions"]}["urgent"] == decision


def test_measure_winsorised_revenue_caps_at_the_percentile_of_what_was_spent(
    tables: Tables,
) -> None:
    metrics = observed(
        tables,
        {"A": 1600},
        converted="place < 50",
        revenue="case when place < 50 then cast(place + 1 as double) else 0e0 end "
        "+ case when arm = 'urgent' and place = 0 then 9999e0 else 0e0 end",
    )

    # 200 amounts: 1 to 50 in each arm, but one 10,000 for one 1.
    assert metrics["winsorised_at"] == {"revenue": [None, 50.0]}
    (urgent,) = [r for r in metrics["winsorised"] if (r["segment"], r["arm"]) == ("all", "urgent")]
    assert urgent["metric"] == "revenue"
    assert urgent["treatment"] == pytest.approx((1275 - 1 + 50) / 400)
    assert urgent["control"] == pytest.approx(1275 / 400)
    plain = row(metrics, "all", "urgent", "revenue")
    assert plain["treatment"] == pytest.approx((1275 + 9999) / 400)
    assert urgent["difference_ci"][1] < plain["difference_ci"][1]


def test_measure_tells_all_assigned_beside_those_reached(tables: Tables) -> None:
    metrics = observed(tables, {"A": 1600}, delivered="place % 4 > 0", clicked="place % 20 = 1")

    (urgent,) = [
        r
        for r in metrics["assigned"]
        if (r["segment"], r["arm"], r["metric"]) == ("all", "urgent", "click_rate")
    ]
    assert (urgent["n_treatment"], urgent["treatment"]) == (400, 20 / 400)
    reached = row(metrics, "all", "urgent", "click_rate")
    assert (reached["n_treatment"], reached["treatment"]) == (300, 20 / 300)
