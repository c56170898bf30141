"""`liftwright analyze`: the statistics of any experiment's results file; needs no workspace."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from liftwright.agents.experimentation.explain import explain, keep_explained
from liftwright.agents.experimentation.results_checks import number_in
from liftwright.agents.experimentation.results_file import Results, read_results
from liftwright.agents.experimentation.results_options import (
    Columns,
    Metric,
    parse_metric,
    parse_shares,
)
from liftwright.analysis import (
    Comparison,
    Contrasts,
    Correction,
    MetricSpec,
    Srm,
    Stopping,
    bayes_rows,
    beside_runner_up,
    check_srm,
    compare,
    decide_arms,
    failed_checks,
    few,
    interaction_rows,
    name_winners,
    omnibus_entries,
    row_json,
    sequential_rows,
    srm_json,
    to_json,
)
from liftwright.analysis.bayes import thompson_shares
from liftwright.campaign.analyze_many import check_many, compare_many
from liftwright.data import Places, Tables, nearest
from liftwright.errors import InputError
from liftwright.model import to_json as record_json
from liftwright.wiring import make_engine, make_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.analysis import Direction, Row
    from liftwright.model import Json

_ALLOCATION_CAVEATS = (
    "for a later wave only: within a wave the shares stay as they are, or its lift is biased",
    "compare arms within waves first, then over them with the wave as the segment",
    "an arm that got few customers is known badly; a small share keeps it in view",
)
_EXPOSED_CAVEAT = (
    "exposed units were not drawn at random: the rows hold only if exposure does not depend on the "
    "arm; the comparison of all assigned units stands in `comparisons`"
)
# More of either are for a program; each arm is compared on each metric in each segment.
_MOST_ARMS, _MOST_NAMED = 200, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeRequest:
    """What `liftwright analyze` was asked.

    Attributes:
        metrics: `NAME`, `NAME:KIND` or `NAME=NUM/DEN:ratio` each; the first decides.
        covariates: `METRIC=COL` each.
        shares: `ARM=S` each; none is equal shares.
        guardrails: metrics that no arm may harm.
        lower: metrics of which less is better.
        planned: units over all arms that were planned before the first look; None if no plan says.
        minimum: units that an arm needs before anything but harm is decided.
        bayes: whether posteriors and the shares of a next wave are wanted.
        explain: columns that may go with a larger effect on the first metric.
        forest: whether an exploratory forest looks at them too.
        by: a column whose values are experiments of their own.
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


def analyze_file(request: AnalyzeRequest) -> dict[str, Json]:
    """The comparison of every arm with the control, as the JSON object of the command.

    Raises:
        InputError: where an option or the file is wrong, naming what is allowed.
    """
    metrics = _check_options(request)
    shares = parse_shares(request.shares)
    with tempfile.TemporaryDirectory(prefix="liftwright-") as temporary:
        # One thread: the sums of floats are then the same at every run.
        places = Places(make_objects, Path(temporary))
        tables = Tables(make_engine(Path(temporary), threads=1), places=places)
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
            found = read_results(tables, "results", names, columns, metrics)
            specs = (replace(m, direction=_direction(request, m.name)) for m in found.metrics)
            found = replace(found, metrics=tuple(specs))
            shares = _check_arms(request, shares, found.units)
            if request.by is not None:
                return compare_many(request, found, shares)
            explained = _explain(tables, request, metrics[0])
    return {**_document(request, found, shares), **explained}


