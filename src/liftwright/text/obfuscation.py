"""What a reader sees of a text, and where it is in the original.

Harm and planted instructions hide behind look-alike letters, invisible characters, markup, digits
for letters and letters spaced out. The screener and the detector of orders read the text with these
undone. Every character remembers where it came from, so that a finding points into the original.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Run = list[tuple[str, int]]

__all__ = ["Visible", "deobfuscate", "make_visible", "plain_letters", "without_markup"]

_RIGHT_TO_LEFT_OVERRIDE = "\u202e"
# Embeddings, overrides and isolates, and what ends one.
_OPENING, _CLOSING = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068", "\u202c\u2069"
# Blanks that are letters or symbols to Unicode.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"


@dataclass(frozen=True, slots=True)
class Visible:
    """A text and, for each of its characters, the index it had in the original."""

    text: str
    origins: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where characters [start, end) of this text stand in the original."""
        stretch = self.origins[start:end]
        return min(stretch), max(stretch) + 1


# A tag counts as markup only if its name is of HTML and every attribute is well formed: words in
# angle brackets that a mail program would show, or that only pretend to be a tag, are read.
_NAMES = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|col|"
    "colgroup|dd|del|details|div|dl|dt|em|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|"
    "html|i|img|input|ins|label|li|link|main|mark|meta|nav|o:p|ol|option|p|pre|q|s|section|select|"
    "small|span|strike|strong|sub|summary|sup|table|tbody|td|textarea|tfoot|th|thead|time|title|tr|"
    "tt|u|ul|var|wbr"
)
_INLINE = re.compile(
    r"</?(?:a|abbr|b|big|cite|code|del|em|font|i|ins|mark|q|s|small|span|strike|strong|sub|sup|"
    r"time|tt|u|var|wbr)\b",
    re.IGNORECASE,
)
_ATTRIBUTE = r"""[a-z_:][\w:.-]*\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
_MARKUP = re.compile(
    r"<!--.*?-->|<!doctype[^>]*>|<(?P<dropped>style|script)\b[^>]*>.*?</(?P=dropped)\s*>"
    rf"|(?P<tag></?(?:{_NAMES})(?:\s+(?:{_ATTRIBUTE}|checked|disabled|hidden|nowrap))*\s*/?>)"
    r"|(?P<entity>&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});)",
    re.IGNORECASE | re.DOTALL,
)
_SHOWN = re.compile(
    r"""\b(?:alt|title|aria-label|label|placeholder|content|summary|value)\s*=\s*"""
    r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')""",
    re.IGNORECASE,
)

_LOOKALIKES = str.maketrans(
    # Cyrillic, then Greek, then other letters that look Latin.
    "абвгԁеѕзіїјкӏмнорԛгстухһԝуАВЕЅІЈКМНОРСТУХԚԜαβγεικνορτυχωΑΒΕΖΗΙΚΜΝΟΡΤΥΧıɑɡɩʟɴʀʏøØłŁđĐħŧƒßæᴀʙᴄᴅᴇɢʜᴊᴋᴍᴏᴘꜱᴛᴜᴠᴡᴢ"
    "ɪ",  # noqa: RUF001 - that is what the map is for
    "abbrdesziijklmhopqrctyxhwyABESIJKMHOPCTYXQWabyeiknoptuxwABEZHIKMNOPTYXiagilnryoOlLdDhtfsaabcdeghjkmopstuvwz"
    "i",
)
_LETTER_BLOCKS = ((0x1F130, 26), (0x1F150, 26), (0x1F170, 26), (0x1F1E6, 26))


def make_visible(original: str, *, reorder: bool = True) -> Visible:
    """The text that a reader sees: markup away, alternative texts in, letters plain.

    Compatibility forms (NFKC), accents, look-alike letters of other scripts and invisible
    characters are reduced to plain ones; blocks of HTML become paragraphs; what a bidirectional
    override shows backwards is read in the order in which it is shown, unless `reorder` is false.
    """
    characters: list[str] = []
    origins: list[int] = []
    shown = _shown(original)
    for character, origin in _displayed(shown) if reorder else shown:
        plain = _plain(character)
        characters.append(plain)
        origins.extend([origin] * len(plain))
    return Visible("".join(characters), tuple(origins))


def plain_letters(text: str) -> str:
    """The text with look-alike letters, accents and invisible characters undone."""
    return "".join(map(_plain, text))


