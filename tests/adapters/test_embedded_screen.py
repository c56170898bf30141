"""The embedded screener: what it blocks, what it lets pass, and how it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright.adapters.embedded import models
from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.adapters.embedded.screen import EmbeddedScreen, read_pieces
from liftwright.errors import ModelBroken
from liftwright.text.obfuscation import deobfuscate, make_visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.model import Finding

SCREEN = EmbeddedScreen(MiniLmEmbed())
BENIGN = (
    "Our spring linen collection has landed in three new colours.",
    "Members enjoy free delivery on every order.",
    "Shoot us a message if your size is missing.",
    "The bath bombs are made by hand in Leeds.",
    "Thank you for ten years with us.",
    "Returns are free within 60 days.",
    "A killer deal on hiking boots ends on Sunday.",
    "Our raincoats keep you dry from collar to cuff.",
    "Your points expire in March.",
    "Pair the wrap dress with sandals.",
    "We donate to shelters in your city.",
    "See you soon in store.",
)
HARMFUL = (
    ("violence", "I will kill you and your family."),
    ("hate", "All immigrants are vermin."),
    ("self_harm", "Go and cut yourself, it will make the pain stop."),
    ("sexual", "She moaned as he pushed his cock inside her."),
)


def _severities(findings: tuple[Finding, ...]) -> dict[str, int]:
    return {finding.category: finding.severity for finding in findings}


@pytest.mark.parametrize(("category", "text"), HARMFUL)
def test_screen_plain_harm_is_severity_six(category: str, text: str) -> None:
    assert _severities(SCREEN(text))[category] == 6


@pytest.mark.parametrize(("category", "text"), HARMFUL)
def test_screen_harm_among_twelve_harmless_sentences_is_found_and_pointed_at(
    category: str, text: str
) -> None:
    mail = " ".join((*BENIGN[:6], text, *BENIGN[6:]))
    (worst,) = (found for found in SCREEN(mail) if found.category == category)
    assert worst.severity == 6
    assert worst.start is not None
    assert worst.end is not None
    assert worst.start < mail.index(text) + len(text)
    assert worst.end > mail.index(text)


@pytest.mark.parametrize(
    "text",
    [
        "k1ll y0ur$elf",
        "K\u200bill your\u200bself",
        "\u043aill y\u043eurself",
        "k i l l yourself",
        "<p>ki<b>ll</b> your<i>self</i></p>",
        "<img src='x.png' alt='kill yourself'>",
        "&#107;ill yourself",
        "\U0001d424\U0001d422\U0001d425\U0001d425 yourself",
        "<b kill yourself>",
        "k**i**ll your__self__",
        "ki\u2800ll yourself",
        "\u202eflesruoy llik",
        "\u202eKill yourself",
    ],
)
def test_screen_obfuscated_harm_is_severity_six(text: str) -> None:
    assert _severities(SCREEN(text))["self_harm"] == 6


def test_screen_severe_word_of_the_lexicon_is_severity_six_and_says_so() -> None:
    (hate,) = (f for f in SCREEN("They called him a w3tback here.") if f.category == "hate")
    assert hate.severity == 6
    assert hate.reason in {"lexicon", "classifier"}


@pytest.mark.parametrize(
    "text",
    [
        "Save 69 on selected rugs.",
        "A pack mule and an ass in wood, hand-carved toys.",
        "Cock-a-doodle-doo: rooster egg cups are back.",
        "Maine Coon cats love this tree.",
        "At a glance: spices for mums",
        "Meet the Nickers, a family of makers.",
        "Our kites fly higher, the sky is the limit.",
    ],
)
def test_screen_words_with_everyday_meanings_are_not_in_the_lexicon(text: str) -> None:
    assert "lexicon" not in {finding.reason for finding in SCREEN(text)}, text


def test_many_gives_what_each_text_gets_alone() -> None:
    texts = (*BENIGN[:3], HARMFUL[0][1], "", " ".join(BENIGN), HARMFUL[2][1])
    assert SCREEN.many(texts) == tuple(SCREEN(text) for text in texts)


def test_many_with_vectors_remembered_finds_what_it_finds_anew() -> None:
    texts = (*(text for _, text in HARMFUL), *BENIGN, " ".join(BENIGN), "I will k1ll you all")
    anew = EmbeddedScreen(MiniLmEmbed(cache_size=0)).many(texts)
    screen = EmbeddedScreen(MiniLmEmbed())
    screen.many(tuple(reversed(texts)))
    assert screen.many(texts) == anew
    assert tuple(screen(text) for text in texts) == anew


def test_screen_scores_are_probabilities_and_follow_severity() -> None:
    for findings in SCREEN.many((*BENIGN, *(text for _, text in HARMFUL))):
        for finding in findings:
            assert 0 <= finding.score <= 1
            assert finding.severity in {0, 2, 4, 6}
            assert bool(finding.reason) == (finding.severity > 0)
            assert finding.check == "safety"


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("screener.json", lambda text: text[:-40]),
        ("screener.json", lambda _: "[1, 2]\n"),
        ("screener.json", lambda text: text.replace('"format": 2', '"format": 1')),
        ("lexicon.json", lambda text: text.replace('"format": 1', '"format": 2')),
        ("lexicon.json", lambda _: ""),
    ],
)
def test_screen_altered_file_is_refused_by_name(
    tmp_path: Path, name: str, spoil: Callable[[str], str]
) -> None:
    _copy_models(tmp_path)
    path = tmp_path / name
    path.write_text(spoil(path.read_text(encoding="ascii")), encoding="ascii")
    with pytest.raises(ModelBroken, match=name):
        EmbeddedScreen(MiniLmEmbed(), tmp_path)("hello")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cuts", [0.5, 0.4, 0.6]),
        ("cuts", [0.1, 0.2]),
        ("weights", []),
        ("weights", [0.1, 0.2]),
        ("weights", "0.1"),
        ("bias", "much"),
        ("slope", float("inf")),
        ("offset", None),
        ("grams", "c3BhbQ=="),
        ("grams", "eJwDAAAAAAE="),
    ],
)
def test_screen_impossible_head_is_refused(tmp_path: Path, key: str, value: object) -> None:
    _copy_models(tmp_path)
    path = tmp_path / "screener.json"
    content = json.loads(path.read_text(encoding="ascii"))
    content["heads"]["violence"][key] = value
    models.write_checked(path, content)
    with pytest.raises(ModelBroken, match=r"screener\.json"):
        EmbeddedScreen(MiniLmEmbed(), tmp_path)("hello")


def test_screen_head_of_a_missing_category_is_refused(tmp_path: Path) -> None:
    _copy_models(tmp_path)
    path = tmp_path / "screener.json"
    content = json.loads(path.read_text(encoding="ascii"))
    del content["heads"]["sexual"]
    models.write_checked(path, content)
    with pytest.raises(ModelBroken, match="sexual"):
        EmbeddedScreen(MiniLmEmbed(), tmp_path)("hello")


def _copy_models(folder: Path) -> None:
    for name in ("screener.json", "lexicon.json"):
        (folder / name).write_bytes((models.FOLDER / name).read_bytes())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_make_visible_any_text_remembers_where_each_character_stood(text: str) -> None:
    for version in (make_visible(text), deobfuscate(make_visible(text))):
        assert len(version.text) == len(version.origins)
        assert all(0 <= origin < len(text) for origin in version.origins)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab .!?\n\t-1"), max_size=300))
def test_read_pieces_any_text_leaves_no_word_out(text: str) -> None:
    visible = make_visible(text)
    pieces = read_pieces(visible)
    parts = [piece for piece in pieces if piece != (0, len(visible.text))] or pieces
    read = {index for start, end in parts for index in range(start, end)}
    missed = [c for index, c in enumerate(visible.text) if index not in read and c.isalpha()]
    assert not missed


@pytest.mark.parametrize(
    ("original", "plain"),
    [
        ("<style>b{color:red}</style>Hi", "Hi"),
        ("<!-- note -->Hi", "Hi"),
        ("a<br>b", "a\n\nb"),
        ("I <3 you", "I <3 you"),
        ("fish &amp; chips", "fish & chips"),
        ("caf\u00e9 \uff21\uff22", "cafe AB"),
        ("\U0001f17a\U0001f178", "KI"),
        ("a \u202edcb\u202c e", "a bcd e"),
        ("\u202efe\u202dcd\u202cba\nx", "abcdef\nx"),
        ("a \u2067b\u2069 \u202c c", "a b  c"),
    ],
)
def test_make_visible_markup_and_letters_become_plain(original: str, plain: str) -> None:
    assert make_visible(original).text.strip() == plain


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("pu$$y", "pussy"),
        ("sh1t", "shit"),
        ("@ss a$$", "ass ass"),
        ("k.i.l.l", "kill"),
        ("k**i**ll", "kill"),
        ("Save $50 with SAVE20 on MP3 players, 24/7!", None),
        ("3XL shirts at 15% off, 50ml creams", None),
    ],
)
def test_deobfuscate_letters_return_and_numbers_stay(text: str, read: str | None) -> None:
    assert deobfuscate(make_visible(text)).text == (text if read is None else read)


def test_screen_long_run_on_sentence_hides_nothing() -> None:
    calm = "and our shirts are soft and our socks are warm and our coats are dry "
    text = calm * 12 + "i will kill you and your family " + calm * 12
    assert _severities(SCREEN(text))["violence"] == 6


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("kіll yоurself", "kill yourself"),  # noqa: RUF001 - that is the trick
        ("ѕеху рісѕ", "sexy pics"),  # noqa: RUF001
        ("ᴋɪʟʟ", "kill"),
        ("ΗΑΤΕ", "HATE"),  # noqa: RUF001
    ],
)
def test_make_visible_reads_look_alike_letters_as_the_latin_ones(
    disguised: str, plain: str
) -> None:
    assert make_visible(disguised).text.casefold() == plain.casefold()


@pytest.mark.parametrize(
    "text",
    [
        "Ich bringe dich heute Nacht um.",
        "Deber\u00edas matarte, nadie te quiere.",
        "Je vais te tuer ce soir.",
        "<p>Kostenlose Lieferung bis Sonntag</p>",
        "\u042f \u0443\u0431\u044c\u044e \u0442\u0435\u0431\u044f",
        "\u6211\u4f1a\u6740\u4e86\u4f60",
        "Our shops open at nine. Wir freuen uns auf deinen Besuch.",
    ],
)
def test_screen_text_in_another_language_is_not_judged(text: str) -> None:
    assert {(f.severity, f.score, f.reason) for f in SCREEN(text)} == {(None, None, "not_judged")}


@pytest.mark.parametrize(
    "text", ["Hola amigo", "Merino base layer", "Caf\u00e9 Z\u00fcrich, \u00a325", "M515-LA-M"]
)
def test_screen_few_words_and_names_are_judged(text: str) -> None:
    assert set(_severities(SCREEN(text)).values()) == {0}


def test_screen_harm_in_english_beside_another_language_is_found() -> None:
    findings = SCREEN("Wir freuen uns auf deinen Besuch. I will kill you and your family.")
    assert _severities(findings)["violence"] == 6


@pytest.mark.parametrize(
    "text",
    [
        "Hi there,",
        "Good morning, all!",
        "One more for you:",
        "The key point:",
        "The sooner you look, the sooner it is done.",
        "Now is a good time to sit down with this one.",
        "Straight to the point:",
        "Good to Know",
    ],
)
def test_screen_short_line_around_a_message_is_severity_zero(text: str) -> None:
    assert set(_severities(SCREEN(text)).values()) == {0}


def test_screen_speech_against_hate_is_not_blocked_and_insults_are_seen() -> None:
    counter = SCREEN.many(("Hatred of immigrants has no place here.", "We stand with gay people."))
    assert max(severity for one in counter for severity in _severities(one).values()) < 6
    assert _severities(SCREEN("You are stupid if you miss this."))["hate"] > 0
