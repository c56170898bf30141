"""Sentences of our own wording for the screener's training: plain harm, and its harmless likeness.

The public sets hold few direct threats, dehumanising claims, encouragements of self-harm or
explicit scenes in one short sentence; these templates do. They carry no slurs and no method.
`harmless.txt` speaks of the same things without harm. Filled from `vocabulary.json`.
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
    """One sentence, the template it was made from, and its category; None: harmless."""

    text: str
    template: str
    category: str | None


def write_harm_sentences(*, per_template: int, seed: int) -> tuple[HarmSentence, ...]:
    """Distinct sentences from every template; a template without slots gives one."""
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
