from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import configuration
import stand_in
from liftwright.campaign.evaluate import Evaluation, EvaluationRequest, evaluate
from liftwright.campaign.evaluation_cases import read_retrieval_cases, read_safety_cases
from liftwright.errors import (
    ConfigurationError,
    DataError,
    InputError,
    ProviderRefused,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from liftwright.campaign import StageProgress

CATEGORIES = ("hate", "violence", "self_harm", "sexual")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace served by a screener whose scores stand in the texts."""
    monkeypatch.syspath_prepend(stand_in.register(tmp_path / "packages"))
    folder = configuration.lay_down(tmp_path / "workspace")
    choose(folder, screen="counted")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def choose(root: Path, **adapters: str) -> None:
    file = root / "config" / "azure_config.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    values["adapters"].update(adapters)
    file.write_text(yaml.safe_dump(values), encoding="utf-8")


def write_lines(file: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return file


def write_judgements(folder: Path, text: str) -> Path:
    file = folder / "qrels" / "test.tsv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"query-id\tcorpus-id\tscore\n{text}", encoding="utf-8")
    return file


def measure(
    root: Path,
    what: str,
    data: Path,
    floor: float | None = None,
    steps: list[StageProgress] | None = None,
) -> Evaluation:
    request = EvaluationRequest(what=what, data=data, floor=floor)
    return evaluate(root, request, notify=(steps if steps is not None else []).append)


# ── What was asked ────────────────────────────────────────────────────────────────────────────


def test_evaluate_unknown_part_names_the_nearest(root: Path, data: Path) -> None:
    with pytest.raises(InputError, match=r"'retreival'.*'retrieval'"):
        measure(root, "retreival", data)


@pytest.mark.parametrize("floor", [-0.1, 1.1, float("nan"), float("inf")])
def test_evaluate_floor_that_no_score_can_have_is_refused(
    root: Path, data: Path, floor: float
) -> None:
    with pytest.raises(InputError, match=r"--floor: .*0 to 1"):
        measure(root, "safety", data, floor)


@pytest.mark.parametrize("what", ["safety", "retrieval", "grounding"])
def test_evaluate_folder_that_is_not_there_is_refused(root: Path, data: Path, what: str) -> None:
    with pytest.raises(DataError, match="elsewhere"):
        measure(root, what, data / "elsewhere")


# ── Safety ────────────────────────────────────────────────────────────────────────────────────


def test_evaluate_safety_measures_each_category_by_hand_computed_values(
    root: Path, data: Path
) -> None:
    write_lines(
        data / "cases.jsonl",
        [
            {"text": "hate 0.9", "hate": 1, "violence": 0},
            {"text": "hate 0.3", "hate": 1, "violence": 0},
            {"text": "hate 0.3 violence 0.8", "hate": 0, "violence": 1},
            {"text": "hate 0.6", "hate": 0, "violence": 0},
            {"text": "hate 0.1", "hate": 0, "violence": None},
            {"text": "sexual 0.9"},
        ],
    )
    found = measure(root, "safety", data)
    assert (found.n, found.floor, found.ok, found.what) == (6, 0.7, True, "safety")
    categories: Any = found.measures["categories"]
    # Positives 0.9 and 0.3 against 0.6, 0.3 and 0.1: 3 + 1.5 of 6 pairs.
    assert categories["hate"] == {
        "n": 5,
        "positives": 2,
        "average_precision": pytest.approx((1 / 1 + 2 / 4) / 2),
        "auroc": pytest.approx(4.5 / 6),
        "recall": 0.5,
        "false_positive_rate": pytest.approx(1 / 3),
        "block_rate_of_positives": 0.5,
    }
    assert categories["violence"]["auroc"] == 1
    assert categories["violence"]["n"] == 4
    assert categories["violence"]["false_positive_rate"] == 0
    assert categories["sexual"] == {
        "n": 0,
        "positives": 0,
        **dict.fromkeys(list(categories["hate"])[2:]),
    }
    assert found.score == found.measures["macro_auroc"] == pytest.approx((0.75 + 1) / 2)
    # Of the texts with a label and no harm, `hate 0.6` is blocked and `hate 0.1` is not.
    assert found.measures["texts_without_harm"] == 2
    assert found.measures["block_rate_without_harm"] == 0.5


def test_evaluate_safety_many_texts_are_asked_for_in_batches_with_progress(
    root: Path, data: Path
) -> None:
    write_lines(data / "cases.jsonl", [{"text": f"hate 0.{n}1", "hate": n % 2} for n in range(130)])
    steps: list[StageProgress] = []
    measure(root, "safety", data, steps=steps)
    assert len(stand_in.batches(root)) == 3
    assert [(step.done, step.total) for step in steps] == [(n, 130) for n in (0, 64, 128, 130)]


def test_evaluate_safety_csv_is_read_as_jsonl_is(root: Path, data: Path, tmp_path: Path) -> None:
    (data / "cases.csv").write_text(
        "\ufeffid,text,hate,violence,note\r\n"
        '1,"hate 0.9,\nviolence 0.2",1,,x\r\n'
        "\r\n"
        "2,hate 0.4,0.0,1.0,\r\n"
        "3,violence 0.1,False, 0 ,\r\n",
        encoding="utf-8",
    )
    lines = tmp_path / "lines"
    lines.mkdir()
    write_lines(
        lines / "cases.jsonl",
        [
            {"id": "1", "text": "hate 0.9,\nviolence 0.2", "hate": True, "violence": None},
            {"id": "2", "text": "hate 0.4", "hate": 0, "violence": 1.0},
            {"id": "3", "text": "violence 0.1", "hate": False, "violence": 0},
        ],
    )
    table, listed = measure(root, "safety", data), measure(root, "safety", lines)
    assert table.measures == listed.measures
    assert [case.where.rpartition(":")[2] for case in read_safety_cases(data)] == ["2", "5", "6"]


def test_evaluate_safety_screener_that_is_away_ends_it_after_retries(
    root: Path, data: Path
) -> None:
    choose(root, screen=stand_in.NAME)
    stand_in.order(root, down=["kind"])
    write_lines(data / "cases.jsonl", [{"text": "bad", "hate": 1}, {"text": "kind", "hate": 0}])
    with pytest.raises(ProviderUnavailable, match="the screener is away"):
        measure(root, "safety", data)
    assert stand_in.asked(root).count("kind") == 4


def test_evaluate_safety_reply_that_lacks_a_category_is_no_score_of_zero(
    root: Path, data: Path
) -> None:
    choose(root, screen="partial")
    write_lines(data / "cases.jsonl", [{"text": "one", "hate": 1}, {"text": "two", "hate": 0}])
    with pytest.raises(ProviderRefused, match=r"cases\.jsonl:1: .*lacks sexual"):
        measure(root, "safety", data)


def test_evaluate_safety_too_few_replies_end_it(root: Path, data: Path) -> None:
    choose(root, screen="forgetful")
    write_lines(data / "cases.jsonl", [{"text": "one", "hate": 1}, {"text": "two", "hate": 0}])
    with pytest.raises(ProviderRefused, match="1 replies for 2"):
        measure(root, "safety", data)


def test_read_safety_cases_of_two_files_or_none_are_refused(data: Path) -> None:
    with pytest.raises(DataError, match=r"neither cases\.jsonl nor cases\.csv"):
        read_safety_cases(data)
    for name in ("cases.jsonl", "cases.csv"):
        (data / name).write_text("")
    with pytest.raises(DataError, match=r"both cases\.jsonl and cases\.csv"):
        read_safety_cases(data)


@pytest.mark.parametrize("labels", [[{"hate": 1}, {"violence": 0}], [{}, {}]])
def test_evaluate_safety_labels_that_compare_nothing_are_refused(
    root: Path, data: Path, labels: list[dict[str, int]]
) -> None:
    write_lines(data / "cases.jsonl", [{"text": "a text", **label} for label in labels])
    with pytest.raises(DataError, match="both 0 and 1"):
        measure(root, "safety", data)
    assert not stand_in.batches(root)


BAD_LINES = {
    "label": ({"text": "a", "hate": 2}, "hate: found 2, allowed: 0, 1, or nothing"),
    "label in words": ({"text": "a", "hate": "yes"}, "hate: found 'yes', allowed: 0, 1"),
    "label of a sentence": (
        {"text": "a", "hate": "Ada said that it was so"},
        "hate: found a longer text, allowed",
    ),
    "misspelt category": (
        {"text": "a", "Self-Harm": 1},
        "field name: found 'Self-Harm', allowed: 'self_harm'",
    ),
    "no text": ({"hate": 1}, "text: found nothing, allowed: text"),
    "blank": ({"text": " \n"}, "text: found blank text, allowed: text that is not"),
    "half": ({"text": "a\ud83d"}, "found a lone surrogate"),
}


@pytest.mark.parametrize(("line", "told"), BAD_LINES.values(), ids=BAD_LINES)
def test_read_safety_cases_bad_line_is_named(data: Path, line: dict[str, Any], told: str) -> None:
    write_lines(data / "cases.jsonl", [{"text": "good", "hate": 0}, line])
    with pytest.raises(DataError) as error:
        read_safety_cases(data)
    assert f"cases.jsonl:2: {told}" in str(error.value).replace("the fields' ", "")


BAD_TABLES = {
    "no text": (b"id,hate\n1,0\n", "cases.csv:1: text: found 0 columns of this name"),
    "empty": (b"", "cases.csv:1: text: found 0 columns"),
    "short row": (b"text,hate\na,1\nb\n", "cases.csv:3: row: found 1 fields, allowed: 2"),
    "open quote": (b'text,hate\na,1\n"b,0\n', "cases.csv:3: not CSV"),
    "latin": (b"text,hate\nsch\xf6n,0\n", "cases.csv: not UTF-8"),
}


@pytest.mark.parametrize(("text", "told"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_read_safety_cases_bad_table_is_named(data: Path, text: bytes, told: str) -> None:
    (data / "cases.csv").write_bytes(text)
    with pytest.raises(DataError) as error:
        read_safety_cases(data)
    assert told in str(error.value)


# ── Retrieval ─────────────────────────────────────────────────────────────────────────────────

DOCUMENTS = (
    ("boots", "Boot care", "Brush the mud off your boots, then wax the leather."),
    ("tents", "Tents", "A tent with two poles stands up to wind on the hill."),
    ("tea", "Tea", "Green tea is steeped for two minutes in water below the boil."),
    ("empty", "", ""),
    ("title", "Refunds within thirty days", ""),
)


def lay_down(data: Path, judgements: str = "q1\tboots\t1\nq2\ttea\t2\nq3\ttitle\t1\n") -> Path:
    lines = [{"_id": name, "title": title, "text": text} for name, title, text in DOCUMENTS]
    write_lines(data / "corpus.jsonl", lines)
    queries = [("q1", "wax leather boots"), ("q2", "how long to steep green tea")]
    queries += [("q3", "refunds within days"), ("q4", "never judged")]
    write_lines(data / "queries.jsonl", [{"_id": name, "text": text} for name, text in queries])
    write_judgements(data, judgements)
    return data


def test_evaluate_retrieval_finds_what_was_judged_and_leaves_the_workspace_alone(
    root: Path, data: Path
) -> None:
    steps: list[StageProgress] = []
    found = measure(root, "retrieval", lay_down(data), steps=steps)
    assert (found.n, found.score, found.floor, found.ok) == (3, 1.0, 0.3, True)
    assert found.measures == {
        "ndcg_at_10": 1.0,
        "recall_at_10": 1.0,
        "documents": 5,
        "queries_without_relevant": 0,
    }
    assert {step.state for step in steps} == {"advanced"}
    assert (steps[-1].done, steps[-1].total) == (3, 3)
    assert not (root / "data").exists()


def test_evaluate_retrieval_search_service_is_refused_before_it_is_asked(
    root: Path, data: Path
) -> None:
    choose(root, search="service")
    with pytest.raises(ConfigurationError, match=r"'service'.*'embedded'"):
        measure(root, "retrieval", lay_down(data))


def test_read_retrieval_cases_paragraphs_are_parted_at_blank_lines(data: Path) -> None:
    lay_down(data)
    write_lines(
        data / "corpus.jsonl",
        [
            {"_id": "boots", "title": " Boot\ncare ", "text": "One.\n \nTwo.\n\n"},
            *({"_id": name, "text": "Text."} for name in ("tea", "title")),
        ],
    )
    boots = read_retrieval_cases(data).documents[0]
    assert boots.title == "Boot care"
    assert [section.paragraphs for section in boots.sections] == [("One.", "Two.")]


BAD_JUDGEMENTS = {
    "unknown query": ("q9\tboots\t1\n", "query-id: found 'q9', allowed: an _id of queries.jsonl"),
    "unknown document": ("q1\tboot\t1\n", "corpus-id: found 'boot', allowed: an _id of corpus"),
    "twice": ("q1\ttea\t1\nq1\ttea\t1\n", "corpus-id: found 'tea' twice, allowed: one score"),
    "no number": ("q1\ttea\thigh\n", "score: found 'high', allowed: a number, 0 or more"),
    "not a number": ("q1\ttea\tnan\n", "score: found 'nan', allowed: a number, 0 or more"),
    "spaces": ("q1 tea 1\n", "row: found 1 fields, allowed: 3 fields"),
    "only zeros": ("q1\ttea\t0\n", "test.tsv: found nothing, allowed: at least a score above 0"),
}


@pytest.mark.parametrize(("text", "told"), BAD_JUDGEMENTS.values(), ids=BAD_JUDGEMENTS)
def test_read_retrieval_cases_bad_judgement_is_named(data: Path, text: str, told: str) -> None:
    with pytest.raises(DataError) as error:
        read_retrieval_cases(lay_down(data, text))
    assert told in str(error.value)
    assert "test.tsv" in str(error.value)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_read_retrieval_cases_file_that_is_missing_or_repeats_an_id_is_named(
    data: Path, name: str
) -> None:
    (lay_down(data) / name).unlink()
    with pytest.raises(DataError, match=name):
        read_retrieval_cases(data)
    if name.endswith("jsonl"):
        write_lines(data / name, [{"_id": "q1", "text": "a"}] * 2)
        with pytest.raises(DataError, match=f"{name}:2: _id: .*'q1'"):
            read_retrieval_cases(data)


# ── Grounding ─────────────────────────────────────────────────────────────────────────────────

SOURCE = {"title": "Delivery", "text": "Parcels leave the warehouse within two working days."}


def test_evaluate_grounding_tells_supported_from_unsupported(root: Path, data: Path) -> None:
    said = "Parcels leave the warehouse within two working days."
    made_up = "The company was founded in 1920 by a Norwegian sailor."
    write_lines(
        data / "cases.jsonl",
        [
            {"id": 1, "text": said, "sources": [SOURCE], "supported": True},
            {"id": 2, "text": made_up, "sources": [SOURCE], "supported": False},
            {"id": 3, "text": said, "sources": [], "supported": False},
            {"id": 4, "text": made_up, "sources": [{"text": made_up}], "supported": True},
        ],
    )
    found = measure(root, "grounding", data)
    assert (found.n, found.floor, found.ok) == (4, 0.6, True)
    assert found.measures == {
        "auroc": 1.0,
        "balanced_accuracy": 1.0,
        "supported": 2,
        "supported_accepted": 1.0,
        "unsupported_refused": 1.0,
    }


@pytest.mark.parametrize("label", [True, False])
def test_evaluate_grounding_one_label_for_all_is_refused(
    root: Path, data: Path, *, label: bool
) -> None:
    line = {"text": "a", "sources": [SOURCE], "supported": label}
    write_lines(data / "cases.jsonl", [line, line])
    only = str(label).lower()
    with pytest.raises(DataError, match=f"{only}.*true and false"):
        measure(root, "grounding", data)


BAD_GROUNDING: dict[str, tuple[dict[str, Any], str]] = {
    "label": ({"supported": 1}, "supported: found 1, allowed: true or false"),
    "sources": ({"sources": SOURCE}, "sources: found an object, allowed: a list of objects"),
    "source": ({"sources": ["a"]}, "sources.0: found 'a', allowed: an object"),
    "title": ({"sources": [SOURCE, {"title": 1}]}, "sources.1.title: found 1, allowed: text"),
}


@pytest.mark.parametrize(("change", "told"), BAD_GROUNDING.values(), ids=BAD_GROUNDING)
def test_evaluate_grounding_bad_line_is_named(
    root: Path, data: Path, change: dict[str, Any], told: str
) -> None:
    line = {"text": "a", "sources": [SOURCE], "supported": True}
    write_lines(data / "cases.jsonl", [line, {**line, **change}])
    with pytest.raises(DataError) as error:
        measure(root, "grounding", data)
    assert f"cases.jsonl:2: {told}" in str(error.value)
