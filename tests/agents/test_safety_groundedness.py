from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from liftwright.agents.safety import groundedness_check, opinions, screen_variant
from liftwright.errors import ProviderUnavailable
from liftwright.model import (
    CATEGORIES,
    Claim,
    Identity,
    JudgeRequest,
    Judgment,
    Passage,
    SafetyDecision,
    Variant,
)
from liftwright.model.checks import SAFETY, Check, CheckResult

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


class Judge:
    metered = True
    identity = Identity(provider="a_judge", version="1")

    def __init__(self, answer: Judgment | Exception) -> None:
        self.answer = answer
        self.asked: list[JudgeRequest] = []

    def __call__(self, request: JudgeRequest, /) -> Judgment:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


GROUNDED = Judgment(grounded=True, ungrounded_share=0.0)
UNGROUNDED = Judgment(grounded=False, ungrounded_share=0.25)


def claims(*said: tuple[str, str]) -> Sequence[Claim]:
    return [
        Claim(text=text, start=0, end=1, verdict=verdict, score=1.0, source=None)
        for text, verdict in said
    ]


SAID = claims(("Hello.", "not_a_claim"), ("Boots keep feet dry. [1]", "supported"))


def decide(
    judge: Judge, said: Sequence[Claim] = SAID, earlier: Sequence[Check] = (), **more: bool
) -> SafetyDecision:
    checks = [*earlier, groundedness_check(judge)]
    return screen_variant(VARIANT, checks, decided_by="s", decided_at="", claims=said, **more)


def test_groundedness_check_asks_about_claims_and_passes_what_the_judge_agrees_with() -> None:
    judge = Judge(GROUNDED)
    decision = decide(judge)
    assert (decision.status, decision.reasons) == ("pass", ())
    (opinion,) = opinions([decision], judge)
    assert (opinion.variant_id, opinion.judge) == ("v1", "a_judge@1")
    assert (opinion.grounded, opinion.ungrounded_share) == (True, 0.0)
    (asked,) = judge.asked
    assert "Hello" not in asked.text
    assert "Boots keep feet dry." in asked.text
    assert asked.sources == ("Boots\nBoots keep feet dry.",)


@pytest.mark.parametrize("waits", [True, False])
def test_groundedness_check_blocks_what_the_judge_doubts_and_says_by_how_much(
    *, waits: bool
) -> None:
    judge = Judge(UNGROUNDED)
    decision = decide(judge, approval_required=waits)
    assert (decision.status, decision.blocked_by) == ("block", ("groundedness",))
    assert "25%" in decision.reasons[0]
    assert not decision.is_unavailable
    (opinion,) = opinions([decision], judge)
    assert (opinion.grounded, opinion.ungrounded_share) == (False, 0.25)


@pytest.mark.parametrize(
    ("fault", "told"),
    [(ProviderUnavailable("gone"), "ProviderUnavailable: gone"), (KeyError("text"), "KeyError")],
)
def test_groundedness_check_blocks_as_unavailable_where_the_judge_fails(
    fault: Exception, told: str
) -> None:
    judge = Judge(fault)
    decision = decide(judge)
    assert (decision.status, decision.is_unavailable) == ("block", True)
    assert decision.reasons == (f"unavailable: groundedness: {told}",)
    (opinion,) = opinions([decision], judge)
    assert (opinion.grounded, opinion.ungrounded_share) == (None, None)


def test_groundedness_check_is_not_asked_about_what_is_blocked_or_claims_nothing() -> None:
    judge = Judge(UNGROUNDED)
    refusing = Check(name="a", stage=SAFETY, find=lambda _: CheckResult(reasons=("a: no",)))
    blocked = decide(judge, earlier=[refusing])
    assert (blocked.status, blocked.reasons) == ("block", ("a: no",))
    for said in (claims(("Hello.", "not_a_claim")), []):
        assert decide(judge, said).status == "pass"
    assert judge.asked == []
    assert list(opinions([blocked], judge)) == []
    assert blocked.severities == dict.fromkeys(CATEGORIES)
