"""Every key of the configuration changes what a run says; the exceptions are named with a reason.

One run is taken as it is, and for each leaf of the shipped files one value is changed in a copy,
and the run goes on from there: the file named beside the key must then say something else.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import metered_writer
import partial_screen
from acceptance_samples import (
    CONTENT,
    CUSTOMERS,
    HEADER,
    SETTINGS,
    TONES,
    configure,
    draft_for,
    outcome,
    run_until,
    varied_customers,
    write_customers,
)
from compatible_server import Answer, CompatibleServer, chat_completion, failure
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from compatible_server import Request

FILES = ("experiment_config", "safety_thresholds", "segments", "channels", "customers")
STAGE_OF = {
    "segmented.parquet": "segment",
    "segments.json": "segment",
    "index.json": "index",
    "passages.json": "retrieve",
    "variants.json": "generate",
    "channel.json": "generate",
    "failures.json": "generate",
    "claims.json": "ground",
    "decisions.json": "screen",
    "arms.json": "assign",
    "assignments.parquet": "assign",
    "unassigned.parquet": "assign",
    "plan.json": "assign",
    "engagement.json": "observe",
    "engagement.parquet": "observe",
    "metrics.json": "measure",
}
REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value for a key, and the file that then says something else.

    Attributes:
        file: one of the run's; `refused` where the run must end with a configuration error.
        given: what else is configured, in both runs.
    """

    to: object
    file: str
    given: Mapping[str, object] = field(default_factory=dict)


OBSERVED = {"experiment_config.engagement.path": "data/machines.csv"}
KMEANS = {"segments.method": "kmeans"}
RFM = {"segments.method": "rfm"}
HARMFUL = {"azure_config.adapters.screen": "medium"}
HOPELESS = {
    "channels.email.variant.body_min_words": 1900,
    "channels.email.variant.body_max_words": 2000,
}
FOURTH = {
    "segments.rules": [
        *SETTINGS["segments.rules"],  # type: ignore[misc] # a list
        {
            "label": "The Fourth",
            "description": "They are few.",
            "conditions": [{"when": "age > 70", "weight": 100}],
        },
    ]
}


def _feature_words(name: str, value: object) -> Change:
    """All ends of all features at once: which of them a cluster shows hangs on the customers."""
    ends = {"label": "Some", "words": "are as they are", "audience": ["some people"]}
    features = (
        *("purchase_frequency", "avg_order_value", "last_engagement_days"),
        *("historical_open_rate", "historical_click_rate", "age"),
    )

    def words(changed: Mapping[str, object]) -> dict[str, object]:
        return {
            feature: {
                end: {**ends, "label": f"{end} {feature}", **changed} for end in ("low", "high")
            }
            for feature in features
        }

    return Change(
        to=words({name: value}),
        file="segments.json",
        given={**KMEANS, "segments.feature_words": words({})},
    )


