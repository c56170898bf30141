"""The contract of the port `store`, which keeps the ledger of paid calls."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from contracts.promises import in_threads
from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from liftwright.ports import Store


@dataclass(frozen=True, kw_only=True)
class StoreRig:
    """A store under its contract.

    Attributes:
        make: opens it, each time the same one.
        program: Python text that opens it as `store`, for a process of its own.
        damages: by name; each is found when the store is opened or read.
    """

    make: Callable[[], Store]
    program: str
    damages: dict[str, Callable[[], None]] = field(default_factory=dict)


def sqlite(folder: Path) -> StoreRig:
    file = folder / "data" / "ledger.sqlite"

    def overwrite() -> None:
        content = bytearray(file.read_bytes())
        content[0:100] = b"\xff" * 100
        file.write_bytes(bytes(content))

    def alter() -> None:
        content = file.read_bytes()
        assert b"CANARY-REPLY" in content
        file.write_bytes(content.replace(b"CANARY-REPLY", b"CANARY-OTHER"))

    return StoreRig(
        make=lambda: SqliteStore(file),
        program=(
            "from pathlib import Path\n"
            "from liftwright.adapters.embedded.sqlite import SqliteStore\n"
            f"store = SqliteStore(Path({str(file)!r}))\n"
        ),
        damages={"overwritten": overwrite, "altered": alter},
    )


ADAPTERS = {"sqlite": sqlite}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> StoreRig:
    made: StoreRig = request.param(tmp_path)
    return made


@pytest.fixture
def store(rig: StoreRig) -> Iterator[Store]:
    opened = rig.make()
    yield opened
    opened.close()


ROW = {"status": "done", "run_id": "r1", "reply": "CANARY-REPLY", "cost_usd": 0.25, "tokens": 12}


@pytest.mark.parametrize(
    "reply",
    [
        "plain",
        "Grüße ⛺\n\x00",
        "\ud83d",
        "x" * 1_000_000,
        {"a": [1, None, {"b": True}]},
        None,
        0.1,
    ],
)
def test_get_gives_what_put_was_given(store: Store, reply: object) -> None:
    assert store.get("k") is None
    store.put("k", {**ROW, "reply": reply})
    found = store.get("k")
    assert found is not None
    assert {**found} == {**ROW, "reply": reply, "key": "k"}


def test_put_again_replaces_the_row(store: Store) -> None:
    store.put("k", {**ROW, "status": "pending"})
    store.put("k", ROW)
    assert store.get("k") == {**ROW, "key": "k"}
    assert len(list(store.rows())) == 1
    assert list(store.rows(status="pending")) == []


def test_rows_are_found_by_status_and_run(store: Store) -> None:
    for number in range(6):
        changes = {"status": ("done", "pending")[number % 2], "run_id": f"r{number % 3}"}
        store.put(f"k{number}", {**ROW, **changes})
    assert {row["key"] for row in store.rows(status="pending")} == {"k1", "k3", "k5"}
    assert {row["key"] for row in store.rows(status="done", run_id="r0")} == {"k0"}
    assert len(list(store.rows())) == 6


def test_rows_by_an_unknown_column_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="reply"):
        list(store.rows(reply="x"))


def test_key_with_any_text_is_only_a_key(store: Store) -> None:
    for key in ("'; drop table records; --", "%", "ключ", ""):
        store.put(key, ROW)
        assert store.get(key) == {**ROW, "key": key}
    assert len(list(store.rows())) == 4


def test_put_and_get_from_threads_lose_nothing(store: Store) -> None:
    def work(number: int) -> bool:
        store.put(f"k{number}", {**ROW, "tokens": number})
        found = store.get(f"k{number}")
        return found is not None and found["tokens"] == number

    assert all(in_threads(work, range(60)))
    assert len(list(store.rows())) == 60


def test_two_openings_see_each_others_rows(rig: StoreRig, store: Store) -> None:
    other = rig.make()
    try:
        store.put("k", ROW)
        assert other.get("k") == {**ROW, "key": "k"}
    finally:
        other.close()


def test_put_outlives_a_process_that_dies_at_once(rig: StoreRig) -> None:
    program = f"{rig.program}import os\nstore.put('k', {ROW!r})\nos._exit(9)\n"
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert ended.returncode == 9
    opened = rig.make()
    try:
        assert opened.get("k") == {**ROW, "key": "k"}
    finally:
        opened.close()


def test_damage_is_found_as_a_fault_of_integrity(rig: StoreRig) -> None:
    for name, damage in rig.damages.items():
        try:
            opened = rig.make()
        except IntegrityError:
            continue
        opened.put("k", ROW)
        opened.close()
        damage()
        with pytest.raises(IntegrityError) as caught:  # noqa: PT012 - found at either moment
            again = rig.make()
            try:
                again.get("k")
            finally:
                again.close()
        assert "CANARY" not in str(caught.value), name
