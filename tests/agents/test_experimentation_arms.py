from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright.agents.experimentation import (
    Assignment,
    Design,
    assign,
    design_experiment,
)
from liftwright.errors import IntegrityError, NoExperiment
from liftwright.model import from_json, to_json
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

    from liftwright.data import Tables

AT = "2026-01-02T03:04:05.678Z"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    yield opened
    opened.close()


def people(sizes: dict[str, int]) -> list[tuple[str, str]]:
    return [(f"{s}-{index}", s) for s, size in sizes.items() for index in range(size)]


def fill(tables: Tables, rows: list[tuple[str, str]]) -> None:
    keep_segmented(tables, rows)
    keep_customers(tables, [customer(0, customer_id=customer_id) for customer_id, _ in rows])


def design_for(sizes: dict[str, int], blocked: tuple[str, ...] = (), **values: object) -> Design:
    variants = variants_for(sizes)
    decisions = decide(variants, blocked)
    return design_experiment(variants, decisions, experiment_config(**values), sizes)


def arms_of(tables: Tables) -> dict[str, str]:
    return {str(i): str(arm) for i, arm in tables.rows("select customer_id, arm from assignments")}


def test_design_experiment_by_default_gives_each_tone_an_equal_share() -> None:
    design = design_for({"A": 40, "B": 20})

    assert [arm.name for arm in design.arms] == ["control", *TONES]
    assert design.cells["A"]["urgent"] == "urgent@A"
    assert design.cells["B"]["control"] == "control@None"
    assert design.shares["A"] == dict.fromkeys(["control", *TONES], 0.25)
    assert design.salt == "autumn"
    assert design.compared == ("A", "B")


def test_design_experiment_with_a_blocked_variant_gives_its_share_to_control() -> None:
    design = design_for({"A": 40, "B": 20}, blocked=("urgent@A",))

    assert "urgent" not in design.cells["A"]
    assert design.shares["A"] == {"control": 0.5, "informational": 0.25, "friendly": 0.25}
    assert design.shares["B"]["urgent"] == 0.25
    assert "urgent@A" not in design.approved


def test_design_experiment_segment_without_variants_is_all_control_and_not_compared() -> None:
    design = design_for({"A": 40, "B": 20}, blocked=tuple(f"{tone}@A" for tone in TONES))

    assert design.shares["A"] == {"control": pytest.approx(1.0)}
    assert design.compared == ("B",)


