"""Every configuration key belongs to a stage, and changing a key changes what that stage writes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from acceptance_samples import TONES, configure, outcome, run_until
from liftwright.campaign.pipeline import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# On one worker: the run that all tests continue is made once.
pytestmark = pytest.mark.xdist_group("settings_matter")

GROUPS = {
    "experiment_config": "experiment",
    "safety_thresholds": "safety",
    "segments": "segments",
    "channels": "channel",
    "customers": "customers",
}
FROM_OUTCOMES = "experiment.engagement"  # read only where the outcomes are real


def leaves(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}")
    else:
        yield path


def test_every_key_of_the_shipped_files_belongs_to_the_key_of_a_stage(
    sample_workspace_root: Path,
) -> None:
    covered = {path for one in STAGES if isinstance(one.settings, tuple) for path in one.settings}
    covered |= {FROM_OUTCOMES, "customers"}
    keys = [
        key
        for file, group in GROUPS.items()
        for key in leaves(
            yaml.safe_load((sample_workspace_root / f"config/{file}.yaml").read_text("utf-8")),
            group,
        )
    ]
    assert len(keys) > 60
    missed = [k for k in keys if not any(k == c or k.startswith(f"{c}.") for c in covered)]
    assert missed == []


@pytest.fixture(scope="module")
def base(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a measured, unfinished run, `part`; to be copied, not changed."""
    root = shutil.copytree(template, tmp_path_factory.mktemp("base") / "workspace")
    run_until(root, "measure")
    return root


# For each stage's settings one key, its new value, and the file that changes with it.
CHANGES: dict[str, tuple[object, str, str]] = {
    "segments.method": ("rfm", "segment", "segmented.parquet"),
    "customers.columns.age": (None, "segment", "segments.json"),
    "experiment_config.retrieval.top_k": (3, "retrieve", "passages.json"),
    "experiment_config.brand.name": ("Larkmoor", "generate", "variants.json"),
    "experiment_config.brand.postal_address": ("1 Lane", "generate", "channel.json"),
    "channels.email.variant.body_max_words": (60, "generate", "variants.json"),
    "channels.email.footer": ("{brand}, {postal_address}", "generate", "channel.json"),
    "frames/urgent.greetings": (["Good day to you,"], "generate", "variants.json"),
    "experiment_config.approval.required": (True, "screen", "decisions.json"),
    "experiment_config.name": ("another", "assign", "assignments.parquet"),
    "experiment_config.shares": (
        {"control": 0.4, **dict.fromkeys(TONES, 0.2)},
        "assign",
        "assignments.parquet",
    ),
    "experiment_config.holdout.share": (0.2, "assign", "unassigned.parquet"),
    "experiment_config.exclusions.rules": (["age > 50"], "assign", "unassigned.parquet"),
    "experiment_config.analysis.minimum_lift": (0.5, "assign", "plan.json"),
    "experiment_config.simulation.delivery_rate": (0.5, "observe", "engagement.parquet"),
    "experiment_config.seed": (8, "observe", "engagement.parquet"),
    "experiment_config.analysis.correction": ("none", "measure", "metrics.json"),
}


@pytest.mark.parametrize("key", CHANGES)
def test_changing_a_key_changes_what_its_stage_writes(base: Path, tmp_path: Path, key: str) -> None:
    value, stage, file = CHANGES[key]
    root = shutil.copytree(base, tmp_path / "workspace")
    before = outcome(root / "data/runs/part" / file)
    configure(root, key, value)
    assert outcome(run_until(root, stage) / file) != before


@pytest.mark.parametrize("name", ["base_template", "tone_friendly", "control_message"])
def test_changing_a_prompt_changes_the_messages_that_are_written_with_it(
    base: Path, tmp_path: Path, name: str
) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    file = root / f"config/prompts/{name}.txt"
    file.write_text(file.read_text(encoding="utf-8") + "\nWe mention no weather.\n", "utf-8")
    after = outcome(run_until(root, "generate") / "variants.json")
    changed = {one["tone"] for one in after["variants"] if "no weather" in one["prompt"]}
    expected = {"base_template": {*TONES}, "tone_friendly": {"friendly"}}
    assert changed == expected.get(name, set())
    in_control = after["control"]["body"].endswith("We mention no weather.")
    assert in_control is (name == "control_message")


def test_changing_how_calls_are_made_leaves_every_stage_as_it_is(
    base: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(base, tmp_path / "workspace")
    folder = root / "data/runs/part"
    before = {file.name: file.read_bytes() for file in folder.glob("*.parquet")}
    configure(root, "azure_config.budget_usd", 5)
    configure(root, "azure_config.calls.concurrency", 1)
    configure(root, "azure_config.calls.timeout_seconds", {"complete": 3})
    run_until(root, "measure")
    assert {file.name: file.read_bytes() for file in folder.glob("*.parquet")} == before
