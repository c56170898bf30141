"""Draft, check, ask again with the reasons: one variant per segment and tone, in a fixed order."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from liftwright import text as texts
from liftwright.agents.generation.checks import Draft, Rules, check_draft, citations_of
from liftwright.agents.generation.format_checks import read_reply
from liftwright.agents.generation.prompts import BASE_TEMPLATE, Writing, render_prompt
from liftwright.calls.retry import at_once
from liftwright.errors import ProviderError
from liftwright.log import event
from liftwright.model import Failure, Tokens, Variant, fingerprint, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from liftwright.model import Completion, Passage, Prompt, Segment
    from liftwright.ports import Complete

    Check = Callable[[Draft], tuple[str, ...]]

_AGENT = "generation"
_ID_HEX = 12
_ALIKE = 0.9
_RUN = 3


def generate_variants(  # noqa: PLR0913 - the stage's inputs, each its own
    segments: Sequence[Segment],
    passages: Mapping[str, Sequence[Passage]],
    *,
    writing: Writing,
    complete: Complete,
    check: Check | None = None,
    known_tiers: Collection[str] = (),
    kept: Callable[[Variant], None] = lambda _: None,
) -> tuple[tuple[Variant, ...], tuple[Failure, ...]]:
    """One variant for each segment and tone, and a failure where none became valid.

    Calls run at once, `writing.concurrency` of them; the results stand in the order of segments
    and tones. A draft that a check refuses is asked for again with the reasons, up to
    `writing.max_redrafts` times. One that fails does not stop the others.

    Args:
        segments: who the messages are for.
        passages: by segment label, what a message may say and cite.
        writing: brand, tones, limits, templates.
        complete: writes a draft; a call that fails for good makes a failure of cause `provider`.
        check: further reasons against a draft of good form, such as claims without support.
        known_tiers: every tier that any customer holds.
        kept: told of each variant that is given back, as soon as it is certain to be; in any order
            and from any thread.
    """
    rules = Rules(
        brand=writing.brand,
        limits=writing.limits,
        labels=tuple(segment.label for segment in segments),
        known_tiers=tuple(sorted(known_tiers)),
    )
    series = [
        _Series(
            [
                _Drafting(segment, tone, tuple(passages.get(segment.label, ())), writing, rules)
                for tone in writing.tones
            ],
            kept,
        )
        for segment in segments
    ]
    every = [drafting for one in series for drafting in one.drafts]
    workers = writing.concurrency
    at_once(
        [
            partial(one.write, drafting, complete, check)
            for one in series
            for drafting in one.drafts
        ],
        workers,
    )
    # Which of two alike is written again must not hang on which thread was first.
    at_once([partial(one.tell_apart, complete, check) for one in series], workers)
    outcomes = [drafting.outcome for drafting in every]
    for drafting in every:
        drafting.report()
    return (
        tuple(outcome for outcome in outcomes if isinstance(outcome, Variant)),
        tuple(outcome for outcome in outcomes if isinstance(outcome, Failure)),
    )


class _Series:
    """The variants of one segment, in the order of tones: of two alike, the first one stays."""

    def __init__(self, drafts: Sequence[_Drafting], kept: Callable[[Variant], None]) -> None:
        self.drafts = drafts
        self._kept = kept
        self._settled = 0
        self._certain: list[Variant] = []
        self._lock = threading.Lock()

    def write(self, drafting: _Drafting, complete: Complete, check: Check | None) -> None:
        """Write one of them."""
        drafting.write(complete, check)
        self._settle()

    def tell_apart(self, complete: Complete, check: Check | None) -> None:
        """Once all are written, have those written again that say the same as an earlier one."""
        kept: list[Variant] = []
        for drafting in self.drafts:
            drafting.differ_from(tuple(kept), complete, check)
            self._settle()
            if isinstance(drafting.outcome, Variant):
                kept.append(drafting.outcome)

    def _settle(self) -> None:
        """Tell of those that nothing can change any more: all before them are certain, too."""
        with self._lock:
            for drafting in self.drafts[self._settled :]:
                outcome = drafting.outcome
                if outcome is None:
                    return
                if isinstance(outcome, Variant):
                    if _reasons_alike(outcome.subject, outcome.body, self._certain):
                        return
                    self._certain.append(outcome)
                    self._kept(outcome)
                self._settled += 1


class _Drafting:
    """One variant in the making: the drafts so far, what they cost, why they were refused."""

    def __init__(
        self,
        segment: Segment,
        tone: str,
        passages: tuple[Passage, ...],
        writing: Writing,
        rules: Rules,
    ) -> None:
        told = f"{writing.templates[BASE_TEMPLATE]}\n{writing.templates[f'tone_{tone}']}"
        self.outcome: Variant | Failure | None = None
        self._segment, self._tone, self._passages = segment, tone, passages
        self._writing, self._rules = writing, replace(rules, instructions=told)
        self._others: tuple[Variant, ...] = ()
        self._feedback: tuple[str, ...] = ()
        self._drafts = 0
        self._tokens, self._cost_usd = Tokens(), 0.0

    def write(self, complete: Complete, check: Check | None) -> None:
        """Ask for drafts until one is kept, none is left, or the provider fails."""
        if not self._passages:
            self.outcome = self._failure("checks", ("No passage was found for the segment.",))
            return
        reasons: tuple[str, ...] = ()
        try:
            while self._drafts <= self._writing.max_redrafts:
                self._drafts += 1
                prompt = self._prompt()
                started = time.perf_counter()
                completion = complete(prompt)
                latency_ms = (time.perf_counter() - started) * 1000
                self._add_cost(completion)
                found = self._judge(prompt, completion, check, latency_ms)
                if isinstance(found, Variant):
                    self.outcome = found
                    return
                reasons = found
                self._refuse(reasons)
        except ProviderError as error:
            self.outcome = self._failure("provider", (str(error),))
            return
        self.outcome = self._failure("checks", reasons)

    def differ_from(
        self, others: tuple[Variant, ...], complete: Complete, check: Check | None
    ) -> None:
        """Have the variant written again where it says the same as one of `others`."""
        self._others = others
        if not isinstance(self.outcome, Variant):
            return
        reasons = self._alike(self.outcome.subject, self.outcome.body)
        if reasons:
            self._refuse(reasons)
            if self._drafts > self._writing.max_redrafts:
                self.outcome = self._failure("checks", reasons)
            else:
                self.write(complete, check)

    def report(self) -> None:
        """Log what came of it: ids, counts and durations, no text."""
        if isinstance(self.outcome, Variant):
            event(
                "variant_generated",
                agent=_AGENT,
                segment=self._segment.label,
                tone=self._tone,
                attempts=self._drafts,
                variant_id=self.outcome.variant_id,
                words=len(self.outcome.body.split()),
                citations=len(self.outcome.citations),
                latency_ms=round(self.outcome.latency_ms, 3),
                tokens=self.outcome.tokens,
                cost_usd=self.outcome.cost_usd,
            )
        elif self.outcome is not None:
            event(
                "variant_failed",
                agent=_AGENT,
                level="error",
                segment=self._segment.label,
                tone=self._tone,
                attempts=self._drafts,
                cause=self.outcome.cause,
                reasons=[without_quotes(reason) for reason in self.outcome.reasons],
                affected_customers=self.outcome.affected_customers,
            )

    def _prompt(self) -> Prompt:
        return render_prompt(
            self._writing, self._segment, self._tone, self._passages, self._feedback
        )

    def _judge(
        self, prompt: Prompt, completion: Completion, check: Check | None, latency_ms: float
    ) -> Variant | tuple[str, ...]:
        reply = read_reply(completion.text)
        if isinstance(reply, str):
            return (reply,)
        subject, body = reply
        reasons = check_draft(
            subject, body, passages=self._passages, segment=self._segment, rules=self._rules
        )
        reasons += self._alike(subject, body)
        if reasons:
            return reasons
        draft = Draft(
            segment=self._segment,
            tone=self._tone,
            subject=subject,
            body=body,
            passages=self._passages,
            citations=citations_of(body, self._passages),
        )
        return (check(draft) if check else ()) or self._variant(
            draft, prompt, completion.model, latency_ms
        )

    def _variant(self, draft: Draft, prompt: Prompt, model: str, latency_ms: float) -> Variant:
        label = self._segment.label
        return Variant(
            variant_id=variant_id(self._tone, label, draft.subject, draft.body),
            arm=self._tone,
            segment=label,
            tone=self._tone,
            subject=draft.subject,
            body=draft.body,
            citations=draft.citations,
            passages=self._passages,
            prompt=prompt.text,
            prompt_sha256=text_sha256(prompt.text),
            model=model,
            tokens=self._tokens,
            cost_usd=self._cost_usd,
            attempts=self._drafts,
            created_at=utc_now(),
            latency_ms=latency_ms,
        )

    def _alike(self, subject: str, body: str) -> tuple[str, ...]:
        return _reasons_alike(subject, body, self._others)

    def _refuse(self, reasons: tuple[str, ...]) -> None:
        # The number keeps each draft's request distinct, though it be refused for one reason twice.
        self._feedback += tuple(f"Draft {self._drafts}: {reason}" for reason in reasons)
        event(
            "draft_refused",
            agent=_AGENT,
            level="warning",
            segment=self._segment.label,
            tone=self._tone,
            attempt=self._drafts,
            reasons=[without_quotes(reason) for reason in reasons],
        )

    def _add_cost(self, completion: Completion) -> None:
        add = completion.tokens
        self._tokens = Tokens(
            input=self._tokens.input + add.input,
            cached_input=self._tokens.cached_input + add.cached_input,
            output=self._tokens.output + add.output,
        )
        self._cost_usd += completion.cost_usd

    def _failure(self, cause: str, reasons: tuple[str, ...]) -> Failure:
        return Failure(
            segment=self._segment.label,
            tone=self._tone,
            stage="generate",
            cause=cause,
            reasons=reasons,
            attempts=self._drafts,
            affected_customers=self._segment.size,
        )


def _reasons_alike(subject: str, body: str, others: Sequence[Variant]) -> tuple[str, ...]:
    if any(alike(body, other.body) for other in others):
        return ("The body says the same as another variant for these readers.",)
    if any(subject.casefold() == other.subject.casefold() for other in others):
        return ("The subject is that of another variant for these readers.",)
    return ()


def variant_id(arm: str, segment: str | None, subject: str, body: str) -> str:
    """The id of a message: 12 hex digits that its content and reader give."""
    return fingerprint(arm, segment, subject, body)[:_ID_HEX]


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hex."""
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def without_quotes(reason: str) -> str:
    """A reason without what stands between its first quotation mark and its last, fit for a log."""
    return re.sub(r"""(?<!\w)["'].*["']""", '"…"', reason, flags=re.DOTALL)


def alike(one: str, other: str) -> bool:
    """Whether two bodies are the same but for a few words."""
    first, second = _runs(one), _runs(other)
    if not first or not second:
        return texts.normalise(one).casefold() == texts.normalise(other).casefold()
    return len(first & second) >= _ALIKE * len(first | second)


def _runs(body: str) -> set[tuple[str, ...]]:
    words = texts.normalise(texts.without_citations(body)).casefold().split()
    return {tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)}
