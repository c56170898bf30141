"""The authored SQL stays inside what DuckDB and Spark answer alike."""

from __future__ import annotations

import re
from importlib import resources

import pytest
import sqlglot
from sqlglot import ErrorLevel, exp

FILES = sorted(
    path.name
    for path in (resources.files("liftwright.data") / "sql").iterdir()
    if path.name.endswith(".sql")
)
# Each engine defines these; see the head of tables/plane.py.
OURS = {
    "digest",
    "u32",
    "number_of",
    "time_of",
    "time_as",
    "nth",
    "key",
    "utc_day",
    "later",
    "folded",
}
ALLOWED = OURS | {
    "abs", "and", "array", "case", "cast", "ceil", "chr", "coalesce", "concat_ws", "count",
    "datediff", "day", "exp", "floor", "greatest", "grouping", "if", "is_nan", "least",
    "length", "lower", "max", "md5", "min", "month", "nullif", "or", "regexp_like",
    "regexp_replace", "row_number", "sqrt", "str_position", "substring", "sum", "trim",
    "upper", "xor", "year",
}  # fmt: skip
FORBIDDEN = (exp.Pivot, exp.Unnest, exp.Lateral, exp.Qualify, exp.TableSample, exp.WithinGroup)
# Where a part stands for more than a name.
CASES = "when amount > 0 then 'x'"
FRAGMENTS = {
    **dict.fromkeys(("bad", "name_cases", "reasons", "value_cases", "word_cases"), CASES),
    "centres": "when 'x' then 1e0",
    "combined": ", true as x",
    "good": "where c._fault is null",
    "id_map": "left join m on w.customer_id = m.from_id",
    "join": "left join m on l.id = m.id",
    "optional": ", c.x",
    "ordered": "order by c._row",
    "sets": "(segment, a), (segment, b)",
}


def function_name(node: exp.Func) -> str:
    name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
    return name.lower()


def assert_portable(statement: str) -> None:
    trees = sqlglot.parse(statement, read="duckdb")
    assert len(trees) == 1
    (tree,) = trees
    assert tree is not None
    used = {function_name(node) for node in tree.find_all(exp.Func)}
    assert used <= ALLOWED, f"not portable: {sorted(used - ALLOWED)}"
    for node in tree.walk():
        assert not isinstance(node, FORBIDDEN), f"not portable: {type(node).__name__}"
        if isinstance(node, exp.CTE):
            assert node.args.get("materialized") is None
        if isinstance(node, exp.Distinct):
            assert node.args.get("on") is None
        if isinstance(node, exp.Star):
            assert not node.args.get("replace")
            assert not node.args.get("except_")
    (spark,) = sqlglot.transpile(
        statement, read="duckdb", write="spark", unsupported_level=ErrorLevel.RAISE
    )
    sqlglot.parse_one(spark, read="spark")


@pytest.mark.parametrize("name", FILES)
def test_statement_file_uses_the_portable_subset_alone(name: str) -> None:
    text = (resources.files("liftwright.data") / "sql" / name).read_text(encoding="utf-8")
    assert text.startswith("-- "), "a statement begins by saying what its rows are"
    filled = re.sub(r"\$\{(\w+)\}", lambda m: FRAGMENTS.get(m[1], f"p_{m[1]}"), text)
    assert_portable(filled.replace("$$", "$"))
