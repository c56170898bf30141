"""Sentences of our own wording for the screener's training: plain harm, and its harmless likeness.

The public sets hold few direct threats, dehumanising claims, encouragements of self-harm or
explicit scenes in one short sentence; these templates do. They carry no slurs and no method.
`harmless.txt` speaks of the same things without harm (denial, quotation, counter-speech, insults
of things), `insults.txt` insults the reader, which is impolite and no hate. Filled from
`vocabulary.json`.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

from retail_negatives import SLOT, fill

__all__ = ["INSULT", "HarmSentence", "write_harm_sentences"]

FOLDER = Path(__file__).parent
INSULT = "insult"
FILES = {
    "hate": "hate",
    "violence": "violence",
    "self_harm": "self_harm",
    "sexual": "sexual",
    "insults": INSULT,
    "harmless": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmSentence:
    """One sentence, its template, and its category: one of the four, `insult`, None (harmless)."""

    text: str
    template: str
    category: str | None


def write_harm_sentences(*, per_template: int, seed: int) -> tuple[HarmSentence, ...]:
    """Distinct sentences from every template; a template without slots gives one."""
    vocabulary = json.loads((FOLDER / "vocabulary.json").read_text(encoding="utf-8"))
    made: dict[str, HarmSentence] = {}
    for name, category in FILES.items():
        for template in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            # A template that is added changes no sentence of another one.
            chance = random.Random(f"{seed} {template}")  # noqa: S311 - sentences, not secrets
            for _ in range(per_template if SLOT.search(template) else 1):
                text = fill(template, vocabulary, chance)
                made.setdefault(text, HarmSentence(text=text, template=template, category=category))
    return tuple(made.values())
