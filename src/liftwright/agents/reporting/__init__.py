"""The reporting agent: turns a run's JSON files into a notebook and a PDF."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from liftwright.agents.reporting.notebook import as_text, executed_notebook
from liftwright.agents.reporting.run_reader import read_run
from liftwright.errors import InputError
from liftwright.log import event
from liftwright.model.run_files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.agents.reporting.run_reader import RunFiles

__all__ = ["FORMS", "write_report"]

FORMS = ("ipynb", "pdf")
_NAME = "experiment_report"


def write_report(folder: Path, *, form: str | None = None) -> tuple[Path, ...]:
    """Write a run's report: an executed notebook, and a PDF of its output.

    Args:
        folder: the run's folder; only its JSON files are read, never a table.
        form: `ipynb` or `pdf`; None for both.

    Returns:
        The files written, in the folder's `report/`.

    Raises:
        InputError: the form is unknown, or the run has no results yet.
        IntegrityError: a file of the run is malformed.
    """
    if form not in (None, *FORMS):
        raise InputError(f"report: found form {form!r}, allowed: {' or '.join(FORMS)}")
    run = read_run(folder)
    target = folder / "report"
    target.mkdir(parents=True, exist_ok=True)
    notebook = executed_notebook(run)
    written = []
    if form in (None, "ipynb"):
        written.append(target / f"{_NAME}.ipynb")
        write_atomically(written[-1], as_text(notebook).encode())
    if form in (None, "pdf"):
        from liftwright.agents.reporting.pdf import to_pdf

        written.append(target / f"{_NAME}.pdf")
        document = to_pdf(
            notebook, title=f"Experiment report: {run.experiment}", footer=_footer(run),
            made_at=_made_at(run),
        )  # fmt: skip
        write_atomically(written[-1], document)
    event("report_written", agent="reporting", files=[path.name for path in written])
    return tuple(written)


def _footer(run: RunFiles) -> str:
    source = "SIMULATED engagement" if run.simulated else ""
    return " · ".join(filter(None, (run.brand, run.experiment, f"run {run.run_id}", source)))


def _made_at(run: RunFiles) -> datetime:
    try:
        started = datetime.fromisoformat(str(run.run["started_at"]))
    except (KeyError, ValueError):
        return datetime(1970, 1, 1, tzinfo=UTC)
    return started if started.tzinfo else started.replace(tzinfo=UTC)
