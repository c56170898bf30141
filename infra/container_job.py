"""One scheduled run in a container: the workspace comes from a share and goes back to it.

The share keeps the workspace between runs, but nothing runs on it: the ledger is SQLite, and
SQLite's locks and its write-ahead log are not safe on a network share. So the workspace is copied
to the container's own disk, run there, and copied back. While the run goes on, the ledger and the
logs are copied back again and again: a container that is killed outright forgets the paid calls of
at most that interval, and the next run asks those anew.

Two jobs at once would overwrite each other's ledger. A lock on the share, renewed at each copy,
keeps the second one out; a lock that nobody has renewed for long is one of a dead container.

Needs only the standard library. Exit status: that of `liftwright run`, except that a run that waits
for approval (5) ends the job with 0, because the platform reports every other status as a failure;
2 if the share holds no workspace, or another job is using it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

WRONG_INPUT = 2
WAITING_FOR_APPROVAL = 5
GRACE_SECONDS = 20
"""How long the run may take to end when the platform asks for it; it grants 30 by default."""
TIME_OF_A_SHARE_SECONDS = 1e-3
"""To what a share rounds times; NTFS, and so SMB, keeps tenths of a microsecond."""
LOCK = ".liftwright-job.lock"
LEDGER = Path("data/ledger.sqlite")
LOGS = Path("logs")
STAYS_HERE = frozenset({LOCK, ".lock", "ledger.sqlite-wal", "ledger.sqlite-shm"})


class JobError(Exception):
    """The job cannot go on; the message says why, and what to do."""


class Lock:
    """A file on the share that says who works on it.

    Args:
        path: the file.
        stale_seconds: after how long without renewal its owner is taken for dead.
    """

    def __init__(self, path: Path, stale_seconds: float) -> None:
        self._path, self._stale_seconds = path, stale_seconds
        self._token = uuid.uuid4().hex

    def take(self) -> None:
        """Take the lock.

        Raises:
            JobError: where another job holds it.
        """
        try:
            self._create()
        except FileExistsError:
            age = self._age()
            if age is None or age < self._stale_seconds:
                raise JobError(
                    f"{self._path}: another job is at this workspace; wait for its end, or, if "
                    f"there is none, wait {self._stale_seconds:g} seconds"
                ) from None
            # A rename succeeds for one of several that find the same dead lock.
            dead = self._path.with_name(f"{self._path.name}.{self._token}")
            try:
                self._path.rename(dead)
                self._create()
            except (FileNotFoundError, FileExistsError):
                raise JobError(f"{self._path}: another job was faster; nothing is lost") from None
            dead.unlink()

    def renew(self) -> None:
        """Say that we are still alive.

        Raises:
            JobError: where the lock is no longer ours.
        """
        if self._owner() != self._token:
            raise JobError(f"{self._path}: another job has taken over; nothing more is copied back")
        os.utime(self._path)

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        if self._owner() == self._token:
            self._path.unlink()

    def _create(self) -> None:
        with self._path.open("x", encoding="ascii") as file:
            file.write(self._token)

    def _owner(self) -> str:
        try:
            return self._path.read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def _age(self) -> float | None:
        """Seconds since the last renewal, by the share's clock alone; None where it is gone."""
        probe = self._path.with_name(f"{self._path.name}.{self._token}")
        probe.touch()
        try:
            return probe.stat().st_mtime - self._path.stat().st_mtime
        except FileNotFoundError:
            return None
        finally:
            probe.unlink()


def files_below(folder: Path) -> Iterator[Path]:
    """The files that make up a workspace, relative to it; locks and SQLite's own left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in STAYS_HERE and not path.name.startswith(LOCK):
            yield path.relative_to(folder)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that nobody ever reads half of it; an equal one is left alone."""
    status = source.stat()
    with contextlib.suppress(FileNotFoundError):
        there = target.stat()
        same_time = abs(there.st_mtime - status.st_mtime) < TIME_OF_A_SHARE_SECONDS
        if there.st_size == status.st_size and same_time:
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with source.open("rb") as reader, part.open("wb") as writer:
        shutil.copyfileobj(reader, writer, 1 << 20)
        writer.flush()
        os.fsync(writer.fileno())
    os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
    part.replace(target)


