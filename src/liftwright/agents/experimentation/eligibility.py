"""Who takes part: the holdout and the exclusions, before anyone is assigned to an arm.

The holdout is drawn from all customers by its own salt, which campaigns share, so the same
customers are in it whatever is sent. Exclusions belong to one campaign: who must not be mailed (a
suppression list and rules), who agreed to be mailed (consent), and who was mailed recently.
Customers who are left out are written to `unassigned.parquet` with the reason.
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

    from liftwright.config import Exclusions, Experiment
    from liftwright.data import Tables
    from liftwright.model.remote_files import File

_AGENT = "experimentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligible:
    """Who takes part, in numbers.

    Attributes:
        sizes: eligible customers per segment; 0 where a segment has none.
        left_out: the others, by reason.
        warnings: suppressed ids that are no customer's, and rules that match nobody or that
            customers lack a value for.
    """

    sizes: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reason:
    """Why customers are left out, as SQL on `customers`.

    Attributes:
        text: for `unassigned.parquet`.
        held: true for the customers who are left out.
        rule: file and key of the rule.
        matches: true for the customers who satisfy the rule; None if there is no rule.
        unknown: true for the customers who lack a value that decides it.
    """

    text: str
    held: str
    rule: str = ""
    matches: str | None = None
    unknown: str = "false"


def choose_eligible(  # noqa: PLR0913 - all but two have defaults
    tables: Tables,
    experiment: Experiment,
    *,
    among: str = "segmented",
    suppressed: File | None = None,
    earlier: Mapping[str, Path] | None = None,
    only: Collection[str] | None = None,
) -> Eligible:
    """Create the tables `eligible` and `unassigned` from `among` and `customers`.

    Args:
        tables: hold `among` and `customers`.
        experiment: its holdout and exclusions.
        among: a table with one row per customer: `customer_id`, `segment`; `eligible` has its
            other columns too.
        suppressed: a CSV or Parquet file whose column `customer_id` lists who must not be mailed.
        earlier: assignments of earlier runs whose customers are left out, by the run's id.
        only: the segments that have messages; None is every one.

    Raises:
        ConfigurationError: a rule is not valid.
        DataError: the file of suppressed customers cannot be read.
    """
    found = list(_reasons(tables, experiment, suppressed, earlier or {}))
    reasons = " ".join(f"when {one.held} then {literal(one.text)}" for one in found)
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
    warnings = (
        *(_unmatched(tables, suppressed) if suppressed is not None else ()),
        *_rule_warnings(tables, [one for one in found if one.matches is not None]),
    )
    if left_out:
        log.event("customers_left_out", agent=_AGENT, reasons=left_out)
    for warning in warnings:
        log.event("exclusions_warned", agent=_AGENT, level="warning", warning=warning)
    return Eligible(sizes=sizes, left_out=dict(left_out), warnings=warnings)


def _reasons(
    tables: Tables,
    experiment: Experiment,
    suppressed: File | None,
    earlier: Mapping[str, Path],
) -> Iterator[_Reason]:
    holdout = experiment.holdout
    if holdout.share:
        # Drawn before any exclusion, so that the holdout stands for all customers.
        hashed = f"digest({literal(f'{holdout.salt}:')} || customer_id)"
        held = f"u32({hashed}, 0) < floor({literal(holdout.share)} * 4294967296e0)"
        yield _Reason(text="holdout", held=held)
    if suppressed is not None:
        yield _Reason(text="suppressed", held=_in(_suppressed(tables, suppressed)))
    yield from _rules(tables, experiment.exclusions)
    for index, (run_id, path) in enumerate(earlier.items()):
        name = f"earlier_{index}"
        tables.read(name, path, ASSIGNMENTS)
        yield _Reason(text=f"assigned by run {run_id}", held=_in(name))


def _rules(tables: Tables, exclusions: Exclusions) -> Iterator[_Reason]:
    """The rules of consent, then those of exclusion."""
    if not (exclusions.consent or exclusions.rules):
        return
    columns = tables.columns("customers")
    for index, rule in enumerate(exclusions.consent):
        where = f"experiment_config.yaml: exclusions.consent[{index}]"
        sql = compile_rule(rule, columns, where).sql
        yield _Reason(
            text=f"no consent: {rule}",
            held=f"not coalesce({sql}, false)",
            rule=where,
            matches=sql,
            unknown=f"({sql}) is null",
        )
    for index, rule in enumerate(exclusions.rules):
        where = f"experiment_config.yaml: exclusions.rules[{index}]"
        # Whether a blank text is 'yes' is known: it is not. Whether a missing number is below 18
        # is not known.
        sql = compile_rule(rule, columns, where, blank_texts=True).sql
        unknown = f"({compile_rule(rule, columns, where).sql}) is null"
        yield _Reason(text=f"excluded: {rule}", held=sql, rule=where, matches=sql, unknown=unknown)


def _rule_warnings(tables: Tables, rules: list[_Reason]) -> Iterator[str]:
    if not rules:
        return
    counts = ", ".join(
        f"count(*) filter (where {condition})"
        for rule in rules
        for condition in (
            rule.matches,
            rule.unknown,
            f"({rule.unknown}) and coalesce({rule.held}, false)",
        )
    )
    ((*counted,),) = tables.rows(f"select {counts} from customers")  # noqa: S608 - compiled
    numbers = [int(str(number)) for number in counted]
    for index, rule in enumerate(rules):
        matching, unknown, held = numbers[3 * index : 3 * index + 3]
        if not matching:
            yield f"{rule.rule}: no customer satisfies {rule.text.partition(': ')[2]!r}"
        if unknown:
            yield (
                f"{rule.rule}: {unknown:,} customers lack a value that it compares; {held:,} of "
                "them are left out"
            )


def _in(table: str) -> str:
    ids = f"select folded(customer_id) from {identifier(table)}"  # noqa: S608 - quoted
    return f"folded(customer_id) in ({ids})"


def _suppressed(tables: Tables, path: File) -> str:
    """The table of suppressed customers."""
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
    return "suppressed"


def _unmatched(tables: Tables, path: File) -> Iterator[str]:
    ((listed, unmatched, similar),) = tables.rows(tables.sql("suppression"))
    if int(str(unmatched)):
        yield (
            f"{path}: {unmatched:,} of {listed:,} listed ids match no customer; {similar:,} of "
            "them would but for upper or lower case or surrounding space"
        )
