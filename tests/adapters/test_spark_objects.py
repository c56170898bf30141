from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from liftwright.adapters.spark.engine import SparkEngine
from liftwright.adapters.spark.files import reading_url
from liftwright.errors import DataError, InputError
from liftwright.model import parse_url
from liftwright.model.remote_files import RemoteFile
from liftwright.ports import Source
from spark_here import SPARK, local_spark

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ("a b'1.parquet", "d[1]+ü.parquet", "e%20f.parquet")


def remote(text: str) -> RemoteFile:
    return RemoteFile(url=parse_url(text), fetch=lambda *_: b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/in/a b.parquet", "s3a://bucket/in/a b.parquet"),
        ("s3a://bucket/x", "s3a://bucket/x"),
        ("gs://bucket/x.csv", "gs://bucket/x.csv"),
        (
            "abfss://c-1@acme.dfs.core.windows.net/a/x.csv",
            "abfss://c-1@acme.dfs.core.windows.net/a/x.csv",
        ),
        ("s3://bucket/odd[1]{2}.csv", "s3a://bucket/odd\\[1\\]\\{2\\}.csv"),
    ],
)
def test_reading_url_of_an_object_is_as_hadoop_names_it(text: str, expected: str) -> None:
    assert reading_url(remote(text)) == expected


def test_reading_url_of_a_path_is_a_file() -> None:
    assert reading_url(Path("/data/c.csv")) == "file:///data/c.csv"


def test_reading_url_without_an_account_asks_for_it() -> None:
    with pytest.raises(DataError, match="account"):
        reading_url(remote("az://cont/c.csv"))


def parquet(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        file = str(folder / name).replace("'", "''")
        rows = f"select i as n from range({number * 3}, {number * 3 + 3}) x(i)"  # noqa: S608 - ours
        duckdb.execute(f"copy ({rows}) to '{file}' (format parquet)")


@pytest.fixture
def shelf(tmp_path: Path) -> Callable[[str], RemoteFile]:
    """Finds what lies in a folder as if it lay in a bucket."""

    def fetch(file: RemoteFile, start: int, end: int) -> bytes:
        return (tmp_path / file.url.key).read_bytes()[start:end]

    def find(text: str) -> RemoteFile:
        url = parse_url(text)
        path = tmp_path / url.key
        if not path.is_dir():
            size = path.stat().st_size
            return RemoteFile(url=url, size=size, fetch=fetch, scratch=lambda: tmp_path)
        inside = (find(f"s3://bucket/{part.relative_to(tmp_path)}") for part in path.iterdir())
        return RemoteFile(url=url, files=tuple(inside), fetch=fetch)

    return find


class TestSpark:
    pytestmark = SPARK

    def test_open_of_s3_reads_by_hadoops_name_for_it(
        self, tmp_path: Path, shelf: Callable[[str], RemoteFile]
    ) -> None:
        (tmp_path / "in").mkdir()
        parquet(tmp_path / "in")
        (tmp_path / "c d.csv").write_text("id;name\n007;Zoë\n008;\n", encoding="utf-8")
        engine = SparkEngine(local_spark())
        # Hadoop's own file system for mounts answers for s3a, with a folder of this machine.
        mounts = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
        engine._session.conf.set("fs.s3a.impl", mounts)
        engine._session.conf.set(
            "fs.viewfs.overload.scheme.target.file.impl", "org.apache.hadoop.fs.LocalFileSystem"
        )
        engine._session.conf.set("fs.viewfs.mounttable.bucket.linkFallback", f"file://{tmp_path}")
        with closing(engine):
            engine.open("parts", Source(path=shelf("s3://bucket/in/"), text=False))
            found = engine.rows("select _row, n from parts order by _row")
            assert found == [(n + 1, n) for n in range(3 * len(NAMES))]
            engine.open("csv", Source(path=shelf("s3://bucket/c d.csv")))
            assert engine.rows("select * from csv") == [(1, "007", "Zoë"), (2, "008", None)]

    def test_open_without_a_connector_says_which_setting_names_it(
        self, tmp_path: Path, shelf: Callable[[str], RemoteFile]
    ) -> None:
        parquet(tmp_path)
        engine = SparkEngine(local_spark())
        found = shelf("s3://another/e%20f.parquet")
        with closing(engine), pytest.raises(InputError, match=r"spark\.jars\.packages"):
            engine.open("rows", Source(path=found))
