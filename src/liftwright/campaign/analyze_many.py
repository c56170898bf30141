"""Many experiments in one file: each compared on its own, all p-values corrected together."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from liftwright.analysis import (
    OVERALL,
    SRM_ALPHA,
    Correction,
    check_srm,
    compare,
    row_json,
    srm_json,
)
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.results_file import Results
    from liftwright.analysis import Row
    from liftwright.campaign.analyze import AnalyzeRequest
    from liftwright.model import Json


def check_many(request: AnalyzeRequest) -> None:
    """See that nothing is asked that is told of one experiment alone.

    Raises:
        InputError: naming the option.
    """
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
            raise InputError(f"{option}: is for one experiment; leave it out, or leave out --by")


def compare_many(
    request: AnalyzeRequest, found: Results, shares: Mapping[str, float]
) -> dict[str, Json]:
    """Every experiment's arms against its control.

    Args:
        request: what was asked; `by` names the column of experiments.
        found: the cells, with the experiments as segments.
        shares: the intended shares; those of the arms that an experiment has are scaled to 1.

    Returns:
        `experiments`, each with `n`, `srm`, `arms`, `comparisons` and `best` as in the document of
        one experiment; `srm_failed` and `without_control` name those that cannot be read.
    """
    control = request.control
    compared = compare(
        found.cells,
        found.metrics,
        control,
        units=found.units,
        alpha=request.alpha,
        correction=cast("Correction", request.correction),
        shares=shares,
    )
    rows: dict[str, list[Row]] = {}
    for row in compared.comparisons:
        # An arm that an experiment does not have is no empty arm.
        if row.segment != OVERALL and row.estimate.n_treatment:
            rows.setdefault(row.segment, []).append(row)
    experiments: list[Json] = []
    failed: list[Json] = []
    for name, sizes in found.sizes.items():
        srm = check_srm(sizes, {arm: shares[arm] for arm in sizes})
        trusted = srm.p_value is not None and srm.p_value >= SRM_ALPHA / len(found.sizes)
        if not trusted:
            failed.append(name)
        own = rows.get(name, []) if control in sizes else []
        experiments.append(
            {
                "experiment": name,
                "n": sum(sizes.values()),
                "srm": srm_json(srm),
                "arms": [{"arm": arm, "n": units} for arm, units in sizes.items()],
                "comparisons": [{**row_json(row), "segment": OVERALL} for row in own],
                "best": _best(request, own) if trusted else None,
            }
        )
    tested = [row for own in rows.values() for row in own if row.estimate.p_value is not None]
    return {
        "by": request.by,
        "n": compared.n,
        "control": control,
        "alpha": request.alpha,
        "correction": request.correction,
        "tests": len(tested),
        "significant": sum(row.significant for row in tested),
        "significant_uncorrected": sum(_below(row, request.alpha) for row in tested),
        "srm_failed": failed,
        "without_control": [name for name, sizes in found.sizes.items() if control not in sizes],
        "experiments": experiments,
        "excluded": dict(found.excluded),
    }


def _below(row: Row, alpha: float) -> bool:
    return row.estimate.p_value is not None and row.estimate.p_value < alpha


def _best(request: AnalyzeRequest, rows: Sequence[Row]) -> str | None:
    """The arm that won on the metric that decides; None where none did."""
    metric = rows[0].metric if rows else ""
    sign = -1.0 if metric in request.lower else 1.0
    won = {
        row.arm: sign * (row.estimate.difference or 0.0)
        for row in rows
        if row.metric == metric and row.significant
    }
    best = max(won, key=lambda arm: won[arm], default=None)
    return best if best is not None and won[best] > 0 else None
