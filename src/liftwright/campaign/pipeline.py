"""The way of the data: the stages of a run, in order, one file per hand-over.

    customers ─segment─► segmented ─────────────────────────────────────────────────┐
    content ─index─► index ─retrieve─► passages ─generate─► variants ─ground─► claims
                                                            variants ─screen─► decisions
    segmented + decisions ─assign─► assignments ─observe─► engagement ─measure─► metrics ─report

Each stage reads what the earlier ones wrote, calls one agent, and writes its own files. The table
below is the order of the stages and all that shapes the outcome of each.
"""

from __future__ import annotations

from liftwright.campaign.run_context import Stage, is_kept, stage_key
from liftwright.campaign.stages.experiment import (
    assign_arms,
    check_engagement,
    measure_lift,
    observe,
    report,
)
from liftwright.campaign.stages.export import Export, check_export, exporting
from liftwright.campaign.stages.failures import provider_stages
from liftwright.campaign.stages.generate import generate, ground
from liftwright.campaign.stages.retrieve import index, index_is_there, retrieve, shielded
from liftwright.campaign.stages.screen import read_approvals, screen
from liftwright.campaign.stages.segment import segment
from liftwright.model.checks import DRAFTING, SAFETY

__all__ = [
    "MEASURING",
    "STAGES",
    "Export",
    "check_engagement",
    "check_export",
    "exporting",
    "provider_stages",
    "read_approvals",
    "shielded",
]


_RETRIEVE = Stage(
    name="retrieve",
    run=retrieve,
    reads=("segments.json", "index.json"),
    inputs=("content",),
    writes=("passages.json",),
    settings=("experiment.retrieval",),
    ports=("index", "search", "embed"),
)

STAGES = (
    Stage(
        name="segment",
        run=segment,
        inputs=("customers",),
        writes=("segmented.parquet", "segments.json", "rejected.parquet", "customers.json"),
        settings=("services.adapters.engine", "customers", "segments", "experiment.seed"),
    ),
    Stage(
        name="index",
        run=index,
        inputs=("content", "valid_documents"),
        writes=("index.json",),
        settings=("experiment.content",),
        ports=("index", "embed", "shield"),
        # `index --remove-old` may have deleted it; only `retrieve` searches it.
        intact=lambda w: is_kept(_RETRIEVE, w, stage_key(_RETRIEVE, w)) or index_is_there(w),
    ),
    _RETRIEVE,
    Stage(
        name="generate",
        run=generate,
        reads=("segments.json", "passages.json"),
        writes=("variants.json", "channel.json", "failures.json"),
        settings=(
            *("experiment.brand", "experiment.tones", "experiment.generation"),
            *("experiment.grounding", "experiment.channel", "channel", "prompts", "frames"),
        ),
        ports=("complete", "embed"),
        checks=DRAFTING,
    ),
    Stage(
        name="ground",
        run=ground,
        reads=("variants.json",),
        writes=("claims.json",),
        settings=("experiment.grounding", "experiment.brand", "frames"),
        ports=("embed",),
    ),
    Stage(
        name="screen",
        run=screen,
        reads=("variants.json", "claims.json", "approvals.json"),
        writes=("decisions.json", "opinions.json"),
        settings=("safety", "experiment.approval"),
        ports=("screen", "judge"),
        checks=SAFETY,
    ),
    Stage(
        name="assign",
        run=assign_arms,
        reads=("segmented.parquet", "segments.json", "variants.json", "decisions.json"),
        inputs=("customers",),
        writes=(
            *("arms.json", "assignments.parquet", "unassigned.parquet", "history.parquet"),
            "plan.json",
        ),
        settings=(
            *("services.adapters.engine", "customers", "experiment.name", "experiment.tones"),
            *("experiment.shares", "experiment.holdout", "experiment.exclusions"),
            *("experiment.analysis", "experiment.simulation"),
        ),
    ),
    Stage(
        name="observe",
        run=observe,
        reads=("assignments.parquet",),
        inputs=("engagement",),
        writes=("engagement.parquet", "engagement.json"),
        # The simulator is code, and these are all that shapes it.
        settings=lambda w: (
            ("experiment.engagement",)
            if w.engagement
            else ("customers", "experiment.simulation", "experiment.seed", "experiment.name")
        ),
    ),
    Stage(
        name="measure",
        run=measure_lift,
        reads=(
            *("engagement.parquet", "engagement.json", "history.parquet", "arms.json"),
            "plan.json",
        ),
        writes=("metrics.json",),
        settings=("experiment.analysis",),
    ),
    Stage(
        name="report",
        run=report,
        reads=(
            *("segments.json", "passages.json", "variants.json", "failures.json", "claims.json"),
            *("decisions.json", "arms.json", "engagement.json", "metrics.json"),
        ),
        writes=("report/experiment_report.ipynb", "report/experiment_report.pdf"),
    ),
)


MEASURING = tuple(stage for stage in STAGES if stage.name in ("observe", "measure", "report"))
