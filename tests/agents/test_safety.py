from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright.agents.safety import (
    approve,
    audit_record,
    screen_text,
    screen_variant,
    screener_check,
    screener_name,
    summarise_safety,
)
from liftwright.audit import AuditLog
from liftwright.config import Safety
from liftwright.errors import InputError, ModelBroken, ProviderRefused, ProviderUnavailable
from liftwright.log import Log, logging_to
from liftwright.model import CATEGORIES, Finding, Identity, SafetyDecision, Variant
from liftwright.model.checks import SAFETY, Check, CheckResult, Message, policy_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AT = "2026-03-01T10:00:00.000Z"
POLICY = Safety.model_validate({"threshold": 4})


def findings(**severities: int) -> tuple[Finding, ...]:
    return tuple(
        Finding(check="safety", category=c, severity=severities.get(c, 0), score=0.1)
        for c in CATEGORIES
    )


class Screener:
    """Answers by a function of the text, and remembers what it was asked."""

    metered = False
    identity = Identity(provider="fake", model="words", version="1")

    def __init__(self, answer: Callable[[str], object]) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        self.asked.append(request)
        return self._answer(request)  # type: ignore[return-value]


class ManyScreener(Screener):
    """Answers for all parts at once."""

    def many(self, texts: tuple[str, ...]) -> object:
        self.asked.extend(texts)
        return self._answer("".join(texts))


def finds(word: str, **severities: int) -> Screener:
    return Screener(lambda text: findings(**severities) if word in text else findings())


def fails(error: BaseException) -> Screener:
    def answer(_: str) -> object:
        raise error

    return Screener(answer)


def variant(body: str = "Good boots. Warm socks.", subject: str = "Hello") -> Variant:
    return Variant.bare("v1", arm="friendly", segment="Loyal Regulars", subject=subject, body=body)


def decide(screen: Screener, message: Variant | None = None, **more: bool) -> SafetyDecision:
    return screen_variant(
        message or variant(),
        [screener_check(screen, POLICY)],
        decided_by=screener_name(screen.identity),
        decided_at=AT,
        **more,
    )


def check_text(text: str, screen: Screener, policy: Safety = POLICY) -> CheckResult:
    return screen_text(text, [screener_check(screen, policy)])


def safety_check(find: Callable[[Message], CheckResult], *, skips_refused: bool = False) -> Check:
    return Check(name="brand", stage=SAFETY, find=find, skips_refused=skips_refused)


# ── What is screened ──────────────────────────────────────────────────────────────────────────


def test_screen_variant_asks_for_subject_body_and_each_sentence_once() -> None:
    screen = Screener(lambda _: findings())
    decide(screen, variant("Good boots. Warm socks. Good boots."))
    assert sorted(screen.asked) == sorted(
        ["Hello", "Good boots. Warm socks. Good boots.", "Good boots.", "Warm socks."]
    )


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("See [vile words](https://example.org/x) now.", "vile words"),
        ("See [here](https://example.org/vile) now.", "https://example.org/vile"),
        ('See <a href="https://example.org/vile">this</a>.', "https://example.org/vile"),
        ('See <a href="x">vile words</a>.', "vile words"),
        ("<img src='x.png' alt='vile words'>Hello there.", "vile words"),
        ("Go to www.example.org/vile today.", "www.example.org/vile"),
        ("<p>vi<b>le</b> words</p>", "vile words"),
        ("Boots last. [Source: vile words, Overview]", "Boots last."),
    ],
)
def test_screen_variant_asks_for_what_links_and_mark_up_carry(body: str, part: str) -> None:
    screen = Screener(lambda _: findings())
    decide(screen, variant(body))
    assert part in screen.asked
    assert body in screen.asked


@pytest.mark.parametrize("glue", [" ", ""])
def test_screen_text_cuts_a_sentence_without_end_into_readable_pieces(glue: str) -> None:
    text = glue.join(f"word{number}" for number in range(2000))
    screen = Screener(lambda _: findings())
    check_text(text, screen)
    pieces = [asked for asked in screen.asked if asked != text]
    assert all(len(piece) <= 1000 and len(piece.split()) <= 60 for piece in pieces)
    covered = set().union(*(range(at, at + len(p)) for p in pieces if (at := text.find(p)) >= 0))
    assert all(index in covered for index, letter in enumerate(text) if letter != " ")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_screen_text_any_text_is_asked_for_as_a_whole(text: str) -> None:
    screen = Screener(lambda _: findings())
    assert check_text(text, screen).status == "pass"
    assert screen.asked[0] == text
    assert len(set(screen.asked)) == len(screen.asked)


