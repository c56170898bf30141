from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from liftwright.adapters.embedded.simulator import EmbeddedSimulator
from liftwright.config import Simulation
from plane_samples import (
    customer,
    keep_customers,
    open_tables,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import Tables

OUTCOMES = "customer_id, delivered, opened, clicked, converted, revenue"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    yield opened
    opened.close()


def populate(tables: Tables, count: int, **values: object) -> None:
    keep_customers(tables, [customer(0, **values)])
    columns = ", ".join(
        name for name in ("age", "location", "tier", "purchase_frequency", "avg_order_value")
    )
    tables.keep("one", "select * from customers")
    tables.keep(
        "customers",
        f"select 'c' || cast(i as varchar) as customer_id, {columns}, last_engagement_days, "  # noqa: S608
        f"historical_open_rate, historical_click_rate from one, range({count}) as r(i)",
    )


def assign_all(tables: Tables, arm: str, name: str = "assignments") -> None:
    tables.keep(
        name,
        f"select customer_id, 'S' as segment, '{arm}' as arm, 'v' as variant_id, "  # noqa: S608
        "cast('2026-01-02T00:00:00Z' as timestamp with time zone) as assigned_at from customers",
    )


def simulate(tables: Tables, arm: str = "control", seed: int = 1, **config: Any) -> None:
    assign_all(tables, arm)
    simulator = EmbeddedSimulator(tables, Simulation.model_validate(config), seed=seed, salt="x")
    assert simulator("assignments") == "engagement"


def outcomes(tables: Tables) -> list[tuple[object, ...]]:
    return [
        tuple(row)
        for row in tables.rows(f"select {OUTCOMES} from engagement order by customer_id")  # noqa: S608
    ]


def rate(tables: Tables, event: str, where: str = "delivered") -> float:
    ((value,),) = tables.rows(
        f"select avg(case when {event} then 1e0 else 0e0 end) from engagement where {where}"  # noqa: S608
    )
    return float(str(value))


def test_simulator_meets_the_customers_own_rates(tables: Tables) -> None:
    populate(tables, 40_000, historical_open_rate=0.30, historical_click_rate=0.08)

    simulate(tables, delivery_rate=0.9, click_without_open_share=0.1, conversion_rate_of_clicks=0.5)

    assert rate(tables, "delivered", "true") == pytest.approx(0.9, abs=0.01)
    assert rate(tables, "opened") == pytest.approx(0.30, abs=0.012)
    assert rate(tables, "clicked") == pytest.approx(0.08, abs=0.007)
    assert rate(tables, "not opened", "clicked") == pytest.approx(0.1, abs=0.03)
    assert rate(tables, "converted", "clicked") == pytest.approx(0.5, abs=0.05)
    assert rate(tables, "opened or clicked or converted", "not delivered") == 0.0
    assert rate(tables, "converted", "not clicked") == 0.0


@pytest.mark.parametrize(
    ("open_rate", "click_rate"), [(0.05, 0.4), (1.0, 0.5), (0.0, 0.3), (0.5, 1.0), (1.0, 1.0)]
)
def test_simulator_odd_rates_keep_their_marginals(
    tables: Tables, open_rate: float, click_rate: float
) -> None:
    populate(tables, 20_000, historical_open_rate=open_rate, historical_click_rate=click_rate)

    simulate(tables)

    assert rate(tables, "opened") == pytest.approx(open_rate, abs=0.015)
    assert rate(tables, "clicked") == pytest.approx(click_rate, abs=0.015)


def test_simulator_uplift_of_zero_gives_exactly_what_control_would_have(tables: Tables) -> None:
    populate(tables, 5_000)
    simulate(tables, "control")
    control = outcomes(tables)

    simulate(tables, "urgent", uplift={"urgent": {"mean": 0.0, "sd": 0.0}})
    zero = outcomes(tables)
    simulate(tables, "friendly", uplift={"urgent": {"mean": 0.5, "sd": 0.0}})

    assert zero == control
    assert outcomes(tables) == control


def test_simulator_uplift_multiplies_the_rates_of_its_arm(tables: Tables) -> None:
    populate(tables, 40_000, historical_open_rate=0.30, historical_click_rate=0.10)
    simulate(tables, "control", delivery_rate=1.0)
    before = {row[0]: row for row in outcomes(tables)}
    plain = rate(tables, "opened"), rate(tables, "clicked")

    simulate(tables, "urgent", delivery_rate=1.0, uplift={"urgent": {"mean": 0.2, "sd": 0.0}})

    assert rate(tables, "opened") / plain[0] == pytest.approx(1.2, abs=0.03)
    assert rate(tables, "clicked") / plain[1] == pytest.approx(1.2, abs=0.06)
    # The same random numbers are drawn: a customer who opens as control opens with an uplift.
    assert all(row[2] for row in outcomes(tables) if before[row[0]][2])


def test_simulator_spread_of_the_uplift_leaves_its_mean(tables: Tables) -> None:
    populate(tables, 60_000, historical_open_rate=0.30, historical_click_rate=0.10)
    simulate(tables, "control", delivery_rate=1.0)
    plain = rate(tables, "opened")
    even = [row[2] for row in outcomes(tables)]

    simulate(tables, "urgent", delivery_rate=1.0, uplift={"urgent": {"mean": 0.0, "sd": 0.3}})

    assert rate(tables, "opened") / plain == pytest.approx(1.0, abs=0.02)
    spread = [row[2] for row in outcomes(tables)]
    gained = sum(new and not old for old, new in zip(even, spread, strict=True))
    lost = sum(old and not new for old, new in zip(even, spread, strict=True))
    # A normal of spread 0.3 moves 0.3 * 0.3 * 0.399 of the customers either way.
    assert gained / 60_000 == pytest.approx(0.0359, abs=0.004)
    assert lost / 60_000 == pytest.approx(0.0359, abs=0.004)


def test_simulator_revenue_is_cents_around_the_order_value_on_conversion_alone(
    tables: Tables,
) -> None:
    populate(
        tables,
        20_000,
        avg_order_value=80.0,
        historical_open_rate=0.9,
        historical_click_rate=0.8,
    )

    simulate(tables, conversion_rate_of_clicks=1.0)

    values = [float(str(row[5])) for row in outcomes(tables) if row[4]]
    assert sum(values) / len(values) == pytest.approx(80.0, rel=0.03)
    assert all(abs(value * 100 - round(value * 100)) < 1e-6 for value in values)
    assert len(set(values)) > 1000
    assert all(row[5] == 0.0 for row in outcomes(tables) if not row[4])


def test_simulator_times_follow_each_other(tables: Tables) -> None:
    populate(tables, 5_000, historical_open_rate=0.5, historical_click_rate=0.3)

    simulate(tables, conversion_rate_of_clicks=0.5, click_without_open_share=0.2)

    ((wrong, times, flags),) = tables.rows(
        "select count(*) filter (where delivered_at <= assigned_at or opened_at <= delivered_at "
        "or clicked_at <= coalesce(opened_at, delivered_at) or converted_at <= clicked_at), "
        "count(delivered_at) + count(opened_at) + count(clicked_at) + count(converted_at), "
        "count(*) filter (where delivered) + count(*) filter (where opened) "
        "+ count(*) filter (where clicked) + count(*) filter (where converted) "
        "from engagement join assignments using (customer_id)"
    )
    assert wrong == 0
    assert times == flags > 5_000


def test_simulator_on_the_sample_brand_meets_the_usual_rates(
    tables: Tables, sample_workspace_root: Path
) -> None:
    tables.open("sample", sample_workspace_root / "data" / "raw" / "customers.csv")
    tables.keep(
        "customers",
        "select customer_id || '-' || cast(i as varchar) as customer_id, "
        "cast(avg_order_value as double) as avg_order_value, "
        "cast(historical_open_rate as double) as historical_open_rate, "
        "cast(historical_click_rate as double) as historical_click_rate "
        "from sample, range(40) as r(i)",
    )

    simulate(tables)

    assert 0.20 <= rate(tables, "opened") <= 0.30
    assert 0.05 <= rate(tables, "clicked") <= 0.10


def test_simulator_seeds_are_independent(tables: Tables) -> None:
    populate(tables, 40_000, historical_open_rate=0.3)
    simulate(tables, seed=1)
    tables.keep("first", "select customer_id, opened from engagement")
    simulate(tables, seed=2)

    ((both,),) = tables.rows(
        "select avg(case when f.opened and e.opened then 1e0 else 0e0 end) from engagement as e "
        "inner join first as f on e.customer_id = f.customer_id"
    )

    # Delivered twice and opened twice; its standard error is 0.0014.
    assert float(str(both)) == pytest.approx((0.98 * 0.3) ** 2, abs=0.006)
