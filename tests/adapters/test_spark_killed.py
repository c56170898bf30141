"""Spark killed during a write: no partial table is read, and the next process writes it again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from liftwright.adapters.spark.engine import SparkEngine
from liftwright.ports import Source
from spark_here import SPARK, local_spark
from waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = SPARK
ROWS = 300_000
STATEMENT = "select id, md5(cast(id as varchar)) as h from numbers"
WRITER = f"""
import sys, tempfile
from pathlib import Path
tempfile.tempdir = sys.argv[2]
from liftwright.adapters.spark.engine import SparkEngine
from spark_here import local_spark

engine = SparkEngine(local_spark())
engine._session.range(0, {ROWS}, numPartitions=3).createOrReplaceTempView("numbers")
file = Path(sys.argv[1]) / "rows.parquet"
engine.write("select 1 as id, 'old' as h", file)
print(engine._session.sparkContext._gateway.proc.pid, flush=True)
engine.write({STATEMENT!r}, file)
"""


@pytest.fixture
def spark() -> Iterator[SparkEngine]:
    engine = SparkEngine(local_spark())
    engine._session.range(0, ROWS, numPartitions=3).createOrReplaceTempView("numbers")
    yield engine
    engine.close()


def is_running(process: int) -> bool:
    """Whether a process that is not our child is still running."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_ended(process: int) -> None:
    wait_until(lambda: not is_running(process))


@contextlib.contextmanager
def writing(folder: Path, scratch: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process in the middle of replacing a table, and the id of its Java process."""
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WRITER, str(folder), str(scratch)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    ) as writer:
        try:
            assert writer.stdout is not None
            java = int(writer.stdout.readline())
            while not list(folder.glob(".rows.parquet.*.part/**/*.parquet")):
                assert writer.poll() is None, "it ended before it could be killed"
                time.sleep(0.002)
            yield writer, java
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(writer.pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see Java end")
def test_write_killed_on_its_way_leaves_the_old_table_and_is_done_again(
    spark: SparkEngine, tmp_path: Path
) -> None:
    folder, scratch, calm = tmp_path / "run", tmp_path / "scratch", tmp_path / "calm" / "r.parquet"
    folder.mkdir()
    scratch.mkdir()
    with writing(folder, scratch) as (writer, java):
        writer.kill()
        writer.wait()
        # Java ends because its connection to Python is lost.
        wait_until_ended(java)
    target = folder / "rows.parquet"
    assert sorted(path.name for path in folder.iterdir())[1:] == ["rows.parquet"]
    spark.open("found", Source(path=target, text=False))
    assert list(spark.rows("select id, h from found")) == [(1, "old")]

    assert spark.write(STATEMENT, target) == ROWS
    assert list(folder.iterdir()) == [target]
    assert spark.write(STATEMENT, calm) == ROWS
    again = {file.name: file.read_bytes() for file in target.iterdir()}
    assert again == {file.name: file.read_bytes() for file in calm.iterdir()}
    assert len(again) == 3