@pytest.mark.parametrize(
    ("sizes", "blocked", "reason"),
    [
        ({"A": 40}, ("control@None",), "control message"),
        ({"A": 40}, tuple(f"{tone}@A" for tone in TONES), "no experiment"),
        ({"A": 2, "B": 1}, (), "3 customers for 4 arms"),
    ],
)
def test_design_experiment_without_what_it_needs_refuses(
    sizes: dict[str, int], blocked: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(NoExperiment, match=reason):
        design_for(sizes, blocked)


def test_assign_gives_every_customer_one_arm_an_approved_variant_and_the_time(
    tables: Tables,
) -> None:
    sizes = {"A": 101, "B": 37}
    fill(tables, people(sizes))

    found = assign(tables, design_for(sizes, blocked=("friendly@B",)), AT)

    rows = tables.rows(
        "select customer_id, segment, arm, variant_id, epoch_ms(assigned_at) from assignments"
    )
    assert len({row[0] for row in rows}) == 138
    for _, segment, arm, variant_id, at in rows:
        assert variant_id == ("control@None" if arm == "control" else f"{arm}@{segment}")
        assert at == 1767323045678
    assert found.counts["A"] == Counter(row[2] for row in rows if row[1] == "A")
    assert "friendly" not in found.counts["B"]
    assert found.assigned_at == AT


def test_assign_odd_customers_go_to_different_arms_in_different_segments(tables: Tables) -> None:
    sizes = dict.fromkeys("ABCD", 5)
    fill(tables, people(sizes))

    found = assign(tables, design_for(sizes), AT)

    favoured = [max(counts, key=counts.__getitem__) for counts in found.counts.values()]
    assert len(set(favoured)) == 4


def test_assign_late_arrivals_keep_all_and_place_newcomers_by_the_same_slices(
    tables: Tables,
) -> None:
    sizes = {"A": 400}
    rows = people(sizes)
    fill(tables, rows)
    first = assign(tables, design_for(sizes), AT)
    before = arms_of(tables)
    read = from_json(Assignment, json.loads(json.dumps(to_json(first))))
    assert read == first

    late = rows + [(f"late-{index}", "A") for index in range(400)]
    fill(tables, late)
    second = assign(tables, read.design, AT, earlier=read)

    after = arms_of(tables)
    assert {customer_id: after[customer_id] for customer_id in before} == before
    assert len(after) == 800
    assert second.slices == first.slices
    newcomers = Counter(arm for i, arm in after.items() if i.startswith("late"))
    assert all(60 <= newcomers[arm] <= 140 for arm in ("control", *TONES))


def test_assign_to_what_cannot_be_is_an_integrity_error(tables: Tables) -> None:
    sizes = {"A": 40}
    fill(tables, people(sizes))
    first = assign(tables, design_for(sizes), AT)
    document = to_json(first.design)
    assert isinstance(document, dict)
    forged = {**document, "approved": ["control@None", "urgent@A", "friendly@A"]}
    with pytest.raises(IntegrityError, match="'informational@A'"):
        assign(tables, from_json(Design, json.loads(json.dumps(forged))), AT)
    fill(tables, [*people(sizes), ("x", "New")])
    with pytest.raises(IntegrityError, match="'New'"):
        assign(tables, first.design, AT, earlier=first)
    fill(tables, [("same", "A")] * 40)
    with pytest.raises(IntegrityError, match="ids unique"):
        assign(tables, design_for(sizes), AT)


def same_first_word(salt: str) -> tuple[str, str]:
    """Two ids whose hashes begin with the same 8 digits: among 200,000 there are some."""
    seen: dict[str, str] = {}
    for number in range(200_000):
        word = hashlib.md5(f"{salt}{number}".encode()).hexdigest()[:8]  # noqa: S324 - no secret
        if word in seen:
            return seen[word], str(number)
        seen[word] = str(number)
    raise AssertionError("no two hashes begin alike")


def test_assign_parts_customers_whose_hashes_begin_alike(tables: Tables) -> None:
    design = design_for({"A": 4})
    twins = same_first_word(design.salt)
    fill(tables, [(one, "A") for one in (*twins, "x", "y")])

    found = assign(tables, design, AT)

    assert sorted(arms_of(tables).values()) == sorted(["control", *TONES])
    assert sorted(len(part.start) for part in found.slices["A"]) == [0, 8, 8, 32]


def test_assign_balance_compares_the_arms_within_segments(tables: Tables) -> None:
    rows = people({"A": 200, "B": 200})
    keep_segmented(tables, rows)
    draw = random.Random(2)  # noqa: S311 - a repeatable sample
    keep_customers(
        tables,
        [
            customer(0, customer_id=i, age=draw.gauss(30.0 if s == "A" else 70.0, 3.0))
            for i, s in rows
        ],
    )

    found = assign(tables, design_for({"A": 200, "B": 200}, blocked=("urgent@A",)), AT)

    by_key = {(row.arm, row.feature): row for row in found.balance}
    urgent = by_key["urgent", "age"]
    # Urgent is in B alone, where people are old; within B it is like the control.
    assert urgent.difference is not None
    assert abs(urgent.difference) < 0.6
    assert urgent.limit == pytest.approx(3 / 5, abs=0.001)
    assert by_key["urgent", "avg_order_value"].difference is None


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5).filter(lambda s: sum(s) >= 4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    blocked=st.sets(st.tuples(st.integers(0, 4), st.sampled_from(TONES)), max_size=4),
    shuffle=st.randoms(use_true_random=False),
)
def test_assign_any_experiment_is_complete_exact_sticky_and_blind_to_order(
    sizes: list[int],
    weights: list[int],
    blocked: set[tuple[int, str]],
    shuffle: random.Random,
) -> None:
    by_name = {f"S{index}": size for index, size in enumerate(sizes)}
    shares = {
        arm: weight / sum(weights) for arm, weight in zip(("control", *TONES), weights, strict=True)
    }
    out = tuple(f"{tone}@S{index}" for index, tone in blocked)
    try:
        design = design_for(by_name, out, shares=shares)
    except NoExperiment:
        assert all(f"{tone}@{segment}" in out for segment in by_name for tone in TONES)
        return
    rows = people(by_name)
    with tempfile.TemporaryDirectory() as folder:
        tables = open_tables(Path(folder))
        fill(tables, rows)
        found = assign(tables, design, AT)
        first = arms_of(tables)
        shuffle.shuffle(rows)
        keep_segmented(tables, rows)
        assign(tables, design, AT)
        again = arms_of(tables)
        assign(tables, design, AT, earlier=found)
        later = arms_of(tables)
        tables.close()

    assert first == again == later
    assert set(first) == {customer_id for customer_id, _ in rows}
    for segment, size in by_name.items():
        assert sum(found.counts[segment].values()) == size
        for arm, share in design.shares[segment].items():
            assert abs(found.counts[segment][arm] - size * share) < 1 + 1e-6
        # The arm is the slice that the hash falls into, and the first slice has no start.
        assert found.slices[segment][0].start == ""
