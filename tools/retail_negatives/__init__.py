"""Our own benign retail sentences for training and calibrating the screener.

`plain.txt` has everyday sentences of marketing e-mail, `headings.txt` headings and closings, and
`alarming.txt` sentences that only look harmful ("bath bombs", "shoot us a message"). Slots are
filled from `vocabulary.json`. Each sentence keeps its template, so that a split can separate whole
templates.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RetailSentence", "write_retail_mails", "write_retail_sentences"]

FOLDER = Path(__file__).parent
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailSentence:
    """A benign sentence, its template, and whether it looks harmful."""

    text: str
    template: str
    alarming: bool


def write_retail_sentences(*, per_template: int, seed: int) -> tuple[RetailSentence, ...]:
    """Distinct sentences from every template; one for a template without slots."""
    vocabulary = json.loads((FOLDER / "vocabulary.json").read_text(encoding="utf-8"))
    chance = random.Random(seed)  # noqa: S311 - sentences, not secrets
    made: dict[str, RetailSentence] = {}
    for name in ("plain.txt", "headings.txt", "alarming.txt"):
        for template in (FOLDER / name).read_text(encoding="utf-8").splitlines():
            for _ in range(per_template if SLOT.search(template) else 1):
                text = _fill(template, vocabulary, chance)
                sentence = RetailSentence(
                    text=text, template=template, alarming=name == "alarming.txt"
                )
                made.setdefault(text, sentence)
    return tuple(made.values())


def write_retail_mails(
    sentences: tuple[str, ...], *, count: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """E-mails of 8 to 14 sentences, drawn from the given ones."""
    chance = random.Random(seed)  # noqa: S311 - sentences, not secrets
    return tuple(tuple(chance.sample(sentences, chance.randint(8, 14))) for _ in range(count))


def _fill(template: str, vocabulary: dict[str, list[str]], chance: random.Random) -> str:
    text = SLOT.sub(lambda slot: chance.choice(vocabulary[slot[1]]), template)
    return text[:1].upper() + text[1:]
