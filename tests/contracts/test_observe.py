"""The contract of the port `observe`, which reports the engagement of an assignment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from contracts.promises import Rig, check_port
from liftwright.adapters.embedded.simulator import EmbeddedSimulator
from liftwright.config import Simulation
from liftwright.data.engagement import EngagementFile
from liftwright.errors import DataError, LiftwrightError
from liftwright.model import ENGAGEMENT
from plane_samples import keep_customers, keep_rows, open_tables, varied_customers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liftwright.data import Tables
    from liftwright.ports import Observe

CUSTOMERS = 400
ARMS = ("control", "urgent", "informational", "friendly")


@dataclass(frozen=True, kw_only=True)
class ObserveRig:
    """An observer under its contract; `tables` hold `customers` and `assignments`.

    Attributes:
        make: the same observer each time.
        others: those that would tell something else.
        source: what its rows say they are.
        reached: how many customers at least have a delivered message.
        faulty: observers that cannot tell, and what they raise.
    """

    tables: Tables
    make: Callable[[], Observe]
    source: str
    reached: int
    others: dict[str, Callable[[], Observe]] = field(default_factory=dict)
    faulty: dict[str, tuple[Callable[[], Observe], type[LiftwrightError]]] = field(
        default_factory=dict
    )


def simulator(tables: Tables, folder: Path) -> ObserveRig:
    del folder
    config = Simulation.model_validate({"uplift": {"urgent": {"mean": 0.2, "sd": 0.05}}})
    without = config.model_copy(update={"uplift": {}})
    return ObserveRig(
        tables=tables,
        make=lambda: EmbeddedSimulator(tables, config, seed=7, salt="x"),
        source="simulated",
        reached=CUSTOMERS * 9 // 10,
        others={
            "seed": lambda: EmbeddedSimulator(tables, config, seed=8, salt="x"),
            "uplift": lambda: EmbeddedSimulator(tables, without, seed=7, salt="x"),
        },
    )


def file(tables: Tables, folder: Path) -> ObserveRig:
    ids = [f"C{index:05}" for index in range(CUSTOMERS)]
    lines = [
        f"{name},true,{number % 3 == 0},{number % 9 == 0},{number % 18 == 0},"
        f"{12.5 if number % 18 == 0 else 0},{'2026-01-03T10:00:00Z' if number % 3 == 0 else ''}"
        for number, name in enumerate(ids[: CUSTOMERS // 2])
    ]
    head = "customer_id,delivered,opened,clicked,converted,revenue,opened_at"
    whole, half, odd = folder / "whole.csv", folder / "half.csv", folder / "odd.csv"
    whole.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    half.write_text("\n".join([head, *lines[::2], ""]), encoding="utf-8")
    odd.write_text("who,what\n1,2\n", encoding="utf-8")
    return ObserveRig(
        tables=tables,
        make=lambda: EngagementFile(tables, whole),
        source="historical",
        reached=CUSTOMERS // 2,
        others={"file": lambda: EngagementFile(tables, half)},
        faulty={
            "missing": (lambda: EngagementFile(tables, folder / "none.csv"), DataError),
            "other columns": (lambda: EngagementFile(tables, odd), DataError),
        },
    )


ADAPTERS = {"simulator": simulator, "file": file}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path / "engine")
    keep_customers(opened, varied_customers(CUSTOMERS))
    keep_assignments(opened, range(CUSTOMERS))
    yield opened
    opened.close()


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest, tables: Tables, tmp_path: Path) -> ObserveRig:
    made: ObserveRig = request.param(tables, tmp_path)
    return made


def keep_assignments(tables: Tables, order: range) -> None:
    rows = [
        (f"C{n:05}", f"S{n % 3}", ARMS[n % 4], f"{ARMS[n % 4]}@S{n % 3}", "2026-01-02T00:00:00Z")
        for n in order
    ]
    names = ["customer_id", "segment", "arm", "variant_id", "moment"]
    keep_rows(tables, "assigned", names, rows)
    tables.keep(
        "assignments",
        "select customer_id, segment, arm, variant_id, "
        "cast(moment as timestamp with time zone) as assigned_at from assigned",
    )


def rows(tables: Tables, table: str = "engagement") -> list[tuple[object, ...]]:
    columns = ", ".join(
        f"cast({c.name} as varchar)" if c.name.endswith("_at") else c.name
        for c in ENGAGEMENT.columns
    )
    return [
        tuple(r)
        for r in tables.rows(f"select {columns} from {table} order by customer_id")  # noqa: S608
    ]


def count(tables: Tables, condition: str) -> int:
    ((found,),) = tables.rows(f"select count(*) from engagement where {condition}")  # noqa: S608
    return int(str(found))


def test_identity_is_stable_and_changes_with_what_changes_the_reply(rig: ObserveRig) -> None:
    check_port(Rig(make=rig.make, others=dict(rig.others)))


def test_call_names_a_table_of_engagement_with_its_declared_columns(rig: ObserveRig) -> None:
    table = rig.make()("assignments")
    found = rig.tables.columns(table)
    assert tuple(found) == ENGAGEMENT.names
    assert list(found.values()) == [column.kind for column in ENGAGEMENT.columns]


def test_call_gives_each_assigned_customer_one_row_with_its_assignment(rig: ObserveRig) -> None:
    table = rig.make()("assignments")
    columns = "customer_id, segment, arm, variant_id"
    assigned = rig.tables.rows(f"select {columns} from assignments order by customer_id")  # noqa: S608
    observed = rig.tables.rows(f"select {columns} from {table} order by customer_id")  # noqa: S608
    assert [tuple(row) for row in observed] == [tuple(row) for row in assigned]


def test_call_names_its_source_and_reaches_enough_customers(rig: ObserveRig) -> None:
    rig.make()("assignments")
    found = rig.tables.rows("select distinct source from engagement")
    assert [tuple(row) for row in found] == [(rig.source,)]
    assert count(rig.tables, "delivered") >= rig.reached
    assert count(rig.tables, "opened") > 0


def test_call_gives_no_impossible_row(rig: ObserveRig) -> None:
    rig.make()("assignments")
    for impossible in (
        "delivered is null or opened is null or clicked is null or converted is null",
        "revenue is null or revenue < 0",
        "not delivered and (opened or clicked or converted or revenue > 0)",
        "not opened and opened_at is not null",
        "not clicked and clicked_at is not null",
        "not converted and converted_at is not null",
        "opened_at < cast('2026-01-02T00:00:00Z' as timestamp with time zone)",
    ):
        assert count(rig.tables, impossible) == 0, impossible


def test_call_again_gives_equal_rows_in_any_order_and_another_identity_others(
    rig: ObserveRig,
) -> None:
    first = rows(rig.tables, rig.make()("assignments"))
    assert rows(rig.tables, rig.make()("assignments")) == first
    keep_assignments(rig.tables, range(CUSTOMERS - 1, -1, -1))
    assert rows(rig.tables, rig.make()("assignments")) == first
    for name, make in rig.others.items():
        assert rows(rig.tables, make()("assignments")) != first, name


def test_call_that_cannot_tell_says_so_in_our_words(rig: ObserveRig) -> None:
    for make, error in rig.faulty.values():
        with pytest.raises(error):
            make()("assignments")
