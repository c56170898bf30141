"""The check `prohibited_phrase`: phrases that must never appear in a message.

Text is compared case-insensitively, in compatibility form (NFKC), with straight quotation marks and
without invisible characters. Any white space, or a hyphen between two words, counts as one space:
`risk free` matches `Risk-Free`, with any hyphen or line break.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents.safety.message_parts import message_parts
from liftwright.model import Finding
from liftwright.model.checks import SAFETY, Check, CheckResult
from liftwright.text import normalise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.safety.message_parts import Part
    from liftwright.model.checks import Message

NAME = "prohibited_phrase"
_HIGH = 6
_QUOTES = str.maketrans("\u2018\u2019\u201a\u201b\u02bc\u201c\u201d\u201e\u201f", "'''''\"\"\"\"")
# A dash after a space separates two clauses; a hyphen before a line break joins two words.
_HYPHEN = re.compile("(?<=\\w)[-\u2010-\u2013\u2212] ?(?=\\w)")


def prohibited_phrases_check(phrases: Mapping[str, str]) -> Check:
    """The check that blocks a message with a prohibited phrase in its subject or body.

    It returns one finding per phrase, at the first match of whole words.

    Args:
        phrases: the reason for each phrase; may be empty.
    """
    folded = {phrase: _fold(phrase) for phrase in phrases}
    return Check(
        name=NAME,
        stage=SAFETY,
        settings=sorted((folded[phrase], reason) for phrase, reason in phrases.items()),
        find=partial(_find, phrases, folded),
    )


def _find(phrases: Mapping[str, str], folded: Mapping[str, str], message: Message) -> CheckResult:
    if not phrases:
        return CheckResult()
    parts = [(part, _fold(part.text)) for part in message_parts(message)]
    findings = tuple(
        finding
        for phrase, reason in phrases.items()
        if (
            finding := _first_match(
                parts, folded[phrase], f'"{phrase}": {reason}' if reason else f'"{phrase}"'
            )
        )
    )
    return CheckResult(
        reasons=tuple(f"{NAME}: {finding.reason} ({finding.where})" for finding in findings),
        findings=findings,
    )


def _first_match(parts: Sequence[tuple[Part, str]], phrase: str, reason: str) -> Finding | None:
    for part, text in parts:
        at = _find_words(text, phrase)
        if at >= 0:
            return part.locate(
                Finding(
                    check=NAME,
                    category=NAME,
                    severity=_HIGH,
                    score=1.0,
                    reason=reason,
                    start=_source_index(part.text, at + 1) - 1,
                    end=_source_index(part.text, at + len(phrase)),
                )
            )
    return None


def _fold(text: str) -> str:
    """A text in the form used for comparison."""
    return _HYPHEN.sub(" ", normalise(text).translate(_QUOTES).casefold())


def _source_index(text: str, length: int) -> int:
    """The number of characters of a text whose folded form has the given length."""
    return bisect_left(range(len(text) + 1), length, key=lambda end: len(_fold(text[:end])))


def _find_words(text: str, phrase: str) -> int:
    """The index of a folded phrase in a folded text as whole words; -1 if there is none."""
    at = text.find(phrase)
    while at >= 0:
        end = at + len(phrase)
        if not (_is_inside_word(text, at) or _is_inside_word(text, end)):
            return at
        at = text.find(phrase, at + 1)
    return -1


def _is_inside_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and _is_in_word(text[at - 1]) and _is_in_word(text[at])


def _is_in_word(character: str) -> bool:
    # Chinese and Japanese have no spaces between words; Korean attaches particles to them.
    is_wide = unicodedata.east_asian_width(character) == "W"
    return unicodedata.category(character)[0] in "LMN" and not is_wide
