"""The specification's functions, as thin doors to the code that runs a campaign.

For notebooks and scripts: customers come and go as rows, arms bear the names `control`,
`treatment_1`, `treatment_2` … in the order of the configured tones. Nothing here writes a run, an
audit line or a paid call; `Workspace.run` does. Configuration is that of `workspace`, else of the
current folder, else the sample that the package carries.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftwright.agents import generation, retrieval, safety
from liftwright.agents import segmentation as segmenting
from liftwright.agents.experimentation import assign, count_engagement
from liftwright.agents.experimentation import design_experiment as design_arms
from liftwright.api.records import (
    arm_aliases,
    label_of,
    passed,
    to_message,
    to_messages,
    to_passage,
    to_plain,
    to_segment,
)
from liftwright.api.rows import Rows, open_tables, put_rows, read_customers, to_frame, to_rows
from liftwright.content import invalid_on
from liftwright.domain import CATEGORIES, CUSTOMERS, ENGAGEMENT, Segment, to_json, utc_now
from liftwright.errors import InputError, NoExperiment
from liftwright.log import anonymise
from liftwright.settings import Uplift, read_settings
from liftwright.stats import calculate_lift
from liftwright.tables import identifier, load_customers, nearest
from liftwright.text import references, snippet
from liftwright.wiring import make_observer
from liftwright.workspace import init_workspace
from liftwright.workspace.opening import log_key, make_work

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from liftwright.agents.experimentation import Design
    from liftwright.domain import Failure, Json, Passage, Variant
    from liftwright.settings import RfmBand, SegmentRule, Segments
    from liftwright.stages import Work
    from liftwright.tables import Tables

    Row = Mapping[str, Any]
    CustomersLike = pd.DataFrame | Sequence[Row] | str | Path
    SegmentLike = Segment | Row | str

__all__ = [
    "Rows",
    "anonymize_customer_id",
    "apply_policy_threshold",
    "assign_customers_to_arms",
    "calculate_lift",
    "calculate_metrics",
    "check_safety",
    "design_experiment",
    "extract_citations",
    "extract_snippet",
    "generate_segment_summary",
    "generate_variant",
    "load_customer_data",
    "retrieve_content",
    "segment_customers",
    "simulate_engagement",
]

# ── Segments ──────────────────────────────────────────────────────────────────────────────────


def load_customer_data(path: str | Path, *, workspace: str | Path | None = None) -> pd.DataFrame:
    """The customers of a file, checked: one row per customer, the columns of `CUSTOMERS`.

    Raises:
        DataError: naming file, row and column, where a row is bad.
    """
    with _customers(path, workspace) as (tables, _):
        return to_frame(tables, "customers")


def segment_customers(
    customers: CustomersLike, method: str | None = None, *, workspace: str | Path | None = None
) -> pd.DataFrame:
    """Every customer in exactly one of 3 to 5 segments.

    Args:
        customers: a CSV or Parquet file, a DataFrame, or rows, with the columns of `CUSTOMERS`.
        method: rules, rfm or kmeans; the configured one where it is None.
        workspace: whose configuration holds.

    Returns:
        The customers with `segment`, `confidence` in [0, 1] and `reason`.
    """
    with _customers(customers, workspace) as (tables, work):
        _segment(tables, work, method)
        return to_frame(
            tables, "(select * from customers inner join segmented using (customer_id))"
        )


def generate_segment_summary(
    customers: CustomersLike, method: str | None = None, *, workspace: str | Path | None = None
) -> dict[str, Json]:
    """Size, share, features and definition of each segment, by label; as in segments.json."""
    with _customers(customers, workspace) as (tables, work):
        found = _segment(tables, work, method)
    return {one.label: to_json(one) for one in found.segments}


def _segment(tables: Tables, work: Work, method: str | None) -> segmenting.Segmentation:
    config = work.settings.segments
    if method is not None:
        if method not in ("rules", "rfm", "kmeans"):
            raise InputError(f"method: found {method!r}, allowed: rules, rfm, kmeans")
        config = config.model_copy(update={"method": method})
    return segmenting.segment_customers(tables, config, seed=work.settings.experiment.seed)


# ── Content ───────────────────────────────────────────────────────────────────────────────────


def retrieve_content(
    segment: SegmentLike, top_k: int = 5, *, workspace: str | Path | None = None
) -> list[dict[str, Any]]:
    """The approved passages that fit a segment, best first.

    Args:
        segment: a label, a `Segment`, or a mapping with `name` and what else is known of it.
        top_k: how many at most.
        workspace: whose content and configuration hold.
    """
    with contextlib.closing(_work(workspace)) as work:
        return [to_plain(one) for one in _passages(work, _segment_of(work, segment), top_k)]


def extract_snippet(text: str, max_length: int = 200) -> str:
    """The beginning of a text, `max_length` words at most, ending with a sentence."""
    return snippet(text, max_length)


def _passages(work: Work, segment: Segment, top_k: int | None = None) -> tuple[Passage, ...]:
    report = work.ports.index(work.corpus.documents, progress=work.advance)
    config = work.settings.experiment.retrieval
    if top_k is not None:
        config = config.model_copy(update={"top_k": top_k})
    excluded = invalid_on(work.corpus.documents, datetime.now(UTC).date())
    return retrieval.retrieve(
        segment,
        work.ports.search(report.name),
        documents=work.corpus.documents,
        config=config,
        excluded=tuple(document.document_id for document in excluded),
    )


# ── Messages ──────────────────────────────────────────────────────────────────────────────────


def generate_variant(
    segment: SegmentLike,
    content: Sequence[Passage | Row] | None = None,
    tone: str = "informational",
    *,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """One message for a segment in a tone, checked like those of a run.

    Args:
        segment: a label, a `Segment`, or a mapping with `name` and what else is known of it.
        content: passages as `retrieve_content` gives them; retrieved where it is None.
        tone: one of the configured tones.
        workspace: whose configuration holds.

    Raises:
        InputError: where the tone is not configured.
        NoExperiment: where no draft passed the checks, with the reasons.
    """
    with contextlib.closing(_work(workspace)) as work:
        settings = work.settings
        if tone not in settings.experiment.tones:
            hint = nearest(tone, settings.experiment.tones)
            raise InputError(f"tone {tone!r}: not configured{hint}")
        one = _segment_of(work, segment)
        passages = _passages(work, one) if content is None else tuple(map(to_passage, content))
        limits, _ = generation.channel_limits(settings.channel)
        variants, failures = generation.generate_variants(
            [one],
            {one.label: passages},
            writing=generation.Writing(
                brand=settings.experiment.brand,
                tones=(tone,),
                limits=limits,
                templates=settings.prompts,
                max_redrafts=settings.experiment.generation.max_redrafts,
            ),
            complete=work.ports.complete,
            known_tiers=tuple(one.tiers),
        )
    if failures:
        raise NoExperiment(_why(failures[0]))
    return to_plain(variants[0])


def extract_citations(text: str) -> list[dict[str, str]]:
    """The `[Source: Title, Section]` marks of a text; where a title has commas, the last parts."""
    found = []
    for reference in references(text, ()):
        inside = text[reference.start : reference.end].strip("[]").removeprefix("Source:").strip()
        title, _, section = inside.rpartition(",")
        found.append({"title": (title or inside).strip(), "section": section.strip()})
    return found


def _why(failure: Failure) -> str:
    return f"{failure.tone}: no draft passed after {failure.attempts}: {'; '.join(failure.reasons)}"


# ── Safety ────────────────────────────────────────────────────────────────────────────────────


def check_safety(variant: Row | Variant, *, workspace: str | Path | None = None) -> dict[str, Any]:
    """Whether a message may be sent; what cannot be screened is blocked.

    Args:
        variant: a `Variant`, or a mapping with `body` and, where known, `subject`, `variant_id`.
        workspace: whose thresholds and screener hold.

    Returns:
        `variant_id`, `status` (pass or block), `block_reason`, and per category its severity as
        `hate_severity` … (None where it is not known).

    Raises:
        InputError: where there is no `body`.
    """
    given = variant if isinstance(variant, Mapping) else to_plain(variant)
    if not isinstance(given.get("body"), str):
        raise InputError("variant: found no 'body', allowed: a mapping with a text as 'body'")
    subject, body = str(given.get("subject", "")), str(given.get("body", ""))
    name = str(given.get("variant_id") or generation.variant_id("", None, subject, body))
    with contextlib.closing(_work(workspace)) as work:
        decision = safety.screen_variant(
            to_message(name, subject=subject, body=body),
            work.ports.screen,
            work.settings.safety,
            decided_at=utc_now(),
        )
    return {
        "variant_id": name,
        "status": decision.status,
        "block_reason": "; ".join(decision.reasons),
        **{f"{category}_severity": decision.severities[category] for category in CATEGORIES},
        "checked_at": decision.decided_at,
    }


def anonymize_customer_id(customer_id: str, *, workspace: str | Path | None = None) -> str:
    """A customer's id as it may stand in a log: 16 hex digits of a hash under the log's key."""
    return anonymise(customer_id, key=log_key(_root(workspace)))


def apply_policy_threshold(severities: Mapping[str, int | None], threshold: int = 4) -> str:
    """`block` where a severity is above the threshold or a category is missing, else `pass`."""
    levels = [severities.get(c, severities.get(f"{c}_severity")) for c in CATEGORIES]
    return "pass" if all(level is not None and level <= threshold for level in levels) else "block"


# ── Experiment ────────────────────────────────────────────────────────────────────────────────


def design_experiment(
    customers: CustomersLike,
    variants: Sequence[Row | Variant],
    *,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Which arm gets which variant in which segment, and the shares; the arms by alias."""
    with _arms(customers, variants, workspace) as (_, design, aliases, _):
        return {
            "arms": [{"arm": aliases[arm.name], "share": arm.share} for arm in design.arms],
            "segments": {
                segment: {aliases[arm]: variant for arm, variant in cells.items()}
                for segment, cells in design.cells.items()
            },
            "sizes": dict(design.sizes),
        }


