"""The generation agent: prompts, drafts that are checked and rewritten, and the control message."""

from liftwright.agents.generation.checks import citations_of, drafting_checks
from liftwright.agents.generation.control import control_variant
from liftwright.agents.generation.drafting import generate_variants, variant_id
from liftwright.agents.generation.format_checks import read_reply
from liftwright.agents.generation.prompts import Writing, message_limits, render_prompt

__all__ = [
    "Writing",
    "citations_of",
    "control_variant",
    "drafting_checks",
    "generate_variants",
    "message_limits",
    "read_reply",
    "render_prompt",
    "variant_id",
]
