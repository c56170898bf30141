"""What the product asks of the outside world.

A port is a callable: one frozen request in, one frozen reply out. It carries an `identity` that
names what would change the reply, and says whether it is `metered` (costs money or leaves the
machine): only metered calls go through the ledger. Adapters raise `ProviderUnavailable` for
what is worth retrying and `ProviderRefused` for what is not; nothing else may leave them.

A metered adapter whose service says what a call used reports it: in its reply, by a second method
`call_with_usage` (a `Completion` holds its tokens itself), and in the error of a failed attempt
that was charged, by `ProviderError.usage`. A `Meter` does both.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, runtime_checkable

from liftwright.errors import ProviderError
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
        ObjectUrl,
        Opinion,
        Passage,
        Prompt,
        Query,
        Sourced,
        TableSchema,
    )
    from liftwright.model.remote_files import File, StoredObject

    Vectors = npt.NDArray[np.float32]
    Row = tuple[object, ...]


T = TypeVar("T")
Q_contra = TypeVar("Q_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class Port(Protocol):
    """What every port has beside its call."""

    @property
    def identity(self) -> Identity:
        """What would change the reply."""
        ...

    @property
    def metered(self) -> bool:
        """Whether a call costs money or leaves the machine."""
        ...


class Client(Port, Protocol[Q_contra, R_co]):
    """A port with one request and one reply."""

    def __call__(self, request: Q_contra, /) -> R_co:
        """The reply."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[R_co]):
    """A reply and what the service charges for it."""

    value: R_co
    usage: Usage


@runtime_checkable
class ReportsUsage(Protocol[Q_contra, R_co]):
    """What a metered adapter also has where its service says what a call used."""

    def call_with_usage(self, request: Q_contra, /) -> Reply[R_co]:
        """The reply, as the plain call gives it, and its usage."""
        ...


class Meter:
    """Adds up what the requests of one call used, and reports it in the reply or in the error.

    A service can charge for a reply that turns out useless: a text that was cut off, vectors that
    came back broken. So usage is added as soon as the service has said it, before the reply is
    checked:

        with Meter() as meter:
            answer = post(text)
            meter.add(Usage(units=text_records(text)))
            return meter.reply(parse(answer))
    """

    def __init__(self) -> None:
        self._usage: Usage | None = None

    def add(self, usage: Usage) -> None:
        """Count what one request used."""
        self._usage = usage if self._usage is None else self._usage + usage

    def reply(self, value: T) -> Reply[T]:
        """The value with what was counted so far."""
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
            # Replaced, not added to: what a call within this one used is that call's.
            error.usage = self._usage


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
    """What indexing did: documents by what happened to them, and paragraphs in the index.

    Attributes:
        removed_indexes: names of old indexes that were deleted, as was asked for.
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


class Index(Port, Protocol):
    """Makes documents searchable; what has not changed is not worked on again."""

    def __call__(
        self, request: tuple[Document, ...], /, *, progress: Callable[[int, int], None]
    ) -> IndexReport:
        """Index exactly these documents; `progress` is told (paragraphs done, of)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIndexes:
    """The indexes that an index service holds of this workspace's content.

    Attributes:
        in_use: the one that is searched; None where there is none, or nothing says which.
        others: those before it, that nobody asks any more.
    """

    in_use: str | None
    others: tuple[str, ...]


