"""Drafts, checks and rewrites messages: one variant per segment and tone, in a fixed order."""

from __future__ import annotations

import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from liftwright.agents.generation.checks import citations_of, duplicate_reasons
from liftwright.agents.generation.format_checks import read_reply
from liftwright.agents.generation.prompts import render_prompt
from liftwright.errors import LiftwrightError, ProviderError
from liftwright.log import event, fault
from liftwright.model import Failure, Tokens, Variant, fingerprint, utc_now
from liftwright.model.checks import Message, run_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from liftwright.agents.generation.prompts import Writing
    from liftwright.model import Completion, Passage, Prompt, Segment
    from liftwright.model.checks import Check
    from liftwright.ports import Complete

R = TypeVar("R")
_AGENT = "generation"
_ID_HEX = 12


def generate_variants(  # noqa: PLR0913 - the stage's inputs, each its own
    segments: Sequence[Segment],
    passages: Mapping[str, Sequence[Passage]],
    *,
    writing: Writing,
    complete: Complete,
    checks: Sequence[Check],
    known_tiers: Collection[str] = (),
) -> Iterator[Variant | Failure]:
    """Write a variant for each segment and tone; a failure if no draft is valid.

    Up to `writing.concurrency` drafts are written at a time. A draft that a check rejects is
    rewritten with the reasons as feedback, up to `writing.max_redrafts` times. One failure does
    not stop the others.

    Args:
        segments: the readers of the messages.
        passages: by segment label, what a message may say and cite.
        writing: brand, tones, limits, templates.
        complete: writes a draft; if the call fails, the failure's cause is `provider`.
        checks: the drafting checks; a draft is accepted if none of them gives a reason.
        known_tiers: every tier that any customer has.

    Yields:
        The results in the order of segments and tones, each as soon as it is final.
    """
    labels = tuple(segment.label for segment in segments)
    tiers = tuple(sorted(known_tiers))
    by_segment = [
        [
            _Drafting(
                Message(
                    subject="",
                    body="",
                    segment=segment,
                    tone=tone,
                    passages=tuple(passages.get(segment.label, ())),
                    labels=labels,
                    known_tiers=tiers,
                ),
                segment,
                tone,
                writing,
                complete,
                checks,
            )
            for tone in writing.tones
        ]
        for segment in segments
    ]
    with ThreadPoolExecutor(max_workers=writing.concurrency) as pool:
        written = [[_submit(pool, drafting.write) for drafting in row] for row in by_segment]
        final: list[tuple[_Drafting, Future[tuple[Variant, ...]]]] = []
        for draftings, writes in zip(by_segment, written, strict=True):
            previous: Future[tuple[Variant, ...]] | None = None
            for drafting, write in zip(draftings, writes, strict=True):
                previous = _submit(pool, partial(_deduplicate, drafting, write, previous))
                final.append((drafting, previous))
        try:
            for drafting, done in final:
                done.result()
                drafting.report()
                if drafting.outcome is not None:
                    yield drafting.outcome
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _submit(pool: ThreadPoolExecutor, job: Callable[[], R]) -> Future[R]:
    """Run a job in the pool, in the log context of the caller."""
    return pool.submit(copy_context().run, job)


def _deduplicate(
    drafting: _Drafting, write: Future[None], previous: Future[tuple[Variant, ...]] | None
) -> tuple[Variant, ...]:
    """Rewrite a variant that duplicates one of an earlier tone; returns all valid ones so far.

    Variants of a segment are compared in the order of tones, so that thread scheduling does not
    decide which of two is rewritten. It waits only for jobs that were submitted earlier.
    """
    others = previous.result() if previous else ()
    write.result()
    drafting.rewrite_duplicate(others)
    return (*others, drafting.outcome) if isinstance(drafting.outcome, Variant) else others


