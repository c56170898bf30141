from __future__ import annotations

import math

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from liftwright.data.rules import compile_amount, compile_rule
from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import ConfigurationError
from liftwright.model import ColumnKind

COLUMNS = {
    "age": ColumnKind.NUMBER,
    "avg_order_value": ColumnKind.NUMBER,
    "recency_score": ColumnKind.INTEGER,
    "tier": ColumnKind.TEXT,
    "Loyalty Tier": ColumnKind.TEXT,
    "vip": ColumnKind.FLAG,
    "seen_at": ColumnKind.TIME,
    "location": ColumnKind.TEXT,
}
WHERE = "segments.yaml: rules[0].conditions[1].when"


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        (
            "avg_order_value > 200 and age < 30",
            '(("avg_order_value" > 200.0e0) and ("age" < 30.0e0))',
        ),
        ("recency_score >= 4", '("recency_score" >= 4.0e0)'),
        ("tier in ('Gold', 'Silver')", "(\"tier\" in ('Gold', 'Silver'))"),
        ("tier not in ('Gold')", "(not (\"tier\" in ('Gold')))"),
        ("age between 18 and 30", '("age" between 18.0e0 and 30.0e0)'),
        ("age is null or age is not null", '(("age" is null) or (not ("age" is null)))'),
        ("vip and not (vip = false)", '("vip" and (not ("vip" = false)))'),
        ("age / 2 > -.5", '(("age" / nullif(2.0e0, 0e0)) > (- 0.5e0))'),
        ("age * 2 + 1 - 1e3 <> 0", '((("age" * 2.0e0) + 1.0e0) - 1000.0e0) <> 0.0e0'),
        ("tier = 'it''s; -- no comment'", "(\"tier\" = 'it''s; -- no comment')"),
        ("\"Loyalty Tier\" = 'high'", "(\"Loyalty Tier\" = 'high')"),
        ("AGE > 5", '("age" > 5.0e0)'),
        ("true", "true"),
    ],
)
def test_compile_rule_admitted_text_is_written_anew(text: str, sql: str) -> None:
    found = compile_rule(text, COLUMNS, WHERE)
    assert found.sql.strip("()") == sql.strip("()")
    assert found.text == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1=1; drop table customers", "';'"),
        ("age > 5;", "';'"),
        ("age > 5 -- more", "comments"),
        ("/* a */ age > 5", "comments"),
        ("age > 5 /* a */", "comments"),
        ("-- only a comment", "empty"),
        ("", "empty"),
        ("  \n ", "empty"),
        ("(select 1) = 1", "SELECT 1"),
        ("tier in (select 'x')", "takes a list"),
        ("exists (select 1)", "EXISTS"),
        ("length(tier) > 1", "LENGTH(tier)"),
        ("read_text('/etc/passwd') = ''", "not allowed"),
        ("age > 5 union select 1", "UNION"),
        ("drop table customers", "DROP"),
        ("age::integer > 5", "CAST"),
        ("case when vip then vip end", "CASE"),
        ("tier like 'G%'", "LIKE"),
        ("tier || 'x' = 'y'", "||"),
        ("age % 2 = 0", "%"),
        ("age > ?", "'?'"),
        ("age > $1", "$1"),
        ("vip is true", "is null"),
        ("age is distinct from 5", "not allowed"),
        ("age between symmetric 5 and 1", "symmetric"),
        ("age", "gives a number"),
        ("tier", "gives a text"),
        ("age = '5'", "needs no quotes"),
        ("tier = 5", "cannot be compared"),
        ("age in (1, 'a')", "cannot be compared"),
        ("age between 1 and 'a'", "cannot be compared"),
        ("vip and age", "'age' is a number where true or false"),
        ("not age", "'age' is a number"),
        ("tier + 1 > 2", "'tier' is a text where a number"),
        ("-tier = 1", "'tier' is a text"),
        ("1 < age < 5", "chained"),
        ("vip = vip = vip", "chained"),
        ("tier = null", "is null"),
        ("age in (1, null)", "is null"),
        ("null is null", "NULL"),
        ("age > 1e999", "1e999"),
        ("avg_order_valu > 3", "did you mean 'avg_order_value'"),
        ('tier = "Gold"', "single quotes"),
        ("customers.age > 1", "has no dot"),
        ("seen_at > 5", "times"),
        ("age > 5 or", "not a valid rule"),
        ("age > 5 and\0", "NUL"),
        ("'unclosed", "not a valid rule"),
        ("not " * 240 + "vip", "nested too deeply"),
        ("(" * 400 + "vip" + ")" * 400, "nested too deeply"),
        ("vip or " * 200 + "vip", "1403 characters; at most 1000"),
    ],
)
def test_compile_rule_refused_text_names_the_place_and_the_part(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        compile_rule(text, COLUMNS, WHERE)
    message = str(raised.value)
    assert message.startswith(WHERE)
    assert said in message
    assert len(message) < 500


def test_compile_rule_absent_column_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigurationError, match="'location' is absent"):
        compile_rule("age > 3 and Location = 'Leeds'", COLUMNS, WHERE, absent=("location",))


@given(st.text(max_size=60))
def test_compile_rule_any_text_is_refused_or_one_expression(text: str) -> None:
    try:
        rule = compile_rule(text, COLUMNS, WHERE)
    except ConfigurationError:
        return
    (tree,) = sqlglot.parse(rule.sql, read="duckdb")
    assert tree is not None


@given(st.text())
def test_literal_any_text_reads_back_as_itself(text: str) -> None:
    if "\0" in text:
        with pytest.raises(ValueError, match="NUL"):
            literal(text)
        return
    rule = compile_rule(f"tier = {literal(text)}", COLUMNS, WHERE) if len(text) < 400 else None
    assert rule is None or rule.sql == f'("tier" = {literal(text)})'


@given(st.floats())
def test_literal_any_number_reads_back_as_itself(value: float) -> None:
    if not math.isfinite(value):
        with pytest.raises(ValueError, match="finite"):
            literal(value)
        return
    assert float(literal(value)) == value
    assert "e" in literal(value)


def number(name: str) -> str:
    return f"number_of({identifier(name)})"


def test_compile_amount_arithmetic_reads_each_column_as_a_number() -> None:
    amount = compile_amount(
        'Quantity * "Unit Price"', ["Quantity", "Unit Price"], "w", number=number
    )
    assert amount.sql == '(number_of("Quantity") * number_of("Unit Price"))'
    assert amount.columns == frozenset({"Quantity", "Unit Price"})


@pytest.mark.parametrize("text", ["Quantity > 1", "abs(Quantity)", "'5'", "Price", "1; select 1"])
def test_compile_amount_other_than_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="customers"):
        compile_amount(text, ["Quantity"], "customers.yaml: orders[0].amount", number=number)
