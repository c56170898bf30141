"""The result of an experiment, complete and typed: `analyze --json` and a run's metrics.json.

Everything that shows or stores a result reads these records. Rates, shares and lifts are fractions.
None (null in JSON) stands for what cannot be estimated; the row's `warnings` say why. A field whose
default is None is left out of the JSON while it is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from liftwright.model import MetricKind, from_json, to_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from liftwright.model import Json

Correction = Literal["holm", "bh", "none"]
Action = Literal["ship", "stop", "continue"]
Stopping = Literal["fixed", "anytime"]
VerdictState = Literal[
    "winner", "no_difference_shown", "too_early", "worse", "guardrail_not_met", "do_not_trust"
]
GuardrailState = Literal["met", "no_harm_shown", "not_met", "harmed"]
# Both ends of an interval; one that is infinite is None.
Interval: TypeAlias = tuple[float | None, float | None]

# The name of the rows that take all segments together.
OVERALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatioCheck:
    """The sample-ratio mismatch (SRM) check: do the arms have their planned sizes?

    Attributes:
        p_value: p-value of the k-way chi-square test; None without units.
        ok: p_value >= 0.01; False without units.
        observed: Units of each arm.
        expected: Planned units of each arm, of the same sum.
        explanation: A simple reason for a failed check, such as shares given wrongly; None if none
            was found.
    """

    p_value: float | None
    ok: bool
    observed: Mapping[str, int]
    expected: Mapping[str, float]
    explanation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRate:
    """A binary metric in one arm, unweighted: units with the event, and their share."""

    kind: Literal["binary"] = "binary"
    value: float | None
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmMean:
    """A mean or a ratio in one arm, unweighted, and its standard deviation over units."""

    kind: Literal["mean", "ratio"]
    value: float | None
    sd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm: its units, and its metrics by name."""

    arm: str
    n: int
    metrics: Mapping[str, ArmRate | ArmMean]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmComparison:
    """One treatment against the control on one metric, in one segment or overall.

    Attributes:
        segment: Name of the segment; "all" is the overall row.
        n_treatment: Units of the treatment that count; `n_control` those of the control.
        treatment: Rate, mean or ratio; in a stratified row with Mantel-Haenszel weights.
        difference: treatment - control, with its two-sided interval at 1 - alpha.
        lift: treatment / control - 1, with its two-sided interval at 1 - alpha.
        p_value: Two-sided, not corrected for multiplicity.
        p_adjusted: Corrected within the overall rows, or within the segment rows.
        significant: p_adjusted < alpha; False where there is none.
        test: Name of the test behind the p-value.
        warnings: Why something is missing.
    """

    segment: str
    arm: str
    metric: str
    kind: MetricKind
    n_treatment: int
    n_control: int
    treatment: float | None
    control: float | None
    difference: float | None
    difference_ci: Interval | None
    lift: float | None
    lift_ci: Interval | None
    p_value: float | None
    p_adjusted: float | None
    significant: bool
    test: str | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionTest(ArmComparison):
    """Whether one arm's effect differs between segments; it has no difference and no lift.

    Attributes:
        statistic: Chi-square of Breslow and Day, or Welch's F, with its `degrees_of_freedom`.
        segments_compared: Segments with enough units in both arms.
        common_odds_ratio: Mantel-Haenszel odds ratio of a rate over all segments.
    """

    statistic: float | None
    degrees_of_freedom: int | None
    segments_compared: int
    common_odds_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPosterior(ArmComparison):
    """The posterior of one arm, including the control; intervals are credible intervals.

    Attributes:
        probability_best: Probability that no other arm is better.
        probability_better: Probability to be better than the control.
        expected_loss: Expected loss of choosing this arm when another one is better.
    """

    probability_best: float | None
    probability_better: float | None
    expected_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairwiseTest:
    """Two arms' means against each other, corrected for the number of pairs."""

    arms: tuple[str, str]
    difference: float
    p_value: float
    test: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OmnibusTest:
    """Whether any two arms differ on a metric, not stratified.

    Attributes:
        pairs: Every pair of arms; only for means.
    """

    metric: str
    statistic: float | None
    degrees_of_freedom: int | None
    p_value: float | None
    test: str | None
    warnings: tuple[str, ...] = ()
    pairs: tuple[PairwiseTest, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BestArm:
    """The arm that won on a metric, overall or in a segment, and its lift; None if none did."""

    segment: str
    metric: str
    arm: str | None
    lift: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmDecision:
    """What to do with one arm now, on the primary metric."""

    arm: str
    metric: str
    decision: Action
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The one answer of the experiment, on its primary metric.

    Attributes:
        governs: "fixed": the tests of `comparisons`, read once, at the planned sample;
            "anytime": those of `sequential`, valid at every look.
        winner: The arm that is best; None unless the state is "winner".
        state: "winner": an arm is better than the control and no guardrail forbids it.
            "no_difference_shown": no arm differs from the control. "too_early": the planned
            sample is not reached. "worse": an arm is worse than the control, and none is better.
            "guardrail_not_met": an arm is better, but a guardrail is harmed or its margin is not
            met. "do_not_trust": the data cannot decide (sample-ratio mismatch, units in two arms,
            opens as the primary metric).
        reasons: Why, in sentences.
    """

    governs: Stopping
    winner: str | None
    state: VerdictState
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailCheck:
    """Whether one arm keeps one guardrail; tested at alpha, not corrected for multiplicity.

    Attributes:
        margin: How much worse the metric may be, relative to the control; None without a margin.
        lift: Relative difference to the control, with its interval.
        state: With a margin: "met" if the interval excludes a larger loss; else "harmed" if the
            metric is significantly worse, or "not_met". Without: "harmed" or "no_harm_shown".
    """

    arm: str
    metric: str
    margin: float | None
    lift: float | None
    lift_ci: Interval | None
    state: GuardrailState

    @property
    def forbids(self) -> bool:
        """Whether the arm may not win."""
        return self.state in {"not_met", "harmed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MultipleExposure:
    """Units seen in more than one arm; they are left out of the comparison.

    Attributes:
        units: Number of units seen in several arms; `share` is their share of all units.
        ok: The share is within its limit, and their outcomes do not differ from the others'.
        p_value: p-value of Fisher's exact test of their outcomes on the primary metric against the
            other units'; None for fewer than 20 units.
    """

    units: int
    share: float
    ok: bool
    p_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BotClicks:
    """Clicks of bots, which are not counted.

    Attributes:
        events: Clicks that were removed.
        rate_before: Click rate of all delivered messages before the removal.
    """

    events: int
    rate_before: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposedResult:
    """The comparison of exposed units, and why to read it with care."""

    n: int
    srm: SampleRatioCheck
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[ArmComparison, ...]
    caveat: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Shares of a next wave by Thompson sampling; None where the arms cannot be trusted."""

    metric: str
    shares: Mapping[str, float] | None
    caveats: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureEffect:
    """How one arm's effect changes with one feature.

    Attributes:
        change: Change of the effect per standard deviation of the feature.
        interval: Interval of the change, simultaneous over all rows.
        significant: Whether the pair of arm and feature is in the ranking.
    """

    arm: str
    feature: str
    change: float
    interval: tuple[float, float]
    p_value: float
    p_adjusted: float
    significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedFeature:
    """A feature that changes an arm's effect beyond chance."""

    arm: str
    feature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureImportance:
    """How much a feature moves a forest's predicted effects, in units of the metric."""

    feature: str
    mean_absolute_shap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpliftForest:
    """An exploratory forest of effects.

    Attributes:
        importances: The largest first; empty where the forest sorts nothing.
        slope: Slope of the real on the predicted effect in held-out units; 1 is ideal, 0 is noise.
        p_value: One-sided, that the slope is not above 0.
        units: Units that were used, `explained` of them by SHAP.
        reason: Why there are importances, or none.
    """

    exploratory: bool = True
    importances: tuple[FeatureImportance, ...]
    slope: float | None
    p_value: float | None
    units: int
    explained: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which features go with a larger effect on a metric.

    Attributes:
        units: Sampled units.
        joint_p_adjusted: By arm, the p-value of the test that no feature changes its effect.
        ranking: The significant features, the largest change first.
        forest: By arm; empty unless requested.
    """

    metric: str
    units: int
    rows: tuple[FeatureEffect, ...]
    joint_p_adjusted: Mapping[str, float]
    ranking: tuple[RankedFeature, ...]
    reason: str
    forest: Mapping[str, UpliftForest] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBalance:
    """How far an arm's customers differ from the control's in a feature.

    Attributes:
        difference: Standardised mean difference, treatment - control, within segments and over
            those where the arm exists; None where the feature does not vary or is missing.
        limit: Largest difference that is not notable: a tenth of a standard deviation,
            or in small groups what chance alone seldom gives.
    """

    arm: str
    feature: str
    difference: float | None
    limit: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """The balance of the arms before any message was sent.

    Attributes:
        assigned: Customers by segment and arm; `delivered` those whose message arrived.
        largest: The largest absolute difference.
        ok: No difference is above its limit.
    """

    assigned: Mapping[str, Mapping[str, int]]
    delivered: Mapping[str, Mapping[str, int]]
    differences: tuple[FeatureBalance, ...]
    largest: float | None
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectableEffect:
    """The power of one overall comparison.

    Attributes:
        base: The control's rate or mean.
        alpha: Level left to one test by the correction.
        power: Probability to find the effect.
        detectable_difference: Smallest absolute increase that is found with that probability.
        detectable_lift: The same relative to the base.
        warning: Why the comparison is underpowered; None where it is not.
    """

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
class DailyCount:
    """Events of one arm on one day (UTC), over all segments."""

    day: str
    arm: str
    delivered: int
    opened: int
    clicked: int
    converted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InterimLook:
    """One arm's overall estimate of the primary metric at one of several measurements.

    Attributes:
        look: Number of the measurement, from 1.
    """

    look: int
    measured_at: str | None
    metric: str
    arm: str
    n_treatment: int
    n_control: int
    lift: float | None
    lift_ci: Interval | None
    p_value: float | None
    p_adjusted: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCompliance:
    """Which analysis plan holds, by its hash, and how the analysis deviates from it."""

    sha256: str
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """The complete result of an experiment, of a file or of a run.

    A part that was not asked for, or that the data cannot give, is empty or None.

    Attributes:
        n: Units of all arms.
        alpha: Level of the tests; 1 - alpha is that of the intervals.
        correction: Correction for multiplicity: the overall rows are one family, the segment rows
            another.
        srm: The sample-ratio check of all units.
        arms: Every arm, with its raw values.
        comparisons: The overall rows by arm and metric, then those of each segment.
        srm_by_segment, srm_over_time: Further sample-ratio checks, by segment and by period.
        srm_failed: The sample-ratio checks that failed; while there is one, no winner is named.
        verdict: The answer on the primary metric; the headline.
        guardrails: Whether each arm keeps each guardrail.
        multiple_exposure: Units seen in more than one arm.
        bots: Clicks of bots that were removed from a run's outcomes.
        best: The winning arm by metric and segment.
        decisions: The decision on each arm: ship, stop or continue.
        sequential: Overall rows that hold at every look.
        omnibus: All arms at once, by metric.
        interactions: Whether each arm's effect differs between segments.
        bayes: Posteriors of all arms.
        cuped: Rows adjusted for covariates; `variance_reduction` is by metric, as is
            `covariate_missing`, the number of units without a covariate.
        winsorised: Rows with extreme values capped at `winsorised_at`, by metric.
        assigned: Rows over all assigned units (intention to treat).
        ratios: Rows of ratios of two outcomes.
        exposed: The comparison of exposed units.
        allocation: Shares of a next wave.
        explain: Features that go with a larger effect.
        excluded: Rows and units that were left out, by reason.
        simulated: Whether a run's engagement was simulated; None for a file.
        primary_metric: The deciding metric of a run; for a file, the first metric decides.
        balance: The balance of the arms before the experiment.
        power: The smallest lift that each overall comparison can detect.
        daily: Events by day and arm.
        warnings: Warnings about the whole result.
        measured_at: Time at which the outcomes were read.
        course: The estimates of each interim look; empty if there was only one look.
        plan: Whether the analysis plan was followed.
    """

    n: int
    control: str
    alpha: float
    correction: Correction
    srm: SampleRatioCheck
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[ArmComparison, ...]
    srm_by_segment: Mapping[str, SampleRatioCheck] = field(default_factory=dict)
    srm_over_time: Mapping[str, SampleRatioCheck] = field(default_factory=dict)
    srm_failed: tuple[str, ...] = ()
    verdict: Verdict | None = None
    guardrails: tuple[GuardrailCheck, ...] = ()
    multiple_exposure: MultipleExposure | None = None
    bots: BotClicks | None = None
    best: tuple[BestArm, ...] = ()
    decisions: tuple[ArmDecision, ...] = ()
    sequential: tuple[ArmComparison, ...] = ()
    omnibus: tuple[OmnibusTest, ...] = ()
    interactions: tuple[InteractionTest, ...] = ()
    bayes: tuple[ArmPosterior, ...] = ()
    cuped: tuple[ArmComparison, ...] = ()
    variance_reduction: Mapping[str, float] = field(default_factory=dict)
    covariate_missing: Mapping[str, int] = field(default_factory=dict)
    winsorised: tuple[ArmComparison, ...] = ()
    winsorised_at: Mapping[str, Interval] = field(default_factory=dict)
    assigned: tuple[ArmComparison, ...] = ()
    ratios: tuple[ArmComparison, ...] = ()
    exposed: ExposedResult | None = None
    allocation: Allocation | None = None
    explain: Explanation | None = None
    excluded: Mapping[str, int] = field(default_factory=dict)
    simulated: bool | None = None
    primary_metric: str | None = None
    balance: Balance | None = None
    power: tuple[DetectableEffect, ...] = ()
    daily: tuple[DailyCount, ...] = ()
    warnings: tuple[str, ...] = ()
    measured_at: str | None = None
    course: tuple[InterimLook, ...] = ()
    plan: PlanCompliance | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that were measured, in order."""
        return tuple(dict.fromkeys(row.metric for row in self.comparisons))

    @property
    def deciding_metric(self) -> str:
        """The metric that names a winner; empty where nothing was compared."""
        return self.primary_metric or next(iter(self.metrics), "")

    @property
    def treatments(self) -> tuple[str, ...]:
        """The treatment arms, in order."""
        return tuple(dict.fromkeys(row.arm for row in self.comparisons))

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that were compared, in order."""
        names = dict.fromkeys(row.segment for row in self.comparisons)
        return tuple(name for name in names if name != OVERALL)

    @property
    def trusted(self) -> bool:
        """Whether every sample-ratio check passed, and units in two arms do not disturb it."""
        exposure = self.multiple_exposure
        return self.srm.ok and not self.srm_failed and (exposure is None or exposure.ok)

    @property
    def deviations(self) -> tuple[str, ...]:
        """How the analysis deviates from its plan; empty where it does not, or there is none."""
        return self.plan.deviations if self.plan else ()

    def rows(self, segment: str = OVERALL, metric: str | None = None) -> tuple[ArmComparison, ...]:
        """The comparisons of one segment or over all, of one metric or of all."""
        return tuple(
            row
            for row in self.comparisons
            if row.segment == segment and metric in (None, row.metric)
        )

    def winner(self, segment: str = OVERALL) -> BestArm | None:
        """The verdict on the deciding metric in a segment or over all; None where there is none."""
        wanted = (segment, self.deciding_metric)
        return next((one for one in self.best if (one.segment, one.metric) == wanted), None)

    def decision(self, arm: str) -> ArmDecision | None:
        """What to do with an arm; None where nothing was decided."""
        return next((one for one in self.decisions if one.arm == arm), None)

    def to_json(self) -> dict[str, Json]:
        """The object of `analyze --json` and of metrics.json; no NaN and no infinity in it.

        A file's object leaves out the parts that are empty; metrics.json has all of a run's keys.
        """
        found = cast("dict[str, Json]", _to_json(self))
        return {name: value for name, value in found.items() if not self._is_omitted(name)}

    def _is_omitted(self, name: str) -> bool:
        value = getattr(self, name)
        if value or not isinstance(value, tuple | Mapping) or name in _WRITTEN_THOUGH_EMPTY:
            return False
        return self.simulated is None or name in _OMITTED_IF_EMPTY

    @classmethod
    def from_json(cls, value: object) -> ExperimentResult:
        """The result in a document; a key that another version wrote may be missing or unknown.

        Raises:
            ValueError: The document is not a result.
        """
        return from_json(cls, value, ignore_unknown=True)


_WRITTEN_THOUGH_EMPTY = frozenset(("arms", "comparisons", "srm_failed", "guardrails"))
_OMITTED_IF_EMPTY = frozenset(
    ("cuped", "variance_reduction", "covariate_missing", "winsorised", "winsorised_at", "excluded")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSize:
    """The units of one arm."""

    arm: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallExperiment:
    """One of many experiments in a file, its p-values corrected with those of all others.

    Attributes:
        best: The arm that won on the first metric; None if none did, or the check failed.
    """

    experiment: str
    n: int
    srm: SampleRatioCheck
    arms: tuple[ArmSize, ...]
    comparisons: tuple[ArmComparison, ...]
    best: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyExperimentsResult:
    """Many experiments of one file, as `analyze --by --json` holds them.

    Attributes:
        by: The column that names the experiments.
        tests: Comparisons with a p-value; `significant` of them are below alpha after the
            correction and `significant_uncorrected` before it.
        srm_failed: Experiments whose arms do not have the intended sizes.
        without_control: Experiments that lack the control.
        excluded: Rows and units that were left out, by reason.
    """

    by: str
    n: int
    control: str
    alpha: float
    correction: Correction
    tests: int
    significant: int
    significant_uncorrected: int
    srm_failed: tuple[str, ...]
    without_control: tuple[str, ...]
    experiments: tuple[SmallExperiment, ...]
    excluded: Mapping[str, int]

    def to_json(self) -> dict[str, Json]:
        """The object of `analyze --by --json`."""
        return cast("dict[str, Json]", _to_json(self))


# By the name of its file in docs/schemas, which tools/write_schemas.py writes.
SCHEMAS = {
    "experiment_result": ExperimentResult,
    "many_experiments_result": ManyExperimentsResult,
}


def json_schema(kind: type) -> dict[str, Json]:
    """The JSON Schema (2020-12) of a result's document, generated from its records."""
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class WithoutFieldTitles(GenerateJsonSchema):
        """A field's title would only repeat its name."""

        def field_title_should_be_set(self, schema: object) -> bool:
            """A title would only repeat the key."""
            del schema
            return False

    found = TypeAdapter(kind).json_schema(schema_generator=WithoutFieldTitles)
    return {"$schema": GenerateJsonSchema.schema_dialect, **found}


def _to_json(value: object) -> Json:
    """As `liftwright.model.to_json`, without the fields that are None by default."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            name: item
            for name, omit in _fields_of(type(value))
            if (item := _to_json(getattr(value, name))) is not None or not omit
        }
    if isinstance(value, Mapping):
        return {str(name): _to_json(item) for name, item in value.items()}
    return to_json(value)


@cache
def _fields_of(kind: type[DataclassInstance]) -> tuple[tuple[str, bool], ...]:
    """The names of a record's fields, each with whether None is left out."""
    return tuple((one.name, one.default is None) for one in fields(kind))
