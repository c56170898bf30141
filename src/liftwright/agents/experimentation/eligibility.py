"""Who takes part: the holdout and the exclusions, applied before the assignment.

The holdout is drawn from all customers with a separate salt that campaigns share, so it is always
the same people. Exclusions apply to one campaign. Customers who are left out are written to
`unassigned.parquet` with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.data import identifier, literal
from liftwright.data.rules import compile_rule, did_you_mean
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import ASSIGNMENTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from liftwright.config import Experiment
    from liftwright.data import Tables
    from liftwright.model.remote_files import File

_AGENT = "experimentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligible:
    """Who takes part, in numbers.

    Attributes:
        sizes: customers per segment who may be sent something; 0 where a segment has none.
        left_out: the others, by reason.
    """

    sizes: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)


def choose_eligible(  # noqa: PLR0913 - all but two have defaults
    tables: Tables,
    experiment: Experiment,
    *,
    among: str = "segmented",
    suppressed: File | None = None,
    earlier: Mapping[str, Path] | None = None,
    only: Collection[str] | None = None,
) -> Eligible:
    """Make the tables `eligible` and `unassigned` from `among` and `customers`.

    Args:
        tables: hold `among` and `customers`.
        experiment: its holdout and exclusions.
        among: a table with one row per customer: `customer_id`, `segment`; `eligible` takes over
            what else it tells of them.
        suppressed: a CSV or Parquet file whose column `customer_id` names who must not be mailed.
        earlier: assignments of earlier runs whose customers are left out, by the run's id.
        only: the segments that have messages; None is every one.

    Raises:
        ConfigurationError: a rule is not one.
        DataError: the file of suppressed customers cannot be read.
    """
    found = list(_reasons(tables, experiment, suppressed, earlier or {}))
    reasons = " ".join(f"when {held} then {literal(reason)}" for reason, held in found)
    without = "false" if only is None else f"s.segment not in ({', '.join(map(literal, only))})"
    source = identifier(among)
    # Without a reason to look for, the customers need not be joined with themselves.
    parts = {"held": f"case {reasons} end"} if reasons else {}
    name = "unassigned" if reasons else "without_message"
    tables.keep("unassigned", tables.sql(name, among=source, without=without, **parts))
    tables.keep("eligible", tables.sql("eligible", among=source), stored=False)
    counted = tables.rows(f"select segment, count(*) from {source} group by segment")  # noqa: S608 - quoted
    sizes = {str(segment): cast("int", customers) for segment, customers in sorted(counted)}
    left_out: dict[str, int] = defaultdict(int)
    for reason, segment, customers in tables.rows(
        "select reason, segment, count(*) from unassigned group by reason, segment order by reason"
    ):
        left_out[str(reason)] += cast("int", customers)
        sizes[str(segment)] -= cast("int", customers)
    if left_out:
        log.event("customers_left_out", agent=_AGENT, reasons=left_out)
    return Eligible(sizes=sizes, left_out=dict(left_out))


def _reasons(
    tables: Tables,
    experiment: Experiment,
    suppressed: File | None,
    earlier: Mapping[str, Path],
) -> Iterator[tuple[str, str]]:
    holdout, exclusions = experiment.holdout, experiment.exclusions
    if holdout.share:
        # Drawn before any exclusion, so that the holdout stands for all customers.
        hashed = f"digest({literal(f'{holdout.salt}:')} || customer_id)"
        yield "holdout", f"u32({hashed}, 0) < floor({literal(holdout.share)} * 4294967296e0)"
    if suppressed is not None:
        yield "suppressed", f"customer_id in ({_suppressed(tables, suppressed)})"
    for index, rule in enumerate(exclusions.rules):
        where = f"experiment_config.yaml: exclusions.rules[{index}]"
        checked = compile_rule(rule, tables.columns("customers"), where)
        yield f"excluded: {rule}", checked.sql
    for index, (run_id, path) in enumerate(earlier.items()):
        name = f"earlier_{index}"
        tables.read(name, path, ASSIGNMENTS)
        yield f"assigned by run {run_id}", f"customer_id in (select customer_id from {name})"  # noqa: S608 - our names


def _suppressed(tables: Tables, path: File) -> str:
    if not path.exists():
        raise ConfigurationError(
            f"experiment_config.yaml: exclusions.suppressed: found {path}, allowed: a CSV or "
            "Parquet file, or null"
        )
    columns = tables.open("suppressed", path)
    if "customer_id" not in columns:
        raise DataError(
            f"{path}: no column 'customer_id'; found {', '.join(columns) or 'none'}"
            f"{did_you_mean('customer_id', columns)}"
        )
    return f"select {identifier('customer_id')} from suppressed"  # noqa: S608 - our names