class _Drafting:
    """The state of one variant: the number of drafts, their cost, and why they were rejected."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that one variant is made from
        self,
        blank: Message,
        segment: Segment,
        tone: str,
        writing: Writing,
        complete: Complete,
        checks: Sequence[Check],
    ) -> None:
        self.outcome: Variant | Failure | None = None
        self._blank, self._segment, self._tone = blank, segment, tone
        self._writing, self._complete, self._checks = writing, complete, checks
        self._others: tuple[Variant, ...] = ()
        self._feedback: tuple[str, ...] = ()
        self._drafts = 0
        self._tokens, self._cost_usd = Tokens(), 0.0

    def write(self) -> None:
        """Request drafts until one is accepted, the limit is reached, or the provider fails."""
        if not self._blank.passages:
            self.outcome = self._failure("checks", ("No passages were found for the segment.",))
            return
        reasons: tuple[str, ...] = ()
        try:
            while self._drafts <= self._writing.max_redrafts:
                self._drafts += 1
                prompt = self._prompt()
                started = time.perf_counter()
                completion = self._complete(prompt)
                latency_ms = (time.perf_counter() - started) * 1000
                self._add_cost(completion)
                result = self._check_reply(prompt, completion, latency_ms)
                if isinstance(result, Variant):
                    self.outcome = result
                    return
                reasons = result
                self._reject(reasons)
        except ProviderError as error:
            self._drafts += max(0, error.attempts - 1)
            self.outcome = self._failure("provider", (str(error),))
            return
        self.outcome = self._failure("checks", reasons)

    def rewrite_duplicate(self, others: tuple[Variant, ...]) -> None:
        """Rewrite the variant if it duplicates one of `others`."""
        self._others = others
        if not isinstance(self.outcome, Variant):
            return
        reasons = duplicate_reasons(self.outcome.subject, self.outcome.body, others)
        if reasons:
            self._reject(reasons)
            if self._drafts > self._writing.max_redrafts:
                self.outcome = self._failure("checks", reasons)
            else:
                self.write()

    def report(self) -> None:
        """Log the outcome: ids, counts and durations, but no text."""
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
            self._writing, self._segment, self._tone, self._blank.passages, self._feedback
        )

    def _check_reply(
        self, prompt: Prompt, completion: Completion, latency_ms: float
    ) -> Variant | tuple[str, ...]:
        reply = read_reply(completion.text)
        if isinstance(reply, str):
            return (reply,)
        subject, body = reply
        message = replace(self._blank, subject=subject, body=body, others=self._others)
        reasons = run_checks(self._checks, message, failed=self._check_failed).reasons
        return reasons or self._variant(subject, body, prompt, completion.model, latency_ms)

    def _check_failed(self, check: Check, error: Exception) -> str:
        # Our own errors (a failing provider, wrong input) end the draft or the run.
        if isinstance(error, LiftwrightError):
            raise error
        fault("check_failed", error, agent=_AGENT, check=check.name)
        return f"The check {check.name} failed ({type(error).__name__})."

    def _variant(
        self, subject: str, body: str, prompt: Prompt, model: str, latency_ms: float
    ) -> Variant:
        label, passages = self._segment.label, self._blank.passages
        return Variant(
            variant_id=variant_id(self._tone, label, subject, body),
            arm=self._tone,
            segment=label,
            tone=self._tone,
            subject=subject,
            body=body,
            citations=citations_of(body, passages),
            passages=passages,
            prompt=prompt.text,
            prompt_sha256=text_sha256(prompt.text),
            model=model,
            tokens=self._tokens,
            cost_usd=self._cost_usd,
            attempts=self._drafts,
            created_at=utc_now(),
            latency_ms=latency_ms,
        )

    def _reject(self, reasons: tuple[str, ...]) -> None:
        # The number makes each request distinct, even if two drafts fail for the same reason.
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


def variant_id(arm: str, segment: str | None, subject: str, body: str) -> str:
    """The id of a message: 12 hex digits derived from its arm, segment and content."""
    return fingerprint(arm, segment, subject, body)[:_ID_HEX]


def text_sha256(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hex."""
    import hashlib

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def without_quotes(reason: str) -> str:
    """A reason for the log, without the text between its first and last quotation mark."""
    return re.sub(r"""(?<!\w)["'].*["']""", '"…"', reason, flags=re.DOTALL)