CHANGES: dict[str, Change] = {
    # ── experiment_config.yaml ──
    "experiment_config.name": Change(to="another", file="assignments.parquet"),
    "experiment_config.seed": Change(to=8, file="engagement.parquet"),
    "experiment_config.brand.name": Change(to="Larkmoor", file="variants.json"),
    "experiment_config.brand.postal_address": Change(to="1 Lane", file="channel.json"),
    "experiment_config.brand.unsubscribe_url": Change(
        to="https://b.example/stop", file="channel.json"
    ),
    "experiment_config.channel": Change(to="letter", file="channel.json"),
    "experiment_config.tones": Change(to=[*TONES, "calm"], file="assignments.parquet"),
    "experiment_config.shares": Change(
        to={"control": 0.4, **dict.fromkeys(TONES, 0.2)}, file="assignments.parquet"
    ),
    "experiment_config.content.path": Change(to="data/content/fewer", file="index.json"),
    "experiment_config.retrieval.top_k": Change(to=3, file="passages.json"),
    "experiment_config.retrieval.min_score": Change(to=1.0, file="passages.json"),
    "experiment_config.retrieval.max_snippet_words": Change(to=20, file="passages.json"),
    "experiment_config.retrieval.categories": Change(to=["story"], file="passages.json"),
    "experiment_config.retrieval.fallback_documents": Change(
        to=["boot-care"],
        file="passages.json",
        given={"experiment_config.retrieval.min_score": 1.0},
    ),
    "experiment_config.generation.max_redrafts": Change(to=0, file="failures.json", given=HOPELESS),
    "experiment_config.approval.required": Change(to=True, file="decisions.json"),
    "experiment_config.engagement.path": Change(to="data/outcomes.csv", file="engagement.json"),
    "experiment_config.engagement.machine_seconds": Change(
        to=0, file="engagement.json", given=OBSERVED
    ),
    "experiment_config.engagement.burst_clicks": Change(
        to=2, file="engagement.json", given=OBSERVED
    ),
    "experiment_config.simulation.delivery_rate": Change(to=0.5, file="engagement.parquet"),
    **{
        f"experiment_config.simulation.uplift.{tone}.{name}": Change(
            to=value, file="engagement.parquet"
        )
        for tone in TONES
        for name, value in (("mean", 3.0), ("sd", 2.0))
    },
    "experiment_config.simulation.click_without_open_share": Change(
        to=1.0, file="engagement.parquet"
    ),
    "experiment_config.simulation.conversion_rate_of_clicks": Change(
        to=1.0, file="engagement.parquet"
    ),
    "experiment_config.simulation.default_open_rate": Change(
        to=0.9,
        file="engagement.parquet",
        given={"customers.columns.historical_open_rate": None},
    ),
    "experiment_config.simulation.default_click_rate": Change(
        to=0.9,
        file="engagement.parquet",
        given={"customers.columns.historical_click_rate": None},
    ),
    "experiment_config.analysis.alpha": Change(to=0.2, file="metrics.json"),
    "experiment_config.analysis.power": Change(to=0.9, file="metrics.json"),
    "experiment_config.analysis.correction": Change(to="none", file="metrics.json"),
    "experiment_config.analysis.test_type": Change(to="fisher_exact", file="metrics.json"),
    "experiment_config.analysis.primary_metric": Change(to="open_rate", file="metrics.json"),
    "experiment_config.analysis.guardrail_metrics": Change(to=["open_rate"], file="plan.json"),
    "experiment_config.analysis.minimum_lift": Change(to=0.5, file="plan.json"),
    "experiment_config.analysis.stopping": Change(to="anytime", file="plan.json"),
    "experiment_config.holdout.share": Change(to=0.2, file="assignments.parquet"),
    "experiment_config.holdout.salt": Change(
        to="another", file="unassigned.parquet", given={"experiment_config.holdout.share": 0.2}
    ),
    "experiment_config.exclusions.rules": Change(to=["age > 50"], file="assignments.parquet"),
    "experiment_config.exclusions.suppressed": Change(
        to="data/never.csv", file="assignments.parquet"
    ),
    # ── safety_thresholds.yaml ──
    "safety_thresholds.threshold": Change(to=3, file="decisions.json", given=HARMFUL),
    **{
        f"safety_thresholds.categories.{name}": Change(to=3, file="decisions.json", given=HARMFUL)
        for name in ("hate", "violence", "self_harm", "sexual")
    },
    # ── segments.yaml ──
    "segments.method": Change(to="rfm", file="segmented.parquet"),
    "segments.minimum_share": Change(to=0.9, file="segments.json"),
    "segments.merge_small": Change(
        to=True, file="segmented.parquet", given={**FOURTH, "segments.minimum_share": 0.9}
    ),
    "segments.rules.label": Change(to="Another Name", file="segmented.parquet"),
    "segments.rules.description": Change(to="They are others.", file="segments.json"),
    "segments.rules.audience": Change(to=["infrequent buyers"], file="segments.json"),
    "segments.rules.interests": Change(to=["care of boots"], file="passages.json"),
    "segments.rules.conditions.when": Change(to="age > 50", file="segmented.parquet"),
    "segments.rules.conditions.weight": Change(
        to=9,
        file="segmented.parquet",
        given={
            "segments.rules.0.conditions": [
                {"when": "monetary_score >= 4", "weight": 1},
                {"when": "age > 50", "weight": 1},
            ]
        },
    ),
    "segments.rfm.label": Change(to="Another Name", file="segmented.parquet", given=RFM),
    "segments.rfm.description": Change(to="They differ.", file="segments.json", given=RFM),
    "segments.rfm.audience": Change(to=["some people"], file="segments.json", given=RFM),
    "segments.rfm.interests": Change(to=["care of boots"], file="segments.json", given=RFM),
    "segments.rfm.at_least": Change(to=14, file="segmented.parquet", given=RFM),
    "segments.kmeans.k_min": Change(
        to=5, file="segmented.parquet", given={**KMEANS, "segments.kmeans.features": ["age"]}
    ),
    "segments.kmeans.k_max": Change(
        to=4, file="segmented.parquet", given={**KMEANS, "segments.kmeans.k_min": 4}
    ),
    "segments.kmeans.features": Change(to=["age"], file="segmented.parquet", given=KMEANS),
    "segments.kmeans.sample_rows": Change(to=100, file="segments.json", given=KMEANS),
    "segments.feature_words.label": _feature_words("label", "Another"),
    "segments.feature_words.words": _feature_words("words", "do as they do"),
    "segments.feature_words.interests": _feature_words("interests", ["care of boots"]),
    "segments.feature_words.audience": _feature_words("audience", ["others"]),
    # ── channels.yaml ──
    "channels.email.variant.subject_max_characters": Change(to=20, file="variants.json"),
    "channels.email.variant.body_min_words": Change(to=60, file="variants.json"),
    "channels.email.variant.body_max_words": Change(to=55, file="variants.json"),
    "channels.email.control.subject_max_characters": Change(to=10, file=REFUSED),
    "channels.email.control.body_min_words": Change(to=190, file=REFUSED),
    "channels.email.control.body_max_words": Change(to=21, file=REFUSED),
    "channels.email.footer": Change(to="{brand}, {postal_address}", file="channel.json"),
    # ── customers.yaml ──
    "customers.path": Change(to="data/raw/others.csv", file="segmented.parquet"),
    **{
        f"customers.columns.{name}": Change(to=f"other_{name}", file="segments.json")
        for name in HEADER
        if name not in ("customer_id", "location")
    },
    "customers.columns.customer_id": Change(to="other_customer_id", file="segmented.parquet"),
    "customers.orders": Change(
        to=[{"path": "data/orders.csv", "id": "id", "date": "day", "amount": "amount"}],
        file="segmented.parquet",
    ),
    "customers.as_of": Change(
        to="2026-10-01",
        file="segments.json",
        given={
            "customers.columns.age": {"from": "born", "as": "years"},
            "customers.as_of": "2006-10-01",
        },
    ),
}
GROUNDING = ("supported_score", "weak_score", "allow_weak")
EXCLUDED = {
    **{
        f"experiment_config.grounding.{name}": "the composer quotes, so every claim scores 1: "
        "shown below on a writer that does not"
        for name in GROUNDING
    },
    "experiment_config.brand.link_hosts": "the composer writes no links; checks of drafts prove it",
    "experiment_config.exclusions.assigned_within_days": "needs another finished run: shown by the "
    "tests of who takes part",
    "experiment_config.content.on_bad_documents": "bad documents end a run, or are listed: both "
    "are shown by the tests of bad and of odd input",
    "customers.on_bad_rows": "bad rows end a run, or are set aside: the same",
    "customers.columns.location": "kept for rules alone; no sum of a segment holds it",
}
PROMPTS = ("base_template", "control_message", *(f"tone_{tone}" for tone in TONES))


