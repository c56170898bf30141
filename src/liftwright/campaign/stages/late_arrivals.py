"""Late arrivals: a finished run's experiment, extended to customers who came later.

Whom the run knows keeps segment and arm. Who is new falls into a segment by the edges that were
learnt then, and into an arm by the cut points that were fixed then; nothing is written, screened
or paid for again. The extended run has files of its own and names the run that it extends.
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

# What was said stays what it was: these files are the extended run's own.
_SAID = (
    *("index.json", "passages.json", "variants.json", "channel.json", "failures.json"),
    *("claims.json", "decisions.json", "plan.json"),
)
_SAYING = ("index", "retrieve", "generate", "ground", "screen")


def inherit_messages(context: RunContext) -> None:
    """Take over the messages of the extended run, and the record of their stages."""
    before = extended_folder(context)
    record = before.record()
    if record is None:
        raise IntegrityError(f"{before.path}: no run.json")
    for name in _SAID:
        if before.file(name).is_file() and not context.folder.file(name).is_file():
            shutil.copy2(before.file(name), context.folder.file(name))
    kept = tuple(stage for stage in record.stages if stage.name in _SAYING)
    others = tuple(stage for stage in context.run.stages if stage.name not in _SAYING)
    context.save(
        stages=(*kept, *others),
        audit=record.audit,
        valid_on=record.valid_on,
        campaign=record.campaign,
    )


def extended_folder(context: RunContext) -> RunFolder:
    """The folder of the run that this one extends."""
    return RunFolder(context.folder.path.parent / str(context.run.extends))


def place_newcomers(context: RunContext) -> str:
    """Put new customers into the segments as they were learned; known ones keep theirs."""
    before = extended_folder(context)
    found = before.read("segments.json", Segmentation)
    tables, report = context.tables, context.customers
    assign_segments(tables, found.model)
    tables.keep("newly_segmented", "select * from segmented")
    tables.read("known_segmented", before.file("segmented.parquet"), SEGMENTED)
    tables.keep("segmented", tables.sql("segmented_late"))
    tables.write("segmented", context.folder.file("segmented.parquet"), SEGMENTED)
    tables.write("rejected", context.folder.file("rejected.parquet"), REJECTED)
    counted = tables.rows("select segment, count(*) from segmented group by segment")
    sizes = {str(segment): int(str(customers)) for segment, customers in counted}
    total = sum(sizes.values())
    known = {one.label for one in found.segments}
    empty_before = tuple(
        Segment(
            label=group.label,
            size=0,
            share=0.0,
            definition="",
            description=group.description,
            warnings=("contains only late arrivals; there is no message for them",),
        )
        for group in found.model.groups
        if group.label in sizes and group.label not in known
    )
    grown = replace(
        found,
        customers=total,
        segments=tuple(
            replace(one, size=sizes.get(one.label, 0), share=sizes.get(one.label, 0) / total)
            for one in (*found.segments, *empty_before)
        ),
    )
    context.folder.write("customers.json", replace(report, examples=()))
    context.folder.write("segments.json", grown)
    event("late_customers_placed", agent="segmentation", known=found.customers, customers=total)
    return f"{total - found.customers:,} new customers, {found.customers:,} known"


def assign_newcomers(context: RunContext) -> str:
    """Assign new customers by the cut points as they were fixed; known ones keep their arms."""
    before = extended_folder(context)
    earlier = before.read("arms.json", Assignment)
    tables = context.tables
    tables.read("segmented", context.folder.file("segmented.parquet"), SEGMENTED)
    context.load_customers()
    tables.read("known_assignments", before.file("assignments.parquet"), ASSIGNMENTS)
    tables.read("known_unassigned", before.file("unassigned.parquet"), UNASSIGNED)
    everyone = tables.count("segmented")
    # Whoever was judged once is not judged again, whatever rules or lists say now.
    tables.keep("newcomers", tables.sql("new_customers"))
    eligible = choose_eligible(
        tables,
        context.settings.experiment,
        among="newcomers",
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
    known = before.file("history.parquet")
    keep_history(tables, context.folder.file("history.parquet"), known=known)
    context.folder.write("arms.json", replace(assignment, left_out=left_out))
    new = sum(eligible.sizes.values())
    return f"{new:,} new customers assigned as in run {context.run.extends}; {everyone:,} in total"
