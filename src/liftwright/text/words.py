"""Words: normal form, counting, and the stemmed content words of lexical matching."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html.parser import HTMLParser

STOPWORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further
    had has have having he her here hers him his how i if in into is it its itself just me more
    most my no nor not now of off on once only or other our ours out over own same she should so
    some such than that the their theirs them then there these they this those through to too
    under until up us very was we were what when where which while who whom why will with would
    you your yours""".split()  # noqa: SIM905 - read as a text
)
"""Words that say nothing about a text's subject."""

# Characters that show nothing but part a word for a machine.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]"
)
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[^\W_]+")
_HIDDEN = frozenset({"script", "style", "head", "template", "title"})
_BLOCKS = frozenset(
    """address article aside blockquote br dd div dl dt figcaption figure footer form h1 h2 h3 h4
    h5 h6 header hr li main nav ol p pre section table td th tr ul""".split()  # noqa: SIM905 - the same
)
_LONE_BRACKET = re.compile(r"<(?=[^<>]*(?:<|\Z))")
_VOWELS = frozenset("aeiouy")
_SHORTEST_STEM = 3


def word_count(text: str) -> int:
    """Words as people count them: runs of characters between white space."""
    return len(text.split())


def normalise(text: str) -> str:
    """The text in compatibility form (NFKC), without invisible characters, white space folded."""
    return " ".join(_INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).split())


def words(text: str) -> list[str]:
    """The content words of a text, in order: lower case, stemmed, without stopwords.

    Numbers stay, in one spelling: `1,299.00` is `1299`.
    """
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    found = []
    for token in _TOKEN.findall(plain):
        if token[0].isdigit():
            found.append(_number(token))
            continue
        word = token.replace("\u2019", "'").partition("'")[0]
        if word not in STOPWORDS and (len(word) > 1 or not word.isascii()):
            found.append(stem(word))
    return found


def phrase(text: str) -> tuple[str, ...]:
    """A label (an audience, say) in the form in which two spellings are one: `Gold Member(s)`."""
    return tuple(words(text)) or (text.casefold().strip(),)


def _number(token: str) -> str:
    whole, point, fraction = token.replace(",", "").partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{point}{fraction}" if fraction else whole


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A lower-case English word without its ending, so that its forms meet.

    Plural, past and -ing forms, adverbs and the common noun endings; a light reading of
    Porter (1980), An algorithm for suffix stripping. It need not give a word.
    """
    if len(word) <= _SHORTEST_STEM or not word.isascii():
        return word
    word = _without_ending(_without_inflection(_without_plural(word)))
    if word.endswith("y") and len(word) > _SHORTEST_STEM and word[-2] not in _VOWELS:
        return f"{word[:-1]}i"
    if word.endswith("e") and len(word) > _SHORTEST_STEM:
        word = word[:-1]
    return word


def _without_plural(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith("ies"):
        return f"{word[:-3]}y" if len(word) > len("ties") else word[:-1]
    if word.endswith(("ches", "shes", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_inflection(word: str) -> str:
    for ending in ("ing", "ed"):
        start = word.removesuffix(ending)
        if start != word and len(start) >= _SHORTEST_STEM - 1 and _VOWELS & set(start):
            if start.endswith(("at", "bl", "iz")):
                return f"{start}e"
            if start[-1] == start[-2] and start[-1] not in "lsz":
                return start[:-1]
            return start
    return word


# Longest first; an ending goes only where a stem of three letters or more is left.
_ENDINGS = (
    ("ational", "ate"),
    ("fulness", "ful"),
    ("iveness", "ive"),
    ("ization", "ize"),
    ("ousness", "ous"),
    ("biliti", "ble"),
    ("ability", "able"),
    ("ication", "icate"),
    ("ation", "ate"),
    ("ement", ""),
    ("ness", ""),
    ("ment", ""),
    ("ance", ""),
    ("ence", ""),
    ("ally", "al"),
    ("ably", "able"),
    ("ator", "ate"),
    ("able", ""),
    ("ible", ""),
    ("ery", ""),
    ("ful", ""),
    ("ous", ""),
    ("ive", ""),
    ("ion", ""),
    ("ity", ""),
    ("ate", ""),
    ("ize", ""),
    ("ise", ""),
    ("al", ""),
    ("er", ""),
    ("ic", ""),
    ("ly", ""),
)


def _without_ending(word: str) -> str:
    for ending, kept in _ENDINGS:
        if word.endswith(ending):
            start = word[: -len(ending)]
            if len(start) <= _SHORTEST_STEM or not _VOWELS & set(start):
                continue
            if ending == "ion" and start[-1] not in "st":
                return word
            if ending == "er" and start[-1] == start[-2] and start[-1] not in "lsz":
                return start[:-1]
            return f"{start}{kept}"
    return word


class _Visible(HTMLParser):
    """Collects what a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")
        elif tag == "img":
            self.parts.append(f" {dict(attrs).get('alt') or ''} ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _HIDDEN:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def visible_text(html: str) -> str:
    """What a reader of this HTML sees: text and alternative texts, a line per block.

    Text without mark-up comes back as it is, its lines trimmed.
    """
    reader = _Visible()
    # The parser reads on to the end at each bracket that nothing closes; those are text.
    reader.feed(_LONE_BRACKET.sub("&lt;", _without_comments(html)))
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _without_comments(html: str) -> str:
    parts = []
    reached = 0
    while (start := html.find("<!--", reached)) >= 0 and (end := html.find("-->", start)) >= 0:
        parts.append(html[reached:start])
        reached = end + len("-->")
    return "".join([*parts, html[reached:]])
