from __future__ import annotations

import csv
import hashlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftwright.audit import COLUMNS, AuditLog, AuditPosition, AuditRecord
from liftwright.errors import InputError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLEAN: dict[str, int | None] = {"hate": 0, "violence": 0, "self_harm": 0, "sexual": 0}


def record(variant: str = "v1", **changes: object) -> AuditRecord:
    base = AuditRecord(
        timestamp="2026-03-01T10:00:00.000Z",
        variant_id=variant,
        segment="Loyal Regulars",
        status="pass",
        severities=CLEAN,
        block_reason="",
        run_id="run1",
        content_sha256="c" * 64,
        screener="embedded/heads@1",
        policy_sha256="p" * 64,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def many(count: int, **changes: object) -> list[AuditRecord]:
    return [record(f"v{number}", **changes) for number in range(count)]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "logs" / "safety_audit.log")


def lines_of(log: AuditLog) -> list[bytes]:
    return log.path.read_bytes().splitlines(keepends=True)


def rechain(lines: list[bytes]) -> bytes:
    """What a forger without the key does: recompute every hash."""
    previous = hashlib.sha256(lines[0]).hexdigest().encode()
    out = [lines[0]]
    for line in lines[1:]:
        body = b",".join([*line.rstrip(b"\n").split(b",")[:-2], previous])
        previous = hashlib.sha256(body).hexdigest().encode()
        out.append(body + b"," + previous + b"\n")
    return b"".join(out)


# ── append ────────────────────────────────────────────────────────────────────────────────────


def test_append_new_file_begins_with_header_of_the_specified_columns(log: AuditLog) -> None:
    log.append([record()], run_id="run1")
    with log.path.open(newline="") as file:
        rows = list(csv.reader(file))
    nine = "timestamp,variant_id,segment,status,hate,violence,self_harm,sexual,block_reason"
    assert ",".join(rows[0][:9]) == nine
    assert rows[0][9:] == [
        *("run_id", "content_sha256", "screener", "policy_sha256", "previous_hash", "hash"),
    ]
    assert rows[1][:10] == [
        *("2026-03-01T10:00:00.000Z", "v1", "Loyal Regulars", "pass", "0", "0", "0", "0", ""),
        "run1",
    ]


def test_append_hash_is_sha256_of_the_line_before_it(log: AuditLog) -> None:
    log.append(many(2), run_id="run1")
    header, first, second = lines_of(log)
    body, _, digest = first.rstrip(b"\n").rpartition(b",")
    assert body.endswith(b"," + hashlib.sha256(header).hexdigest().encode())
    assert digest.decode() == hashlib.sha256(body).hexdigest()
    assert second.rstrip(b"\n").split(b",")[-2] == digest


def test_append_same_decisions_again_writes_nothing_and_gives_the_same_range(log: AuditLog) -> None:
    first = log.append(many(3), run_id="run1")
    size = log.path.stat().st_size
    later = [replace(item, timestamp="2027-01-01T00:00:00.000Z") for item in many(3)]
    again = log.append(later, run_id="run1", since=first.range.since)
    assert again.range == first.range
    assert again.written == 0
    assert log.path.stat().st_size == size


@pytest.mark.parametrize(
    "changes",
    [
        {"variant_id": "other"},
        {"content_sha256": "d" * 64},
        {"screener": "human:ana"},
        {"policy_sha256": "q" * 64},
        {"status": "block"},
        {"block_reason": "unavailable: ProviderUnavailable"},
    ],
)
def test_append_other_key_is_another_decision(log: AuditLog, changes: dict[str, object]) -> None:
    log.append([record()], run_id="run1")
    assert log.append([record(**changes)], run_id="run1").range.count == 2


def test_append_late_approval_extends_the_range_over_other_runs(log: AuditLog) -> None:
    first = log.append(many(2), run_id="run1")
    log.append(many(1, run_id="run2"), run_id="run2", since=log.mark())
    human = record("v0", screener="human:ana")
    done = log.append([human], run_id="run1", since=first.range.since)
    assert (done.range.first, done.range.last, done.range.count) == (2, 5, 3)


def test_append_record_of_another_run_is_refused(log: AuditLog) -> None:
    with pytest.raises(ValueError, match="one run"):
        log.append([record(run_id="run2")], run_id="run1")