# ── The keys there are ────────────────────────────────────────────────────────────────────────


def leaves(value: object, path: tuple[str, ...]) -> Iterator[str]:
    """The keys of a file that hold values; those of a list's entries without their numbers."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for item in value:
            yield from leaves(item, path)
    else:
        yield ".".join(path)


def test_every_key_of_the_shipped_files_is_changed_or_excluded(sample_workspace_root: Path) -> None:
    keys = set()
    for name in FILES:
        text = (sample_workspace_root / f"config/{name}.yaml").read_text(encoding="utf-8")
        keys |= set(leaves(yaml.safe_load(text), (name,)))
    # Each feature has the same three words at each end.
    folded = {re.sub(r"^segments\.feature_words\..*\.", "segments.feature_words.", k) for k in keys}
    assert folded == {*CHANGES, *EXCLUDED}


# ── What changing them does ───────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def base(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measured run, `part`, in a workspace that also holds what the changes point at."""
    root = shutil.copytree(template, tmp_path_factory.mktemp("base") / "workspace")
    rows = varied_customers(150)
    others = varied_customers(150, seed=2)
    write_customers(root, others)
    (root / CUSTOMERS).rename(root / "data/raw/others.csv")
    write_customers(
        root,
        [
            {
                **row,
                "born": f"{1950 + number % 50}-05-01",
                **{f"other_{name}": other[name] for name in HEADER},
                "other_customer_id": f"D{number:05}",
            }
            for number, (row, other) in enumerate(zip(rows, others, strict=True))
        ],
    )
    orders = [f"{row['customer_id']},2026-0{n % 9 + 1}-01,{n + 5}" for n, row in enumerate(rows)]
    (root / "data/orders.csv").write_text("\n".join(["id,day,amount", *orders]) + "\n", "utf-8")
    outcomes = [f"{row['customer_id']},{n % 2},0" for n, row in enumerate(rows)]
    (root / "data/outcomes.csv").write_text(
        "\n".join(["customer_id,opened,clicked", *outcomes]) + "\n", "utf-8"
    )
    first = rows[0]["customer_id"]
    times = ("10:00:00Z,10:00:03Z", "10:00:00Z,11:00:00Z", "10:00:00Z,11:00:00Z")
    machines = [f"{first},1,2026-10-01T{time.replace(',', ',2026-10-01T')}" for time in times]
    (root / "data/machines.csv").write_text(
        "\n".join(["customer_id,clicked,delivered_at,clicked_at", *machines]) + "\n", "utf-8"
    )
    never = ["customer_id", *(row["customer_id"] for row in rows[:9])]
    (root / "data/never.csv").write_text("\n".join(never) + "\n", "utf-8")
    fewer = root / "data/content/fewer"
    shutil.copytree(root / CONTENT, fewer)
    (fewer / "boot-care.json").unlink()
    for kind, end in (("prompts/tone_", ".txt"), ("frames/", ".yaml")):
        shutil.copy(root / f"config/{kind}friendly{end}", root / f"config/{kind}calm{end}")
    configure(root, "channels.letter", {"variant": {"body_min_words": 30, "body_max_words": 40}})
    run_until(root, "measure")
    return root


