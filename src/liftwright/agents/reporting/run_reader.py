"""A finished run's JSON files as records; nothing else is read, so no customer is ever seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - a field's type, kept importable for readers
from typing import cast

from liftwright.agents.reporting.json_values import Values, items, mapping, record, texts, whole
from liftwright.agents.reporting.secondary_results import Beside, read_beside
from liftwright.errors import IntegrityError
from liftwright.model import Claim, Failure, Passage, SafetyDecision, Segment, Variant, from_json
from liftwright.model.run_files import RunFolder

OVERALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `comparisons` in metrics.json: an arm against the control on one metric."""

    segment: str
    arm: str
    metric: str
    kind: str
    n_treatment: int
    n_control: int
    treatment: float | None
    control: float | None
    difference: float | None
    difference_ci: tuple[float, float] | None
    lift: float | None
    lift_ci: tuple[float, float] | None
    p_value: float | None
    p_adjusted: float | None
    significant: bool
    test: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRow:
    """What one comparison could have shown: the smallest lift found with the stated power."""

    arm: str
    metric: str
    base: float | None
    n_treatment: int
    n_control: int
    alpha: float
    power: float
    detectable_difference: float | None
    detectable_lift: float | None
    warning: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The arm that won in a segment, or over all; `arm` is None where none did, `reason` why."""

    segment: str
    metric: str
    arm: str | None
    lift: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one of several measurements found of the primary metric, over all segments."""

    look: int
    measured_at: str | None
    metric: str
    arm: str
    n_treatment: int
    n_control: int
    lift: float | None
    lift_ci: tuple[float, float] | None
    p_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SrmCheck:
    """Whether the arms have the sizes that were meant; `ok` is None where it cannot be judged."""

    p_value: float | None
    ok: bool | None
    observed: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What metrics.json says.

    Attributes:
        primary_metric: the metric that names a winner.
        rows: overall and per segment, in the file's order.
        differences: the features' balance, one entry per arm and feature.
        course: where the run was measured more than once, what each look found.
    """

    n: int
    alpha: float
    correction: str
    simulated: bool
    primary_metric: str
    rows: tuple[Row, ...]
    srm: SrmCheck
    srm_by_segment: Mapping[str, SrmCheck]
    srm_failed: tuple[str, ...]
    best: tuple[Best, ...]
    power: tuple[PowerRow, ...]
    differences: tuple[Values, ...]
    balance_ok: bool | None
    warnings: tuple[str, ...]
    course: tuple[Look, ...] = ()
    srm_over_time: Mapping[str, SrmCheck] = field(default_factory=dict)
    beside: Beside = field(default_factory=Beside)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, in order; only those that were measured."""
        return tuple(dict.fromkeys(row.metric for row in self.rows))

    @property
    def treatments(self) -> tuple[str, ...]:
        """The treatment arms, in order."""
        return tuple(dict.fromkeys(row.arm for row in self.rows))

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that were compared, in order."""
        return tuple(dict.fromkeys(row.segment for row in self.rows if row.segment != OVERALL))

    @property
    def trusted(self) -> bool:
        """Whether every sample-ratio check passed: overall, in the segments and over time."""
        return self.srm.ok is True and not self.srm_failed

    def overall(self, metric: str | None = None) -> tuple[Row, ...]:
        """The rows over all segments, of one metric or of all."""
        return self.of(OVERALL, metric)

    def of(self, segment: str, metric: str | None = None) -> tuple[Row, ...]:
        """The rows of one segment, of one metric or of all."""
        return tuple(
            row
            for row in self.rows
            if row.segment == segment and (metric is None or row.metric == metric)
        )

    def winner(self, segment: str = OVERALL) -> Best | None:
        """The verdict on a segment; None where the file has none."""
        return next((best for best in self.best if best.segment == segment), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What the file of real outcomes was like.

    Attributes:
        names_message: whether it says which message was sent; if not, that is taken on trust.
        set_aside: rows left out, by reason.
    """

    rows: int = 0
    rows_used: int = 0
    customers_missing: int = 0
    machine_opens: int = 0
    machine_clicks: int = 0
    names_message: bool = True
    set_aside: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantClaims:
    """The sentences of one variant and what its sources say of them."""

    variant_id: str
    score: float
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """All that the report is made of.

    Attributes:
        run: run.json as values; a run that is still being reported has no totals yet.
        campaign: brand, experiment and what else was fixed; empty in runs that do not say.
        method: how the segments were made.
        shares: per segment, each arm's share.
        counts: customers assigned, per segment and arm.
        left_out: customers who were sent nothing, by reason.
    """

    folder: Path
    run: Values
    campaign: Values
    method: str
    customers: int
    segments: tuple[Segment, ...]
    segment_warnings: tuple[str, ...]
    passages: Mapping[str, tuple[Passage, ...]]
    control: Variant | None
    variants: tuple[Variant, ...]
    claims: Mapping[str, VariantClaims]
    decisions: tuple[SafetyDecision, ...]
    failures: tuple[Failure, ...]
    experiment: str
    shares: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]
    outcomes: Outcomes
    results: Results

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self.run.get("run_id", self.folder.name))

    @property
    def simulated(self) -> bool:
        """Whether the engagement was simulated; what does not say so is taken to be."""
        return bool(self.run.get("simulated", True)) or self.results.simulated

    @property
    def brand(self) -> str:
        """The brand's name; empty where the run does not say."""
        return str(self.campaign.get("brand") or "")

    def messages(self) -> tuple[Variant, ...]:
        """The control first, then the variants in order."""
        return (*((self.control,) if self.control else ()), *self.variants)

    def decision(self, variant_id: str) -> SafetyDecision | None:
        """What was decided on a message."""
        return next((one for one in self.decisions if one.variant_id == variant_id), None)


