"""The shipped lexicon: severe words from a graded public list, and our own threat patterns.

A word is included if the list grades it as severe, it is a slur or an explicit act, and it has no
everyday meaning that a shop could use. Spellings with digits are excluded, because the screener
reads digits inside words as letters.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from liftwright.model import CATEGORIES
from screener_data import read_allowed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_lexicon"]

SEVERE = 2.2
HATE = (
    "nigger niggger niggers faggot jiggaboo kike spic gook wetback raghead towelhead chingchong "
    "beaner paki zipperhead darky negroid porch-monkey camel-jockey slant-eye mongoloid retard "
    "shemale hebe dothead"
)
SEXUAL = "cunt cock pussy cum dick jizz penis anal blumpkin"
# Everyday meanings: trees and buildings, cats, food, colours, games, names, medicine.
AMBIGUOUS_WORDS = """
    coon coons coonie coonies spook spooks chink chinky jap redskin sambo dyke wop
    wet-back transvestite tranny mongrel flamer flamers nip homo homos spick spik spix
    spig jigger jiggers jiggs jigga jiggas cock-rider creampie hoe hoes dago tard
    mongoloid slanty retarded heeb darkie darky dickhead cumball nicker nickers nicka
    nickker higga higger nikkas nikker nuckas nigers nigra nigre niccer fagot fagots
    fagging faggs
"""
AMBIGUOUS = frozenset(AMBIGUOUS_WORDS.split())
GROUPS = (
    "muslims|jews|blacks|black people|whites|white people|immigrants|migrants|refugees|gays|"
    "gay people|lesbians|trans people|women|christians|hindus|asians|arabs|mexicans|africans|"
    "disabled people|gypsies|foreigners|indians|catholics"
)
VILE = (
    "vermin|parasites?|sub-?humans?|scum|filth|filthy|rats|cockroaches|savages|a plague|a disease|"
    "inferior|worthless|animals|trash|garbage"
)
PEOPLE = r"you(?:r (?:whole )?(?:family|children|kids|wife|husband|mother))?|him|her|them"
SELF = r"(?:my|your) ?sel(?:f|ves)"
PATTERNS: dict[str, tuple[str, ...]] = {
    "hate": (
        rf"(?:{GROUPS}) (?:are|were) (?:all |just |nothing but |nothing more than )?(?:{VILE})",
        rf"(?:kill|gas|lynch|exterminate|hang|deport|burn) (?:all )?(?:of )?(?:the )?(?:{GROUPS})",
    ),
    "violence": (
        (
            r"(?:i|we) ?"
            r"(?:'ll|will|'m going to|am going to|are going to|'re going to|'m gonna|gonna) "
            r"(?:(?:kill|murder|stab|strangle|behead|slaughter|rape|execute|butcher|lynch) "
            rf"(?:{PEOPLE})|shoot (?:{PEOPLE})(?! (?:an?|over|some|the)\b))(?! with kindness)"
        ),
        r"(?:cut|slit) (?:your|his|her|their) throats?",
        r"bullet (?:in|into|through) (?:your|his|her|their) (?:head|skull|brain)s?",
        r"(?:bash|smash|crush|kick) (?:your|his|her|their) (?:head|skull|face|teeth)s? in",
        r"(?:break|snap) (?:your|his|her|their) (?:legs|necks?|arms|bones|fingers)",
        r"(?:shoot|blow) up (?:the|your|a|this) (?:school|church|mosque|synagogue|office|hospital)",
        rf"(?:kill|gas|lynch|exterminate|hang|burn) (?:all )?(?:of )?(?:the )?(?:{GROUPS})",
    ),
    "self_harm": (
        rf"kill ?{SELF}|killing ?{SELF}|hang(?:ing)? {SELF}",
        rf"(?:want|going|decided|ready|how) to (?:hurt|cut|harm|shoot|starve|hang) {SELF}",
        rf"(?:go|should|just) (?:and )?(?:hurt|cut|harm|shoot|starve) {SELF}",
        r"(?:end|take) (?:my|your) (?:own )?(?:life|lives)(?! (?:up|back|to))",
        r"(?:slit|cut) (?:my|your) wrists?",
        r"commit suicide|kys",
        r"i (?:just )?(?:want|wanna|wish) to die(?! for)",
    ),
    "sexual": (
        r"suck(?:s|ed|ing)? (?:my|your|his) (?:dick|cock|balls)",
        r"fuck(?:s|ed|ing)? (?:my|your|his|her) (?:\w+ )?(?:pussy|ass|cunt|mouth|tits|face)",
        (
            r"(?:cum|cums|came|ejaculated?s?) (?:all over|on|in|inside) (?:my|your|his|her) "
            r"(?:face|tits|pussy|mouth|chest|ass)"
        ),
        r"child porn(?:ography)?|blow ?jobs?|gang ?bangs?|free porn",
    ),
}


def make_lexicon(safety: Path) -> dict[str, object]:
    """The content of `lexicon.json` without its checksum."""
    text = read_allowed(safety, "surge_profanity.csv").decode("utf-8")
    words: dict[str, set[str]] = {category: set() for category in CATEGORIES}
    for record in csv.DictReader(io.StringIO(text)):
        word, form = record["text"].lower().strip(), record["canonical_form_1"].replace(" ", "-")
        category = _category(form)
        if category and float(record["severity_rating"]) >= SEVERE and _plain(word):
            words[category].add(word)
    return {
        "format": 1,
        "source": "surge-ai/profanity (severe entries of slurs and explicit acts); own patterns",
        "licence": "MIT (words), Apache-2.0 (patterns)",
        "entries": {
            category: {
                "words": sorted(_shortest(words[category])),
                "patterns": list(PATTERNS[category]),
            }
            for category in CATEGORIES
        },
    }


def _category(form: str) -> str | None:
    if form in HATE.split():
        return "hate"
    return "sexual" if form in SEXUAL.split() else None


def _plain(word: str) -> bool:
    shortest = 4
    return (
        len(word) >= shortest
        and re.fullmatch(r"[a-z]+(?:[ -][a-z]+)*", word) is not None
        and word.replace(" ", "-") not in AMBIGUOUS
    )


def _shortest(words: set[str]) -> set[str]:
    """The words without plurals that another entry already covers."""
    return {
        word
        for word in words
        if not any(word == other + end for other in words for end in ("s", "z", "es"))
    }
