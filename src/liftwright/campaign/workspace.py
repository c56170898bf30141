"""The workspace: the facade behind the command line and the API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.campaign import queries
from liftwright.campaign.approve import approve_variant
from liftwright.campaign.bootstrap import check_is_workspace, open_context, workspace_lock
from liftwright.campaign.doctor import Health, HealthCheck, check_health, run_doctor
from liftwright.campaign.plan import Plan, plan_campaign
from liftwright.campaign.queries import read_queries, search_texts
from liftwright.campaign.run import RunOutcome, run_campaign
from liftwright.campaign.run_resolver import RunRequest, dated
from liftwright.campaign.verify import verify_workspace
from liftwright.errors import InputError
from liftwright.model.run_files import RunFolder, all_runs
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from liftwright.audit import Verification
    from liftwright.campaign.context import RunContext, StageProgress
    from liftwright.model import Json, Passage, Run, SafetyDecision
    from liftwright.ports import IndexReport


def _quietly(step: StageProgress) -> None:
    del step


class Workspace:
    """A folder with config/, data/ and logs/, and all operations on it.

    Args:
        root: the folder; read only when a method needs it.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def run(
        self,
        request: RunRequest | None = None,
        *,
        notify: Callable[[StageProgress], None] = _quietly,
    ) -> RunOutcome:
        """Run the campaign, resume it, keep it, or measure it again."""
        return run_campaign(self.root, request or RunRequest(), notify)

    def plan(self, request: RunRequest | None = None) -> Plan:
        """The calls and cost of a run, and the lifts it could detect."""
        return plan_campaign(self.root, request or RunRequest())

    def status(self, run_id: str | None = None) -> Run:
        """The record of a run; by default of the latest one."""
        return self._record(self.folder(run_id))

    def runs(self) -> tuple[Run, ...]:
        """The records of all runs, by start.

        Raises:
            InputError: the folder holds no workspace.
        """
        return tuple(self._record(folder) for folder in self._run_folders())

    def folder(self, run_id: str | None = None) -> RunFolder:
        """The folder of a run; by default of the latest one.

        Args:
            run_id: `{date}` in it stands for today's date in UTC.

        Raises:
            InputError: there is no such run, or the folder holds no workspace.
        """
        known = self._run_folders()
        if run_id is None:
            if not known:
                raise InputError(f"{self.root}: no runs yet; start one with `liftwright run`")
            return known[-1]
        run_id = dated(run_id)
        for folder in known:
            if folder.path.name == run_id:
                return folder
        names = ", ".join(folder.path.name for folder in known[-10:]) or "none yet"
        raise InputError(f"run {run_id!r}: no such run; the latest runs: {names}")

    def report(self, run_id: str | None = None, *, form: str | None = None) -> tuple[Path, ...]:
        """Write a run's report again; `form` is ipynb, pdf, or None for both."""
        from liftwright.agents.reporting import write_report

        if form not in (None, "ipynb", "pdf"):
            raise InputError(f"--format: found {form!r}, allowed: ipynb or pdf")
        folder = self.folder(run_id)
        if not folder.file("metrics.json").is_file():
            run = self._record(folder)
            raise InputError(f"run {run.run_id}: nothing to report yet; its status is {run.status}")
        return write_report(folder.path, form=form)

    def verify(self, run_id: str | None = None) -> Verification:
        """Verify the audit log and the runs' files against it."""
        if run_id is not None:
            self.folder(run_id)
        self._run_folders()
        return verify_workspace(self.root)

    def approve(self, run_id: str, variant_id: str, who: str) -> SafetyDecision:
        """Approve a waiting variant."""
        folder = self.folder(run_id)
        with workspace_lock(self.root):
            return approve_variant(self.root, folder, variant_id, who)

    def doctor(self, *, live: bool = False) -> tuple[HealthCheck, ...]:
        """Check the installation, the configuration and the adapters."""
        return run_doctor(self.root, live=live)

    def health(self, *, max_age_hours: float | None = None) -> Health:
        """Whether the workspace can do its next scheduled run; calls no service."""
        return check_health(self.root, max_age_hours=max_age_hours)

    def index(
        self,
        content: Path | None = None,
        *,
        remove_old: bool = False,
        notify: Callable[[StageProgress], None] = _quietly,
    ) -> IndexReport:
        """Index the approved content; `remove_old` deletes earlier indexes."""
        return queries.index_content(self._context(notify), content, remove_old=remove_old)

    def search(
        self, text: str, top_k: int = 5, min_score: float = 0.0, content: Path | None = None
    ) -> tuple[Passage, ...]:
        """The best passage of each document for a text, best first."""
        ((_, passages),) = search_texts(
            self._context(), iter([(None, text)]), top_k=top_k, min_score=min_score, content=content
        )
        return passages

    def search_many(
        self, queries: Path, top_k: int = 5, min_score: float = 0.0, content: Path | None = None
    ) -> Iterator[tuple[Json, tuple[Passage, ...]]]:
        """The same for each line of a JSONL file with id and text."""
        return search_texts(
            self._context(),
            read_queries(queries),
            top_k=top_k,
            min_score=min_score,
            content=content,
        )

    def screen(self, source: str) -> Iterator[queries.ScreenedText]:
        """Screen a text, or each line of a JSONL file."""
        return queries.screen_texts(self._context(), source)

    def ground(self, file: Path) -> Iterator[queries.GroundedText]:
        """Compare the text in each line of a JSONL file with its sources."""
        return queries.ground_texts(self._context(), file)

    def _context(self, notify: Callable[[StageProgress], None] = _quietly) -> RunContext:
        return open_context(self.root, read_settings(self.root), notify=notify)

    def _run_folders(self) -> Sequence[RunFolder]:
        check_is_workspace(self.root)
        return all_runs(self.root)

    @staticmethod
    def _record(folder: RunFolder) -> Run:
        record = folder.record()
        if record is None:
            raise InputError(f"{folder.path}: no run.json")
        return record
