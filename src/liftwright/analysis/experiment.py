"""The analysis of an experiment's aggregates, for `analyze` and for a run."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from liftwright.analysis.bayes import thompson_shares
from liftwright.analysis.comparison import (
    Contrasts,
    bayes_rows,
    compare,
    interaction_rows,
    omnibus_tests,
    sequential_rows,
)
from liftwright.analysis.result import (
    OVERALL,
    Allocation,
    ArmSize,
    BestArm,
    ExposedResult,
    ManyExperimentsResult,
    SmallExperiment,
)
from liftwright.analysis.srm import (
    SRM_ALPHA,
    check_srm,
    check_srm_over_segments,
    explain_mismatch,
)
from liftwright.analysis.verdict import (
    conclude,
    failed_checks,
    governing_rows,
    name_winners,
    why_not_trusted,
    winner_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from liftwright.analysis.aggregates import ArmTotals
    from liftwright.analysis.proportions import TestType
    from liftwright.analysis.result import (
        ArmComparison,
        ArmPosterior,
        Correction,
        ExperimentResult,
        InteractionTest,
        Interval,
        MultipleExposure,
        SampleRatioCheck,
    )
    from liftwright.analysis.verdict import Conclusion, DecisionRule
    from liftwright.model import MetricSpec

_ALLOCATION_CAVEATS = (
    "use these shares for the next wave only: changing them within a wave biases the lift",
    "compare arms within each wave, then combine the waves as segments",
    "an arm with few customers is uncertain; a small share keeps collecting evidence on it",
)
_EXPOSED_CAVEAT = (
    "exposed units are not a random sample: these rows are valid only if exposure does not depend "
    "on the arm; `comparisons` covers all assigned units"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """The totals of some metrics, one per segment, arm and metric with units."""

    metrics: Sequence[MetricSpec]
    totals: Sequence[ArmTotals]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSizes:
    """Units of each arm, and its intended share or number of units, of any sum."""

    observed: Mapping[str, int]
    expected: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentData:
    """The outcomes of an experiment, in sums.

    Attributes:
        main: The metrics that are compared.
        sizes: The arms' numbers of units, in the order of the result.
        by_segment, by_period: The same in each segment and period.
        arms_by_segment: The arms that each segment has; None if every segment has all.
        shares_by_segment: Whether the intended shares differ by segment by design.
        multiple_exposure: The check of units seen in two arms.
        cuped: Metrics adjusted for covariates; `variance_reduction` is by metric, as is
            `covariate_missing`, the number of units without the covariate.
        winsorised: Metrics whose values are capped at `winsorised_at`.
        assigned: The metrics over all assigned units.
        ratios: Ratios of two outcomes.
        exposed: The metrics of exposed units; `exposed_units` is their number per arm.
        excluded: Rows and units that were left out, by reason.
        warnings: Warnings about the whole result.
    """

    main: Aggregates
    sizes: ArmSizes
    by_segment: Mapping[str, ArmSizes] = field(default_factory=dict)
    by_period: Mapping[str, ArmSizes] = field(default_factory=dict)
    arms_by_segment: Mapping[str, Collection[str]] | None = None
    shares_by_segment: bool = False
    multiple_exposure: MultipleExposure | None = None
    cuped: Aggregates | None = None
    variance_reduction: Mapping[str, float] = field(default_factory=dict)
    covariate_missing: Mapping[str, int] = field(default_factory=dict)
    winsorised: Aggregates | None = None
    winsorised_at: Mapping[str, Interval] = field(default_factory=dict)
    assigned: Aggregates | None = None
    ratios: Aggregates | None = None
    exposed: Aggregates | None = None
    exposed_units: Mapping[str, int] = field(default_factory=dict)
    excluded: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisOptions:
    """How an experiment is analysed.

    Attributes:
        control: Name of the control.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Correction for multiplicity.
        test_type: Test of the binary metrics in the main comparison.
        rule: The primary metric, and how the verdict is reached.
        winners_of_all: Whether a winner is named on every metric, or on the primary one alone.
        posteriors: Whether to compute the posteriors.
        allocation: Whether to compute the shares of a next wave; needs the posteriors.
    """

    control: str
    alpha: float
    correction: Correction
    rule: DecisionRule
    test_type: TestType = "auto"
    winners_of_all: bool = False
    posteriors: bool = True
    allocation: bool = False


def analyze_experiment(data: ExperimentData, options: AnalysisOptions) -> ExperimentResult:
    """Analyse an experiment; the caller adds what only a run knows.

    Args:
        data: Its outcomes.
        options: The options of the analysis.

    Raises:
        InputError: The aggregates do not fit the arms, the metrics or each other.
    """
    result = _compare(data.main, data, options, test_type=options.test_type)
    contrasts = Contrasts(
        data.main.totals,
        data.main.metrics,
        options.control,
        [arm.arm for arm in result.arms],
        options.alpha,
        options.correction,
    )
    interactions = interaction_rows(contrasts)
    posteriors = bayes_rows(contrasts) if options.posteriors else []
    present = _arms(data)
    by_segment, by_period = (
        {name: check_srm(sizes.observed, sizes.expected) for name, sizes in parts.items()}
        for parts in (data.by_segment, data.by_period)
    )
    srm = _overall_srm(result.srm, data)
    failed = failed_checks(srm, {"segment": by_segment, "period": by_period})
    if not srm.ok:
        srm = replace(srm, explanation=explain_mismatch(srm, by_segment))
    result = replace(
        result,
        comparisons=tuple(row for row in result.comparisons if _exists(row, data)),
        sequential=tuple(
            row for row in sequential_rows(contrasts, options.rule.planned) if row.arm in present
        ),
    )
    distrust = why_not_trusted(failed, srm.explanation, data.multiple_exposure)
    conclusion = conclude(result, options.rule, contrasts, distrust=distrust)
    return replace(
        result,
        srm=srm,
        srm_by_segment=by_segment,
        srm_over_time=by_period,
        srm_failed=failed,
        verdict=conclusion.verdict,
        guardrails=conclusion.guardrails,
        multiple_exposure=data.multiple_exposure,
        best=_winners(result, interactions, data, options, conclusion),
        decisions=conclusion.decisions,
        omnibus=tuple(omnibus_tests(contrasts)),
        interactions=tuple(row for row in interactions if row.arm in present),
        bayes=tuple(row for row in posteriors if row.arm in present),
        cuped=_cuped(data, options),
        variance_reduction=data.variance_reduction,
        covariate_missing=data.covariate_missing,
        winsorised=_rows(data.winsorised, data, options),
        winsorised_at=data.winsorised_at,
        assigned=_rows(data.assigned, data, options),
        ratios=_rows(data.ratios, data, options),
        exposed=_exposed(data, options),
        allocation=_allocation(posteriors, options.rule.metric, trusted=not distrust)
        if options.allocation
        else None,
        excluded=data.excluded,
        warnings=data.warnings,
    )


def analyze_experiments(
    by: str, data: ExperimentData, options: AnalysisOptions
) -> ManyExperimentsResult:
    """Analyse many experiments, all their p-values corrected together.

    Args:
        by: The name of the column that identifies them.
        data: The experiments as segments; the intended shares of the arms that an experiment has
            are scaled to 1.
        options: The options of the analyses.
    """
    control = options.control
    compared = _compare(data.main, data, options)
    rows: dict[str, list[ArmComparison]] = defaultdict(list)
    for row in compared.comparisons:
        # Without units the experiment does not have the arm.
        if row.segment != OVERALL and row.n_treatment:
            rows[row.segment].append(row)
    experiments, failed = [], []
    for name, sizes in data.by_segment.items():
        srm = check_srm(sizes.observed, sizes.expected)
        trusted = srm.p_value is not None and srm.p_value >= SRM_ALPHA / len(data.by_segment)
        if not trusted:
            failed.append(name)
        own = rows[name] if control in sizes.observed else []
        best = winner_of(
            [row for row in own if row.metric == options.rule.metric],
            options.rule.direction,
        )
        experiments.append(
            SmallExperiment(
                experiment=name,
                n=sum(sizes.observed.values()),
                srm=srm,
                arms=tuple(ArmSize(arm=arm, n=units) for arm, units in sizes.observed.items()),
                comparisons=tuple(replace(row, segment=OVERALL) for row in own),
                best=best.arm if best and trusted else None,
            )
        )
    tested = [row for own in rows.values() for row in own if row.p_value is not None]
    return ManyExperimentsResult(
        by=by,
        n=compared.n,
        control=control,
        alpha=options.alpha,
        correction=options.correction,
        tests=len(tested),
        significant=sum(row.significant for row in tested),
        significant_uncorrected=sum((row.p_value or 0.0) < options.alpha for row in tested),
        srm_failed=tuple(failed),
        without_control=tuple(
            name for name, sizes in data.by_segment.items() if control not in sizes.observed
        ),
        experiments=tuple(experiments),
        excluded=data.excluded,
    )


def _compare(
    part: Aggregates,
    data: ExperimentData,
    options: AnalysisOptions,
    *,
    units: Mapping[str, int] | None = None,
    test_type: TestType = "auto",
) -> ExperimentResult:
    return compare(
        part.totals,
        part.metrics,
        options.control,
        units=data.sizes.observed if units is None else units,
        alpha=options.alpha,
        correction=options.correction,
        expected=data.sizes.expected,
        test_type=test_type,
    )


def _rows(
    part: Aggregates | None, data: ExperimentData, options: AnalysisOptions
) -> tuple[ArmComparison, ...]:
    """Another estimator of the same arms, as a separate family of tests."""
    if part is None:
        return ()
    present = _arms(data)
    return tuple(row for row in _compare(part, data, options).comparisons if row.arm in present)


def _arms(data: ExperimentData) -> set[str]:
    """The arms that exist in any segment."""
    if data.arms_by_segment is None:
        return {*data.sizes.observed, *data.sizes.expected}
    return {arm for arms in data.arms_by_segment.values() for arm in arms}


def _exists(row: ArmComparison, data: ExperimentData) -> bool:
    if row.segment == OVERALL or data.arms_by_segment is None:
        return row.arm in _arms(data)
    return row.arm in data.arms_by_segment.get(row.segment, ())


def _overall_srm(srm: SampleRatioCheck, data: ExperimentData) -> SampleRatioCheck:
    if not data.shares_by_segment:
        return srm
    return check_srm_over_segments(
        [(sizes.observed, sizes.expected) for sizes in data.by_segment.values()]
    )


def _cuped(data: ExperimentData, options: AnalysisOptions) -> tuple[ArmComparison, ...]:
    """The adjusted rows; a warning says how many units lack the covariate."""
    return tuple(
        replace(
            row,
            warnings=(
                *row.warnings,
                f"{missing:,} units lack the covariate; they are adjusted by an indicator of it",
            ),
        )
        if (missing := data.covariate_missing.get(row.metric))
        else row
        for row in _rows(data.cuped, data, options)
    )


def _winners(
    result: ExperimentResult,
    interactions: Sequence[InteractionTest],
    data: ExperimentData,
    options: AnalysisOptions,
    conclusion: Conclusion,
) -> tuple[BestArm, ...]:
    """The best arm on each metric overall, and on the primary metric in each segment.

    On the primary metric the overall one is the verdict's winner.
    """
    rule, verdict = options.rule, conclusion.verdict
    blocked = {check.arm for check in conclusion.guardrails if check.forbids}
    rows = governing_rows(result, rule)
    reason = "; ".join(verdict.reasons)
    undecided = reason if verdict.state in {"do_not_trust", "too_early"} else None
    found: list[BestArm] = []
    directions = {metric.name: metric.direction for metric in data.main.metrics}
    for metric in directions if options.winners_of_all else (rule.metric,):
        primary, direction = metric == rule.metric, directions.get(metric, "higher")
        candidates = [row for row in rows if not (primary and row.arm in blocked)]
        named = {
            best.segment: best
            for best in name_winners(
                candidates,
                interactions,
                metric,
                alpha=options.alpha,
                direction=direction,
                undecided=undecided,
            )
        }
        for segment in (OVERALL, *(data.by_segment if primary else ())):
            best = BestArm(segment=segment, metric=metric, arm=None, lift=None, reason=reason)
            if segment != OVERALL or not primary:
                best = named.get(segment, best)
            elif verdict.winner is not None:
                best = replace(named[OVERALL], reason=reason)
            found.append(best)
    return tuple(found)


def _exposed(data: ExperimentData, options: AnalysisOptions) -> ExposedResult | None:
    if data.exposed is None:
        return None
    found = _compare(data.exposed, data, options, units=data.exposed_units)
    return ExposedResult(
        n=found.n,
        srm=found.srm,
        arms=found.arms,
        comparisons=found.comparisons,
        caveat=_EXPOSED_CAVEAT,
    )


def _allocation(posteriors: Iterable[ArmPosterior], metric: str, *, trusted: bool) -> Allocation:
    """Shares of a next wave by Thompson sampling; none where the arms cannot be trusted."""
    best = {
        row.arm: row.probability_best
        for row in posteriors
        if row.metric == metric and row.probability_best is not None
    }
    return Allocation(
        metric=metric,
        shares=thompson_shares(best) if best and trusted else None,
        caveats=_ALLOCATION_CAVEATS,
    )