def assign_customers_to_arms(
    customers: CustomersLike,
    variants: Sequence[Row | Variant],
    *,
    workspace: str | Path | None = None,
) -> Rows:
    """Every customer in one arm, stratified by segment and balanced exactly.

    Args:
        customers: as for `segment_customers`; a column `segment` is used where it is there.
        variants: approved messages; one without `segment` serves every segment.
        workspace: whose name, tones and shares hold.

    Returns:
        One row per customer: its columns, `segment`, `arm`, `variant_id`, `assigned_at`.
    """
    with _arms(customers, variants, workspace) as (tables, design, aliases, _):
        assign(tables, design, utc_now())
        frame = to_frame(
            tables,
            "(select * from customers inner join assignments using (customer_id))",
        )
    frame["arm"] = frame["arm"].map(aliases)
    return Rows(to_rows(frame))


def simulate_engagement(
    assignments: Sequence[Row] | pd.DataFrame,
    *,
    uplift: float | None = None,
    seed: int | None = None,
    workspace: str | Path | None = None,
) -> Rows:
    """What might come of an assignment: SIMULATED, the same for the same seed.

    Args:
        assignments: as `assign_customers_to_arms` gives them.
        uplift: the mean relative uplift of every treatment; the configured ones where it is None.
        seed: the configured one where it is None.
        workspace: whose simulation holds.
    """
    rows = to_rows(assignments)
    with contextlib.closing(_work(workspace)) as work, open_tables() as tables:
        settings = work.settings
        aliases = arm_aliases(settings.experiment.tones)
        tones = {alias: tone for tone, alias in aliases.items()}
        named = [{**row, "arm": tones.get(row["arm"], row["arm"])} for row in rows]
        read_customers(tables, [{name: row.get(name) for name in CUSTOMERS.names} for row in named])
        put_rows(
            tables,
            "assignments",
            named,
            ("customer_id", "segment", "arm", "variant_id", "assigned_at"),
        )
        simulation = settings.experiment.simulation
        if uplift is not None:
            each = dict.fromkeys(settings.experiment.tones, Uplift(mean=uplift))
            simulation = simulation.model_copy(update={"uplift": each})
        changes = {
            "simulation": simulation,
            "seed": settings.experiment.seed if seed is None else seed,
        }
        experiment = settings.experiment.model_copy(update=changes)
        observe = make_observer(tables, replace(settings, experiment=experiment), None)
        frame = to_frame(tables, identifier(observe("assignments")))
    frame["arm"] = frame["arm"].map(lambda arm: aliases.get(arm, arm))
    return Rows(to_rows(frame[list(ENGAGEMENT.names)]))


