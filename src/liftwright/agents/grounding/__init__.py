"""Grounding: every sentence of a message that claims something, held against its sources.

What stands in a source is only ever compared: an instruction there is text like any other.
"""

from __future__ import annotations

from liftwright.agents.grounding.claims import (
    Grounded,
    MessageGrounder,
    ground_many,
    ground_message,
    ground_text,
    prepare,
    reasons_against,
)

__all__ = [
    "Grounded",
    "MessageGrounder",
    "ground_many",
    "ground_message",
    "ground_text",
    "prepare",
    "reasons_against",
]
