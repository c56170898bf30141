"""Harm screening on this machine: vectors and words of sentences, a head each, a lexicon.

An English baseline; a text in another language is not judged, and says so. It reads each sentence
by itself, because one harmful sentence among twelve harmless ones disappears in the vector of the
whole, and takes the worst of each category.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from liftwright.adapters.embedded import models
from liftwright.adapters.embedded.screen_grams import BUCKETS, hash_grams
from liftwright.errors import ModelBroken
from liftwright.model import CATEGORIES, Finding, Identity
from liftwright.model.messages import NOT_JUDGED
from liftwright.text import sentences
from liftwright.text.language import is_english
from liftwright.text.obfuscation import (
    Visible,
    deobfuscate,
    make_visible,
    without_markup,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from liftwright.ports import Embed

    Scores = npt.NDArray[np.float64]
    Spans = dict[tuple[int, int], None]

__all__ = ["EmbeddedScreen", "how_short", "read_pieces"]

CHECK = "safety"
SEVERITIES = (2, 4, 6)
# A long sentence dilutes its worst part, and the model reads 256 word pieces only.
WINDOW_WORDS, WINDOW_STEP = 14, 7
LONG_WORDS = 18
SHORT_WORDS = 8
# Bounds the memory of one call whatever the number of texts.
PIECES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """One category: a piece's score, its calibration by length, cuts for 2, 4, 6.

    score = weights . vector + output . relu(vector . hidden + hidden_bias)
    + sum of grams over the piece's n buckets / sqrt(n) + bias;
    logit = slope * score + short * how_short + offset.
    """

    weights: Scores
    hidden: Scores
    hidden_bias: Scores
    output: Scores
    grams: Scores
    bias: float
    slope: float
    short: float
    offset: float
    cuts: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Screener:
    heads: dict[str, _Head]
    lexicon: dict[str, re.Pattern[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One text as it will be scored: its pieces, and the first lexicon entry per category.

    Attributes:
        is_judged: whether all of it is in English; sentences that are not have no pieces.
    """

    pieces: tuple[tuple[str, tuple[int, int]], ...] = ()
    entries: dict[str, tuple[int, int]] = field(default_factory=dict)
    is_judged: bool = True


class EmbeddedScreen:
    """The port `screen` on embedded parts.

    Making one never fails, so that a broken model file blocks the texts it was to judge rather
    than the program that asks.

    Args:
        embed: the sentence model on which the heads were trained.
        folder: where `screener.json` and `lexicon.json` are; by default the shipped ones.
    """

    metered = False

    def __init__(self, embed: Embed, folder: Path = models.FOLDER) -> None:
        self._embed = embed
        self._heads, self._lexicon = folder / "screener.json", folder / "lexicon.json"
        digest = hashlib.sha256(embed.identity.version.encode())
        for path in (self._heads, self._lexicon):
            digest.update(path.read_bytes() if path.is_file() else b"missing")
        version = digest.hexdigest()[:12]
        self.identity = Identity(provider="embedded", model="minilm-heads", version=version)

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        """One finding for each of the four categories, in the order of `CATEGORIES`.

        Severity and score are None, with the reason `not_judged`, where a sentence of the text is
        not in English and nothing else in it has the highest severity.

        Raises:
            ModelBroken: a model file is missing, altered or malformed.
        """
        return self.many((request,))[0]

    def many(self, texts: tuple[str, ...]) -> tuple[tuple[Finding, ...], ...]:
        """The findings of each text, as if each had been screened alone, with fewer calls.

        Raises:
            ModelBroken: a model file is missing, altered or malformed.
        """
        screener = _load(self._heads, self._lexicon, self.identity.version)
        readings = [_read(text, screener) for text in texts]
        distinct = tuple({piece: None for one in readings for piece, _ in one.pieces})
        row_of = {piece: row for row, piece in enumerate(distinct)}
        scores = self._score(distinct, screener)
        return tuple(_findings(one, scores, row_of, screener) for one in readings)

    def _score(self, pieces: tuple[str, ...], screener: _Screener) -> dict[str, Scores]:
        """The calibrated probability of each piece, per category."""
        import numpy as np

        parts: dict[str, list[Scores]] = {category: [] for category in CATEGORIES}
        for first in range(0, len(pieces), PIECES_AT_ONCE):
            some = pieces[first : first + PIECES_AT_ONCE]
            vectors = self._embed(some).astype(np.float64)
            self._check_width(vectors.shape[1], screener)
            buckets = [hash_grams(piece) for piece in some]
            roots = np.sqrt([max(1, len(numbers)) for numbers in buckets])
            short = np.array([how_short(piece) for piece in some])
            for category in CATEGORIES:
                head = screener.heads[category]
                words = np.array([head.grams[numbers].sum() for numbers in buckets]) / roots
                # Row by row: a product of matrices may differ in a digit with a piece's neighbours.
                layer = np.array([vector @ head.hidden for vector in vectors]) + head.hidden_bias
                layer = np.maximum(layer, 0)
                raw = (vectors * head.weights).sum(axis=1) + (layer * head.output).sum(axis=1)
                raw += words + head.bias
                logits = head.slope * raw + head.short * short + head.offset
                parts[category].append(1 / (1 + np.exp(-logits)))
        return {name: np.concatenate(some) if some else np.zeros(0) for name, some in parts.items()}

    def _check_width(self, found: int, screener: _Screener) -> None:
        for category, head in screener.heads.items():
            if len(head.weights) != found:
                message = (
                    f"{self._heads}: key heads.{category}.weights has {len(head.weights)} numbers, "
                    f"allowed: {found}, one for each dimension of the vectors"
                )
                raise ModelBroken(message)


