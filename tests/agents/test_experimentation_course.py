from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.experimentation import course_of

if TYPE_CHECKING:
    from liftwright.model import Json


def look(lift: float, *, simulated: bool = False, primary: str = "click_rate") -> dict[str, Json]:
    rows: list[Json] = [
        {
            "segment": segment,
            "arm": "urgent",
            "metric": metric,
            "n_treatment": 10,
            "n_control": 12,
            "lift": lift if metric == "click_rate" else -1.0,
            "lift_ci": [lift - 1, lift + 1],
            "p_value": 0.5,
            "p_adjusted": 1.0,
        }
        for segment in ("all", "A")
        for metric in ("open_rate", "click_rate")
    ]
    return {
        "simulated": simulated,
        "primary_metric": primary,
        "measured_at": f"2026-01-0{int(lift)}T00:00:00Z",
        "comparisons": rows,
    }


def test_course_of_real_looks_follows_the_primary_metric_over_all() -> None:
    found = course_of([look(1), look(2), look(3)])

    assert [(row["look"], row["lift"]) for row in found] == [(1, 1), (2, 2), (3, 3)]
    assert {row["metric"] for row in found} == {"click_rate"}
    assert found[1]["measured_at"] == "2026-01-02T00:00:00Z"


def test_course_of_a_single_real_look_is_empty() -> None:
    assert course_of([look(1, simulated=True), look(2)]) == []


def test_course_of_looks_with_another_primary_metric_follows_the_last_one_s() -> None:
    found = course_of([look(1, primary="open_rate"), look(2)])

    assert [row["lift"] for row in found] == [1, 2]
