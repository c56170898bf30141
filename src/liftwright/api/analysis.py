"""Analyzes any experiment, from a table in Python or a file."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    planned: int | None = None,
    minimum: int = 0,
    bayes: bool = False,
    explain: Sequence[str] = (),
    forest: bool = False,
    by: str | None = None,
) -> ExperimentResult | ManyExperimentsResult:
    """Compare every arm of an experiment with its control.

    Args:
        table: a pandas or Polars DataFrame, a PyArrow table, a sequence of dicts, or the path or
            URL of a CSV or Parquet file; one row per unit, unless `unit` or `count` is given.
        arm: the column with the arm.
        control: the name of the control arm.
        metrics: `NAME`, `NAME:binary`, `NAME:mean` or `NAME=A/B:ratio`; for aggregated rows,
            `NAME=EVENTS/UNITS:binary`, or `NAME=MEAN,SD:mean` with `count`. The first is primary.
        unit: the column with the unit, if a unit has several rows.
        segment: the column with the segment.
        count: the column with the number of units per row.
        covariates: by metric, the column with a pre-experiment covariate.
        covariate_time: the column with the time when the covariates were measured.
        time: the column with the time when the unit was assigned.
        exposed: the column that says whether the unit was exposed to the treatment.
        shares: the planned share of each arm; None for equal shares.
        alpha: the significance level.
        correction: holm, bh or none.
        guardrails: metrics that no arm may harm.
        lower: metrics for which lower is better.
        planned: the total number of units planned before the first look.
        minimum: the number of units that an arm needs before it can be shipped or stopped.
        bayes: whether to add posteriors and the shares of the next wave.
        explain: columns to test as predictors of a larger effect on the first metric.
        forest: whether to fit an exploratory uplift forest, too; needs the extra `explain`.
        by: a column whose values are separate experiments, such as thousands of small ones.

    Returns:
        The result, with `comparisons`, `best`, `decisions` and more as fields, and `to_json()` for
        the document that `liftwright analyze --json` prints. With `by`, the result of many
        experiments.

    Raises:
        InputError: an option or the table is wrong; names what is allowed.
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
                planned=planned,
                minimum=minimum,
                bayes=bayes,
                explain=tuple(explain),
                forest=forest,
                by=by,
            )
        )


def _as_file(table: object, file: Path) -> Path | str:
    """The table as a file; a path or URL is returned unchanged."""
    if isinstance(table, str | Path):
        return table
    # Duck typing, because none of the three libraries is required.
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
