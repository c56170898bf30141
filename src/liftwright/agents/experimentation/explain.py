"""Tests of features as effect modifiers, on a sample of a results file's units."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from liftwright.analysis.heterogeneity import moderate, standardised
from liftwright.analysis.uplift_forest import grow_uplift_forest
from liftwright.data import identifier
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from liftwright.analysis.result import Explanation
    from liftwright.data import Tables

    Array = NDArray[np.float64]

# Enough for a regression to detect notable effects; more units only cost memory.
MOST_SAMPLED = 50_000
# A text column with more values describes single units rather than groups.
_MOST_LEVELS = 8


def explain(  # noqa: PLR0913 - where, what, by what, and how
    tables: Tables,
    metric: str,
    control: str,
    columns: Sequence[str],
    *,
    alpha: float,
    forest: bool,
) -> Explanation:
    """Test which features are associated with a larger effect on a metric.

    Args:
        tables: Contain `explained`, one row per unit: arm, y and a text `f0`, `f1` … per column.
        metric: The metric's name.
        control: The control's name.
        columns: The feature columns.
        alpha: Significance level.
        forest: Whether to add the exploratory uplift forest.
    """
    import numpy as np

    rows = tables.rows(
        f"select arm, y, {', '.join(f'f{i}' for i in range(len(columns)))} from explained "  # noqa: S608 - names of our own
        f"where y is not null order by md5(cast(place as varchar)) limit {MOST_SAMPLED}"
    )
    arms = [str(row[0]) for row in rows]
    outcome = np.array([float(cast("float", row[1])) for row in rows])
    features: dict[str, Array] = {}
    for place, column in enumerate(columns, start=2):
        features |= _as_numbers(column, [row[place] for row in rows])
    found = moderate(metric, outcome, arms, control, features, alpha=alpha)
    if not forest:
        return found
    names, design = standardised(features)
    arm_of = np.asarray(arms)
    forests = {}
    for arm in dict.fromkeys(arms):
        if arm != control:
            here = (arm_of == arm) | (arm_of == control)
            forests[arm] = grow_uplift_forest(
                outcome[here], arm_of[here] == arm, design[here], names, alpha=alpha
            )
    return replace(found, forest=forests)


def keep_explained(
    tables: Tables, table: str, arm: str, value: str, columns: Sequence[str]
) -> None:
    """Create the table `explained` from a file's rows; `value` is the metric's SQL expression."""
    texts = "".join(f", {identifier(column)} as f{i}" for i, column in enumerate(columns))
    tables.keep(
        "explained",
        f"select _row as place, {identifier(arm)} as arm, {value} as y{texts} "  # noqa: S608 - quoted
        f"from {identifier(table)} where {identifier(arm)} is not null and {identifier(arm)} <> ''",
        stored=False,
    )


def _as_numbers(column: str, texts: Sequence[object]) -> dict[str, Array]:
    """A numeric feature, or one 0/1 feature per value except the most frequent."""
    import numpy as np

    told = [None if text is None or not str(text).strip() else str(text).strip() for text in texts]
    known = [text for text in told if text is not None]
    numbers = [_number(text) for text in known]
    if all(number is not None for number in numbers):
        values = iter(numbers)
        return {
            column: np.array([np.nan if text is None else next(values) for text in told], float)
        }
    levels = sorted(set(known), key=lambda level: (-known.count(level), level))
    if len(levels) > _MOST_LEVELS:
        raise InputError(
            f"--explain {column!r}: found {len(levels)} text values, allowed: "
            f"numbers, or at most {_MOST_LEVELS} values"
        )
    return {
        f"{column} = {level}": np.array(
            [np.nan if text is None else float(text == level) for text in told]
        )
        for level in levels[1:]
    }


def _number(text: str) -> float | None:
    words = {"true": 1.0, "false": 0.0}
    try:
        value = words.get(text.lower())
        return float(text) if value is None else value
    except ValueError:
        return None
