"""Writing and reading the audit log: append, mark, records, verify."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import fcntl
import hashlib
import hmac
import io
import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from liftwright import log
from liftwright.audit.checking import Verification, check
from liftwright.audit.lines import (
    HEADER,
    RUN,
    AuditRecord,
    escape,
    fields_of,
    key_of,
    to_fields,
    to_record,
)
from liftwright.errors import InputError, IntegrityError
from liftwright.model import AuditPosition, AuditRange

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

_LOCK_SECONDS = 60.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendResult:
    """What an append did.

    Attributes:
        range: all lines of the run, those of earlier appends included.
        written: lines that are new.
        torn: whether a line that a crash had left incomplete was moved to the `.torn` file.
    """

    range: AuditRange
    written: int
    torn: bool


class AuditLog:
    """The audit file at `path`; safe for threads and processes, durable when `append` returns.

    Args:
        path: the file; it and its folder are made at the first append.
        key: the secret of the hashes; None or empty makes them plain SHA-256.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.path = path
        self._key = key or None

    def mark(self) -> AuditPosition:
        """The end of the file as it stands: what a new run passes as `since`."""
        try:
            with self.path.open("rb") as file, _locked(file.fileno(), self.path, fcntl.LOCK_SH):
                mark = AuditPosition()
                for line in file:
                    if line.endswith(b"\n"):
                        mark = AuditPosition(line=mark.line + 1, offset=mark.offset + len(line))
                return mark
        except FileNotFoundError:
            return AuditPosition()
        except OSError as error:
            raise _unusable(self.path, error, "read") from error

    def append(
        self, records: Sequence[AuditRecord], *, run_id: str, since: AuditPosition | None = None
    ) -> AppendResult:
        """Write the decisions that are not there yet, and sync them to the disk.

        A decision is there already if a line since `since` has the same run, variant, content,
        screener, policy and status; a block for an unavailable screener counts as a status of
        its own, so that a later real block is recorded.

        Args:
            records: decisions of the run `run_id`, in the order they were taken.
            run_id: the run; its range is given back even where `records` is empty.
            since: a place before the run's first line; None looks through the whole file.

        Raises:
            InputError: the file cannot be written. Nothing of this call counts as decided.
            IntegrityError: the last line or the header is not what was written, or a line
                since `since` is no record.
        """
        if any(record.run_id != run_id for record in records):
            raise ValueError(f"append takes the records of one run, {run_id!r}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise InputError(f"{self.path}: the audit log must be a regular file")
                with _locked(descriptor, self.path, fcntl.LOCK_EX):
                    return self._append(file, records, run_id, since or AuditPosition())
        except OSError as error:
            raise _unusable(self.path, error, "written") from error

    def _append(
        self, file: BinaryIO, records: Sequence[AuditRecord], run_id: str, since: AuditPosition
    ) -> AppendResult:
        torn = self._set_torn_line_aside(file)
        size = os.fstat(file.fileno()).st_size
        previous = self._tail_hash(file, size)
        found, known, end = self._look_through(file, run_id, since)
        rows = [HEADER] if size == 0 else []
        line = max(end, 1)
        count, first, head = found.count, found.first, found.head
        for record in records:
            text = to_fields(record)
            if (key := key_of(text)) in known:
                continue
            known.add(key)
            row, previous = self._row(text, previous)
            rows.append(row)
            line, count, head = line + 1, count + 1, previous
            first = first or line
        written = count - found.count
        self._write(file.fileno(), b"".join(rows), size)
        last = line if written else found.last
        return AppendResult(
            range=dataclasses.replace(found, first=first, last=last, count=count, head=head),
            written=written,
            torn=torn,
        )

    def _write(self, descriptor: int, text: bytes, size: int) -> None:
        try:
            rest = memoryview(text)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            if size == 0:
                _sync_folder(self.path)
        except OSError:
            # A half-written line would look like a crash, and a whole one like a decision.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise

    def _row(self, text: Sequence[str], previous: str) -> tuple[bytes, str]:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="").writerow([*text, previous])
        body = buffer.getvalue().encode()
        digest = self._digest(body)
        return body + b"," + digest.encode() + b"\n", digest

    def _digest(self, text: bytes, *, plain: bool = False) -> str:
        if self._key is None or plain:
            return hashlib.sha256(text).hexdigest()
        return hmac.digest(self._key, text, "sha256").hex()

    def _set_torn_line_aside(self, file: BinaryIO) -> bool:
        size = file.seek(0, os.SEEK_END)
        end = _after_last_newline(file, size)
        if end == size:
            return False
        file.seek(end)
        torn = file.read(size - end)
        aside = self.path.with_suffix(".torn")
        with aside.open("ab") as other:
            other.write(torn + b"\n")
            other.flush()
            os.fsync(other.fileno())
        _sync_folder(aside)
        os.ftruncate(file.fileno(), end)
        os.fsync(file.fileno())
        log.event("audit_line_torn", agent="audit", level="warning", bytes=size - end)
        return True

    def _tail_hash(self, file: BinaryIO, size: int) -> str:
        """The hash that the next line must name, once the last line agrees with itself."""
        if size == 0:
            return self._digest(HEADER)
        file.seek(0)
        if file.read(len(HEADER)) != HEADER:
            raise IntegrityError(f"{self.path}: line 1 is not the header of an audit log")
        if size == len(HEADER):
            return self._digest(HEADER)
        start = _after_last_newline(file, size - 1)
        file.seek(start)
        body, _, digest = file.read(size - start)[:-1].rpartition(b",")
        if self._digest(body).encode() == digest:
            return digest.decode()
        if self._digest(body, plain=True).encode() == digest:
            raise IntegrityError(
                f"{self.path}: the last line is hashed without a key, but an audit key is set; "
                "unset LIFTWRIGHT_AUDIT_KEY, or move this log elsewhere to start a keyed one"
            )
        key = "another key" if self._key else "a key, which is not set here"
        raise IntegrityError(f"{self.path}: the last line was changed, or is hashed with {key}")

    def _look_through(
        self, file: BinaryIO, run_id: str, since: AuditPosition
    ) -> tuple[AuditRange, set[tuple[str, ...]], int]:
        """The run's lines since a place, the keys of all lines seen, and the last line's number."""
        file.seek(max(since.offset - 1, 0))
        if since.offset and file.read(1) != b"\n":
            # The place is not of this file (it was replaced, say): look at all of it.
            since = AuditPosition()
            file.seek(0)
        known: set[tuple[str, ...]] = set()
        found, line = AuditRange(run_id=run_id, since=since), since.line
        name = escape(run_id)
        for line, text in enumerate(file, start=since.line + 1):
            if line == 1:
                continue
            fields = fields_of(text)
            if fields is None:
                raise IntegrityError(f"{self.path}: line {line} is not an audit record")
            if fields[RUN] == name:
                known.add(key_of(fields))
                found = AuditRange(
                    run_id=run_id,
                    first=found.first or line,
                    last=line,
                    count=found.count + 1,
                    head=fields[-1],
                    since=since,
                )
        return found, known, line

    def records(self, run_id: str) -> tuple[AuditRecord, ...]:
        """The decisions of one run, in the order they were written."""
        name = escape(run_id)
        try:
            with self.path.open("rb") as file, _locked(file.fileno(), self.path, fcntl.LOCK_SH):
                file.readline()
                rows = [row for row in map(fields_of, file) if row and row[RUN] == name]
        except OSError as error:
            raise _unusable(self.path, error, "read") from error
        return tuple(to_record(row) for row in rows)

    def verify(
        self, ranges: Iterable[AuditRange], *, unfinished: Collection[str] = ()
    ) -> Verification:
        """Recompute the whole chain and compare it with what the runs recorded.

        Args:
            ranges: what each run of the workspace recorded, all runs.
            unfinished: ids of interrupted runs, which may have more lines than they recorded.

        Raises:
            InputError: the file is there and cannot be read.
        """
        ranges = [item for item in ranges if item.count]
        try:
            with self.path.open("rb") as file, _locked(file.fileno(), self.path, fcntl.LOCK_SH):
                return check(file, self._digest, ranges, unfinished)
        except FileNotFoundError:
            return Verification(ok=False, lines=0, problems=(f"{self.path}: is missing",))
        except OSError as error:
            raise _unusable(self.path, error, "read") from error


def _after_last_newline(file: BinaryIO, end: int) -> int:
    """The place after the last line end before byte `end`; 0 where there is none."""
    while end > 0:
        start = max(end - _CHUNK, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_folder(path: Path) -> None:
    """Make a new file's name durable, which syncing the file alone does not."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(descriptor: int, path: Path, kind: int) -> Iterator[None]:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise InputError(f"{path}: is locked by another process") from None
            time.sleep(0.01)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _unusable(path: Path, error: OSError, what: str) -> InputError:
    return InputError(f"{path}: the audit log cannot be {what}: {error.strerror or error}")
