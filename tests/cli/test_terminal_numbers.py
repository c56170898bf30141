from __future__ import annotations

import pytest

from liftwright.cli.terminal import numbers


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.65279, "0.6528"),
        (12.3456, "12.35"),
        (58.099, "58.10"),
        (1234.5, "1,234"),
        (12345.6, "12,346"),
        (0.0, "0"),
    ],
)
def test_value_of_a_mean_has_four_digits_and_whole_thousands(value: float, told: str) -> None:
    assert numbers.value(value, "mean") == told


@pytest.mark.parametrize(
    ("value", "told"), [(0.7214, "+72.1%"), (-1.0, "-100.0%"), (10.284, "+1,028%"), (None, "not")]
)
def test_percent_has_its_sign_and_no_decimal_where_none_counts(
    value: float | None, told: str
) -> None:
    assert numbers.percent(value).startswith(told)


def test_figure_shows_a_sign_where_it_is_asked_for() -> None:
    assert numbers.figure(0.0180649, 3, "+") == "+0.0181"
    assert numbers.figure(-12345.6, 3, "+") == "-12,346"


def test_interval_with_an_open_end_is_infinite() -> None:
    assert numbers.interval([0.1, None]) == "+10.0% to ∞"
