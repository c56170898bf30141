"""`liftwright analyze`: the statistics of any experiment's results file; needs no workspace."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from liftwright.agents.experimentation.results_file import (
    Columns,
    Metric,
    parse_metric,
    parse_shares,
    read_results,
)
from liftwright.comparison import MetricSpec, compare, to_json
from liftwright.errors import InputError
from liftwright.stats import Correction
from liftwright.tables import Tables, nearest
from liftwright.wiring import make_engine

if TYPE_CHECKING:
    from liftwright.domain import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeRequest:
    """What `liftwright analyze` was asked.

    Attributes:
        metrics: `NAME`, `NAME:KIND` or `NAME=NUM/DEN:ratio` each.
        covariates: `METRIC=COL` each.
        shares: `ARM=S` each; none is equal shares.
    """

    file: Path
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


def analyze_file(request: AnalyzeRequest) -> dict[str, Json]:
    """The comparison of every arm with the control, as the JSON object of the command.

    Raises:
        InputError: where an option or the file is wrong, naming what is allowed.
    """
    corrections = get_args(Correction)
    if request.correction not in corrections:
        raise InputError(
            f"--correction: found {request.correction!r}, allowed: {', '.join(corrections)}"
        )
    if not 0 < request.alpha < 1:
        raise InputError(f"--alpha: found {request.alpha:g}, allowed: above 0 and below 1")
    shares = parse_shares(request.shares)
    metrics = _with_covariates([parse_metric(text) for text in request.metrics], request.covariates)
    with tempfile.TemporaryDirectory(prefix="liftwright-") as temporary:
        # One thread: the sums of floats are then the same at every run.
        tables = Tables(make_engine(Path(temporary), threads=1))
        with contextlib.closing(tables):
            names = tables.open("results", request.file)
            found = read_results(
                tables,
                "results",
                names,
                Columns(
                    arm=request.arm,
                    unit=request.unit,
                    segment=request.segment,
                    count=request.count,
                ),
                metrics,
            )
    _check_arms(request, shares, tuple(found.units))
    compared = partial(
        compare,
        control=request.control,
        units={request.control: found.units[request.control], **found.units},
        alpha=request.alpha,
        correction=cast("Correction", request.correction),
        shares=shares,
    )
    document = to_json(compared(found.cells, found.metrics))
    if found.adjusted:
        means = [MetricSpec(name=name, kind="mean") for name in found.variance_reduction]
        document["cuped"] = to_json(compared(found.adjusted, means))["comparisons"]
        document["variance_reduction"] = dict(found.variance_reduction)
    document["excluded"] = dict(found.excluded)
    return document


def _with_covariates(metrics: list[Metric], texts: tuple[str, ...]) -> list[Metric]:
    names = [metric.name for metric in metrics]
    columns: dict[str, str] = {}
    for text in texts:
        name, equals, column = text.partition("=")
        if not equals or not column:
            raise InputError(f"--covariate {text!r}: allowed: METRIC=COL")
        if name not in names:
            raise InputError(f"--covariate {text!r}: no such metric{nearest(name, names)}")
        if metrics[names.index(name)].kind == "ratio":
            raise InputError(f"--covariate {text!r}: a ratio takes no covariate")
        columns[name] = column
    return [replace(metric, covariate=columns.get(metric.name)) for metric in metrics]


def _check_arms(
    request: AnalyzeRequest, shares: dict[str, float] | None, arms: tuple[str, ...]
) -> None:
    if request.control not in arms:
        hint = nearest(request.control, arms) or f"; the arms are: {', '.join(arms)}"
        raise InputError(f"--control {request.control!r}: no such arm in the file{hint}")
    for arm in shares or {}:
        if arm not in arms:
            raise InputError(f"--share {arm!r}: no such arm in the file{nearest(arm, arms)}")
    missing = [arm for arm in arms if shares is not None and arm not in shares]
    if missing:
        raise InputError(f"--share: the share of {missing[0]!r} is missing")
