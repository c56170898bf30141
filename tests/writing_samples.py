"""A small brand of the tests' own: passages, segment, templates, frames and a good message."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liftwright.agents.generation import Writing, drafting_checks
from liftwright.config import Brand, Frames
from liftwright.model import (
    Completion,
    DefiningFeature,
    FeatureSummary,
    Identity,
    Limits,
    Passage,
    Prompt,
    Segment,
    Tokens,
)
from liftwright.model.checks import Check, CheckResult, Message, run_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TONES = ("urgent", "informational", "friendly")
LIMITS = Limits(subject_max_characters=60, body_min_words=150, body_max_words=200)
SHORT = Limits(subject_max_characters=60, body_min_words=5, body_max_words=200)
BRAND = Brand(
    name="Hollow Pine 47",
    postal_address="1 Lane, Town",
    unsubscribe_url="https://mail.hollowpine.example/stop",
    link_hosts=("hollowpine.example",),
)
BARE_PROMPT = Prompt(
    text="WRITE ABOUT BOOTS",
    brand="Acme",
    segment=Segment(label="A", size=1, share=1.0, definition="", description=""),
    tone="friendly",
    passages=(),
    limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=200),
)


def passage(document_id: str, title: str, section: str, text: str, **changes: object) -> Passage:
    values: dict[str, object] = {
        "document_id": document_id,
        "version": "1.0",
        "title": title,
        "section": section,
        "paragraph_index": 0,
        "text": text,
        "score": 0.8,
    }
    return Passage(**{**values, **changes})  # type: ignore[arg-type]


LAMP = passage(
    "lamp",
    "Ember Lamp, Oak Edition",
    "Facts",
    "The Ember lamp costs £89 and gives 800 lumen of warm light. "
    "A full charge of the Ember lamp lasts for 14 hours at half brightness. "
    "It comes with a spare switch in the box.",
)
DELIVERY = passage(
    "delivery",
    "Delivery",
    "Times and Charges",
    "Parcels from the workshop arrive within 3 to 5 working days. "
    "Delivery is free on orders of £50 or more in the whole country. "
    "Orders above £200 are insured without a further charge.",
)
CLUB = passage(
    "club",
    "Pine Club",
    "Points",
    "Members of the Pine Club earn 2 points for every £1 that they spend. "
    "Gold members receive a free repair of one lamp in each year. "
    "Points of the Pine Club can be spent on lamps, shades and repairs.",
)
REPAIR = passage(
    "repair",
    "Repairs",
    "At the Bench",
    "The repair bench mends lamps of every maker and returns most of them within 10 days. "
    "Customers can watch their lamp being mended on the first Saturday of each month.",
)
PASSAGES = (LAMP, DELIVERY, CLUB, REPAIR)

SEGMENT = Segment(
    label="Loyal Champions",
    size=120,
    share=0.24,
    definition="frequency >= 4",
    description="Customers who order often and spend a lot on lamps.",
    audience=("loyal customers", "frequent buyers"),
    features={
        "purchase_frequency": FeatureSummary(
            mean=11.5, median=12.0, std=2.0, min=4.0, q25=9.0, q75=14.0, max=31.0
        ),
        "age": FeatureSummary(
            mean=None, median=None, std=None, min=None, q25=None, q75=None, max=None, missing=120
        ),
    },
    defining_features=(
        DefiningFeature(
            feature="purchase_frequency",
            segment_median=12.0,
            overall_median=3.0,
            effect=1.8,
            words="orders often",
        ),
    ),
    tiers={"Silver": 70, "Bronze": 50, "Gold": 0},
    locations={"Leeds": 40, "York": 20},
)
OTHERS = Segment(
    label="Quiet Wanderers",
    size=80,
    share=0.16,
    definition="recency <= 2",
    description="Customers who have not ordered for a long time.",
    audience=("lapsed customers",),
    tiers={"Bronze": 80},
)

TEMPLATES = {
    "base_template": (
        "Write for {brand}. Readers: {segment_label}, {segment_description}\n{segment_features}\n"
        "Tone {tone}: {tone_instructions}\n<passages>\n{passages}\n</passages>\n"
        "Subject up to {subject_max_characters} characters, body {body_min_words} to "
        "{body_max_words} words. Answer as {{JSON}}.\n{feedback}"
    ),
    "tone_urgent": "Be quick, as {brand} is.",
    "tone_informational": "Be exact.",
    "tone_friendly": "Be kind.",
    "control_message": (
        "Subject: News from {brand}\n\nHello,\n\n{brand} writes to you from time to time. "
        "Have a look at our website whenever it suits you.\n"
    ),
}


def frames(tone: str) -> Frames:
    word = {"urgent": "now", "informational": "here", "friendly": "kindly"}.get(tone, "well")
    return Frames(
        subjects=(f"Look {word}: {{topic}}", f"{{topic}}, {word}", f"Something {word} for you"),
        greetings=("Hello,", f"Hello {word} and good day,"),
        openings=(
            f"We write {word} because we have a few things that you may like to know.",
            f"Take a look {word} at what follows, as it is short and easy to read through.",
        ),
        bridges=("First:", f"And {word}:", "Then there is this:", "One more thing:", "Last:"),
        closings=(f"Thank you {word} for reading this far.", f"We wish you well {word}."),
        calls_to_action=(
            f"Visit {{brand}} {word} and see what suits you.",
            f"Have a look around {{brand}} {word}.",
        ),
    )


FRAMES = {tone: frames(tone) for tone in TONES}


def writing(**changes: object) -> Writing:
    values: dict[str, object] = {
        "brand": BRAND,
        "tones": TONES,
        "limits": SHORT,
        "templates": TEMPLATES,
        "max_redrafts": 3,
        "concurrency": 4,
    }
    return Writing(**{**values, **changes})  # type: ignore[arg-type]


def checks(limits: Limits = SHORT, templates: dict[str, str] = TEMPLATES) -> tuple[Check, ...]:
    return drafting_checks(brand=BRAND, limits=limits, templates=templates)


def run(on: Sequence[Check], message: Message) -> CheckResult:
    """The result of checks that must not fail."""

    def failed(_: Check, error: Exception) -> str:
        raise error

    return run_checks(on, message, failed=failed)


SUBJECT = "A warm light for long evenings"
BODY = (
    "Hello,\n\n"
    "The Ember lamp costs £89 and shines for 14 hours at half brightness. "
    "[Source: Ember Lamp, Oak Edition, Facts]\n\n"
    "Delivery is free on orders of £50 or more. [Source: Delivery, Times and Charges]\n\n"
    "Visit our shop today and see it for yourself."
)


def reply(subject: str = SUBJECT, body: str = BODY) -> str:
    return json.dumps({"subject": subject, "body": body})


def message(mark: str) -> str:
    """A good reply that no other mark's resembles."""
    return reply(
        f"Light for {mark}",
        BODY.replace("Hello,", f"Hello {' '.join([mark] * 12)},"),
    )


@dataclass
class FakeWriter:
    """Answers by a function of the prompt; keeps the prompts."""

    answer: Callable[[Prompt], str]
    metered: bool = True
    identity: Identity = field(default_factory=lambda: Identity(provider="fake"))
    prompts: list[Prompt] = field(default_factory=list)

    def __call__(self, request: Prompt, /) -> Completion:
        self.prompts.append(request)
        return Completion(
            text=self.answer(request),
            model="fake-1",
            tokens=Tokens(input=100, cached_input=10, output=20),
            cost_usd=0.5,
        )
