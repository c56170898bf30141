from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.errors import InputError, IntegrityError, LiftwrightError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ledger.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(path)
    yield made
    made.close()


def filled(path: Path, count: int = 60) -> None:
    store = SqliteStore(path)
    for number in range(count):
        store.put(f"k{number:04}", {"status": "done", "run_id": "r1", "reply": f"{number}" * 200})
    store.close()


@settings(max_examples=15)
@given(st.text(st.characters(codec=None), max_size=50))
def test_put_reply_of_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    store = SqliteStore(tmp_path_factory.getbasetemp() / "any" / "ledger.sqlite")
    store.put("k1", {"status": "done", "reply": text})
    row = store.get("k1")
    store.close()
    assert row is not None
    assert row["reply"] == text


def test_store_of_a_process_that_died_holds_what_was_put(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    store.put("k1", {"status": "pending"})
    # The files as a killed process leaves them: the row is in the write-ahead log alone.
    shutil.copytree(path.parent, tmp_path / "after")
    store.close()
    after = SqliteStore(tmp_path / "after" / path.name)
    assert after.get("k1") == {"key": "k1", "status": "pending"}
    after.close()


def other_program(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table records (name text, phone text)")
        connection.commit()


def cut_short(kept: float) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"not a database, but long enough to be one" * 100),
        lambda path: path.write_bytes(b"SQLite format 3\x00junk"),
        cut_short(0.2),
        cut_short(0.9),
        other_program,
    ],
)
def test_store_file_that_is_no_ledger_is_an_integrity_error_and_is_kept(
    spoil: Callable[[Path], object], path: Path
) -> None:
    filled(path)
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(IntegrityError, match=r"ledger\.sqlite: .*corrupt") as caught:
        SqliteStore(path)
    assert caught.value.exit_status == 4
    assert spoil is other_program or path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        """update records set row = replace(row, '"r1"', '"r2"')""",
        "update records set row = '{'",
        "update records set row = '[]'",
        "update records set row = cast(x'ff' as text)",
        "update records set key = 'k0001'",
        "update records set digest = ''",
    ],
)
def test_get_row_that_was_changed_is_an_integrity_error(change: str, path: Path) -> None:
    filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute(change)
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(IntegrityError, match="corrupt"):
        list(store.rows())
    store.close()


@settings(max_examples=40)
@given(st.integers(0, 2**30), st.binary(min_size=1, max_size=64))
def test_store_with_damaged_bytes_never_gives_a_wrong_row(
    tmp_path_factory: pytest.TempPathFactory, place: int, damage: bytes
) -> None:
    base = tmp_path_factory.getbasetemp() / "whole.sqlite"
    if not base.exists():
        filled(base, 40)
    data = bytearray(base.read_bytes())
    at = place % (len(data) - len(damage))
    data[at : at + len(damage)] = damage
    path = tmp_path_factory.mktemp("damaged") / "ledger.sqlite"
    path.write_bytes(data)
    try:
        store = SqliteStore(path)
    except LiftwrightError:
        return
    try:
        for number in range(40):
            row = store.get(f"k{number:04}")
            assert row is None or row["reply"] == f"{number}" * 200
    except LiftwrightError:
        pass
    finally:
        store.close()


def test_put_into_a_full_database_is_an_input_error_and_loses_nothing(path: Path) -> None:
    store = SqliteStore(path)
    store.put("k1", {"status": "done"})
    # What a full disk answers, without one: the database may grow by no page.
    store._connection.execute("pragma max_page_count = 1")
    with pytest.raises(InputError, match="full"):
        store.put("k2", {"status": "done", "reply": "x" * 100_000})
    assert store.get("k2") is None
    assert store.get("k1") is not None
    store.close()


def test_store_below_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError):
        SqliteStore(tmp_path / "file" / "ledger.sqlite")
