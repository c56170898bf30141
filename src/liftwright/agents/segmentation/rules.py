"""Segments by weighted rules: a customer joins the segment with the highest share of weight met."""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING

from liftwright.agents.segmentation.model import (
    SCORES,
    Model,
    SegmentDefinition,
    WeightedRule,
    customer_columns,
    fraction,
    label_case,
    merged_note,
    value_text,
)
from liftwright.data import literal
from liftwright.data.rules import compile_rule
from liftwright.errors import ConfigurationError
from liftwright.model import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from liftwright.config import Segments
    from liftwright.data import Tables
    from liftwright.data.rules import Rule


def fit(
    tables: Tables,
    config: Segments,
    edges: Mapping[str, tuple[float, ...]],
    absent: Collection[str],
) -> Model:
    """The model of the configured rules, each checked against the customer columns.

    Raises:
        ConfigurationError: a rule is invalid, or uses a feature that is absent.
    """
    groups = tuple(
        SegmentDefinition(
            label=rule.label,
            description=rule.description,
            audience=rule.audience,
            interests=rule.interests,
            rules=tuple(WeightedRule(when=c.when, weight=c.weight) for c in rule.conditions),
        )
        for rule in config.rules
    )
    _compile(tables, groups, absent)
    return Model(method="rules", groups=groups, edges=dict(edges))


def columns_used(tables: Tables, model: Model) -> set[str]:
    """The customer columns that the rules use, other than the scores."""
    compiled = _compile(tables, model.groups, ())
    return {name for rules in compiled for rule in rules for name in rule.columns} - set(SCORES)


def segment_sql(tables: Tables, model: Model, scored: str) -> str:
    """The query that assigns every row of `scored` to a segment by the rules of `model`."""
    columns = _known_columns(tables)
    compiled = _compile(tables, model.groups, ())
    denominator = lcm(*(_total_weight(group) for group in model.groups if group.rules))
    count = len(model.groups)
    keys = [f"key_{index}" for index in range(count)]
    conditions = {
        group.label: f"best > 0 and best = {key}"
        for group, key in zip(model.groups, keys, strict=True)
    }
    return tables.sql(
        "segment_rules",
        scored=scored,
        keys=", ".join(
            f"{_key(model, index, compiled[index], denominator)} as {key}"
            for index, key in enumerate(keys)
        ),
        key_names=", ".join(keys),
        runner_up_keys=", ".join(f"case when {key} = best then 0 else {key} end" for key in keys),
        label=label_case(model, conditions),
        confidence=(
            f"case when best >= {count} then "
            f"{fraction(f'best // {count} - runner_up // {count}', denominator)} "
            f"when best = 1 then 1e0 else 0e0 end"
        ),
        reason=_reasons(model, compiled, columns),
    )


def _compile(
    tables: Tables, groups: tuple[SegmentDefinition, ...], absent: Collection[str]
) -> list[tuple[Rule, ...]]:
    columns = _known_columns(tables)
    compiled = []
    for index, group in enumerate(groups):
        rules = []
        for position, weighted in enumerate(group.rules):
            where = f"segments.yaml: rules[{index}].conditions[{position}].when"
            rule = compile_rule(weighted.when, columns, where)
            _reject_absent(rule, absent, where)
            rules.append(rule)
        compiled.append(tuple(rules))
    return compiled


def _known_columns(tables: Tables) -> dict[str, ColumnKind]:
    return {**customer_columns(tables), **dict.fromkeys(SCORES, ColumnKind.INTEGER)}


def _reject_absent(rule: Rule, absent: Collection[str], where: str) -> None:
    for name in sorted(rule.columns):
        feature = SCORES.get(name, name)
        if feature in absent:
            needs = "" if name == feature else f", which needs {feature!r}"
            raise ConfigurationError(
                f"{where}: uses {name!r}{needs}; the customers do not have {feature!r} "
                "(customers.yaml maps it to null), allowed: existing columns"
            )


def _total_weight(group: SegmentDefinition) -> int:
    return sum(rule.weight for rule in group.rules)


def _key(model: Model, index: int, rules: tuple[Rule, ...], denominator: int) -> str:
    """The SQL key: points times the number of groups, plus the priority; 0 if no rule is met.

    A group without rules has key 1, less than the key of any point. Without such a group, all keys
    may be 0.
    """
    group, count = model.groups[index], len(model.groups)
    if not group.rules:
        first = next(i for i, other in enumerate(model.groups) if not other.rules)
        return "1" if index == first else "0"
    scale = denominator // _total_weight(group)
    points = " + ".join(
        f"case when {rule.sql} then {weighted.weight * scale} else 0 end"
        for rule, weighted in zip(rules, group.rules, strict=True)
    )
    any_rule = " or ".join(f"coalesce({rule.sql}, false)" for rule in rules)
    return f"case when {any_rule} then ({points}) * {count} + {count - 1 - index} else 0 end"


def _reasons(
    model: Model, compiled: list[tuple[Rule, ...]], columns: Mapping[str, ColumnKind]
) -> str:
    branches = []
    for index, (group, rules) in enumerate(zip(model.groups, compiled, strict=True)):
        matches = ", ".join(
            f"case when {rule.sql} then {_describe_match(rule, columns)} end" for rule in rules
        )
        text = f"concat_ws(' and ', {matches})" if rules else literal("satisfies no other rule")
        note = merged_note(model, group)
        text = f"{text} || {literal(note)}" if note else text
        branches.append(f"when best > 0 and best = key_{index} then {text}")
    last = model.groups[-1]
    no_match = f"satisfies no rule; placed in the last segment{merged_note(model, last)}"
    return f"case {' '.join(branches)} else {literal(no_match)} end"


def _describe_match(rule: Rule, columns: Mapping[str, ColumnKind]) -> str:
    """The SQL text of a rule with the customer's values: `recency_score >= 4 (recency_score 5)`."""
    values = " || ', ' || ".join(
        f"{literal(name + ' ')} || {value_text(name, columns[name])}"
        for name in sorted(rule.columns)
    )
    return f"{literal(rule.text + ' (')} || {values} || ')'" if values else literal(rule.text)
