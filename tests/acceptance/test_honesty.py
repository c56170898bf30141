"""A run says what happened: no message without approval, no lift without an experiment."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import metered_writer
import stand_in
from acceptance_samples import (
    CONTENT,
    TONES,
    configure,
    draft_for,
    lay_down,
    liftwright,
    log_lines,
    read_json,
    read_rows,
    run_until,
    varied_customers,
    write_customers,
)
from compatible_server import Answer, CompatibleServer, chat_completion, failure

if TYPE_CHECKING:
    from pathlib import Path

    from compatible_server import Request

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("honesty")

AFTER_SCREENING = (
    *("arms.json", "assignments.parquet", "engagement.parquet", "engagement.json"),
    *("metrics.json", "report"),
)


def assert_no_experiment(root: Path, run_id: str, out: str) -> None:
    folder = root / "data/runs" / run_id
    assert not [name for name in AFTER_SCREENING if (folder / name).exists()]
    # Neither a lift nor a rate is shown; a share of customers is.
    assert "lift over control" not in out.casefold()
    assert "significant" not in out
    assert not re.search(r"[+-]\d+(\.\d+)?%", out)


def assert_assigned_to_what_passed(folder: Path) -> None:
    variants = read_json(folder / "variants.json")
    messages = {v["variant_id"]: v for v in (variants["control"], *variants["variants"])}
    status = {one["variant_id"]: one["status"] for one in read_json(folder / "decisions.json")}
    for row in read_rows(folder / "assignments.parquet"):
        message = messages[row["variant_id"]]
        assert status[row["variant_id"]] == "pass"
        assert message["arm"] == row["arm"]
        assert message["segment"] in (None, row["segment"])
        assert (message["segment"] is None) == (row["arm"] == "control")


# ── Where there is nothing to send ────────────────────────────────────────────────────────────


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def test_run_no_writer_reachable_is_unfinished_and_the_same_run_completes_later(
    complete: Path, root: Path
) -> None:
    port = free_port()
    server = {"base_url": f"http://127.0.0.1:{port}/v1", "model": "served-model"}
    configure(root, "azure_config.adapters.complete", "openai_compatible")
    configure(root, "azure_config.openai_compatible", server)
    configure(root, "azure_config.calls.retries", 1)
    configure(root, "channels.email.variant.body_min_words", 10)
    answer = liftwright(root, "run")
    assert answer.status == 3, answer
    (folder,) = (root / "data/runs").iterdir()
    assert_no_experiment(root, folder.name, answer.out)
    assert "resume" in answer.out
    assert read_json(folder / "run.json")["status"] == "unfinished"
    assert {one["cause"] for one in read_json(folder / "failures.json")} == {"provider"}
    assert read_json(folder / "variants.json")["variants"] == []

    told = liftwright(root, "status", "--json")
    assert (told.status, json.loads(told.out)["status"]) == (0, "unfinished")
    assert liftwright(root, "report").status == 2

    drafts = metered_writer.drafts_of(complete / "data/runs/first")

    def write(request: Request) -> Answer:
        draft = draft_for(request.prompt, drafts)
        if draft is None:
            return failure(400, "unknown_prompt")
        subject, body = draft
        return Answer(body=chat_completion(json.dumps({"subject": subject, "body": body})))

    reachable = CompatibleServer(port)
    reachable.otherwise = write
    with reachable.running():
        answer = liftwright(root, "run", "--json")
    assert answer.status == 0, answer
    assert [one.name for one in (root / "data/runs").iterdir()] == [folder.name]
    assert json.loads(answer.out)["status"] == "complete"
    assert_assigned_to_what_passed(folder)
    assert liftwright(root, "verify").status == 0


def test_run_every_draft_refused_is_no_experiment(root: Path) -> None:
    configure(root, "channels.email.variant.body_min_words", 1900)
    configure(root, "channels.email.variant.body_max_words", 2000)
    answer = liftwright(root, "run", "--run-id", "none")
    assert answer.status == 1, answer
    assert answer.out.startswith("no experiment")
    assert_no_experiment(root, "none", answer.out)
    failures = read_json(root / "data/runs/none/failures.json")
    assert {(one["tone"], one["cause"], one["attempts"]) for one in failures} == {
        (tone, "checks", 4) for tone in TONES
    }
    assert all(one["reasons"] for one in failures)


def test_run_blocked_control_message_is_no_experiment(root: Path) -> None:
    (root / "config/prompts/control_message.txt").write_text(
        "Subject: News from {brand}\n\nHello,\n\nI will kill you and your whole family tonight, "
        "and I will enjoy every minute of it.\n\nVisit the {brand} website today to see more.\n",
        encoding="utf-8",
    )
    answer = liftwright(root, "run", "--run-id", "none")
    assert answer.status == 1, answer
    assert "control message" in answer.out
    assert_no_experiment(root, "none", answer.out)


@pytest.mark.usefixtures("_installed")
def test_run_every_message_above_the_threshold_is_no_experiment(root: Path) -> None:
    configure(root, "azure_config.adapters.screen", "medium")
    configure(root, "safety_thresholds.threshold", 3)
    answer = liftwright(root, "run", "--run-id", "none")
    assert answer.status == 1, answer
    assert_no_experiment(root, "none", answer.out)
    decisions = read_json(root / "data/runs/none/decisions.json")
    assert {one["status"] for one in decisions} == {"block"}
    assert liftwright(root, "verify").status == 0


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize("name", ["empty", "partial"])
def test_run_screener_that_replies_too_little_blocks_all(root: Path, name: str) -> None:
    configure(root, "azure_config.adapters.screen", name)
    answer = liftwright(root, "run", "--run-id", "none")
    assert answer.status == 3, answer
    assert_no_experiment(root, "none", answer.out)
    decisions = read_json(root / "data/runs/none/decisions.json")
    assert len(decisions) == 10
    assert {one["status"] for one in decisions} == {"block"}
    assert all("unavailable" in one["reasons"][0] for one in decisions)


@pytest.mark.usefixtures("_installed")
def test_run_message_screened_in_part_is_blocked_alone_and_its_share_goes_to_control(
    complete: Path, root: Path
) -> None:
    victim = read_json(complete / "data/runs/first/variants.json")["variants"][0]
    configure(root, "azure_config.adapters.screen", "sometimes")
    (root / stand_in.WORD_FILE).write_text(victim["subject"], encoding="utf-8")
    folder = run_until(root, "assign")
    blocked = {
        one["variant_id"]
        for one in read_json(folder / "decisions.json")
        if one["status"] == "block"
    }
    assert victim["variant_id"] in blocked
    assert len(blocked) < 9
    assert_assigned_to_what_passed(folder)
    assert_assigned_to_what_passed(complete / "data/runs/first")
    rows = read_rows(folder / "assignments.parquet")
    assert len(rows) == 60
    of_segment = Counter(row["arm"] for row in rows if row["segment"] == victim["segment"])
    assert of_segment[victim["arm"]] == 0
    assert of_segment["control"] > max(of_segment[tone] for tone in TONES)


# ── Who gets what ─────────────────────────────────────────────────────────────────────────────


def test_run_no_customer_is_dropped_and_arms_do_not_hang_on_the_order_of_rows(
    root: Path,
) -> None:
    # 250 is no multiple of 4, nor is any of its segments likely to be.
    rows = varied_customers(250)
    write_customers(root, rows)
    first = read_rows(run_until(root, "assign", "first") / "assignments.parquet")
    assert [row["customer_id"] for row in first] == [row["customer_id"] for row in rows]
    for segment, size in Counter(row["segment"] for row in first).items():
        arms = Counter(row["arm"] for row in first if row["segment"] == segment)
        assert set(arms) == {"control", *TONES}
        assert all(abs(count - size / 4) <= 1 for count in arms.values())
    random.Random(3).shuffle(rows)  # noqa: S311 - a repeatable order
    write_customers(root, rows)
    second = read_rows(run_until(root, "assign", "second") / "assignments.parquet")
    arms_of = [{row["customer_id"]: row["arm"] for row in found} for found in (first, second)]
    assert arms_of[0] == arms_of[1]


def test_run_uplift_of_zero_gives_each_customer_what_control_would_have_had(root: Path) -> None:
    write_customers(root, varied_customers(250))
    configure(root, "experiment_config.simulation.uplift", {})
    outcomes = []
    for run_id, control in (("few", 0.1), ("many", 0.7)):
        others = dict.fromkeys(TONES, (1 - control) / 3)
        configure(root, "experiment_config.shares", {"control": control, **others})
        rows = read_rows(run_until(root, "observe", run_id) / "engagement.parquet")
        treated = {row["customer_id"] for row in rows if row["arm"] != "control"}
        names = ("delivered", "opened", "clicked", "converted", "revenue")
        outcomes.append({row["customer_id"]: tuple(row[n] for n in names) for row in rows})
    assert len(treated) < 100
    assert outcomes[0] == outcomes[1]
    assert any(opened for _, opened, *_ in outcomes[0].values())


# ── What is said ──────────────────────────────────────────────────────────────────────────────

CITATION = re.compile(r"\[Source: [^\[\]]+\]")
PRODUCTS = (
    *("Fellside", "Ridgeline", "Dale 28", "Beckside", "Moorland", "Brewstone", "Swaledale"),
    *("Trailmate", "Basecamp", "Trail Club", "Path Fund", "Preview Weekend"),
)


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The messages of a run on all of the sample content, to customers of whom none is Gold."""
    root = lay_down(tmp_path_factory.mktemp("messages") / "workspace")
    sample = lay_down_content(root)
    assert sample > 30
    rows = [
        {**row, "tier": "Bronze" if row["tier"] == "Gold" else row["tier"]}
        for row in varied_customers(120)
    ]
    write_customers(root, rows)
    configure(root, "channels.email.variant.body_min_words", 120)
    configure(root, "channels.email.variant.body_max_words", 200)
    folder = run_until(root, "generate")
    found: list[dict[str, Any]] = read_json(folder / "variants.json")["variants"]
    assert len(found) == 9
    return found


