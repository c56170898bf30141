"""Our own sentences for training the screener: harmful ones, and similar harmless ones.

Public data sets have few direct threats, dehumanising claims, encouragements of self-harm or
explicit scenes in one short sentence; these templates add them, without slurs or methods.
`harmless.txt` covers the same topics without harm. Slots are filled from `vocabulary.json`.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HarmSentence", "write_harm_sentences"]

FOLDER = Path(__file__).parent
FILES = ("hate", "violence", "self_harm", "sexual", "harmless")
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmSentence:
    """A sentence, its template, and its category; None for harmless."""

    text: str
    template: str
    category: str | None


def write_harm_sentences(*, per_template: int, seed: int) -> tuple[HarmSentence, ...]:
    """Distinct sentences from every template; one for a template without slots."""
    vocabulary = json.loads((FOLDER / "vocabulary.json").read_text(encoding="utf-8"))
    chance = random.Random(seed)  # noqa: S311 - sentences, not secrets
    made: dict[str, HarmSentence] = {}
    for name in FILES:
        category = None if name == "harmless" else name
        for template in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            for _ in range(per_template if SLOT.search(template) else 1):
                text = SLOT.sub(lambda slot: chance.choice(vocabulary[slot[1]]), template)
                text = text[:1].upper() + text[1:]
                made.setdefault(text, HarmSentence(text=text, template=template, category=category))
    return tuple(made.values())
