"""Spark and DuckDB give the same rows for the same statements; one real Spark serves all."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JJavaError

from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.adapters.embedded.simulator import EmbeddedSimulator
from liftwright.adapters.spark import Spark, session
from liftwright.adapters.spark.dialect import to_spark
from liftwright.adapters.spark.engine import SparkEngine
from liftwright.agents.experimentation import assign, choose_eligible, design_experiment, measure
from liftwright.agents.segmentation import segment_customers
from liftwright.config import Customers, EngagementFormat
from liftwright.data import Tables, literal, load_customers
from liftwright.data.engagement import EngagementFile
from liftwright.errors import ConfigurationError, DataError, InputError
from liftwright.model import ASSIGNMENTS, CUSTOMERS, ENGAGEMENT, SEGMENTED
from liftwright.ports import Source
from plane_samples import decide, experiment_config, segments_config, variants_for
from spark_here import SPARK, local_spark
from spelled_times import misspelled_times

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.ports import Engine

pytestmark = SPARK
AT = "2026-01-02T03:04:05.000Z"


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkEngine]:
    engine = SparkEngine(local_spark())
    yield engine
    engine.close()


@pytest.fixture
def both(spark: SparkEngine, tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    duckdb = DuckDBEngine(tmp_path / "spill", memory="500MB", threads=2)
    yield duckdb, spark
    duckdb.close()


def customers_file(folder: Path, rows: int) -> None:
    lines = ["customer_id,age,location,tier,freq,value,days,opened,clicked,born,Grade"]
    for n in range(rows):
        town = f'"O\'Town, {n % 7}"' if n % 3 else "Zürich \u00a0"
        age = "" if n % 11 == 0 else str(18 + n % 60)
        rate = f"{n % 97}%" if n % 50 else "nan"
        day = f"{1 + n % 12}/{1 + n % 28}/{1950 + n % 50}"
        lines.append(
            f"C{n:05}x,{age},{town},{'Gold' if n % 4 else ''},{n % 40 / 4},{n % 1000 / 7},"
            f"{n % 400},{rate},0.0{n % 10},{day},{n % 5}"
        )
    lines += ["C00001x,30,A,B,1,2,3,4%,0.1,1/1/2000,1", ",30,A,B,1,2,3,4%,0.1,1/1/2000,1"]
    lines += ["bad1,30,A,B,1e400,2,3,4%,0.1,1/1/2000,1", "bad2,30,A,B,1_0,2,3,4%,0.1,31/31/2000,1"]
    (folder / "customers.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    orders = [
        f"C{n % rows:05}x,2025-{1 + n % 12:02}-{1 + n % 28:02},{n % 90 - 5}.5"
        for n in range(3 * rows)
    ]
    (folder / "orders.csv").write_text("id,day,paid\n" + "\n".join(orders) + "\n", encoding="utf-8")


def config() -> Customers:
    return Customers.model_validate(
        {
            "path": "customers.csv",
            "on_bad_rows": "reject",
            "columns": {
                "age": {"from": "born", "as": "years", "formats": ["%m/%d/%Y"]},
                "historical_open_rate": {"from": "opened", "as": "percent"},
                "historical_click_rate": "clicked",
            },
            "orders": [{"path": "orders.csv", "id": "id", "date": "day", "amount": "paid * 2"}],
        }
    )


def plane(engine: Engine, folder: Path, out: Path) -> dict[str, object]:
    """The results of a run's data plane, from the files to the metrics."""
    tables = Tables(engine)
    report = load_customers(tables, config(), folder)
    found = segment_customers(tables, segments_config(), seed=7)
    tables.write("segmented", out / "segmented.parquet", SEGMENTED)
    variants = variants_for(found.sizes)
    uplift = {"urgent": {"mean": 0.1, "sd": 0.2}}
    experiment = experiment_config(simulation={"uplift": uplift})
    design = design_experiment(variants, decide(variants), experiment, found.sizes)
    assignment = assign(tables, design, AT, among="profiles")
    tables.write("assignments", out / "assignments.parquet", ASSIGNMENTS)
    EmbeddedSimulator(tables, experiment.simulation, seed=3, salt=experiment.name)("assignments")
    tables.write("engagement", out / "engagement.parquet", ENGAGEMENT)
    tables.read("engagement", out / "engagement.parquet", ENGAGEMENT)
    metrics = measure(tables, assignment, experiment, simulated=True)
    rejected = sorted(map(str, tables.rows('select "file", "row", "column", reason from rejected')))
    return {
        "report": report,
        "segments": found,
        "assignment": assignment,
        "metrics": metrics,
        "rejected": rejected,
    }