def how_short(piece: str) -> float:
    """How far a piece is below 8 words, from 0 to 1: a short line says less, so it proves less."""
    return max(0, SHORT_WORDS - len(piece.split())) / SHORT_WORDS


def read_pieces(visible: Visible) -> tuple[tuple[int, int], ...]:
    """What is scored of a text: sentences, short lines, windows of long sentences, the whole."""
    text = visible.text
    spans: Spans = {}
    for sentence in sentences(text):
        spans.update(dict.fromkeys(_windows(text, sentence.start, sentence.end)))
    for line in re.finditer(r"[^\n]+", text):
        if len(line[0].split(maxsplit=LONG_WORDS)) <= LONG_WORDS:
            spans.update(dict.fromkeys(_windows(text, *line.span())))
    if spans:
        spans[0, len(text)] = None
    return tuple(spans)


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretch itself, without blank edges, and overlapping windows where it is long."""
    words = [(start + w.start(), start + w.end()) for w in re.finditer(r"\S+", text[start:end])]
    if not words:
        return
    yield words[0][0], words[-1][1]
    if len(words) > LONG_WORDS:
        for first in range(0, len(words) - WINDOW_STEP, WINDOW_STEP):
            window = words[first : first + WINDOW_WORDS]
            yield window[0][0], window[-1][1]


def _read(text: str, screener: _Screener) -> _Reading:
    visible = make_visible(text)
    plain = deobfuscate(visible)
    foreign = _foreign(text, plain)
    pieces: dict[str, tuple[int, int]] = {}
    entries: dict[str, tuple[int, int]] = {}
    for version in dict.fromkeys((visible, plain, make_visible(text, reorder=False))):
        for start, end in read_pieces(version):
            piece, origin = " ".join(version.text[start:end].split()), version.span(start, end)
            is_foreign = any(origin[0] < last and first < origin[1] for first, last in foreign)
            if re.search(r"\w", piece) and not is_foreign:
                pieces.setdefault(piece, origin)
        for category, pattern in screener.lexicon.items():
            found = pattern.search(version.text)
            if found is not None:
                entries.setdefault(category, version.span(*found.span()))
    return _Reading(
        pieces=tuple(pieces.items()),
        entries=entries,
        is_judged=not foreign and _is_english(text, plain.text),
    )


def _foreign(text: str, plain: Visible) -> list[tuple[int, int]]:
    """Where in the original text the sentences stand that are not in English."""
    spans = [(one, plain.span(one.start, one.end)) for one in sentences(plain.text)]
    return [span for one, span in spans if not _is_english(text[slice(*span)], one.text)]


def _is_english(original: str, plain: str) -> bool:
    """Whether a text is in English, in the letters as they stand or as they look."""
    return is_english(plain) or is_english(without_markup(original))


def _findings(
    reading: _Reading, scores: dict[str, Scores], row_of: dict[str, int], screener: _Screener
) -> tuple[Finding, ...]:
    """A finding for each category; `not_judged` where a part is, and the rest is not harmful."""
    findings = tuple(
        _find(category, reading, scores[category], row_of, screener) for category in CATEGORIES
    )
    if reading.is_judged or any(found.severity == SEVERITIES[-1] for found in findings):
        return findings
    return tuple(
        Finding(check=CHECK, category=category, severity=None, score=None, reason=NOT_JUDGED)
        for category in CATEGORIES
    )


def _find(
    category: str, reading: _Reading, scores: Scores, row_of: dict[str, int], screener: _Screener
) -> Finding:
    """The worst piece of one text in one category; a lexicon entry is at least the highest cut."""
    cuts = screener.heads[category].cuts
    score, span = max(
        ((float(scores[row_of[piece]]), where) for piece, where in reading.pieces),
        key=lambda scored: scored[0],
        default=(0.0, None),
    )
    reached = [level for level, cut in zip(SEVERITIES, cuts, strict=True) if score >= cut]
    severity, reason = max(reached, default=0), "classifier" if reached else ""
    if category in reading.entries and severity < SEVERITIES[-1]:
        severity, score, reason = SEVERITIES[-1], cuts[-1], "lexicon"
        span = reading.entries[category]
    return Finding(
        check=CHECK,
        category=category,
        severity=severity,
        score=score,
        reason=reason,
        start=span[0] if span else None,
        end=span[1] if span else None,
    )


@lru_cache(maxsize=4)
def _load(heads: Path, lexicon: Path, version: str) -> _Screener:
    """Read both files; `version` makes a changed file a new entry of the cache."""
    del version
    content, entries = models.read_checked(heads), models.read_checked(lexicon)
    try:
        return _Screener(
            heads={name: _head(content["heads"][name]) for name in CATEGORIES},  # type: ignore[index]
            lexicon={name: _pattern(entries["entries"][name]) for name in CATEGORIES},  # type: ignore[index]
        )
    except (KeyError, TypeError, ValueError, re.error, zlib.error) as error:
        message = f"{heads.parent}: screener.json or lexicon.json is malformed ({error!r})"
        raise ModelBroken(message) from error


def _head(content: dict[str, object]) -> _Head:
    """One head of `screener.json`.

    Raises:
        ValueError: numbers are missing, not finite, or the cuts do not rise.
    """
    import numpy as np

    keys = ("weights", "hidden_bias", "output", "cuts")
    weights, hidden_bias, output, cuts = (_numbers(content[key]) for key in keys)
    bias, slope, short, offset = _numbers(
        [content[key] for key in ("bias", "slope", "short", "offset")]
    )
    if len(cuts) != len(SEVERITIES) or list(cuts) != sorted(cuts) or not weights:
        message = f"cuts {list(cuts)}: allowed are {len(SEVERITIES)} rising numbers"
        raise ValueError(message)
    grams, hidden = _eight_bits(content["grams"]), _eight_bits(content["hidden"])
    if len(grams) != BUCKETS:
        message = f"grams: found {len(grams)} numbers, allowed: {BUCKETS}"
        raise ValueError(message)
    two, four, six = cuts
    return _Head(
        weights=np.array(weights),
        hidden=hidden.reshape(len(weights), len(hidden_bias)),
        hidden_bias=np.array(hidden_bias),
        output=np.array(output),
        grams=grams,
        bias=bias,
        slope=slope,
        short=short,
        offset=offset,
        cuts=(two, four, six),
    )


def _eight_bits(content: object) -> Scores:
    """Numbers that are stored in 8 bits each.

    Raises:
        ValueError: they cannot be read.
    """
    import numpy as np

    if not isinstance(content, dict):
        message = f"{type(content).__name__}: numbers with their scale were expected"
        raise TypeError(message)
    (scale,) = _numbers([content["scale"]])
    packed = zlib.decompress(base64.b64decode(str(content["numbers"])))
    numbers: Scores = np.frombuffer(packed, dtype=np.int8).astype(np.float64) * scale
    return numbers


def _numbers(values: object) -> tuple[float, ...]:
    if not isinstance(values, list):
        message = f"{type(values).__name__}: a list of numbers was expected"
        raise TypeError(message)
    numbers = tuple(float(value) for value in values)
    if not all(math.isfinite(number) for number in numbers):
        message = "a number is not finite"
        raise ValueError(message)
    return numbers


def _pattern(entry: dict[str, list[str]]) -> re.Pattern[str]:
    """One category of the lexicon: severe words in any spelling, and patterns as they stand."""
    alternatives = [_spellings(word) for word in entry["words"]]
    alternatives += [rf"(?:{pattern})" for pattern in entry["patterns"]]
    return re.compile(rf"(?<!\w)(?:{'|'.join(alternatives) or r'(?!)'})(?!\w)", re.IGNORECASE)


def _spellings(word: str) -> str:
    """A word with letters repeated or starred out, with a plural, and any gap between its parts.

    A plural in -es follows a hiss, so that no slur is found in "spices".
    """
    first, *rest = re.findall(r"\w|\W+", word)
    inner = "".join(_letter(character) for character in rest[:-1])
    return rf"{first}+{inner}{rest[-1]}+(?:s|z|(?<=[sxzh])es)?"


def _letter(character: str) -> str:
    return rf"[{character}*]+" if character.isalnum() else r"[\W_]*"