def _document(request: AnalyzeRequest, found: Results, shares: dict[str, float]) -> dict[str, Json]:
    units = {arm: found.units.get(arm, 0) for arm in shares}
    correction = cast("Correction", request.correction)
    compared = partial(
        compare, control=request.control, alpha=request.alpha, correction=correction, shares=shares
    )
    contrasts = Contrasts(
        found.cells, found.metrics, request.control, tuple(units), request.alpha, correction
    )
    main = compared(found.cells, found.metrics, units=units)
    sequential = sequential_rows(contrasts, _planned(request, shares))
    interactions = interaction_rows(contrasts)
    checks, failed = _checks(found, main, shares)
    document = {
        **to_json(main),
        **checks,
        "best": _winners(request, main, interactions, contrasts, failed),
        "sequential": _rows(sequential),
        "decisions": _decisions(request, sequential, shares, failed),
    }
    omnibus = omnibus_entries(contrasts)
    if omnibus:
        document["omnibus"] = omnibus
    if found.sizes:
        document["interactions"] = _rows(interactions)
    if found.adjusted:
        means = [MetricSpec(name=name, kind="mean") for name in found.variance_reduction]
        document["cuped"] = to_json(compared(found.adjusted, means, units=units))["comparisons"]
        document["variance_reduction"] = dict(found.variance_reduction)
    if found.caps:
        means = [MetricSpec(name=name, kind="mean") for name in found.caps]
        document["winsorised"] = to_json(compared(found.capped, means, units=units))["comparisons"]
        document["winsorised_at"] = {name: list(caps) for name, caps in found.caps.items()}
    if found.exposed is not None:
        met = {arm: found.exposed_units.get(arm, 0) for arm in shares}
        exposed = to_json(compared(found.exposed, found.metrics, units=met))
        keys = ("n", "srm", "arms", "comparisons")
        document["exposed"] = {**{key: exposed[key] for key in keys}, "caveat": _EXPOSED_CAVEAT}
    if request.bayes:
        rows = bayes_rows(contrasts)
        document["bayes"] = _rows(rows)
        document["allocation"] = _allocation(rows, found.metrics[0].name, failed)
    document["excluded"] = dict(found.excluded)
    return document


def _check_explained(request: AnalyzeRequest, metric: Metric, names: Sequence[str]) -> None:
    if request.forest and not request.explain:
        raise InputError("--forest: needs --explain, the features that it may look at")
    if not request.explain:
        return
    if request.unit is not None or request.count is not None:
        raise InputError("--explain: needs one row a unit; leave out --unit and --count")
    if metric.kind == "ratio":
        raise InputError("--explain: the first metric is a ratio; allowed is a rate or a mean")
    for column in request.explain:
        if column not in names:
            hint = nearest(column, tuple(names))
            raise InputError(f"--explain {column!r}: the file has no such column{hint}")


def _explain(tables: Tables, request: AnalyzeRequest, metric: Metric) -> dict[str, Json]:
    if not request.explain:
        return {}
    keep_explained(tables, "results", request.arm, number_in(metric.column), request.explain)
    found = explain(
        tables,
        metric.name,
        request.control,
        request.explain,
        alpha=request.alpha,
        forest=request.forest,
    )
    return {"explain": found}


def _rows(rows: Sequence[Row]) -> list[Json]:
    return [row_json(row) for row in rows]


