"""The words of the product: table schemas, frozen records, and the fingerprint that names content.

What has a `customer_id` is a row of a table and stays in the engine; its columns are declared here.
All else is a small frozen record. Ids are content hashes: the same content has the same id on
every machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Enum
from numbers import Integral, Real

T = typing.TypeVar("T")
Json = typing.Union[None, bool, int, float, str, "Sequence[Json]", "Mapping[str, Json]"]

CATEGORIES = ("hate", "violence", "self_harm", "sexual")
CONTROL = "control"
METRICS = ("open_rate", "click_rate", "conversion_rate", "revenue")


# ── Tables ────────────────────────────────────────────────────────────────────────────────────


class Kind(Enum):
    """What a column holds; the value is its type in DuckDB's dialect."""

    TEXT = "VARCHAR"
    NUMBER = "DOUBLE"
    INTEGER = "BIGINT"
    FLAG = "BOOLEAN"
    TIME = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: its kind, whether a row may lack it, and the range it must keep."""

    name: str
    kind: Kind
    nullable: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's name and columns, in order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)


def _column(name: str, kind: Kind, *, nullable: bool = False, high: float | None = None) -> Column:
    low = 0.0 if kind in (Kind.NUMBER, Kind.INTEGER) else None
    return Column(name=name, kind=kind, nullable=nullable, low=low, high=high)


CUSTOMERS = Table(
    name="customers",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("age", Kind.NUMBER, nullable=True, high=120.0),
        _column("location", Kind.TEXT, nullable=True),
        _column("tier", Kind.TEXT, nullable=True),
        _column("purchase_frequency", Kind.NUMBER),
        _column("avg_order_value", Kind.NUMBER),
        _column("last_engagement_days", Kind.NUMBER),
        _column("historical_open_rate", Kind.NUMBER, high=1.0),
        _column("historical_click_rate", Kind.NUMBER, high=1.0),
    ),
)
"""One row per customer; frequency in orders per year, money in the brand's currency."""

FEATURES = tuple(column.name for column in CUSTOMERS.columns if column.kind is Kind.NUMBER)
"""The numeric features of a customer, in order."""

SEGMENTED = Table(
    name="segmented",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("confidence", Kind.NUMBER, high=1.0),
        _column("reason", Kind.TEXT),
    ),
)
"""One row per customer: the one segment it is in, how sure, and why in words."""

ASSIGNMENTS = Table(
    name="assignments",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("arm", Kind.TEXT),
        _column("variant_id", Kind.TEXT),
        _column("assigned_at", Kind.TIME),
    ),
)
"""One row per customer: the arm and the variant it is to be sent. Every variant is approved."""

ENGAGEMENT = Table(
    name="engagement",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("arm", Kind.TEXT),
        _column("variant_id", Kind.TEXT),
        _column("delivered", Kind.FLAG),
        _column("opened", Kind.FLAG),
        _column("clicked", Kind.FLAG),
        _column("converted", Kind.FLAG),
        _column("revenue", Kind.NUMBER),
        _column("source", Kind.TEXT),
        _column("delivered_at", Kind.TIME, nullable=True),
        _column("opened_at", Kind.TIME, nullable=True),
        _column("clicked_at", Kind.TIME, nullable=True),
        _column("converted_at", Kind.TIME, nullable=True),
    ),
)
"""One row per assigned customer; `source` is `historical` (real) or `simulated`."""