def lay_down_content(root: Path) -> int:
    """All of the sample brand's documents; gives their number."""
    from liftwright.campaign import init_workspace

    init_workspace(root.with_name("all"))
    shutil.copytree(root.with_name("all") / CONTENT, root / CONTENT, dirs_exist_ok=True)
    return len(list((root / CONTENT).glob("*.json")))


def test_messages_say_only_what_their_sources_and_readers_allow(
    messages: list[dict[str, Any]],
) -> None:
    labels = {message["segment"] for message in messages}
    for message in messages:
        known = {f"[Source: {one['title']}, {one['section']}]" for one in message["passages"]}
        found = CITATION.findall(message["body"])
        assert set(found) <= known
        assert len(found) >= len(message["citations"]) > 0
        cited = {(one["document_id"], one["section"]) for one in message["citations"]}
        sources = " ".join(
            f"{one['title']} {one['section']} {one['text']}"
            for one in message["passages"]
            if (one["document_id"], one["section"]) in cited
        )
        text = f"{message['subject']}\n{CITATION.sub('', message['body'])}"
        for product in PRODUCTS:
            assert product not in text or product in sources, (product, message)
        for figure in re.findall(r"[£$€]?\d[\d,.]*\d|\d", text):
            assert figure in sources, (figure, message)
        # Nobody of a segment is Gold, and one document holds a planted instruction.
        assert not re.search(r"\b(gold|platinum|vip)\b", text, re.IGNORECASE), message
        assert not re.search(r"ignore (all|any|previous)|instructions", text, re.IGNORECASE)
        assert not [label for label in labels if label in text]
        assert not re.search(r"[{}<>\[\]]|\*\*", text)
        assert 0 < len(message["subject"]) <= 60
        assert 120 <= len(message["body"].split()) <= 200


