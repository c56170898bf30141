from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import liftwright
from liftwright.errors import InputError, IntegrityError, WorkspaceBusy
from liftwright.model import Run, StageRun
from liftwright.run_folder import (
    RunFolder,
    all_runs,
    digest_file,
    locked,
    write_whole,
)
from waiting import PATIENCE_SECONDS

RUN = Run(
    run_id="abc123",
    status="running",
    fingerprint="f" * 64,
    started_at="2026-03-01T10:00:00.000Z",
    valid_on=date(2026, 3, 1),
    seed=7,
    simulated=True,
    overrides={"seed": 7},
    inputs={"customers": "c" * 64},
    versions={"liftwright": "0.1.0"},
    stages=(
        StageRun(
            name="segment",
            status="done",
            key="k" * 64,
            outputs={"segments.json": "s" * 64},
            seconds=0.25,
            finished_at="2026-03-01T10:00:01.000Z",
        ),
    ),
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ── write_whole ───────────────────────────────────────────────────────────────────────────────


def test_write_whole_failing_at_the_rename_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.mkdir()
    (target / "inside").write_text("kept")
    with pytest.raises(InputError, match=r"a\.json: .*Is a directory"):
        write_whole(target, b"new")
    assert names(tmp_path) == ["a.json"]
    assert (target / "inside").read_text() == "kept"


def test_write_whole_failing_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_whole(target, b"old")
    with pytest.raises(TypeError):
        write_whole(target, "not bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_write_whole_folder_that_is_read_only_is_an_input_error(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir(mode=0o555)
    with pytest.raises(InputError, match="Permission denied"):
        write_whole(folder / "a.json", b"new")


def keep_writing(path: str) -> None:
    """Write two contents in turn until killed."""
    while True:
        write_whole(Path(path), b"a" * 200_000)
        write_whole(Path(path), b"b" * 200_000)


def test_write_whole_killed_at_any_moment_leaves_one_of_both_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_whole(path, b"a" * 200_000)
    for _ in range(5):
        process = multiprocessing.get_context("spawn").Process(
            target=keep_writing, args=(str(path),)
        )
        process.start()
        first = path.stat().st_ino
        while path.stat().st_ino == first and process.is_alive():
            pass
        process.kill()
        process.join(timeout=PATIENCE_SECONDS)
        assert path.read_bytes() in (b"a" * 200_000, b"b" * 200_000)
    RunFolder(tmp_path).clear_torn()
    assert names(tmp_path) == ["a.json"]


# ── digest_file ───────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_digest_file_is_equal_where_the_content_is(
    tmp_path_factory: pytest.TempPathFactory, one: bytes, other: bytes
) -> None:
    folder = tmp_path_factory.mktemp("digest")
    (folder / "one").write_bytes(one)
    (folder / "other").write_bytes(other)
    os.utime(folder / "one", (1, 1))
    equal = digest_file(folder / "one") == digest_file(folder / "other")
    assert equal is (one == other)


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


BASE = {"a.json": "1", "sub/b.json": "2"}


@pytest.mark.parametrize(
    "files",
    [
        {"a.json": "1", "sub/b.json": "3"},
        {"a.json": "2", "sub/b.json": "1"},
        {"a.json": "1"},
        {**BASE, "c.json": ""},
        {"a.json": "1", "b.json": "2"},
        {"c.json": "1", "sub/b.json": "2"},
    ],
)
def test_digest_file_of_a_folder_changes_with_names_and_content(
    files: dict[str, str], tmp_path: Path
) -> None:
    assert digest_file(tree(tmp_path / "one", BASE)) != digest_file(tree(tmp_path / "two", files))


def test_digest_file_of_a_large_file_goes_by_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    size = 64 * 2**20 + 1
    with path.open("wb") as file:
        file.truncate(size)
    os.utime(path, (1000, 1000))
    first = digest_file(path)
    assert digest_file(path) == first
    os.utime(path, (1001, 1001))
    assert digest_file(path) != first
    os.utime(path, (1000, 1000))
    assert digest_file(path) == first
    with path.open("r+b") as file:
        file.truncate(size + 1)
    os.utime(path, (1000, 1000))
    assert digest_file(path) != first


def test_digest_file_missing_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: .*No such file"):
        digest_file(tmp_path / "none.csv")


# ── code_fingerprint ──────────────────────────────────────────────────────────────────────────

PRINT = "from liftwright.run_folder import code_fingerprint as f; print(f())"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package's code that a test may change."""
    copy = tmp_path_factory.mktemp("copy") / "liftwright"
    shutil.copytree(
        Path(liftwright.__file__).parent,
        copy,
        ignore=shutil.ignore_patterns("__pycache__", "*.json"),
    )
    return copy


def printed(package: Path) -> str:
    # The copy is not the code under test: it is kept out of the measure of coverage.
    environment = {name: v for name, v in os.environ.items() if not name.startswith("COV")}
    environment |= {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", PRINT],
        env=environment,
        cwd=package.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    ).stdout.strip()


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("cli/commands.py", False),
        ("cli/exit_status.py", False),
        ("api/experiment.py", False),
        ("cli/terminal/fresh.py", False),
        ("py.typed", False),
        ("domain.py", True),
        ("adapters/sqlite.py", True),
        ("agents/fresh.py", True),
        ("sql/fresh.sql", True),
    ],
)
def test_code_fingerprint_counts_what_shapes_results_alone(
    name: str,
    counts: bool,  # noqa: FBT001
    package: Path,
) -> None:
    before = printed(package)
    path = package / name
    old = path.read_bytes() if path.exists() else None
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((old or b"") + b"\n")
        assert (printed(package) != before) is counts
    finally:
        if old is None:
            path.unlink()
        else:
            path.write_bytes(old)
    assert printed(package) == before


