"""The context shared by the stages of a run: settings, tables, content, ports, and progress."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.agents.grounding import MessageGrounder
from liftwright.calls.cache_policy import (
    complete_policy,
    judge_policy,
    screen_policy,
    search_policy,
    shield_policy,
)
from liftwright.calls.client import PortClient
from liftwright.calls.concurrency import Prefetch
from liftwright.calls.ledger import Ledger
from liftwright.campaign.checks import frame_lines, message_checks
from liftwright.campaign.sample import leftover_brand_values
from liftwright.content import documents as contents
from liftwright.data import FileResolver, Tables, load_customers, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liftwright.audit import AuditLog
    from liftwright.calls.client import Calls
    from liftwright.config import Settings
    from liftwright.content.documents import Corpus
    from liftwright.data import CustomersReport
    from liftwright.model import (
        Completion,
        Document,
        Finding,
        Identity,
        JudgeRequest,
        Judgment,
        Passage,
        Prompt,
        Query,
        Run,
    )
    from liftwright.model.checks import Check
    from liftwright.model.remote_files import File
    from liftwright.model.run_files import RunFolder
    from liftwright.ports import IndexReport, Observe, Ports, Store

NO_RUN = "no-run"
"""The run id in the ledger for calls outside a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """What a stage reports while it runs.

    Attributes:
        state: started | advanced | kept | done.
        done, total: items processed, where the stage counts them.
        note: a short summary for people.
    """

    stage: str
    state: str
    done: int = 0
    total: int = 0
    note: str = ""


