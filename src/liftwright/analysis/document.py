"""A comparison as the JSON object of `analyze` and of a run's metrics.json."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from liftwright.analysis.results import ArmValue, Comparison, Row
    from liftwright.analysis.srm import Srm
    from liftwright.model import Json


def to_json(comparison: Comparison) -> dict[str, Json]:
    """The comparison as the JSON object of `analyze`; no NaN and no infinity in it."""
    document = {
        "n": comparison.n,
        "control": comparison.control,
        "alpha": comparison.alpha,
        "correction": comparison.correction,
        "srm": srm_json(comparison.srm),
        "arms": [
            {
                "arm": arm.arm,
                "n": arm.n,
                "metrics": {name: _value_json(value) for name, value in arm.metrics.items()},
            }
            for arm in comparison.arms
        ],
        "comparisons": [row_json(row) for row in comparison.comparisons],
    }
    return cast("dict[str, Json]", finite(document))


def row_json(row: Row) -> dict[str, Json]:
    """One row of `comparisons`; the other estimators write rows of the same shape."""
    estimate = row.estimate
    document = {
        "segment": row.segment,
        "arm": row.arm,
        "metric": row.metric,
        "kind": row.kind,
        "n_treatment": estimate.n_treatment,
        "n_control": estimate.n_control,
        "treatment": estimate.treatment,
        "control": estimate.control,
        "difference": estimate.difference,
        "difference_ci": estimate.difference_ci,
        "lift": estimate.lift,
        "lift_ci": estimate.lift_ci,
        "p_value": estimate.p_value,
        "p_adjusted": row.p_adjusted,
        "significant": row.significant,
        "test": estimate.test,
        "warnings": estimate.warnings,
        **row.more,
    }
    return cast("dict[str, Json]", finite(document))


def srm_json(srm: Srm) -> dict[str, Json]:
    """A sample-ratio check as it stands in the documents."""
    return {
        "p_value": srm.p_value,
        "ok": srm.ok,
        "observed": dict(srm.observed),
        "expected": dict(srm.expected),
    }


def _value_json(value: ArmValue) -> dict[str, object]:
    if value.kind == "binary":
        return {"kind": value.kind, "value": value.value, "events": value.events}
    return {"kind": value.kind, "value": value.value, "sd": value.sd}


def finite(value: object) -> object:
    """The value with null for every float that is no number, and lists for tuples."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