@pytest.mark.parametrize("place", ["subject", "body"])
def test_screen_variant_harm_in_subject_or_body_blocks(place: str) -> None:
    message = dataclasses.replace(variant(), **{place: "Fine words. A vile one. More."})
    decision = decide(finds("A vile one.", hate=6), message)
    assert decision.status == "block"
    assert decision.severities == {"hate": 6, "violence": 0, "self_harm": 0, "sexual": 0}
    assert decision.reasons[0].startswith("hate: severity 6 ")


def test_screen_variant_takes_the_worst_part_of_each_category() -> None:
    def answer(text: str) -> object:
        return {"Good boots.": findings(hate=2, sexual=4), "Hello": findings(violence=4)}.get(
            text, findings(hate=0)
        )

    decision = decide(Screener(answer))
    assert decision.severities == {"hate": 2, "violence": 4, "self_harm": 0, "sexual": 4}
    assert decision.status == "pass"


def test_screen_text_narrower_span_of_the_screener_is_kept() -> None:
    def answer(text: str) -> object:
        at = text.find("vile")
        if at < 0:
            return findings()
        worst = dataclasses.replace(findings(hate=6)[0], start=at, end=at + 4)
        return (worst, *findings()[1:])

    text = "Fine words. A vile one [Source: A, B]. More."
    harm = check_text(text, Screener(answer)).findings[0]
    assert "vile" in text[harm.start : harm.end]
    plain = "Fine words. A vile one. More."
    harm = check_text(plain, Screener(answer)).findings[0]
    assert plain[harm.start : harm.end] == "vile"


def test_screen_variant_screener_for_many_is_asked_once_for_all_parts() -> None:
    screen = ManyScreener(lambda _: (findings(), findings(), findings(hate=6), findings()))
    decision = decide(screen)
    assert screen.asked == ["Hello", "Good boots. Warm socks.", "Good boots.", "Warm socks."]
    assert (decision.status, decision.severities["hate"]) == ("block", 6)


NOT_JUDGED = tuple(
    Finding(check="safety", category=c, severity=None, score=None, reason="not_judged")
    for c in CATEGORIES
)


def test_screen_variant_with_a_part_that_is_not_judged_blocks_for_that_reason() -> None:
    decision = decide(Screener(lambda text: NOT_JUDGED if "socks" in text else findings()))
    assert (decision.status, decision.reasons) == ("block", ("not_judged",))
    assert set(decision.severities.values()) == {None}
    assert (decision.blocked_by, decision.is_unavailable) == (("not_judged",), False)
    record = audit_record(decision, run_id="r", segment=None, policy_sha256="p")
    assert (record.status, record.block_reason) == ("block", "not_judged")


def test_screen_text_that_is_not_judged_says_so_and_harm_beside_it_blocks() -> None:
    found = check_text("Guten Tag", Screener(lambda _: NOT_JUDGED))
    assert found.status == "not_judged"
    assert [(one.severity, one.score) for one in found.findings] == [(None, None)] * 4
    harm = Screener(lambda text: findings(hate=6) if text == "Vile." else NOT_JUDGED)
    assert check_text("Guten Tag. Vile.", harm).status == "block"


@pytest.mark.parametrize("reply", [NOT_JUDGED[:3], (*NOT_JUDGED[:3], findings()[3])])
def test_screen_variant_with_half_a_reply_not_judged_is_unavailable(reply: object) -> None:
    assert decide(Screener(lambda _: reply)).is_unavailable


@pytest.mark.parametrize("reply", [None, (), (findings(),), 7, (findings(),) * 5])
def test_screen_variant_many_with_a_reply_short_blocks(reply: object) -> None:
    decision = decide(ManyScreener(lambda _: reply))
    assert (decision.status, decision.is_unavailable) == ("block", True)


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize(
    ("severity", "status"), [(0, "pass"), (2, "pass"), (4, "pass"), (5, "block"), (6, "block")]
)
def test_screen_variant_blocks_above_medium_only(category: str, severity: int, status: str) -> None:
    assert decide(finds("boots", **{category: severity})).status == status


# ── The rule ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("category", CATEGORIES)
def test_screen_variant_threshold_of_its_own_holds_for_its_category_alone(category: str) -> None:
    policy = Safety.model_validate({"threshold": 4, "categories": {category: 0}})
    for other in CATEGORIES:
        found = check_text("boots", finds("boots", **{other: 2}), policy)
        assert found.status == ("block" if other == category else "pass")


