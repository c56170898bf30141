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
from liftwright.agents.segmentation import Segmentation, place_customers
from liftwright.campaign.pipeline import MEASURING
from liftwright.campaign.run_context import Stage
from liftwright.data import REJECTED
from liftwright.errors import IntegrityError
from liftwright.log import event
from liftwright.model import ASSIGNMENTS, SEGMENTED, UNASSIGNED, Segment, utc_now
from liftwright.run_folder import RunFolder

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work

# What was said stays what it was: these files are the extended run's own.
_SAID = (
    *("index.json", "passages.json", "variants.json", "channel.json", "failures.json"),
    *("claims.json", "decisions.json", "plan.json"),
)
_SAYING = ("index", "retrieve", "generate", "ground", "screen")


def inherit(work: Work) -> None:
    """Take over what the extended run said, and the record of how it came about."""
    before = extended_folder(work)
    record = before.record()
    if record is None:
        raise IntegrityError(f"{before.path}: no run.json")
    for name in _SAID:
        if before.file(name).is_file() and not work.folder.file(name).is_file():
            shutil.copy2(before.file(name), work.folder.file(name))
    kept = tuple(stage for stage in record.stages if stage.name in _SAYING)
    others = tuple(stage for stage in work.run.stages if stage.name not in _SAYING)
    work.save(
        stages=(*kept, *others),
        audit=record.audit,
        valid_on=record.valid_on,
        campaign=record.campaign,
    )


def extended_folder(work: Work) -> RunFolder:
    """The folder of the run that this one extends."""
    return RunFolder(work.folder.path.parent / str(work.run.extends))


def place(work: Work) -> str:
    """New customers into the segments as they were learnt; known ones stay where they are."""
    before = extended_folder(work)
    found = before.read("segments.json", Segmentation)
    tables, report = work.tables, work.customers
    place_customers(tables, found.model)
    tables.keep("newly_segmented", "select * from segmented")
    tables.read("known_segmented", before.file("segmented.parquet"), SEGMENTED)
    tables.keep("segmented", tables.sql("segmented_late"))
    tables.write("segmented", work.folder.file("segmented.parquet"), SEGMENTED)
    tables.write("rejected", work.folder.file("rejected.parquet"), REJECTED)
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
            warnings=("only late arrivals are in it; there is no message for them",),
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
    work.folder.write("customers.json", replace(report, examples=()))
    work.folder.write("segments.json", grown)
    event("late_customers_placed", agent="segmentation", known=found.customers, customers=total)
    return f"{total - found.customers:,} new customers beside {found.customers:,} known ones"


def assign_late(work: Work) -> str:
    """New customers to arms by the cut points as they were fixed; known ones keep theirs."""
    before = extended_folder(work)
    earlier = before.read("arms.json", Assignment)
    tables = work.tables
    tables.read("segmented", work.folder.file("segmented.parquet"), SEGMENTED)
    work.need_customers()
    tables.read("known_assignments", before.file("assignments.parquet"), ASSIGNMENTS)
    tables.read("known_unassigned", before.file("unassigned.parquet"), UNASSIGNED)
    everyone = tables.count("segmented")
    # Whoever was judged once is not judged again, whatever rules or lists say now.
    tables.keep("newcomers", tables.sql("newcomers"))
    eligible = choose_eligible(
        tables,
        work.settings.experiment,
        among="newcomers",
        suppressed=work.suppressed,
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
    tables.write("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    tables.write("all_unassigned", work.folder.file("unassigned.parquet"), UNASSIGNED)
    known = before.file("history.parquet")
    keep_history(tables, work.folder.file("history.parquet"), known=known)
    work.folder.write("arms.json", replace(assignment, left_out=left_out))
    new = sum(eligible.sizes.values())
    return f"{new:,} new customers by the cut points of run {work.run.extends}; {everyone:,} in all"


EXTENDING = (
    Stage(
        name="segment",
        run=place,
        inputs=("customers", "extends"),
        writes=("segmented.parquet", "segments.json", "rejected.parquet", "customers.json"),
        settings=("services.adapters.engine", "customers"),
    ),
    Stage(
        name="assign",
        run=assign_late,
        reads=("segmented.parquet", "variants.json", "decisions.json"),
        inputs=("customers", "extends"),
        writes=("arms.json", "assignments.parquet", "unassigned.parquet", "history.parquet"),
        settings=(
            *("services.adapters.engine", "customers"),
            *("experiment.holdout", "experiment.exclusions"),
        ),
    ),
    *MEASURING,
)
