"""Benign retail sentences of our own wording, for training and calibrating the screener.

`plain.txt` holds everyday sentences of marketing e-mail, `headings.txt` its headings and closing
words, `lines.txt` the short lines around them (greetings, lead-ins, calls to action, link texts),
`alarming.txt` what looks harmful and is not ("bath bombs", "shoot us a message");
`vocabulary.json` fills their slots. A sentence keeps its template, so that a split can keep whole
templates apart.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SLOT", "RetailSentence", "fill", "write_retail_mails", "write_retail_sentences"]

FOLDER = Path(__file__).parent
SLOT = re.compile(r"\{(\w+)\}")
KINDS = {"plain": "plain", "headings": "plain", "alarming": "alarming", "lines": "line"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailSentence:
    """One benign sentence, the template it was made from, and its kind: plain | line | alarming."""

    text: str
    template: str
    kind: str


def write_retail_sentences(*, per_template: int, seed: int) -> tuple[RetailSentence, ...]:
    """Distinct sentences from every template; a template without slots gives one."""
    vocabulary = json.loads((FOLDER / "vocabulary.json").read_text(encoding="utf-8"))
    made: dict[str, RetailSentence] = {}
    for name, kind in KINDS.items():
        for template in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            # A template that is added changes no sentence of another one.
            chance = random.Random(f"{seed} {template}")  # noqa: S311 - sentences, not secrets
            for _ in range(per_template if SLOT.search(template) else 1):
                text = fill(template, vocabulary, chance)
                made.setdefault(text, RetailSentence(text=text, template=template, kind=kind))
    return tuple(made.values())


def write_retail_mails(
    sentences: tuple[str, ...], *, count: int, seed: int
) -> tuple[tuple[str, ...], ...]:
    """Mails of 8 to 14 sentences, drawn from the given ones."""
    chance = random.Random(seed)  # noqa: S311 - sentences, not secrets
    return tuple(tuple(chance.sample(sentences, chance.randint(8, 14))) for _ in range(count))


def fill(template: str, vocabulary: dict[str, list[str]], chance: random.Random) -> str:
    """A template with its slots filled, and with a capital; a filling may have slots itself."""
    text = template
    while SLOT.search(text):
        text = SLOT.sub(lambda slot: chance.choice(vocabulary[slot[1]]), text)
    return text[:1].upper() + text[1:]
