"""Screening: every message is looked at for harm before anyone may be sent it.

A message is screened part by part (subject, body, each sentence, link texts and addresses,
alternative texts), for a harmful sentence among harmless ones is lost in the whole; each category
takes the worst of the parts. Screening fails closed: what cannot be screened is blocked.
"""

from __future__ import annotations

from liftwright.agents.safety.decisions import (
    Harm,
    SafetySummary,
    TextDecision,
    approve,
    audit_record,
    content_sha256,
    is_unavailable,
    message_parts,
    policy_sha256,
    screen_text,
    screen_variant,
    screener_name,
    summarise_safety,
)
from liftwright.agents.safety.message_parts import parts_of
from liftwright.agents.safety.prefetch import asked_ahead
from liftwright.agents.safety.second_opinion import second_opinion

__all__ = [
    "Harm",
    "SafetySummary",
    "TextDecision",
    "approve",
    "asked_ahead",
    "audit_record",
    "content_sha256",
    "is_unavailable",
    "message_parts",
    "parts_of",
    "policy_sha256",
    "screen_text",
    "screen_variant",
    "screener_name",
    "second_opinion",
    "summarise_safety",
]
