"""What is wrong with an input ends in one message and exit 2; what was there stays as it was.

The tests assert what a message names (file, key, row, value, what is allowed); its wording stands
in `__snapshots__`, and `make snapshots` writes it anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
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

GOOD = "C00001,41,Leeds,Gold,3.5,64.20,12,0.31,0.05"
NAMES = ",".join(HEADER)


@dataclass(frozen=True, slots=True)
class Refused:
    """Runs what must be refused."""

    root: Path
    snapshot: SnapshotAssertion

    def __call__(self, *told: str, arguments: tuple[str, ...] = ()) -> Answer:
        """Run, and see that it is refused as agreed; `told` is what the message must name."""
        before = files_of(self.root)
        answer = liftwright(self.root, "run", *arguments)
        assert_refusal(answer, *told)
        assert files_of(self.root) == before
        assert not list((self.root / "data").glob("runs/*"))
        assert steady(answer.err, self.root) == self.snapshot
        return answer


@pytest.fixture
def refused(root: Path, snapshot: SnapshotAssertion) -> Refused:
    return Refused(root, snapshot)


def assert_refusal(answer: Answer, *told: str) -> None:
    assert answer.status == 2, answer
    assert answer.out == ""
    assert answer.err.startswith("liftwright: ")
    assert "Traceback" not in answer.err
    assert answer.err.count("liftwright: ") == 1
    for words in told:
        assert words in answer.err


def with_value(column: str, value: str) -> list[dict[str, str]]:
    rows = varied_customers(20)
    rows[6] = {**rows[6], column: value}
    return rows


# ── Files of customers ────────────────────────────────────────────────────────────────────────


def test_run_customers_that_are_not_there_are_named(root: Path, refused: Refused) -> None:
    (root / CUSTOMERS).unlink()
    refused(CUSTOMERS)


def test_run_customers_of_the_option_that_are_not_there_are_named(refused: Refused) -> None:
    refused("nobody.csv", arguments=("--customers", "nobody.csv"))


WHOLE_FILES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ()),
    "header only": (f"{NAMES}\n".encode(), ()),
    "short row": (
        f"{NAMES}\n{GOOD}\nC00002,41,Leeds\n".encode(),
        ("line 3", "3 fields", "9"),
    ),
    "UTF-16": (f"{NAMES}\n{GOOD}\n".encode("utf-16"), ("UTF-16", "UTF-8")),
    "spreadsheet": (b"PK\x03\x04" + b"\x00\x01" * 200, ("CSV", "Parquet")),
}


@pytest.mark.parametrize(("data", "told"), WHOLE_FILES.values(), ids=WHOLE_FILES)
def test_run_file_of_customers_that_is_no_table_is_refused(
    root: Path, refused: Refused, data: bytes, told: tuple[str, ...]
) -> None:
    (root / CUSTOMERS).write_bytes(data)
    refused("customers.csv", *told)


def test_run_missing_column_is_named_with_the_way_out(root: Path, refused: Refused) -> None:
    column = "avg_order_value"
    rows = [
        {name: value for name, value in row.items() if name != column}
        for row in varied_customers(20)
    ]
    write_customers(root, rows)
    refused(CUSTOMERS, repr(column), f"columns.{column}", "null")


VALUES = {
    "text for a number": ("avg_order_value", "plenty", "avg_order_value"),
    "infinite": ("avg_order_value", "inf", ""),
    "rate above one": ("historical_open_rate", "1.2", "1"),
    "blank id": ("customer_id", "", "customer_id"),
    "id twice": ("customer_id", "C00003", "customer_id"),
}


@pytest.mark.parametrize(("column", "value", "told"), VALUES.values(), ids=VALUES)
def test_run_bad_value_is_named_with_its_row(
    root: Path, refused: Refused, column: str, value: str, told: str
) -> None:
    write_customers(root, with_value(column, value))
    answer = refused(CUSTOMERS, column, told)
    # The seventh of the customers; a header stands before them.
    assert re.search(r"row 7\b|line 8\b", answer.err), answer.err


def test_run_refusal_tells_no_id_and_no_person(root: Path, refused: Refused) -> None:
    rows = [
        {**row, "customer_id": "ada.lovelace@example.org", "location": "Ada Lovelace"}
        for row in varied_customers(3)
    ]
    write_customers(root, rows)
    answer = refused("customer_id")
    log = (root / "logs/system.log").read_text(encoding="utf-8")
    assert "run_stopped" in log
    for place in (answer.err, log):
        assert "lovelace" not in place.casefold()


ORDERS = {
    "missing file": ({}, None, "orders.csv"),
    "bad date": ({}, "customer_id,day,amount\nC00001,yesterday,3\n", "row 1"),
    "injection": (
        {"amount": "amount); drop table customers; --"},
        "customer_id,day,amount\nC00001,2026-01-01,3\n",
        "amount",
    ),
}


@pytest.mark.parametrize(("changes", "text", "told"), ORDERS.values(), ids=ORDERS)
def test_run_bad_orders_are_refused(
    root: Path, refused: Refused, changes: dict[str, object], text: str | None, told: str
) -> None:
    entry = {"path": "orders.csv", "id": "customer_id", "date": "day", "amount": "amount"}
    configure(root, "customers.orders", [{**entry, **changes}])
    if text is not None:
        (root / "orders.csv").write_text(text, encoding="utf-8")
    refused(told)


# ── Rules ─────────────────────────────────────────────────────────────────────────────────────

RULES = {
    "second statement": "age > 3; drop table customers",
    "file": "age in (select * from read_csv('/etc/passwd'))",
    "unknown column": "avg_order_vale > 3",
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_run_rule_that_is_no_condition_is_refused_with_its_place(
    root: Path, refused: Refused, rule: str
) -> None:
    configure(root, "segments.rules.0.conditions.0.when", rule)
    refused("segments.yaml", "rules[0].conditions[0]")


# ── Content ───────────────────────────────────────────────────────────────────────────────────


def one_document(root: Path) -> Path:
    return min((root / CONTENT).glob("*.json"))


def edit_document(root: Path, **changes: object) -> str:
    file = one_document(root)
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for name, value in changes.items():
        if value is None:
            del values[name]
        else:
            values[name] = value
    file.write_text(json.dumps(values), encoding="utf-8")
    return file.name


def test_run_content_of_the_option_that_is_not_there_is_refused(refused: Refused) -> None:
    refused("nothing-here", arguments=("--content", "nothing-here"))


BROKEN_DOCUMENTS = {
    "broken JSON": b'{"document_id": "a",\n "title": }',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("data", BROKEN_DOCUMENTS.values(), ids=BROKEN_DOCUMENTS)
def test_run_broken_document_is_named(root: Path, refused: Refused, data: bytes) -> None:
    file = one_document(root)
    file.write_bytes(data)
    refused(file.name)


BAD_FIELDS: dict[str, tuple[dict[str, object], str]] = {
    "no id": ({"document_id": None}, "document_id"),
    "bad day": ({"approval_date": "last week"}, "approval_date"),
}


@pytest.mark.parametrize(("changes", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_run_document_with_a_bad_field_is_named_with_it(
    root: Path, refused: Refused, changes: dict[str, object], field: str
) -> None:
    refused(edit_document(root, **changes), field)


def test_run_all_content_expired_is_refused_without_a_run(root: Path) -> None:
    for file in (root / CONTENT).glob("*.json"):
        values = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**values, "expires_on": "2026-01-31"}), encoding="utf-8")
    answer = liftwright(root, "run")
    assert answer.status in (1, 2)
    assert "Traceback" not in answer.err
    assert not list(root.rglob("assignments.parquet"))


# ── Configuration ─────────────────────────────────────────────────────────────────────────────

CONFIG_FILES = ("azure_config", "channels")


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_run_missing_configuration_file_is_named(root: Path, refused: Refused, name: str) -> None:
    (root / f"config/{name}.yaml").unlink()
    refused(f"{name}.yaml")


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_run_malformed_yaml_is_named_with_its_line(root: Path, refused: Refused, name: str) -> None:
    (root / f"config/{name}.yaml").write_text("a: 1\nb: [1,\nc: 2\n", encoding="utf-8")
    answer = refused(f"{name}.yaml")
    assert re.search(r"\.yaml:\d+|line \d+", answer.err)


@pytest.mark.parametrize("name", CONFIG_FILES)
def test_run_unknown_key_is_named(root: Path, refused: Refused, name: str) -> None:
    file = root / f"config/{name}.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "\nno_such_key: 1\n", encoding="utf-8")
    refused(f"{name}.yaml", "no_such_key")


WRONG_SETTINGS: dict[str, tuple[str, object, tuple[str, ...]]] = {
    "unknown key with a near one": (
        "experiment_config.analysis",
        {"alhpa": 0.05},
        ("experiment_config.yaml", "analysis.alhpa", "alpha"),
    ),
    "out of range": ("experiment_config.analysis.alpha", 1.5, ("analysis.alpha", "1.5")),
    "shares of other arms": ("experiment_config.shares", {"control": 1.0}, ("shares", "urgent")),
    "unknown adapter": (
        "azure_config.adapters.complete",
        "embeded",
        ("azure_config.yaml", "adapters.complete", "embeded", "embedded"),
    ),
    "adapter without its options": (
        "azure_config.adapters.complete",
        "openai_compatible",
        ("openai_compatible", "base_url"),
    ),
    "unknown method": ("segments.method", "magic", ("segments.yaml", "method", "kmeans")),
}


@pytest.mark.parametrize(("key", "value", "told"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_run_wrong_setting_is_named_with_file_key_and_what_is_allowed(
    root: Path, refused: Refused, key: str, value: object, told: tuple[str, ...]
) -> None:
    configure(root, key, value)
    refused(*told)


PROMPTS = {
    "unknown placeholder": ("base_template.txt", "{passages} {weather}", "weather"),
    "missing placeholder": ("base_template.txt", "Write for {brand}.", "body_max_words"),
}


@pytest.mark.parametrize(("name", "text", "told"), PROMPTS.values(), ids=PROMPTS)
def test_run_wrong_prompt_template_is_named(
    root: Path, refused: Refused, name: str, text: str, told: str
) -> None:
    (root / "config/prompts" / name).write_text(text, encoding="utf-8")
    refused(name, told)


OPTIONS = {
    "unknown key": (("--set", "analysis.alhpa=0.1"), "alhpa"),
    "no value": (("--set", "seed"), "seed"),
    "wrong value": (("--set", "seed=-1"), "seed"),
    "run id that leads away": (("--run-id", "../elsewhere"), "--run-id"),
    "run id of dots": (("--run-id", ".."), "--run-id"),
    "day that is none": (("--as-of", "2026-02-30"), "as_of"),
    "missing engagement": (("--engagement", "nowhere.csv"), "nowhere.csv"),
}


@pytest.mark.parametrize(("arguments", "told"), OPTIONS.values(), ids=OPTIONS)
def test_run_wrong_option_is_refused(
    refused: Refused, arguments: tuple[str, ...], told: str
) -> None:
    refused(told, arguments=arguments)


def test_run_in_a_folder_that_is_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    answer = liftwright(tmp_path / "nothing", "run")
    assert_refusal(answer, "config", "liftwright init")
    assert not (tmp_path / "nothing").exists()


def test_init_into_a_folder_that_holds_something_leaves_it_alone(root: Path) -> None:
    before = files_of(root)
    assert_refusal(liftwright(None, "init", str(root)), str(root))
    assert files_of(root) == before


# ── Folders and disks ─────────────────────────────────────────────────────────────────────────


def test_run_folder_of_runs_that_is_a_file_is_refused(root: Path) -> None:
    (root / "data/runs").write_text("in the way", encoding="utf-8")
    before = files_of(root)
    assert_refusal(liftwright(root, "run"), "data/runs")
    assert files_of(root) == before


def test_run_folder_of_logs_that_is_a_file_is_refused(root: Path) -> None:
    (root / "logs").write_text("in the way", encoding="utf-8")
    assert_refusal(liftwright(root, "run"), "logs")
    assert not (root / "data/runs").exists()


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


@pytest.mark.parametrize("leave", [0, 8 << 10, 100 << 10])
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


# ── Two at once ───────────────────────────────────────────────────────────────────────────────


# ── Commands that only read ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "no-such-run"),
        ("report",),
        ("verify", "no-such-run"),
        ("approve", "no-such-run", "no-such-variant"),
        ("search",),
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


LINES: dict[str, Callable[[Path], object]] = {
    "broken": lambda file: file.write_bytes(b'{"id": 1, "text": "a"}\n{"id": 2,\n'),
    "no text": lambda file: file.write_bytes(b'{"id": 1, "text": "a"}\n{"id": 2}\n'),
    "a list": lambda file: file.write_bytes(b'{"id": 1, "text": "a"}\n[1]\n'),
    "Latin-1": lambda file: file.write_bytes(b'{"id": 1, "text": "caf\xe9"}\n'),
}


@pytest.mark.parametrize("verb", ["screen", "ground", "search"])
@pytest.mark.parametrize("write", LINES.values(), ids=LINES)
def test_lines_that_cannot_be_read_are_refused_with_their_number(
    root: Path, verb: str, write: Callable[[Path], object]
) -> None:
    file = root / "texts.jsonl"
    write(file)
    given = ("--queries", str(file)) if verb == "search" else (str(file),)
    answer = liftwright(root, verb, *given, "--json")
    assert answer.status == 2
    assert_refusal(replace(answer, out=""), "texts.jsonl")
    for line in answer.out.splitlines():
        json.loads(line)
