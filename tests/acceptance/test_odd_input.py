"""What is odd but not wrong is read as what it is, and a run on it comes to an end."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import (
    CONTENT,
    CUSTOMERS,
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


@pytest.fixture
def plain(root: Path) -> list[dict[str, object]]:
    """The segmented customers of a plain UTF-8 file with commas, whose places are `Zürich, CH`."""
    rows = [{**row, "location": "Zürich, CH"} for row in varied_customers(30)]
    write_customers(root, rows)
    return read_rows(run_until(root, "segment", "plain") / "segmented.parquet")


def rewritten(root: Path, **form: str) -> Path:
    """The same customers in another form, segmented."""
    encoding = form.pop("encoding", "utf-8")
    file = root / CUSTOMERS
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    with file.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, **form).writerows(rows)  # type: ignore[arg-type] # a dialect's values
    return run_until(root, "segment", "other")


def test_run_latin_1_is_read_the_same_with_a_warning(
    root: Path, plain: list[dict[str, object]]
) -> None:
    folder = rewritten(root, encoding="latin-1")
    assert read_rows(folder / "segmented.parquet") == plain
    assert "Latin-1" in warnings_of(folder)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_run_other_delimiters_are_read_the_same(
    root: Path, plain: list[dict[str, object]], delimiter: str
) -> None:
    folder = rewritten(root, delimiter=delimiter)
    assert read_rows(folder / "segmented.parquet") == plain


def test_run_quoted_line_ends_and_delimiters_stay_in_their_field(root: Path) -> None:
    rows = varied_customers(20)
    rows[3]["location"] = 'Flat 2,\n"The Mill";\r\nYork'
    rows[4]["customer_id"] = "C-4\nsecond line"
    write_customers(root, rows)
    folder = run_until(root, "segment")
    assert kept_ids(folder) == sorted(row["customer_id"] for row in rows)


def test_run_extra_column_can_be_used_in_a_rule(root: Path) -> None:
    rows = [
        {**row, "app user": "TRUE" if number % 2 else "false"}
        for number, row in enumerate(varied_customers(20))
    ]
    write_customers(root, rows)
    configure(root, "segments.rules.0.conditions", [{"when": '"app user" = true'}])
    folder = run_until(root, "segment")
    found = {row["customer_id"]: row["segment"] for row in read_rows(folder / "segmented.parquet")}
    assert all(
        (found[row["customer_id"]] == "Big Spenders") >= (row["app user"] == "TRUE") for row in rows
    )


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
    "a contradiction": ("age > 3 and age < 2", 0),
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


def test_run_document_of_a_megabyte_is_indexed_and_used_like_any_other(tmp_path: Path) -> None:
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


def changed_line(data: bytes) -> bytes:
    header, first, *rest = data.splitlines(keepends=True)
    return b"".join([header, first.replace(b",pass,", b",block,"), *rest])


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a changed line": changed_line,
    "a removed line": lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
    "lines in another order": lambda data: b"".join(
        [*data.splitlines(keepends=True)[:-2], *data.splitlines(keepends=True)[:-3:-1]]
    ),
    "an empty file": lambda _: b"",
}


@pytest.fixture(scope="module")
def assigned(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose run is measured, and waits for its report alone."""
    root = shutil.copytree(template, tmp_path_factory.mktemp("assigned") / "workspace")
    run_until(root, "measure")
    return root


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_verify_after_a_change_of_the_audit_log_fails(
    assigned: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    root = shutil.copytree(assigned, tmp_path / "workspace")
    assert liftwright(root, "verify").status == 0
    log = root / "logs/safety_audit.log"
    before = log.read_bytes()
    log.write_bytes(change(before))
    assert log.read_bytes() != before
    answer = liftwright(root, "verify")
    assert answer.status == 4
    assert "Traceback" not in answer.err


def test_verify_without_the_audit_log_fails(assigned: Path, tmp_path: Path) -> None:
    root = shutil.copytree(assigned, tmp_path / "workspace")
    (root / "logs/safety_audit.log").unlink()
    answer = liftwright(root, "verify")
    assert answer.status == 4
    assert "safety_audit.log" in answer.out + answer.err


def changed_last_line(data: bytes) -> bytes:
    *lines, last = data.splitlines(keepends=True)
    return b"".join([*lines, last.replace(b",pass,", b",block,")])


@pytest.mark.parametrize("change", [changed_last_line, lambda _: b"something else\n"])
def test_run_after_a_change_of_the_audit_log_stops(
    assigned: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    root = shutil.copytree(assigned, tmp_path / "workspace")
    log = root / "logs/safety_audit.log"
    log.write_bytes(change(log.read_bytes()))
    answer = liftwright(root, "run", "--run-id", "next")
    assert answer.status == 4, answer
    assert answer.err.startswith("liftwright: ")
    assert not (root / "data/runs/next/assignments.parquet").exists()


@pytest.mark.parametrize("name", ["variants.json", "decisions.json", "segments.json", "run.json"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[1, 2", b"\0" * 64], ids=str)
def test_run_file_of_a_run_that_was_damaged_is_made_again_or_refused(
    assigned: Path, tmp_path: Path, name: str, data: bytes
) -> None:
    root = shutil.copytree(assigned, tmp_path / "workspace")
    folder = root / "data/runs/part"
    before = outcome(folder / name)
    (folder / name).write_bytes(data)
    if name == "run.json":
        answer = liftwright(root, "run", "--run-id", "part")
        assert answer.status == 4
        assert "run.json" in answer.err
        assert "Traceback" not in answer.err
    else:
        run_until(root, "measure")
        assert outcome(folder / name) == before


def paid(root: Path) -> None:
    """Let the workspace use a paid writer that nobody answers for."""
    server = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    configure(root, "azure_config.adapters.complete", "openai_compatible")
    configure(root, "azure_config.openai_compatible", server)
    configure(root, "azure_config.calls.retries", 0)


@pytest.mark.parametrize(
    "data", [b"not a database at all" * 400, b"SQLite format 3\0" + b"x" * 4000]
)
def test_run_corrupt_ledger_stops_before_anything_is_paid(root: Path, data: bytes) -> None:
    paid(root)
    (root / "data/ledger.sqlite").write_bytes(data)
    answer = liftwright(root, "run", "--run-id", "next")
    assert answer.status == 4, answer
    assert "ledger" in answer.err
    assert "Traceback" not in answer.err
    assert not (root / "data/runs/next/variants.json").exists()
    assert (root / "data/ledger.sqlite").read_bytes() == data


def test_run_missing_ledger_though_a_run_paid_is_refused(assigned: Path, tmp_path: Path) -> None:
    root = shutil.copytree(assigned, tmp_path / "workspace")
    record = root / "data/runs/part/run.json"
    values = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**values, "metered_calls": 3}), encoding="utf-8")
    for arguments in (("run",), ("verify",)):
        answer = liftwright(root, *arguments)
        assert answer.status == 4, answer
        assert "ledger.sqlite" in answer.err
        assert "part" in answer.err