# ── Nobody is named ───────────────────────────────────────────────────────────────────────────

CANARIES = (
    *("Ottilie Quarrington", "ottilie.q@canary.example", "+44 7700 900123", "Quarrington Lodge"),
    *("OQ-775512", "Ottilie"),
)


def canaries_in(root: Path, names: tuple[str, ...]) -> set[str]:
    files = [file for name in names for file in root.glob(name) if file.is_file()]
    assert files
    texts = [text_of(file) for file in files]
    assert all(texts)
    return {canary for canary in CANARIES for text in texts if canary.encode() in text}


def text_of(file: Path) -> bytes:
    if file.suffix != ".pdf":
        return file.read_bytes()
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(file).pages).encode()


def with_canaries() -> list[dict[str, str]]:
    rows = [
        {**row, "name": "", "email": "", "phone": "", "address": ""} for row in varied_customers(60)
    ]
    rows[4] |= {
        "customer_id": "OQ-775512",
        "name": "Ottilie Quarrington",
        "email": "ottilie.q@canary.example",
        "phone": "+44 7700 900123",
        "address": "Quarrington Lodge",
    }
    rows[9] |= {"customer_id": "ottilie.q@canary.example"}
    return rows


def test_run_names_no_customer_in_logs_messages_or_report(root: Path) -> None:
    write_customers(root, with_canaries())
    document = root / CONTENT / "customer-care.json"
    values = json.loads(document.read_text(encoding="utf-8"))
    values["author"] = "Ottilie Quarrington <ottilie.q@canary.example>"
    document.write_text(json.dumps(values), encoding="utf-8")
    answer = liftwright(root, "run", "--run-id", "done")
    assert answer.status == 0, answer
    said = ("logs/*", "data/runs/done/*.json", "data/runs/done/report/*")
    assert canaries_in(root, said) == set()
    assert not [canary for canary in CANARIES if canary in answer.out + answer.err]
    assert canaries_in(root, ("data/runs/done/assignments.parquet",))


