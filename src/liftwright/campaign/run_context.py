"""What carries the stages: their keys, what is kept, what they share, and how a run ends.

A stage's key covers all that shapes its outcome: the files it reads, its settings, the ports it
calls, the code. Equal key and whole outputs: the stage is kept. There is no other resume code.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.agents.grounding import MessageGrounder
from liftwright.calls.cache_policy import (
    complete_terms,
    judge_terms,
    screen_terms,
    search_terms,
    shield_terms,
)
from liftwright.calls.ledger import Ledger
from liftwright.calls.metered_client import Guarded, PaidEmbed, call_span, within_a_call
from liftwright.calls.retry import Calls
from liftwright.campaign.checks import frame_lines, message_checks
from liftwright.content import documents as contents
from liftwright.data import Places, Tables, load_customers, scratch_folder
from liftwright.log import event, within
from liftwright.model import Run, StageRun, fingerprint, to_json, utc_now
from liftwright.model.checks import in_stage
from liftwright.run_folder import RunFolder, code_fingerprint, digest_file, versions
from liftwright.tracing import span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from liftwright.audit import AuditLog
    from liftwright.config import Settings
    from liftwright.content.documents import Corpus
    from liftwright.data import CustomersReport
    from liftwright.model import (
        Completion,
        Document,
        Finding,
        Identity,
        Json,
        Opinion,
        Passage,
        Prompt,
        Query,
        Sourced,
    )
    from liftwright.model.checks import Check
    from liftwright.model.remote_files import File
    from liftwright.ports import IndexReport, Observe, Ports, Store

DONE, UNFINISHED = "done", "unfinished"
_FILE_OF = {
    "services": "azure_config.yaml",
    "experiment": "experiment_config.yaml",
    "customers": "customers.yaml",
    "safety": "safety_thresholds.yaml",
    "segments": "segments.yaml",
    "channel": "channels.yaml",
    "prompts": "prompts",
    "frames": "frames",
}
_LONGEST_SHOWN = 40
NO_RUN = "no-run"
"""Who pays, in the ledger, for what is asked outside of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a stage tells while it runs.

    Attributes:
        state: started | advanced | kept | done.
        done, total: pieces of work, where the stage counts them.
        note: one short sentence for people.
    """

    stage: str
    state: str
    done: int = 0
    total: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a run.

    Attributes:
        run: does the work; reads and writes the run's files.
        reads: files of earlier stages that shape the outcome.
        writes: the files it leaves; each whole or not at all.
        inputs: which of the run's inputs shape the outcome: customers, content, engagement.
        settings: which settings shape the outcome, as paths of attributes of `Settings`.
        ports: the ports whose adapters shape the outcome.
        checks: the stage of the checks that it runs; empty where it runs none.
        intact: whether what the stage makes outside of the run's folder is still there, where a
            later stage needs it; None where it makes nothing there.
    """

    name: str
    run: Callable[[Work], str]
    writes: tuple[str, ...]
    reads: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    settings: tuple[str, ...] | Callable[[Work], tuple[str, ...]] = ()
    ports: tuple[str, ...] = ()
    checks: str = ""
    intact: Callable[[Work], bool] | None = None


