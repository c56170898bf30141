"""The way of the data: the stages of a run, in order, one file per hand-over.

    customers ─segment─► segmented ─────────────────────────────────────────────────┐
    content ─index─► index ─retrieve─► passages ─generate─► variants ─ground─► claims
                                                            variants ─screen─► decisions
    segmented + decisions ─assign─► assignments ─observe─► engagement ─measure─► metrics ─report

Each stage reads what the earlier ones wrote, calls one agent, and writes its own files. The table
below is the order of the stages and all that shapes the outcome of each.
"""

from __future__ import annotations

from liftwright.campaign.cache_keys import settings_of, without_paths
from liftwright.campaign.run_context import Stage
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
from liftwright.campaign.stages.retrieve import index, retrieve, shielded
from liftwright.campaign.stages.screen import read_approvals, screen
from liftwright.campaign.stages.segment import segment

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
    "without_paths",
]

STAGES = (
    Stage(
        name="segment",
        run=segment,
        inputs=("customers",),
        writes=("segmented.parquet", "segments.json", "rejected.parquet", "customers.json"),
        settings=lambda w: (
            without_paths(settings_of(w.settings.customers)),
            settings_of(w.settings.segments),
            w.settings.experiment.seed,
        ),
    ),
    Stage(
        name="index",
        run=index,
        inputs=("content", "valid_documents"),
        writes=("index.json",),
        settings=lambda w: without_paths(settings_of(w.settings.experiment.content)),
        ports=lambda w: (
            w.ports.index.identity,
            w.ports.embed.identity,
            *((w.ports.shield.identity,) if w.ports.shield else ()),
        ),
    ),
    Stage(
        name="retrieve",
        run=retrieve,
        reads=("segments.json", "index.json"),
        writes=("passages.json",),
        settings=lambda w: settings_of(w.settings.experiment.retrieval),
        ports=lambda w: (w.ports.index.identity, w.ports.embed.identity),
    ),
    Stage(
        name="generate",
        run=generate,
        reads=("segments.json", "passages.json"),
        writes=("variants.json", "channel.json", "failures.json"),
        settings=lambda w: (
            settings_of(w.settings.experiment.brand),
            w.settings.experiment.tones,
            settings_of(w.settings.experiment.generation),
            settings_of(w.settings.experiment.grounding),
            w.settings.experiment.channel,
            settings_of(w.settings.channel),
            w.settings.prompts,
        ),
        ports=lambda w: (w.ports.complete.identity, w.ports.embed.identity),
    ),
    Stage(
        name="ground",
        run=ground,
        reads=("variants.json",),
        writes=("claims.json",),
        settings=lambda w: settings_of(w.settings.experiment.grounding),
        ports=lambda w: (w.ports.embed.identity,),
    ),
    Stage(
        name="screen",
        run=screen,
        reads=("variants.json", "claims.json", "approvals.json"),
        writes=("decisions.json", "opinions.json"),
        settings=lambda w: (
            settings_of(w.settings.safety),
            settings_of(w.settings.experiment.approval),
        ),
        ports=lambda w: (
            w.ports.screen.identity,
            *((w.ports.judge.identity,) if w.ports.judge else ()),
        ),
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
        settings=lambda w: (
            w.settings.experiment.name,
            w.settings.experiment.tones,
            w.settings.experiment.arm_shares(),
            settings_of(w.settings.experiment.holdout),
            settings_of(w.settings.experiment.exclusions),
            settings_of(w.settings.experiment.analysis),
            settings_of(w.settings.experiment.simulation),
        ),
    ),
    Stage(
        name="observe",
        run=observe,
        reads=("assignments.parquet",),
        inputs=("engagement",),
        writes=("engagement.parquet", "engagement.json"),
        settings=lambda w: (
            without_paths(settings_of(w.settings.experiment.engagement))
            if w.engagement
            else (settings_of(w.settings.experiment.simulation), w.settings.experiment.seed)
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
        settings=lambda w: settings_of(w.settings.experiment.analysis),
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