ERRORS = {
    "a bad value": {"age": "Ottilie Quarrington"},
    "an id twice": {"customer_id": "OQ-775512"},
}


@pytest.mark.parametrize("change", ERRORS.values(), ids=ERRORS)
def test_run_errors_name_no_customer_in_logs(root: Path, change: dict[str, str]) -> None:
    rows = with_canaries()
    rows[20] |= change
    write_customers(root, rows)
    answer = liftwright(root, "run")
    assert answer.status == 2
    assert canaries_in(root, ("logs/*",)) == set()


def test_run_what_a_service_says_stands_in_no_log(root: Path) -> None:
    told = ", ".join(CANARIES)
    draft = json.dumps({"subject": f"Dear {told}"[:60], "body": f"Hello {told}, buy for £99 now."})
    error = {"error": {"message": told, "type": told, "code": "content_filter"}}
    server = CompatibleServer()
    answers = itertools.cycle(
        (
            Answer(body=chat_completion(draft)),
            Answer(status=400, body=error),
            Answer(body=told.encode()),
            Answer(status=500, body=error),
        )
    )
    server.otherwise = lambda _: next(answers)
    configure(root, "azure_config.adapters.complete", "openai_compatible")
    configure(root, "azure_config.openai_compatible", {"base_url": server.url, "model": "m"})
    with server.running():
        answer = liftwright(root, "run", "--run-id", "none")
    assert answer.status == 3, answer
    assert len(server.requests) > 9
    assert_no_experiment(root, "none", answer.out)
    assert canaries_in(root, ("logs/*", "data/runs/none/run.json")) == set()
    assert not [canary for canary in CANARIES if canary in answer.out + answer.err]


def test_run_content_and_drafts_stand_in_no_log(complete: Path) -> None:
    variants = read_json(complete / "data/runs/first/variants.json")["variants"]
    logs = "".join(
        file.read_text(encoding="utf-8") for file in sorted((complete / "logs").iterdir())
    )
    for variant in variants:
        for sentence in CITATION.sub("", variant["body"]).split("\n\n"):
            assert len(sentence) < 30 or sentence.strip() not in logs


def test_run_every_line_of_the_logs_has_the_four_fields(complete: Path) -> None:
    lines = list(log_lines(complete))
    assert len(lines) > 40
    for line in lines:
        assert set(line) >= {"timestamp", "agent", "action", "context"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)", line["timestamp"])
        assert isinstance(line["context"], dict)
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", line["action"])
    assert {line["agent"] for line in lines} >= {
        *("pipeline", "segmentation", "retrieval", "generation", "grounding", "safety"),
        *("experimentation", "calls"),
    }
    started = [line for line in lines if line["action"] == "stage_started"]
    assert all(line["context"]["run"] == "first" and line["context"]["stage"] for line in started)
