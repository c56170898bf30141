"""Sentences of marketing copy, with exact offsets.

English is split by the rules below, which know its marketing copy. In German, French, Spanish,
Italian, Dutch and Portuguese the library sentencex also has to see the end of a sentence, since it
knows the abbreviations and dates of each language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from liftwright.text.citations import CITATION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# After these a sentence goes on, whatever follows.
_NEVER_LAST = frozenset(
    """e.g eg i.e ie mr mrs ms dr prof rev st mt vs v cf viz approx ca incl excl max min tel ext
    fig figs vol ref temp avg est gen capt sgt messrs dept flr bldg ste apt""".split()  # noqa: SIM905 - read as a text
)
# After these a sentence ends only before a word that commonly begins one.
_SELDOM_LAST = frozenset(
    """u.s u.k u.s.a e.u n.y inc ltd co corp plc llc jr sr bros jan feb mar apr jun jul aug sep
    sept oct nov dec mon tue tues wed thu thur thurs fri sat sun ave blvd rd etc a.m p.m am pm
    ph.d b.a m.a""".split()  # noqa: SIM905 - read as a text
)
_BEGINS_WITH_NUMBER = frozenset({"no", "nos", "nr", "art", "para", "p", "pp", "ch", "sec"})
_OPENERS = frozenset(
    """a all and an any are as ask at be because both but buy by call can check choose click
    come discover do don't each enjoy every explore find for free from get give have he her here
    his how i i'm if in is it it's its join just let let's like look make members more most my
    need new no not now of on once one only or order orders our please read returns save see
    send she shop simply sign so some start stay take tell thank thanks that that's the their
    then there these they this those to today try use visit want was we we'll we're we've what
    when where which who why with within you you'll you're you've your""".split()  # noqa: SIM905 - read as a text
)
# Common words that tell the languages apart.
_COMMON_WORDS = {
    "en": """all an and are as at be but by for free from if in is it my no not of on or our the
        that this to we with you your""",
    "de": """alles am auch auf bei das dem den der des die ein eine es für gibt im ist mit nach
        nicht oder sie sind und unser unsere von wir zu zum zur""",
    "fr": """au aux avec ce dans de des du elle en est et il la le les nos nous ou par pas pour sont
        sur un une votre vous à""",
    "es": """al con de del el en es la las los nuestra nuestro para por se sobre su sus un una usted
        y""",
    "it": """al alla ci con da del della di ed gli il la le lo nel nostra nostro ogni per si sono
        su un una è""",
    "nl": """aan dat de een en het ik je met naar niet om onze ook op te u uw van voor wij zijn""",
    "pt": """ao as com da das de do dos em não na nas nos nosso nossa o os ou para por se seu sua
        são um uma você é""",
}
_LANGUAGES = {name: frozenset(common.split()) for name, common in _COMMON_WORDS.items()}
# Abbreviations that sentencex lacks; some also end a sentence, but seldom before a capital.
_ABBREVIATIONS = frozenset(
    """aprox art av avda bijv ca d.w.z dhr dott dr dra ecc env evtl excl exkl ggf incl inkl mej mevr
    mio mme mrd mwst n no nr num núm o.a p pag pp pág ref réf sig sr sra str tel tél
    zzgl""".split()  # noqa: SIM905 - read as a text
)
# "am 19. Jahrhundert": after these a number with a full stop is an ordinal.
_BEFORE_ORDINAL = frozenset(
    "am ab bis zum zur vom im der die das den dem des jeden jeder seit unser unsere beim".split()  # noqa: SIM905 - read as a text
)
_WORDS = re.compile(r"[^\W\d_]+")
_STOP = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)\]\u00bb*_]{0,8}|[\u3002\uff01\uff1f]+")
_LEAD = re.compile(
    r"[ \t]{0,16}(?:[-*\u2022\u2023\u25aa\u25cf\u25e6\u2013\u2014+][ \t]+|\d{1,2}[.)][ \t]+|"
    r"#{1,6}[ \t]+|>[ \t]?)"
)
_HEADING = re.compile(r"[ \t]{0,3}#{1,6}[ \t]")
_LINE = re.compile(r"[^\r\n\u2028\u2029\x0b\x0c\x85]+")
_OPENING = "\"'\u201c\u2018([\u00ab*_\u00a1\u00bf"
_AFTER_STOP = re.compile(rf"(?:{_STOP.pattern})\s+[{re.escape(_OPENING)}]*")
_LONGEST_ABBREVIATION = 4
_CJK_STOPS = "\u3002\uff01\uff1f"
# A shorter line that ends without a stop is a title or a list item, not a wrapped line.
_WRAPPED_LINE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of a text: `text` is exactly what stands from `start` up to `end`."""

    text: str
    start: int
    end: int


def sentences(text: str) -> tuple[Span, ...]:
    """The sentences of a text, in order, trimmed; together they hold all its words.

    Headings, list items and lines of their own are sentences; their marks (`#`, `-`, `1.`) are
    left out. A citation belongs to the sentence before it. Lines that were wrapped are joined.
    """
    found: list[tuple[int, int]] = []
    language = language_of(text)
    for start, end in _blocks(text):
        first_of_block = len(found)
        for piece in _pieces(text, start, end, language):
            edges = _trimmed(text, *piece)
            if edges is None:
                continue
            if len(found) > first_of_block and not any(map(str.isalnum, text[slice(*edges)])):
                edges = found.pop()[0], edges[1]
            found.append(edges)
    return tuple(Span(text=text[start:end], start=start, end=end) for start, end in found)


def snippet(text: str, max_words: int) -> str:
    """The beginning of a text, at most `max_words` words, cut at the end of a sentence.

    A first sentence that is too long by itself is cut between words and ends in `…`.
    """
    if len(text.split()) <= max_words:
        return text.strip()
    end = 0
    count = 0
    reached = 0
    for span in sentences(text):
        count += len(text[reached : span.end].split())
        reached = span.end
        if count > max_words:
            break
        end = span.end
    if end:
        return text[:end].strip()
    return " ".join(text.split()[:max_words]).rstrip(",;:") + "\u2026"


@lru_cache(maxsize=1024)
def language_of(text: str) -> str:
    """The language whose common words are the most frequent in a text; English in doubt."""
    words = _WORDS.findall(text.lower())
    counts = {name: sum(map(common.__contains__, words)) for name, common in _LANGUAGES.items()}
    # The first of equals wins, and English is the first.
    return max(counts, key=counts.__getitem__)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    length = len(piece.strip())
    return (start, start + length) if length else None


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Stretches that a sentence does not cross: paragraphs, headings, list items."""
    start = end = -1
    for line in _LINE.finditer(text):
        if not line[0].strip():
            continue
        lead = _LEAD.match(text, line.start(), line.end())
        begin = lead.end() if lead else line.start()
        if start >= 0 and (lead or not _continues(text, start, end, line)):
            yield start, end
            start = -1
        if start < 0:
            start = begin
        end = line.end()
        if _HEADING.match(text, line.start(), line.end()):
            yield start, end
            start = -1
    if start >= 0:
        yield start, end


