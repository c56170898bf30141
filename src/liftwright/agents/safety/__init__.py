"""The safety agent: screens every message before it may be sent.

A message is screened in parts (subject, body, each sentence, link texts and URLs, alt texts),
because a long harmless text can mask a harmful sentence; each category takes the worst score of the
parts. Screening fails closed: a message that cannot be checked is blocked.
"""

from __future__ import annotations

from liftwright.agents.safety.decisions import (
    SafetySummary,
    approve,
    audit_record,
    content_sha256,
    screen_text,
    screen_variant,
    summarise_safety,
)
from liftwright.agents.safety.groundedness import groundedness_check, opinions
from liftwright.agents.safety.message_parts import message_parts, parts_of
from liftwright.agents.safety.prefetch import CompletedScreen, screen_concurrently
from liftwright.agents.safety.screener import screener_check, screener_name

__all__ = [
    "CompletedScreen",
    "SafetySummary",
    "approve",
    "audit_record",
    "content_sha256",
    "groundedness_check",
    "message_parts",
    "opinions",
    "parts_of",
    "screen_concurrently",
    "screen_text",
    "screen_variant",
    "screener_check",
    "screener_name",
    "summarise_safety",
]
