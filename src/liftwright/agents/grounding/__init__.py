"""Grounding: every sentence of a message that claims something, held against its sources.

What stands in a source is only ever compared: an instruction there is text like any other.
"""

from __future__ import annotations

from liftwright.agents.grounding.claims import (
    Grounded,
    ground_many,
    ground_message,
    ground_text,
    ground_variant,
    grounding_check,
    prepare,
    reasons_against,
)

__all__ = [
    "Grounded",
    "ground_many",
    "ground_message",
    "ground_text",
    "ground_variant",
    "grounding_check",
    "prepare",
    "reasons_against",
]
