"""The grounded composer: a deterministic writer that quotes approved sentences, without a model.

It quotes sentences of the prompt's passages verbatim, cites each passage after its sentences, and
puts them into the frames of a tone. Frames make no claims. The choice of sentences, frame lines and
citations determines the length. If the passages are too short, so is the draft, and the checks
refuse it; nothing is invented.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright import text as texts
from liftwright.adapters.embedded.composer_sentences import is_refused, pieces_refused, quotes
from liftwright.errors import ProviderRefused
from liftwright.model import Completion, Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.adapters.embedded.composer_sentences import Quote
    from liftwright.config import Frames
    from liftwright.model import Limits, Passage, Prompt

_MODEL = "grounded-composer"
_CODE_VERSION = "1"
_MAX_QUOTES = 8
_MIN_QUOTES_PER_PASSAGE = 4
_FURTHER_PASSAGE = 0.8
_FURTHER_CITATION = 1.5
_OTHER_FRAMES = 0.1
# The section title of a text without headings, which is useless to readers.
_UNTITLED = "overview"
_POINTS_BACK = re.compile(r"\b(?:above|these|those)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A paragraph of the body: sentences of one passage with their citations."""

    text: str
    words: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """Blocks in the order of the body, with their words and score."""

    blocks: tuple[_Block, ...] = ()
    lead: int | None = None
    words: int = 0
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    """The frame lines before and after the quotes; `cost` is subtracted from the score."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    words: int
    cost: float


class EmbeddedComposer:
    """Writes a message from the passages' sentences (port Complete).

    Equal prompts give equal drafts. A prompt with feedback gives another draft, without any text
    that a reason quotes, and with a preference for other sentences and frame lines.

    Args:
        frames: the lines of each tone, with the placeholders `{topic}` and `{brand}`.
    """

    metered = False

    def __init__(self, frames: Mapping[str, Frames]) -> None:
        self._frames = dict(frames)
        parts = {tone: lines.model_dump() for tone, lines in self._frames.items()}
        self.identity = Identity(
            provider="embedded",
            model=_MODEL,
            version=fingerprint(_CODE_VERSION, list(parts), parts)[:12],
        )

    def __call__(self, request: Prompt, /) -> Completion:
        """A draft as JSON with `subject` and `body`.

        Raises:
            ProviderRefused: there are no frames for the tone.
        """
        if request.tone not in self._frames:
            raise ProviderRefused(
                f"the composer has no frames for the tone {request.tone!r}; "
                f"it has: {', '.join(self._frames)}"
            )
        frames = _without_refused(self._frames[request.tone], request)
        turn = list(self._frames).index(request.tone)
        start = _start(request)
        available = quotes(request, turn, len(self._frames))
        order = _passage_order(available, turn + len(request.feedback))
        bridges = _bridges(frames, start)
        table = _choices(available, order, request, bridges)
        choice, outline = _fit(table, _outlines(frames, start, request.brand), request.limits)
        body = "\n\n".join(
            (*outline.before, *(block.text for block in choice.blocks), *outline.after)
        )
        lead = None if choice.lead is None else request.passages[choice.lead]
        subject = _subject(frames.subjects, start, lead, request)
        reply = json.dumps({"subject": subject, "body": body}, ensure_ascii=False)
        return Completion(text=reply, model=_MODEL)


def _start(prompt: Prompt) -> int:
    """The offset into each list of frames, which differs between segments."""
    return int(fingerprint(prompt.segment.label, prompt.tone)[:8], 16) + len(prompt.feedback)


def _without_refused(frames: Frames, prompt: Prompt) -> Frames:
    """The frames without the lines that a reason quotes; a list never becomes empty."""
    refused = pieces_refused(prompt.feedback)
    if not refused:
        return frames
    allowed = {
        name: tuple(line for line in lines if not is_refused(_fill(line, prompt.brand), refused))
        for name, lines in frames.model_dump().items()
    }
    return frames.model_copy(update={name: lines for name, lines in allowed.items() if lines})


def _rotated(lines: Sequence[str], start: int) -> list[str]:
    first = start % len(lines)
    return [*lines[first:], *lines[:first]]


def _fill(line: str, brand: str, topic: str = "") -> str:
    return line.replace("{brand}", brand).replace("{topic}", topic)


def _passage_order(available: Sequence[Quote], turn: int) -> tuple[int, ...]:
    """Passages in the order of the body; each tone starts with another one."""
    order = tuple(dict.fromkeys(quote.passage for quote in available))
    first = turn % len(order) if order else 0
    return order[first:] + order[:first]


def _bridges(frames: Frames, start: int) -> tuple[str, ...]:
    """One lead-in per further passage, from successive parts of the list."""
    lines = frames.bridges
    parts = min(len(lines), 5)
    edges = [round(part * len(lines) / parts) for part in range(parts + 1)]
    return tuple(
        lines[low + (start // (part + 1)) % (high - low)]
        for part, (low, high) in enumerate(itertools.pairwise(edges))
    )


def _choices(
    available: Sequence[Quote], order: Sequence[int], prompt: Prompt, bridges: Sequence[str]
) -> dict[int, _Choice]:
    """The best choice of sentences for each number of words."""
    best: dict[tuple[int, int], _Choice] = {(0, 0): _Choice()}
    # The fewer passages there are, the more sentences each may contribute.
    most = max(_MAX_QUOTES // max(len(order), 1), _MIN_QUOTES_PER_PASSAGE)
    for passage in order:
        sentences = [quote for quote in available if quote.passage == passage]
        options = list(_blocks(sentences, prompt.passages[passage], most))
        for (count, words), choice in list(best.items()):
            for option in options:
                block = _bridged(option, bridges, count, prompt.brand)
                total = words + block.words
                if total > prompt.limits.body_max_words:
                    continue
                score = choice.score + block.score + (_FURTHER_PASSAGE if count == 1 else 0.0)
                key = (count + 1, total)
                if key not in best or score > best[key].score:
                    best[key] = _Choice(
                        blocks=(*choice.blocks, block),
                        lead=passage if choice.lead is None else choice.lead,
                        words=total,
                        score=score,
                    )
    table: dict[int, _Choice] = {}
    for (_, words), choice in best.items():
        if words not in table or choice.score > table[words].score:
            table[words] = choice
    return table


def _bridged(block: _Block, bridges: Sequence[str], count: int, brand: str) -> _Block:
    if count == 0:
        return block
    bridge = _fill(bridges[min(count, len(bridges) - 1)], brand)
    return _Block(
        text=f"{bridge} {block.text}",
        words=block.words + len(bridge.split()),
        score=block.score,
    )


def _blocks(quotable: Sequence[Quote], passage: Passage, most: int) -> Iterator[_Block]:
    """The possible paragraphs from a passage: each set of sentences, cited once or each."""
    citation = texts.cite(passage.title, passage.section)
    length = len(citation.split())
    ranked = sorted(quotable, key=lambda quote: (-quote.score, quote.position))[: most + 2]
    candidates = sorted(ranked, key=lambda quote: quote.position)
    for size in range(1, min(len(candidates), most) + 1):
        for chosen in itertools.combinations(candidates, size):
            if not _is_self_contained(chosen) or _splits_an_offer(chosen, quotable):
                continue
            words = sum(quote.words for quote in chosen)
            score = sum(quote.score for quote in chosen)
            yield _Block(
                text=" ".join((*(quote.text for quote in chosen), citation)),
                words=words + length,
                score=score,
            )
            if size > 1:
                yield _Block(
                    text=" ".join(f"{quote.text} {citation}" for quote in chosen),
                    words=words + size * length,
                    score=score - _FURTHER_CITATION * (size - 1),
                )


def _is_self_contained(chosen: Sequence[Quote]) -> bool:
    before = (None, *chosen)
    return all(
        not quote.needs_previous
        or (previous is not None and previous.position == quote.position - 1)
        for previous, quote in zip(before, chosen, strict=False)
    )


def _splits_an_offer(chosen: Sequence[Quote], quotable: Sequence[Quote]) -> bool:
    """Whether a chosen sentence names a code that a left-out sentence also names."""
    named = frozenset[str]().union(*(quote.codes for quote in chosen))
    return any(quote.codes & named and quote not in chosen for quote in quotable)


def _outlines(frames: Frames, start: int, brand: str) -> list[_Outline]:
    """The preferred frame lines for each number of words."""
    greetings = _counted(_rotated(frames.greetings, start), brand)
    openings = _counted(_rotated(frames.openings, start // 2), brand)
    actions = _counted(_rotated(frames.calls_to_action, start // 3), brand)
    closings = _counted(_rotated(frames.closings, start // 5), brand)
    outlines: dict[int, _Outline] = {}
    for further in (0, 1, 2, 3):
        for greeting, opening, action, closing in itertools.product(
            _of_each_length(greetings),
            _of_each_length(_in_a_row(openings, 2 if further > 1 else 1)),
            _of_each_length(actions),
            _of_each_length(_in_a_row(closings, 2 if further > 0 else 1)),
        ):
            # The last resort for a short message: another call to action before the quotes.
            early = _early(actions, action) if further > 2 else []  # noqa: PLR2004
            words = sum(count for _, count in (greeting, opening, *early, action, closing))
            if words not in outlines:
                outlines[words] = _Outline(
                    before=(greeting[0], opening[0], *(line for line, _ in early)),
                    after=(action[0], closing[0]),
                    words=words,
                    cost=further + (_OTHER_FRAMES if outlines else 0.0),
                )
    return list(outlines.values())


def _early(actions: Sequence[tuple[str, int]], last: tuple[str, int]) -> list[tuple[str, int]]:
    """A call to action for before the quotes: another one, without a reference to them."""
    others = [action for action in actions if action != last and not _POINTS_BACK.search(action[0])]
    return others[-1:]


def _counted(lines: Sequence[str], brand: str) -> list[tuple[str, int]]:
    filled = (_fill(line, brand) for line in lines)
    return [(line, len(line.split())) for line in filled]


def _of_each_length(lines: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The first line with each number of words, as others of the same length fit no better."""
    first: dict[int, str] = {}
    for line, count in lines:
        first.setdefault(count, line)
    return [(line, count) for count, line in first.items()]


