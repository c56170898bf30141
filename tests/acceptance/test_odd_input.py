"""What is odd but not wrong is read as what it is, and a run on it comes to an end."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import (
    CONTENT,
    configure,
    lay_down,
    liftwright,
    outcome,
    read_json,
    read_rows,
    run_until,
    varied_customers,
    write_customers,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ODD_IDS = (
    "007",
    "7",
    "7.0",
    "1e5",
    "00000000000000000000000000000001",
    "9223372036854775808",
    "=cmd|' /C calc'!A0",
    "+44 20 7946 0000",
    "-1",
    "@SUM(A1)",
    "NULL",
    "nan",
    "true",
    "2026-03-01",
    'quo"ted',
    "with,comma",
    "with;semicolon",
    "two\nlines",
    "'; drop table customers; --",
    "Zoë",
    "Zoe\u0308",
    "客户",
    " padded ",
    "upper",
    "UPPER",
)


def kept_ids(folder: Path) -> list[str]:
    return sorted(row["customer_id"] for row in read_rows(folder / "segmented.parquet"))


def warnings_of(folder: Path) -> str:
    return " ".join(read_json(folder / "customers.json")["warnings"])


# ── Ids ───────────────────────────────────────────────────────────────────────────────────────


def test_run_odd_ids_stay_what_they_are_in_every_table(root: Path) -> None:
    rows = varied_customers(60)
    for row, odd in zip(rows, ODD_IDS, strict=False):
        row["customer_id"] = odd
    write_customers(root, rows)
    folder = run_until(root, "observe")
    expected = sorted(row["customer_id"] for row in rows)
    for name in ("segmented", "assignments", "engagement"):
        found = sorted(row["customer_id"] for row in read_rows(folder / f"{name}.parquet"))
        assert found == expected
    assert "white space" in warnings_of(folder)


def test_run_formulas_in_labels_are_escaped_in_the_audit_log(root: Path) -> None:
    formula = "=cmd|' /C calc'!A0"
    configure(root, "segments.rules.0.label", formula)
    folder = run_until(root, "assign")
    assert formula in {row["segment"] for row in read_rows(folder / "segmented.parquet")}
    with (root / "logs/safety_audit.log").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.reader(stream))
    cells = {cell for line in lines[1:] for cell in line}
    assert any(formula in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]


# ── How a file is written ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "warning"),
    [
        ({"encoding": "latin-1"}, "Windows-1252"),
        ({"delimiter": ";"}, ""),
        ({"delimiter": "\t"}, ""),
    ],
    ids=["Windows-1252", "semicolons", "tabs"],
)
def test_run_file_in_another_form_is_read_the_same(
    root: Path, form: dict[str, str], warning: str
) -> None:
    rows = [{**row, "location": "Zürich, CH"} for row in varied_customers(30)]
    file = write_customers(root, rows)
    plain = read_rows(run_until(root, "segment", "plain") / "segmented.parquet")
    with file.open("w", encoding=form.get("encoding", "utf-8"), newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=form.get("delimiter", ","))
        writer.writeheader()
        writer.writerows(rows)
    folder = run_until(root, "segment", "other")
    assert read_rows(folder / "segmented.parquet") == plain
    assert warning in warnings_of(folder)


def test_run_quoted_line_ends_and_delimiters_stay_in_their_field(root: Path) -> None:
    rows = varied_customers(20)
    rows[3]["location"] = 'Flat 2,\n"The Mill";\r\nYork'
    rows[4]["customer_id"] = "C-4\nsecond line"
    write_customers(root, rows)
    folder = run_until(root, "segment")
    assert kept_ids(folder) == sorted(row["customer_id"] for row in rows)


def test_run_bad_rows_set_aside_are_counted_and_the_rest_goes_on(root: Path) -> None:
    configure(root, "customers.on_bad_rows", "reject")
    rows = varied_customers(40)
    rows[3]["age"] = "999"
    rows[5]["customer_id"] = ""
    rows[7]["customer_id"] = rows[8]["customer_id"]
    write_customers(root, rows)
    folder = run_until(root, "segment")
    read = read_json(folder / "customers.json")
    rejected = read_rows(folder / "rejected.parquet")
    assert (read["rows_in"], read["rows_kept"]) == (40, 40 - len(rejected))
    assert sum(read["rejected"].values()) == len(rejected) == 3
    assert len(kept_ids(folder)) == read["rows_kept"]


# ── Customers ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["rules", "rfm", "kmeans"])
def test_run_all_customers_alike_ends_with_everyone_in_an_arm(root: Path, method: str) -> None:
    configure(root, "segments.method", method)
    alike = varied_customers(1)[0]
    rows = [{**alike, "customer_id": f"C{number}"} for number in range(24)]
    write_customers(root, rows)
    answer = liftwright(root, "plan")
    assert answer.status == 0, answer
    folder = run_until(root, "segment")
    segments = read_json(folder / "segments.json")
    assert sum(one["size"] for one in segments["segments"]) == 24
    assert segments["warnings"]
    assert len(kept_ids(folder)) == 24


RULES = {
    "nobody": ("age > 900", 0),
    "everybody": ("age >= 0 or age is null", 60),
}


@pytest.mark.parametrize(("rule", "size"), RULES.values(), ids=RULES)
def test_run_rule_that_fits_nobody_or_everybody_is_told(root: Path, rule: str, size: int) -> None:
    configure(root, "segments.rules.0.conditions", [{"when": rule, "weight": 100}])
    folder = run_until(root, "assign")
    segments = read_json(folder / "segments.json")
    sizes = {one["label"]: one["size"] for one in segments["segments"]}
    assert sizes.get("Big Spenders", 0) == size
    assert sum(sizes.values()) == len(read_rows(folder / "assignments.parquet")) == 60
    empty = [one for one in ("Big Spenders", "Long Gone", "All Others") if one not in sizes]
    assert empty
    for label in empty:
        assert any(label in warning for warning in segments["warnings"])


# ── Content ───────────────────────────────────────────────────────────────────────────────────


def test_run_long_document_is_indexed_and_used_like_any_other(tmp_path: Path) -> None:
    root = lay_down(tmp_path / "workspace", customers=30)
    for file in (root / CONTENT).glob("*.json"):
        if file.stem not in ("customer-care", "delivery-options"):
            file.unlink()
    sentence = "Boots that are waxed in autumn keep the water out on wet paths all winter. "
    paragraph = sentence * 500
    text = "\n\n".join(f"## Part {n}\n{paragraph}" for n in range(1_000_000 // len(paragraph) + 1))
    document = {
        "document_id": "long",
        "title": "Boots in Winter",
        "category": "support",
        "approval_date": "2026-01-05",
        "content": text,
    }
    assert len(text) > 1_000_000
    (root / CONTENT / "long.json").write_text(json.dumps(document), encoding="utf-8")
    folder = run_until(root, "retrieve")
    assert read_json(folder / "index.json")["documents"] == 3
    for passages in read_json(folder / "passages.json").values():
        assert all(len(passage["text"].split()) <= 200 for passage in passages)


def test_run_markdown_and_json_lines_are_read_like_json(root: Path) -> None:
    folder = root / CONTENT
    boots = json.loads((folder / "boot-care.json").read_text(encoding="utf-8"))
    (folder / "boot-care.json").unlink()
    front = "\n".join(
        f"{name}: {json.dumps(value)}" for name, value in boots.items() if name != "content"
    )
    (folder / "boot-care.md").write_text(f"---\n{front}\n---\n{boots['content']}\n", "utf-8")
    found = read_json(run_until(root, "index") / "index.json")
    assert (found["documents"], found["skipped"]) == (10, [])
    lines = root / "content.jsonl"
    records = [
        json.dumps(json.loads(file.read_text(encoding="utf-8")))
        for file in sorted(folder.glob("*.json"))
    ]
    lines.write_text("\n".join(records) + "\n", encoding="utf-8")
    found = read_json(run_until(root, "index", "lines", content=lines) / "index.json")
    assert found["documents"] == len(records)


# ── The answer is no: exit 1 ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("customers", [1, 3])
def test_run_fewer_customers_than_arms_is_no_experiment(root: Path, customers: int) -> None:
    write_customers(root, varied_customers(customers))
    answer = liftwright(root, "run", "--run-id", "few")
    assert answer.status == 1
    assert "no experiment" in answer.out
    assert "4 arms" in answer.out
    assert answer.err == ""
    folder = root / "data/runs/few"
    assert read_json(folder / "run.json")["status"] == "no_experiment"
    for name in (
        "assignments.parquet",
        "arms.json",
        "engagement.parquet",
        "metrics.json",
        "report",
    ):
        assert not (folder / name).exists()


# ── What was written is not what is there: exit 4 ─────────────────────────────────────────────


def changed_last_line(data: bytes) -> bytes:
    *lines, last = data.splitlines(keepends=True)
    return b"".join([*lines, last.replace(b",pass,", b",block,")])


@pytest.mark.parametrize(
    "change", [changed_last_line, lambda _: b"something else\n"], ids=["line", "file"]
)
def test_verify_and_run_find_an_audit_log_that_was_changed(
    done: Path, change: Callable[[bytes], bytes]
) -> None:
    log = done / "logs/safety_audit.log"
    log.write_bytes(change(log.read_bytes()))
    assert liftwright(done, "verify").status == 4
    answer = liftwright(done, "run", "--run-id", "next", "--set", "seed=8")
    assert answer.status == 4, answer
    assert answer.err.startswith("liftwright: ")
    assert not (done / "data/runs/next/assignments.parquet").exists()


def test_verify_without_the_audit_log_fails(done: Path) -> None:
    (done / "logs/safety_audit.log").unlink()
    answer = liftwright(done, "verify")
    assert (answer.status, "safety_audit.log" in answer.out) == (4, True)


@pytest.mark.parametrize("name", ["variants.json", "decisions.json", "segments.json", "run.json"])
@pytest.mark.parametrize("data", [b"", b"{}"], ids=str)
def test_run_file_of_a_run_that_was_damaged_is_made_again_or_refused(
    done: Path, name: str, data: bytes
) -> None:
    folder = done / "data/runs/first"
    before = outcome(folder / name)
    (folder / name).write_bytes(data)
    if name == "run.json":
        answer = liftwright(done, "run", "--run-id", "first")
        assert answer.status == 4
        assert "run.json" in answer.err
        assert "Traceback" not in answer.err
    else:
        run_until(done, "measure", "first")
        assert outcome(folder / name) == before


@pytest.mark.parametrize(
    "data", [b"not a database at all" * 400, b"SQLite format 3\0" + b"x" * 4000]
)
def test_run_corrupt_ledger_stops_before_anything_is_paid(root: Path, data: bytes) -> None:
    server = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    configure(root, "azure_config.adapters.complete", "openai_compatible")
    configure(root, "azure_config.openai_compatible", server)
    configure(root, "azure_config.calls.retries", 0)
    (root / "data/ledger.sqlite").write_bytes(data)
    answer = liftwright(root, "run", "--run-id", "next")
    assert answer.status == 4, answer
    assert "ledger" in answer.err
    assert "Traceback" not in answer.err
    assert not (root / "data/runs/next/variants.json").exists()
    assert (root / "data/ledger.sqlite").read_bytes() == data


def test_run_missing_ledger_though_a_run_paid_is_refused(done: Path) -> None:
    record = done / "data/runs/first/run.json"
    values = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**values, "metered_calls": 3}), encoding="utf-8")
    for arguments in (("run",), ("verify",)):
        answer = liftwright(done, *arguments)
        assert answer.status == 4, answer
        assert "ledger.sqlite" in answer.err
        assert "first" in answer.err
