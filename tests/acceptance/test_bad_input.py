"""Wrong input ends in one message and exit 2, and leaves the workspace as it was.

The tests assert what a message names (file, key, row, value, what is allowed); its wording is kept
in `__snapshots__`, which `make snapshots` rewrites.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from acceptance_samples import (
    CONTENT,
    CUSTOMERS,
    HEADER,
    configure,
    files_of,
    liftwright,
    liftwright_process,
    steady,
    varied_customers,
    write_customers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

    from acceptance_samples import Answer

    Prepare = Callable[[Path], object]

GOOD = "C00001,41,Leeds,Gold,3.5,64.20,12,0.31,0.05"
NAMES = ",".join(HEADER)


def assert_refusal(answer: Answer, *named: str) -> None:
    assert answer.status == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("liftwright: ")
    assert "Traceback" not in answer.err
    assert answer.err.count("liftwright: ") == 1
    for words in named:
        assert words in answer.err


# ── One message, and nothing else ─────────────────────────────────────────────────────────────


def customers(data: bytes) -> Prepare:
    return lambda root: (root / CUSTOMERS).write_bytes(data)


def value(column: str, text: str | None) -> Prepare:
    """The seventh customer has another value; None leaves out the column."""

    def write(root: Path) -> None:
        rows = varied_customers(20)
        if text is None:
            rows = [{name: row[name] for name in row if name != column} for row in rows]
        else:
            rows[6] = {**rows[6], column: text}
        write_customers(root, rows)

    return write


def orders(text: str | None, **changes: str) -> Prepare:
    def write(root: Path) -> None:
        entry = {"path": "orders.csv", "id": "customer_id", "date": "day", "amount": "amount"}
        configure(root, "customers.orders", [{**entry, **changes}])
        if text is not None:
            (root / "orders.csv").write_text(f"customer_id,day,amount\n{text}\n", "utf-8")

    return write


def document(data: bytes) -> Prepare:
    return lambda root: (root / CONTENT / "boot-care.json").write_bytes(data)


def field(name: str, text: str | None) -> Prepare:
    def write(root: Path) -> None:
        file = root / CONTENT / "boot-care.json"
        values: dict[str, Any] = {**json.loads(file.read_text("utf-8")), name: text}
        kept = {key: item for key, item in values.items() if item is not None}
        file.write_text(json.dumps(kept), encoding="utf-8")

    return write


def setting(key: str, to: object) -> Prepare:
    return lambda root: configure(root, key, to)


def config(name: str, text: str | None) -> Prepare:
    def write(root: Path) -> None:
        file = root / "config" / name
        if text is None:
            file.unlink()
        else:
            file.write_text(text, encoding="utf-8")

    return write


def nothing(_: Path) -> None:
    pass


# What is wrong, what the message must name, and the options of the command.
RULE, RULE_PLACE = "segments.rules.0.conditions.0.when", ("segments.yaml", "rules[0].conditions[0]")
WRONG: dict[str, tuple[Prepare, tuple[str, ...], tuple[str, ...]]] = {
    "no customers": (lambda root: (root / CUSTOMERS).unlink(), (CUSTOMERS,), ()),
    "no customers, by option": (nothing, ("nobody.csv",), ("--customers", "nobody.csv")),
    "empty": (customers(b""), ("customers.csv",), ()),
    "short row": (
        customers(f"{NAMES}\n{GOOD}\nC00002,41,Leeds\n".encode()),
        ("customers.csv", "line 3", "3 fields", "9"),
        (),
    ),
    "another encoding": (
        customers(f"{NAMES}\n{GOOD}\n\x81\n".encode("latin-1")),
        ("encoding", "UTF-8"),
        (),
    ),
    "spreadsheet": (customers(b"PK\x03\x04" + b"\x00\x01" * 200), (CUSTOMERS, "damaged"), ()),
    "missing column": (
        value("avg_order_value", None),
        (CUSTOMERS, "'avg_order_value'", "columns.avg_order_value", "null"),
        (),
    ),
    "text for a number": (value("avg_order_value", "plenty"), ("row 7", "avg_order_value"), ()),
    "id twice": (value("customer_id", "C00003"), ("row 7", "customer_id"), ()),
    "missing orders": (orders(None), ("orders.csv",), ()),
    "bad date of an order": (orders("C00001,yesterday,3"), ("orders.csv", "row 1"), ()),
    "injection": (
        orders("C00001,2026-01-01,3", amount="amount); drop table customers; --"),
        ("amount",),
        (),
    ),
    "second statement": (setting(RULE, "age > 3; drop table customers"), RULE_PLACE, ()),
    "file in a rule": (
        setting(RULE, "age in (select * from read_csv('/etc/passwd'))"),
        RULE_PLACE,
        (),
    ),
    "unknown column": (setting(RULE, "avg_order_vale > 3"), RULE_PLACE, ()),
    "no content": (nothing, ("nothing-here",), ("--content", "nothing-here")),
    "broken JSON": (document(b'{"document_id": "a",\n "title": }'), ("boot-care.json",), ()),
    "deep JSON": (document(b"[" * 100_000), ("boot-care.json",), ()),
    "no document id": (field("document_id", None), ("boot-care.json", "document_id"), ()),
    "bad day": (field("approval_date", "last week"), ("boot-care.json", "approval_date"), ()),
    "missing configuration": (config("channels.yaml", None), ("channels.yaml",), ()),
    "malformed YAML": (
        config("channels.yaml", "a: 1\nb: [1,\nc: 2\n"),
        ("channels.yaml:4",),
        (),
    ),
    "unknown key": (setting("azure_config.no_such_key", 1), ("azure_config", "no_such_key"), ()),
    "unknown key with a near one": (
        setting("experiment_config.analysis", {"alhpa": 0.05}),
        ("experiment_config.yaml", "analysis.alhpa", "alpha"),
        (),
    ),
    "out of range": (
        setting("experiment_config.analysis.alpha", 1.5),
        ("analysis.alpha", "1.5"),
        (),
    ),
    "shares of other arms": (
        setting("experiment_config.shares", {"control": 1.0}),
        ("shares", "urgent"),
        (),
    ),
    "unknown adapter": (
        setting("azure_config.adapters.complete", "embeded"),
        ("azure_config.yaml", "adapters.complete", "embeded", "embedded"),
        (),
    ),
    "adapter without its options": (
        setting("azure_config.adapters.complete", "openai_compatible"),
        ("openai_compatible", "base_url"),
        (),
    ),
    "unknown method": (
        setting("segments.method", "magic"),
        ("segments.yaml", "method", "kmeans"),
        (),
    ),
    "unknown placeholder": (
        config("prompts/base_template.txt", "{passages} {weather}"),
        ("base_template.txt", "weather"),
        (),
    ),
    "missing placeholder": (
        config("prompts/base_template.txt", "Write for {brand}."),
        ("base_template.txt", "body_max_words"),
        (),
    ),
    "override of an unknown key": (nothing, ("alhpa",), ("--set", "analysis.alhpa=0.1")),
    "override without a value": (nothing, ("seed",), ("--set", "seed")),
    "override out of range": (nothing, ("seed",), ("--set", "seed=-1")),
    "run id that leads away": (nothing, ("--run-id",), ("--run-id", "../elsewhere")),
    "day that is none": (nothing, ("as_of",), ("--as-of", "2026-02-30")),
    "missing outcomes": (nothing, ("nowhere.csv",), ("--engagement", "nowhere.csv")),
}


@pytest.mark.parametrize("case", WRONG)
def test_run_wrong_input_is_refused_with_one_message_and_changes_nothing(
    root: Path, case: str, snapshot: SnapshotAssertion
) -> None:
    prepare, named, options = WRONG[case]
    prepare(root)
    before = files_of(root)
    answer = liftwright(root, "run", *options)
    assert_refusal(answer, *named)
    assert files_of(root) == before
    assert not list((root / "data").glob("runs/*"))
    assert steady(answer.err, root) == snapshot


def test_run_refusal_names_no_customer(root: Path) -> None:
    person = {"customer_id": "ada.lovelace@example.org", "location": "Ada Lovelace"}
    write_customers(root, [{**row, **person} for row in varied_customers(3)])
    answer = liftwright(root, "run")
    assert_refusal(answer, "customer_id")
    log = (root / "logs/system.log").read_text(encoding="utf-8")
    assert "run_stopped" in log
    assert "lovelace" not in (answer.err + log).casefold()


def test_run_all_content_expired_is_refused_without_a_run(root: Path) -> None:
    for file in (root / CONTENT).glob("*.json"):
        values = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**values, "expires_on": "2026-01-31"}), encoding="utf-8")
    answer = liftwright(root, "run")
    assert answer.status in (1, 2)
    assert "Traceback" not in answer.err
    assert not list(root.rglob("assignments.parquet"))


def test_run_in_a_folder_that_is_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    answer = liftwright(tmp_path / "nothing", "run")
    assert_refusal(answer, "config", "liftwright init")
    assert not (tmp_path / "nothing").exists()


def test_init_into_a_folder_that_holds_something_leaves_it_alone(root: Path) -> None:
    before = files_of(root)
    assert_refusal(liftwright(None, "init", str(root)), str(root))
    assert files_of(root) == before


# ── Folders and disks ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["data/runs", "logs"])
def test_run_file_where_a_folder_belongs_is_refused(root: Path, name: str) -> None:
    (root / name).write_text("in the way", encoding="utf-8")
    before = files_of(root)
    assert_refusal(liftwright(root, "run"), name)
    assert files_of(root) == before


def test_run_audit_log_that_is_a_folder_stops_the_run_before_anything_is_decided(
    root: Path,
) -> None:
    (root / "logs/safety_audit.log").mkdir(parents=True)
    answer = liftwright(root, "run", "--run-id", "stopped")
    assert_refusal(answer, "safety_audit.log")
    folder = root / "data/runs/stopped"
    assert not (folder / "decisions.json").exists()
    assert not (folder / "assignments.parquet").exists()


@contextlib.contextmanager
def mounted(folder: Path, size: str, *, read_only: bool = False) -> Iterator[None]:
    """A small file system of its own at `folder`, with what the folder holds now."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a small file system can be mounted by root alone")
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
        timeout=30,
    )
    if done.returncode != 0:
        pytest.skip("this machine does not let a small file system be mounted")
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        if read_only:
            subprocess.run([mount, "-o", "remount,ro", str(folder)], check=True, timeout=30)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, timeout=30)  # noqa: S607
        shutil.rmtree(aside)


