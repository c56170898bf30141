"""Reads the shipped sample brand: its content, prompts, frames and limits, as they are.

Every other test owns its configuration. This one shows that what is shipped works together: the
composer writes, for any readers, messages from the sample content that every check accepts.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from liftwright.adapters.embedded.composer import EmbeddedComposer
from liftwright.agents.generation import (
    Writing,
    control_variant,
    drafting_checks,
    generate_variants,
    message_limits,
)
from liftwright.config import Channel, Experiment, Frames
from liftwright.model import Limits, Passage, Segment, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

READERS = {
    "Champions": (
        "Customers who order often, spend much and were active recently.",
        ("loyal customers", "high spenders", "frequent buyers"),
        {"Gold": 60, "Silver": 30, "Bronze": 10},
    ),
    "Lapsed Ones": (
        "Customers who have not been active for a long time.",
        ("lapsed customers",),
        {"Silver": 10, "Bronze": 90},
    ),
    "New Ones": (
        "Customers with few orders so far.",
        ("new customers", "infrequent buyers", "price-sensitive customers"),
        {"Bronze": 100},
    ),
    "Everyone Else": ("Customers without a tier.", ("engaged customers",), {}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What is shipped: how to write, the control's limits, the composer, and the content.

    Attributes:
        documents: by a word of their audience, the paragraphs of each document.
    """

    writing: Writing
    control: Limits
    composer: EmbeddedComposer
    documents: dict[str, list[list[Passage]]]


@pytest.fixture(scope="module")
def sample(sample_workspace_root: Path) -> Sample:
    config = sample_workspace_root / "config"
    experiment = Experiment.model_validate(_yaml(config / "experiment_config.yaml"))
    channel = _yaml(config / "channels.yaml")[experiment.channel]
    limits = Channel.model_validate(channel)
    variant, control = message_limits(limits.variant), message_limits(limits.control)
    frames = {
        tone: Frames.model_validate(_yaml(config / "frames" / f"{tone}.yaml"))
        for tone in experiment.tones
    }
    prompts = (config / "prompts").glob("*.txt")
    return Sample(
        writing=Writing(
            brand=experiment.brand,
            tones=experiment.tones,
            limits=variant,
            templates={file.stem: file.read_text(encoding="utf-8") for file in prompts},
            max_redrafts=0,
        ),
        control=control,
        composer=EmbeddedComposer(frames),
        documents=_documents(sample_workspace_root / "data/content/approved_content"),
    )


def _yaml(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return values


def _documents(folder: Path) -> dict[str, list[list[Passage]]]:
    found: dict[str, list[list[Passage]]] = {}
    for file in sorted(folder.glob("*.json")):
        document = json.loads(file.read_text(encoding="utf-8"))
        if document.get("expires_on") is None and not document.get("audience_only"):
            for name in document["audience"]:
                found.setdefault(name, []).append(_passages(document))
    return found


def _passages(document: dict[str, str]) -> list[Passage]:
    passages: list[Passage] = []
    section = "Overview"
    for paragraph in document["content"].split("\n\n"):
        text = paragraph
        if text.startswith("## "):
            section, _, text = text.removeprefix("## ").partition("\n")
        passages.append(
            Passage(
                document_id=document["document_id"],
                version=document["version"],
                title=document["title"],
                section=section,
                paragraph_index=len(passages),
                text=text,
                score=0.6,
            )
        )
    return passages


def _sets_of_four(documents: Sequence[Sequence[Passage]]) -> list[tuple[Passage, ...]]:
    """Some sets of four paragraphs of different documents, spread over all of them."""
    return [
        tuple(document[(start + step) % len(document)] for step, document in enumerate(four))
        for start, four in enumerate(itertools.combinations(documents, 4))
    ][::37]


def _segment(label: str) -> Segment:
    description, audience, tiers = READERS[label]
    return Segment(
        label=label,
        size=100,
        share=0.25,
        definition="",
        description=description,
        audience=audience,
        tiers=tiers,
    )


@pytest.mark.parametrize("label", READERS)
def test_composer_on_the_sample_content_writes_messages_that_are_kept(
    label: str, sample: Sample
) -> None:
    segment = _segment(label)
    sets = _sets_of_four(sample.documents[segment.audience[0]])[:12]
    assert len(sets) == 12
    checks = drafting_checks(
        brand=sample.writing.brand, limits=sample.writing.limits, templates=sample.writing.templates
    )
    for passages in sets:
        outcomes = generate_variants(
            (segment,),
            {label: passages},
            writing=sample.writing,
            complete=sample.composer,
            checks=checks,
            known_tiers=("Gold", "Silver", "Bronze"),
        )
        variants = [outcome for outcome in outcomes if isinstance(outcome, Variant)]
        assert [variant.tone for variant in variants] == list(sample.writing.tones)
        for variant in variants:
            assert 150 <= len(variant.body.split()) <= 200
            assert len(variant.subject) <= 60
            assert len({c.document_id for c in variant.citations}) >= 2


def test_control_message_of_the_sample_keeps_its_limits(sample: Sample) -> None:
    brand = sample.writing.brand
    template = sample.writing.templates["control_message"]
    control = control_variant(template, brand=brand, limits=sample.control)
    assert brand.name in control.subject
