"""Late arrivals: `run --extend RUN --customers NEW`."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import (
    CUSTOMERS,
    configure,
    liftwright,
    read_json,
    read_rows,
    varied_customers,
    write_customers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from acceptance_samples import Answer

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("late_arrivals")

SAID = ("passages.json", "variants.json", "decisions.json", "claims.json", "plan.json")


@pytest.fixture(scope="module")
def complete(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished run `first` of 150 customers; to be copied, not changed."""
    root = shutil.copytree(template, tmp_path_factory.mktemp("complete") / "workspace")
    write_customers(root, varied_customers(150))
    configure(root, "experiment_config.holdout.share", 0.1)
    assert liftwright(root, "run", "--run-id", "first").status == 0
    return root


@pytest.fixture
def done(complete: Path, tmp_path: Path) -> Path:
    return shutil.copytree(complete, tmp_path / "done")


def extend(root: Path, rows: list[dict[str, str]], *options: str) -> Answer:
    """Extend `first` as `later` to the customers of a new list."""
    kept = (root / CUSTOMERS).read_bytes()
    file = write_customers(root, rows).rename(root / "data/raw/new.csv")
    (root / CUSTOMERS).write_bytes(kept)
    what = ("run", "--extend", "first", "--customers", str(file), "--run-id", "later")
    return liftwright(root, *what, *options)


def late(count: int) -> list[dict[str, str]]:
    """Customers whom the run `first` does not know."""
    rows = varied_customers(count, seed=5)
    return [{**row, "customer_id": f"N{n:05}"} for n, row in enumerate(rows)]


def by_id(file: Path) -> dict[str, tuple[str, ...]]:
    return {
        row["customer_id"]: tuple(
            str(value) for name, value in row.items() if name != "customer_id"
        )
        for row in read_rows(file)
    }


def test_run_extended_keeps_known_customers_and_places_new_ones_by_the_frozen_cuts(
    done: Path,
) -> None:
    # The first fifty of the old list are gone, 150 are new, and the known ones have changed.
    known = [{**row, "purchase_frequency": "0.1"} for row in varied_customers(150)[50:]]
    new = late(150)
    answer = extend(done, known + new)

    assert answer.status == 0, answer.err
    first, later = done / "data/runs/first", done / "data/runs/later"
    before, after = by_id(first / "assignments.parquet"), by_id(later / "assignments.parquet")
    assert before.items() <= after.items()
    segments = by_id(first / "segmented.parquet")
    assert segments.items() <= by_id(later / "segmented.parquet").items()
    added = {name: row for name, row in after.items() if name not in before}
    assert added
    assert all(name.startswith("N") for name in added)
    held = {row["customer_id"]: row["reason"] for row in read_rows(later / "unassigned.parquet")}
    assert len(added) + sum(name.startswith("N") for name in held) == 150
    assert set(held.values()) == {"holdout"}
    run = read_json(later / "run.json")
    assert (run["extends"], run["status"], run["metered_calls"]) == ("first", "complete", 0)
    for name in SAID:
        assert (later / name).read_bytes() == (first / name).read_bytes()
    metrics = read_json(later / "metrics.json")
    assert metrics["plan"]["deviations"] == []
    # What was known before the messages of those who are gone from the list is not lost.
    assert by_id(first / "history.parquet").items() <= by_id(later / "history.parquet").items()
    assert by_id(later / "history.parquet").keys() == after.keys()
    assert {row["metric"] for row in metrics["cuped"]} >= {"open_rate", "click_rate"}


def test_run_extended_gives_new_customers_the_arms_that_the_frozen_cut_points_say(
    done: Path,
) -> None:
    frozen = read_json(done / "data/runs/first/arms.json")
    new = late(200)
    assert extend(done, new).status == 0

    rows = read_rows(done / "data/runs/later/assignments.parquet")
    added = [row for row in rows if row["customer_id"].startswith("N")]
    assert added
    for row in added:
        text = frozen["design"]["salt"] + row["customer_id"]
        place = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        slices = frozen["slices"][row["segment"]]
        arm = next(one["arm"] for one in reversed(slices) if one["start"] <= place)
        assert row["arm"] == arm
        assert row["variant_id"] == frozen["design"]["cells"][row["segment"]][arm]
    after = read_json(done / "data/runs/later/arms.json")
    assert after["slices"] == frozen["slices"]
    assert sum(sum(arm.values()) for arm in after["counts"].values()) == len(rows)


