"""Variants: prompts, drafts that are checked and asked for again, and the control message."""

from liftwright.agents.generation.checks import Draft, Rules, check_draft, citations_of
from liftwright.agents.generation.control import control_variant
from liftwright.agents.generation.drafting import generate_variants, variant_id
from liftwright.agents.generation.format_checks import check_form, read_reply
from liftwright.agents.generation.prompts import Writing, channel_limits, render_prompt

__all__ = [
    "Draft",
    "Rules",
    "Writing",
    "channel_limits",
    "check_draft",
    "check_form",
    "citations_of",
    "control_variant",
    "generate_variants",
    "read_reply",
    "render_prompt",
    "variant_id",
]
