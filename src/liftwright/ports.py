"""The ports: the interfaces to models, services, engines and stores.

A port is a callable: one frozen request in, one frozen reply out. Its `identity` names everything
that would change the reply, and `metered` says whether a call costs money or leaves the machine;
only metered calls go through the ledger. Adapters raise `ProviderUnavailable` for faults that are
worth retrying and `ProviderRefused` for all others, and no other exception.

A metered adapter reports the usage that its service returns: with the reply, by a second method
`call_with_usage` (a `Completion` has its tokens anyway), and for a failed attempt that was billed,
in `ProviderError.usage`. `Meter` does both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from liftwright.errors import ProviderError, ProviderRefused
from liftwright.model import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    import numpy as np
    import numpy.typing as npt

    from liftwright.model import (
        Completion,
        Document,
        Finding,
        Identity,
        JudgeRequest,
        Judgment,
        ObjectUrl,
        Passage,
        Prompt,
        Query,
        TableSchema,
    )
    from liftwright.model.remote_files import File, RemoteFile

    Vectors = npt.NDArray[np.float32]
    Row = tuple[object, ...]


T = TypeVar("T")
Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Port(Protocol):
    """The attributes of every port."""

    @property
    def identity(self) -> Identity:
        """Everything that would change the reply to the same request."""
        ...

    @property
    def metered(self) -> bool:
        """Whether a call costs money or leaves the machine."""
        ...


class Client(Port, Protocol[Q_contra, R_co]):
    """A port that takes one request and returns one reply."""

    def __call__(self, request: Q_contra, /) -> R_co:
        """The reply."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[R_co]):
    """A reply and its billed usage."""

    value: R_co
    usage: Usage


@runtime_checkable
class ReportsUsage(Protocol[Q_contra, R_co]):
    """A metered adapter whose service returns the usage of each call."""

    def call_with_usage(self, request: Q_contra, /) -> Reply[R_co]:
        """The same reply as the plain call, with its usage."""
        ...


class Meter:
    """Adds up the usage of a call's requests and reports it in the reply or in the error.

    Services also bill for useless replies, such as truncated text or malformed vectors. So add the
    usage as soon as the service has returned it, before the reply is checked:

        with Meter() as meter:
            answer = post(text)
            meter.add(Usage(units=text_records(text)))
            return meter.reply(parse(answer))
    """

    def __init__(self) -> None:
        self._usage: Usage | None = None

    def add(self, usage: Usage) -> None:
        """Add the usage of one request."""
        self._usage = usage if self._usage is None else self._usage + usage

    def reply(self, value: T) -> Reply[T]:
        """The value with the usage so far."""
        return Reply(value=value, usage=self._usage or Usage())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        if isinstance(error, ProviderError):
            # Replaced, not added: the usage of a nested call belongs to that call.
            error.usage = self._usage


def check_length(found: int, expected: int, identity: Identity) -> None:
    """Check that vectors fit those of the index or of earlier calls.

    Args:
        found: the length of new vectors.
        expected: the length of the others.
        identity: the embedder's.

    Raises:
        ProviderRefused: the lengths differ, so the embedder's model was replaced.
    """
    if found != expected:
        raise ProviderRefused(
            f"the embedder {identity.provider}/{identity.model} gave vectors of {found} numbers "
            f"instead of {expected}: another model answers under its name. Restore the model, or "
            "change azure_openai.embedding_model to the new one's name, and run again",
            affects_all_requests=True,
        )


class Complete(Port, Protocol):
    """Writes one draft of a message."""

    def __call__(self, request: Prompt, /) -> Completion:
        """The draft; its text should be JSON with `subject` and `body`."""
        ...