def test_run_extended_again_with_equal_customers_is_kept(done: Path) -> None:
    new = late(20)
    assert extend(done, new).status == 0
    files = {path.name: path.read_bytes() for path in (done / "data/runs/later").glob("*.parquet")}

    # Nothing is screened or retrieved again, so this changes nothing.
    others = ("safety_thresholds.threshold=2", "retrieval.top_k=3")
    assert extend(done, new, *(part for one in others for part in ("--set", one))).status == 0

    again = {path.name: path.read_bytes() for path in (done / "data/runs/later").glob("*.parquet")}
    assert again == files
    refused = extend(
        done, new, "--set", "analysis.alpha=0.1", "--set", "exclusions.rules=['age > 60']"
    )
    assert refused.status == 2
    assert "experiment_config.yaml: analysis.alpha: 0.05 → 0.1" in refused.err
    assert "experiment_config.yaml: exclusions.rules" in refused.err


@pytest.mark.parametrize("first_extended", [True, False], ids=["later", "at once"])
def test_run_extended_is_measured_by_real_outcomes_and_verified(
    done: Path, tmp_path: Path, *, first_extended: bool
) -> None:
    new = late(20)
    if first_extended:
        assert extend(done, new).status == 0
    known = read_rows(done / "data/runs/first/assignments.parquet")
    ids = [row["customer_id"] for row in (*known, *new)]
    lines = [f"{name},1,{number % 2}" for number, name in enumerate(ids)]
    file = tmp_path / "outcomes.csv"
    file.write_text("\n".join(["customer_id,opened,clicked", *lines]) + "\n", encoding="utf-8")

    answer = extend(done, new, "--engagement", str(file))

    assert answer.status == 0, answer.err
    folder = done / "data/runs/later"
    metrics, run = read_json(folder / "metrics.json"), read_json(folder / "run.json")
    assigned = read_rows(folder / "assignments.parquet")
    assert (metrics["simulated"], metrics["n"]) == (False, len(assigned))
    assert len(assigned) > len(known)
    assert (run["extends"], run["simulated"]) == ("first", False)
    assert run["measurements"] == int(first_extended)
    assert read_json(done / "data/runs/first/metrics.json")["simulated"] is True
    assert liftwright(done, "verify").status == 0
    assert "extends first" in liftwright(done, "status", "later").out


def test_run_that_extends_can_be_measured_by_its_id(done: Path, tmp_path: Path) -> None:
    assert extend(done, late(20)).status == 0
    assigned = read_rows(done / "data/runs/later/assignments.parquet")
    lines = [f"{row['customer_id']},1,0" for row in assigned]
    file = tmp_path / "outcomes.csv"
    file.write_text("\n".join(["customer_id,opened,clicked", *lines]) + "\n", encoding="utf-8")
    answer = liftwright(done, "run", "--run-id", "later", "--engagement", str(file))
    assert answer.status == 0, answer.err
    assert read_json(done / "data/runs/later/metrics.json")["n"] == len(assigned)


@pytest.mark.parametrize(("run", "said"), [("frist", "'first'"), ("unfinished", "unfinished")])
def test_run_extended_from_what_is_no_finished_run_is_refused(
    done: Path, run: str, said: str
) -> None:
    shutil.copytree(done / "data/runs/first", done / "data/runs/unfinished")
    record = done / "data/runs/unfinished/run.json"
    text = record.read_text(encoding="utf-8").replace('"complete"', '"unfinished"')
    record.write_text(text, encoding="utf-8")

    answer = liftwright(done, "run", "--extend", run)

    assert answer.status == 2
    assert said in answer.err
    assert not (done / "data/runs/later").exists()