def test_policy_sha256_changes_with_what_a_check_blocks_and_with_no_screener() -> None:
    def policy(screen: Screener, **thresholds: object) -> str:
        check = screener_check(screen, Safety.model_validate(thresholds))
        return policy_sha256([check, safety_check(lambda _: CheckResult())])

    four = policy(finds("boots"), threshold=4)
    assert policy(finds("socks"), threshold=2, categories=dict.fromkeys(CATEGORIES, 4)) == four
    assert policy(finds("boots"), threshold=2) != four


@pytest.mark.parametrize("changes", [{"name": "a"}, {"version": "2"}, {"settings": ["a"]}])
def test_policy_sha256_covers_name_version_and_settings_of_each_check_in_any_order(
    changes: dict[str, object],
) -> None:
    one = safety_check(lambda _: CheckResult())
    other = dataclasses.replace(one, name="other")
    changed = dataclasses.replace(one, **changes)  # type: ignore[arg-type]
    assert policy_sha256([one, other]) == policy_sha256([other, one])
    assert len({policy_sha256(c) for c in ([one, other], [one], [changed, other])}) == 3


# ── Fail closed ───────────────────────────────────────────────────────────────────────────────

BAD = dataclasses.replace
H = findings()
BAD_REPLIES: dict[str, object] = {
    "nothing": None,
    "empty": (),
    "missing": H[:3],
    "twice": (*H, H[0]),
    "case": (*H[:3], BAD(H[3], category="Sexual")),
    "severity above": (*H[:3], BAD(H[3], severity=8)),
    "severity none": (*H[:3], BAD(H[3], severity=None)),
    "severity text": (*H[:3], BAD(H[3], severity="0")),
    "severity float": (*H[:3], BAD(H[3], severity=0.0)),
    "severity nan": (*H[:3], BAD(H[3], severity=float("nan"))),
    "score nan": (*H[:3], BAD(H[3], score=float("nan"))),
    "score above": (*H[:3], BAD(H[3], score=1.01)),
    "score none": (*H[:3], BAD(H[3], score=None)),
    "dicts": tuple({"category": c, "severity": 0, "score": 0.0} for c in CATEGORIES),
    "text": "hate violence self_harm sexual",
    "unhashable": (*H[:3], BAD(H[3], category=["sexual"])),
}
ERRORS: dict[str, Exception] = {
    "unavailable": ProviderUnavailable("the service did not answer"),
    "refused": ProviderRefused("bad key"),
    "broken": ModelBroken("screener.json: sha256 differs"),
    "timeout": TimeoutError("boots, it said"),
    "unexpected": ZeroDivisionError("boots, it said"),
    "memory": MemoryError(),
}


@pytest.mark.parametrize("reply", BAD_REPLIES.values(), ids=BAD_REPLIES)
def test_screen_variant_unusable_reply_blocks(reply: object) -> None:
    # The other parts get a good reply: one bad one is enough.
    for bad in ("Hello", "Good boots. Warm socks.", "Warm socks."):
        decision = decide(Screener(lambda text, bad=bad: reply if text == bad else H))  # type: ignore[misc]
        assert decision.status == "block"
        assert decision.reasons[0].startswith("unavailable: ")
        assert decision.severities == dict.fromkeys(CATEGORIES)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_screen_variant_any_error_blocks_and_tells_no_foreign_text(error: Exception) -> None:
    decision = decide(fails(error))
    assert decision.status == "block"
    assert decision.reasons[0].startswith(f"unavailable: {type(error).__name__}")
    assert "boots" not in decision.reasons[0]
    assert decision.severities == dict.fromkeys(CATEGORIES)


def test_screen_variant_interruption_by_a_person_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        decide(fails(KeyboardInterrupt()))


def test_screen_variant_harm_seen_before_a_fault_is_told_too() -> None:
    def answer(text: str) -> object:
        if text == "Warm socks.":
            raise ProviderUnavailable("gone")
        return findings(hate=6, sexual=2)

    decision = decide(Screener(answer))
    assert decision.reasons[0] == "unavailable: ProviderUnavailable: gone"
    assert decision.reasons[1].startswith("hate: severity 6")
    assert decision.severities == {"hate": 6, "violence": None, "self_harm": None, "sexual": None}


def test_screen_variant_check_that_raises_blocks_whatever_the_others_say(tmp_path: Path) -> None:
    def find(message: Message) -> CheckResult:
        raise KeyError(message.body)

    with logging_to(Log(tmp_path)):
        decision = screen_variant(
            variant(),
            [screener_check(finds("none"), POLICY), safety_check(find)],
            decided_by="s",
            decided_at=AT,
            approval_required=True,
        )
    assert decision.status == "block"
    assert decision.is_unavailable
    assert decision.reasons == ("unavailable: brand: KeyError",)
    assert decision.severities == dict.fromkeys(CATEGORIES, 0)
    assert "Good boots" not in (tmp_path / "system.log").read_text()


