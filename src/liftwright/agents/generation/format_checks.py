"""Checks on a draft's form, which need only its text and the channel's limits."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from liftwright import text as texts
from liftwright.text.lexicon import merge_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from liftwright.model import Limits

_OBJECT = re.compile(r'\{\s*["}]')
# A string is matched first, so that a comma within one is kept.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)

_SUBJECT_PATTERNS = (
    (re.compile(r"[*_`~]{2}|[*`]|^\s*#|\]\(|<[a-zA-Z/!][^>]*>"), "The subject contains markup."),
    (re.compile(r"^\s*\W*subject\b\W*:", re.IGNORECASE), 'The subject begins with "Subject:".'),
    (
        re.compile(r"^\s*(?:re|fwd?|aw|wg)\s*:", re.IGNORECASE),
        "The subject looks like a reply or a forwarded message.",
    ),
    (re.compile(r"[\r\n\x00-\x1f\x7f]"), "The subject contains a line break or control character."),
    (re.compile(r"\[\s*source\b", re.IGNORECASE), "The subject contains a citation."),
    (re.compile(r"!{2,}|\?{2,}"), "The subject contains repeated punctuation."),
)
_BODY_PATTERNS = (
    (re.compile(r"\*\*|__(?=\S)|(?<=\S)__|~~"), "The body contains Markdown emphasis."),
    (
        re.compile(r"(?<![\w*])\*(?=[^\s*|])[^*\n|]+(?<=\S)\*(?![\w*])"),
        "The body contains Markdown emphasis.",
    ),
    (re.compile(r"^\s{0,3}#{1,6}\s", re.MULTILINE), "The body contains a Markdown heading."),
    (re.compile(r"^\s*[*+]\s+\S", re.MULTILINE), "The body contains a Markdown list."),
    (
        re.compile(r"^\s*(?:-{3,}|={3,}|_{3,})\s*$", re.MULTILINE),
        "The body contains a horizontal rule.",
    ),
    (re.compile(r"`"), "The body contains code formatting."),
    (re.compile(r"\]\("), "The body contains a Markdown link."),
    (re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE), "The body contains a Markdown table."),
    (
        re.compile(
            r"</?(?:a|b|i|u|p|br|hr|em|strong|h[1-6]|div|span|ul|ol|li|img|table|t[drh]|html|body"
            r"|head|style|script|font|center)\b[^>]*>|<!--",
            re.IGNORECASE,
        ),
        "The body contains HTML.",
    ),
    (
        re.compile(r"&(?:nbsp|amp|lt|gt|quot|#\d+|#x[0-9a-f]+);", re.IGNORECASE),
        "The body contains HTML.",
    ),
    (
        re.compile(r"^\s*\W*subject\b\W*:", re.IGNORECASE | re.MULTILINE),
        'The body contains a line that begins with "Subject:".',
    ),
    (re.compile(r"[\x00-\x08\x0b-\x1f\x7f]"), "The body contains a control character."),
)

_PLACEHOLDERS = (
    re.compile(r"\{\{?[^{}\n]{0,60}\}?\}"),
    re.compile(r"\$\{?[A-Za-z_]\w*\}?\$?"),
    re.compile(r"%%?[A-Za-z_][\w.]*%%?"),
    re.compile(r"\*\|[^|\n]{1,60}\|\*"),
    re.compile(r"\*{3,}|_{3,}"),
    re.compile(r"\b(?:X{3,}|TBD|TBA|TODO|lorem ipsum)\b"),
    re.compile(r"\binsert (?:your |the )?\w+ here\b", re.IGNORECASE),
    re.compile(
        r"<\s*(?:\w+[ _-])?(?:name|first|last|customer|company|brand|link|url|date|product|code"
        r"|price|email|address|insert|your)\b[^<>\n]{0,40}>",
        re.IGNORECASE,
    ),
    re.compile(
        r"\(\s*(?:your|customer'?s?|insert|brand)\s+(?:\w+\s+)?(?:name|link|date|here|title)\s*\)",
        re.IGNORECASE,
    ),
)
_BRACKETS = re.compile(r"\[[^\[\]\n]{0,120}\]")
_MAX_QUOTED = 40


def read_reply(reply: str) -> tuple[str, str] | str:
    """The subject and body of a writer's reply, or the reason why they are missing.

    A reply is a JSON object with the texts `subject` and `body`. Trailing commas, a code fence and
    other text around the object are accepted; of several such objects the last one counts, as
    models sketch before they answer.
    """
    objects = list(_objects(reply))
    if not objects:
        return "The reply is not a JSON object."
    for found in reversed(objects):
        subject, body = found.get("subject"), found.get("body")
        if isinstance(subject, str) and isinstance(body, str):
            return subject.strip(), body.replace("\r\n", "\n").strip()
    return 'The reply has no text in "subject" or "body".'


def check_form(
    subject: str, body: str, limits: Limits, titles: Iterable[str] = ()
) -> Iterator[str]:
    """Reasons to reject the form: emptiness, length, markup, placeholders, repetition.

    Args:
        subject: the subject line.
        body: the body.
        limits: the limits of the channel.
        titles: the titles of the passages, whose brackets are no placeholders.
    """
    titles = tuple(titles)
    yield from check_subject(subject, limits, titles)
    if not body:
        yield "The body is empty."
        return
    count = len(body.split())
    if not limits.body_min_words <= count <= limits.body_max_words:
        yield (
            f"The body has {count} words; "
            f"{limits.body_min_words} to {limits.body_max_words} are allowed."
        )
    yield from dict.fromkeys(reason for pattern, reason in _BODY_PATTERNS if pattern.search(body))
    yield from _placeholders("body", texts.without_citations(body), titles)
    yield from _repetitions(body)


def check_subject(subject: str, limits: Limits, titles: Iterable[str] = ()) -> Iterator[str]:
    """Reasons to reject a subject: emptiness, length, markup, capitals, placeholders."""
    if not subject:
        yield "The subject is empty."
        return
    if len(subject) > limits.subject_max_characters:
        yield (
            f"The subject has {len(subject)} characters; "
            f"at most {limits.subject_max_characters} are allowed."
        )
    yield from (reason for pattern, reason in _SUBJECT_PATTERNS if pattern.search(subject))
    if _is_all_caps(subject):
        yield "The subject is all in capitals."
    yield from _placeholders("subject", subject, titles)


def _objects(text: str) -> Iterator[dict[str, object]]:
    """The JSON objects in a text, in order; nested ones follow those that contain them."""
    decoder = json.JSONDecoder(strict=False)
    while start := _OBJECT.search(text):
        text = text[start.start() :]
        parsed, end = None, 1
        for candidate in (text, _TRAILING_COMMA.sub(r"\1", text)):
            try:
                parsed, end = decoder.raw_decode(candidate)
            except (ValueError, RecursionError):
                continue
            text = candidate
            break
        if isinstance(parsed, dict):
            yield parsed
            if not {"subject", "body"} <= parsed.keys():
                end = 1
        text = text[end:]


def _is_all_caps(subject: str) -> bool:
    words = [str(word) for word in re.findall(r"[^\W\d_]{2,}", subject)]
    capitals = [word for word in words if word.isupper()]
    return len(capitals) > 1 and len(capitals) * 2 > len(words)


def _placeholders(where: str, text: str, titles: Iterable[str]) -> Iterator[str]:
    for title in sorted(titles, key=len, reverse=True):
        text = text.replace(title, "")
    found = [*merge_tags(text)]
    found += [match[0] for pattern in _PLACEHOLDERS for match in pattern.finditer(text)]
    found += [
        bracket
        for bracket in _BRACKETS.findall(text)
        if not re.match(r"\[\s*source\s*:", bracket, re.IGNORECASE)
    ]
    for placeholder in dict.fromkeys(found):
        yield f'The {where} contains the placeholder "{placeholder[:_MAX_QUOTED]}".'


def _repetitions(body: str) -> Iterator[str]:
    seen: set[str] = set()
    for sentence in texts.sentences(texts.without_citations(body)):
        key = texts.normalise(sentence.text).casefold()
        if len(key.split()) > 2 and key in seen:  # noqa: PLR2004 - "Thank you." may recur
            yield "The body contains the same sentence twice."
            return
        seen.add(key)