class RunContext:
    """The context shared by the stages of a run; expensive parts are created at first use.

    Attributes:
        root: the workspace.
        run: the current record of the run, stored in `folder`.
        inputs: digests of customers, content and engagement.
    """

    def __init__(  # noqa: PLR0913 - the parts of a context
        self,
        *,
        root: Path,
        settings: Settings,
        ports: Ports,
        calls: Calls,
        folder: RunFolder,
        audit: AuditLog,
        observer: Callable[[Tables, File | None], Observe],
        engagement: str | Path | None,
        refresh: bool,
        notify: Callable[[StageProgress], None],
    ) -> None:
        self.root = root
        self.settings = settings
        self.ports = ports
        self.folder = folder
        self.audit = audit
        self._engagement = engagement
        self.notify = notify
        self.calls = calls
        calls.ledger = lambda: self.run_ledger
        self.run: Run
        self.inputs: Mapping[str, str] = {}
        self._observer = observer
        self._refresh = refresh
        self._stage = ""
        self._identities: dict[str, Identity | None] = {}
        self._ledger: Ledger | None = None
        self._store: Store | None = None
        self._ledger_lock = threading.Lock()

    # ── The data plane ──

    @cached_property
    def tables(self) -> Tables:
        """The tables in the configured engine."""
        engine = self.ports.engine()
        return Tables(engine, scratch=scratch_folder(self.root / "data"), files=self.file_resolver)

    @cached_property
    def file_resolver(self) -> FileResolver:
        """Finds files by path or URL; each URL is looked up once per process."""
        return FileResolver(self.ports.objects, self.root / "data")

    @cached_property
    def engagement(self) -> File | None:
        """The file of real outcomes; None to simulate."""
        return (
            None if self._engagement is None else self.file_resolver.find(Path(), self._engagement)
        )

    @cached_property
    def customers(self) -> CustomersReport:
        """Reads the customers into the tables `customers` and `rejected`; returns the report."""
        return load_customers(self.tables, self.settings.customers, self.root)

    def load_customers(self) -> None:
        """Create the table `customers` if it does not exist; raises if it cannot be read."""
        _ = self.customers

    @property
    def customers_read(self) -> bool:
        """Whether this process has read the customers."""
        return "customers" in self.__dict__

    @cached_property
    def corpus(self) -> Corpus:
        """The approved content, including expired documents."""
        return self.read_content(self.root / self.settings.experiment.content.path)

    def content_warnings(self, corpus: Corpus) -> tuple[str, ...]:
        """What a person should know about the content, a sentence each."""
        leftover = leftover_brand_values(self.settings.experiment.brand, corpus.documents)
        if not leftover:
            return corpus.warnings
        found = (
            f"config/experiment_config.yaml: {', '.join(leftover)} still have the values of the "
            "sample brand, but the content is not the sample's."
        )
        return (*corpus.warnings, found)

    def read_content(self, path: Path, *, any_language: bool = False) -> Corpus:
        """Read the documents of a folder or file as configured.

        Args:
            path: a folder or file.
            any_language: whether documents may be in a language that the adapters do not judge.
        """
        used = (self.ports.complete, self.ports.embed, self.ports.screen)
        english_only = any(port.identity.provider == "embedded" for port in used)
        return contents.read_documents(
            path,
            on_bad=self.settings.experiment.content.on_bad_documents,
            defaults=self.settings.content_defaults,
            english_only=english_only and not any_language,
        )

    @property
    def suppressed(self) -> File | None:
        """The suppression list: customers who must not be mailed; None if not configured."""
        path = self.settings.experiment.exclusions.suppressed
        return None if path is None else self.file_resolver.find(self.root, path)

    @cached_property
    def observer(self) -> Observe:
        """Provides the outcomes of the assignment, from a file or from the simulator."""
        return self._observer(self.tables, self.engagement)

    # ── Ports, with retries and ledger ──

    def identity(self, port: str) -> Identity | None:
        """The identity of a port's adapter; None if the port is switched off. Calls no service.

        The identity of `search` has no corpus, because the content is an input of the run.
        """
        if port not in self._identities:
            adapter = self.ports.search("") if port == "search" else getattr(self.ports, port)
            identity: Identity | None = None if adapter is None else adapter.identity
            if port == "search" and identity is not None:
                identity = replace(identity, corpus="")
            self._identities[port] = identity
        return self._identities[port]

    @property
    def concurrency(self) -> int:
        """The maximum number of concurrent calls."""
        return self.settings.services.calls.concurrency

    @property
    def ledger(self) -> Ledger:
        """The ledger of paid calls; opened when a metered port is first called."""
        with self._ledger_lock:
            if self._ledger is None:
                self._store = self.ports.store()
                is_run = "run" in self.__dict__
                self._ledger = Ledger(
                    self._store,
                    run_id=self.run.run_id if is_run else NO_RUN,
                    # The budget applies to runs only.
                    budget_usd=self.settings.services.budget_usd if is_run else None,
                    refresh=self._refresh,
                )
            return self._ledger

    @property
    def run_ledger(self) -> Ledger | None:
        """The ledger within a run; calls outside a run are not cached."""
        return self.ledger if hasattr(self, "run") else None

    @property
    def ledger_used(self) -> bool:
        """Whether this process has used the ledger."""
        return self._ledger is not None

    @property
    def paid(self) -> Ledger | None:
        """The ledger if this run has used it, in this process or an earlier one."""
        return self.ledger if self.ledger_used or self.run.metered_calls else None

    @property
    def complete(self) -> PortClient[Prompt, Completion]:
        """The writer."""
        policy = complete_policy(self.settings.services, self.ports.complete)
        return PortClient(self.ports.complete, policy, self.calls)

    @property
    def screen(self) -> PortClient[str, tuple[Finding, ...]]:
        """The screener."""
        policy = screen_policy(self.settings.services, self.ports.screen)
        return PortClient(self.ports.screen, policy, self.calls)

    @cached_property
    def screen_prefetch(self) -> Prefetch[str, tuple[Finding, ...]]:
        """Screens texts in the background that a later stage needs anyway.

        It uses at most half of the slots, so that the running stage always finds a free one. A
        local screener is not prefetched, because it would slow the stage down. With a budget
        nothing is prefetched: a reservation for screening could block a draft.
        """
        allowed = self.ports.screen.metered and self.settings.services.budget_usd is None
        policy = screen_policy(self.settings.services, self.ports.screen)
        client = PortClient(self.ports.screen, policy, self.calls, low_priority=True)
        return Prefetch(client, max(1, self.concurrency // 2) if allowed else 0)

    @property
    def shield(self) -> PortClient[str, bool] | None:
        """Detects prompt injections in documents; None if switched off."""
        if self.ports.shield is None:
            return None
        policy = shield_policy(self.settings.services, self.ports.shield)
        # Also outside a run: the caller holds the workspace lock, and each document is paid once.
        return PortClient(self.ports.shield, policy, self.calls, ledger=lambda: self.ledger)

    @property
    def judge(self) -> PortClient[JudgeRequest, Judgment] | None:
        """Judges the groundedness of messages; None if switched off."""
        if self.ports.judge is None:
            return None
        policy = judge_policy(self.settings.services, self.ports.judge)
        return PortClient(self.ports.judge, policy, self.calls)

    @cached_property
    def grounder(self) -> MessageGrounder:
        """Grounds each message of the run once."""
        config = self.settings.experiment.grounding
        return MessageGrounder(self.ports.embed, config, frame_lines(self.settings))

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Every check on a message, in the order in which they run."""
        return message_checks(self)

    def index(self, documents: tuple[Document, ...]) -> IndexReport:
        """Index exactly these documents; a repeated call resumes an interrupted one."""
        port = self.ports.index
        return self.calls.make(
            "index",
            lambda: port(documents, progress=self.report_progress),
            local=not port.metered,
            port=port,
        )

    def search(self, index: str) -> PortClient[Query, tuple[Passage, ...]]:
        """The search over the named index."""
        port = self.ports.search(index)
        return PortClient(port, search_policy(self.settings.services, port), self.calls)

    # ── Progress ──

    def report_stage(self, stage: str, state: str, note: str = "") -> None:
        """Report that a stage was started, kept or done."""
        self._stage = stage
        self.notify(StageProgress(stage=stage, state=state, note=note))

    def report_progress(self, done: int, total: int) -> None:
        """Report the progress of the current stage."""
        self.notify(StageProgress(stage=self._stage, state="advanced", done=done, total=total))

    # ── The run's record ──

    def open_finished(self, folder: RunFolder, record: Run) -> None:
        """Load a finished run; its valid documents are those fixed at its start."""
        self.folder, self.run = folder, record
        valid = record.inputs.get("valid_documents", "")
        self.inputs = {**self.inputs, "valid_documents": valid}

    def save(self, **changes: object) -> None:
        """Update the run's record and write it."""
        self.run = replace(self.run, **changes)  # type: ignore[arg-type] # fields of Run by name
        self.folder.save(self.run)

    def finish_prefetch(self) -> None:
        """Stop prefetching and wait for the running calls, which are already paid for."""
        if "screen_prefetch" in self.__dict__:
            self.screen_prefetch.close()

    def close(self) -> None:
        """Close the engine, the file resolver and the ledger."""
        if "tables" in self.__dict__:
            self.tables.close()
        if "file_resolver" in self.__dict__:
            self.file_resolver.close()
        if self._store is not None:
            self._store.close()
