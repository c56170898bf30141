"""Tests of features as effect modifiers, on a sample of a results file's units."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from liftwright.agents.experimentation.results_columns import BINARY_WORDS, MISSING
from liftwright.analysis.effect_modifiers import (
    fit_effect_modifiers,
    grow_uplift_forest,
    standardised,
)
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
MAX_SAMPLED_UNITS = 50_000
# A text column with more values describes single units rather than groups.
_MAX_LEVELS = 8


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
        f"select arm, y, {', '.join(f'f{i}' for i in range(len(columns)))} from explained "  # noqa: S608 - our own names
        f"where y is not null order by md5(cast(place as varchar)) limit {MAX_SAMPLED_UNITS}"
    )
    arms = [str(row[0]) for row in rows]
    outcome = np.array([float(cast("float", row[1])) for row in rows])
    features: dict[str, Array] = {}
    for place, column in enumerate(columns, start=2):
        features |= _as_numbers(column, [row[place] for row in rows])
    found = fit_effect_modifiers(metric, outcome, arms, control, features, alpha=alpha)
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


def keep_explained(tables: Tables, table: str, value: str, columns: Sequence[str]) -> None:
    """Create the table `explained` from a file's rows; `value` is the metric's SQL expression.

    The units' arms are those of the table `events`, whose units are the rows.
    """
    texts = "".join(f", {identifier(column)} as f{i}" for i, column in enumerate(columns))
    tables.keep(
        "explained",
        f"select _row as place, arm_of_unit as arm, {value} as y{texts} "  # noqa: S608 - quoted
        f"from {identifier(table)} inner join (select unit, arm as arm_of_unit from events) as e "
        "on e.unit = cast(_row as varchar)",
        stored=False,
    )


def _as_numbers(column: str, texts: Sequence[object]) -> dict[str, Array]:
    """A numeric feature, or one 0/1 feature per value except the most frequent."""
    import numpy as np

    stripped = [str(text or "").strip() for text in texts]
    found = [None if text.lower() in MISSING else text for text in stripped]
    known = [text for text in found if text is not None]
    numbers = [_number(text) for text in known]
    if all(number is not None for number in numbers):
        values = iter(numbers)
        return {
            column: np.array([np.nan if text is None else next(values) for text in found], float)
        }
    levels = sorted(set(known), key=lambda level: (-known.count(level), level))
    if len(levels) > _MAX_LEVELS:
        raise InputError(
            f"--explain {column!r}: found {len(levels)} text values, allowed: "
            f"numbers, or at most {_MAX_LEVELS} values"
        )
    return {
        f"{column} = {level}": np.array(
            [np.nan if text is None else float(text == level) for text in found]
        )
        for level in levels[1:]
    }


def _number(text: str) -> float | None:
    try:
        return BINARY_WORDS[text.lower()] if text.lower() in BINARY_WORDS else float(text)
    except ValueError:
        return None