def _checks(
    found: Results, main: Comparison, shares: Mapping[str, float]
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """The sample-ratio checks by segment and over time, and what of them stops the reading."""
    parts: dict[str, dict[str, Srm]] = {
        what: {name: check_srm(arms, shares) for name, arms in observed.items()}
        for what, observed in (("segment", found.sizes), ("period", found.periods))
    }
    document: dict[str, Json] = {}
    for key, what in (("srm_by_segment", "segment"), ("srm_over_time", "period")):
        if parts[what]:
            document[key] = {name: srm_json(check) for name, check in parts[what].items()}
    failed = failed_checks(main.srm, parts)
    document["srm_failed"] = list(failed)
    return document, failed


def _winners(
    request: AnalyzeRequest,
    main: Comparison,
    interactions: Sequence[Row],
    contrasts: Contrasts,
    failed: Sequence[str],
) -> list[Json]:
    found = []
    names = list(dict.fromkeys(row.metric for row in main.comparisons))
    for name in names:
        direction = _direction(request, name)
        overall, *others = name_winners(
            main.comparisons,
            interactions,
            name,
            alpha=request.alpha,
            failed=failed,
            direction=direction,
        )
        overall = beside_runner_up(overall, main.comparisons, contrasts, direction=direction)
        # Of the segments only the metric that decides is told; the rest is in the rows.
        found += [overall, *(others if name == names[0] else ())]
    return [record_json(verdict) for verdict in found]


def _decisions(
    request: AnalyzeRequest,
    sequential: Sequence[Row],
    shares: Mapping[str, float],
    failed: Sequence[str],
) -> list[Json]:
    metric = parse_metric(request.metrics[0]).name
    stopping = Stopping(
        metric=metric,
        direction=_direction(request, metric),
        guardrails={name: _direction(request, name) for name in request.guardrails},
        minimum=request.minimum,
        planned=_planned(request, shares),
    )
    return [record_json(one) for one in decide_arms(sequential, stopping, failed=failed)]


def _allocation(rows: Sequence[Row], metric: str, failed: Sequence[str]) -> Json:
    """Shares of a next wave by Thompson sampling; none where the arms cannot be trusted."""
    best = {
        row.arm: float(row.more["probability_best"])
        for row in rows
        if row.metric == metric and row.more["probability_best"] is not None
    }
    shares: Json = None
    if best and not failed:
        shares = dict(thompson_shares(best))
    return {"metric": metric, "shares": shares, "caveats": list(_ALLOCATION_CAVEATS)}


def _planned(request: AnalyzeRequest, shares: Mapping[str, float]) -> dict[str, float] | None:
    """By arm, the planned units of it and the control."""
    if request.planned is None:
        return None
    control = shares[request.control]
    return {arm: request.planned * (share + control) for arm, share in shares.items()}


def _direction(request: AnalyzeRequest, metric: str) -> Direction:
    return "lower" if metric in request.lower else "higher"


def _check_options(request: AnalyzeRequest) -> list[Metric]:
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
        check_many(request)
    if not request.metrics:
        raise InputError("--metric: none given; at least one is needed")
    if request.covariate_time is not None and not request.covariates:
        raise InputError("--covariate-time: there is no --covariate")
    metrics = _with_covariates([parse_metric(text) for text in request.metrics], request.covariates)
    _check_roles(request, [metric.name for metric in metrics])
    return metrics


def _check_roles(request: AnalyzeRequest, names: list[str]) -> None:
    for option, given in (("--guardrail", request.guardrails), ("--lower", request.lower)):
        for name in given:
            if name not in names:
                raise InputError(f"{option} {name!r}: no such metric{nearest(name, names)}")
    if names[0] in request.guardrails:
        raise InputError(f"--guardrail {names[0]!r}: the first metric decides; name another")


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
    request: AnalyzeRequest, shares: dict[str, float] | None, units: Mapping[str, int]
) -> dict[str, float]:
    """The intended share of each arm, the control first.

    An arm that has a share and no unit is an empty arm where all arms of the file have theirs;
    where one of them has none, it is a name that was mistyped.
    """
    if request.control not in units:
        hint = (
            nearest(request.control, tuple(units))
            or f"; the arms are: {few(tuple(units), _MOST_NAMED)}"
        )
        raise InputError(f"--control {request.control!r}: no such arm in the file{hint}")
    if len(units) > _MOST_ARMS:
        raise InputError(
            f"--arm {request.arm!r}: found {len(units):,} arms, allowed: {_MOST_ARMS} at most; is "
            "it the column of arms?"
        )
    if len({*units, *(shares or ())}) == 1:
        raise InputError(
            f"--arm {request.arm!r}: the file has one arm alone, {request.control!r}; there is "
            "nothing to compare it with"
        )
    missing = [arm for arm in units if shares is not None and arm not in shares]
    for arm in shares or {}:
        if arm not in units and missing:
            hint = nearest(arm, missing) or f"; without a share is: {few(missing, _MOST_NAMED)}"
            raise InputError(f"--share {arm!r}: no such arm in the file{hint}")
    if missing:
        raise InputError(f"--share: the share of {missing[0]!r} is missing")
    given = shares or dict.fromkeys(units, 1 / len(units))
    return {
        request.control: given[request.control],
        **{arm: given[arm] for arm in (*units, *given)},
    }