def _continues(text: str, start: int, end: int, line: re.Match[str]) -> bool:
    """Whether `line` goes on with the sentence of the line before it."""
    gap = text[end : line.start()]
    if gap.count("\n") > 1 or gap.count("\r") > 1 or gap.strip("\r\n \t"):
        return False
    begins = line[0].lstrip()
    if CITATION.match(begins):
        return True
    last_line = max(start, text.rfind("\n", start, end) + 1, text.rfind("\r", start, end) + 1)
    before = text[last_line:end].rstrip()
    if not before or before[-1] in ".!?\u2026:":
        return False
    return begins[0].islower() or len(before) >= _WRAPPED_LINE


def _pieces(text: str, start: int, end: int, language: str) -> Iterator[tuple[int, int]]:
    """Cuts one block at the ends of its sentences."""
    begins = () if language == "en" else _begins(text[start:end], language)
    cited = [(m.start(), m.end()) for m in CITATION.finditer(text, start, end)]
    upcoming = 0
    resume = start
    for stop in _STOP.finditer(text, start, end):
        while upcoming < len(cited) and cited[upcoming][1] <= stop.start():
            upcoming += 1
        inside = upcoming < len(cited) and cited[upcoming][0] < stop.start()
        if inside or stop.end() <= resume:
            continue
        cut = stop.end()
        rest = upcoming
        while rest < len(cited) and not text[cut : cited[rest][0]].strip():
            cut = cited[rest][1]
            rest += 1
        if cut > stop.end():
            # A stop after the citation closes the same sentence.
            closing = _STOP.match(text, cut, end)
            cut = closing.end() if closing else cut
        elif not (
            _ends(text, start, stop, end)
            if language == "en" or stop[0][0] != "."
            else cut >= end or _ends_abroad(text[start:end], stop.start() - start, begins)
        ):
            continue
        yield resume, cut
        resume = cut
    yield resume, end