def test_append_since_a_place_of_another_file_looks_at_all(log: AuditLog) -> None:
    assert log.mark() == AuditPosition()
    log.append(many(3), run_id="run1")
    assert log.mark() == AuditPosition(line=4, offset=log.path.stat().st_size)
    done = log.append(many(3), run_id="run1", since=AuditPosition(line=3, offset=101))
    assert (done.written, done.range.count) == (0, 3)


def test_records_missing_file_is_named(log: AuditLog) -> None:
    with pytest.raises(InputError, match=r"safety_audit\.log"):
        log.records("run1")


NASTY = st.text(
    st.characters() | st.sampled_from("\n\r\x00\x85\u2028\"',\\=+-@'\ud800\t|"), max_size=30
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(reason=NASTY, segment=NASTY, key=st.none() | st.just(b"secret"))
def test_append_any_text_is_one_line_no_formula_and_comes_back(
    tmp_path: Path, reason: str, segment: str, key: bytes | None
) -> None:
    path = tmp_path / "any" / "safety_audit.log"
    shutil.rmtree(path.parent, ignore_errors=True)
    log = AuditLog(path, key)
    item = record(segment=segment, block_reason=reason)
    done = log.append([item], run_id="run1")
    text = path.read_bytes().decode()
    assert len(text.splitlines()) == 2
    with path.open(newline="", encoding="utf-8") as file:
        row = list(csv.reader(file))[1]
    assert len(row) == len(COLUMNS)
    assert not any(cell[:1] in {"=", "+", "-", "@"} for cell in row)
    assert log.records("run1") == (item,)
    assert log.append([item], run_id="run1").written == 0
    assert log.verify([done.range]).ok


# ── a file that cannot be written ─────────────────────────────────────────────────────────────


def test_append_to_a_device_is_refused() -> None:
    with pytest.raises(InputError, match="regular file"):
        AuditLog(Path("/dev/null")).append([record()], run_id="run1")


FILE_LIMIT = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from liftwright.audit import AuditLog, AuditRecord
from liftwright.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = AuditLog(Path({file!r}))
size = log.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + {room}, size + {room}))
base = log.records("run1")[0]
import dataclasses
try:
    log.append([dataclasses.replace(base, variant_id=f"new{{n}}") for n in range(9)], run_id="run1")
except InputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize("room", [0, 1000])
def test_append_disk_full_midway_leaves_the_file_as_it_was(log: AuditLog, room: int) -> None:
    # A limit on the size of files stands in for a full disk: the write stops midway likewise.
    done = log.append(many(2), run_id="run1")
    before = log.path.read_bytes()
    code = FILE_LIMIT.format(path=sys.path, file=str(log.path), room=room)
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (child.returncode, "cannot be written" in child.stdout) == (2, True), child.stderr
    assert log.path.read_bytes() == before
    assert log.verify([done.range]).ok


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_append_without_permission_is_refused(log: AuditLog) -> None:
    log.append([record()], run_id="run1")
    log.path.chmod(0o400)
    with pytest.raises(InputError, match="cannot be written"):
        log.append([record("v2")], run_id="run1")


# ── a file that was altered, met at append ────────────────────────────────────────────────────


def test_append_after_a_changed_last_line_stops(log: AuditLog) -> None:
    log.append(many(3), run_id="run1")
    lines = lines_of(log)
    log.path.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b",pass,", b",block,")]))
    with pytest.raises(IntegrityError, match="last line"):
        log.append([record("new")], run_id="run1")


@pytest.mark.parametrize("content", [b"\n", b"timestamp,variant_id\n", b"x" * 5000 + b"\n"])
def test_append_to_what_is_no_audit_log_stops(log: AuditLog, content: bytes) -> None:
    log.path.parent.mkdir()
    log.path.write_bytes(content)
    with pytest.raises(IntegrityError, match="header"):
        log.append([record()], run_id="run1")
    assert log.path.read_bytes() == content


@pytest.mark.parametrize("junk", [b"not,a,record\n", b'"' + b"," * 14 + b"\n", b"\xff\n"])
def test_append_where_a_line_is_no_record_stops(log: AuditLog, junk: bytes) -> None:
    log.append(many(3), run_id="run1")
    lines = lines_of(log)
    log.path.write_bytes(b"".join([*lines[:2], junk, *lines[2:]]))
    with pytest.raises(IntegrityError, match="line 3 "):
        log.append([record("new")], run_id="run1")