def _in_a_row(lines: Sequence[tuple[str, int]], number: int) -> list[tuple[str, int]]:
    """Each sequence of `number` lines joined into one, or of all lines if there are fewer."""
    length = min(number, len(lines))
    runs = ([*lines, *lines][first : first + length] for first in range(len(lines)))
    return [(" ".join(line for line, _ in run), sum(count for _, count in run)) for run in runs]


def _fit(
    table: Mapping[int, _Choice], outlines: Sequence[_Outline], limits: Limits
) -> tuple[_Choice, _Outline]:
    """The best sentences and frame lines within the limits, or else closest to them."""
    return max(
        ((choice, outline) for choice in table.values() for outline in outlines),
        key=lambda pair: (
            bool(pair[0].blocks),
            -_miss(pair[0].words + pair[1].words, limits.body_min_words, limits.body_max_words),
            pair[0].score - pair[1].cost,
        ),
    )


def _miss(words: int, low: int, high: int) -> int:
    return max(low - words, words - high, 0)


def _subject(lines: Sequence[str], start: int, lead: Passage | None, prompt: Prompt) -> str:
    """The first subject line that fits, preferably one with the first passage's title."""
    most = prompt.limits.subject_max_characters
    rotated = _rotated(lines, start)
    named_by = (lead.title, lead.section) if lead else ()
    topics = [topic for topic in named_by if topic.casefold() != _UNTITLED]
    named = [
        _fill(line, prompt.brand, topic)
        for topic in topics
        for line in rotated
        if "{topic}" in line
    ]
    plain = [_fill(line, prompt.brand) for line in rotated if "{topic}" not in line]
    subjects = [" ".join(subject.split()) for subject in (*named, *plain)]
    return next((subject for subject in subjects if len(subject) <= most), min(subjects, key=len))
