from __future__ import annotations

import contextvars
import hashlib
import hmac
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.errors import DataError, InputError
from liftwright.log import (
    Log,
    anonymise,
    event,
    fault,
    log_context,
    logging_to,
)
from waiting import PATIENCE_SECONDS

CANARIES = ("Canary Personsdottir", "canary.person@example.org", "cust-000-canary")


def read(folder: Path, name: str = "system.log") -> list[dict[str, Any]]:
    path = folder / name
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_event_each_line_has_the_four_keys_and_a_level(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path), run="r1"):
        event("variant_blocked", agent="safety", level="warning", variant_id="v1")
        event("passages_found", agent="retrieval")
    for line in read(tmp_path):
        assert set(line) == {"timestamp", "level", "agent", "action", "context"}
        assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None
        assert line["timestamp"].endswith("Z")
    first = read(tmp_path)[0]
    assert (first["agent"], first["action"], first["level"]) == (
        "safety",
        "variant_blocked",
        "warning",
    )
    assert first["context"] == {"run": "r1", "variant_id": "v1"}


def test_within_fields_nest_and_end_with_their_block(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path), run="r1", stage="none"):
        with log_context(stage="generate"), log_context(segment="s1"):
            event("a_done", agent="pipeline", stage_detail=1)
        event("b_done", agent="pipeline")
        with pytest.raises(ValueError, match="left"), log_context(stage="ground"):
            raise ValueError("left")
        event("c_done", agent="pipeline", run="own field wins")
    assert [line["context"] for line in read(tmp_path)] == [
        {"run": "r1", "stage": "generate", "segment": "s1", "stage_detail": 1},
        {"run": "r1", "stage": "none"},
        {"run": "own field wins", "stage": "none"},
    ]


@pytest.mark.parametrize(
    ("level", "kept"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_event_below_the_level_is_left_out(level: str, kept: int, tmp_path: Path) -> None:
    names = ["debug", "info", "warning", "error"]
    with logging_to(Log(tmp_path, level=level)):
        for name in names:
            event("a_done", agent="reporting", level=name)
    assert [line["level"] for line in read(tmp_path)] == names[-kept:]
    assert len(read(tmp_path, "experiment.log")) == kept


def test_log_unknown_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        Log(tmp_path, level="loud")
    with logging_to(Log(tmp_path)), pytest.raises(ValueError, match="not in tuple"):
        event("a_done", agent="pipeline", level="loud")


def test_event_from_threads_with_a_copied_context_keeps_its_fields(tmp_path: Path) -> None:
    def work(number: int) -> None:
        with log_context(number=number):
            for _ in range(50):
                event("draft_written", agent="generation", text="x" * 9000)

    with logging_to(Log(tmp_path), run="r1"), ThreadPoolExecutor(8) as pool:
        running = [pool.submit(contextvars.copy_context().run, work, n) for n in range(8)]
        for done in running:
            done.result(timeout=PATIENCE_SECONDS)
    contexts = [line["context"] for line in read(tmp_path)]
    assert len(contexts) == 400
    assert {c["run"] for c in contexts} == {"r1"}
    assert sorted(c["number"] for c in contexts) == sorted(n for n in range(8) for _ in range(50))


def test_event_from_a_thread_without_the_context_is_not_written(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)):
        thread = threading.Thread(target=event, args=("a_done",), kwargs={"agent": "pipeline"})
        thread.start()
        thread.join(timeout=PATIENCE_SECONDS)
    assert read(tmp_path) == []


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in ("action", "agent", "level")),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(max_size=4)
        ),
        max_size=5,
    )
)
def test_event_any_fields_make_one_line_that_parses(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    with logging_to(Log(folder)):
        event("a_done", agent="pipeline", **fields)
    (line,) = read(folder)
    assert set(line["context"]) == set(fields)


def test_event_odd_values_are_written_and_stop_no_run(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)):
        event(
            "a_done",
            agent="pipeline",
            half="broken \ud83d emoji",
            lines="one\ntwo\u2028three",
            count=np.int64(7),
            rate=np.float32(0.5),
            nothing=float("nan"),
            path=Path("customers.csv"),
            nested={"path": Path("customers.csv"), "count": 1},
        )
    (line,) = read(tmp_path)
    assert line["context"] == {
        "half": "broken \ud83d emoji",
        "lines": "one\ntwo\u2028three",
        "count": 7,
        "rate": 0.5,
        "nothing": None,
        "path": "<PosixPath>",
        "nested": {"path": "<PosixPath>", "count": 1},
    }


def read_row(row: str) -> float:
    return float(row)


def test_fault_of_a_foreign_error_never_tells_its_message(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)):
        for canary in CANARIES:
            try:
                try:
                    read_row(canary)
                except ValueError as cause:
                    raise RuntimeError(f"row of {canary}") from cause
            except RuntimeError as error:
                error.add_note(canary)
                fault("stage_failed", error, agent="pipeline", stage="segment")
    text = (tmp_path / "system.log").read_text()
    assert not [canary for canary in CANARIES if canary in text]
    for line in read(tmp_path):
        assert (line["level"], line["context"]["error"]) == ("error", "RuntimeError")
        assert (line["context"]["message"], line["context"]["stage"]) == ("", "segment")


def test_fault_of_our_own_error_tells_its_message_and_where_it_arose(tmp_path: Path) -> None:
    def load() -> None:
        raise DataError("customers.csv: row 3: age: found text, allowed 0 to 120")

    with logging_to(Log(tmp_path)):
        try:
            load()
        except DataError as error:
            fault("stage_failed", error, agent="pipeline")
    (line,) = read(tmp_path)
    assert line["context"]["message"].startswith("customers.csv: row 3")
    stack = line["context"]["stack"]
    assert stack[-1].startswith("test_log.py:")
    assert stack[-1].endswith(" load")
    assert not [frame for frame in stack if "/" in frame]


def test_anonymise_is_the_keyed_hash_in_16_hex() -> None:
    token = anonymise("007", key=b"key one")
    assert token == hmac.new(b"key one", b"007", hashlib.sha256).hexdigest()[:16]
    assert token == anonymise("007", key=b"key one")
    assert token != anonymise("007", key=b"key two")
    assert token != anonymise("7", key=b"key one")
    assert token != hashlib.sha256(b"007").hexdigest()[:16]


def test_log_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file stands where the folder should be")
    with pytest.raises(InputError, match="logs"):
        Log(tmp_path / "logs")


def test_event_file_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    log = Log(tmp_path)
    (tmp_path / "system.log").mkdir()
    with logging_to(log), pytest.raises(InputError, match=r"system\.log"):
        event("a_done", agent="pipeline")
