from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.data import FileResolver, Tables
from liftwright.errors import DataError, InputError
from liftwright.model import SEGMENTED
from liftwright.ports import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.ports import Engine, Row

HEADER = b"a,b,c\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made: Engine = DuckDBEngine(tmp_path / "spill", memory="500 MB", threads=2)
    yield made
    made.close()


def written(folder: Path, content: bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(engine: Engine, path: Path) -> list[Row]:
    files = FileResolver(data=path.parent)
    try:
        Tables(engine, files=files).open("opened", path)
        return list(engine.rows("select * from opened"))
    finally:
        files.close()


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (HEADER + b"007,=cmd|x,1e3\n", [(1, "007", "=cmd|x", "1e3")]),
        (HEADER + b' 1 ,"q\nz",3\n4,5,6\n', [(1, " 1 ", "q\nz", "3"), (2, "4", "5", "6")]),
        (b"\xef\xbb\xbf" + HEADER + b"1,2,3\n", [(1, "1", "2", "3")]),
        (b'\xef\xbb\xbf"a","b","c"\n1,2,3\n', [(1, "1", "2", "3")]),
        (HEADER + "José,2,3\n".encode("latin-1"), [(1, "José", "2", "3")]),
        (HEADER + "José,2,3\n".encode(), [(1, "José", "2", "3")]),
        (b"a;b;c\n1;2,5;3\n", [(1, "1", "2,5", "3")]),
        (b"a\tb\tc\n1\t2\t3\n", [(1, "1", "2", "3")]),
        (b"a|b|c\n1|2|3\n", [(1, "1", "2", "3")]),
        (b"a,b,c\r\n1,2,3\r\n", [(1, "1", "2", "3")]),
        (b"a,b,c\r1,2,3\r4,5,6\r", [(1, "1", "2", "3"), (2, "4", "5", "6")]),
        (HEADER + b"1,2,3\n\n4,5,6", [(1, "1", "2", "3"), (2, "4", "5", "6")]),
        (HEADER + b'1,"say ""hi""",\n', [(1, "1", 'say "hi"', None)]),
        (HEADER + b"#1,,3\n", [(1, "#1", None, "3")]),
        (HEADER + b"1,2,\n3,4,\n", [(1, "1", "2", None), (2, "3", "4", None)]),
        (b"a\n1\n2\n", [(1, "1"), (2, "2")]),
        (b"\n" + HEADER + b"1,2,3\n", [(1, "1", "2", "3")]),
    ],
)
def test_open_well_formed_csv_gives_text_in_its_exact_bytes(
    engine: Engine, tmp_path: Path, content: bytes, rows: list[Row]
) -> None:
    assert read(engine, written(tmp_path, content)) == rows


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (HEADER, "no rows"),
        (HEADER + b"\n\n", "no rows"),
        (b"a,,c\n1,2,3\n", "column 2 has no name"),
        (b"a,_row,c\n1,2,3\n", "reserved"),
        (HEADER + b"1,2,3\n4,5\n6,7,8\n", "line 3: found 2 fields"),
        (HEADER + b"1,2,3\n4,5,6,7\n", "line 3: found 4 fields"),
        (HEADER + b'"1\n1",2,3\n4,5\n', "line 4: found 2 fields"),
        (HEADER + b'1,"2",3\n1,2,3,\n', "line 3: found 4 fields"),
        (HEADER + b"1,2,3\n1,2,3,", "line 3: found 4 fields"),
        (HEADER + b'1,"2,3\n4,5,6\n', "a quote"),
        (HEADER + b'1,"2"x,3\n4,5,6\n', "a quote"),
        (b"a,b,c\r\n1,2,3\n4,5,6\r\n", "line ends"),
        (HEADER + b"1,2\x00,3\n", "NUL byte at byte 10"),
        (b"\x1f\x8b\x08rest", "damaged"),
        (b"PK\x03\x04rest", "damaged"),
        (HEADER + b'1,"' + b"x" * 3_000_000 + b'",3\n', "line 2"),
    ],
)
def test_open_malformed_csv_is_refused_in_one_line_that_names_the_file(
    engine: Engine, tmp_path: Path, content: bytes, said: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError) as raised:
        read(engine, path)
    message = str(raised.value)
    assert said in message
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 400


def test_open_broken_parquet_is_refused(engine: Engine, tmp_path: Path) -> None:
    path = written(tmp_path, b"PAR1 and nothing else", "rows.parquet")
    with pytest.raises(InputError, match=r"rows\.parquet"):
        engine.open("opened", Source(path=path))


