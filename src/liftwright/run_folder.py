"""The folders of runs: files written whole or not at all, the record, the workspace's lock."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from liftwright.errors import InputError, IntegrityError, WorkspaceBusy
from liftwright.model import Run, fingerprint, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
RECORD = "run.json"
PART = ".part"  # ends the name of a file that is being written
_WHOLE_READ_BYTES = 64 * 2**20
_NOT_IN_RESULTS = ("cli", "api")
_ENGINES = ("duckdb", "sqlglot", "numpy", "scipy")


# ── Files ─────────────────────────────────────────────────────────────────────────────────────


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file whole or not at all: a temporary name, synced, then renamed.

    Raises:
        InputError: where the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=PART
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None


def digest_file(path: Path) -> str:
    """What names a file's or folder's content: SHA-256; of sizes and times where it is large."""
    if path.is_dir():
        inside = sorted(item for item in path.rglob("*") if item.is_file())
        return fingerprint([(str(item.relative_to(path)), digest_file(item)) for item in inside])
    try:
        stat = path.stat()
        if stat.st_size > _WHOLE_READ_BYTES:
            return fingerprint(path.name, stat.st_size, stat.st_mtime_ns)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


@cache
def code_fingerprint() -> str:
    """What names the code that shapes results: the package's sources, and the engines' versions."""
    package = Path(__file__).parent
    files = [
        (str(path.relative_to(package)), path.read_bytes().hex())
        for pattern in ("**/*.py", "**/*.sql")
        for path in sorted(package.glob(pattern))
        if path.relative_to(package).parts[0] not in _NOT_IN_RESULTS
    ]
    return fingerprint(files, versions())


@cache
def versions() -> dict[str, str]:
    """The versions of the product and of the engines that compute its numbers."""
    return {name: importlib.metadata.version(name) for name in ("liftwright", *_ENGINES)}


# ── A run's folder ────────────────────────────────────────────────────────────────────────────


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        """The path of one of the run's files."""
        return self.path / name

    def write(self, name: str, value: object) -> None:
        """Write records as JSON, whole or not at all."""
        text = json.dumps(to_json(value), ensure_ascii=False, indent=1)
        # Half a surrogate pair (a broken emoji, an odd file name) is written as JSON's escape.
        write_whole(self.path / name, (text + "\n").encode("utf-8", "backslashreplace"))

    def read(self, name: str, kind: type[T]) -> T:
        """The record of this kind in a file.

        Raises:
            IntegrityError: where the file is not what the product writes.
        """
        return self._decode(name, kind, self.raw(name))

    def read_list(self, name: str, kind: type[T]) -> tuple[T, ...]:
        """The records of this kind in a file that holds a list."""
        values = self.raw(name)
        if not isinstance(values, list):
            raise IntegrityError(f"{self.path / name}: not a list of records")
        return tuple(self._decode(name, kind, value) for value in values)

    def raw(self, name: str) -> object:
        """A file's JSON values."""
        path = self.path / name
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; the run has not come so far") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise IntegrityError(f"{path}: is not what was written ({error})") from None

    def record(self) -> Run | None:
        """The run's record; None where the run has not begun."""
        return self.read(RECORD, Run) if (self.path / RECORD).is_file() else None

    def save(self, run: Run) -> None:
        """Write the run's record."""
        self.write(RECORD, run)

    def clear_torn(self) -> None:
        """Remove what a process that died left under temporary names."""
        for leftover in self.path.rglob(f".*{PART}"):
            if leftover.is_file():
                leftover.unlink(missing_ok=True)

    def _decode(self, name: str, kind: type[T], value: object) -> T:
        try:
            return from_json(kind, value)
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{self.path / name}: {error}") from None


def all_runs(root: Path) -> tuple[RunFolder, ...]:
    """The runs of a workspace that have a record, by start."""
    folders = [RunFolder(path.parent) for path in (root / "data" / "runs").glob(f"*/{RECORD}")]
    dated = [(run.started_at, run.run_id, folder) for folder in folders if (run := folder.record())]
    return tuple(folder for _, _, folder in sorted(dated, key=lambda item: item[:2]))


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the workspace: one run at a time.

    Raises:
        WorkspaceBusy: naming the process that holds it.
    """
    path = root / "data" / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{path}: the workspace cannot be written ({error.strerror})") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode("utf-8", "replace").strip()
            raise WorkspaceBusy(
                f"{root}: a run is under way in this workspace ({holder or 'another process'}); "
                "wait for it, or use another workspace"
            ) from None
        except OSError as error:
            raise InputError(f"{path}: cannot be locked ({error.strerror})") from None
        # Who holds it is a courtesy to the next one: a full disk is not a reason to stop here.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()}".encode())
        yield
    finally:
        os.close(descriptor)
