"""Segments by weighted rules: a customer goes where most of the weight is satisfied."""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING

from liftwright.agents.segmentation.model import (
    SCORES,
    Group,
    Model,
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
    """The rules as a model, each checked against the customers' columns.

    Raises:
        ConfigurationError: a rule is none, or uses a feature that the customers do not have.
    """
    groups = tuple(
        Group(
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
    """The customers' columns that the rules look at, apart from the scores."""
    compiled = _compile(tables, model.groups, ())
    return {name for rules in compiled for rule in rules for name in rule.columns} - set(SCORES)


def statement(tables: Tables, model: Model, scored: str) -> str:
    """The statement that places every row of `scored` by the rules of `model`."""
    columns = _known_columns(tables)
    compiled = _compile(tables, model.groups, ())
    denominator = lcm(*(_weight(group) for group in model.groups if group.rules))
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
        rival_keys=", ".join(f"case when {key} = best then 0 else {key} end" for key in keys),
        label=label_case(model, conditions),
        confidence=(
            f"case when best >= {count} then "
            f"{fraction(f'best // {count} - rival // {count}', denominator)} "
            f"when best = 1 then 1e0 else 0e0 end"
        ),
        reason=_reasons(model, compiled, columns),
    )


def _compile(
    tables: Tables, groups: tuple[Group, ...], absent: Collection[str]
) -> list[tuple[Rule, ...]]:
    columns = _known_columns(tables)
    compiled = []
    for index, group in enumerate(groups):
        rules = []
        for place, rule in enumerate(group.rules):
            where = f"segments.yaml: rules[{index}].conditions[{place}].when"
            checked = compile_rule(rule.when, columns, where)
            _refuse_absent(checked, absent, where)
            rules.append(checked)
        compiled.append(tuple(rules))
    return compiled


def _known_columns(tables: Tables) -> dict[str, ColumnKind]:
    return {**customer_columns(tables), **dict.fromkeys(SCORES, ColumnKind.INTEGER)}


def _refuse_absent(rule: Rule, absent: Collection[str], where: str) -> None:
    for name in sorted(rule.columns):
        feature = SCORES.get(name, name)
        if feature in absent:
            because = "" if name == feature else f", which needs {feature!r}"
            raise ConfigurationError(
                f"{where}: uses {name!r}{because}; the customers do not have {feature!r} "
                "(customers.yaml maps it to null), allowed: existing columns"
            )


def _weight(group: Group) -> int:
    return sum(rule.weight for rule in group.rules)


def _key(model: Model, index: int, rules: tuple[Rule, ...], denominator: int) -> str:
    """Points times the number of groups, plus the priority; 0 where no rule is satisfied.

    The group without rules has 1, which is less than the key of any point. Where there is none,
    all keys may be 0.
    """
    group, count = model.groups[index], len(model.groups)
    if not group.rules:
        first = next(place for place, other in enumerate(model.groups) if not other.rules)
        return "1" if index == first else "0"
    scale = denominator // _weight(group)
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
        satisfied = ", ".join(
            f"case when {rule.sql} then {_satisfied(rule, columns)} end" for rule in rules
        )
        text = f"concat_ws(' and ', {satisfied})" if rules else literal("satisfies no other rule")
        note = merged_note(model, group)
        text = f"{text} || {literal(note)}" if note else text
        branches.append(f"when best > 0 and best = key_{index} then {text}")
    last = model.groups[-1]
    nowhere = f"satisfies no rule; placed in the last segment{merged_note(model, last)}"
    return f"case {' '.join(branches)} else {literal(nowhere)} end"


def _satisfied(rule: Rule, columns: Mapping[str, ColumnKind]) -> str:
    """The rule's text and the customer's values in it: `recency_score >= 4 (recency_score 5)`."""
    values = " || ', ' || ".join(
        f"{literal(name + ' ')} || {value_text(name, columns[name])}"
        for name in sorted(rule.columns)
    )
    return f"{literal(rule.text + ' (')} || {values} || ')'" if values else literal(rule.text)
