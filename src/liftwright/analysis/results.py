"""What a comparison says: the arms as they are, and one row per contrast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.analysis.estimates import Estimate
    from liftwright.analysis.multiplicity import Correction
    from liftwright.analysis.srm import Srm
    from liftwright.model import MetricKind, MetricSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmValue:
    """A metric in one arm as it is, unweighted.

    Attributes:
        kind: Kind of the metric.
        value: Rate, mean or ratio over all units of the arm; None without units.
        events: Units with the event, of a binary metric only.
        sd: Standard deviation, of the other kinds only; None below two units.
    """

    kind: MetricKind
    value: float | None
    events: int | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm: its units and its metrics by name."""

    arm: str
    n: int
    metrics: Mapping[str, ArmValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One treatment against the control on one metric, in one segment or overall.

    Attributes:
        segment: Name of the segment, "all" for the overall row.
        arm: Name of the treatment.
        metric: Name of the metric.
        kind: Kind of the metric.
        estimate: The contrast.
        p_adjusted: p-value corrected within the overall rows or within the segment rows.
        significant: p_adjusted < alpha; False where there is none.
        more: What an estimator says beyond the common columns, written after them.
    """

    segment: str
    arm: str
    metric: str
    kind: MetricKind
    estimate: Estimate
    p_adjusted: float | None
    significant: bool
    more: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The primary analysis of an experiment.

    Attributes:
        n: Units of all arms.
        control: Name of the control.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Correction for multiplicity, by family.
        srm: The sample-ratio check.
        arms: Every arm, in the given order.
        comparisons: The overall rows by arm and metric, then those of each segment.
    """

    n: int
    control: str
    alpha: float
    correction: Correction
    srm: Srm
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[Row, ...]


def make_rows(
    keys: Sequence[tuple[str, str, MetricSpec]],
    estimates: Sequence[Estimate],
    alpha: float,
    correction: Correction,
    more: Sequence[Mapping[str, float | int | None]] | None = None,
) -> list[Row]:
    """Rows of one family of tests.

    Args:
        keys: Segment, arm and metric of each row.
        estimates: The contrast of each row.
        alpha: Level of the tests.
        correction: Of the whole family.
        more: What stands after the common columns, by row.
    """
    from liftwright.analysis.multiplicity import adjust_p_values

    adjusted = adjust_p_values([estimate.p_value for estimate in estimates], correction)
    return [
        Row(
            segment=segment,
            arm=arm,
            metric=metric.name,
            kind=metric.kind,
            estimate=estimate,
            p_adjusted=p_adjusted,
            significant=p_adjusted is not None and p_adjusted < alpha,
            more=more[place] if more is not None else {},
        )
        for place, ((segment, arm, metric), estimate, p_adjusted) in enumerate(
            zip(keys, estimates, adjusted, strict=True)
        )
    ]
