"""Customers into segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liftwright.api.rows import to_frame
from liftwright.api.session import open_customers, place
from liftwright.model import Segment, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from liftwright.model import Json

    Row = Mapping[str, Any]
    CustomersLike = pd.DataFrame | Sequence[Row] | str | Path
    SegmentLike = Segment | Row | str


def load_customer_data(path: str | Path, *, workspace: str | Path | None = None) -> pd.DataFrame:
    """The customers of a file, checked: one row per customer, the columns of `CUSTOMERS`.

    Raises:
        DataError: naming file, row and column, where a row is bad.
    """
    with open_customers(path, workspace) as (tables, _):
        return to_frame(tables, "customers")


def segment_customers(
    customers: CustomersLike, method: str | None = None, *, workspace: str | Path | None = None
) -> pd.DataFrame:
    """Every customer in exactly one of 3 to 5 segments.

    Args:
        customers: a CSV or Parquet file (a path or a URL), a DataFrame, or rows, with the
            columns of `CUSTOMERS`.
        method: rules, rfm or kmeans; the configured one where it is None.
        workspace: whose configuration holds.

    Returns:
        The customers with `segment`, `confidence` in [0, 1] and `reason`.
    """
    with open_customers(customers, workspace) as (tables, context):
        place(tables, context, method)
        return to_frame(
            tables, "(select * from customers inner join segmented using (customer_id))"
        )


def generate_segment_summary(
    customers: CustomersLike, method: str | None = None, *, workspace: str | Path | None = None
) -> dict[str, Json]:
    """Size, share, features and definition of each segment, by label; as in segments.json."""
    with open_customers(customers, workspace) as (tables, context):
        found = place(tables, context, method)
    return {one.label: to_json(one) for one in found.segments}
