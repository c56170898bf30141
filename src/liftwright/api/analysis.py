"""Analyzes any experiment, from a table in Python or a file."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftwright.analysis import MULTIPLE_EXPOSURE_SHARE
from liftwright.api.rows import write_csv
from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.errors import InputError

if TYPE_CHECKING:
    from liftwright.analysis import ExperimentResult, ManyExperimentsResult


def analyze(  # noqa: PLR0913 - one parameter per option of the command
    table: object,
    *,
    arm: str,
    control: str,
    metrics: str | Sequence[str],
    unit: str | None = None,
    segment: str | None = None,
    count: str | None = None,
    covariates: Mapping[str, str] | None = None,
    covariate_time: str | None = None,
    time: str | None = None,
    exposed: str | None = None,
    shares: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    correction: str = "holm",
    guardrails: Sequence[str] = (),
    lower: Sequence[str] = (),
    share_by: str | Path | None = None,
    stopping: str = "fixed",
    planned: int | None = None,
    minimum: int = 0,
    multiple_exposure: float = MULTIPLE_EXPOSURE_SHARE,
    bayes: bool = False,
    explain: Sequence[str] = (),
    forest: bool = False,
    by: str | None = None,
) -> ExperimentResult | ManyExperimentsResult:
    """Compare every arm of an experiment with its control.

    Args:
        table: A pandas or Polars DataFrame, a PyArrow table, a sequence of dicts, or the path or
            URL of a CSV or Parquet file; one row per unit, unless `unit` or `count` is given.
        arm: Column of the arms.
        control: Name of the control arm.
        metrics: `NAME`, `NAME:binary`, `NAME:mean` or `NAME=A/B:ratio`; for rows that summarise
            many units, `NAME=EVENTS/UNITS:binary`, or `NAME=MEAN,SD:mean` with `count`. The first
            is the primary metric.
        unit: Column of the units, if a unit has several rows.
        segment: Column of the segments.
        count: Column with the number of units that a row stands for.
        covariates: By metric, a column from before the experiment.
        covariate_time: Column with the time at which the covariates were measured.
        time: Column with the time at which the unit was assigned.
        exposed: Column that says whether the unit met the treatment.
        shares: Planned share of each arm; None is equal shares.
        alpha: Significance level.
        correction: holm, bh or none.
        guardrails: `METRIC` or `METRIC:MARGIN` each: metrics that no arm may harm.
        lower: Metrics for which lower is better.
        share_by: CSV file with the columns segment, arm and share, if the planned shares differ by
            segment; needs `segment`.
        stopping: fixed, to decide at the planned sample, or anytime, to decide at any look.
        planned: Planned units over all arms.
        minimum: Planned units of each arm.
        multiple_exposure: The largest share of units seen in two arms with which a winner is named.
        bayes: Whether to add posteriors and the shares of a next wave.
        explain: Columns to test as effect modifiers on the first metric.
        forest: Whether to add an exploratory uplift forest of them; needs the extra `explain`.
        by: Column whose values are separate experiments, such as thousands of small ones.

    Returns:
        The result: `verdict`, `comparisons`, `decisions` and the others as fields, and `to_json()`
        for the object that `liftwright analyze --json` prints. With `by`, the result of many
        experiments.

    Raises:
        InputError: An option or the table is wrong; the message names what is allowed.
    """
    with tempfile.TemporaryDirectory(prefix="liftwright-") as folder:
        return analyze_file(
            AnalyzeRequest(
                file=_as_file(table, Path(folder) / "table.csv"),
                arm=arm,
                control=control,
                metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
                unit=unit,
                segment=segment,
                count=count,
                covariates=tuple(f"{name}={column}" for name, column in (covariates or {}).items()),
                covariate_time=covariate_time,
                time=time,
                exposed=exposed,
                shares=tuple(f"{name}={share!r}" for name, share in (shares or {}).items()),
                alpha=alpha,
                correction=correction,
                guardrails=tuple(guardrails),
                lower=tuple(lower),
                share_by=None if share_by is None else Path(share_by),
                stopping=stopping,
                multiple_exposure=multiple_exposure,
                planned=planned,
                minimum=minimum,
                bayes=bayes,
                explain=tuple(explain),
                forest=forest,
                by=by,
            )
        )


def _as_file(table: object, file: Path) -> Path | str:
    """The table written to a file; a path or URL as it is."""
    if isinstance(table, str | Path):
        return table
    # By their methods, so that none of the three libraries must be installed.
    frame: Any = table.collect() if hasattr(table, "collect") else table
    if hasattr(frame, "to_csv"):
        frame.to_csv(file, index=False)
    elif hasattr(frame, "write_csv"):
        frame.write_csv(file)
    elif hasattr(frame, "schema") and hasattr(frame, "to_batches"):
        importlib.import_module("pyarrow.csv").write_csv(frame, file)
    elif isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        rows = [dict(row) for row in table]
        names = list(dict.fromkeys(name for row in rows for name in row))
        write_csv(file, rows, names)
    else:
        raise InputError(
            f"table: found a {type(table).__name__}; allowed: a DataFrame of pandas or Polars, a "
            "PyArrow table, a sequence of dicts, or a path"
        )
    return file
