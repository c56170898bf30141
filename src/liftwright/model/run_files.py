"""The files of a run: the folder that reads and writes them, and the records in them.

Records that belong to an agent (segments, assignments, results) are defined in its package.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from liftwright.errors import InputError, IntegrityError
from liftwright.model.json import from_json, to_json
from liftwright.model.messages import Claim, Variant  # noqa: TC001 - `from_json` reads the types
from liftwright.model.runs import Run

T = TypeVar("T")
RECORD = "run.json"
PART = ".part"  # the suffix of temporary files


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        """The path of a file of the run."""
        return self.path / name

    def write(self, name: str, value: object) -> None:
        """Write records as JSON, atomically."""
        text = json.dumps(to_json(value), ensure_ascii=False, indent=1)
        # A lone surrogate (a broken emoji, an odd file name) is written as a JSON escape.
        write_atomically(self.path / name, (text + "\n").encode("utf-8", "backslashreplace"))

    def read(self, name: str, kind: type[T], *, ignore_unknown: bool = False) -> T:
        """Read a file as a record of type `kind`.

        Args:
            name: The file's name.
            kind: The record's type.
            ignore_unknown: Skip keys that the record does not have instead of refusing them.

        Raises:
            InputError: the file is missing or cannot be read.
            IntegrityError: the file is not a valid record.
        """
        return self._decode(name, kind, self.raw(name), ignore_unknown=ignore_unknown)

    def read_list(self, name: str, kind: type[T]) -> tuple[T, ...]:
        """Read a file as a list of records of type `kind`."""
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
            raise InputError(f"{path}: no such file; the run has not reached that stage") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except (ValueError, RecursionError) as error:
            raise IntegrityError(f"{path}: not valid JSON ({error})") from None

    def record(self) -> Run | None:
        """The run's record; None before the run has started."""
        return self.read(RECORD, Run) if (self.path / RECORD).is_file() else None

    def save(self, run: Run) -> None:
        """Write the run's record."""
        self.write(RECORD, run)

    def remove_partial_files(self) -> None:
        """Remove temporary files left by a process that died."""
        for leftover in self.path.rglob(f".*{PART}"):
            if leftover.is_file():
                leftover.unlink(missing_ok=True)

    def _decode(
        self, name: str, kind: type[T], value: object, *, ignore_unknown: bool = False
    ) -> T:
        try:
            return from_json(kind, value, ignore_unknown=ignore_unknown)
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{self.path / name}: {error}") from None


def all_runs(root: Path) -> tuple[RunFolder, ...]:
    """The workspace's runs that have a record, in order of their start."""
    folders = [RunFolder(path.parent) for path in (root / "data" / "runs").glob(f"*/{RECORD}")]
    dated = [(run.started_at, run.run_id, folder) for folder in folders if (run := folder.record())]
    return tuple(folder for _, _, folder in sorted(dated, key=lambda item: item[:2]))


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file atomically: under a temporary name, synced, then renamed.

    Raises:
        InputError: the folder cannot be written or the disk is full.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRecord:
    """index.json: the index, and the documents that are not used.

    Attributes:
        excluded: documents that are not valid on the run's day.
        skipped: a message for each document that could not be read.
        blocked: documents in which the shield found a prompt injection; not indexed.
        warnings: what a person should know about the content, such as files that are not read.
    """

    name: str
    documents: int
    paragraphs: int
    excluded: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """variants.json: the control and every valid variant, blocked ones included."""

    control: Variant
    variants: tuple[Variant, ...]

    @property
    def all(self) -> tuple[Variant, ...]:
        """The control first, then the variants in order."""
        return (self.control, *self.variants)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRecord:
    """channel.json: the channel of the messages, and their footer."""

    channel: str
    footer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantClaims:
    """claims.json, one entry: a variant's sentences and their support."""

    variant_id: str
    score: float
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantJudgment:
    """opinions.json, one entry: a second judge's verdict on a variant's claims.

    Attributes:
        judge: the provider.
        grounded, ungrounded_share: as in `Judgment`; None if the judge failed.
    """

    variant_id: str
    judge: str
    grounded: bool | None
    ungrounded_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """approvals.json, one entry: a person's approval of a waiting variant."""

    variant_id: str
    content_sha256: str
    who: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementRecord:
    """engagement.json: the source of the engagement, and the counts of its file.

    Attributes:
        source: simulated | historical.
        absent: metrics without a column in the file.
        names_message: whether the file says what was sent. If not, the lift holds only if the
            messages were sent as assigned.
        set_aside: rows that do not count, by reason.
        customers_set_aside: customers whose every row is set aside; they are in no table.
        machine_opens, machine_clicks: opens and clicks of bots, not counted as such.
        click_rate_before: the click rate with the clicks of bots; None where it is not known.
        premature: opens and clicks from before the delivery of their message.
        early: rows with an event from before the assignment.
    """

    source: str
    absent: tuple[str, ...] = ()
    names_message: bool = True
    rows: int = 0
    rows_used: int = 0
    combined: int = 0
    customers_missing: int = 0
    customers_set_aside: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    machine_opens: int = 0
    machine_clicks: int = 0
    click_rate_before: float | None = None
    premature: int = 0
    early: int = 0
    warnings: tuple[str, ...] = ()
