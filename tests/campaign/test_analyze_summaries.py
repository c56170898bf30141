"""Rows that tell of many units, and what other people's files look like."""

from __future__ import annotations

import math
import random
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ARMS = ("as it is", "new button", "third")


def analyze(file: Path, text: str, *metrics: str, **options: Any) -> dict[str, Any]:
    file.write_text(text)
    request = AnalyzeRequest(
        **{"file": file, "arm": "arm", "control": ARMS[0], "metrics": metrics, **options}
    )
    return analyze_file(request).to_json()


def drawn() -> dict[str, list[tuple[int, float]]]:
    draw = random.Random(5)  # noqa: S311 - not for secrets
    return {
        arm: [
            (int(draw.random() < 0.1 + 0.03 * place), round(draw.gauss(12 + place, 5), 2))
            for _ in range(300 + 50 * place)
        ]
        for place, arm in enumerate(ARMS)
    }


def test_analyze_of_summaries_gives_what_their_units_give(tmp_path: Path) -> None:
    units = drawn()
    rows = [f"{arm},{y},{spent}" for arm, found in units.items() for y, spent in found]
    whole = analyze(tmp_path / "u.csv", "\n".join(["arm,bought,spent", *rows]), "bought", "spent")
    summed = [
        f"{arm},{len(part)},{sum(y for y, _ in part)},{statistics.fmean(s for _, s in part)!r},"
        f"{statistics.stdev(s for _, s in part)!r}"
        for arm, found in units.items()
        for part in (found[:100], found[100:])
    ]
    got = analyze(
        tmp_path / "s.csv",
        "\n".join(["arm,visitors,orders,average,sd", *summed]),
        "bought=orders/visitors:binary",
        "spent=average,sd:mean",
        shares=tuple(f"{arm}={len(found) / 1050!r}" for arm, found in units.items()),
    )
    assert got["n"] == whole["n"]
    assert got["srm"]["observed"] == {arm: len(found) for arm, found in units.items()}
    assert len(got["comparisons"]) == 4
    for row, same in zip(got["comparisons"], whole["comparisons"], strict=True):
        for key in ("treatment", "control", "difference", "lift", "p_value", "p_adjusted"):
            assert math.isclose(row[key], same[key], rel_tol=1e-9), key
        assert row["difference_ci"] == pytest.approx(same["difference_ci"], rel=1e-9)
    assert got["sequential"][1]["difference_ci"] is not None
    assert "winsorised" not in got


@pytest.mark.parametrize(
    ("metric", "options", "told"),
    [
        ("orders", {"count": "visitors"}, "orders=orders/visitors:binary"),
        ("rate=orders/visitors:ratio", {}, "rate=orders/visitors:binary"),
        ("spent=average,sd:mean", {}, "needs --count"),
        ("rate=visitors/orders:binary", {}, "row 1: visitors: found '400', allowed: not more than"),
        ("rate=orders/visitors:binary", {"unit": "arm"}, "leave out --unit"),
        ("rate=orders/:binary", {}, "NAME=EVENTS/UNITS:binary"),
        ("spent=average,:mean", {}, "NAME=MEAN,SD:mean"),
        ("rate=orders:ratio", {}, "NAME=NUM/DEN:ratio"),
        ("=:binary", {}, "the name is empty"),
        ("spent=average,below:mean", {"count": "visitors"}, "row 1: below: found '-1', allowed: 0"),
        ("spent=average,arm:mean", {"count": "visitors"}, "arm: found 'as it is', allowed: 0 or"),
        ("rate=average/visitors:binary", {}, "average: found '1.5', allowed: a whole number"),
        ("orders:binary", {"count": "visitors"}, "orders: found '40', allowed: 0, 1"),
    ],
)
def test_analyze_of_a_summary_that_is_misread_says_how_it_is_meant(
    tmp_path: Path, metric: str, options: dict[str, Any], told: str
) -> None:
    text = "arm,visitors,orders,average,sd,below\n" + "\n".join(
        f"{arm},400,40,1.5,2,-1" for arm in ARMS
    )
    with pytest.raises(InputError) as refused:
        analyze(tmp_path / "s.csv", text, metric, **options)
    assert told in str(refused.value)