@pytest.mark.parametrize(
    ("first", "then"), [(None, b"secret"), (b"secret", None), (b"secret", b""), (b"secret", b"x")]
)
def test_append_with_another_key_than_the_log_s_stops(
    log: AuditLog, first: bytes | None, then: bytes | None
) -> None:
    AuditLog(log.path, first).append(many(1), run_id="run1")
    with pytest.raises(IntegrityError, match="key"):
        AuditLog(log.path, then).append([record("new")], run_id="run1")


# ── torn lines ────────────────────────────────────────────────────────────────────────────────


def test_append_after_a_crash_sets_the_torn_line_aside(log: AuditLog) -> None:
    first = log.append(many(3), run_id="run1")
    whole = log.path.read_bytes()
    for cut in range(len(b"".join(lines_of(log)[:-1])) + 1, len(whole), 9):
        log.path.write_bytes(whole[:cut])
        assert any("line 4: is incomplete" in problem for problem in log.verify([]).problems)
        done = log.append(many(3), run_id="run1")
        assert (done.torn, done.written, done.range) == (True, 1, first.range)
        assert log.path.read_bytes() == whole
        aside = log.path.with_name("safety_audit.torn")
        assert aside.read_bytes() == whole[:cut].splitlines(keepends=True)[-1] + b"\n"
        aside.unlink()


@pytest.mark.parametrize("cut", [1, 40])
def test_append_after_a_crash_in_the_header_begins_anew(log: AuditLog, cut: int) -> None:
    log.append(many(1), run_id="run1")
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:cut])
    assert log.append(many(1), run_id="run1").torn
    assert log.path.read_bytes() == whole


def append_for_ever(path: Path) -> None:
    log = AuditLog(path)
    for number in range(1_000_000):
        batch = [record(f"v{number}-{n}", block_reason="x" * 5000) for n in range(20)]
        log.append(batch, run_id="run1", since=log.mark())


def test_append_killed_at_any_moment_leaves_whole_lines_and_at_most_one_torn(log: AuditLog) -> None:
    spawn = multiprocessing.get_context("fork")
    moments = random.Random(7)  # noqa: S311 - moments, not secrets
    for turn in range(8):
        child = spawn.Process(target=append_for_ever, args=(log.path,))
        child.start()
        child.join(moments.uniform(0.02, 0.12))
        child.kill()
        child.join(30)
        before = log.path.read_bytes().count(b"\n") if log.path.exists() else 0
        done = log.append([record(f"after{turn}")], run_id="run1")
        assert done.range.count == max(before, 1)
        assert log.verify([done.range]).problems == ()


# ── several writers ───────────────────────────────────────────────────────────────────────────


def append_many(path: Path, name: str) -> None:
    for number in range(25):
        AuditLog(path, b"k").append([record(f"v{number}", run_id=name)], run_id=name)


def test_append_by_several_processes_keeps_one_chain(log: AuditLog) -> None:
    spawn = multiprocessing.get_context("fork")
    names = [f"run{number}" for number in range(4)]
    children = [spawn.Process(target=append_many, args=(log.path, name)) for name in names]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
        assert child.exitcode == 0
    keyed = AuditLog(log.path, b"k")
    ranges = [keyed.append([], run_id=name).range for name in names]
    result = keyed.verify(ranges)
    assert (result.ok, result.lines) == (True, 100), result.problems


def test_append_by_several_threads_keeps_one_chain(log: AuditLog) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: log.append([record(f"v{n % 30}")], run_id="run1"), range(60)))
    done = log.append([], run_id="run1")
    assert done.range.count == 30
    assert log.verify([done.range]).ok


# ── verify ────────────────────────────────────────────────────────────────────────────────────


def test_verify_untouched_log_of_two_runs_is_ok(log: AuditLog) -> None:
    one = log.append(many(5), run_id="run1").range
    two = log.append(many(4, run_id="run2"), run_id="run2").range
    result = log.verify([two, one])
    assert (result.ok, result.lines, result.problems) == (True, 9, ())


Lines = list[bytes]


def changed(lines: Lines) -> Lines:
    return [*lines[:3], lines[3].replace(b",pass,", b",block,"), *lines[4:]]


def removed(lines: Lines) -> Lines:
    return lines[:3] + lines[4:]


def reordered(lines: Lines) -> Lines:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def truncated(lines: Lines) -> Lines:
    return lines[:-1]


def header_only(lines: Lines) -> Lines:
    return lines[:1]


