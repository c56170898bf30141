"""What a sentence for customers must not do: name a tier its readers do not hold, give orders.

Both the writer that selects sentences and the checks that judge a draft read these rules, so that
the one does not write what the other refuses.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

COMMON_TIERS = ("bronze", "silver", "gold", "platinum", "diamond", "vip", "elite")
"""Tier names that a reader takes for a tier even where the customer table has others."""

# These words are tiers only beside "member", "tier" or "status": "low prices" names no tier.
_ORDINARY = frozenset(
    """
    base basic classic free general high low medium mid new none normal other plus premium
    regular standard top unknown
    """.split()  # noqa: SIM905 - words read better as a text
)
_HOLDERS = r"(?:tiers?|members?|membership|status)"

_INSTRUCTIONS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?]{0,40}"
    r"\b(?:instructions?|prompts?|rules|directions|guidelines|constraints)\b"
    r"|\b(?:system|developer) (?:prompt|message|mode)\b"
    r"|\byou are (?:now )?(?:an? |the )?(?:ai|assistant|language model|chat ?bot|bot)\b"
    r"|\bas an? (?:ai|assistant|language model)\b"
    r"|\b(?:large )?language model\b|\bjailbreak\b|\bprompt injection\b|\bnew instructions\b"
    r"|\b(?:tell|inform|promise|assure) (?:every|the|all|each|any)(?: of the)? "
    r"(?:readers?|customers?|recipients?|users?|shoppers?)\b"
    r"|\b(?:respond|reply|answer) (?:only )?with\b|\b(?:output|print) (?:the following|only)\b"
    r"|\bdo not (?:mention|reveal|disclose|cite)\b|<\||\[/?inst\]|###\s*(?:system|instruction)",
    re.IGNORECASE,
)


def gives_instructions(text: str) -> bool:
    """Whether a text speaks to the writer of the message (an order, a planted instruction)."""
    return _INSTRUCTIONS.search(text) is not None


def tiers_named(text: str, tiers: Collection[str]) -> frozenset[str]:
    """The tiers, in lower case, that a text names.

    Args:
        text: what a customer would read.
        tiers: the tiers that may be named; an ordinary word (`high`, `standard`) counts only
            beside "member", "tier" or "status", others wherever they stand with a capital.
    """
    named = {tier.strip().lower() for tier in tiers if tier.strip()}
    return frozenset(tier for tier in named if _tier_pattern(tier).search(text))


@lru_cache(maxsize=256)
def _tier_pattern(tier: str) -> re.Pattern[str]:
    name = re.escape(tier)
    beside = rf"(?i:\b{name}\b[\s-]+{_HOLDERS}\b|\b(?:tier|status)\s+(?:of\s+)?{name}\b)"
    if tier in _ORDINARY or tier.isdigit():
        return re.compile(beside)
    capital = "|".join(sorted({re.escape(form) for form in (tier.title(), tier.upper())}))
    apart = rf"(?i:\b{name}\b(?:[\s-]+\w+){{1,2}}[\s-]+{_HOLDERS}\b)"
    return re.compile(rf"{beside}|{apart}|\b(?:{capital})\b")