def test_analyze_of_a_file_with_an_index_and_names_with_spaces(tmp_path: Path) -> None:
    rows = [f"{n},{ARMS[n % 2]},{n % 7 == 0},{n % 24}" for n in range(2000)]
    found = analyze(
        tmp_path / "a.csv",
        "\n".join([",test group,did convert,hour of day", *rows]),
        "did convert",
        "hour of day",
        arm="test group",
        unit="column 1",
    )
    assert found["n"] == 2000
    assert [row["kind"] for row in found["comparisons"]] == ["binary", "mean"]


def test_analyze_of_one_arm_alone_is_refused(tmp_path: Path) -> None:
    text = "arm,y\n" + f"{ARMS[0]},1\n" * 10
    with pytest.raises(InputError, match="'as it is'"):
        analyze(tmp_path / "a.csv", text, "y")


def test_analyze_of_a_column_that_is_not_of_arms_is_refused_before_work(tmp_path: Path) -> None:
    text = "arm,y\n" + "\n".join(f"user {n},{n % 2}" for n in range(1000))
    with pytest.raises(InputError, match=r"1,000 arms.*200"):
        analyze(tmp_path / "a.csv", text, "y", control="user 1")
    with pytest.raises(InputError, match="and 990 more"):
        analyze(tmp_path / "a.csv", text, "y", control="somebody else entirely")


def test_analyze_by_many_experiments_corrects_all_of_them_together(tmp_path: Path) -> None:
    draw = random.Random(3)  # noqa: S311 - not for secrets
    rows = []
    for test in range(300):
        for place, arm in enumerate(ARMS[: 2 + test % 2]):
            n = 1000
            rate = 0.2 if test < 5 and place == 1 else 0.1
            rows.append(f"t{test:03},{arm},{n},{sum(draw.random() < rate for _ in range(n))}")
    rows.append("lonely,third,10,1")
    found = analyze(
        tmp_path / "many.csv",
        "\n".join(["test,arm,views,clicks", *rows]),
        "ctr=clicks/views:binary",
        by="test",
        correction="bh",
    )
    assert (len(found["experiments"]), found["tests"]) == (301, 450)
    assert found["without_control"] == ["lonely"]
    assert found["srm_failed"] == []
    won = [one["experiment"] for one in found["experiments"] if one["best"] == "new button"]
    assert won[:5] == [f"t{n:03}" for n in range(5)]
    assert len(won) <= 6
    rows_of = {one["experiment"]: one["comparisons"] for one in found["experiments"]}
    assert [len(rows_of[name]) for name in ("t000", "t001", "lonely")] == [1, 2, 0]
    alone = analyze(
        tmp_path / "one.csv",
        "\n".join(["test,arm,views,clicks", *rows[5:7]]),
        "ctr=clicks/views:binary",
        by="test",
    )
    assert alone["experiments"][0]["comparisons"][0]["p_value"] == rows_of["t002"][0]["p_value"]
    assert found["significant"] < found["significant_uncorrected"] < 450 * 0.1


def test_analyze_by_experiment_takes_a_person_in_two_of_them_for_two_units(tmp_path: Path) -> None:
    rows = [
        f"{test},{ARMS[(n + test) % 2]},u{n},{int(n % 3 == 0)}"
        for test in (0, 1)
        for n in range(200)
    ]
    text = "\n".join(["test,arm,user,y", *rows])
    found = analyze(tmp_path / "a.csv", text, "y", by="test", unit="user")
    assert (found["n"], found["excluded"]["units_in_two_arms"]) == (400, 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bayes": True}, "--bayes: cannot be combined with --by"),
        ({"segment": "y"}, "--segment: cannot be combined with --by"),
        ({"by": "tast"}, "--by 'tast': no such column in the file; did you mean 'test'"),
    ],
)
def test_analyze_by_experiment_with_what_is_of_one_is_refused(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    text = "test,arm,y\na,as it is,1\na,third,0\n"
    with pytest.raises(InputError) as refused:
        analyze(tmp_path / "a.csv", text, "y", **{"by": "test", **options})
    assert told in str(refused.value)