@pytest.fixture
def _screeners(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(partial_screen.register(tmp_path_factory.mktemp("packages")))


def said(root: Path, file: str) -> Any:
    return outcome(run_until(root, STAGE_OF[file]) / file)


@pytest.mark.usefixtures("_screeners")
@pytest.mark.parametrize("key", CHANGES)
def test_changing_a_key_changes_what_a_run_says(base: Path, tmp_path: Path, key: str) -> None:
    change = CHANGES[key]
    root = shutil.copytree(base, tmp_path / "workspace")
    before = None
    for name, value in change.given.items():
        configure(root, name, value)
    if change.file != REFUSED:
        folder = root / "data/runs/part"
        before = said(root, change.file) if change.given else outcome(folder / change.file)
    configure(root, place_of(key), change.to)
    if change.file == REFUSED:
        with pytest.raises(ConfigurationError, match="control"):
            run_until(root, "generate")
    else:
        assert said(root, change.file) != before


def place_of(key: str) -> str:
    """Where the key stands: in the first entry of a list, for all features at once."""
    if key.startswith("segments.feature_words"):
        return "segments.feature_words"
    return (
        key.replace("rules.", "rules.0.")
        .replace("conditions.", "conditions.0.")
        .replace("rfm.", "rfm.0.")
    )


@pytest.mark.parametrize("name", PROMPTS)
def test_changing_a_prompt_changes_the_recorded_prompt(
    base: Path, tmp_path: Path, name: str
) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    before = outcome(root / "data/runs/part/variants.json")
    file = root / f"config/prompts/{name}.txt"
    file.write_text(file.read_text(encoding="utf-8") + "\nWe mention no weather.\n", "utf-8")
    after = said(root, "variants.json")
    if name == "control_message":
        assert after["control"]["body"].endswith("We mention no weather.")
        return
    changed = {
        one["tone"]
        for one, other in zip(after["variants"], before["variants"], strict=True)
        if one["prompt"] != other["prompt"]
    }
    assert changed == ({name.removeprefix("tone_")} if name.startswith("tone_") else set(TONES))
    for variant in after["variants"]:
        assert ("no weather" in variant["prompt"]) == (variant["tone"] in changed)


@pytest.mark.parametrize("tone", TONES)
def test_changing_a_frame_changes_the_messages_of_its_tone(
    base: Path, tmp_path: Path, tone: str
) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    configure(root, f"frames/{tone}.greetings", ["Good day to you,"])
    after = said(root, "variants.json")["variants"]
    assert {one["tone"] for one in after if "Good day to you," in one["body"]} == {tone}


def test_four_tones_are_four_treatment_arms(base: Path, tmp_path: Path) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    configure(root, "experiment_config.tones", [*TONES, "calm"])
    rows = said(root, "assignments.parquet")
    assert {row["arm"] for row in rows} == {"control", *TONES, "calm"}


# ── On a writer that says it in its own words ─────────────────────────────────────────────────


@pytest.fixture(scope="module")
def free_words(base: Path) -> Iterator[CompatibleServer]:
    """A writer who begins each sentence that it cites with words of its own."""
    drafts = metered_writer.drafts_of(base / "data/runs/part")

    def write(request: Request) -> Answer:
        draft = draft_for(request.prompt, drafts)
        if draft is None:
            return failure(400, "unknown_prompt")
        subject, body = draft
        *cited, close = body.split("\n\n")
        said = [f"Many of our readers like to hear that {one[0].lower()}{one[1:]}" for one in cited]
        text = json.dumps({"subject": subject, "body": "\n\n".join([*said, close])})
        return Answer(body=chat_completion(text))

    server = CompatibleServer()
    server.otherwise = write
    with server.running():
        yield server


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"supported_score": 0.5, "weak_score": 0.4}, ({"supported"}, 0)),
        ({"supported_score": 0.99, "weak_score": 0.4}, ({"weak"}, 0)),
        ({"supported_score": 0.99, "weak_score": 0.98}, (set(), 9)),
        ({"supported_score": 0.99, "weak_score": 0.4, "allow_weak": False}, (set(), 9)),
    ],
    ids=["lenient", "supported_score", "weak_score", "allow_weak"],
)
def test_changing_grounding_changes_what_may_be_said(
    base: Path,
    tmp_path: Path,
    free_words: CompatibleServer,
    changes: dict[str, object],
    expected: tuple[set[str], int],
) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    configure(root, "azure_config.adapters.complete", "openai_compatible")
    configure(root, "azure_config.openai_compatible", {"base_url": free_words.url, "model": "m"})
    configure(root, "channels.email.variant.body_min_words", 10)
    configure(root, "channels.email.variant.body_max_words", 200)
    for name, value in changes.items():
        configure(root, f"experiment_config.grounding.{name}", value)
    claims = said(root, "claims.json")
    found = {claim["verdict"] for one in claims for claim in one["claims"]} - {"not_a_claim"}
    failed = outcome(root / "data/runs/part/failures.json")
    assert (found, len(failed)) == expected


@pytest.mark.parametrize(
    ("key", "value", "stage"),
    [
        ("azure_config.budget_usd", 5, "measure"),
        ("azure_config.calls.concurrency", 1, "measure"),
        ("azure_config.calls.retries", 9, "measure"),
        ("azure_config.calls.timeout_seconds", {"complete": 3}, "measure"),
    ],
)
def test_how_calls_are_made_leaves_every_stage_as_it_is(
    base: Path, tmp_path: Path, key: str, value: object, stage: str
) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    folder = root / "data/runs/part"
    before = {name: (folder / name).read_bytes() for name in STAGE_OF}
    configure(root, key, value)
    run_until(root, stage)
    assert {name: (folder / name).read_bytes() for name in STAGE_OF} == before
