"""What a text for customers must not do: name a tier its readers do not hold, speak to others.

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
# Merge tags of Mailchimp and Klaviyo, Liquid, Braze and HubSpot, Salesforce and ActiveCampaign,
# SendGrid, and templates in code.
_MERGE_TAG = re.compile(
    r"\*\|[^|\n]{1,60}\|\*|\{\{[^{}\n]{0,200}(?:\$\{[^{}\n]{0,100}\}[^{}\n]{0,200})?\}\}"
    r"|\{%[^{}\n]{0,200}%\}|\$\{[A-Za-z_][\w.]{0,60}\}|%%[=A-Za-z_][^%\n]{0,100}%%"
    r"|(?<![\w%])%[A-Z][A-Z0-9_]{2,40}%(?![\w%])|(?<![\w-])-[A-Z][A-Z0-9_]{2,40}-(?![\w-])"
    r"|<%=?[^<>\n]{1,100}%>|\[\[[A-Za-z_][\w. -]{0,60}\]\]|##[A-Za-z_]\w{1,40}##"
)
_HOLDERS = r"(?:tiers?|members?|membership|status)"

# A text for customers says "you"; only who is told how to treat them reads of "the customer" who
# wants something, or is to press [A Button].
_CUSTOMER = r"(?:the|this) (?:customer|caller|client|shopper)s?"
_TO_STAFF = re.compile(
    r"\b(?:ask|tell|inform|let|remind|assure|advise|convince|apologi[sz]e|explain|help|thank)\b"
    rf"(?: \w+){{0,4}}? (?:(?:to|for|with) )?{_CUSTOMER}\b"
    rf"|\b(?:if|when|once|whether) {_CUSTOMER}\b"
    rf"|\b{_CUSTOMER} (?:(?:also|still|now|then) )?(?:wants?|believes?|thinks?|asks?|calls?|needs?"
    r"|would like|feels?|felt|did(?: not|n['\u2019]t)|does(?: not|n['\u2019]t) (?:know|have|want)"
    r"|is (?:asking|calling|adding|saying|complaining|not satisfied|unhappy))\b"
    r"|\bask (?:them )?for their\b"
    r"|\b(?:click|press|select|choose|enter|use|using|into|then)\b(?: \w+){0,4}"
    r" \[(?-i:[A-Z])[^\]\n]{1,40}\](?![(\[:])",
    re.IGNORECASE,
)


def merge_tags(text: str) -> tuple[str, ...]:
    """The merge tags of e-mail tools in a text, such as `*|FNAME|*` and `{{ first_name }}`."""
    return tuple(dict.fromkeys(_MERGE_TAG.findall(text)))


def speaks_to_staff(text: str) -> bool:
    """Whether a text tells a brand's own people how to treat customers, so is not for customers."""
    return _TO_STAFF.search(" ".join(text.split())) is not None


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
