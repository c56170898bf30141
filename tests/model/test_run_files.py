from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from liftwright.errors import InputError, IntegrityError
from liftwright.model import Run, StageRun
from liftwright.model.run_files import RunFolder, all_runs, write_atomically
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


def test_write_whole_failing_at_the_rename_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.mkdir()
    (target / "inside").write_text("kept")
    with pytest.raises(InputError, match=r"a\.json"):
        write_atomically(target, b"new")
    assert names(tmp_path) == ["a.json"]
    assert (target / "inside").read_text() == "kept"


def test_write_atomically_failing_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_atomically(target, b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "not bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_write_atomically_folder_that_is_read_only_is_an_input_error(tmp_path: Path) -> None:
    folder = tmp_path / "sealed"
    folder.mkdir(mode=0o555)
    with pytest.raises(InputError, match="Permission denied"):
        write_atomically(folder / "a.json", b"new")


def keep_writing(path: str) -> None:
    """Write two contents in turn until killed."""
    while True:
        write_atomically(Path(path), b"a" * 200_000)
        write_atomically(Path(path), b"b" * 200_000)


def test_write_atomically_killed_at_any_moment_leaves_one_of_both_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_atomically(path, b"a" * 200_000)
    for _ in range(2):
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
    RunFolder(tmp_path).remove_partial_files()
    assert names(tmp_path) == ["a.json"]


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


@pytest.mark.parametrize("name", ["run_id", "stages", "valid_on"])
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
    for name in (*kept, *torn):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".folder.part").mkdir()
    RunFolder(tmp_path).remove_partial_files()
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
