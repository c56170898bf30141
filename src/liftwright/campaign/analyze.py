"""`liftwright analyze`: the statistics of any experiment's results file; needs no workspace."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from liftwright.agents.experimentation.explain import explain, keep_explained
from liftwright.agents.experimentation.results_columns import (
    Columns,
    MetricColumns,
    number_in,
    parse_metric,
    parse_shares,
)
from liftwright.agents.experimentation.results_file import read_results
from liftwright.analysis import (
    AnalysisOptions,
    Correction,
    StoppingRule,
    analyze_experiment,
    analyze_experiments,
)
from liftwright.data import FileResolver, Tables, did_you_mean
from liftwright.errors import InputError
from liftwright.wiring import make_engine, make_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.analysis import ExperimentResult, ManyExperimentsResult
    from liftwright.analysis.result import Explanation


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeRequest:
    """The options of `liftwright analyze`.

    Attributes:
        metrics: each `NAME`, `NAME:KIND` or `NAME=NUM/DEN:ratio`; the first is the primary metric.
        covariates: each `METRIC=COL`.
        shares: each `ARM=S`; empty for equal shares.
        guardrails: metrics that no arm may harm.
        lower: metrics for which lower is better.
        planned: total units planned before the first look; None without a plan.
        minimum: units that an arm needs before any decision except harm.
        bayes: whether to compute posteriors and the shares of the next wave.
        explain: columns to test as predictors of a larger effect on the first metric.
        forest: whether to fit an exploratory uplift forest on them, too.
        by: a column whose values are separate experiments.
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
    alpha: float = 0.05
    correction: str = "holm"
    exposed: str | None = None
    time: str | None = None
    covariate_time: str | None = None
    guardrails: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    planned: int | None = None
    minimum: int = 0
    bayes: bool = False
    explain: tuple[str, ...] = ()
    forest: bool = False
    by: str | None = None


def analyze_file(request: AnalyzeRequest) -> ExperimentResult | ManyExperimentsResult:
    """Compare every arm of a results file with the control.

    Returns:
        The result of the experiment; with `by`, of many experiments.

    Raises:
        InputError: an option or the file is wrong; names what is allowed.
    """
    metrics = _check_options(request)
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
                control=request.control,
                shares=parse_shares(request.shares),
            )
            options = _options(request, metrics, data.sizes.expected)
            if request.by is not None:
                return analyze_experiments(request.by, data, options)
            result = analyze_experiment(data, options)
            return replace(result, explain=_explain(tables, request, metrics[0]))


def _options(
    request: AnalyzeRequest, metrics: Sequence[MetricColumns], shares: Mapping[str, float]
) -> AnalysisOptions:
    directions = {metric.name: metric.direction for metric in metrics}
    planned = None
    if request.planned is not None:
        # Per arm: the planned units of the arm and the control together.
        control = shares[request.control]
        planned = {arm: request.planned * (share + control) for arm, share in shares.items()}
    return AnalysisOptions(
        control=request.control,
        alpha=request.alpha,
        correction=cast("Correction", request.correction),
        stopping=StoppingRule(
            metric=metrics[0].name,
            direction=metrics[0].direction,
            guardrails={name: directions[name] for name in request.guardrails},
            minimum=request.minimum,
            planned=planned,
        ),
        winners_of_all=True,
        posteriors=request.bayes,
        allocation=request.bayes,
    )


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


def _explain(tables: Tables, request: AnalyzeRequest, metric: MetricColumns) -> Explanation | None:
    if not request.explain:
        return None
    keep_explained(tables, "results", request.arm, number_in(metric.column), request.explain)
    return explain(
        tables,
        metric.name,
        request.control,
        request.explain,
        alpha=request.alpha,
        forest=request.forest,
    )


def _check_options(request: AnalyzeRequest) -> list[MetricColumns]:
    corrections = get_args(Correction)
    if request.correction not in corrections:
        raise InputError(
            f"--correction: found {request.correction!r}, allowed: {', '.join(corrections)}"
        )
    if not 0 < request.alpha < 1:
        raise InputError(f"--alpha: found {request.alpha:g}, allowed: above 0 and below 1")
    if request.planned is not None and request.planned < 1:
        raise InputError(f"--planned: found {request.planned}, allowed: 1 or more units")
    if request.minimum < 0:
        raise InputError(f"--minimum: found {request.minimum}, allowed: 0 or more units")
    if request.by is not None:
        _check_many(request)
    if not request.metrics:
        raise InputError("--metric: none given; at least one is needed")
    if request.covariate_time is not None and not request.covariates:
        raise InputError("--covariate-time: needs --covariate")
    metrics = _with_covariates([parse_metric(text) for text in request.metrics], request.covariates)
    _check_roles(request, [metric.name for metric in metrics])
    return [
        replace(metric, direction="lower" if metric.name in request.lower else "higher")
        for metric in metrics
    ]


def _check_roles(request: AnalyzeRequest, names: list[str]) -> None:
    for option, given in (("--guardrail", request.guardrails), ("--lower", request.lower)):
        for name in given:
            if name not in names:
                raise InputError(f"{option} {name!r}: no such metric{did_you_mean(name, names)}")
    if names[0] in request.guardrails:
        raise InputError(
            f"--guardrail {names[0]!r}: is the primary metric, allowed: another metric"
        )


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
    """Reject options that are only valid for a single experiment."""
    others = {
        "--segment": request.segment,
        "--covariate": request.covariates,
        "--exposed": request.exposed,
        "--time": request.time,
        "--guardrail": request.guardrails,
        "--planned": request.planned,
        "--minimum": request.minimum,
        "--bayes": request.bayes,
        "--explain": request.explain,
    }
    for option, given in others.items():
        if given:
            raise InputError(f"{option}: cannot be combined with --by")