def test_screen_variant_check_of_another_kind_blocks_with_its_reason_and_finding() -> None:
    seen: list[Message] = []
    finding = Finding(check="brand", category="brand", severity=6, score=1.0, where="subject")

    def find(message: Message) -> CheckResult:
        seen.append(message)
        return CheckResult(reasons=("brand: no (subject)",), findings=(finding,))

    checks = [
        screener_check(finds("boots", hate=6), POLICY),
        safety_check(find),
        safety_check(find, skips_refused=True),
    ]
    decision = screen_variant(variant(), checks, decided_by="s", decided_at=AT)
    assert decision.status == "block"
    assert decision.reasons[1:] == ("brand: no (subject)",)
    assert decision.blocked_by == ("hate", "brand")
    assert decision.findings == (finding,)
    assert decision.severities["hate"] == 6
    assert [(message.subject, message.body) for message in seen] == [
        ("Hello", "Good boots. Warm socks.")
    ]
    summary = summarise_safety([decision], POLICY)
    assert (summary.blocked_by_category["brand"], summary.unavailable) == (1, 0)


MEDIUM = findings(hate=4)
REPLY = st.sampled_from([H, MEDIUM, *BAD_REPLIES.values(), *ERRORS.values()])


@settings(deadline=None)
@given(script=st.lists(REPLY, min_size=4, max_size=4), approval=st.booleans())
def test_screen_variant_passes_only_if_every_part_had_a_clean_reply(
    script: list[object],
    approval: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    rest = iter(script)

    def answer(_: str) -> object:
        reply = next(rest)
        if isinstance(reply, Exception):
            raise reply
        return reply

    decision = decide(Screener(answer), approval_required=approval)
    clean = all(reply is H or reply is MEDIUM for reply in script)
    assert decision.status == (("waiting" if approval else "pass") if clean else "block")
    assert set(decision.severities) == set(CATEGORIES)
    assert decision.is_unavailable is not clean


# ── Approval, summary, audit, logs ────────────────────────────────────────────────────────────


def test_approve_lets_only_a_waiting_decision_pass_in_the_name_of_a_person() -> None:
    waiting = decide(finds("none"), approval_required=True)
    approved = approve(waiting, who=" Ana  Berg ", at="2026-03-02T00:00:00.000Z")
    assert (approved.status, approved.decided_by) == ("pass", "human:Ana Berg")
    assert approved.decided_at == "2026-03-02T00:00:00.000Z"
    assert approved.content_sha256 == waiting.content_sha256
    for decision in (decide(finds("none")), decide(finds("boots", hate=6))):
        with pytest.raises(InputError, match="'waiting'"):
            approve(decision, who="ana", at=AT)
    with pytest.raises(InputError, match="name"):
        approve(waiting, who=" ", at=AT)


def test_summarise_safety_counts_each_outcome() -> None:
    decisions = [
        decide(finds("none")),
        decide(finds("boots", hate=4)),
        decide(finds("boots", hate=6, sexual=6, violence=4)),
        decide(fails(TimeoutError())),
        decide(finds("none"), approval_required=True),
    ]
    summary = summarise_safety(decisions, POLICY)
    assert (summary.total, summary.passed, summary.blocked, summary.waiting) == (5, 2, 2, 1)
    assert summary.blocked_by_category == {"hate": 1, "violence": 0, "self_harm": 0, "sexual": 1}
    assert (summary.unavailable, summary.at_threshold) == (1, 1)
    assert summary.pass_rate == 0.6


def test_audit_record_of_each_decision_can_be_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "safety_audit.log")
    decisions = [decide(finds("none")), decide(fails(TimeoutError()))]
    records = [audit_record(d, run_id="r", segment=None, policy_sha256="0") for d in decisions]
    assert log.append(records, run_id="r").written == 2
    passed, blocked = log.records("r")
    assert (passed.segment, passed.status, passed.block_reason) == ("control", "pass", "")
    assert passed.policy_sha256 == "0"
    assert blocked.severities == dict.fromkeys(CATEGORIES)
    assert blocked.block_reason == "unavailable: TimeoutError"


def test_screen_variant_logs_outcome_and_no_text(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)):
        decide(finds("none"))
        decide(finds("boots", hate=6))
        decide(fails(TimeoutError("boots")))
        decide(Screener(lambda _: ()))
    text = (tmp_path / "system.log").read_text()
    actions = [json.loads(line)["action"] for line in text.splitlines()]
    failed = ["screening_failed", "variant_screened", "variant_blocked"]
    assert actions == ["variant_screened", "variant_screened", "variant_blocked", *failed, *failed]
    assert "boots" not in text