class Embed(Port, Protocol):
    """Turns texts into vectors."""

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        """Float32 of shape (texts, dimensions), each row of length 1."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexReport:
    """The result of indexing: counts of documents by change, and of paragraphs in the index.

    Attributes:
        removed_indexes: names of old indexes that were deleted on request.
        warnings: what a person should know about the content, such as files that are not read.
    """

    name: str
    documents: int
    paragraphs: int
    added: int
    changed: int
    removed: int
    unchanged: int
    embedded: int
    errors: tuple[str, ...] = ()
    removed_indexes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Index(Port, Protocol):
    """Makes documents searchable; unchanged ones are not processed again."""

    def __call__(
        self, request: tuple[Document, ...], /, *, progress: Callable[[int, int], None]
    ) -> IndexReport:
        """Index exactly these documents; `progress` receives (paragraphs done, total)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexNames:
    """The indexes of this workspace's content in a service.

    Attributes:
        in_use: the index that is searched; None if there is none or it is unknown.
        others: earlier indexes, which are no longer searched.
    """

    in_use: str | None
    others: tuple[str, ...]


@runtime_checkable
class ManagesIndexes(Protocol):
    """An `Index` that keeps the indexes of earlier content until they are removed."""

    def index_names(self) -> IndexNames:
        """The names of its indexes."""
        ...

    def remove_old(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete the indexes that are neither in use nor in `keep`; returns their names."""
        ...


class Search(Port, Protocol):
    """Finds passages in the index that its identity's corpus names."""

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The best passage of each document, best first, at most `top_k`."""
        ...


class Screen(Port, Protocol):
    """Screens a text for harmful content."""

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        """One finding per category; a finding of any other check blocks the text."""
        ...


class Shield(Port, Protocol):
    """Detects prompt injection in a document."""

    def __call__(self, request: str, /) -> bool:
        """Whether the text contains an attack."""
        ...


class Judge(Port, Protocol):
    """Gives a second opinion on whether sources support a text."""

    def __call__(self, request: JudgeRequest, /) -> Judgment:
        """The verdict."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """A CSV file in UTF-8, quoted by RFC 4180, whose first line is the header.

    Attributes:
        columns: the names of its columns; they replace those of the header.
    """

    columns: tuple[str, ...]
    delimiter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data file for an engine to read.

    Attributes:
        path: CSV, Parquet, or a folder of Parquet files; local or in an object store.
        text: whether to read every column as text, byte for byte.
        csv: the format of a CSV file; None detects it.
    """

    path: File
    text: bool = True
    csv: CsvFormat | None = None


class Engine(Port, Protocol):
    """Runs the data plane's statements, which are written in DuckDB's dialect."""

    def open(self, name: str, source: Source) -> tuple[str, ...]:
        """Make a file readable as table `name`, with `_row` (from 1); returns its column names."""
        ...

    def keep(self, name: str, statement: str, *, stored: bool = True) -> None:
        """Create table `name`: stored now, or a view that is computed at each use."""
        ...

    def rows(self, statement: str) -> Sequence[Row]:
        """A statement's rows; for counts and sums, never for customers."""
        ...

    def write(
        self, statement: str, path: Path, table: TableSchema | None = None, *, lasting: bool = True
    ) -> int:
        """Write rows to Parquet atomically; returns their number.

        Without `lasting`, only this process reads the file: it is not compressed and not synced.
        """
        ...

    def close(self) -> None:
        """Release memory and files."""
        ...


class Objects(Protocol):
    """Object stores."""

    def find(self, url: ObjectUrl) -> RemoteFile | None:
        """The object at `url`, otherwise the folder of the objects directly below it.

        Raises:
            DataError: the container does not exist, or the store fails or denies access.
        """
        ...

    def put(self, path: Path, url: ObjectUrl) -> RemoteFile:
        """Upload a file; a partial object is never visible.

        Raises:
            DataError: the store fails or denies access.
        """
        ...


class Observe(Port, Protocol):
    """Gives the engagement that followed an assignment."""

    def __call__(self, request: str, /) -> str:
        """The name of the engagement table for the table of assignments `request`."""
        ...


class Store(Protocol):
    """The ledger's rows by key; thread-safe and crash-safe."""

    def get(self, key: str) -> Mapping[str, object] | None:
        """The row of `key`, or None."""
        ...

    def put(self, key: str, row: Mapping[str, object]) -> None:
        """Write the row of `key`; it is durable when this returns."""
        ...

    def rows(self, **equals: object) -> Iterable[Mapping[str, object]]:
        """The rows whose columns have these values."""
        ...

    def close(self) -> None:
        """Close the file or connection."""
        ...


class Secrets(Protocol):
    """Gives a secret by name."""

    def __call__(self, name: str, /) -> str | None:
        """The secret's value; None if it does not exist."""
        ...


SpanField = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """Something that happened within a span, at `at_ns` nanoseconds since 1970."""

    name: str
    at_ns: int
    fields: Mapping[str, SpanField]


@dataclass(slots=True, kw_only=True, eq=False)
class Span:
    """A run, a stage or a call, with its duration and outcome.

    Attributes:
        name: `run`, `stage` or `call`.
        parent: the enclosing span.
        fields: ids, names, counts and durations; never a text, a person or a secret.
        started_ns, ended_ns: nanoseconds since 1970; `ended_ns` is 0 while the span is open.
        error: the type of the exception that ended it; None if there was none.
        handle: the telemetry adapter's own record of the span.
    """

    name: str
    parent: Span | None = None
    fields: dict[str, SpanField] = field(default_factory=dict)
    events: list[SpanEvent] = field(default_factory=list)
    started_ns: int = field(default_factory=time.time_ns)
    ended_ns: int = 0
    error: str | None = None
    handle: object = field(default=None, repr=False)
    _clock_ns: int = field(default_factory=time.perf_counter_ns, init=False, repr=False)

    def set(self, **fields: SpanField) -> None:
        """Add or change fields; None removes one."""
        self.fields = _without_none({**self.fields, **fields})

    def add_event(self, name: str, /, **fields: SpanField) -> None:
        """Add an event at the current time."""
        self.events.append(SpanEvent(name=name, at_ns=self._now_ns(), fields=_without_none(fields)))

    def end(self) -> None:
        """Set the end to the current time."""
        self.ended_ns = self._now_ns()

    def _now_ns(self) -> int:
        # The wall clock may be set back while a span is open, so durations use another clock.
        return self.started_ns + time.perf_counter_ns() - self._clock_ns


def _without_none(fields: Mapping[str, SpanField]) -> dict[str, SpanField]:
    return {name: value for name, value in fields.items() if value is not None}


class Telemetry(Protocol):
    """Records one span per run, stage and external call; thread-safe."""

    def start(self, span: Span) -> None:
        """Record the start of a span, after its parent's; does not block."""
        ...

    def end(self, span: Span) -> None:
        """Record the end of a span; does not block."""
        ...

    def close(self) -> None:
        """Send the remaining spans within a time limit, and log how many could not be sent."""
        ...


class Track(Protocol):
    """Records a run with an experiment tracker."""

    def __call__(self, run: Mapping[str, object], folder: Path, /) -> None:
        """Record a run, given the contents of run.json and its folder; idempotent.

        Raises:
            ProviderError: the tracker cannot be reached; the run does not depend on it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The adapters of one workspace; a callable creates its adapter when it is needed.

    Attributes:
        search: creates the search of the index with a given name.
        engine: opens an engine; the caller closes it.
        store: opens the ledger's store; the caller closes it.
        shield: detects prompt injection in the approved content; None if switched off.
        judge: gives a second opinion on variants; None if switched off.
        objects: opens the object stores.
    """

    complete: Complete
    embed: Embed
    index: Index
    search: Callable[[str], Search]
    screen: Screen
    engine: Callable[[], Engine]
    store: Callable[[], Store]
    secrets: Secrets
    telemetry: Telemetry
    track: Track
    objects: Callable[[], Objects]
    shield: Shield | None = None
    judge: Judge | None = None
