from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from liftwright.agents.safety import is_unavailable, second_opinion
from liftwright.errors import ProviderUnavailable
from liftwright.model import Claim, Identity, Opinion, Passage, SafetyDecision, Sourced, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSAGE = Passage(
    document_id="d", version="1", title="Boots", section="s", paragraph_index=0,
    text="Boots keep feet dry.", score=0.5,
)  # fmt: skip
VARIANT = dataclasses.replace(
    Variant.bare("v1", arm="urgent", segment="s", subject="Boots", body="Hello."),
    passages=(PASSAGE,),
)
PASSED = SafetyDecision(
    variant_id="v1", content_sha256="0", status="pass", reasons=(), severities={},
    decided_by="screener", decided_at="",
)  # fmt: skip


class Judge:
    metered = True
    identity = Identity(provider="a_judge", version="1")

    def __init__(self, answer: Opinion | Exception) -> None:
        self.answer = answer
        self.asked: list[Sourced] = []

    def __call__(self, request: Sourced, /) -> Opinion:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


GROUNDED = Opinion(grounded=True, ungrounded_share=0.0)
UNGROUNDED = Opinion(grounded=False, ungrounded_share=0.25)


def claims(*said: tuple[str, str]) -> Sequence[Claim]:
    return [
        Claim(text=text, start=0, end=1, verdict=verdict, score=1.0, source=None)
        for text, verdict in said
    ]


SAID = claims(("Hello.", "not_a_claim"), ("Boots keep feet dry. [1]", "supported"))


def test_second_opinion_that_agrees_leaves_the_decision() -> None:
    judge = Judge(GROUNDED)
    decision, opinion = second_opinion(PASSED, VARIANT, SAID, judge)
    assert decision == PASSED
    assert opinion is not None
    assert (opinion.variant_id, opinion.judge, opinion.grounded) == ("v1", "a_judge@1", True)
    (asked,) = judge.asked
    assert "Hello" not in asked.text
    assert "Boots keep feet dry." in asked.text
    assert asked.sources == ("Boots\nBoots keep feet dry.",)


@pytest.mark.parametrize("status", ["pass", "waiting"])
def test_second_opinion_that_doubts_blocks_and_says_by_how_much(status: str) -> None:
    before = dataclasses.replace(PASSED, status=status)
    decision, opinion = second_opinion(before, VARIANT, SAID, Judge(UNGROUNDED))
    assert decision.status == "block"
    assert decision.reasons == (
        "groundedness: 25% of the claims' text is not borne out by the sources (a_judge@1)",
    )
    assert not is_unavailable(decision)
    assert opinion is not None
    assert opinion.ungrounded_share == 0.25


@pytest.mark.parametrize(
    ("fault", "told"),
    [(ProviderUnavailable("gone"), "ProviderUnavailable: gone"), (KeyError("text"), "KeyError")],
)
def test_second_opinion_that_fails_blocks_as_unavailable(fault: Exception, told: str) -> None:
    decision, opinion = second_opinion(PASSED, VARIANT, SAID, Judge(fault))
    assert decision.status == "block"
    assert is_unavailable(decision)
    assert decision.reasons == (f"unavailable: groundedness: {told}",)
    assert opinion is not None
    assert opinion.grounded is None


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (dataclasses.replace(PASSED, status="block"), SAID),
        (PASSED, claims(("Hello.", "not_a_claim"))),
        (PASSED, []),
    ],
)
def test_second_opinion_is_not_asked_for_what_is_blocked_or_claims_nothing(
    decision: SafetyDecision, said: Sequence[Claim]
) -> None:
    judge = Judge(UNGROUNDED)
    assert second_opinion(decision, VARIANT, said, judge) == (decision, None)
    assert judge.asked == []
