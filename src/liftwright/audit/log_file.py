"""`AuditLog`: appends to, reads and verifies the audit log's file."""

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
from liftwright.audit.verification import Verification, verify_file
from liftwright.errors import InputError, IntegrityError
from liftwright.model import AuditPosition, AuditRange

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

_LOCK_SECONDS = 60.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendResult:
    """The result of an append.

    Attributes:
        range: all lines of the run, including those of earlier appends.
        written: the number of new lines.
        torn: whether an incomplete line left by a crash was moved to the `.torn` file.
    """

    range: AuditRange
    written: int
    torn: bool


class AuditLog:
    """The audit log at `path`; safe for threads and processes, durable when `append` returns.

    Args:
        path: the file; the first append creates it and its folder.
        key: the HMAC key; None or empty for plain SHA-256.
    """

    def __init__(self, path: Path, key: bytes | None = None) -> None:
        self.path = path
        self._key = key or None

    def mark(self) -> AuditPosition:
        """The current end of the file, which a new run passes as `since`."""
        try:
            with self.path.open("rb") as file, _locked(file.fileno(), self.path, fcntl.LOCK_SH):
                end = AuditPosition()
                for line in file:
                    if line.endswith(b"\n"):
                        end = AuditPosition(line=end.line + 1, offset=end.offset + len(line))
                return end
        except FileNotFoundError:
            return AuditPosition()
        except OSError as error:
            raise _unusable(self.path, error, "read") from error

    def append(
        self, records: Sequence[AuditRecord], *, run_id: str, since: AuditPosition | None = None
    ) -> AppendResult:
        """Write the decisions that are not yet in the log, and sync them to disk.

        A decision is in the log if a line after `since` has the same run, variant, content,
        screener, policy and status. A block because the screener is unavailable counts as another
        status, so that a later real block is also recorded.

        Args:
            records: decisions of the run `run_id`, in the order they were made.
            run_id: the run; its range is returned even if `records` is empty.
            since: a position before the run's first line; None scans the whole file.

        Raises:
            InputError: the file cannot be written; none of the decisions counts as made.
            IntegrityError: the header or the last line was altered, or a line after `since` is not
                a record.
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
        torn = self._move_torn_line(file)
        size = os.fstat(file.fileno()).st_size
        previous = self._tail_hash(file, size)
        existing, known, end = self._scan(file, run_id, since)
        rows = [HEADER] if size == 0 else []
        line = max(end, 1)
        count, first, head = existing.count, existing.first, existing.head
        for record in records:
            text = to_fields(record)
            if (key := key_of(text)) in known:
                continue
            known.add(key)
            row, previous = self._row(text, previous)
            rows.append(row)
            line, count, head = line + 1, count + 1, previous
            first = first or line
        written = count - existing.count
        self._write(file.fileno(), b"".join(rows), size)
        last = line if written else existing.last
        return AppendResult(
            range=dataclasses.replace(existing, first=first, last=last, count=count, head=head),
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
            # A partial line would look like a crash, a complete one like a decision.
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

    def _move_torn_line(self, file: BinaryIO) -> bool:
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
        """The last line's hash, which the next line must contain, after verifying that line."""
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

    def _scan(
        self, file: BinaryIO, run_id: str, since: AuditPosition
    ) -> tuple[AuditRange, set[tuple[str, ...]], int]:
        """The run's lines after a position, with their keys, and the number of the last line."""
        file.seek(max(since.offset - 1, 0))
        if since.offset and file.read(1) != b"\n":
            # The position is not valid in this file, which may have been replaced: scan all of it.
            since = AuditPosition()
            file.seek(0)
        known: set[tuple[str, ...]] = set()
        existing, line = AuditRange(run_id=run_id, since=since), since.line
        name = escape(run_id)
        for line, text in enumerate(file, start=since.line + 1):
            if line == 1:
                continue
            fields = fields_of(text)
            if fields is None:
                raise IntegrityError(f"{self.path}: line {line} is not an audit record")
            if fields[RUN] == name:
                known.add(key_of(fields))
                existing = AuditRange(
                    run_id=run_id,
                    first=existing.first or line,
                    last=line,
                    count=existing.count + 1,
                    head=fields[-1],
                    since=since,
                )
        return existing, known, line

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
        """Recompute the whole chain and compare it with the runs' records.

        Args:
            ranges: the recorded ranges of all runs of the workspace.
            unfinished: ids of interrupted runs, which may have more lines than recorded.

        Raises:
            InputError: the file cannot be read.
        """
        ranges = [item for item in ranges if item.count]
        try:
            with self.path.open("rb") as file, _locked(file.fileno(), self.path, fcntl.LOCK_SH):
                return verify_file(file, self._digest, ranges, unfinished)
        except FileNotFoundError:
            return Verification(ok=False, lines=0, problems=(f"{self.path}: is missing",))
        except OSError as error:
            raise _unusable(self.path, error, "read") from error


def _after_last_newline(file: BinaryIO, end: int) -> int:
    """The offset after the last newline before byte `end`; 0 if there is none."""
    while end > 0:
        start = max(end - _CHUNK, 0)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _sync_folder(path: Path) -> None:
    """Make a new file's directory entry durable, which syncing the file does not."""
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
