"""Loads and segments customers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liftwright.api.rows import to_frame
from liftwright.api.session import apply_segmentation, open_customers
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
    """The validated customers of a file: one row per customer, the columns of `CUSTOMERS`.

    Raises:
        DataError: a row is invalid; names file, row and column.
    """
    with open_customers(path, workspace) as (tables, _):
        return to_frame(tables, "customers")


def segment_customers(
    customers: CustomersLike, method: str | None = None, *, workspace: str | Path | None = None
) -> pd.DataFrame:
    """Assign every customer to exactly one of 3 to 5 segments.

    Args:
        customers: a CSV or Parquet file (a path or URL), a DataFrame, or rows, with the columns of
            `CUSTOMERS`.
        method: rules, rfm or kmeans; None for the configured one.
        workspace: provides the configuration.

    Returns:
        The customers with `segment`, `confidence` in [0, 1] and `reason`.
    """
    with open_customers(customers, workspace) as (tables, context):
        apply_segmentation(tables, context, method)
        return to_frame(
            tables, "(select * from customers inner join segmented using (customer_id))"
        )


def generate_segment_summary(
    customers: CustomersLike, method: str | None = None, *, workspace: str | Path | None = None
) -> dict[str, Json]:
    """Size, share, features and definition of each segment, by label; as in segments.json."""
    with open_customers(customers, workspace) as (tables, context):
        segments = apply_segmentation(tables, context, method).segments
    return {segment.label: to_json(segment) for segment in segments}
