"""Extends the experiment of a finished run to customers who arrived later.

Known customers keep their segment and arm. New customers are segmented by the fitted model and
assigned by the fixed cut points of the extended run; no message is written, screened or paid for
again. The new run has its own files and names the run that it extends.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.agents.experimentation import (
    Assignment,
    assign,
    choose_eligible,
    keep_history,
)
from liftwright.agents.segmentation import Segmentation, assign_segments
from liftwright.data import REJECTED
from liftwright.errors import IntegrityError
from liftwright.log import event
from liftwright.model import ASSIGNMENTS, SEGMENTED, UNASSIGNED, Segment, utc_now
from liftwright.model.run_files import RunFolder

if TYPE_CHECKING:
    from liftwright.campaign.context import RunContext

# The messages and decisions of the extended run, which are copied.
_MESSAGE_FILES = (
    *("index.json", "passages.json", "variants.json", "channel.json", "failures.json"),
    *("claims.json", "decisions.json", "plan.json"),
)
_MESSAGE_STAGES = ("index", "retrieve", "generate", "ground", "screen")


def inherit_messages(context: RunContext) -> None:
    """Copy the messages of the extended run and the record of their stages."""
    extended = extended_folder(context)
    record = extended.record()
    if record is None:
        raise IntegrityError(f"{extended.path}: no run.json")
    for name in _MESSAGE_FILES:
        if extended.file(name).is_file() and not context.folder.file(name).is_file():
            shutil.copy2(extended.file(name), context.folder.file(name))
    kept = tuple(stage for stage in record.stages if stage.name in _MESSAGE_STAGES)
    others = tuple(stage for stage in context.run.stages if stage.name not in _MESSAGE_STAGES)
    context.save(
        stages=(*kept, *others),
        audit=record.audit,
        valid_on=record.valid_on,
        campaign=record.campaign,
    )


def extended_folder(context: RunContext) -> RunFolder:
    """The folder of the run that this one extends."""
    return RunFolder(context.folder.path.parent / str(context.run.extends))


def segment_late_arrivals(context: RunContext) -> str:
    """Segment new customers by the fitted model; known ones keep their segment."""
    extended = extended_folder(context)
    fitted = extended.read("segments.json", Segmentation)
    tables, report = context.tables, context.customers
    assign_segments(tables, fitted.model)
    tables.keep("newly_segmented", "select * from segmented")
    tables.read("known_segmented", extended.file("segmented.parquet"), SEGMENTED)
    tables.keep("segmented", tables.sql("segmented_late"))
    tables.write("segmented", context.folder.file("segmented.parquet"), SEGMENTED)
    tables.write("rejected", context.folder.file("rejected.parquet"), REJECTED)
    counted = tables.rows("select segment, count(*) from segmented group by segment")
    sizes = {str(segment): int(str(customers)) for segment, customers in counted}
    total = sum(sizes.values())
    known = {segment.label for segment in fitted.segments}
    empty_before = tuple(
        Segment(
            label=group.label,
            size=0,
            share=0.0,
            definition="",
            description=group.description,
            warnings=("has only late arrivals and no message",),
        )
        for group in fitted.model.groups
        if group.label in sizes and group.label not in known
    )
    extension = replace(
        fitted,
        customers=total,
        segments=tuple(
            replace(s, size=sizes.get(s.label, 0), share=sizes.get(s.label, 0) / total)
            for s in (*fitted.segments, *empty_before)
        ),
    )
    context.folder.write("customers.json", replace(report, examples=()))
    context.folder.write("segments.json", extension)
    event("late_customers_placed", agent="segmentation", known=fitted.customers, customers=total)
    return f"{total - fitted.customers:,} new customers, {fitted.customers:,} known"


def assign_late_arrivals(context: RunContext) -> str:
    """Assign new customers by the fixed cut points; known ones keep their arm."""
    extended = extended_folder(context)
    earlier = extended.read("arms.json", Assignment)
    tables = context.tables
    tables.read("segmented", context.folder.file("segmented.parquet"), SEGMENTED)
    context.load_customers()
    tables.read("known_assignments", extended.file("assignments.parquet"), ASSIGNMENTS)
    tables.read("known_unassigned", extended.file("unassigned.parquet"), UNASSIGNED)
    everyone = tables.count("segmented")
    # Eligibility is decided once, even if rules or lists have changed.
    tables.keep("new_customers", tables.sql("new_customers"))
    eligible = choose_eligible(
        tables,
        context.settings.experiment,
        among="new_customers",
        suppressed=context.suppressed,
        only=tuple(earlier.design.cells),
    )
    sizes = {
        segment: size + eligible.sizes.get(segment, 0)
        for segment, size in earlier.design.sizes.items()
    }
    assignment = assign(
        tables,
        replace(earlier.design, sizes=sizes),
        utc_now(),
        among="eligible",
        earlier=earlier,
        known="known_assignments",
    )
    tables.keep("all_unassigned", tables.sql("unassigned_late"))
    reasons = tables.rows(
        "select reason, count(*) from all_unassigned group by reason order by reason"
    )
    left_out = {str(reason): int(str(customers)) for reason, customers in reasons}
    tables.write("assignments", context.folder.file("assignments.parquet"), ASSIGNMENTS)
    tables.write("all_unassigned", context.folder.file("unassigned.parquet"), UNASSIGNED)
    known = extended.file("history.parquet")
    keep_history(tables, context.folder.file("history.parquet"), known=known)
    context.folder.write(
        "arms.json", replace(assignment, left_out=left_out, warnings=eligible.warnings)
    )
    new = sum(eligible.sizes.values())
    return f"{new:,} new customers assigned as in run {context.run.extends}; {everyone:,} in total"
