"""The contract of the port `engine`, which runs the statements of the data plane."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.promises import Rig as PortRig
from contracts.promises import check_port
from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.adapters.spark.engine import SparkEngine
from liftwright.config import FileOptions
from liftwright.data import FileResolver, Tables, conversions, literal
from liftwright.errors import DataError, InputError
from liftwright.model import Column, ColumnKind, TableSchema
from liftwright.ports import Source
from spark_here import SPARK, local_spark
from spelled_times import spelled_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from liftwright.ports import Engine

PAIRS = TableSchema(
    name="pairs",
    columns=(Column(name="name", kind=ColumnKind.TEXT), Column(name="n", kind=ColumnKind.INTEGER)),
)


@dataclass(frozen=True, kw_only=True)
class EngineRig:
    """An engine under its contract; `make` starts another of the same kind."""

    make: Callable[[], Engine]
    folder: Path


def duckdb(folder: Path) -> EngineRig:
    return EngineRig(
        make=lambda: DuckDBEngine(folder / "spill", memory="500MB", threads=2), folder=folder
    )


def spark(folder: Path) -> EngineRig:
    return EngineRig(make=lambda: SparkEngine(local_spark()), folder=folder)


ADAPTERS = [
    pytest.param(duckdb, id="duckdb"),
    pytest.param(spark, id="spark", marks=SPARK),
]


@pytest.fixture(params=ADAPTERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> EngineRig:
    made: EngineRig = request.param(tmp_path)
    return made


@pytest.fixture
def engine(rig: EngineRig) -> Iterator[Engine]:
    opened = rig.make()
    yield opened
    opened.close()


def csv(folder: Path, text: str, name: str = "rows.csv") -> Source:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return Source(path=file)


def test_identity_is_stable_and_the_engine_runs_here(rig: EngineRig) -> None:
    engines = [rig.make(), rig.make()]
    try:
        check_port(PortRig(make=lambda: engines[0]))
        assert engines[0].identity == engines[1].identity
    finally:
        for one in engines:
            one.close()


def test_open_gives_every_column_as_text_in_its_exact_bytes(engine: Engine, rig: EngineRig) -> None:
    names = engine.open("t", csv(rig.folder, 'id,Wert\n007,"1,50"\n1e3,\n=cmd|x, é \n'))
    assert names == ("id", "Wert")
    assert [tuple(row) for row in engine.rows('select _row, id, "Wert" from t order by _row')] == [
        (1, "007", "1,50"),
        (2, "1e3", None),
        (3, "=cmd|x", " é "),
    ]


def test_open_parquet_gives_what_write_wrote(engine: Engine, rig: EngineRig) -> None:
    file = rig.folder / "out" / "pairs.parquet"
    statement = "select 'b' as name, 2 as n union all select 'a', 1 order by name"
    assert engine.write(statement, file, PAIRS) == 2
    assert engine.open("back", Source(path=file, text=False)) == ("name", "n")
    assert [tuple(row) for row in engine.rows("select name, n from back order by _row")] == [
        ("a", 1),
        ("b", 2),
    ]
    assert engine.open("words", Source(path=file)) == ("name", "n")
    assert [tuple(row) for row in engine.rows("select n from words order by n")] == [("1",), ("2",)]


def test_open_missing_file_raises_a_data_error_that_names_it(
    engine: Engine, rig: EngineRig
) -> None:
    with pytest.raises(DataError, match=r"none\.csv"):
        engine.open("t", Source(path=rig.folder / "none.csv"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"a,b\n1,2\nCANARY\n", "line 3"),
        (b'a,b\n1,"2\n4,5\n', "quote"),
        (b"a,b\r\n1,2\n4,5\r\n", "line"),
        (b"a,b\n1,2\x00\n", "NUL"),
    ],
)
def test_open_misshapen_file_raises_a_data_error_that_names_file_and_place(
    engine: Engine, rig: EngineRig, content: bytes, named: str
) -> None:
    file = rig.folder / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"rows\.csv: .*{named}") as caught:  # noqa: PT012 - found at either moment
        engine.open("t", Source(path=file))
        engine.rows("select count(a) from t")
    assert "CANARY" not in str(caught.value)


def test_keep_stored_holds_the_rows_of_that_moment(engine: Engine) -> None:
    engine.keep("base", "select 1 as x")
    engine.keep("copy", "select x from base")
    engine.keep("view", "select x from base", stored=False)
    engine.keep("base", "select 2 as x")
    assert engine.rows("select x from copy")[0][0] == 1
    assert engine.rows("select x from view")[0][0] == 2


def test_keep_replaces_whatever_had_the_name(engine: Engine) -> None:
    for stored in (True, False, False, True, True):
        engine.keep("name", f"select {int(stored)} as x", stored=stored)
        assert engine.rows("select x from name")[0][0] == int(stored)
    engine.keep("name", "select x + 1 as x from name")
    assert engine.rows("select x from name")[0][0] == 2


def test_rows_gives_values_of_python(engine: Engine) -> None:
    row = engine.rows("select 'a', 1, 0.5e0, true, null")[0]
    assert tuple(row) == ("a", 1, 0.5, True, None)


def test_rows_gives_a_time_as_utc_text_wherever_the_machine_stands(engine: Engine) -> None:
    moment = "cast('2026-01-02T03:04:05+02:00' as timestamp with time zone) at time zone 'UTC'"
    assert engine.rows(f"select cast({moment} as varchar)")[0][0] == "2026-01-02 01:04:05"


def test_write_keeps_the_statements_order_and_the_tables_types(
    engine: Engine, rig: EngineRig
) -> None:
    file = rig.folder / "pairs.parquet"
    rows = "(values (3), (0), (4), (1), (2)) as r(i)"
    statement = f"select cast(i as varchar) as n, 'x' as name from {rows} order by i desc"  # noqa: S608 - of numbers alone
    assert engine.write(statement, file, PAIRS) == 5
    engine.open("back", Source(path=file, text=False))
    assert [row[0] for row in engine.rows("select n from back order by _row")] == [4, 3, 2, 1, 0]


def test_write_equal_rows_twice_makes_equal_files(engine: Engine, rig: EngineRig) -> None:
    digests = set()
    for name in ("one", "two"):
        file = rig.folder / f"{name}.parquet"
        engine.write("select 'a' as name, 1 as n", file, PAIRS)
        digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_write_that_fails_leaves_the_old_file_and_no_other(engine: Engine, rig: EngineRig) -> None:
    file = rig.folder / "out" / "pairs.parquet"
    engine.write("select 'old' as name, 1 as n", file, PAIRS)
    before = file.read_bytes()
    with pytest.raises(Exception, match=r"."):
        engine.write("select 'new' as name, cast('x' as bigint) as n", file, PAIRS)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["pairs.parquet"]


def test_write_where_a_file_stands_in_the_way_raises_an_input_error(
    engine: Engine, rig: EngineRig
) -> None:
    blocker = rig.folder / "blocker"
    blocker.write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="blocker"):
        engine.write("select 'a' as name, 1 as n", blocker / "pairs.parquet", PAIRS)


def test_functions_give_the_same_numbers_on_every_engine(engine: Engine) -> None:
    digest = hashlib.md5(b"salt:C1", usedforsecurity=False).hexdigest()
    slices = [int(digest[k * 8 : k * 8 + 8], 16) for k in range(4)]
    columns = ", ".join(f"u32(digest('salt:' || 'C1'), {k})" for k in range(4))
    assert [int(str(value)) for value in engine.rows(f"select {columns}")[0]] == slices


def test_number_of_reads_only_numbers(engine: Engine) -> None:
    texts = {"1.5": 1.5, "-2e3": -2000.0, " 7 ": 7.0, "1_000": None, "1,5": None, "": None}
    asked = ", ".join(f"number_of('{text}')" for text in texts)
    assert list(engine.rows(f"select {asked}, number_of('x')")[0]) == [*texts.values(), None]


def times_of(engine: Engine, texts: Sequence[str]) -> list[object]:
    values = ", ".join(f"({n}, {literal(text)})" for n, text in enumerate(texts))
    asked = f"select n, cast(time_of(t) as varchar) from (values {values}) as v(n, t) order by n"  # noqa: S608 - quoted
    return [row[1] for row in engine.rows(asked)]


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spelled=st.lists(spelled_times(), min_size=1, max_size=40))
def test_time_of_gives_the_time_in_utc_however_it_is_spelled(
    engine: Engine, spelled: list[tuple[str, str]]
) -> None:
    found = times_of(engine, [text for text, _ in spelled])
    for (text, meant), value in zip(spelled, found, strict=True):
        whole, _, part = str(value).partition(".")
        assert f"{whole}.{part:<06}" == meant, text


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("C1 ", "C1 "),
        ("a@b@C", "a@b@C"),
        (" Ana@Example.COM\u200b", "ana@example.com"),
        ("\uff21\uff2e\uff21\uff20x\uff0ecom\u3000", "ana@x.com"),
        ("\u0130\u03a3@\u00dc.de", "i\u03c3@\u00fc.de"),
        ("@Handle", "@handle"),
        (None, None),
    ],
)
def test_folded_ignores_case_space_and_width_of_addresses_alone(
    engine: Engine, written: str | None, folded: str | None
) -> None:
    text = "cast(null as varchar)" if written is None else literal(written)
    assert [tuple(row) for row in engine.rows(f"select folded({text})")] == [(folded,)]


def test_two_engines_do_not_see_each_others_tables(rig: EngineRig) -> None:
    one, two = rig.make(), rig.make()
    try:
        one.keep("t", "select 1 as x")
        two.keep("t", "select 2 as x")
        assert (one.rows("select x from t")[0][0], two.rows("select x from t")[0][0]) == (1, 2)
    finally:
        one.close()
        two.close()


def test_open_copy_of_another_encoding_gives_the_same_rows(engine: Engine, rig: EngineRig) -> None:
    file = rig.folder / "report.csv"
    text = 'Report;;\nid;text;n\n007;"Zoë; ""Z""\r\nsecond line";\n 8 ;;2\n;;\nTotal: 2;;\n'
    file.write_bytes(text.encode("cp1252"))
    files = FileResolver(data=rig.folder)
    assert Tables(engine, files=files).open("t", file) == ("id", "text", "n")
    assert [tuple(row) for row in engine.rows("select * from t order by _row")] == [
        (1, "007", 'Zoë; "Z"\r\nsecond line', None),
        (2, " 8 ", None, "2"),
    ]
    files.close()


COMMA, DOTTED = FileOptions(decimal=","), FileOptions(decimal=",", thousands=".")
POINT, GROUPED = FileOptions(), FileOptions(thousands=",")
NUMBERS: list[tuple[FileOptions, str, float | None]] = [
    (POINT, "12.5", 12.5),
    (POINT, " -3 ", -3.0),
    (POINT, "$1,299.00", 1299.0),
    (POINT, "1,299,000", 1299000.0),
    (POINT, "1,299", None),
    (POINT, "1.299,00", None),
    (POINT, "0,23", None),
    (POINT, "EUR 12.50", 12.5),
    (POINT, "12.50\u00a0€", 12.5),
    (POINT, "-£5", -5.0),
    (POINT, "£ \u22125.5", -5.5),
    (POINT, "1\u202f299.5", 1299.5),
    (POINT, "1'299.50", 1299.5),
    (POINT, "1_000", None),
    (POINT, "12 34", None),
    (POINT, "1.2.3", None),
    (POINT, "abc", None),
    (POINT, "(4.50)", -4.5),
    (POINT, "($1,299.50)", -1299.5),
    (POINT, "4.50-", -4.5),
    (POINT, "(4.50", None),
    (POINT, "-(4.50)", None),
    (GROUPED, "1,299", 1299.0),
    (GROUPED, "12,99", None),
    (COMMA, "0,23", 0.23),
    (COMMA, "1.299,00", 1299.0),
    (COMMA, "1.299.000", 1299000.0),
    (COMMA, "1.299", None),
    (COMMA, "1 299,50 kr", 1299.5),
    (COMMA, "1299", 1299.0),
    (COMMA, "1,5E+3", 1500.0),
    (COMMA, "12.5", None),
    (COMMA, "1.299,50 €\u2212", -1299.5),
    (DOTTED, "1.299", 1299.0),
    (DOTTED, "12.5", None),
    (DOTTED, "1.299,5 zł", 1299.5),
]
DATES: list[tuple[str, tuple[str, ...], str | None]] = [
    ("2026-03-01", (), "2026-03-01"),
    ("11/20/2025 9:05:00 PM", ("%m/%d/%Y %I:%M:%S %p",), "2025-11-20"),
    ("1/2/2025 12:00:00 AM", ("%m/%d/%Y %I:%M:%S %p",), "2025-01-02"),
    ("45982", ("excel_serial",), "2025-11-21"),
    ("45000.5", ("excel_serial",), "2023-03-15"),
    ("1", ("excel_serial",), "1900-01-01"),
    ("61", ("excel_serial",), "1900-03-01"),
    ("0", ("excel_serial",), None),
    ("1700000000", ("epoch_seconds",), "2023-11-14"),
    ("-1", ("epoch_seconds",), "1969-12-31"),
    ("1700000000999", ("epoch_milliseconds",), "2023-11-14"),
    ("1e300", ("epoch_seconds", "epoch_milliseconds", "excel_serial"), None),
    ("3. März 2025", ("%d. %B %Y",), "2025-03-03"),
    ("12 févr. 2024", ("%d %b %Y",), "2024-02-12"),
    ("12 Févr. 2024", ("%d %b. %Y",), "2024-02-12"),
    ("5 de enero de 2024", ("%d de %B de %Y",), "2024-01-05"),
    ("martedì 7 gennaio 2025", ("martedì %d %B %Y",), "2025-01-07"),
    ("31-okt-2025", ("%d-%b-%Y",), "2025-10-31"),
    ("1 Sept 2025", ("%d %b %Y",), "2025-09-01"),
    ("1 grudnia 2025", ("%d %B %Y",), "2025-12-01"),
    ("1 marchons 2025", ("%d %B %Y",), None),
    ("2025-11-20", ("%d.%m.%Y", "%Y-%m-%d"), "2025-11-20"),
    ("Never", ("%d %b %Y", "excel_serial"), None),
]


def test_conversions_read_numbers_as_people_write_them(engine: Engine) -> None:
    expressions = [conversions.number(literal(text), options) for options, text, _ in NUMBERS]
    (found,) = engine.rows(f"select {', '.join(expressions)}")
    assert [(n[1], value) for n, value in zip(NUMBERS, found, strict=True)] == [
        (text, value) for _, text, value in NUMBERS
    ]


def test_conversions_read_dates_as_people_write_them(engine: Engine) -> None:
    expressions = [
        f"cast({conversions.date(literal(text), formats, POINT)} as varchar)"
        for text, formats, _ in DATES
    ]
    (found,) = engine.rows(f"select {', '.join(expressions)}")
    assert [(d[0], value) for d, value in zip(DATES, found, strict=True)] == [
        (text, value) for text, _, value in DATES
    ]
