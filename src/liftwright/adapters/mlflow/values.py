"""Converts a run to MLflow's parameters, metrics and tags, without importing MLflow."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TAG = "liftwright."
SIMULATED = "simulated/"
_NOT_IN_NAMES = re.compile(r"[^\w .\-/]", re.ASCII)
_MAX_VALUE_LENGTH = 500
_COMPARISON_FIELDS = ("treatment", "control", "difference", "lift", "p_value", "p_adjusted")
_INTERVALS = ("difference_ci", "lift_ci")


def parameters_of(run: Mapping[str, object], configured: Mapping[str, object]) -> dict[str, str]:
    """The run's parameters: configuration, seed, fingerprints, versions.

    Args:
        run: as in run.json.
        configured: further parameters by name; nested names are joined by dots.
    """
    overrides = run.get("overrides")
    parameters: dict[str, object] = {
        **configured,
        "seed": run.get("seed"),
        "fingerprint": run.get("fingerprint"),
        "inputs": run.get("inputs"),
        "versions": run.get("versions"),
        "valid_on": run.get("valid_on"),
        # Only the names, as a value may be a private address.
        "overrides": ", ".join(sorted(overrides)) if isinstance(overrides, dict) else None,
    }
    return {
        _name(name): str(value)[:_MAX_VALUE_LENGTH]
        for name, value in _leaves(parameters, ".")
        if value not in (None, "")
    }


def tags_of(run: Mapping[str, object]) -> dict[str, str]:
    """The run's tags, which MLflow shows in the list of runs."""
    simulated = "true" if run.get("simulated") else "false"
    return {
        f"{TAG}run_id": str(run["run_id"]),
        f"{TAG}status": str(run["status"]),
        f"{TAG}simulated": simulated,
        f"{TAG}measurements": str(run.get("measurements", 0)),
    }


def metrics_of(
    run: Mapping[str, object], folder: Path, *, before: Mapping[str, float]
) -> dict[str, float]:
    """The run's totals, and from metrics.json the arms, the overall comparisons and SRM.

    Metrics of a simulated experiment start with `simulated/`, so they cannot pass for real ones.

    Args:
        run: as in run.json.
        folder: of the run; without metrics.json, only the totals are returned.
        before: the tracker's metrics; those that no longer exist become NaN, as MLflow cannot
            delete them.
    """
    totals = _numbers(run.get("totals"), "totals/")
    file = folder / "metrics.json"
    if not file.is_file():
        return totals
    result = json.loads(file.read_bytes())
    prefix = SIMULATED if result.get("simulated") else ""
    metrics = {prefix + name: value for name, value in _result_metrics(result)}
    removed = {
        name: math.nan
        for name in before
        if name not in metrics
        and not name.startswith("totals/")
        and name.startswith(SIMULATED) == bool(prefix)
    }
    return totals | removed | metrics


def _result_metrics(result: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    yield from _finite("n", result.get("n"))
    srm = result.get("srm")
    if isinstance(srm, dict):
        yield from _finite("srm/p_value", srm.get("p_value"))
    for arm in _list(result.get("arms")):
        yield from _finite(f"{arm['arm']}/n", arm.get("n"))
        for metric, estimate in arm["metrics"].items():
            yield from _finite(f"{arm['arm']}/{metric}", estimate.get("value"))
    for row in _list(result.get("comparisons")):
        if row["segment"] != "all":
            continue
        prefix = f"{row['arm']}/{row['metric']}"
        for name in _COMPARISON_FIELDS:
            yield from _finite(f"{prefix}.{name}", row.get(name))
        for name in _INTERVALS:
            ends = row.get(name)
            if isinstance(ends, list):
                yield from _finite(f"{prefix}.{name}_low", ends[0])
                yield from _finite(f"{prefix}.{name}_high", ends[1])
        if isinstance(row.get("significant"), bool):
            yield _name(f"{prefix}.significant"), float(row["significant"])


def _numbers(values: object, prefix: str) -> dict[str, float]:
    return {
        name: number
        for path, value in _leaves(values if isinstance(values, dict) else {}, "/")
        for name, number in _finite(prefix + path, value)
    }


def _finite(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The value with its metric name; nothing if it is not a finite number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield _name(name), float(value)


def _leaves(values: Mapping[str, object], joint: str) -> Iterator[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((f"{name}{joint}{below}", leaf) for below, leaf in _leaves(value, joint))
        else:
            yield name, value


def _list(values: object) -> list[dict[str, Any]]:
    return values if isinstance(values, list) else []


def _name(text: str) -> str:
    """A name that every version of MLflow accepts: letters, digits, `_`, `-`, `.`, `/`, spaces."""
    return _NOT_IN_NAMES.sub("_", text)[:250]
