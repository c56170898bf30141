"""The way of the data: the stages of a run, in order, one file per hand-over.

    customers ─segment─► segmented ─────────────────────────────────────────────────┐
    content ─index─► index ─retrieve─► passages ─generate─► variants ─ground─► claims
                                                            variants ─screen─► decisions
    segmented + decisions ─assign─► assignments ─observe─► engagement ─measure─► metrics ─report

Each stage reads what the earlier ones wrote, calls one agent, and writes its own files.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, cast

from liftwright.agents import generation, grounding, reporting, retrieval, safety, shielding
from liftwright.agents.experimentation import (
    HISTORY,
    AnalysisPlan,
    Assignment,
    assign,
    check_plan,
    choose_eligible,
    course_of,
    design_experiment,
    expected_outcomes,
    keep_history,
    lay_down_plan,
    least_per_arm,
    measure,
)
from liftwright.agents.segmentation import Segmentation, segment_customers
from liftwright.calls import at_once
from liftwright.content import invalid_on
from liftwright.costs import costs_of
from liftwright.domain import (
    ASSIGNMENTS,
    ENGAGEMENT,
    SEGMENTED,
    UNASSIGNED,
    Failure,
    Passage,
    SafetyDecision,
    utc_now,
)
from liftwright.errors import AwaitingApproval, InputError
from liftwright.handovers import (
    Approval,
    Indexed,
    Observed,
    Sending,
    VariantClaims,
    VariantOpinion,
    Variants,
)
from liftwright.log import event
from liftwright.runs import all_runs
from liftwright.stages import Stage, Work
from liftwright.tables import REJECTED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.agents.generation import Draft
    from liftwright.domain import Document, Json, Segment, Variant
    from liftwright.settings import Settings


# ── The stages ────────────────────────────────────────────────────────────────────────────────


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


def index(work: Work) -> str:
    """The approved content, searchable; documents that are not valid today are listed."""
    documents, blocked = shielded(work, work.corpus.documents)
    report = work.index(documents)
    excluded = invalid_on(documents, work.run.valid_on)
    if excluded:
        ids = [document.document_id for document in excluded]
        event("documents_excluded", agent="retrieval", level="warning", documents=ids)
    work.folder.write(
        "index.json",
        Indexed(
            name=report.name,
            documents=report.documents,
            paragraphs=report.paragraphs,
            excluded=tuple(document.document_id for document in excluded),
            skipped=work.corpus.skipped,
            blocked=blocked,
        ),
    )
    return f"Indexed {report.documents} documents successfully. {len(report.errors)} errors."


def retrieve(work: Work) -> str:
    """For each segment the approved passages that fit it."""
    indexed = work.folder.read("index.json", Indexed)
    documents = tuple(
        document
        for document in work.corpus.documents
        if document.document_id not in indexed.blocked
    )
    # The index may have been removed since; making it again costs nothing where it is whole.
    work.index(documents)
    search = retrieval.CachedRetriever(work.search(indexed.name))
    segments = work.folder.read("segments.json", Segmentation).segments

    def find(segment: Segment) -> tuple[Passage, ...]:
        return retrieval.retrieve(
            segment,
            search,
            documents=documents,
            config=work.settings.experiment.retrieval,
            excluded=indexed.excluded,
        )

    # What searches on this machine has all its processors already.
    workers = work.concurrency if search.metered else 1
    found = at_once([partial(find, one) for one in segments], workers)
    passages = {one.label: of_one for one, of_one in zip(segments, found, strict=True)}
    work.folder.write("passages.json", passages)
    return f"{sum(map(len, passages.values()))} passages for {len(segments)} segments"


def generate(work: Work) -> str:
    """For each segment one variant per tone, checked until it is valid; and the control."""
    settings = work.settings
    segments = work.folder.read("segments.json", Segmentation).segments
    passages = work.folder.read("passages.json", dict[str, tuple[Passage, ...]])
    limits, control_limits = generation.channel_limits(settings.channel)
    control = generation.control_variant(
        settings.prompts["control_message"],
        brand=settings.experiment.brand,
        limits=control_limits,
    )
    found = [passage for of_segment in passages.values() for passage in of_segment]
    with ThreadPoolExecutor(max_workers=1) as ahead:
        # While the writer is at work, the sources are made ready to judge its drafts by.
        ahead.submit(grounding.prepare, found, work.ports.embed)
        variants, failures = generation.generate_variants(
            segments,
            passages,
            writing=generation.Writing(
                brand=settings.experiment.brand,
                tones=settings.experiment.tones,
                limits=limits,
                templates=settings.prompts,
                max_redrafts=settings.experiment.generation.max_redrafts,
                concurrency=work.concurrency,
            ),
            complete=work.complete,
            check=lambda draft: _claims_against(work, draft),
            known_tiers={tier for one in segments for tier in one.tiers},
        )
    sent = Sending(channel=settings.experiment.channel, footer=_footer(settings))
    work.folder.write("channel.json", sent)
    work.folder.write("variants.json", Variants(control=control, variants=variants))
    work.folder.write("failures.json", failures)
    return f"{len(variants)} variants, {len(failures)} failed"


def ground(work: Work) -> str:
    """The claims of every variant that was kept, each with what supports it."""
    config = work.settings.experiment.grounding
    claims = []
    for variant in work.folder.read("variants.json", Variants).variants:
        frames = _frame_lines(work, variant.tone)
        found = grounding.ground_variant(variant, work.ports.embed, config, frames=frames)
        claims.append(
            VariantClaims(variant_id=variant.variant_id, score=found.score, claims=found.claims)
        )
        event(
            "variant_grounded",
            agent="grounding",
            variant_id=variant.variant_id,
            claims=len(found.claims),
            score=found.score,
        )
    work.folder.write("claims.json", claims)
    return f"{sum(len(entry.claims) for entry in claims)} sentences checked"


def screen(work: Work) -> str:
    """For every message, the control included, whether it may be sent; into the audit log."""
    variants = work.folder.read("variants.json", Variants).all
    approvals = {approval.variant_id: approval for approval in read_approvals(work)}
    policy, decisions, records = work.settings.safety, [], []
    claims = {
        entry.variant_id: entry.claims
        for entry in work.folder.read_list("claims.json", VariantClaims)
    }
    judge = work.judge

    # What is far away is asked for all parts of all messages at once, and before any is decided on.
    parts = [part for variant in variants for part in safety.message_parts(variant)]
    screener = safety.asked_ahead(parts, work.screen, work.concurrency)

    def decide(variant: Variant) -> tuple[SafetyDecision, VariantOpinion | None]:
        decision = safety.screen_variant(
            variant,
            screener,
            policy,
            decided_at=utc_now(),
            approval_required=work.settings.experiment.approval.required,
        )
        # The control claims nothing, and has no sources.
        if judge is None or variant.variant_id not in claims:
            return decision, None
        return safety.second_opinion(decision, variant, claims[variant.variant_id], judge)

    workers = work.concurrency if judge is not None and judge.metered else 1
    screened = at_once([partial(decide, variant) for variant in variants], workers)
    if judge is not None:
        work.folder.write("opinions.json", [opinion for _, opinion in screened if opinion])
    else:
        # Of an earlier process, before the switch was set back.
        work.folder.file("opinions.json").unlink(missing_ok=True)
    for variant, (decision, _) in zip(variants, screened, strict=True):
        taken = [decision]
        approval = approvals.get(variant.variant_id)
        if (
            approval
            and decision.status == "waiting"
            and approval.content_sha256 == decision.content_sha256
        ):
            taken.append(safety.approve(decision, who=approval.who, at=approval.at))
        records += [
            safety.audit_record(one, run_id=work.run.run_id, segment=variant.segment, policy=policy)
            for one in taken
        ]
        decisions.append(taken[-1])
    since = work.run.audit.since if work.run.audit else None
    appended = work.audit.append(records, run_id=work.run.run_id, since=since)
    work.save(audit=appended.range)
    work.folder.write("decisions.json", decisions)
    summary = safety.summarise_safety(decisions, policy)
    event("safety_summarised", agent="safety", **asdict(summary))
    return f"{summary.passed} pass, {summary.blocked} blocked, {summary.waiting} waiting"


def assign_arms(work: Work) -> str:
    """Every customer to control or to an approved variant of its segment."""
    variants = work.folder.read("variants.json", Variants).all
    decisions = work.folder.read_list("decisions.json", SafetyDecision)
    waiting = [decision.variant_id for decision in decisions if decision.status == "waiting"]
    if waiting:
        raise AwaitingApproval(
            f"{len(waiting)} messages wait for approval ({', '.join(waiting)}): "
            f"`liftwright approve {work.run.run_id} VARIANT` each, then run again"
        )
    experiment = work.settings.experiment
    work.tables.read("segmented", work.folder.file("segmented.parquet"), SEGMENTED)
    work.need_customers()
    eligible = choose_eligible(
        work.tables,
        experiment,
        suppressed=work.suppressed,
        earlier=_earlier_runs(work),
        # Where this process has placed the customers, their features are at hand without a join.
        among="profiles" if work.tables.knows("profiles") else "segmented",
    )
    design = design_experiment(variants, decisions, experiment, eligible.sizes)
    assignment = replace(
        assign(work.tables, design, utc_now(), among="eligible"), left_out=eligible.left_out
    )
    work.tables.write("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    work.tables.write("unassigned", work.folder.file("unassigned.parquet"), UNASSIGNED)
    keep_history(work.tables, work.folder.file("history.parquet"))
    work.folder.write("arms.json", assignment)
    expected = expected_outcomes(work.tables, experiment, among="eligible")
    plan = lay_down_plan(
        assignment,
        experiment,
        minimum_sample=least_per_arm(expected, experiment),
        planned_at=utc_now(),
    )
    work.folder.write("plan.json", plan)
    event("analysis_planned", agent="experimentation", sha256=plan.sha256)
    left_out = sum(eligible.left_out.values())
    note = f"{sum(eligible.sizes.values()):,} customers in {len(design.arms)} arms"
    return f"{note}, {left_out:,} left out" if left_out else note


def _earlier_runs(work: Work) -> dict[str, Path]:
    """The assignments of the runs that make a customer rest, where the campaign asks for it."""
    days = work.settings.experiment.exclusions.assigned_within_days
    if days is None:
        return {}
    started = datetime.fromisoformat(work.run.started_at)
    found = {}
    for folder in all_runs(work.root):
        record = folder.record()
        if record is None or record.status != "complete" or record.run_id == work.run.run_id:
            continue
        assigned = datetime.fromisoformat(folder.read("arms.json", Assignment).assigned_at)
        if timedelta() <= started - assigned <= timedelta(days=days):
            found[record.run_id] = folder.file("assignments.parquet")
    return found


def observe(work: Work) -> str:
    """What came of each assignment: real outcomes from a file, or the simulator's."""
    simulated = work.engagement is None
    if not (simulated and work.tables.knows("assignments")):
        work.tables.read("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    if simulated:
        work.need_customers()
    engagement = work.observer("assignments")
    work.tables.write(engagement, work.folder.file("engagement.parquet"), ENGAGEMENT)
    work.folder.write("engagement.json", _observed(work.observer))
    return "SIMULATED engagement" if simulated else "real engagement"


def check_engagement(work: Work) -> None:
    """See that the file of real outcomes can be read and is of this run; nothing is written."""
    work.tables.read("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    work.observer("assignments")


def measure_lift(work: Work) -> str:
    """Rates, lift, intervals and tests, per arm and segment."""
    work.tables.read("engagement", work.folder.file("engagement.parquet"), ENGAGEMENT)
    if work.folder.file("history.parquet").is_file():
        work.tables.read("history", work.folder.file("history.parquet"), HISTORY)
    assignment = work.folder.read("arms.json", Assignment)
    experiment = work.settings.experiment
    plan = work.folder.read("plan.json", AnalysisPlan)
    deviations = check_plan(plan, assignment, experiment, extended=work.run.extends is not None)
    metrics = measure(
        work.tables,
        assignment,
        experiment,
        simulated=work.run.simulated,
        absent=work.folder.read("engagement.json", Observed).absent,
    )
    metrics["measured_at"] = utc_now()
    metrics["course"] = course_of([*_earlier_looks(work), metrics])
    metrics["plan"] = {"sha256": plan.sha256, "deviations": list(deviations)}
    metrics["warnings"] = [*deviations, *cast("list[Json]", metrics["warnings"])]
    for deviation in deviations:
        event("plan_deviated", agent="experimentation", level="warning", deviation=deviation)
    work.folder.write("metrics.json", metrics)
    work.save(deviations=deviations)
    return "measured"


def _earlier_looks(work: Work) -> list[Mapping[str, Json]]:
    """What the earlier measurements of the run found, the first one first."""
    names = (f"measurements/{n}/metrics.json" for n in range(1, work.run.measurements + 1))
    return [
        cast("Mapping[str, Json]", work.folder.raw(name))
        for name in names
        if work.folder.file(name).is_file()
    ]


def report(work: Work) -> str:
    """The notebook and the PDF, made of the run's JSON files alone."""
    if work.paid:
        # The report says what the run has cost; it calls no service itself.
        work.save(totals={**work.run.totals, **costs_of(work.paid, work.folder)})
    reporting.write_report(work.folder.path)
    return "experiment_report.ipynb, experiment_report.pdf"


STAGES = (
    Stage(
        name="segment",
        run=segment,
        inputs=("customers",),
        writes=("segmented.parquet", "segments.json", "rejected.parquet", "customers.json"),
        settings=lambda w: (
            without_paths(_of(w.settings.customers)),
            _of(w.settings.segments),
            w.settings.experiment.seed,
        ),
    ),
    Stage(
        name="index",
        run=index,
        inputs=("content", "valid_documents"),
        writes=("index.json",),
        settings=lambda w: without_paths(_of(w.settings.experiment.content)),
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
        settings=lambda w: _of(w.settings.experiment.retrieval),
        ports=lambda w: (w.ports.index.identity, w.ports.embed.identity),
    ),
    Stage(
        name="generate",
        run=generate,
        reads=("segments.json", "passages.json"),
        writes=("variants.json", "channel.json", "failures.json"),
        settings=lambda w: (
            _of(w.settings.experiment.brand),
            w.settings.experiment.tones,
            _of(w.settings.experiment.generation),
            _of(w.settings.experiment.grounding),
            w.settings.experiment.channel,
            _of(w.settings.channel),
            w.settings.prompts,
        ),
        ports=lambda w: (w.ports.complete.identity, w.ports.embed.identity),
    ),
    Stage(
        name="ground",
        run=ground,
        reads=("variants.json",),
        writes=("claims.json",),
        settings=lambda w: _of(w.settings.experiment.grounding),
        ports=lambda w: (w.ports.embed.identity,),
    ),
    Stage(
        name="screen",
        run=screen,
        reads=("variants.json", "claims.json", "approvals.json"),
        writes=("decisions.json", "opinions.json"),
        settings=lambda w: (_of(w.settings.safety), _of(w.settings.experiment.approval)),
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
            _of(w.settings.experiment.holdout),
            _of(w.settings.experiment.exclusions),
            _of(w.settings.experiment.analysis),
            _of(w.settings.experiment.simulation),
        ),
    ),
    Stage(
        name="observe",
        run=observe,
        reads=("assignments.parquet",),
        inputs=("engagement",),
        writes=("engagement.parquet", "engagement.json"),
        settings=lambda w: (
            without_paths(_of(w.settings.experiment.engagement))
            if w.engagement
            else (_of(w.settings.experiment.simulation), w.settings.experiment.seed)
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
        settings=lambda w: _of(w.settings.experiment.analysis),
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


def shielded(
    work: Work, documents: tuple[Document, ...]
) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The documents that may be indexed, and the ids of those that the shield keeps out."""
    shield = work.shield
    if shield is None:
        return documents, ()
    return shielding.shield_documents(
        documents,
        shield,
        skip=work.settings.experiment.content.on_bad_documents == "skip",
        workers=work.settings.services.calls.concurrency,
    )


def read_approvals(work: Work) -> tuple[Approval, ...]:
    """The approvals that people gave so far."""
    if not work.folder.file("approvals.json").is_file():
        return ()
    return work.folder.read_list("approvals.json", Approval)


def provider_stages(work: Work) -> tuple[str, ...]:
    """The stages that hold failures of a provider: those must be run again for an answer."""
    held = []
    if work.folder.file("failures.json").is_file():
        failures = work.folder.read_list("failures.json", Failure)
        if any(failure.cause == "provider" for failure in failures):
            held.append("generate")
    if work.folder.file("decisions.json").is_file():
        decisions = work.folder.read_list("decisions.json", SafetyDecision)
        if any(safety.is_unavailable(decision) for decision in decisions):
            held.append("screen")
    return tuple(held)


def _claims_against(work: Work, draft: Draft) -> tuple[str, ...]:
    config = work.settings.experiment.grounding
    frames = _frame_lines(work, draft.tone)
    found = grounding.ground_message(
        draft.body, draft.passages, work.ports.embed, config, frames=frames
    )
    return grounding.reasons_against(found, config)


def _footer(settings: Settings) -> str:
    brand, text = settings.experiment.brand, settings.channel.footer
    values = {
        "brand": brand.name,
        "postal_address": brand.postal_address,
        "unsubscribe_url": brand.unsubscribe_url,
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.strip()


def _frame_lines(work: Work, tone: str | None) -> tuple[str, ...]:
    """The composer's lines of a tone: they claim nothing, by how they were written."""
    if tone is None or tone not in work.settings.frames:
        return ()
    frames, brand = work.settings.frames[tone], work.settings.experiment.brand.name
    lines = (
        *(frames.greetings + frames.openings + frames.bridges),
        *(frames.closings + frames.calls_to_action),
    )
    return tuple(line.replace("{brand}", brand) for line in lines)


def _observed(observer: object) -> Observed:
    """What the observer has to say of its file; the simulator has none."""
    report = getattr(observer, "report", None)
    if report is None:
        return Observed(source="simulated")
    return Observed(
        source="historical",
        absent=report.absent,
        names_message=report.names_message,
        rows=report.rows,
        rows_used=report.rows_used,
        combined=report.combined,
        customers_missing=report.customers_missing,
        set_aside=report.set_aside,
        machine_opens=report.machine_opens,
        machine_clicks=report.machine_clicks,
        early=report.early,
        warnings=report.warnings,
    )


def without_paths(value: object) -> object:
    """Settings without where files lie: what they hold is an input, and digested as such."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items() if key != "path"}
    return [without_paths(item) for item in value] if isinstance(value, list) else value


def _of(shape: object) -> object:
    """A settings shape as JSON values, for a stage's key."""
    from pydantic import BaseModel

    if not isinstance(shape, BaseModel):
        raise InputError(f"{type(shape).__name__} is no shape of the settings")
    return shape.model_dump(mode="json")
