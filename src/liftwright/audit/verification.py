"""Verifies the audit log in one pass and compares it with the runs' records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from liftwright.audit.lines import HEADER, RUN, escape, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from liftwright.model import AuditRange

_MAX_PROBLEMS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The result of verifying the audit log.

    Attributes:
        lines: the number of records, without the header.
        problems: each with its line or run; empty if the log is intact.
    """

    ok: bool
    lines: int
    problems: tuple[str, ...]


def verify_file(
    file: BinaryIO,
    digest: Callable[[bytes], str],
    ranges: Sequence[AuditRange],
    unfinished: Collection[str],
) -> Verification:
    """Read the whole file once; `digest` is the hash function of the chain."""
    return _Verifier(digest, ranges, frozenset(unfinished)).read(file)


@dataclass(slots=True)
class _Tally:
    """One run's lines in the file."""

    first: int
    count: int = 0
    extra: int = 0


@dataclass(slots=True)
class _Verifier:
    """One pass over the file."""

    digest: Callable[[bytes], str]
    ranges: Sequence[AuditRange]
    unfinished: frozenset[str]
    problems: list[str] = field(default_factory=list)
    tallies: dict[str, _Tally] = field(default_factory=dict)

    def read(self, file: BinaryIO) -> Verification:
        header = file.readline()
        if header != HEADER:
            self._found("is empty" if not header else "line 1: is not the header of an audit log")
        heads = {item.last: item for item in self.ranges}
        lasts = {escape(item.run_id): item.last for item in self.ranges}
        previous, line = self.digest(HEADER).encode(), 1
        for line, text in enumerate(file, start=2):
            if not text.endswith(b"\n"):
                self._found(f"line {line}: is incomplete (cut, or torn by a crash; run again)")
                line -= 1  # noqa: PLW2901 - an incomplete line does not count
                break
            previous = self._line(line, text, previous, lasts)
            if line in heads and heads[line].head.encode() != previous:
                self._found(f"line {line}: is not the last line of run {heads[line].run_id}")
        self._compare(line)
        ok, rest = not self.problems, len(self.problems) - _MAX_PROBLEMS
        more = [f"and {rest} more"] if rest > 0 else []
        return Verification(ok=ok, lines=line - 1, problems=(*self.problems[:_MAX_PROBLEMS], *more))

    def _line(self, line: int, text: bytes, previous: bytes, lasts: Mapping[str, int]) -> bytes:
        """Verify one line against the previous one; returns the hash that the next must contain."""
        body, _, digest = text[:-1].rpartition(b",")
        if self.digest(body).encode() != digest:
            self._found(f"line {line}: {self._why(body, digest)}")
        if body.rpartition(b",")[2] != previous:
            self._found(f"line {line}: does not follow line {line - 1} (removed, added or moved)")
        fields = fields_of(text)
        if fields is None:
            self._found(f"line {line}: is not an audit record")
            return digest
        run = fields[RUN]
        tally = self.tallies.get(run)
        if tally is None:
            tally = self.tallies[run] = _Tally(first=line)
        tally.count += 1
        if not tally.extra and line > lasts.get(run, 0):
            tally.extra = line
        return digest

    def _why(self, body: bytes, digest: bytes) -> str:
        if hashlib.sha256(body).hexdigest().encode() == digest:
            return "is hashed without the key that is set here"
        return "was changed, or is hashed with another key"

    def _compare(self, end: int) -> None:
        recorded = {escape(item.run_id): item for item in self.ranges}
        for name, item in recorded.items():
            tally = self.tallies.get(name)
            if item.last > end or tally is None:
                self._found(
                    f"run {item.run_id}: its last line was {item.last}, the log ends at {end}"
                )
            count = tally.count if tally else 0
            if count < item.count:
                self._found(f"run {item.run_id}: has {count} of its {item.count} lines")
            elif tally and tally.first != item.first:
                self._found(f"run {item.run_id}: begins at line {tally.first}, not {item.first}")
            elif tally and count > item.count and not tally.extra:
                self._found(f"run {item.run_id}: has {count} lines, not its {item.count}")
        open_runs = {escape(name) for name in self.unfinished}
        for name, tally in self.tallies.items():
            if tally.extra and name not in open_runs:
                which = "was added to" if name in recorded else "names an unknown run:"
                self._found(f"line {tally.extra}: {which} run {name}")

    def _found(self, problem: str) -> None:
        self.problems.append(problem)
