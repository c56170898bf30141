"""The container job, with folders for share and disk and a stand-in for `liftwright`."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from waiting import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
JOB = ROOT / "infra" / "container_job.py"
LOCK = ".liftwright-job.lock"

# `liftwright run --workspace DIR WHAT…` pays for a call, then waits or fails as WHAT says.
STAND_IN = """
import pathlib, sqlite3, sys, time
root, what = pathlib.Path(sys.argv[3]), sys.argv[4:]
(root / "data").mkdir(exist_ok=True)
(root / "logs").mkdir(exist_ok=True)
ledger = sqlite3.connect(root / "data/ledger.sqlite", isolation_level=None)
ledger.execute("pragma journal_mode=wal")
ledger.execute("create table if not exists records (key text)")
ledger.execute("insert into records values ('paid')")
with open(root / "logs/safety_audit.log", "a") as log:
    log.write("decided\\n")
(root / "started").touch()
if "wait" in what:
    time.sleep(600)
run = root / "data/runs/one"
run.mkdir(parents=True, exist_ok=True)
(run / "run.json").write_text("{}")
sys.exit(3 if "fail" in what else 5 if "approval" in what else 0)
"""


class Place:
    def __init__(self, folder: Path) -> None:
        self.share, self.local = folder / "the share", folder / "campaign"
        self.local.mkdir()
        (self.share / "config").mkdir(parents=True)
        (self.share / "config" / "azure_config.yaml").write_text("adapters: {}\n", "utf-8")
        commands = folder / "bin"
        commands.mkdir()
        (folder / "stand_in.py").write_text(STAND_IN, "utf-8")
        (commands / "liftwright").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -I -S "{folder}/stand_in.py" "$@"\n', "utf-8"
        )
        (commands / "liftwright").chmod(0o755)
        self.environment = {
            "PATH": f"{commands}:/usr/bin:/bin",
            "LIFTWRIGHT_JOB_FOLDER": str(self.local),
            "LIFTWRIGHT_JOB_SHARE": str(self.share),
            "LIFTWRIGHT_JOB_INTERVAL_SECONDS": "0.2",
        }
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", JOB, *arguments],
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode, said

    def paid(self) -> int:
        """The number of paid calls in the ledger on the share."""
        ledger = self.share / "data" / "ledger.sqlite"
        if not ledger.is_file():
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as known:
            assert known.execute("pragma integrity_check").fetchone() == ("ok",)
            # The first copy may be of a ledger without a table yet.
            if not known.execute("select 1 from sqlite_master where name = 'records'").fetchall():
                return 0
            count: int = known.execute("select count(*) from records").fetchone()[0]
            return count


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for process in made.started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE_SECONDS)


@pytest.mark.parametrize(("arguments", "expected"), [((), 0), (("fail",), 3), (("approval",), 0)])
def test_job_copies_the_workspace_back_and_ends_with_the_status_of_the_run(
    place: Place, arguments: tuple[str, ...], expected: int
) -> None:
    status, said = place.run(*arguments)
    assert status == expected, said
    assert (place.share / "data/runs/one/run.json").read_text("utf-8") == "{}"
    assert (place.share / "logs/safety_audit.log").read_text("utf-8") == "decided\n"
    names = {path.name for path in place.share.rglob("*")}
    assert not {name for name in names if name.endswith((".part", "-wal", "-shm", ".snapshot"))}
    assert LOCK not in names
    assert place.paid() == 1


def test_job_again_on_a_fresh_disk_goes_on_with_what_was_paid(place: Place, tmp_path: Path) -> None:
    assert place.run()[0] == 0
    fresh = tmp_path / "another disk"
    fresh.mkdir()
    place.environment["LIFTWRIGHT_JOB_FOLDER"] = str(fresh)
    assert place.run()[0] == 0
    assert place.paid() == 2
    assert (place.share / "logs/safety_audit.log").read_text("utf-8") == "decided\n" * 2


def test_job_asked_to_end_stops_the_run_and_brings_back_what_there_is(place: Place) -> None:
    process = place.start("wait")
    wait_until((place.local / "started").exists)
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert place.paid() == 1
    assert not (place.share / LOCK).exists()


def test_job_killed_outright_has_kept_ledger_and_log_of_an_interval_ago(place: Place) -> None:
    process = place.start("wait")
    wait_until((place.share / "logs/safety_audit.log").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert (place.share / "logs/safety_audit.log").read_text("utf-8") == "decided\n"
    assert (place.share / LOCK).exists(), "nobody gave it back"
    old = time.time() - 3600
    os.utime(place.share / LOCK, (old, old))
    assert place.run()[0] == 0, "the next one takes over from the dead"
    assert place.paid() == 2


def test_second_job_at_once_is_kept_out_and_changes_nothing(place: Place) -> None:
    place.environment["LIFTWRIGHT_JOB_INTERVAL_SECONDS"] = "30"
    place.start("wait")
    wait_until((place.local / "started").exists)
    place.environment["LIFTWRIGHT_JOB_FOLDER"] = str(place.local / "second")
    status, said = place.run()
    assert status == 2
    assert "another job" in said
    assert not (place.local / "second").exists()
    assert (place.share / LOCK).exists(), "the first one's lock stays"


def test_job_whose_lock_another_took_stops_and_brings_nothing_back(place: Place) -> None:
    process = place.start("wait")
    wait_until(place.paid)
    (place.share / LOCK).write_text("another", "ascii")
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 2
    assert "another job" in said
    assert not (place.share / "data" / "runs").exists()
    assert (place.share / LOCK).read_text("ascii") == "another"


def test_job_without_a_workspace_on_the_share_says_how_it_gets_there(place: Place) -> None:
    (place.share / "config" / "azure_config.yaml").unlink()
    status, said = place.run()
    assert status == 2
    assert "workspace" in said
    assert not (place.share / LOCK).exists()
    assert not (place.local / "started").exists()