class Work:
    """What the stages of one run share; expensive parts are made when first asked for.

    Attributes:
        root: the workspace.
        run: the run's record as it stands; `folder` holds it.
        inputs: digests of customers, content and engagement.
    """

    def __init__(  # noqa: PLR0913 - what the wiring hands in
        self,
        *,
        root: Path,
        settings: Settings,
        ports: Ports,
        folder: RunFolder,
        audit: AuditLog,
        observer: Callable[[Tables, File | None], Observe],
        engagement: str | Path | None,
        refresh: bool,
        notify: Callable[[Step], None],
    ) -> None:
        self.root = root
        self.settings = settings
        self.ports = ports
        self.folder = folder
        self.audit = audit
        self._engagement = engagement
        self.notify = notify
        self.calls = Calls(settings.services.calls)
        self.run: Run
        self.inputs: Mapping[str, str] = {}
        self._observer = observer
        self._refresh = refresh
        self._stage = ""
        self._identities: dict[str, Identity | None] = {}
        self._ledger: Ledger | None = None
        self._store: Store | None = None
        self._ledger_lock = threading.Lock()
        if isinstance(ports.embed, PaidEmbed):
            ports.embed.attach(self.calls, lambda: self.run_ledger)

    # ── The data plane ──

    @cached_property
    def tables(self) -> Tables:
        """The engine of this process's data plane."""
        engine = self.ports.engine()
        return Tables(engine, scratch=scratch_folder(self.root / "data"), places=self.places)

    @cached_property
    def places(self) -> Places:
        """Finds files by path or URL; each URL is looked up once in this process."""
        return Places(self.ports.objects, self.root / "data")

    @cached_property
    def engagement(self) -> File | None:
        """A file of real outcomes; None simulates."""
        return None if self._engagement is None else self.places.find(Path(), self._engagement)

    @cached_property
    def customers(self) -> CustomersReport:
        """What reading the customers came to; makes the tables `customers` and `rejected`."""
        return load_customers(self.tables, self.settings.customers, self.root)

    def need_customers(self) -> None:
        """See that the table `customers` is there; what is wrong with them is told here."""
        _ = self.customers

    @property
    def customers_read(self) -> bool:
        """Whether this process has read the customers."""
        return "customers" in self.__dict__

    @cached_property
    def corpus(self) -> Corpus:
        """The approved content, expired documents included."""
        config = self.settings.experiment.content
        return contents.read_documents(self.root / config.path, on_bad=config.on_bad_documents)

    @property
    def suppressed(self) -> File | None:
        """The file of customers who must not be mailed; None where none is configured."""
        path = self.settings.experiment.exclusions.suppressed
        return None if path is None else self.places.find(self.root, path)

    @cached_property
    def observer(self) -> Observe:
        """Who tells what came of the assignment."""
        return self._observer(self.tables, self.engagement)

    # ── Ports, with retries and memory ──

    def identity(self, port: str) -> Identity | None:
        """What names a port's adapter; None where the port is switched off. No service is called.

        That of `search` is without a corpus: the content is an input.
        """
        if port not in self._identities:
            made = self.ports.search("") if port == "search" else getattr(self.ports, port)
            found: Identity | None = None if made is None else made.identity
            if port == "search" and found is not None:
                found = replace(found, corpus="")
            self._identities[port] = found
        return self._identities[port]

    @property
    def concurrency(self) -> int:
        """How many calls may be under way at once."""
        return self.settings.services.calls.concurrency

    @property
    def ledger(self) -> Ledger:
        """The memory of paid calls; opened when a metered port is first asked."""
        with self._ledger_lock:
            if self._ledger is None:
                self._store = self.ports.store()
                is_run = "run" in self.__dict__
                self._ledger = Ledger(
                    self._store,
                    run_id=self.run.run_id if is_run else NO_RUN,
                    # A budget is a run's.
                    budget_usd=self.settings.services.budget_usd if is_run else None,
                    refresh=self._refresh,
                )
            return self._ledger

    @property
    def run_ledger(self) -> Ledger | None:
        """The memory of paid calls, in a run; a question beside a run is asked past it."""
        return self.ledger if hasattr(self, "run") else None

    @property
    def ledger_used(self) -> bool:
        """Whether this process has asked the ledger for anything."""
        return self._ledger is not None

    @property
    def paid(self) -> Ledger | None:
        """The ledger, where this run has asked it for anything, be it in an earlier process."""
        return self.ledger if self.ledger_used or self.run.metered_calls else None

    @property
    def complete(self) -> Guarded[Prompt, Completion]:
        """The writer."""
        terms = complete_terms(self.settings.services, self.ports.complete)
        return Guarded(self.ports.complete, terms, self.calls, lambda: self.run_ledger)

    @property
    def screen(self) -> Guarded[str, tuple[Finding, ...]]:
        """The screener."""
        terms = screen_terms(self.settings.services, self.ports.screen)
        return Guarded(self.ports.screen, terms, self.calls, lambda: self.run_ledger)

    @property
    def shield(self) -> Guarded[str, bool] | None:
        """Who looks for attacks in documents; None where that is switched off."""
        if self.ports.shield is None:
            return None
        terms = shield_terms(self.settings.services, self.ports.shield)
        # Beside a run, too: who asks holds the workspace's lock, and a document is paid for once.
        return Guarded(self.ports.shield, terms, self.calls, lambda: self.ledger)

    @property
    def judge(self) -> Guarded[Sourced, Opinion] | None:
        """Who gives a second opinion; None where that is switched off."""
        if self.ports.judge is None:
            return None
        terms = judge_terms(self.settings.services, self.ports.judge)
        return Guarded(self.ports.judge, terms, self.calls, lambda: self.run_ledger)

    @cached_property
    def grounder(self) -> MessageGrounder:
        """Grounds the run's messages, each once."""
        config = self.settings.experiment.grounding
        return MessageGrounder(self.ports.embed, config, frame_lines(self.settings))

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Every check on a message, in the order in which they run."""
        return message_checks(self)

    def index(self, documents: tuple[Document, ...]) -> IndexReport:
        """Make exactly these documents searchable; asked again, it goes on where it stopped."""

        def ask() -> IndexReport:
            with within_a_call():
                return self.ports.index(documents, progress=self.advance)

        with call_span("index", self.ports.index):
            return self.calls.make("index", ask, local=not self.ports.index.metered)

    def search(self, index: str) -> Guarded[Query, tuple[Passage, ...]]:
        """The search of an index, by the index's name."""
        port = self.ports.search(index)
        terms = search_terms(self.settings.services, port)
        return Guarded(port, terms, self.calls, lambda: self.run_ledger)

    # ── Telling ──

    def advance(self, done: int, total: int) -> None:
        """Tell how far the present stage is."""
        self.notify(Step(stage=self._stage, state="advanced", done=done, total=total))

    def enter(self, stage: str) -> None:
        """Begin a stage."""
        self._stage = stage
        self.notify(Step(stage=stage, state="started"))

    def take_up(self, folder: RunFolder, record: Run) -> None:
        """Look at a finished run; which documents are valid was decided when it began."""
        self.folder, self.run = folder, record
        valid = record.inputs.get("valid_documents", "")
        self.inputs = {**self.inputs, "valid_documents": valid}

    def save(self, **changes: object) -> None:
        """Change the run's record and write it."""
        self.run = replace(self.run, **changes)  # type: ignore[arg-type] # fields of Run by name
        self.folder.save(self.run)

    def close(self) -> None:
        """Give back the engine and the ledger's file."""
        if "tables" in self.__dict__:
            self.tables.close()
        if "places" in self.__dict__:
            self.places.close()
        if self._store is not None:
            self._store.close()


