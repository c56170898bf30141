"""Whether a text is in English, as far as its words tell.

The language is identified by py3langid, whose model ships with the package. Short texts full of
names ("Merino base layer") fit many languages a little, so a text counts as English unless another
language is clearly more likely.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from liftwright.text.words import STOPWORDS

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

__all__ = ["is_english"]

_MIN_WORDS = 3
# The log of how many times likelier another language must be, and the same for texts of fewer than
# five words; set on benign and harmful English lines and on lines in 30 other languages.
_MARGIN, _MARGIN_IF_SHORT, _SHORT_WORDS = 2.3, 2.8, 5
# Words that no other language has; two of them among enough common ones need no model, whose
# loading takes most of a second.
_ONLY_ENGLISH = frozenset(
    ["the", "and", "you", "your", "with", "this", "that", "are", "our", "from", "they"]
)
_COMMON_SHARE = 0.2
# Languages that shops write in; Latin, Esperanto and smaller relatives would claim product names
# and codes. Nigerian Pidgin, which short English lines resemble, counts as English.
_ENGLISH = ("en", "pcm")
_OTHERS = (
    "af ar az bg bn bs ca cs cy da de el es et eu fa fi fr ga gl he hi hr hu hy id is it ja ka kk "
    "ko lt lv mr ms mt nl nn no pl pt ro ru sk sl sq sr sv sw ta te th tl tr uk ur vi zh"
)
_NO_PROSE = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|\{[^{}]*\}|`[^`]*`|\S*\d\S*")
# Chinese, Japanese and Thai put no space between words: each character counts as one.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+(?:['\u2019][^\W\d_{_UNSPACED}]+)*")


@lru_cache(maxsize=4096)
def is_english(text: str) -> bool:
    """Whether a text is in English; one of fewer than three words counts as English."""
    words = _WORD.findall(_NO_PROSE.sub(" ", text))
    if len(words) < _MIN_WORDS:
        return True
    folded = [word.lower() for word in words]
    common = sum(word in STOPWORDS for word in folded)
    if len(_ONLY_ENGLISH & set(folded)) > 1 and common >= _COMMON_SHARE * len(folded):
        return True
    likely = dict(_identifier().rank(" ".join(folded)))
    english = max(likely.get(code, 0.0) for code in _ENGLISH)
    margin = _MARGIN_IF_SHORT if len(words) < _SHORT_WORDS else _MARGIN
    return math.log(max(likely.values())) - math.log(max(english, 1e-12)) <= margin


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages([*_ENGLISH, *_OTHERS.split()])
    return identifier
