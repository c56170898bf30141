from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from liftwright.agents.experimentation import assign, choose_eligible, design_experiment
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import ASSIGNMENTS
from plane_samples import (
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

    from liftwright.data import Tables

SIZES = {"A": 600, "B": 400}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    rows = [(f"{s}-{index}", s) for s, size in SIZES.items() for index in range(size)]
    keep_segmented(opened, rows)
    keep_customers(
        opened,
        [
            customer(0, customer_id=customer_id, tier="Gold" if number % 10 == 0 else "Silver")
            for number, (customer_id, _) in enumerate(rows)
        ],
    )
    yield opened
    opened.close()


def ids(tables: Tables, statement: str) -> set[str]:
    return {str(row[0]) for row in tables.rows(statement)}


def held(tables: Tables) -> set[str]:
    return ids(tables, "select customer_id from unassigned where reason = 'holdout'")


def test_choose_eligible_holdout_has_its_share_and_is_the_same_for_every_campaign(
    tables: Tables,
) -> None:
    holdout = {"share": 0.2, "salt": "yardstick"}
    found = choose_eligible(tables, experiment_config(name="autumn", holdout=holdout))
    first = held(tables)
    choose_eligible(tables, experiment_config(name="winter", holdout=holdout))
    second = held(tables)
    choose_eligible(tables, experiment_config(holdout={"share": 0.2, "salt": "another"}))

    assert found.left_out == {"holdout": len(first)}
    # 200 expected with a standard deviation of 12.6.
    assert abs(len(first) - 200) < 4 * 12.6
    assert first == second
    assert held(tables) != first


def test_choose_eligible_rule_leaves_out_whom_it_fits(tables: Tables) -> None:
    config = experiment_config(exclusions={"rules": ["tier = 'Gold'"]})

    found = choose_eligible(tables, config)

    assert found.left_out == {"excluded: tier = 'Gold'": 100}
    assert found.sizes == {"A": 540, "B": 360}
    gold = ids(tables, "select customer_id from customers where tier = 'Gold'")
    assert not gold & ids(tables, "select customer_id from eligible")


def test_choose_eligible_rule_that_is_none_is_refused_by_its_key(tables: Tables) -> None:
    config = experiment_config(exclusions={"rules": ["tier = 'Gold'", "teir = 'Gold'"]})

    with pytest.raises(ConfigurationError, match=r"exclusions\.rules\[1\].*teir"):
        choose_eligible(tables, config)


def test_choose_eligible_suppressed_ids_match_exactly_and_addresses_folded(
    tables: Tables, tmp_path: Path
) -> None:
    add(tables, "Ana@Example.com", "bo@example.com", "cy@example.com", "a@b@c")
    file = tmp_path / "never.csv"
    listed = ("A-1", "b-7", " B-8", "stranger", "A@B@C", "ana@example.com", " BO@example.com ")
    wide = "\uff23\uff39\uff20example.com"
    file.write_text("\n".join(("customer_id", *listed, wide)), encoding="utf-8")

    found = choose_eligible(tables, experiment_config(), suppressed=file)

    assert found.left_out == {"suppressed": 4}
    assert ids(tables, "select customer_id from unassigned") == {
        *("A-1", "Ana@Example.com", "bo@example.com", "cy@example.com")
    }
    # `b-7`, ` B-8`, `A@B@C` and the stranger are no customers; the first three nearly are.
    assert [re.findall("[0-9]+", w.partition(": ")[2]) for w in found.warnings] == [["4", "8", "3"]]


def add(tables: Tables, *names: str) -> None:
    """Replace the customers by four plain ones and those named."""
    everyone = ("A-0", "A-1", "B-7", "B-8", *names)
    keep_segmented(tables, [(name, "A") for name in everyone])
    keep_customers(tables, [customer(0, customer_id=name) for name in everyone])


@pytest.mark.parametrize(
    ("exclusions", "left_out"),
    [
        # A blank text is not 'Gold' and not 'Silver'; a missing number satisfies no comparison.
        ({"consent": ["tier = 'Gold'"]}, {"silver", "blank", "none"}),
        ({"consent": ["tier = 'Gold'", "age >= 30"]}, {"silver", "blank", "none", "young"}),
        ({"consent": ["age >= 30"]}, {"young", "none"}),
        ({"rules": ["tier <> 'Gold'"]}, {"silver", "blank", "none"}),
        ({"rules": ["not (tier in ('Gold', 'Silver'))"]}, {"blank", "none"}),
        ({"rules": ["tier = 'Gold'"]}, {"gold", "young"}),
        ({"rules": ["tier between 'A' and 'Z' or age < 30"]}, {"silver", "gold", "young"}),
        ({"rules": ["age < 30"]}, {"young"}),
        ({"rules": ["not age >= 30"]}, {"young"}),
    ],
)
def test_choose_eligible_consent_excludes_without_a_value_and_rules_only_in_texts(
    tables: Tables, exclusions: dict[str, list[str]], left_out: set[str]
) -> None:
    names = ("gold", "silver", "blank", "young", "none")
    rows = [
        customer(0, customer_id=name, tier=tier, age=age)
        for name, tier, age in zip(
            names,
            ("Gold", "Silver", None, "Gold", None),
            (40.0, 40.0, 40.0, 20.0, None),
            strict=True,
        )
    ]
    keep_segmented(tables, [(name, "A") for name in names])
    keep_customers(tables, rows)

    found = choose_eligible(tables, experiment_config(exclusions=exclusions))

    assert ids(tables, "select customer_id from unassigned") == left_out
    assert sum(found.left_out.values()) == len(left_out)


def test_choose_eligible_rules_that_match_nobody_or_lack_values_warn(tables: Tables) -> None:
    names = ("a", "b", "c")
    rows = [
        customer(0, customer_id=name, tier=tier, age=None)
        for name, tier in zip(names, (None, None, "Gold"), strict=True)
    ]
    keep_segmented(tables, [(name, "A") for name in names])
    keep_customers(tables, rows)
    exclusions = {"consent": ["tier = 'Gold'"], "rules": ["tier = 'gold'", "age < 18"]}

    warnings = choose_eligible(tables, experiment_config(exclusions=exclusions)).warnings

    keys = [warning.partition("exclusions.")[2].partition(":")[0] for warning in warnings]
    assert keys == ["consent[0]", "rules[0]", "rules[0]", "rules[1]", "rules[1]"]
    assert "2 customers lack a value" in warnings[0]
    assert "2 of them" in warnings[0]
    assert "0 of them" in warnings[2]


def test_choose_eligible_suppressed_file_that_cannot_serve_is_refused(
    tables: Tables, tmp_path: Path
) -> None:
    file = tmp_path / "never.csv"
    file.write_text("customerid\nA-1\n", encoding="utf-8")

    with pytest.raises(DataError, match=r"'customer_id'.*customerid"):
        choose_eligible(tables, experiment_config(), suppressed=file)
    with pytest.raises(ConfigurationError, match=r"exclusions\.suppressed.*gone\.csv"):
        choose_eligible(tables, experiment_config(), suppressed=tmp_path / "gone.csv")


def test_choose_eligible_first_reason_stands_and_the_holdout_comes_first(
    tables: Tables, tmp_path: Path
) -> None:
    file = tmp_path / "never.csv"
    file.write_text("customer_id\n" + "\n".join(f"A-{n}" for n in range(600)), encoding="utf-8")
    config = experiment_config(holdout={"share": 0.5}, exclusions={"rules": ["age >= 0"]})

    found = choose_eligible(tables, config, suppressed=file)

    assert sum(found.left_out.values()) == 1000
    assert found.left_out["holdout"] > 400
    assert found.left_out["suppressed"] < 400
    assert found.sizes == {"A": 0, "B": 0}


def test_choose_eligible_customers_of_an_earlier_run_rest(tables: Tables, tmp_path: Path) -> None:
    config = experiment_config()
    keep_segmented(tables, [("A-1", "A"), ("A-2", "A"), ("A-3", "A"), ("A-4", "A")])
    variants = variants_for({"A": 4})
    design = design_experiment(variants, decide(variants), config, {"A": 4})
    assign(tables, design, "2026-01-02T03:04:05.678Z")
    path = tmp_path / "assignments.parquet"
    tables.write("assignments", path, ASSIGNMENTS)
    keep_segmented(tables, [("A-3", "A"), ("A-4", "A"), ("A-5", "A")])

    found = choose_eligible(tables, config, earlier={"run-1": path})

    assert found.left_out == {"assigned by run run-1": 2}
    assert ids(tables, "select customer_id from eligible") == {"A-5"}


def test_assign_among_the_eligible_gives_arms_to_them_alone(tables: Tables) -> None:
    config = experiment_config(holdout={"share": 0.3})
    found = choose_eligible(tables, config)
    variants = variants_for(SIZES)
    design = design_experiment(variants, decide(variants), config, found.sizes)

    assignment = assign(tables, design, "2026-01-02T03:04:05.678Z", among="eligible")

    assigned = ids(tables, "select customer_id from assignments")
    assert assigned == ids(tables, "select customer_id from eligible")
    for segment, counts in assignment.counts.items():
        assert sum(counts.values()) == found.sizes[segment]
        assert max(counts.values()) - min(counts.values()) <= 1