def fingerprint_parts(stages: Sequence[Stage], work: Work) -> dict[str, Json]:
    """What shapes the outcome of stages, by name: their inputs, settings, adapters and code.

    This is the one definition of what makes two runs the same. A stage's key, a run's default id
    and the question whether a finished run is the one that is asked for are all answered by it.
    """
    parts: dict[str, Json] = {"code": code_fingerprint(), "versions": to_json(versions())}
    for stage in stages:
        settings = stage.settings(work) if callable(stage.settings) else stage.settings
        parts |= {name: work.inputs.get(name) for name in stage.inputs}
        parts |= dict(_setting(work.settings, path) for path in settings)
        parts |= {f"{port} adapter": to_json(work.identity(port)) for port in stage.ports}
        checks = in_stage(work.checks, stage.checks)
        parts |= {f"check {check.name}": check.digest for check in checks}
    return parts


def stage_key(stage: Stage, work: Work) -> str:
    """What names a stage's outcome: its parts, and the files it reads as they were written."""
    written = {name: digest for s in work.run.stages for name, digest in s.outputs.items()}
    read = {
        name: written.get(name) or digest_file(work.folder.file(name))
        for name in stage.reads
        if name in written or _there(work, name)
    }
    return fingerprint(stage.name, fingerprint_parts((stage,), work), read)