def copy_ledger(local: Path, share: Path) -> None:
    """Copy the ledger as it stands between two writes, also while a run writes to it."""
    source = local / LEDGER
    if not source.is_file():
        return
    snapshot = source.with_name("ledger.snapshot")
    with (
        contextlib.closing(sqlite3.connect(source, timeout=30)) as live,
        contextlib.closing(sqlite3.connect(snapshot)) as copy,
    ):
        live.backup(copy)
    try:
        copy_whole(snapshot, share / LEDGER)
    finally:
        snapshot.unlink()


def bring(share: Path, local: Path) -> None:
    """Copy the workspace from the share.

    Raises:
        JobError: where the share holds none.
    """
    if not (share / "config" / "azure_config.yaml").is_file():
        raise JobError(
            f"{share}: holds no workspace; lay one down with `liftwright init`, fill it, and "
            "upload it with `az storage file upload-batch`"
        )
    for name in files_below(share):
        copy_whole(share / name, local / name)


def take_back(local: Path, share: Path, *, everything: bool) -> None:
    """Copy the ledger and the logs to the share; with `everything`, what else has changed, too.

    The ledger goes first: what was paid for is what must not be lost.
    """
    copy_ledger(local, share)
    folder = local if everything else local / LOGS
    for name in files_below(folder):
        path = folder / name
        if path != local / LEDGER:
            copy_whole(path, share / path.relative_to(local))


def run(local: Path, share: Path, arguments: list[str], *, interval: float) -> int:
    """Run the workspace to its end, and bring back what came of it.

    Args:
        local: where it runs; a disk of the container's own.
        share: where it is kept.
        arguments: for `liftwright run`.
        interval: seconds between two copies of ledger and logs.

    Raises:
        JobError: see the module.
    """
    lock = Lock(share / LOCK, stale_seconds=10 * interval)
    lock.take()
    try:
        bring(share, local)
        status = _supervised(local, share, arguments, lock, interval)
        lock.renew()
        take_back(local, share, everything=True)
    finally:
        lock.release()
    return status


def _supervised(local: Path, share: Path, arguments: list[str], lock: Lock, interval: float) -> int:
    """Start the run, pass on the platform's wish to end, and keep ledger and logs safe."""
    command = ["liftwright", "run", "--workspace", str(local), *arguments]
    with subprocess.Popen(command) as child:  # noqa: S603 - our own command, arguments of the job

        def pass_on(number: int, _: FrameType | None) -> None:
            child.send_signal(number)
            signal.alarm(GRACE_SECONDS)

        def end(_: int, __: FrameType | None) -> None:
            child.kill()

        before = signal.signal(signal.SIGTERM, pass_on), signal.signal(signal.SIGALRM, end)
        try:
            while True:
                try:
                    return child.wait(timeout=interval)
                except subprocess.TimeoutExpired:
                    lock.renew()
                    take_back(local, share, everything=False)
        except JobError:
            child.kill()
            raise
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGTERM, before[0])
            signal.signal(signal.SIGALRM, before[1])


def main() -> int:
    """Run the job as the environment says; gives the exit status."""
    local = Path(os.environ.get("LIFTWRIGHT_JOB_FOLDER", "/campaign"))
    share = Path(os.environ.get("LIFTWRIGHT_JOB_SHARE", "/share"))
    interval = float(os.environ.get("LIFTWRIGHT_JOB_INTERVAL_SECONDS", "30"))
    started = time.monotonic()
    try:
        status = run(local, share, sys.argv[1:], interval=interval)
    except (JobError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_INPUT
    sys.stderr.write(f"The run ended with {status} after {time.monotonic() - started:.0f} s.\n")
    if status == WAITING_FOR_APPROVAL:
        sys.stderr.write("The run waits for approval; approve its messages, then run it again.\n")
        return 0
    # A run that a signal ended has a negative status, which no shell knows.
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