def calculate_metrics(engagement: Sequence[Row] | pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rates per arm, of delivered messages: `metrics['treatment_1']['open_rate']`, fractions."""
    with open_tables() as tables:
        columns = ("customer_id", "segment", "arm", "delivered", "opened", "clicked", "converted")
        put_rows(tables, "engagement", to_rows(engagement), (*columns, "revenue"))
        counts = count_engagement(tables)
    found: dict[str, dict[str, Any]] = {}
    for cell in counts:
        arm = found.setdefault(
            cell.arm, dict.fromkeys(("assigned", "delivered", "opened", "clicked", "converted"), 0)
        )
        for name in ("assigned", "delivered", "opened", "clicked", "converted"):
            arm[name] += getattr(cell, name)
        arm["revenue"] = arm.get("revenue", 0.0) + cell.revenue
    for arm in found.values():
        n = arm["delivered"]
        for metric, name in (
            ("open_rate", "opened"),
            ("click_rate", "clicked"),
            ("conversion_rate", "converted"),
        ):
            arm[metric] = arm[name] / n if n else None
    return found


# ── Between rows and the data plane ───────────────────────────────────────────────────────────


@contextlib.contextmanager
def _arms(
    customers: CustomersLike, variants: Sequence[Row | Variant], workspace: str | Path | None
) -> Iterator[tuple[Tables, Design, dict[str, str], Work]]:
    with _customers(customers, workspace) as (tables, work):
        if "segment" in tables.columns("customers"):
            tables.keep(
                "segmented",
                "select customer_id, segment, 1e0 as confidence, 'given' as reason from customers",
            )
            names = [n for n in tables.columns("customers") if n != "segment"]
            tables.keep("features", "select * from customers")
            tables.keep("customers", f"select {', '.join(map(identifier, names))} from features")  # noqa: S608 - quoted
        else:
            _segment(tables, work, None)
        sizes = {
            str(segment): int(str(size))
            for segment, size in tables.rows(
                "select segment, count(*) from segmented group by segment order by segment"
            )
        }
        experiment = work.settings.experiment
        messages = to_messages(variants, tuple(sizes), experiment.tones)
        decisions = [passed(message) for message in messages]
        design = design_arms(messages, decisions, experiment, sizes)
        yield tables, design, arm_aliases(experiment.tones), work


@contextlib.contextmanager
def _customers(
    customers: CustomersLike, workspace: str | Path | None
) -> Iterator[tuple[Tables, Work]]:
    """The table `customers`, read and checked like those of a run."""
    with contextlib.closing(_work(workspace)) as work, open_tables() as tables:
        if isinstance(customers, str | Path):
            config = work.settings.customers.model_copy(
                update={"path": str(Path(customers).absolute())}
            )
            load_customers(tables, config, work.root)
        else:
            read_customers(tables, customers)
        yield tables, work


def _work(workspace: str | Path | None) -> Work:
    root = _root(workspace)
    return make_work(root, read_settings(root))


def _root(workspace: str | Path | None) -> Path:
    return Path(workspace) if workspace is not None else _default_workspace(Path.cwd())


@functools.cache
def _default_workspace(folder: Path) -> Path:
    """The folder itself where it is a workspace, else one of this process's own."""
    if (folder / "config").is_dir():
        return folder
    own = tempfile.TemporaryDirectory(prefix="liftwright-")
    atexit.register(own.cleanup)
    root = Path(own.name) / "workspace"
    init_workspace(root)
    return root


def _segment_of(work: Work, given: SegmentLike) -> Segment:
    if isinstance(given, Segment):
        return given
    if isinstance(given, Mapping):
        return to_segment(_configured(given, work.settings.segments))
    work.need_customers()
    found = _segment(work.tables, work, None).segments
    for one in found:
        if one.label == given:
            return one
    labels = [one.label for one in found]
    hint = nearest(given, labels) or f"; the segments are: {', '.join(labels)}"
    raise InputError(f"segment {given!r}: no such segment{hint}")


def _configured(given: Row, segments: Segments) -> Row:
    """What is said of a segment, and below it what segments.yaml says of one of that name."""
    named: list[SegmentRule | RfmBand] = [*segments.rules, *segments.rfm]
    for one in named:
        if one.label == label_of(given):
            known = {"description": one.description, "audience": one.audience}
            return {**known, "interests": one.interests, **given}
    return given
