"""Messages: what a writer is asked, what it wrote, what was claimed, found and decided."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass

from liftwright.model.content import Passage  # noqa: TC001 - the same
from liftwright.model.segments import Segment  # noqa: TC001 - the same

CATEGORIES = ("hate", "violence", "self_harm", "sexual")
UNAVAILABLE = "unavailable"
"""Begins the reason for a block where a check failed."""
_RECORD_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a channel admits: subject in characters, body in whitespace-separated words."""

    subject_max_characters: int
    body_min_words: int
    body_max_words: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a writer is asked: the rendered text, and the same in structured parts.

    Attributes:
        text: the rendered template; what a language model reads.
        feedback: the reasons why the draft before this one was refused; empty at first.
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
    """Tokens of a call as the provider counts them; `cached_input` is a part of `input`."""

    input: int = 0
    cached_input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What calls used of a service, in the units that it charges for.

    Attributes:
        units: text records of a screener, queries of a search; 0 where tokens are counted.
    """

    tokens: Tokens = Tokens()
    units: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        one, two = self.tokens, other.tokens
        return Usage(
            tokens=Tokens(
                input=one.input + two.input,
                cached_input=one.cached_input + two.cached_input,
                output=one.output + two.output,
            ),
            units=self.units + other.units,
        )


def text_records(text: str) -> int:
    """How many text records a text is charged as: one per 1,000 characters begun, at least one.

    Source: Azure AI Content Safety, which charges by records of up to 1,000 Unicode characters.
    """
    return max(1, -(-len(text) // _RECORD_CHARACTERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A writer's reply: text that should be JSON with `subject` and `body`, and what it cost."""

    text: str
    model: str
    tokens: Tokens = Tokens()
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """The passage that a message names as its source."""

    document_id: str
    version: str
    title: str
    section: str
    paragraph_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One message: who it is for, what it says, what it cites, and how it came to be.

    Attributes:
        arm: the tone, or `control`; segment and tone are None for the control.
        body: without subject and footer.
        attempts: drafts that were asked for, this one included.
        latency_ms: of the call that gave this draft.
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
        """A message of which no more is known than who gets it, or what it says."""
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
    """Where a claim is supported: which source, and the characters of its text."""

    index: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One sentence of a message and what its sources say of it.

    Attributes:
        start, end: characters of the text it stands in.
        verdict: supported | weak | unsupported | not_a_claim.
        score: support in [0, 1].
        source: the best supporting span; None where there is none.
    """

    text: str
    start: int
    end: int
    verdict: str
    score: float
    source: SourceSpan | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """A text, and the sources that are to bear it out."""

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a second judge says of a text and its sources.

    Attributes:
        grounded: whether every part of the text is borne out by the sources.
        ungrounded_share: the part of the text, by length, that is not; in [0, 1].
    """

    grounded: bool
    ungrounded_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found in a text.

    Attributes:
        category: hate | violence | self_harm | sexual for the check `safety`.
        severity: 0 (none) to 7; None where it is not known.
        score: in [0, 1], comparable across texts; None with the severity.
        where: the part of the message: `subject`, `body`, `sentence 3`, `link`.
        start, end: characters of the worst part; None where not known.
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
        reasons: what blocked it, each `category or check: …`; `unavailable: …` where a check
            itself failed.
        severities: the highest severity per category; None where it is not known.
        findings: what other checks than the four categories found.
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
        """The categories and checks that blocked it, each once; none where a check failed."""
        causes = dict.fromkeys(reason.partition(":")[0] for reason in self.reasons)
        return tuple(cause for cause in causes if cause != UNAVAILABLE)

    @property
    def is_unavailable(self) -> bool:
        """Whether it was blocked because it could not be checked."""
        is_held = any(reason.startswith(f"{UNAVAILABLE}: ") for reason in self.reasons)
        return self.status == "block" and is_held
