from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.agents.safety.prohibited_phrases import prohibited_phrases_check
from liftwright.model.checks import CheckResult, Message, policy_sha256


def check(body: str, *phrases: str, subject: str | None = "Hello") -> CheckResult:
    wanted = prohibited_phrases_check(dict.fromkeys(phrases, "because"))
    return wanted.find(Message(subject=subject, body=body))


@pytest.mark.parametrize(
    ("phrase", "body", "piece"),
    [
        ("risk free", "It is risk free.", "risk free"),
        ("Risk Free", "It is RISK FREE.", "RISK FREE"),
        ("risk free", "It is risk\n  free.", "risk\n  free"),
        ("risk free", "It is Risk\u2011Free.", "Risk\u2011Free"),
        ("risk free", "It is risk-\nfree.", "risk-\nfree"),
        ("risk-free", "It is risk\u00a0free.", "risk\u00a0free"),
        ("risk free", "It is r\u200bisk fr\u00adee.", "r\u200bisk fr\u00adee"),
        ("risk free", "It is \uff32\uff49\uff53\uff4b free.", "\uff32\uff49\uff53\uff4b free"),
        ("you'll win", "And you\u2019ll win.", "you\u2019ll win"),
        ('"best" lamp', "The \u201cbest\u201d lamp.", "\u201cbest\u201d lamp"),
        ("stra\u00dfe", "Die STRASSE.", "STRASSE"),
        ("guarantee", "The guarantee's terms", "guarantee"),
        ("100%", "It is 100% wool.", "100%"),
        ("free", "(free) and _free_", "free"),
        ("\u7121\u6599", "\u9001\u6599\u7121\u6599\u3067\u3059", "\u7121\u6599"),
    ],
)
def test_prohibited_phrases_check_finds_whole_words_in_any_spelling(
    phrase: str, body: str, piece: str
) -> None:
    found = check(body, phrase)
    (finding,) = found.findings
    assert found.status == "block"
    assert (finding.check, finding.category) == ("prohibited_phrase", "prohibited_phrase")
    assert (finding.severity, finding.score, finding.where) == (6, 1.0, "body")
    assert body[finding.start : finding.end] == piece


@pytest.mark.parametrize(
    ("phrase", "body"),
    [
        ("free", "Freedom is freeing, and carefree."),
        ("risk free", "There is no risk \u2013 free delivery."),
        ("risk free", "There is no risk. Free delivery."),
        ("risk free", "The risks freely taken"),
        ("100%", "It is 1100% of it."),
        ("caf\u00e9", "A cafe and a cafeteria"),
        ("free", "fre\u00e9"),
        ("\u0930\u093e\u092e", "\u0930\u093e\u092e\u093e"),
        ("free", ""),
    ],
)
def test_prohibited_phrases_check_passes_other_words(phrase: str, body: str) -> None:
    assert check(body, phrase) == CheckResult()


@pytest.mark.parametrize(
    "body",
    [
        "It is risk [Source: Returns, Overview] free.",
        "<p>It is ri<b>sk</b> free.</p>",
        "It is risk&nbsp;free.",
        '<img alt="risk free" src="a.png"> Look.',
    ],
)
def test_prohibited_phrases_check_finds_what_a_reader_reads_past_citations_and_mark_up(
    body: str,
) -> None:
    assert check(body, "risk free").status == "block"


def test_prohibited_phrases_check_reads_the_subject_and_a_text_that_is_no_message() -> None:
    subject = "Now risk free"
    (finding,) = check("Hello.", "risk free", subject=subject).findings
    assert (finding.where, subject[finding.start : finding.end]) == ("subject", "risk free")
    (finding,) = check("Now risk free.", "risk free", subject=None).findings
    assert finding.where == "text"


def test_prohibited_phrases_check_gives_one_finding_a_phrase_with_its_reason() -> None:
    wanted = prohibited_phrases_check({"risk free": "Nothing is.", "win": "", "lamp": "No."})
    found = wanted.find(Message(subject="Win", body="Win a risk free day. Win a risk free year."))
    assert found.reasons == (
        'prohibited_phrase: "risk free": Nothing is. (body)',
        'prohibited_phrase: "win" (subject)',
    )
    assert [one.reason for one in found.findings] == ['"risk free": Nothing is.', '"win"']


def test_prohibited_phrases_check_in_any_order_is_the_same_policy_and_another_is_not() -> None:
    def policy(phrases: dict[str, str]) -> str:
        return policy_sha256([prohibited_phrases_check(phrases)])

    one = policy({"risk free": "", "win": ""})
    assert policy({"win": "", "Risk-Free": ""}) == one
    assert len({one, policy({}), policy({"win": ""}), policy({"risk free": "No.", "win": ""})}) == 4


_WORD = st.text("abcdefg", min_size=1, max_size=6)


@given(st.lists(_WORD, min_size=1, max_size=12), st.sampled_from([" ", "\n", "-", "\u2011\n"]))
def test_prohibited_phrases_check_finds_each_run_of_words_and_no_other(
    words: list[str], glue: str
) -> None:
    body = glue.join(words)
    middle = len(words) // 2
    assert check(body, " ".join(words[middle:])).status == "block"
    assert check(body, f"{words[middle]}h").status == "pass"