def test_plane_on_both_engines_gives_the_same_rows_and_the_same_results(
    both: tuple[Engine, Engine], tmp_path: Path
) -> None:
    customers_file(tmp_path, 300)
    answers = [
        plane(engine, tmp_path, tmp_path / name)
        for engine, name in zip(both, ("duckdb", "spark"), strict=True)
    ]
    assert answers[0]["rejected"]
    for name, answer in answers[0].items():
        assert answers[1][name] == answer, name
    duckdb = both[0]
    for table in (SEGMENTED, ASSIGNMENTS, ENGAGEMENT):
        files = [tmp_path / name / f"{table.name}.parquet" for name in ("duckdb", "spark")]
        for file, name in zip(files, ("one", "two"), strict=True):
            duckdb.open(name, Source(path=file, text=False))
        differing = " or ".join(f"x.{c} is distinct from y.{c}" for c in table.names)
        join = f"one as x full join two as y using (customer_id) where {differing}"
        assert duckdb.rows(f"select count(*) from {join}") == [(0,)], table.name  # noqa: S608 - our names
        assert duckdb.rows("describe one") == duckdb.rows("describe two")


PEOPLE = (
    "customer_id,consent",
    "Ana@x.com,yes",
    "\uff22o@x.com,no",
    "c1,",
    " ANA@X.com,yes",
    "c2,yes",
)
SHOP = (
    "No,Mail,State,Day,Cur,Total,Back",
    "1,ana@x.com,paid,2025-10-01,EUR,40,",
    "1,,,,,,",
    "2,BO@x.com,void,2025-10-31,EUR,9,",
    "3,c1,paid,2025-10-05,GBP,10,-4",
)
SEEN = (
    "Mail,Seen,When,Paid",
    'ana@X.com,2,05.01.2026 10:30,"1.299,50 \u20ac"',
    "bo@x.com,0,,",
    'c1,1,1767440000,"-2,50"',
    "c2,0,,",
)


def people(engine: Engine, folder: Path) -> list[object]:
    """Customers, orders, exclusions and outcomes of files as people have them."""
    for name, lines in (("people", PEOPLE), ("shop", SHOP), ("seen", SEEN)):
        (folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "never.csv").write_text("customer_id\nBO@X.COM \nC2\n", encoding="utf-8")
    tables = Tables(engine)
    rates = {"EUR": 1, "GBP": 1.5}
    shop = {"path": "shop.csv", "id": "Mail", "order_id": "No", "date": "Day", "amount": "Total"}
    shop |= {"where": "State <> 'void'", "refund": "Back", "currency": "Cur", "rates": rates}
    absent = dict.fromkeys(name for name in CUSTOMERS.names if name != "customer_id")
    config = {"path": "people.csv", "columns": absent, "orders": [shop]}
    report = load_customers(
        tables, Customers.model_validate({**config, "on_same_address": "merge"}), folder
    )
    customers = tables.rows("select * from customers order by customer_id")
    tables.keep("segmented", "select customer_id, 'S' as segment from customers")
    exclusions = {"consent": ["consent = 'yes'"], "rules": ["consent <> 'yes'"]}
    eligible = choose_eligible(
        tables, experiment_config(exclusions=exclusions), suppressed=folder / "never.csv"
    )
    tables.keep(
        "assignments",
        "select customer_id, segment, 'control' as arm, 'v' as variant_id, "  # noqa: S608 - a literal
        f"cast({literal(AT)} as timestamp with time zone) as assigned_at from segmented",
    )
    columns = {
        "customer_id": "Mail",
        "opened": "Seen",
        "opened_at": {"from": "When", "formats": ["%d.%m.%Y %H:%M"]},
        "revenue": "Paid",
    }
    form = EngagementFormat.model_validate({"columns": columns})
    observe = EngagementFile(tables, folder / "seen.csv", None, form)
    observe("assignments")
    engagement = tables.rows(
        "select customer_id, delivered, opened, revenue, cast(opened_at at time zone 'UTC' as "
        "varchar) from engagement order by customer_id"
    )
    return [
        *(report, [tuple(row) for row in customers], eligible),
        *(observe.report, [tuple(row) for row in engagement]),
    ]


def test_files_as_people_have_them_give_the_same_on_both_engines(
    both: tuple[Engine, Engine], tmp_path: Path
) -> None:
    duckdb, spark = (people(engine, tmp_path) for engine in both)
    assert duckdb == spark
    assert [row[3] for row in duckdb[-1]] == [1299.5, 0.0, 0.0, 0.0]  # type: ignore[index] # rows


def test_open_folder_numbers_rows_through_its_files_and_refuses_mixed_ones(
    both: tuple[Engine, Engine], tmp_path: Path
) -> None:
    folder = tmp_path / "it's"
    both[0].write("select 7 as n union all select 8", folder / "b.parquet")
    both[0].write("select 3 as n", folder / "a.parquet")
    for engine in both:
        assert engine.open("many", Source(path=folder, text=False)) == ("n",)
        rows = engine.rows("select _row, n from many order by _row")
        assert list(rows) == [(1, 3), (2, 7), (3, 8)]
    both[0].write("select 'x' as n", folder / "c.parquet")
    with pytest.raises(DataError, match=r"c\.parquet: .*'n'"):
        both[1].open("many", Source(path=folder, text=False))


