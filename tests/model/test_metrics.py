from __future__ import annotations

from liftwright.config import Simulation
from liftwright.model import CUSTOMERS, ENGAGEMENT, METRICS, RATIOS, ColumnKind, direction_of

COLUMNS = {column.name: column.kind for column in (*ENGAGEMENT.columns, *ENGAGEMENT.optional)}


def test_metrics_are_declared_with_columns_of_their_kind() -> None:
    assert [metric.name for metric in METRICS] == [
        *("open_rate", "click_rate", "conversion_rate", "revenue"),
        *("unsubscribe_rate", "complaint_rate"),
    ]
    for metric in METRICS:
        kind = ColumnKind.FLAG if metric.kind == "binary" else ColumnKind.NUMBER
        assert COLUMNS[metric.column] is kind, metric.name
        assert metric.label
        assert metric.unit


def test_metrics_have_one_primary_and_guardrails_of_optional_columns() -> None:
    assert [metric.name for metric in METRICS if metric.role == "primary"] == ["click_rate"]
    guardrails = [metric for metric in METRICS if metric.role == "guardrail"]
    assert [metric.direction for metric in guardrails] == ["lower", "lower"]
    optional = {column.name for column in ENGAGEMENT.optional}
    assert {metric.column for metric in guardrails} <= optional


def test_metrics_refer_to_what_there_is() -> None:
    earlier: set[str] = set()
    for metric in METRICS:
        assert metric.covariate is None or metric.covariate in CUSTOMERS.names, metric.name
        if metric.simulated is not None:
            assert metric.simulated.rate is None or metric.simulated.rate in Simulation.model_fields
            assert metric.simulated.after is None or metric.simulated.after in earlier
            assert metric.simulated.amount is None or metric.simulated.amount in CUSTOMERS.names
        earlier.add(metric.name)


def test_ratios_are_of_columns_that_metrics_count() -> None:
    flags = {metric.column for metric in METRICS if metric.kind == "binary"}
    for ratio in RATIOS:
        assert {ratio.column, ratio.denominator} <= flags


def test_direction_of_an_unknown_metric_is_higher() -> None:
    assert direction_of("complaint_rate") == "lower"
    assert direction_of("anything") == "higher"
