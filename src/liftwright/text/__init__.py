"""Text as the product reads it: sentences, words, values and citations.

Every function here is linear in its input, and offsets always point into the text as given.
"""

from __future__ import annotations

from liftwright.text.citations import (
    Reference,
    cite,
    references,
    without_citations,
)
from liftwright.text.sentences import Span, sentences, snippet
from liftwright.text.values import KnownValues, Value, values
from liftwright.text.words import (
    STOPWORDS,
    normalise,
    phrase,
    stem,
    visible_text,
    word_count,
    words,
)

__all__ = [
    "STOPWORDS",
    "KnownValues",
    "Reference",
    "Span",
    "Value",
    "cite",
    "normalise",
    "phrase",
    "references",
    "sentences",
    "snippet",
    "stem",
    "values",
    "visible_text",
    "without_citations",
    "word_count",
    "words",
]
