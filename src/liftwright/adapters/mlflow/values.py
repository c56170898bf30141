"""A run of ours as MLflow's parameters, metrics and tags; pure, and without its package."""

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
_LONGEST_VALUE = 500
_OF_A_COMPARISON = ("treatment", "control", "difference", "lift", "p_value", "p_adjusted")
_INTERVALS = ("difference_ci", "lift_ci")


def parameters_of(run: Mapping[str, object], configured: Mapping[str, object]) -> dict[str, str]:
    """What the run was made from: configuration, seed, fingerprints, versions.

    Args:
        run: as in run.json.
        configured: more of them, by name; nested mappings are joined by dots.
    """
    overrides = run.get("overrides")
    told: dict[str, object] = {
        **configured,
        "seed": run.get("seed"),
        "fingerprint": run.get("fingerprint"),
        "inputs": run.get("inputs"),
        "versions": run.get("versions"),
        "valid_on": run.get("valid_on"),
        # By name: a value may be an address that is nobody's business.
        "overrides": ", ".join(sorted(overrides)) if isinstance(overrides, dict) else None,
    }
    return {
        _name(name): str(value)[:_LONGEST_VALUE]
        for name, value in _leaves(told, ".")
        if value not in (None, "")
    }


def tags_of(run: Mapping[str, object]) -> dict[str, str]:
    """What MLflow lists beside a run."""
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
    """Totals, and of metrics.json the arms, the comparisons over all segments, and SRM.

    Those of a simulated experiment begin with `simulated/`, so that they never pass for real ones.

    Args:
        run: as in run.json.
        folder: the run's; without metrics.json there are totals alone.
        before: what the tracker has; what is there no more becomes NaN, as nothing can be
            taken away.
    """
    totals = _numbers(run.get("totals"), "totals/")
    file = folder / "metrics.json"
    if not file.is_file():
        return totals
    measured = json.loads(file.read_bytes())
    mark = SIMULATED if measured.get("simulated") else ""
    found = {mark + name: value for name, value in _measured(measured)}
    gone = {
        name: math.nan
        for name in before
        if name not in found
        and not name.startswith("totals/")
        and name.startswith(SIMULATED) == bool(mark)
    }
    return totals | gone | found


def _measured(measured: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    yield from _finite("n", measured.get("n"))
    srm = measured.get("srm")
    if isinstance(srm, dict):
        yield from _finite("srm/p_value", srm.get("p_value"))
    for arm in _list(measured.get("arms")):
        yield from _finite(f"{arm['arm']}/n", arm.get("n"))
        for metric, told in arm["metrics"].items():
            yield from _finite(f"{arm['arm']}/{metric}", told.get("value"))
    for row in _list(measured.get("comparisons")):
        if row["segment"] != "all":
            continue
        place = f"{row['arm']}/{row['metric']}"
        for name in _OF_A_COMPARISON:
            yield from _finite(f"{place}.{name}", row.get(name))
        for name in _INTERVALS:
            ends = row.get(name)
            if isinstance(ends, list):
                yield from _finite(f"{place}.{name}_low", ends[0])
                yield from _finite(f"{place}.{name}_high", ends[1])
        if isinstance(row.get("significant"), bool):
            yield _name(f"{place}.significant"), float(row["significant"])


def _numbers(values: object, mark: str) -> dict[str, float]:
    told = values if isinstance(values, dict) else {}
    return {
        name: number
        for path, value in _leaves(told, "/")
        for name, number in _finite(mark + path, value)
    }


def _finite(name: str, value: object) -> Iterator[tuple[str, float]]:
    """The value under its name; nothing where it is no finite number."""
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
    """A name that every MLflow takes: letters, digits, `_`, `-`, `.`, `/` and spaces."""
    return _NOT_IN_NAMES.sub("_", text)[:250]