# What is done to the lines of a log, and the number of the line that is named; 0 is the whole.
TAMPERED: dict[str, tuple[Callable[[Lines], Lines], int]] = {
    "changed": (changed, 4),
    "removed": (removed, 4),
    "reordered": (reordered, 4),
    "doubled": (lambda lines: [*lines[:4], lines[3], *lines[4:]], 5),
    "truncated": (truncated, 0),
    "half a line": (lambda lines: [*lines[:-1], lines[-1][:50]], 7),
    "header changed": (lambda lines: [lines[0].replace(b"hate", b"harm"), *lines[1:]], 1),
    "blank line": (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4),
    "CRLF": (lambda lines: [line.replace(b"\n", b"\r\n") for line in lines], 1),
    "header only": (header_only, 0),
    "nothing": (lambda _: [], 0),
    "replayed": (lambda lines: [*lines, lines[2]], 8),
}


@pytest.mark.parametrize("key", [None, b"secret"])
@pytest.mark.parametrize("name", TAMPERED)
def test_verify_finds_and_names_the_line(log: AuditLog, name: str, key: bytes | None) -> None:
    tamper, line = TAMPERED[name]
    log = AuditLog(log.path, key)
    done = log.append(many(6), run_id="run1")
    log.path.write_bytes(b"".join(tamper(lines_of(log))))
    problems = log.verify([done.range]).problems
    assert problems
    assert not line or any(f"line {line}: " in problem for problem in problems), problems


@pytest.mark.parametrize("tamper", [changed, removed, reordered, truncated, header_only])
def test_verify_finds_a_plain_log_that_was_chained_anew(
    log: AuditLog, tamper: Callable[[list[bytes]], list[bytes]]
) -> None:
    done = log.append(many(6), run_id="run1")
    log.path.write_bytes(rechain(tamper(lines_of(log))))
    assert not log.verify([done.range]).ok


def test_verify_finds_a_line_appended_with_a_valid_chain(log: AuditLog) -> None:
    done = log.append(many(6), run_id="run1")
    log.append([record("forged")], run_id="run1")
    (problem,) = log.verify([done.range]).problems
    assert problem.startswith("line 8: ")


def test_verify_lets_an_interrupted_run_have_more_lines(log: AuditLog) -> None:
    done = log.append(many(2), run_id="run1")
    log.append([record("later")], run_id="run1")
    log.append(many(1, run_id="run2"), run_id="run2")
    assert log.verify([done.range], unfinished={"run1", "run2"}).ok
    assert not log.verify([done.range], unfinished={"run2"}).ok


def test_verify_finds_a_forged_keyed_line_and_needs_the_key(log: AuditLog) -> None:
    keyed = AuditLog(log.path, b"secret")
    done = keyed.append(many(3), run_id="run1")
    assert not log.verify([done.range]).ok
    log.path.write_bytes(rechain(lines_of(log)))
    assert not keyed.verify([done.range]).ok


def test_verify_missing_or_unreadable_file_is_named(log: AuditLog, tmp_path: Path) -> None:
    assert log.verify([]).problems == (f"{log.path}: is missing",)
    for read in (lambda: AuditLog(tmp_path).verify([]), AuditLog(tmp_path).mark):
        with pytest.raises(InputError, match=str(tmp_path)):
            read()


def test_verify_wrong_first_line_and_count_in_the_record_are_found(log: AuditLog) -> None:
    done = log.append(many(3), run_id="run1").range
    for wrong in (replace(done, first=3), replace(done, count=2)):
        assert len(log.verify([wrong]).problems) == 1


def test_verify_names_at_most_fifty_problems(log: AuditLog) -> None:
    done = log.append(many(80), run_id="run1")
    log.path.write_bytes(log.path.read_bytes().replace(b",pass,", b",block,"))
    result = log.verify([done.range])
    assert len(result.problems) == 51
    assert result.problems[-1] == "and 30 more"


def single_byte_changes(text: bytes, chance: random.Random) -> Iterator[bytes]:
    for _ in range(200):
        place = chance.randrange(len(text))
        other = chance.choice([byte for byte in range(256) if byte != text[place]])
        yield text[:place] + bytes([other]) + text[place + 1 :]
        yield text[:place] + text[place + 1 :]


def test_verify_finds_any_single_byte(log: AuditLog) -> None:
    done = log.append(many(4, block_reason='a "quoted", reason'), run_id="run1")
    whole = log.path.read_bytes()
    assert log.verify([done.range]).ok
    chance = random.Random(3)  # noqa: S311 - places, not secrets
    for text in single_byte_changes(whole, chance):
        log.path.write_bytes(text)
        assert not log.verify([done.range]).ok
