"""From aggregated cells (segment x arm x metric) to what an experiment says of every arm.

One object serves `analyze`, a run's `metrics.json` and the report.
"""

from __future__ import annotations

from liftwright.comparison.comparing import compare
from liftwright.comparison.document import row_json, srm_json, to_json
from liftwright.comparison.further import (
    Contrasts,
    bayes_rows,
    interaction_rows,
    omnibus_entries,
    sequential_rows,
)
from liftwright.comparison.rows import ArmSummary, ArmValue, Comparison, Row
from liftwright.comparison.runner_up import beside_runner_up
from liftwright.comparison.verdicts import (
    Decision,
    Direction,
    Stopping,
    Verdict,
    decide_arms,
    failed_checks,
    few,
    name_winners,
)
from liftwright.stats.cells import OVERALL, Cell, Kind, MetricSpec

__all__ = [
    "OVERALL",
    "ArmSummary",
    "ArmValue",
    "Cell",
    "Comparison",
    "Contrasts",
    "Decision",
    "Direction",
    "Kind",
    "MetricSpec",
    "Row",
    "Stopping",
    "Verdict",
    "bayes_rows",
    "beside_runner_up",
    "compare",
    "decide_arms",
    "failed_checks",
    "few",
    "interaction_rows",
    "name_winners",
    "omnibus_entries",
    "row_json",
    "sequential_rows",
    "srm_json",
    "to_json",
]
