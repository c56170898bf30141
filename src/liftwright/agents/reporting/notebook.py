"""The report as a notebook: its text, and its execution by this very interpreter."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.errors import LiftwrightError

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

COVER = "cover"
TEMPLATE = """\
# %% tags=["cover"]
from pathlib import Path

from liftwright.agents.reporting import (
    charts,
    estimates,
    messages,
    next_steps,
    outcomes,
    summary,
)
from liftwright.agents.reporting.run_reader import read_run

run = read_run(Path.cwd().parent)
summary.cover(run)

# %% [markdown]
# ## Executive summary

# %%
summary.summary(run)

# %% [markdown]
# ### Success criteria

# %%
summary.criteria(run)

# %% [markdown]
# ## Lift by variant

# %%
charts.lift_by_variant(run)

# %%
outcomes.overall(run)

# %% [markdown]
# ### What to do with each arm

# %%
estimates.decisions(run)

# %% [markdown]
# ### Other estimates

# %%
estimates.others(run)

# %% [markdown]
# ### Probability to be best

# %%
estimates.beliefs(run)

# %% [markdown]
# ## Lift by segment

# %%
charts.lift_by_segment(run)

# %%
outcomes.winners(run)

# %% [markdown]
# ### Does the effect differ between segments?

# %%
estimates.interactions(run)

# %%
outcomes.by_segment(run)

# %% [markdown]
# ## Segments

# %%
outcomes.segments(run)

# %% [markdown]
# ## Soundness of the experiment
#
# ### Analysis plan

# %%
estimates.plan(run)

# %% [markdown]
# ### Assignment

# %%
outcomes.assignment(run)

# %% [markdown]
# ### Engagement

# %%
outcomes.engagement(run)

# %% [markdown]
# ### Looks at the outcomes

# %%
outcomes.course(run)

# %% [markdown]
# ### Sample-ratio check

# %%
outcomes.ratio_check(run)

# %% [markdown]
# ### Sample size and power

# %%
outcomes.power(run)

# %% [markdown]
# ### Balance across arms

# %%
charts.balance(run)

# %%
outcomes.balance(run)

# %% [markdown]
# ## Safety

# %%
messages.safety(run)

# %% [markdown]
# ### Audit

# %%
messages.audit(run)

# %% [markdown]
# ## Content
#
# ### Citations

# %%
messages.citations(run)

# %% [markdown]
# ### Groundedness

# %%
messages.grounding(run)

# %% [markdown]
# ### Failures

# %%
messages.failures(run)

# %% [markdown]
# ## Operationalisation and next steps
#
# ### Next steps

# %%
next_steps.next_steps(run)

# %% [markdown]
# ### Scaling

# %%
next_steps.scaling(run)

# %% [markdown]
# ### Production architecture

# %%
next_steps.production()

# %% [markdown]
# ### Technical debt

# %%
next_steps.debts()

# %% [markdown]
# ### Timeline and resources

# %%
next_steps.timeline()

# %% [markdown]
# ## Appendix: the messages

# %%
messages.appendix(run)
"""
_CELL_SECONDS = 300
_LONGEST_FOLDER = 80  # a socket's path may have about a hundred characters


def notebook_of(text: str) -> NotebookNode:
    """A notebook from jupytext's percent format; equal text gives equal ids of cells."""
    import jupytext

    notebook: NotebookNode = jupytext.reads(text, fmt="py:percent")
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03d}"
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run a notebook's cells in `folder` with this interpreter, and keep what they show.

    No kernel need be installed, and nothing is written outside a temporary folder, whatever the
    home folder is.

    Raises:
        LiftwrightError: naming the cell and the error.
    """
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class ThisInterpreter(KernelSpecManager):
        """Knows one kernel: the interpreter that runs this."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            """How to start it, whatever kernel is asked for."""
            launch = ["-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
            return KernelSpec(
                argv=[
                    sys.executable,
                    *launch,
                    "-f",
                    "{connection_file}",
                    "--HistoryManager.enabled=False",
                ],
                display_name=kernel_name,
                language="python",
            )

    with tempfile.TemporaryDirectory(prefix="lw-") as temporary:
        client = NotebookClient(
            notebook,
            km=_manager(AsyncKernelManager, ThisInterpreter(), Path(temporary)),
            timeout=_CELL_SECONDS,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
        )
        client.owns_km = True  # so that it ends the kernel that it was given
        try:
            client.execute(env=_environment(Path(temporary)))
        except CellExecutionError as error:
            raise LiftwrightError(
                f"notebook: a cell failed ({error.ename}: {error.evalue})"
            ) from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise LiftwrightError(f"notebook: {type(error).__name__}: {error}") from None
    notebook.metadata.pop("widgets", None)


def _manager(
    kind: type[AsyncKernelManager], specs: KernelSpecManager, temporary: Path
) -> AsyncKernelManager:
    """A kernel whose files are in a temporary folder and that opens no port of the network."""
    manager = kind(kernel_spec_manager=specs, kernel_name="python3")
    manager.connection_file = str(temporary / "kernel.json")
    if sys.platform != "win32" and len(str(temporary)) < _LONGEST_FOLDER:
        manager.transport = "ipc"
        manager.ip = str(temporary / "k")
    return manager


def _environment(temporary: Path) -> dict[str, str]:
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    return {
        **os.environ,
        **{name: str(temporary / name.lower()) for name in folders},
        # What is imported here is what the cells import, installed or not.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def as_text(notebook: NotebookNode) -> str:
    """The notebook as a file's content."""
    import nbformat

    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]
