"""From the customers to the segments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.agents.segmentation import segment_customers
from liftwright.data import REJECTED
from liftwright.log import event
from liftwright.model import SEGMENTED

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work


def segment(work: Work) -> str:
    """Every customer into exactly one segment."""
    report = work.customers
    event(
        "customers_read",
        agent="segmentation",
        level="warning" if report.warnings else "info",
        rows_in=report.rows_in,
        rows_kept=report.rows_kept,
        rejected=report.rejected,
        warnings=report.warnings,
    )
    found = segment_customers(
        work.tables,
        work.settings.segments,
        seed=work.settings.experiment.seed,
        absent=report.features_absent,
    )
    work.tables.write("segmented", work.folder.file("segmented.parquet"), SEGMENTED)
    work.tables.write("rejected", work.folder.file("rejected.parquet"), REJECTED)
    # The examples may show values; they belong to the refusal alone.
    work.folder.write("customers.json", replace(report, examples=()))
    work.folder.write("segments.json", found)
    return f"{found.customers:,} customers in {len(found.segments)} segments"
