"""Make the sample customers of the Tarnwick brand: one row per customer who has ordered.

The customers are fictional. Each is drawn from one of five latent types (regulars, big baskets,
bargain seekers, newcomers, lapsed), which is not written to the file. Features depend on the type
and a personal level of engagement, so that they are correlated as in a real shop.

Columns:
    customer_id: text, ``C`` and a running number of at least five digits (``C00001``).
    age: whole years, 18-85; empty for about 1.5 % of the rows.
    location: a British town; empty for about 1 % of the rows.
    tier: ``Bronze``, ``Silver`` or ``Gold``, from a noisy reading of yearly spend: 300 points make
        Silver and 800 make Gold, as in the brand's loyalty programme.
    purchase_frequency: orders per year, counted over two years (steps of 0.5, at least 0.5).
    avg_order_value: pounds per order, two decimals.
    last_engagement_days: whole days since the last order, visit or click, 0-730.
    historical_open_rate: opened / delivered e-mails, 0-1, four decimals.
    historical_click_rate: clicked / delivered e-mails, 0-1, never above the open rate.

The same rows and seed give the same bytes. A path ending in ``.parquet`` is written as Parquet, any
other as CSV.

Run:
    python tools/make_customers.py --rows 500 --seed 7 --out data/raw/customers.csv
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

DEFAULT_ROWS = 500
DEFAULT_SEED = 7
DEFAULT_OUT = Path("data/raw/customers.csv")

YEARS_COVERED = 2
DAYS_COVERED = 730
SILVER_POINTS = 300
GOLD_POINTS = 800
UNKNOWN_AGE_SHARE = 0.015
UNKNOWN_LOCATION_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerType:
    """A latent customer type.

    Attributes:
        name: documentation only; not written to the file.
        share: fraction of all customers.
        orders_per_year: mean of the over-dispersed order counts.
        order_value: median order in pounds.
        silence_days: days that pass without engagement before the random part.
        pace: random days since the last engagement, as a multiple of the days between orders.
        open_rate: opening rate of a customer of average engagement.
        click_to_open: clicks per opened e-mail of such a customer.
        age: mean age in years.
    """

    name: str
    share: float
    orders_per_year: float
    order_value: float
    silence_days: float
    pace: float
    open_rate: float
    click_to_open: float
    age: float


TYPES = (
    CustomerType(
        name="regular",
        share=0.21,
        orders_per_year=10.0,
        order_value=88.0,
        silence_days=0.0,
        pace=0.45,
        open_rate=0.39,
        click_to_open=0.34,
        age=46.0,
    ),
    CustomerType(
        name="big basket",
        share=0.16,
        orders_per_year=3.5,
        order_value=165.0,
        silence_days=5.0,
        pace=0.5,
        open_rate=0.27,
        click_to_open=0.29,
        age=52.0,
    ),
    CustomerType(
        name="bargain seeker",
        share=0.22,
        orders_per_year=4.5,
        order_value=34.0,
        silence_days=2.0,
        pace=0.5,
        open_rate=0.25,
        click_to_open=0.32,
        age=37.0,
    ),
    CustomerType(
        name="newcomer",
        share=0.19,
        orders_per_year=1.2,
        order_value=58.0,
        silence_days=3.0,
        pace=0.12,
        open_rate=0.24,
        click_to_open=0.24,
        age=33.0,
    ),
    CustomerType(
        name="lapsed",
        share=0.22,
        orders_per_year=1.0,
        order_value=61.0,
        silence_days=150.0,
        pace=0.4,
        open_rate=0.10,
        click_to_open=0.16,
        age=44.0,
    ),
)

LOCATIONS = {
    "London": 0.15,
    "Leeds": 0.12,
    "Sheffield": 0.12,
    "Manchester": 0.11,
    "Edinburgh": 0.10,
    "Bristol": 0.10,
    "Skipton": 0.07,
    "Birmingham": 0.07,
    "Glasgow": 0.06,
    "Newcastle": 0.05,
    "Cardiff": 0.03,
    "Inverness": 0.02,
}


def make_customers(rows: int, seed: int) -> pd.DataFrame:
    """Draw customers, one row each, with the columns named at the top of this file.

    Raises:
        ValueError: if ``rows`` is below 1 or ``seed`` is negative.
    """
    if rows < 1:
        raise ValueError(f"rows: found {rows}, allowed: 1 or more")
    if seed < 0:
        raise ValueError(f"seed: found {seed}, allowed: 0 or more")
    draw = np.random.default_rng(seed)
    kind = draw.choice(len(TYPES), size=rows, p=[each.share for each in TYPES])
    engagement = draw.standard_normal(rows)
    frequency = _orders_per_year(draw, kind, engagement)
    order_value = np.round(
        _of_type(kind, lambda each: each.order_value)
        * np.exp(0.38 * draw.standard_normal(rows) + 0.05 * engagement),
        2,
    )
    silence = _days_since_engagement(draw, kind, frequency)
    opened = _open_rate(draw, kind, engagement, silence)
    digits = max(5, len(str(rows)))
    return pd.DataFrame(
        {
            "customer_id": [f"C{number:0{digits}d}" for number in range(1, rows + 1)],
            "age": _ages(draw, kind),
            "location": _locations(draw, rows),
            "tier": _tiers(draw, frequency * order_value),
            "purchase_frequency": frequency,
            "avg_order_value": order_value,
            "last_engagement_days": silence.astype(np.int64),
            "historical_open_rate": opened,
            "historical_click_rate": _click_rate(draw, kind, engagement, opened),
        }
    )


def write_customers(customers: pd.DataFrame, out: Path) -> None:
    """Write the table as Parquet if the name ends in ``.parquet``, else as UTF-8 CSV."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".parquet":
        import duckdb

        with duckdb.connect() as connection:
            connection.register("customers", customers)
            connection.table("customers").write_parquet(str(out), compression="zstd")
        return
    customers.to_csv(out, index=False, lineterminator="\n", encoding="utf-8")