def test_open_parquet_folder_numbers_rows_through_its_files(engine: Engine, tmp_path: Path) -> None:
    engine.write("select 7 as n, 'x' as t", tmp_path / "in" / "b.parquet")
    engine.write("select 3 as n, 'y' as t", tmp_path / "in" / "a.parquet")
    names = engine.open("typed", Source(path=tmp_path / "in", text=False))
    engine.open("texts", Source(path=tmp_path / "in"))
    assert names == ("n", "t")
    assert engine.rows("select * from typed order by _row") == [(1, 3, "y"), (2, 7, "x")]
    assert engine.rows("select n from texts order by _row") == [("3",), ("7",)]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("select 'x' as n, 'y' as t", r"b\.parquet: column 'n' holds VARCHAR.*in a\.parquet"),
        ("select 1 as n", r"b\.parquet: no column 't', which a\.parquet"),
        ("select 1 as n, 'y' as t, 2 as z", r"a\.parquet: no column 'z', which b\.parquet"),
    ],
)
def test_open_folder_of_mixed_schemas_is_refused_with_file_and_column(
    engine: Engine, tmp_path: Path, statement: str, said: str
) -> None:
    engine.write("select 7 as n, 'x' as t", tmp_path / "a.parquet")
    engine.write(statement, tmp_path / "b.parquet")
    with pytest.raises(DataError, match=said):
        engine.open("opened", Source(path=tmp_path))


@pytest.mark.parametrize("compression", ["zstd", "snappy", "uncompressed"])
def test_rows_of_a_damaged_parquet_file_are_refused_with_its_name(
    engine: DuckDBEngine, tmp_path: Path, compression: str
) -> None:
    path = tmp_path / "rows.parquet"
    engine._connection.execute(
        f"copy (select i % 60 as n, repeat('ab', i % 7) as t from range(20000) as r(i)) "  # noqa: S608 - known texts
        f"to '{path}' (format parquet, compression {compression}, row_group_size 2048)"
    )
    whole, told = path.read_bytes(), []
    for start in range(4, len(whole) - 8, len(whole) // 40):
        damaged = bytearray(whole)
        damaged[start : start + 8] = b"\xff" * 8
        broken = tmp_path / f"broken-{start}.parquet"
        broken.write_bytes(damaged)
        try:
            engine.open("opened", Source(path=broken, text=False))
            engine.rows("select sum(n), sum(length(t)) from opened")
        except InputError as error:
            # A damaged length may ask for more memory than there is.
            told.append(str(error).replace(str(broken), "FILE"))
    assert any(message.startswith("FILE: ") for message in told)


@pytest.mark.parametrize("name", ["a*.csv", "b[1].csv", "it's?.csv", "café.csv"])
def test_open_name_with_pattern_characters_reads_that_file_alone(
    engine: Engine, tmp_path: Path, name: str
) -> None:
    written(tmp_path, b"x,y\n0,0\n", "ab.csv")
    written(tmp_path, b"x,y\n0,0\n", "b1.csv")
    assert read(engine, written(tmp_path, b"x,y\n1,2\n", name)) == [(1, "1", "2")]


def test_write_equal_rows_make_equal_files_in_the_declared_types(
    engine: Engine, tmp_path: Path
) -> None:
    statement = (
        "select 'r' as reason, cast(i as varchar) as customer_id, 'S' as segment, 1 as confidence "
        "from range(150000) as t(i)"
    )
    digests = set()
    for name in ("one.parquet", "two.parquet"):
        assert engine.write(statement, tmp_path / name, SEGMENTED) == 150_000
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    engine.open("back", Source(path=tmp_path / "one.parquet", text=False))
    described = engine.rows("describe back")
    assert [(row[0], row[1]) for row in described[1:]] == [
        ("customer_id", "VARCHAR"),
        ("segment", "VARCHAR"),
        ("confidence", "DOUBLE"),
        ("reason", "VARCHAR"),
    ]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110 - a device
def test_write_on_a_full_disk_names_the_folder(engine: Engine, tmp_path: Path) -> None:
    # A new file of this name is the full device itself.
    (tmp_path / ".rows.parquet.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match="disk is full"):
        engine.write("select 1 as n", tmp_path / "rows.parquet")
    assert list(tmp_path.glob("*.parquet")) == []


def test_rows_beyond_the_memory_are_refused_with_the_setting_to_raise(tmp_path: Path) -> None:
    engine = DuckDBEngine(tmp_path, memory="20MB", threads=1)
    with pytest.raises(InputError, match=r"engine_memory|full"):
        engine.rows("select list(repeat(cast(i as varchar), 50)) from range(1000000) as t(i)")
    engine.close()


@pytest.mark.parametrize(
    ("call", "value"),
    [
        # RFC 1321: md5("abc") is 900150983cd24fb0d6963f7d28e17f72.
        ("u32(digest('abc'), 0)", 0x90015098),
        ("u32(digest('abc'), 1)", 0x3CD24FB0),
        ("u32(digest('abc'), 2)", 0xD6963F7D),
        ("u32(digest('abc'), 3)", 0x28E17F72),
        ("cast(time_of('2018-05-08') as varchar)", "2018-05-08 00:00:00"),
        ("cast(time_of(' 2018-05-08T10:30:00 ') as varchar)", "2018-05-08 10:30:00"),
        ("time_of('epoch')", None),
        ("time_of('5/8/2018')", None),
        ("cast(time_as('5/8/1986', '%m/%d/%Y') as varchar)", "1986-05-08 00:00:00"),
        ("time_as('5/8/1986 10:00', '%m/%d/%Y')", None),
        ("time_as('infinity', '%m/%d/%Y')", None),
        ("time_as('2/30/2020', '%m/%d/%Y')", None),
    ],
)
def test_functions_of_the_plane_give_known_answers(
    engine: Engine, call: str, value: object
) -> None:
    assert engine.rows(f"select {call}") == [(value,)]


def test_engine_plans_sums_above_joins_without_writing_out_what_is_between(
    engine: Engine,
) -> None:
    # With the step that does so, each of 40 levels doubles the work: this would never end.
    statement = "select l.x as y from pairs as l left join pairs as r on l.id = r.id"
    for _ in range(40):
        statement = (
            "select case when y > 1e0 then y - 1e0 else y + 1e0 end as y "  # noqa: S608 - our own
            f"from ({statement}) as inner_rows"
        )
    engine.keep("pairs", "select 'a' as id, 3e0 as x")
    assert engine.rows(f"select sum(y) from ({statement}) as outer_rows") == [(1.0,)]  # noqa: S608 - our own


def test_days_of_times_with_a_zone_are_those_of_utc_wherever_the_machine_stands(
    tmp_path: Path,
) -> None:
    asked = "select cast(cast('2026-01-02T22:00:00Z' as timestamptz) as date), "
    asked += "cast(cast('2026-01-02T22:00:00Z' as timestamptz) as varchar)"
    program = (
        "import sys; from pathlib import Path; from liftwright.adapters.duckdb.engine import *\n"
    )
    program += "print(DuckDBEngine(Path(sys.argv[1])).rows(sys.argv[2])[0])"
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), asked],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "Asia/Tokyo"},
    )
    assert found.stdout == "(datetime.date(2026, 1, 2), '2026-01-02 22:00:00+00')\n"