def read_run(folder: Path) -> RunFiles:
    """The run in a folder.

    Args:
        folder: data/runs/<run_id>; must hold metrics.json. A missing optional file is empty.

    Raises:
        InputError: where the run has not come so far.
        IntegrityError: where a file is not what the product writes.
    """
    files = RunFolder(folder)
    segmentation = _values(files, "segments.json")
    variants = _values(files, "variants.json")
    arms = _values(files, "arms.json")
    run = _values(files, "run.json")
    try:
        design = mapping(arms["design"])
        found = files.read_list("claims.json", VariantClaims) if _has(files, "claims.json") else ()
        return RunFiles(
            folder=folder,
            run=run,
            campaign=mapping(run.get("campaign") or {}),
            method=str(segmentation["method"]),
            customers=whole(segmentation["customers"]),
            segments=from_json(tuple[Segment, ...], segmentation["segments"]),
            segment_warnings=texts(segmentation.get("warnings")),
            passages=from_json(
                dict[str, tuple[Passage, ...]],
                files.raw("passages.json") if _has(files, "passages.json") else {},
            ),
            control=from_json(Variant, variants["control"]) if variants.get("control") else None,
            variants=from_json(tuple[Variant, ...], variants["variants"]),
            claims={entry.variant_id: entry for entry in found},
            decisions=files.read_list("decisions.json", SafetyDecision),
            failures=files.read_list("failures.json", Failure)
            if _has(files, "failures.json")
            else (),
            experiment=str(design["salt"]),
            shares=from_json(dict[str, Mapping[str, float]], design["shares"]),
            counts=from_json(dict[str, Mapping[str, int]], arms["counts"]),
            left_out=from_json(dict[str, int], arms.get("left_out") or {}),
            outcomes=record(
                Outcomes,
                _values(files, "engagement.json") if _has(files, "engagement.json") else {},
            ),
            results=read_results(_values(files, "metrics.json")),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{folder}: a file is not what the product writes "
            f"({type(error).__name__}: {error}); allowed are the files of a finished run"
        ) from None


def read_results(metrics: Values) -> Results:
    """The content of metrics.json as records; keys that the report does not use are left."""
    srm = mapping(metrics["srm"])
    balance = mapping(metrics.get("balance") or {})
    rows = tuple(record(Row, item) for item in items(metrics["comparisons"]))
    by_segment = mapping(metrics.get("srm_by_segment") or {})
    over_time = mapping(metrics.get("srm_over_time") or {})
    return Results(
        n=whole(metrics["n"]),
        alpha=float(cast("float", metrics["alpha"])),
        correction=str(metrics["correction"]),
        simulated=bool(metrics.get("simulated", True)),
        primary_metric=str(
            metrics.get("primary_metric") or (rows[0].metric if rows else "click_rate")
        ),
        rows=rows,
        srm=record(SrmCheck, srm),
        srm_by_segment={name: record(SrmCheck, item) for name, item in by_segment.items()},
        srm_over_time={name: record(SrmCheck, item) for name, item in over_time.items()},
        beside=read_beside(metrics),
        srm_failed=texts(metrics.get("srm_failed")),
        best=tuple(record(Best, item) for item in items(metrics.get("best"))),
        power=tuple(record(PowerRow, item) for item in items(metrics.get("power"))),
        differences=tuple(mapping(item) for item in items(balance.get("differences"))),
        balance_ok=cast("bool | None", balance.get("ok")),
        warnings=texts(metrics.get("warnings")),
        course=tuple(record(Look, item) for item in items(metrics.get("course"))),
    )


def _has(files: RunFolder, name: str) -> bool:
    return files.file(name).is_file()


def _values(files: RunFolder, name: str) -> Values:
    value = files.raw(name)
    if not isinstance(value, Mapping):
        raise IntegrityError(f"{files.file(name)}: found a {type(value).__name__}, not an object")
    return value
