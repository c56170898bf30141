"""The authored SQL stays inside what DuckDB and Spark answer alike."""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

import pytest
import sqlglot
from sqlglot import ErrorLevel, exp

from liftwright.config import Customers
from liftwright.data import Tables, load_customers
from plane_samples import open_tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.model import Identity, TableSchema
    from liftwright.ports import Engine, Row, Source

FILES = sorted(
    path.name
    for path in (resources.files("liftwright.data") / "sql").iterdir()
    if path.name.endswith(".sql")
)
# Each engine defines these; see the head of tables/plane.py.
OURS = {"digest", "u32", "number_of", "time_of", "time_as", "nth", "key", "utc_day", "later"}
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


class Recording:
    """An engine that notes every statement and hands it to another one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.statements: list[str] = []

    @property
    def identity(self) -> Identity:
        return self.engine.identity

    @property
    def metered(self) -> bool:
        return False

    def open(self, name: str, source: Source) -> tuple[str, ...]:
        return self.engine.open(name, source)

    def keep(self, name: str, statement: str, *, stored: bool = True) -> None:
        self.statements.append(statement)
        self.engine.keep(name, statement, stored=stored)

    def rows(self, statement: str) -> Sequence[Row]:
        self.statements.append(statement)
        return self.engine.rows(statement)

    def write(
        self, statement: str, path: Path, table: TableSchema | None = None, *, lasting: bool = True
    ) -> int:
        self.statements.append(statement)
        return self.engine.write(statement, path, table, lasting=lasting)

    def close(self) -> None:
        self.engine.close()


def test_load_customers_every_statement_it_builds_is_portable(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(
        "id,born,Town,Grade,opened,clicked,VIP,Spend\n"
        "A,1/2/1990,Leeds,high,25%,0.1,true,1\nA,1/2/1990,Leeds,low,25%,0.1,false,2\n"
        "B,x,Leeds,low,25%,0.1,,3\n"
    )
    (tmp_path / "o.csv").write_text("who,when,n,each\nz1,2020-01-05,2,3.5\nz2,2020-03-01,1,-4\n")
    (tmp_path / "m.csv").write_text("from,to\nz1,A\nz2,B\n")
    config = Customers.model_validate(
        {
            "path": "c.csv",
            "on_bad_rows": "reject",
            "columns": {
                "customer_id": "id",
                "age": {"from": "born", "as": "years", "formats": ["%m/%d/%Y"]},
                "location": "Town",
                "tier": {"from": "Grade", "values": {"high": "Gold"}},
                "historical_open_rate": {"from": "opened", "as": "percent"},
                "historical_click_rate": "clicked",
            },
            "orders": [
                {
                    "path": "o.csv",
                    "id": "who",
                    "date": "when",
                    "amount": "n * each",
                    "id_map": {"path": "m.csv", "from": "from", "to": "to"},
                }
            ],
        }
    )
    inner = open_tables(tmp_path / "spill")
    recording = Recording(inner._engine)
    load_customers(Tables(recording), config, tmp_path)
    inner.close()
    assert len(recording.statements) > 15
    for statement in recording.statements:
        if not statement.startswith("describe"):
            assert_portable(statement)
