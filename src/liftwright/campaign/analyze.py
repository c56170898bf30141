"""`liftwright analyze`: the statistics of any experiment's results file; needs no workspace."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from liftwright.agents.experimentation.explain import explain, keep_explained
from liftwright.agents.experimentation.results_arms import (
    Intended,
    parse_shares,
    read_segment_shares,
)
from liftwright.agents.experimentation.results_columns import (
    Columns,
    MetricColumns,
    number_in,
    parse_metric,
)
from liftwright.agents.experimentation.results_file import read_results
from liftwright.analysis import (
    MULTIPLE_EXPOSURE_SHARE,
    AnalysisOptions,
    Correction,
    DecisionRule,
    Guardrail,
    analyze_experiment,
    analyze_experiments,
)
from liftwright.analysis.result import Stopping
from liftwright.data import FileResolver, Tables, did_you_mean
from liftwright.errors import InputError
from liftwright.model.metrics import parse_guardrail
from liftwright.wiring import make_engine, make_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.analysis import ExperimentResult, ManyExperimentsResult
    from liftwright.analysis.result import Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeRequest:
    """A request to `liftwright analyze`.

    Attributes:
        metrics: `NAME`, `NAME:KIND` or `NAME=NUM/DEN:ratio` each; the first is the primary one.
        covariates: `METRIC=COL` each.
        shares: `ARM=S` each; none is equal shares.
        share_by: CSV file with the shares of each segment, if they differ by design.
        guardrails: `METRIC` or `METRIC:MARGIN` each: metrics that no arm may harm.
        lower: Metrics for which lower is better.
        stopping: fixed | anytime: whether the tests are valid at the planned sample or at any look.
        planned: Planned units over all arms; None without a plan.
        minimum: Planned units of each arm.
        multiple_exposure: The largest share of units seen in two arms with which a winner is named.
        bayes: Whether to add posteriors and the shares of a next wave.
        explain: Columns to test as effect modifiers on the first metric.
        forest: Whether to add an exploratory uplift forest of them.
        by: A column whose values are separate experiments.
    """

    file: Path | str
    arm: str
    control: str
    metrics: tuple[str, ...]
    unit: str | None = None
    segment: str | None = None
    count: str | None = None
    covariates: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    share_by: Path | None = None
    alpha: float = 0.05
    correction: str = "holm"
    exposed: str | None = None
    time: str | None = None
    covariate_time: str | None = None
    guardrails: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    stopping: str = "fixed"
    planned: int | None = None
    minimum: int = 0
    multiple_exposure: float = MULTIPLE_EXPOSURE_SHARE
    bayes: bool = False
    explain: tuple[str, ...] = ()
    forest: bool = False
    by: str | None = None


def analyze_file(request: AnalyzeRequest) -> ExperimentResult | ManyExperimentsResult:
    """Compare every arm of a results file with the control.

    Returns:
        The result of the experiment, or of many experiments if the request has `by`.

    Raises:
        InputError: An option or the file is wrong; the message names what is allowed.
    """
    metrics = _check_options(request)
    guardrails = _guardrails(request, metrics)
    with tempfile.TemporaryDirectory(prefix="liftwright-") as temporary:
        # With one thread, floating-point sums are the same in every run.
        resolver = FileResolver(make_objects, Path(temporary))
        tables = Tables(make_engine(Path(temporary), threads=1), files=resolver)
        with contextlib.closing(tables):
            names = tables.open("results", tables.find(Path(), request.file))
            columns = Columns(
                arm=request.arm,
                unit=request.unit,
                segment=request.by or request.segment,
                within=request.by is not None,
                count=request.count,
                exposed=request.exposed,
                time=request.time,
                covariate_time=request.covariate_time,
            )
            _check_explained(request, metrics[0], names)
            data = read_results(
                tables,
                "results",
                names,
                columns,
                metrics,
                Intended(
                    control=request.control,
                    shares=parse_shares(request.shares),
                    by_segment=read_segment_shares(request.share_by) if request.share_by else None,
                    multiple_exposure=request.multiple_exposure,
                ),
            )
            options = _options(request, metrics, guardrails, data.sizes.expected)
            if request.by is not None:
                return analyze_experiments(request.by, data, options)
            result = analyze_experiment(data, options)
            return replace(result, explain=_explain(tables, request, metrics[0], result.control))


def _options(
    request: AnalyzeRequest,
    metrics: Sequence[MetricColumns],
    guardrails: Mapping[str, Guardrail],
    shares: Mapping[str, float],
) -> AnalysisOptions:
    # The control comes first.
    control = next(iter(shares))
    planned = None
    if request.planned is not None:
        # By arm, the planned units of it and the control.
        planned = {
            arm: request.planned * (share + shares[control]) for arm, share in shares.items()
        }
    return AnalysisOptions(
        control=control,
        alpha=request.alpha,
        correction=cast("Correction", request.correction),
        rule=DecisionRule(
            metric=metrics[0].name,
            direction=metrics[0].direction,
            guardrails=guardrails,
            stopping=cast("Stopping", request.stopping),
            sample=request.planned,
            minimum=request.minimum,
            planned=planned,
        ),
        winners_of_all=True,
        posteriors=request.bayes,
        allocation=request.bayes,
    )


def _guardrails(request: AnalyzeRequest, metrics: Sequence[MetricColumns]) -> dict[str, Guardrail]:
    directions = {metric.name: metric.direction for metric in metrics}
    found = {}
    for text in request.guardrails:
        try:
            name, margin = (text, None) if text in directions else parse_guardrail(text)
        except ValueError as error:
            raise InputError(f"--guardrail {text!r}: {error}") from error
        if name not in directions:
            raise InputError(
                f"--guardrail {text!r}: no such metric{did_you_mean(name, tuple(directions))}"
            )
        if name == metrics[0].name:
            raise InputError(
                f"--guardrail {name!r}: is the primary metric, allowed: another metric"
            )
        found[name] = Guardrail(direction=directions[name], margin=margin)
    return found


def _check_explained(request: AnalyzeRequest, metric: MetricColumns, names: Sequence[str]) -> None:
    if request.forest and not request.explain:
        raise InputError("--forest: needs --explain with the features to use")
    if not request.explain:
        return
    if request.unit is not None or request.count is not None:
        raise InputError("--explain: needs one row per unit; leave out --unit and --count")
    if metric.kind == "ratio":
        raise InputError("--explain: the first metric is a ratio, allowed: a rate or a mean")
    for column in request.explain:
        if column not in names:
            hint = did_you_mean(column, tuple(names))
            raise InputError(f"--explain {column!r}: the file has no such column{hint}")


def _explain(
    tables: Tables, request: AnalyzeRequest, metric: MetricColumns, control: str
) -> Explanation | None:
    if not request.explain:
        return None
    keep_explained(tables, "results", number_in(metric.column), request.explain)
    return explain(
        tables,
        metric.name,
        control,
        request.explain,
        alpha=request.alpha,
        forest=request.forest,
    )


def _check_options(request: AnalyzeRequest) -> list[MetricColumns]:
    _check_values(request)
    if request.by is not None:
        _check_many(request)
    if not request.metrics:
        raise InputError("--metric: none given; at least one is needed")
    if request.covariate_time is not None and not request.covariates:
        raise InputError("--covariate-time: needs --covariate")
    metrics = _with_covariates([parse_metric(text) for text in request.metrics], request.covariates)
    names = [metric.name for metric in metrics]
    for name in request.lower:
        if name not in names:
            raise InputError(f"--lower {name!r}: no such metric{did_you_mean(name, names)}")
    return [
        replace(metric, direction="lower" if metric.name in request.lower else "higher")
        for metric in metrics
    ]


def _check_values(request: AnalyzeRequest) -> None:
    for option, given, allowed in (
        ("--correction", request.correction, get_args(Correction)),
        ("--stopping", request.stopping, get_args(Stopping)),
    ):
        if given not in allowed:
            raise InputError(f"{option}: found {given!r}, allowed: {', '.join(allowed)}")
    if not 0 <= request.multiple_exposure <= 1:
        raise InputError(
            f"--multiple-exposure: found {request.multiple_exposure:g}, allowed: 0 to 1"
        )
    if request.share_by is not None and request.segment is None:
        raise InputError("--share-by: needs --segment, the column of the segments")
    if request.share_by is not None and request.shares:
        raise InputError("--share-by: cannot be combined with --share")
    if not 0 < request.alpha < 1:
        raise InputError(f"--alpha: found {request.alpha:g}, allowed: above 0 and below 1")
    if request.planned is not None and request.planned < 1:
        raise InputError(f"--planned: found {request.planned}, allowed: 1 or more units")
    if request.minimum < 0:
        raise InputError(f"--minimum: found {request.minimum}, allowed: 0 or more units")


def _with_covariates(metrics: list[MetricColumns], texts: tuple[str, ...]) -> list[MetricColumns]:
    names = [metric.name for metric in metrics]
    columns: dict[str, str] = {}
    for text in texts:
        name, equals, column = text.partition("=")
        if not equals or not column:
            raise InputError(f"--covariate {text!r}: allowed: METRIC=COL")
        if name not in names:
            raise InputError(f"--covariate {text!r}: no such metric{did_you_mean(name, names)}")
        if metrics[names.index(name)].kind == "ratio":
            raise InputError(f"--covariate {text!r}: not available for a ratio")
        columns[name] = column
    return [replace(metric, covariate=columns.get(metric.name)) for metric in metrics]


def _check_many(request: AnalyzeRequest) -> None:
    """Refuse the options that apply to a single experiment."""
    others = {
        "--segment": request.segment,
        "--share-by": request.share_by,
        "--covariate": request.covariates,
        "--exposed": request.exposed,
        "--time": request.time,
        "--guardrail": request.guardrails,
        "--stopping": request.stopping != "fixed",
        "--planned": request.planned,
        "--minimum": request.minimum,
        "--bayes": request.bayes,
        "--explain": request.explain,
    }
    for option, given in others.items():
        if given:
            raise InputError(f"{option}: cannot be combined with --by")
