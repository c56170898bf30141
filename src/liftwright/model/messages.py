"""Messages: prompts, completions, variants, claims, findings and safety decisions."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass

from liftwright.model.content import Passage  # noqa: TC001 - the same
from liftwright.model.segments import Segment  # noqa: TC001 - the same

CATEGORIES = ("hate", "violence", "self_harm", "sexual")
UNAVAILABLE = "unavailable"
"""The prefix of a block reason when a check itself failed."""
NOT_JUDGED = "not_judged"
"""The reason to block a text whose language the screener does not judge."""
_RECORD_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A channel's limits: the subject in characters, the body in whitespace-separated words."""

    subject_max_characters: int
    body_min_words: int
    body_max_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request to the writer: the rendered prompt, and the parts it was rendered from.

    Attributes:
        text: the rendered template, for a language model.
        feedback: the reasons why the previous draft was refused; empty for the first draft.
    """

    text: str
    brand: str
    segment: Segment
    tone: str
    passages: tuple[Passage, ...]
    limits: Limits
    feedback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A call's tokens as the provider counts them; `input` includes `cached_input`."""

    input: int = 0
    cached_input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The billable usage of a service.

    Attributes:
        units: text records of a screener or queries of a search; 0 for services billed by token.
    """

    tokens: Tokens = Tokens()
    units: int = 0

    def __add__(self, other: Usage) -> Usage:
        """The sum of both."""
        left, right = self.tokens, other.tokens
        return Usage(
            tokens=Tokens(
                input=left.input + right.input,
                cached_input=left.cached_input + right.cached_input,
                output=left.output + right.output,
            ),
            units=self.units + other.units,
        )


def text_records(text: str) -> int:
    """The number of billable text records: one per started 1,000 characters, at least one.

    Source: Azure AI Content Safety, which bills records of up to 1,000 Unicode characters.
    """
    return max(1, -(-len(text) // _RECORD_CHARACTERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A writer's reply: text that should be JSON with `subject` and `body`, and its cost."""

    text: str
    model: str
    tokens: Tokens = Tokens()
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """The passage that a message cites."""

    document_id: str
    version: str
    title: str
    section: str
    paragraph_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One message: its segment and tone, its text, its citations, and how it was written.

    Attributes:
        arm: the tone, or `control`; segment and tone are None for the control.
        body: without subject and footer.
        attempts: the number of drafts requested, including this one.
        latency_ms: of the call that returned this draft.
    """

    variant_id: str
    arm: str
    segment: str | None
    tone: str | None
    subject: str
    body: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    prompt: str
    prompt_sha256: str
    model: str
    tokens: Tokens
    cost_usd: float
    attempts: int
    created_at: str
    latency_ms: float

    @classmethod
    def bare(
        cls, variant_id: str, *, arm: str, segment: str | None, subject: str = "", body: str = ""
    ) -> Variant:
        """A message without sources, prompt or usage."""
        return cls(
            variant_id=variant_id,
            arm=arm,
            segment=segment,
            tone=None if segment is None else arm,
            subject=subject,
            body=body,
            citations=(),
            passages=(),
            prompt="",
            prompt_sha256="",
            model="",
            tokens=Tokens(),
            cost_usd=0.0,
            attempts=1,
            created_at="",
            latency_ms=0.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A variant that never became valid, and why.

    Attributes:
        cause: `checks` (every draft was refused) or `provider` (no usable reply).
        attempts: the drafts requested, counting each request for the one that got no reply.
    """

    segment: str
    tone: str
    stage: str
    cause: str
    reasons: tuple[str, ...]
    attempts: int
    affected_customers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpan:
    """The span that supports a claim: the source's index, and character offsets in its text."""

    index: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence of a message, and how well its sources support it.

    Attributes:
        start, end: character offsets in the message.
        verdict: supported | weak | unsupported | not_a_claim.
        score: support in [0, 1].
        source: the best supporting span; None if there is none.
    """

    text: str
    start: int
    end: int
    verdict: str
    score: float
    source: SourceSpan | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRequest:
    """A request to a second judge: a text, and the sources that should support it."""

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """A second judge's verdict on whether sources support a text.

    Attributes:
        grounded: whether the sources support every part of the text.
        ungrounded_share: the unsupported share of the text, by length, in [0, 1].
    """

    grounded: bool
    ungrounded_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found in a text.

    Attributes:
        category: hate | violence | self_harm | sexual for the check `safety`.
        severity: 0 (none) to 7; None if unknown.
        score: in [0, 1], comparable across texts; None if the severity is.
        reason: why; `not_judged` if the severity is None because of the text's language.
        where: the part of the message: `subject`, `body`, `sentence 3`, `link`.
        start, end: character offsets of the worst part; None if unknown.
    """

    check: str
    category: str
    severity: int | None
    score: float | None
    reason: str = ""
    where: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyDecision:
    """Whether a message may be sent.

    Attributes:
        status: pass | block | waiting.
        reasons: why it is blocked, each `category or check: …`; `unavailable: …` if a check
            itself failed; `not_judged` if the screener does not judge the language.
        severities: the highest severity per category; None if unknown.
        findings: the findings of checks other than the four categories.
    """

    variant_id: str
    content_sha256: str
    status: str
    reasons: tuple[str, ...]
    severities: Mapping[str, int | None]
    decided_by: str
    decided_at: str
    findings: tuple[Finding, ...] = ()

    @property
    def blocked_by(self) -> tuple[str, ...]:
        """The categories and checks that blocked it, without repeats or failed checks."""
        causes = dict.fromkeys(reason.partition(":")[0] for reason in self.reasons)
        return tuple(cause for cause in causes if cause != UNAVAILABLE)

    @property
    def is_unavailable(self) -> bool:
        """Whether it is blocked because a check failed."""
        failed = any(reason.startswith(f"{UNAVAILABLE}: ") for reason in self.reasons)
        return self.status == "block" and failed