def fill(folder: Path, leave: int) -> None:
    """Take all room on a file system but the last bytes."""
    room = shutil.disk_usage(folder).free - leave
    with (folder / "filler").open("wb") as file:
        file.write(b"\0" * max(room, 0))


def test_run_workspace_that_is_read_only_is_refused(root: Path) -> None:
    with mounted(root, "64m", read_only=True):
        assert_refusal(liftwright_process(root, "run"), "Read-only")


@pytest.mark.parametrize("leave", [0, 100 << 10])
def test_run_full_disk_stops_with_one_message_and_goes_on_once_there_is_room(
    root: Path, leave: int
) -> None:
    with mounted(root, "64m"):
        before = files_of(root)
        fill(root, leave)
        answer = liftwright_process(root, "run", "--run-id", "tight")
        assert_refusal(answer, "No space left")
        folder = root / "data/runs/tight"
        # Whatever is there is whole: a file of a run is never half of one.
        for file in folder.rglob("*.json"):
            json.loads(file.read_text(encoding="utf-8"))
        assert not [file for file in folder.rglob(".*") if file.stat().st_size]
        (root / "filler").unlink()
        assert {name: data for name, data in files_of(root).items() if name in before} == before


# ── Commands that only read ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "no-such-run"),
        ("verify", "no-such-run"),
        ("approve", "no-such-run", "no-such-variant"),
        ("search", "tent", "--content", "nowhere"),
        ("search", "--queries", "nowhere.jsonl"),
        ("screen", "nowhere.jsonl"),
        ("ground", "nowhere.jsonl"),
    ],
    ids=" ".join,
)
def test_reading_commands_on_what_is_not_there_are_refused(
    root: Path, arguments: tuple[str, ...]
) -> None:
    answer = liftwright(root, *arguments)
    assert_refusal(replace(answer, out=""))


LINES = {
    "broken": b'{"id": 1, "text": "a"}\n{"id": 2,\n',
    "no text": b'{"id": 1, "text": "a"}\n{"id": 2}\n',
    "a list": b'{"id": 1, "text": "a"}\n[1]\n',
    "Latin-1": b'{"id": 1, "text": "caf\xe9"}\n',
    "empty": b"\n \n",
    "lone surrogate": b'{"id": 1, "text": "\\ud800"}\n',
}


@pytest.mark.parametrize("verb", ["screen", "ground", "search"])
@pytest.mark.parametrize("data", LINES.values(), ids=LINES)
def test_lines_that_cannot_be_read_are_refused(root: Path, verb: str, data: bytes) -> None:
    file = root / "texts.jsonl"
    file.write_bytes(data)
    given = ("--queries", str(file)) if verb == "search" else (str(file),)
    answer = liftwright(root, verb, *given, "--json")
    assert_refusal(replace(answer, out=""), "texts.jsonl")
    for line in answer.out.splitlines():
        json.loads(line)