def _ends(text: str, start: int, stop: re.Match[str], end: int) -> bool:
    """Whether a sentence ends at this stop."""
    after = stop.end()
    if after >= end or stop[0][0] in _CJK_STOPS:
        return True
    if not text[after].isspace():
        return False
    following = text[after : min(end, after + 60)].lstrip().lstrip(_OPENING)
    first = following[:1]
    if stop[0][0] != "." or stop[0].startswith(".."):
        return not first.islower()
    back = text[max(start, stop.start() - 24) : stop.start()]
    token = (back.split() or [""])[-1].lstrip(_OPENING)
    return _full_stop_ends(token, following)


def _full_stop_ends(token: str, following: str) -> bool:
    """Whether the full stop after `token` ends a sentence, judged by what follows."""
    word = token.lower()
    first = following[:1]
    if word in _NEVER_LAST:
        return False
    if word in _BEGINS_WITH_NUMBER:
        return not first.isdigit() and not first.islower()
    opener = re.match(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?", following)
    begins = opener is not None and first.isupper()
    common = opener is not None and opener[0].lower().replace("\u2019", "'") in _OPENERS
    initial = len(token) == 1 and token.isalpha() and token.isupper() and token != "I"  # noqa: S105 - a word
    if word in _SELDOM_LAST or initial:
        return begins and common
    if first.islower():
        # Copy without capitals: only after a plain word, as an unknown abbreviation is short.
        return word.isalpha() and len(word) > len("etc")
    return True


def _begins(block: str, language: str) -> frozenset[int]:
    """Where the library sees a sentence begin."""
    from sentencex import get_sentence_boundaries

    # A line break inside a block is a wrapped line, not the end of a sentence.
    boundaries = get_sentence_boundaries(language, re.sub(r"\s", " ", block))
    return frozenset(boundary["start_index"] for boundary in boundaries)


def _ends_abroad(block: str, stop: int, begins: Collection[int]) -> bool:
    """Whether the full stop at `stop` ends a sentence in a language other than English."""
    after = _AFTER_STOP.match(block, stop)
    if after is None:
        return False
    first = block[after.end() : after.end() + 1]
    before = block[max(0, stop - 48) : stop].lower().split()
    word = before[-1].lstrip(_OPENING) if before else ""
    # A single letter is an initial, or a unit after a number.
    initial = len(word) == 1 and word.isalpha() and not before[-2:][0][0].isdigit()
    if first.islower() or word in _ABBREVIATIONS or initial:
        return False
    if first.isdigit() and word.isalpha() and len(word) <= _LONGEST_ABBREVIATION:
        return False
    if word.isdigit() and len(before) > 1 and before[-2] in _BEFORE_ORDINAL:
        return False
    return any(begin in begins for begin in range(stop + 1, after.end() + 1))
