"""`liftwright eval` as it is typed: its exit status, its JSON, its table, its refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import files_of, liftwright

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

KIND = (
    "Our walking boots are waxed by hand and keep your feet dry.",
    "Join us on Saturday for a guided walk around the lake.",
    "Every order leaves the warehouse within two working days.",
)


def write(folder: Path, name: str, lines: Iterable[Mapping[str, object]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One folder with cases for grounding and for retrieval."""
    folder = tmp_path / "cases"
    cases = [
        {"text": KIND[0], "sources": [{"title": "", "text": KIND[0]}], "supported": True},
        {"text": KIND[1], "sources": [{"title": "", "text": KIND[0]}], "supported": False},
    ]
    write(folder, "cases.jsonl", cases)
    documents = [{"_id": str(n), "title": "", "text": text} for n, text in enumerate(KIND)]
    write(folder, "corpus.jsonl", documents)
    write(folder, "queries.jsonl", [{"_id": "q", "text": "a guided walk at the lake"}])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    return folder


@pytest.mark.parametrize(("what", "floor"), [("retrieval", 0.3), ("grounding", 0.6)])
def test_eval_reaches_its_default_floor_and_changes_nothing_but_logs(
    root: Path, data: Path, what: str, floor: float
) -> None:
    before = files_of(root)
    answer = liftwright(root, "eval", what, "--data", str(data), "--json")
    found = json.loads(answer.out)
    assert list(found) == ["what", "data", "n", "score", "floor", "ok", "measures"]
    assert (answer.status, found["ok"], found["floor"], found["score"]) == (0, True, floor, 1.0)
    after = {
        name: text for name, text in files_of(root).items() if not str(name).startswith("logs")
    }
    assert after == before


def test_eval_below_the_floor_exits_1_and_says_so(root: Path, data: Path) -> None:
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t0\t1\n")
    asked = ("eval", "retrieval", "--data", str(data), "--floor", "0.95")
    answer = liftwright(root, *asked)
    assert answer.status == 1
    assert "0.95" in answer.out
    found = json.loads(liftwright(root, *asked, "--json").out)
    assert found["score"] < 0.95
    assert found["ok"] is False


REFUSED = {
    "what": (("eval", "speed", "--data", "."), "'speed'"),
    "folder": (("eval", "grounding", "--data", "nowhere"), "nowhere"),
    "floor": (("eval", "grounding", "--data", ".", "--floor", "7"), "--floor"),
}


@pytest.mark.parametrize(("asked", "told"), REFUSED.values(), ids=REFUSED)
def test_eval_wrong_input_exits_2_with_one_message(
    root: Path, asked: tuple[str, ...], told: str
) -> None:
    answer = liftwright(root, *asked)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("liftwright: ")
    assert told in answer.err
    assert answer.err.count("\n") == 1