@runtime_checkable
class KeepsIndexes(Protocol):
    """What an `Index` can also do where it keeps the indexes of earlier content."""

    def kept(self) -> KeptIndexes:
        """What it holds."""
        ...

    def remove_old(self, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete what is neither in use nor in `keep`; the names of what was deleted."""
        ...


class Search(Port, Protocol):
    """Finds passages in the index named by its identity's corpus."""

    def __call__(self, request: Query, /) -> tuple[Passage, ...]:
        """The best passage of each document, best first, at most `top_k`."""
        ...


class Screen(Port, Protocol):
    """Looks for harm in a text."""

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        """One finding for each of the four categories; any of another check blocks."""
        ...


class Shield(Port, Protocol):
    """Looks in a document for orders to the language model that reads it."""

    def __call__(self, request: str, /) -> bool:
        """Whether the text holds an attack."""
        ...


class Judge(Port, Protocol):
    """Gives a second opinion on whether a text is borne out by its sources."""

    def __call__(self, request: Sourced, /) -> Opinion:
        """The opinion."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of rows that an engine reads.

    Attributes:
        path: CSV or Parquet, or a folder of Parquet files; here or in an object store.
        text: whether every column is read as text, in its exact bytes.
    """

    path: File
    text: bool = True


class Engine(Port, Protocol):
    """Runs the data plane's statements, written in DuckDB's dialect; four verbs."""

    def open(self, name: str, source: Source) -> tuple[str, ...]:
        """Make the file readable as table `name`, with `_row` (from 1); its own column names."""
        ...

    def keep(self, name: str, statement: str, *, stored: bool = True) -> None:
        """Name a statement's rows: stored now, or computed again at each use."""
        ...

    def rows(self, statement: str) -> Sequence[Row]:
        """A statement's rows. For counts and sums, never for customers."""
        ...

    def write(
        self, statement: str, path: Path, table: TableSchema | None = None, *, lasting: bool = True
    ) -> int:
        """Write rows to Parquet, whole or not at all; the number of rows.

        What is not `lasting` is read by this process alone: quick to write, and not synced.
        """
        ...

    def close(self) -> None:
        """Give back memory and files."""
        ...


class Objects(Protocol):
    """Object stores: what lies at a URL, its bytes, and a file put there."""

    def find(self, url: ObjectUrl) -> StoredObject | tuple[StoredObject, ...]:
        """The object at `url`, else those directly below it: none where there is nothing.

        Raises:
            DataError: there is no such container, or the store cannot be reached or asked.
        """
        ...

    def read(self, one: StoredObject, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end` of the version that was found; from threads, too.

        Raises:
            DataError: it is gone or another by now, or the store cannot be reached or asked.
        """
        ...

    def put(self, file: Path, url: ObjectUrl) -> StoredObject:
        """Put a file there, whole or not at all.

        Raises:
            DataError: the store cannot be reached or does not take it.
        """
        ...


class Observe(Port, Protocol):
    """Tells what came of an assignment."""

    def __call__(self, request: str, /) -> str:
        """The name of the table of engagement for this table of assignments."""
        ...


class Store(Protocol):
    """Rows of the ledger, kept by key; safe for threads and for a process that dies."""

    def get(self, key: str) -> Mapping[str, object] | None:
        """The row of `key`, or None."""
        ...

    def put(self, key: str, row: Mapping[str, object]) -> None:
        """Write the row of `key`, durable when this returns."""
        ...

    def rows(self, **equals: object) -> Iterable[Mapping[str, object]]:
        """The rows whose columns have these values."""
        ...

    def close(self) -> None:
        """Give back the file."""
        ...


class Secrets(Protocol):
    """Gives a secret by name."""

    def __call__(self, name: str, /) -> str | None:
        """The secret's value; None where there is none."""
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
    """A run, a stage or a call: how long it takes, and how it ends.

    Attributes:
        name: `run`, `stage` or `call`.
        parent: the span around it.
        fields: ids, names, counts and durations; never a text, a person or a secret.
        started_ns: nanoseconds since 1970, as is `ended_ns`, which is 0 while the span is open.
        error: the type of the exception that ended it; None if it ended well.
        handle: for the port, to keep its own record of the span.
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
        """Record that something happens now."""
        self.events.append(SpanEvent(name=name, at_ns=self._now_ns(), fields=_without_none(fields)))

    def end(self) -> None:
        """Take the time at which it ends."""
        self.ended_ns = self._now_ns()

    def _now_ns(self) -> int:
        # The wall clock may be set back while a span is open; it never ends before its start.
        return self.started_ns + time.perf_counter_ns() - self._clock_ns


def _without_none(fields: Mapping[str, SpanField]) -> dict[str, SpanField]:
    return {name: value for name, value in fields.items() if value is not None}


class Telemetry(Protocol):
    """Records one span per run, stage and external call; from threads, too."""

    def start(self, span: Span) -> None:
        """A span begins, after its parent; returns at once."""
        ...

    def end(self, span: Span) -> None:
        """A span has ended; returns at once."""
        ...

    def close(self) -> None:
        """Send what is left, within a bounded time; what cannot be sent is logged."""
        ...


class Track(Protocol):
    """Records a run with an experiment tracker."""

    def __call__(self, run: Mapping[str, object], folder: Path, /) -> None:
        """Take the run's record, as in run.json, and its folder; told twice, recorded once.

        Raises:
            ProviderError: where the tracker cannot be reached; the run is not the worse for it.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The adapters of one workspace; those behind a factory are made when they are needed.

    Attributes:
        search: makes the port for an index by the index's name.
        engine: opens an engine; who opens it closes it.
        store: opens the store of the ledger; who opens it closes it.
        shield: looks for attacks in the approved content; None where it is switched off.
        judge: gives a second opinion on variants; None where it is switched off.
        objects: opens the object stores that URLs name.
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