# ── Content ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of a document and its paragraphs, in order."""

    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One approved document. Dates are inclusive: it may be used from approval to expiry.

    Attributes:
        audience: the words that name whom it is for; empty is everyone.
        audience_only: whether segments outside `audience` must not get it.
    """

    document_id: str
    title: str
    category: str
    sections: tuple[Section, ...]
    approval_date: date
    audience: tuple[str, ...] = ()
    audience_only: bool = False
    keywords: tuple[str, ...] = ()
    expires_on: date | None = None
    version: str = "1"
    source_url: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def is_valid(self, day: date) -> bool:
        """Whether the document may be used on `day` (a UTC date)."""
        return self.approval_date <= day and (self.expires_on is None or day <= self.expires_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a segment asks of the index.

    Attributes:
        text: the words to look for.
        top_k: how many passages to give at most, the best one of each document first.
        audience: words that name the reader; passages for that audience are raised.
        categories: only these categories; empty is all.
        excluded: ids of documents that must not be given (expired, not yet approved).
        min_score: passages below this score are left out; scores lie in [0, 1].
    """

    text: str
    top_k: int
    audience: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    min_score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One paragraph of a document, found for a query.

    Attributes:
        paragraph_index: position among the document's paragraphs, from 0; headings do not count.
        score: relevance in [0, 1], comparable within one adapter.
        fallback: whether it was not found but configured, as nothing was relevant.
    """

    document_id: str
    version: str
    title: str
    section: str
    paragraph_index: int
    text: str
    score: float
    category: str = ""
    fallback: bool = False


# ── Segments ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSummary:
    """The distribution of one numeric feature in a segment; `missing` counts rows without it."""

    mean: float | None
    median: float | None
    std: float | None
    min: float | None
    q25: float | None
    q75: float | None
    max: float | None
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefiningFeature:
    """A feature that sets a segment apart.

    Attributes:
        effect: (segment median - overall median) / overall interquartile range.
        words: how a person would say it ("orders often").
    """

    feature: str
    segment_median: float
    overall_median: float
    effect: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A group of customers: its label, how it is defined and what it looks like.

    Attributes:
        label: the human-readable name; internal, never shown to a customer.
        size: customers in it; `share` is of all customers, in [0, 1].
        definition: the conditions, score ranges or centroid, in words.
        audience: words that name these people to the content index.
        interests: words for what may interest them; the content is searched for these.
        tiers: customers per tier; a tier that is absent here holds nobody.
        locations: the most frequent locations and their counts.
    """

    label: str
    size: int
    share: float
    definition: str
    description: str
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    features: Mapping[str, FeatureSummary] = field(default_factory=dict)
    defining_features: tuple[DefiningFeature, ...] = ()
    tiers: Mapping[str, int] = field(default_factory=dict)
    locations: Mapping[str, int] = field(default_factory=dict)
    mean_confidence: float | None = None
    warnings: tuple[str, ...] = ()


# ── Messages ──────────────────────────────────────────────────────────────────────────────────


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
class Finding:
    """What one check found in a text.

    Attributes:
        category: hate | violence | self_harm | sexual for the check `safety`.
        severity: 0, 2, 4 or 6.
        score: in [0, 1], comparable across texts.
        start, end: characters of the worst part; None where not known.
    """

    check: str
    category: str
    severity: int
    score: float
    reason: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyDecision:
    """Whether a message may be sent.

    Attributes:
        status: pass | block | waiting.
        reasons: what blocked it, in words; `unavailable: …` where screening itself failed.
        severities: the highest severity per category; None where it is not known.
    """

    variant_id: str
    content_sha256: str
    status: str
    reasons: tuple[str, ...]
    severities: Mapping[str, int | None]
    decided_by: str
    decided_at: str


