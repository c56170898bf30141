"""What the stages hand over in files of their own making; the agents' records are their own."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field

from liftwright.model.messages import Claim, Variant  # noqa: TC001 - `from_json` reads the types


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """index.json: the index, and the documents that are not in use.

    Attributes:
        excluded: those that may not be used on the run's day.
        skipped: what could not be read, a message for each.
        blocked: those that the shield takes for attacks on a language model; not indexed.
    """

    name: str
    documents: int
    paragraphs: int
    excluded: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """variants.json: the control and every valid variant, blocked ones included."""

    control: Variant
    variants: tuple[Variant, ...]

    @property
    def all(self) -> tuple[Variant, ...]:
        """The control first, then the variants in order."""
        return (self.control, *self.variants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """channel.json: how the messages are to be sent, and what stands below each of them."""

    channel: str
    footer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantClaims:
    """claims.json, one entry: a variant's sentences and what its sources say of them."""

    variant_id: str
    score: float
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOpinion:
    """opinions.json, one entry: what a second judge says of a variant's claims.

    Attributes:
        judge: who it is, in one word.
        grounded, ungrounded_share: as `Opinion`; None where there was no usable answer.
    """

    variant_id: str
    judge: str
    grounded: bool | None
    ungrounded_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """approvals.json, one entry: a person's word on a variant that waited."""

    variant_id: str
    content_sha256: str
    who: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """engagement.json: where the engagement comes from, and what its file held.

    Attributes:
        source: simulated | historical.
        absent: metrics that the file says nothing about.
        names_message: whether the file says what was sent; where it does not, the lift holds only
            if the messages were sent as assigned.
        set_aside: rows that do not count, by reason.
        machine_opens, machine_clicks: opens and clicks that a machine made, not counted as such.
        early: rows with an event from before the assignment.
    """

    source: str
    absent: tuple[str, ...] = ()
    names_message: bool = True
    rows: int = 0
    rows_used: int = 0
    combined: int = 0
    customers_missing: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    machine_opens: int = 0
    machine_clicks: int = 0
    early: int = 0
    warnings: tuple[str, ...] = ()
