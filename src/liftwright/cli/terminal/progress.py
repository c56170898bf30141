"""Progress on stderr, if it is a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from liftwright.campaign.pipeline import STAGES
from liftwright.log import logs_to_stderr

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from liftwright.campaign import StageProgress


class Progress:
    """Shows the stages of a run as they proceed; silent if stderr is not a terminal.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._shown = self._console.is_terminal and not (quiet or logs_to_stderr())
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the display."""
        if self._shown:
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the display; the lines of finished stages remain."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: StageProgress) -> None:
        """Show a progress report."""
        if self._bar is None:
            return
        names = [stage.name for stage in STAGES]
        position = (
            f"[dim]{names.index(step.stage) + 1:>2}/{len(names)}[/]" if step.stage in names else ""
        )
        if step.state == "started":
            self._clear()
            self._task = self._bar.add_task(f"{position} {step.stage}", total=None)
        elif step.state == "advanced":
            if self._task is None:
                self._task = self._bar.add_task(step.stage or "working", total=step.total)
            self._bar.update(self._task, completed=step.done, total=step.total)
        else:
            self._clear()
            sign = "[dim]=[/]" if step.state == "kept" else "[green]✓[/]"
            note = "already done" if step.state == "kept" else escape(step.note)
            self._bar.console.print(f"{sign} {position} {step.stage:<9} [dim]{note}[/]")

    def _clear(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
