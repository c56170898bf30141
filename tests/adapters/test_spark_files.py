"""Spark's output is published completely or not at all, wherever the process dies."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from liftwright.adapters.spark.files import new_part, remove_parts

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "old ", "new "

# Dies before the n-th rename or removal; completes if there are fewer.
DYING = """
import os, signal, sys
from pathlib import Path
from liftwright.adapters.spark.files import publish, remove_parts

part, path, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def hear(name, arguments):
    global left
    if name in ("os.rename", "os.remove", "os.rmdir"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hear)
publish(part, path)
remove_parts(path)
"""


def lay_part(path: Path, parts: int) -> Path:
    """What Spark leaves of a write that ended."""
    part = new_part(path)
    part.mkdir()
    (part / "_SUCCESS").touch()
    for number in range(parts):
        (part / f"part-{number:05}-e7a0-c000.zstd.parquet").write_text(f"{NEW}{number}")
        (part / f".part-{number:05}-e7a0-c000.zstd.parquet.crc").touch()
    return part


def lay_old(path: Path, parts: int) -> None:
    if parts == 1:
        path.write_text(f"{OLD}0")
    else:
        path.mkdir()
        for number in range(parts):
            (path / f"part-{number:05}.parquet").write_text(f"{OLD}{number}")


def content(path: Path) -> list[str]:
    """The texts of a file or of a folder's files; none if the path does not exist."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] * path.exists()
    return [file.read_text() for file in files]


def whole(kind: str, parts: int) -> list[str]:
    return [f"{kind}{number}" for number in range(parts)]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_publish_killed_at_any_moment_leaves_a_whole_table_or_none(
    tmp_path: Path, before: int, after: int
) -> None:
    path = tmp_path / "rows.parquet"
    lay_old(path, before)
    moments, status = 0, -9
    while status == -9:
        # The next process finds what the previous ones left, as a restarted run does.
        remove_parts(path)
        part = lay_part(path, after)
        child = [sys.executable, "-c", DYING, str(part), str(path), str(moments)]
        status = subprocess.run(child, check=False, timeout=60).returncode
        assert content(path) in (whole(OLD, before), whole(NEW, after), [])
        moments += 1
    assert status == 0
    assert moments > after
    assert content(path) == whole(NEW, after)
    assert list(tmp_path.iterdir()) == [path]


def test_remove_parts_leaves_whatever_is_not_of_that_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    half = new_part(path) / "_temporary" / "0"
    half.mkdir(parents=True)
    (half / "part-00000.parquet").write_text("half")
    kept = [path, tmp_path / ".rows.parquet", new_part(tmp_path / "other.parquet")]
    for file in kept:
        file.write_text("whole")
    remove_parts(path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
