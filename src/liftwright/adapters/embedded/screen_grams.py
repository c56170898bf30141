"""Hashed words, word pairs and letter sequences: what a sentence vector blurs.

A sentence vector says what a text is about; the exact words say whether it is hateful about it.
The features are hashed into a fixed number of buckets (the hashing trick: Weinberger et al.,
2009), so the model file holds one number per bucket and category, and no word of the training data.
"""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BUCKETS", "hash_grams"]

BUCKETS = 1 << 15
LETTERS = (3, 4, 5)
_WORD = re.compile(r"[a-z0-9']+|[!?]")


def hash_grams(text: str) -> list[int]:
    """The buckets that the text's words, word pairs and letter sequences fall into.

    Returns:
        distinct numbers in [0, `BUCKETS`), ascending; the same on every machine.
    """
    return sorted({zlib.crc32(gram.encode()) % BUCKETS for gram in set(_grams(text))})


def _grams(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    for word in words:
        yield f"w {word}"
        edged = f"<{word}>"
        for size in LETTERS:
            for first in range(len(edged) - size + 1):
                yield edged[first : first + size]
    for one, two in pairwise(words):
        yield f"{one} {two}"