# ── RunFolder ─────────────────────────────────────────────────────────────────────────────────


def test_write_what_has_no_form_in_json_leaves_the_old_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("arms.json", [1])
    with pytest.raises(TypeError):
        folder.write("arms.json", [object()])
    assert folder.raw("arms.json") == [1]
    assert names(tmp_path) == ["arms.json"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"run_id": "abc123"',
        b"\xff\xfe{}",
        b"\x00" * 40,
        b"[" * 100_000,
        b"[]",
        b"null",
        b'"abc123"',
        b'{"run_id": "abc123"}',
        b'{"run_id": 1}',
        b'{"customers": []}',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_read_corrupt_or_foreign_json_is_an_integrity_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"run\.json: ") as caught:
        RunFolder(tmp_path).record()
    assert caught.value.exit_status == 4


@pytest.mark.parametrize("name", [field.name for field in fields(Run)])
def test_read_record_with_a_field_of_another_type_is_an_integrity_error(
    name: str, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    folder.save(RUN)
    value = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**value, name: 0.5}))
    with pytest.raises(IntegrityError, match=r"run\.json: .*float"):
        folder.record()


def test_read_missing_file_is_an_input_error(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for read in (folder.raw, lambda n: folder.read(n, Run), lambda n: folder.read_list(n, Run)):
        with pytest.raises(InputError, match=r"run\.json"):
            read("run.json")


def test_clear_torn_removes_temporaries_alone(tmp_path: Path) -> None:
    kept = [
        "run.json",
        "segmented.parquet",
        ".gitignore",
        ".env.production",
        "notes.part",
        "report/experiment_report.pdf",
        "measurements/1/metrics.json",
    ]
    torn = [
        ".run.json.k3_x9abq.part",
        ".segmented.parquet.4711.part",
        "report/.experiment_report.pdf.k3_x9abq.part",
        "measurements/1/.metrics.json.aaaaaaaa.part",
    ]
    tree(tmp_path, dict.fromkeys([*kept, *torn], "x"))
    (tmp_path / ".folder.part").mkdir()
    RunFolder(tmp_path).clear_torn()
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == sorted(kept)
    assert (tmp_path / ".folder.part").is_dir()


def test_all_runs_are_in_the_order_of_their_start(tmp_path: Path) -> None:
    starts = {"zz": "2026-03-01T10:00:00.000Z", "aa": "2026-03-02T10:00:00.000Z"}
    starts |= {"mm-2": "2026-03-01T09:59:59.999Z", "bb": "2026-03-02T10:00:00.000Z"}
    for run_id, started in starts.items():
        RunFolder(tmp_path / "data" / "runs" / run_id).save(
            replace(RUN, run_id=run_id, started_at=started)
        )
    (tmp_path / "data" / "runs" / "begun").mkdir()
    (tmp_path / "data" / "runs" / "stray.txt").write_text("x")
    assert [folder.path.name for folder in all_runs(tmp_path)] == ["mm-2", "zz", "aa", "bb"]


# ── locked ────────────────────────────────────────────────────────────────────────────────────

HOLD = (
    "import sys, time; from pathlib import Path; from liftwright.run_folder import locked\n"
    "with locked(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(120)"
)


def hold(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_locked_second_process_is_told_the_first_until_it_dies(
    end: signal.Signals, tmp_path: Path
) -> None:
    first = hold(tmp_path)
    try:
        refused = pytest.raises(WorkspaceBusy, match=rf"\(process {first.pid}\)")
        with refused as caught, locked(tmp_path):
            pytest.fail("two runs at once")
        assert caught.value.exit_status == 2
        assert str(tmp_path) in str(caught.value)
    finally:
        first.send_signal(end)
        first.wait(timeout=PATIENCE_SECONDS)
        if first.stdout is not None:
            first.stdout.close()
    with locked(tmp_path):
        text = (tmp_path / "data" / ".lock").read_text()
    assert text == f"process {os.getpid()}"


def test_locked_second_thread_is_refused_too(tmp_path: Path) -> None:
    refused: list[str] = []

    def work() -> None:
        try:
            with locked(tmp_path):
                refused.append("not refused")
        except WorkspaceBusy as error:
            refused.append(str(error))

    with locked(tmp_path):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(timeout=PATIENCE_SECONDS)
    assert len(refused) == 1
    assert f"process {os.getpid()}" in refused[0]


def test_locked_leaves_no_file_open_when_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            with pytest.raises(WorkspaceBusy), locked(tmp_path):
                pytest.fail("two runs at once")
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_locked_workspace_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file stands where the folder should be")
    with pytest.raises(InputError), locked(tmp_path):
        pytest.fail("locked what cannot be")
