"""Renders the prompt for a segment, a tone and passages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright import text as texts
from liftwright.config.prompt_templates import BASE, tone_template
from liftwright.model import Limits, Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.config import Brand, MessageLimits
    from liftwright.model import FeatureSummary, Passage, Segment

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}")
_PASSAGE_TAG = re.compile(r"<(?=/?\s*passages?\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """The settings for writing, the same for every segment.

    Attributes:
        tones: The tones; each segment gets one variant per tone, in this order.
        templates: The prompt templates by file stem (`config.prompt_templates`).
        max_redrafts: How often a rejected draft is rewritten.
        concurrency: The maximum number of concurrent drafts.
    """

    brand: Brand
    tones: tuple[str, ...]
    limits: Limits
    templates: Mapping[str, str]
    max_redrafts: int = 3
    concurrency: int = 4


def message_limits(config: MessageLimits) -> Limits:
    """The limits of a message from a channel's configuration."""
    return Limits(
        subject_max_characters=config.subject_max_characters,
        body_min_words=config.body_min_words,
        body_max_words=config.body_max_words,
    )


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with each `{name}` of `values` replaced, in one pass.

    Values are not expanded again; `{{` and `}}` become single braces, and braces around other
    words stay.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        return str(values[match[1]]) if match[1] in values else match[0]

    return _PLACEHOLDER.sub(replacement, template)


def render_prompt(
    writing: Writing,
    segment: Segment,
    tone: str,
    passages: Sequence[Passage],
    feedback: Sequence[str] = (),
) -> Prompt:
    """The prompt for one variant: the rendered template and its structured parts.

    Args:
        writing: brand, limits and templates.
        segment: the readers; the prompt lists their features and tiers.
        tone: selects the template `tone_<tone>`.
        passages: what the writer may say and cite.
        feedback: why earlier drafts were rejected.
    """
    brand, limits = writing.brand.name, writing.limits
    instructions = fill(writing.templates[tone_template(tone)], {"brand": brand}).strip()
    template = writing.templates[BASE]
    if feedback and "{feedback}" not in template:
        template += "\n\nThe drafts before were refused:\n{feedback}\n"
    text = fill(
        template,
        {
            "brand": brand,
            "segment_label": segment.label,
            "segment_description": segment.description,
            "segment_features": segment_features(segment),
            "tone": tone,
            "tone_instructions": instructions,
            "passages": "\n\n".join(map(_passage, range(1, len(passages) + 1), passages)),
            "subject_max_characters": limits.subject_max_characters,
            "body_min_words": limits.body_min_words,
            "body_max_words": limits.body_max_words,
            "feedback": "\n".join(f"- {reason}" for reason in feedback),
        },
    )
    return Prompt(
        text=text,
        brand=brand,
        segment=segment,
        tone=tone,
        passages=tuple(passages),
        limits=limits,
        feedback=tuple(feedback),
    )


def segment_features(segment: Segment) -> str:
    """The statistics of a segment, one per line: size, features, tiers, locations."""
    lines = [f"- customers: {segment.size} ({segment.share:.0%} of all)"]
    lines += [
        f"- sets them apart: {feature.words} ({feature.feature}: median "
        f"{_number(feature.segment_median)}, all customers {_number(feature.overall_median)})"
        for feature in segment.defining_features
    ]
    lines += [f"- {name}: {_summary(value)}" for name, value in segment.features.items()]
    tiers = {tier: count for tier, count in segment.tiers.items() if count > 0}
    if tiers:
        lines.append(f"- tiers: {_counts(tiers)}; no other tier is among them")
    else:
        lines.append("- tiers: none known; name no tier as theirs")
    if segment.locations:
        lines.append(f"- most frequent locations: {_counts(segment.locations)}")
    return "\n".join(lines)


def _summary(feature: FeatureSummary) -> str:
    named = (
        ("median", feature.median),
        ("mean", feature.mean),
        ("lower quartile", feature.q25),
        ("upper quartile", feature.q75),
    )
    known = [f"{name} {_number(value)}" for name, value in named if value is not None]
    return ", ".join(known) if known else "not known"


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"  # noqa: PLR2004 - readable


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _passage(number: int, passage: Passage) -> str:
    # A passage with a closing tag could smuggle in instructions.
    title, section, text = (
        _PASSAGE_TAG.sub("(", part) for part in (passage.title, passage.section, passage.text)
    )
    return (
        f'<passage number="{number}">\n'
        f"title: {title}\nsection: {section}\n"
        f"citation: {texts.cite(title, section)}\ntext: {text}\n</passage>"
    )