def _setting(settings: Settings, path: str) -> tuple[str, Json]:
    """A setting as its reader knows it, by file and key, and its value as JSON."""
    from pydantic_core import to_jsonable_python

    group, *keys = path.split(".")
    value: object = settings
    for name in (group, *keys):
        value = getattr(value, name)
    file = _FILE_OF[group]
    shown = f"{file}: {'.'.join(keys)}" if keys else file
    return shown, _brief(_without_paths(to_jsonable_python(value)))


def _without_paths(value: Json) -> Json:
    """Settings without where files lie: what a file holds is an input, and digested as such."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k != "path" or isinstance(v, dict)}
        return {key: _without_paths(item) for key, item in kept.items()}
    return [_without_paths(item) for item in value] if isinstance(value, list) else value


def _brief(value: Json) -> Json:
    """Values by key, a list or a long text by its digest."""
    if isinstance(value, dict):
        return {key: _brief(item) for key, item in value.items()}
    is_short = not isinstance(value, list) and len(str(value)) <= _LONGEST_SHOWN
    return value if is_short else fingerprint(value)


def is_kept(stage: Stage, work: Work, key: str) -> bool:
    """Whether the stage ran with this key and all that it wrote is still there, unchanged."""
    before = next((s for s in work.run.stages if s.name == stage.name), None)
    if before is None or before.status != DONE or before.key != key:
        return False
    return all(
        _there(work, name) and digest_file(work.folder.file(name)) == digest
        for name, digest in before.outputs.items()
    )


def carry_out(stages: Sequence[Stage], work: Work) -> None:
    """Run the stages in order, keeping those whose outcome is there already."""
    for stage in stages:
        key = stage_key(stage, work)
        with within(stage=stage.name), span("stage", stage=stage.name) as one:
            if is_kept(stage, work, key) and (stage.intact is None or stage.intact(work)):
                one.set(outcome="kept")
                work.notify(Step(stage=stage.name, state="kept"))
                event("stage_kept", agent="pipeline")
                continue
            _carry_out(stage, work, key)


def _carry_out(stage: Stage, work: Work, key: str) -> None:
    started = time.perf_counter()
    event("stage_started", agent="pipeline")
    work.enter(stage.name)
    note = stage.run(work)
    if work.ledger_used:
        work.ledger.check_budget()
    work.calls.check_services()
    seconds = round(time.perf_counter() - started, 3)
    record = StageRun(
        name=stage.name,
        status=DONE,
        key=key,
        outputs={
            name: digest_file(work.folder.file(name)) for name in stage.writes if _there(work, name)
        },
        seconds=seconds,
        finished_at=utc_now(),
    )
    others = tuple(s for s in work.run.stages if s.name != stage.name)
    # Counted with the stage: a process that dies later must not forget that the run has paid.
    calls = work.paid.calls if work.paid else 0
    work.save(stages=(*others, record), metered_calls=calls)
    event("stage_finished", agent="pipeline", seconds=seconds)
    work.notify(Step(stage=stage.name, state="done", note=note))


def unfinish(work: Work, names: Sequence[str]) -> None:
    """Mark stages that hold failures of a provider, so that a later run asks again."""
    work.save(
        stages=tuple(
            replace(stage, status=UNFINISHED) if stage.name in names else stage
            for stage in work.run.stages
        )
    )


def _there(work: Work, name: str) -> bool:
    return work.folder.file(name).exists()