def test_engine_start_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    orphan = tmp_path / f"engine-{child.stdout.strip()}-x"
    alive = tmp_path / f"engine-{os.getpid()}-x"
    other = tmp_path / "engine-room"
    for folder in (orphan, alive, other):
        folder.mkdir()
    DuckDBEngine(tmp_path).close()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, other.name])


WRITER = """
import sys
from pathlib import Path
from liftwright.adapters.duckdb.engine import DuckDBEngine

folder = Path(sys.argv[1])
engine = DuckDBEngine(folder / "spill", threads=2)
print("ready", flush=True)
while True:
    engine.write(
        "select md5(cast(i as varchar)) as h, i from range(100000) as r(i)", folder / "rows.parquet"
    )
"""


def test_write_killed_on_its_way_leaves_a_whole_file_and_is_done_again(tmp_path: Path) -> None:
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        part = tmp_path / ".rows.parquet.part"
        while not part.exists():
            assert writer.poll() is None
        writer.kill()
        writer.communicate()
        engine = DuckDBEngine(tmp_path / "spill", threads=2)
        whole = tmp_path / "rows.parquet"
        if whole.exists():
            engine.open("whole", Source(path=whole, text=False))
            assert engine.rows("select count(*), max(i) from whole") == [(100_000, 99_999)]
        # The killed process's files do not matter, and its spill folder is removed.
        assert engine.write("select 1 as n", tmp_path / "other" / "rows.parquet") == 1
        assert len(list((tmp_path / "spill").iterdir())) == 1
        engine.close()
    engine = DuckDBEngine(tmp_path / "spill", threads=2)
    assert engine.write("select 2 as n", tmp_path / "rows.parquet") == 1
    assert not part.exists()
    engine.close()