def without_markup(original: str) -> str:
    """The characters that a reader sees, in their own script and with their accents."""
    return "".join(character for character, _ in _displayed(_shown(original)))


def _displayed(characters: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Characters in the order of display, as far as embeddings and overrides change it.

    Source: Unicode Standard Annex 9, explicit formatting characters.
    """
    # Of each open level: whether it is shown from right to left, and its runs so far.
    levels: list[tuple[bool, list[Run]]] = [(False, [])]

    def close() -> None:
        backwards, runs = levels.pop()
        inside = [one for run in (reversed(runs) if backwards else runs) for one in run]
        levels[-1][1].append(inside)

    for character, origin in characters:
        if character in _OPENING:
            levels.append((character == _RIGHT_TO_LEFT_OVERRIDE, []))
        elif character in _CLOSING:
            if len(levels) > 1:
                close()
        else:
            while character == "\n" and len(levels) > 1:
                close()
            levels[-1][1].append([(character, origin)])
    while len(levels) > 1:
        close()
    for run in levels[0][1]:
        yield from run


def _shown(original: str) -> Iterator[tuple[str, int]]:
    """Characters outside markup, alternative texts and decoded entities, with their places."""
    position = 0
    for found in _MARKUP.finditer(original):
        for index in range(position, found.start()):
            yield original[index], index
        position = found.end()
        if found["entity"]:
            for character in html.unescape(found["entity"]):
                yield character, found.start()
        elif found["tag"]:
            yield from _shown_of_tag(found["tag"], found.start())
    for index in range(position, len(original)):
        yield original[index], index


def _shown_of_tag(tag: str, start: int) -> Iterator[tuple[str, int]]:
    if not _INLINE.match(tag):
        yield "\n\n", start
    for attribute in _SHOWN.finditer(tag):
        group = "double" if attribute["double"] is not None else "single"
        first = attribute.start(group)
        yield "\n\n", start + first
        for index, character in enumerate(attribute[group]):
            yield character, start + first + index
        yield "\n\n", start + first


@lru_cache(maxsize=4096)
def _plain(character: str) -> str:
    """A character in its plain form; empty where it is invisible."""
    if character.isascii():
        return character if character.isprintable() or character.isspace() else ""
    if character in _BLANK:
        return ""
    for first, size in _LETTER_BLOCKS:
        if first <= ord(character) < first + size:
            return chr(ord("A") + ord(character) - first)
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", character))
    kept = (part for part in apart if unicodedata.category(part) not in {"Mn", "Me", "Cf", "Cc"})
    return "".join(kept).translate(_LOOKALIKES).translate(_PUNCTUATION)


_PUNCTUATION = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-"})  # noqa: RUF001
_DIGITS = str.maketrans("013457@$!|", "oieastasil")
# Digits stand for letters only between letters, so that prices, sizes and codes stay numbers.
_INSIDE = re.compile(r"(?<=[A-Za-z])[013457@$!|]+(?=[A-Za-z])")
_AT_EDGE = re.compile(r"(?<![\w@$])[@$](?=[A-Za-z])|(?<=[A-Za-z])\$+(?![\w$])")
_SPACED = re.compile(
    r"(?<![A-Za-z0-9'])[A-Za-z](?:([ ._*/+-])[A-Za-z])(?:\1[A-Za-z])+(?![A-Za-z0-9'])"
)
# Emphasis of Markdown inside a word.
_EMPHASIS = re.compile(r"(?<=[A-Za-z])(?:[*_~`]+|\\)(?=[A-Za-z])")


def deobfuscate(visible: Visible) -> Visible:
    """The text with digits inside words read as letters, and words joined that were cut.

    Letters that were spaced out are joined, and Markdown's emphasis inside a word is left out.

    Returns:
        `visible` itself where nothing was obfuscated.
    """

    def to_letters(found: re.Match[str]) -> str:
        return found[0].translate(_DIGITS)

    letters = _AT_EDGE.sub(to_letters, _INSIDE.sub(to_letters, visible.text))
    away = {
        index
        for found in _SPACED.finditer(letters)
        for index in range(found.start() + 1, found.end(), 2)
    }
    away.update(index for found in _EMPHASIS.finditer(letters) for index in range(*found.span()))
    if letters == visible.text and not away:
        return visible
    kept = [index for index in range(len(letters)) if index not in away]
    return Visible(
        "".join(letters[index] for index in kept),
        tuple(visible.origins[index] for index in kept),
    )