# ── Calls and runs ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What would change a port's reply: provider, model, version, corpus."""

    provider: str
    model: str = ""
    version: str = ""
    corpus: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """What became of one stage.

    Attributes:
        status: done | unfinished (it holds failures of a provider and is run again).
        key: equal key, equal outcome: the stage is kept.
        outputs: the files it wrote, with their digests.
    """

    name: str
    status: str
    key: str
    outputs: Mapping[str, str]
    seconds: float
    finished_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in the audit log: `line` lines, the header among them, end at byte `offset`."""

    line: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRange:
    """The lines of one run in the audit log; lines of other runs may stand between them.

    Attributes:
        first, last: line numbers in the file, from 1 for the header; 0 where there is none.
        count: lines of this run.
        head: the hash of line `last`.
        since: a place before `first`, where the next append begins to look for what is there.
    """

    run_id: str
    first: int = 0
    last: int = 0
    count: int = 0
    head: str = ""
    since: Mark = Mark()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What was said to whom, and how it came about; run.json.

    Attributes:
        status: running | unfinished | complete | no_experiment | waiting.
        fingerprint: of inputs, the configuration that shapes results, and the code.
        valid_on: the UTC date that documents' validity is judged on, of the first start.
        inputs: digests of customers, content and engagement.
        measurements: how many earlier measurements lie in measurements/.
        metered_calls: calls paid for, that the ledger must know of.
        campaign: what its readers need to know of the configuration: `brand`, and the safety
            `thresholds` by category.
    """

    run_id: str
    status: str
    fingerprint: str
    started_at: str
    valid_on: date
    seed: int
    simulated: bool
    overrides: Mapping[str, object]
    inputs: Mapping[str, str]
    versions: Mapping[str, str]
    stages: tuple[StageRun, ...] = ()
    finished_at: str | None = None
    reason: str | None = None
    extends: str | None = None
    measurements: int = 0
    metered_calls: int = 0
    campaign: Mapping[str, object] = field(default_factory=dict)
    totals: Mapping[str, object] = field(default_factory=dict)
    audit: AuditRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm of the experiment: `control` or a tone, and its share of each segment."""

    name: str
    share: float


def utc_now() -> str:
    """The present moment as ISO-8601 in UTC, to the millisecond, with a Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ── Records as JSON, and their fingerprint ────────────────────────────────────────────────────


def to_json(value: object) -> Json:  # noqa: PLR0911 - one case a line
    """A record, or a collection of records, as plain JSON values; NaN and infinity become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return to_json(value.value)
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Integral | Real):  # a number of numpy's
        return int(value) if isinstance(value, Integral) else to_json(float(value))
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((to_json(item) for item in value), key=repr)
    if isinstance(value, Sequence):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def from_json(kind: type[T], value: object) -> T:
    """The record of type `kind` that `to_json` wrote as `value`; null for a number is NaN.

    Raises:
        ValueError: where `value` is not of that form.
    """
    return typing.cast("T", _read(kind, value))


def _read(kind: object, value: object) -> object:  # noqa: PLR0911 - one case a line
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_optional(arguments, value)
    if origin is tuple:
        return _read_tuple(arguments, _expect(list, value))
    if origin is not None and issubclass(origin, Mapping):
        return {k: _read(arguments[1], item) for k, item in _expect(dict, value).items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _read_record(kind, _expect(dict, value))
    if kind is date:
        return date.fromisoformat(_expect(str, value))
    if kind is float:
        return _read_number(value)
    if kind is object:
        return value
    if kind is int and isinstance(value, bool):
        raise ValueError("int expected, found bool")
    return _expect(typing.cast("type[object]", kind), value)


def _read_record(kind: type, value: Mapping[str, object]) -> object:
    hints = typing.get_type_hints(kind)
    unknown = set(value) - set(hints)
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {min(unknown)!r}")
    try:
        return kind(**{name: _read(hints[name], item) for name, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def _read_tuple(kinds: tuple[object, ...], items: list[object]) -> tuple[object, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], item) for item in items)
    if len(items) != len(kinds):
        raise ValueError(f"{len(kinds)} items expected, found {len(items)}")
    return tuple(_read(kind, item) for kind, item in zip(kinds, items, strict=True))


def _read_number(value: object) -> float:
    # `to_json` writes NaN as null, so a number that must be there reads null as NaN.
    if value is None:
        return float("nan")
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(float, value)


def _read_optional(choices: tuple[object, ...], value: object) -> object:
    if value is None and type(None) in choices:
        return None
    (kind,) = (choice for choice in choices if choice is not type(None))
    return _read(kind, value)


def _expect(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise ValueError(f"{kind.__name__} expected, found {type(value).__name__}")  # noqa: TRY004 - the reader's one error
    return value


def fingerprint(*parts: object) -> str:
    """SHA-256 in hex of the parts' canonical JSON: equal parts, equal fingerprint, anywhere."""
    text = json.dumps(to_json(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