def test_write_of_many_parts_makes_a_folder_in_order_and_replaces_it(
    spark: SparkEngine, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "rows.parquet"
    for start in (0, 10):
        spark._session.range(start, start + 8, numPartitions=3).createOrReplaceTempView("parts")
        assert spark.write("select id from parts", target) == 8
        spark.open("back", Source(path=target, text=False))
        rows = spark.rows("select id from back order by _row")
        assert [row[0] for row in rows] == list(range(start, start + 8))
    names = sorted(file.name for file in target.iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [file.name for file in target.parent.iterdir()] == ["rows.parquet"]


NUMBERS = (
    *("1", "-2e3", "+.5e-3", "5.", " 7 ", "\t5\n", "\u00a05", "1_0", "1,5", "", "-", ".", "e5"),
    *("5d", "5f", "0x10", "0x1p3", "1e400", "-1e400", "1e-400", "nan", "-NaN", "Inf", "+infinity"),
)
TIMES = (
    *("2018-05-08", "2018-5-8", " 2018-05-08 10:30 ", "2018-05-08T10:30:00.5", "2018-02-30"),
    *("2018-05-08 10:30:00Z", "2018-05-08 10:30:00+02:00", "2018-05", "2018-05-08 10", "epoch"),
    *("infinity", "5/8/2018", "2018-05-08x", "2018-05-08 1:2:3", "2018-128", "2018-05-08 25:00"),
    *("2018-05-08 10:30 +0530", "2018-05-08T10:30-09", "2018-05-08 10:30 UTC", "2018-05-08T10:30Z"),
)
DAYS = {
    "%m/%d/%Y": ("5/8/1986", "05/08/1986", "2/30/2020", "5/8/86", "5/8/1986 10:00", "13/1/2020"),
    "%Y%m%d": ("20200131", "2020131"),
    "%d.%m.%y %H:%M": ("1.2.68 10:30", "1.2.69 10:30", "1.2.70 24:30"),
    "%d %b %Y": ("1 Feb 2020", "1 FEB 2020", "1 February 2020"),
    "%B %d, %Y %I:%M %p": ("February 1, 2020 12:05 AM", "March 31, 2020 11:59 pm"),
    "%Y-%m-%dT%H:%M:%S.%f": ("2020-01-01T10:00:00.25",),
}


def values(texts: tuple[str, ...]) -> str:
    return ", ".join(f"({n}, {literal(text)})" for n, text in enumerate(texts))


def test_readers_of_numbers_and_times_agree_on_odd_texts(both: tuple[Engine, Engine]) -> None:
    asked = [("coalesce(isnan(number_of(t)), false), abs(number_of(t)) > 1e308", NUMBERS)]
    asked += [("case when isnan(number_of(t)) then 0e0 else number_of(t) end", NUMBERS)]
    asked += [("cast(time_of(t) as varchar)", TIMES)]
    asked += [
        (f"cast(cast(time_as(t, '{f}') as date) as varchar)", texts) for f, texts in DAYS.items()
    ]
    for expression, texts in asked:
        statement = f"select n, {expression} from (values {values(texts)}) as v(n, t) order by n"  # noqa: S608 - of known texts
        assert list(both[1].rows(statement)) == list(both[0].rows(statement)), expression


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(misspelled_times(), min_size=1, max_size=50))
def test_time_of_agrees_on_misspelled_times(both: tuple[Engine, Engine], texts: list[str]) -> None:
    asked = "select n, cast(time_of(t) as varchar) from (values "
    asked += f"{values(tuple(texts))}) as v(n, t) order by n"
    assert list(both[1].rows(asked)) == list(both[0].rows(asked))


def test_dialect_spells_what_sqlglot_would_leave_with_another_meaning() -> None:
    spelled = to_spark("select floor(trim(floor(x))), '\\s' from t").lower()
    assert spelled.count("cast(floor(") >= 2  # the inner one too
    assert "both from" not in spelled
    assert "'\\\\s'" in spelled


def test_engine_without_java_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="openjdk-17"):
        session._start({"spark.master": "local[2]"})


def test_engine_at_another_master_in_one_process_is_refused(spark: SparkEngine) -> None:
    assert spark.identity.provider == "spark"
    with pytest.raises(ConfigurationError, match=r"spark\.master"):
        SparkEngine(Spark(master="local[3]"))


def test_reason_of_what_java_raises_is_its_message_without_a_stack(spark: SparkEngine) -> None:
    with pytest.raises(Py4JJavaError) as raised:
        spark._session._jvm.java.util.Optional.empty().get()
    assert session._reason(raised.value, "") == "No value present"


def test_engine_that_java_refuses_to_start_says_why_in_one_line() -> None:
    program = "import sys; from liftwright.adapters.spark.engine import *\n"
    program += "from liftwright.adapters.spark import Spark\n"
    program += "SparkEngine(Spark(master='local[1]', config={sys.argv[1]: sys.argv[2]}))"
    refused = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, "spark.driver.memory", "9999999t"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert refused.stdout == ""
    last = refused.stderr.strip().splitlines()[-1]
    assert "InputError: azure_config.yaml: spark: " in last
    assert "heap" in last
