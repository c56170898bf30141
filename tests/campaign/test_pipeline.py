from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import liftwright
from liftwright.campaign.pipeline import code_fingerprint, digest_file
from liftwright.errors import InputError

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
    before = code_fingerprint.__wrapped__(package)
    path = package / name
    old = path.read_bytes() if path.exists() else None
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((old or b"") + b"\n")
        assert (code_fingerprint.__wrapped__(package) != before) is counts
    finally:
        if old is None:
            path.unlink()
        else:
            path.write_bytes(old)
    assert code_fingerprint.__wrapped__(package) == before
