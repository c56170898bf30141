"""From a text and its sources to claims with verdicts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.agents.grounding.evidence import Evidence, Piece, Support, Window
from liftwright.agents.grounding.sentence_kinds import Sentence, read_sentences
from liftwright.model import Claim, SourceSpan
from liftwright.model.checks import DRAFTING, Check, CheckResult
from liftwright.text import references

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from liftwright.config import Grounding
    from liftwright.model import Passage
    from liftwright.model.checks import Message
    from liftwright.ports import Vectors

    Embedding = Callable[[tuple[str, ...]], Vectors]
    Likeness = Callable[[Window], tuple[float, float]]

SUPPORTED, WEAK, UNSUPPORTED, NOT_A_CLAIM = "supported", "weak", "unsupported", "not_a_claim"

# With more source sentences than this, only those nearest to a claim by words are embedded.
_EMBED_ALL = 80
_EMBED_NEAREST = 12
_TEXTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounded:
    """A text's claims, in order, and the least of their scores; 1 where it claims nothing."""

    score: float
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """A text that was read, and the sentences of its sources that are to be embedded."""

    sentences: tuple[Sentence, ...]
    evidence: Evidence
    pieces: Mapping[int, Piece]
    wanted: frozenset[int]

    def texts(self) -> Iterator[str]:
        for piece in self.pieces.values():
            yield piece.text
        for index in self.wanted:
            yield self.evidence.sentences[index]


def ground_text(
    text: str, sources: Sequence[tuple[str, str]], embed: Embedding, config: Grounding
) -> Grounded:
    """Hold each sentence of a text against its sources.

    Args:
        text: the text; citations in it are not a part of what is claimed.
        sources: (title, text) of each source; without any, each claim scores 0.
        embed: the port `embed`, or any callable of its form.
        config: from which score a claim is supported, and from which weak.
    """
    return ground_many([(text, sources)], embed, config)[0]


def ground_many(
    requests: Sequence[tuple[str, Sequence[tuple[str, str]]]], embed: Embedding, config: Grounding
) -> tuple[Grounded, ...]:
    """Ground several texts, each against its own sources; equal to one by one, and faster."""
    found: list[Grounded] = []
    for first in range(0, len(requests), _TEXTS_AT_ONCE):
        tasks = [
            _read(text, Evidence(sources))
            for text, sources in requests[first : first + _TEXTS_AT_ONCE]
        ]
        vectors = _embed_all(tasks, embed)
        found += [_ground(task, vectors, config, {}) for task in tasks]
    return tuple(found)


def ground_message(
    body: str,
    passages: Sequence[Passage],
    embed: Embedding,
    config: Grounding,
    *,
    frames: Collection[str] = (),
) -> Grounded:
    """Hold each sentence of a message's body against the passages it was written from.

    A sentence that carries a citation must be supported by the passages it cites; where another
    passage supports it better, it is weak at most. A source's index is that of the passage.

    Args:
        body: the message without subject and footer.
        passages: what its writer was given.
        embed: the port `embed`.
        config: from which score a claim is supported, and from which weak.
        frames: sentences that are known to claim nothing: the composer's, names filled in.
    """
    evidence = Evidence(
        [(f"{passage.title} {passage.section}", passage.text) for passage in passages]
    )
    task = _read(body, evidence, frames)
    known = {(passage.title, passage.section) for passage in passages}
    cited: dict[int, frozenset[int]] = {}
    for number, sentence in enumerate(task.sentences):
        named = {(ref.title, ref.section) for ref in references(sentence.text, known)}
        sources = [i for i, p in enumerate(passages) if (p.title, p.section) in named]
        if sources:
            cited[number] = frozenset(sources)
    return _ground(task, _embed_all([task], embed), config, cited)


def prepare(passages: Iterable[Passage], embed: Embedding) -> None:
    """Embed the sentences of passages ahead, so that an embedder that remembers has them by then.

    Drafts are judged the moment they come; what is known before need not be waited for after.
    """
    sources = dict.fromkeys(
        (f"{passage.title} {passage.section}", passage.text) for passage in passages
    )
    texts = tuple(dict.fromkeys(text for s in sources for text in Evidence([s]).sentences))
    if texts:
        embed(texts)


class MessageGrounder:
    """Grounds messages, and remembers the claims: each message is grounded once in a process.

    The check on a draft and the stage that records the claims share one, so that what was proven
    to accept a draft is not computed again to record it.

    Args:
        embed: the port `embed`.
        config: from which score a claim is supported, and from which weak.
        frames: by tone, sentences that are known to claim nothing.
    """

    def __init__(
        self, embed: Embedding, config: Grounding, frames: Mapping[str, Collection[str]]
    ) -> None:
        self._embed, self._config, self._frames = embed, config, frames
        self._known: dict[tuple[str | None, str, tuple[Passage, ...]], Grounded] = {}

    def ground(self, body: str, passages: tuple[Passage, ...], tone: str | None) -> Grounded:
        """The claims of a message's body, held against the passages it was written from."""
        key = (tone, body, passages)
        if key not in self._known:
            frames = self._frames.get(tone or "", ())
            self._known[key] = ground_message(
                body, passages, self._embed, self._config, frames=frames
            )
        return self._known[key]

    @property
    def check(self) -> Check:
        """The check that refuses a draft with a claim that its passages do not support."""

        def find(message: Message) -> CheckResult:
            found = self.ground(message.body, message.passages, message.tone)
            return CheckResult(reasons=reasons_against(found, self._config))

        return Check(
            name="grounding",
            stage=DRAFTING,
            version="2",
            settings=(self._config.model_dump(mode="json"), self._frames),
            find=find,
            skips_refused=True,
        )