def _of_type(
    kind: NDArray[np.int64], feature: Callable[[CustomerType], float]
) -> NDArray[np.float64]:
    """Each customer's value of a feature of the types."""
    return np.array([feature(each) for each in TYPES])[kind]


def _orders_per_year(
    draw: np.random.Generator, kind: NDArray[np.int64], engagement: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Order counts from a gamma-Poisson mixture, at least one in the years covered."""
    shape = 3.0
    mean = _of_type(kind, lambda each: each.orders_per_year) * np.exp(0.2 * engagement)
    personal = draw.gamma(shape, mean * YEARS_COVERED / shape)
    # At least one order: a shop's customer list has no one without orders.
    return (1 + draw.poisson(np.maximum(personal - 1, 0.0))) / YEARS_COVERED


def _days_since_engagement(
    draw: np.random.Generator, kind: NDArray[np.int64], frequency: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Days since the last engagement: part of the usual order interval, longer if lapsed."""
    gap = 365 / frequency
    waited = draw.gamma(1.5, gap * _of_type(kind, lambda each: each.pace) / 1.5)
    days = np.floor(_of_type(kind, lambda each: each.silence_days) + waited)
    return np.minimum(days, DAYS_COVERED)


def _open_rate(
    draw: np.random.Generator,
    kind: NDArray[np.int64],
    engagement: NDArray[np.float64],
    silence: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Opening rates: the type's level, raised by engagement and lowered by long silence."""
    level = _logit(_of_type(kind, lambda each: each.open_rate))
    noise = 0.25 * draw.standard_normal(len(kind))
    return np.round(_sigmoid(level + 0.4 * engagement - 0.0008 * silence + noise), 4)


def _click_rate(
    draw: np.random.Generator,
    kind: NDArray[np.int64],
    engagement: NDArray[np.float64],
    opened: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Click rates of delivered e-mails: a part of the opening rate."""
    level = _logit(_of_type(kind, lambda each: each.click_to_open))
    noise = 0.45 * draw.standard_normal(len(kind))
    return np.round(opened * _sigmoid(level + 0.2 * engagement + noise), 4)


def _tiers(draw: np.random.Generator, yearly_spend: NDArray[np.float64]) -> NDArray[np.str_]:
    """Tiers from yearly spend, with noise for other points and for renewal dates."""
    points = yearly_spend * np.exp(0.15 * draw.standard_normal(len(yearly_spend)))
    steps = np.digitize(points, [SILVER_POINTS, GOLD_POINTS])
    return np.array(["Bronze", "Silver", "Gold"])[steps]


def _ages(draw: np.random.Generator, kind: NDArray[np.int64]) -> pd.Series[int]:
    """Ages in whole years, a few unknown."""
    years = _of_type(kind, lambda each: each.age) + 11 * draw.standard_normal(len(kind))
    ages = pd.Series(np.clip(np.round(years), 18, 85)).astype("Int64")
    return ages.mask(draw.random(len(kind)) < UNKNOWN_AGE_SHARE)


def _locations(draw: np.random.Generator, rows: int) -> pd.Series[str]:
    """Towns by weight, a few unknown."""
    towns = draw.choice(np.array(list(LOCATIONS)), size=rows, p=list(LOCATIONS.values()))
    return pd.Series(towns, dtype=object).mask(draw.random(rows) < UNKNOWN_LOCATION_SHARE, None)


def _logit(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(rate / (1 - rate))


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-value))


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments and write the file; returns the exit status (2: invalid argument)."""
    parser = argparse.ArgumentParser(description="Make the sample customers.")
    parser.add_argument("--rows", type=int, default=DEFAULT_ROWS, help="customers to make")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="same seed, same bytes")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help=".csv or .parquet")
    options = parser.parse_args(arguments)
    try:
        customers = make_customers(options.rows, options.seed)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    write_customers(customers, options.out)
    print(f"{len(customers)} customers written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