def reasons_against(grounded: Grounded, config: Grounding) -> tuple[str, ...]:
    """Why a text must not be used as it is: one sentence for each claim that does not hold."""
    refused = {UNSUPPORTED} if config.allow_weak else {UNSUPPORTED, WEAK}
    return tuple(
        f"the sentence {claim.text!r} is {_in_words(claim.verdict)} by its source"
        + (f": {claim.reason}" if claim.reason else "")
        for claim in grounded.claims
        if claim.verdict in refused
    )


def _in_words(verdict: str) -> str:
    return "not supported" if verdict == UNSUPPORTED else "only weakly supported"


def _read(text: str, evidence: Evidence, frames: Collection[str] = ()) -> _Task:
    found = read_sentences(text, frames)
    pieces = {n: Piece(sentence.claim) for n, sentence in enumerate(found) if sentence.claim}
    count = len(evidence.sentences)
    if not pieces:
        wanted: set[int] = set()
    elif count <= _EMBED_ALL:
        wanted = set(range(count))
    else:
        nearest = (evidence.nearest(piece, _EMBED_NEAREST) for piece in pieces.values())
        wanted = set().union(*nearest)
    return _Task(sentences=found, evidence=evidence, pieces=pieces, wanted=frozenset(wanted))


def _embed_all(tasks: Sequence[_Task], embed: Embedding) -> Mapping[str, Vectors]:
    """The vector of each text that a task needs, from one call."""
    # A claim without any source to be like needs no vector.
    texts = tuple(dict.fromkeys(t for task in tasks if task.wanted for t in task.texts()))
    return dict(zip(texts, embed(texts), strict=True)) if texts else {}


def _ground(
    task: _Task,
    vectors: Mapping[str, Vectors],
    config: Grounding,
    cited: Mapping[int, frozenset[int]],
) -> Grounded:
    claims = tuple(
        _claim(sentence, task, number, vectors, config, cited.get(number))
        for number, sentence in enumerate(task.sentences)
    )
    scores = [claim.score for claim in claims if claim.verdict != NOT_A_CLAIM]
    return Grounded(score=min(scores, default=1.0), claims=claims)


def _claim(  # noqa: PLR0913, PLR0917 - all of one task
    sentence: Sentence,
    task: _Task,
    number: int,
    vectors: Mapping[str, Vectors],
    config: Grounding,
    cited: frozenset[int] | None,
) -> Claim:
    if number not in task.pieces:
        return _as_claim(sentence, Support(score=1.0, window=None), NOT_A_CLAIM)
    piece = task.pieces[number]
    likeness = likeness_of(task.evidence, task.wanted, vectors.get(piece.text), vectors)
    support = task.evidence.support(piece, likeness, cited)
    verdict = _verdict(support, config)
    if cited is None or verdict == SUPPORTED:
        return _as_claim(sentence, support, verdict)
    other = task.evidence.support(piece, likeness)
    if other.score <= support.score:
        return _as_claim(sentence, support, verdict)
    between = (config.weak_score + config.supported_score) / 2
    other = dataclasses.replace(
        other,
        score=min(other.score, between),
        reason=other.reason or "another passage says it, not the one cited",
    )
    verdict = _verdict(other, config)
    return _as_claim(sentence, other, WEAK if verdict == SUPPORTED else verdict)


def _verdict(support: Support, config: Grounding) -> str:
    if support.refuted or support.missing is not None or support.score < config.weak_score:
        return UNSUPPORTED
    return SUPPORTED if support.score >= config.supported_score else WEAK


def _as_claim(sentence: Sentence, support: Support, verdict: str) -> Claim:
    window = support.window
    reason = support.reason if verdict in {WEAK, UNSUPPORTED} else ""
    if verdict == UNSUPPORTED and not reason:
        reason = "no source says this"
    return Claim(
        text=sentence.text,
        start=sentence.start,
        end=sentence.end,
        verdict=verdict,
        score=round(support.score, 4),
        source=SourceSpan(index=window.source, start=window.start, end=window.end)
        if window
        else None,
        reason=reason,
    )


def likeness_of(
    evidence: Evidence,
    wanted: Collection[int],
    claim: Vectors | None,
    vectors: Mapping[str, Vectors],
) -> Likeness:
    """Measures a claim's cosines to a window: of its best sentence, and of its sentences' sum.

    Args:
        evidence: whose sentences.
        wanted: which of them have vectors; others are like nothing.
        claim: the claim's vector; None likens it to nothing.
        vectors: the vector of each text.
    """
    if claim is None:
        return lambda _: (0.0, 0.0)
    near: dict[int, float] = {
        index: float(claim @ vectors[evidence.sentences[index]]) for index in wanted
    }

    def of(window: Window) -> tuple[float, float]:
        inside = [i for i in range(window.first, window.first + window.size) if i in near]
        if not inside:
            return 0.0, 0.0
        best = max(near[i] for i in inside)
        if len(inside) == 1:
            return best, best
        whole = sum(vectors[evidence.sentences[i]] for i in inside)
        length = float((whole @ whole) ** 0.5)  # type: ignore[operator]
        return best, float(claim @ whole) / length if length else best

    return of
