"""The report as a notebook, executed in this process."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from liftwright.agents.reporting.charts import Chart
from liftwright.errors import LiftwrightError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nbformat import NotebookNode

    from liftwright.agents.reporting.markdown import Markdown
    from liftwright.agents.reporting.run_reader import RunFiles

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

if "run" not in globals():
    run = read_run(Path.cwd().parent)  # the folder of this notebook's run
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
estimates.other_estimates(run)

# %% [markdown]
# ### Probability of being best

# %%
estimates.win_probabilities(run)

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
# ## Validity of the experiment
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
# ### Interim looks

# %%
outcomes.interim_looks(run)

# %% [markdown]
# ### Sample-ratio check

# %%
outcomes.sample_ratio(run)

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
next_steps.production_architecture()

# %% [markdown]
# ### Technical debt

# %%
next_steps.technical_debt()

# %% [markdown]
# ### Timeline and resources

# %%
next_steps.timeline()

# %% [markdown]
# ## Appendix: the messages

# %%
messages.appendix(run)
"""
_CELL = "# %%"
_MARKDOWN = " [markdown]"
_TAGGED = ' tags=["cover"]'


def executed_notebook(run: RunFiles) -> NotebookNode:
    """The report's notebook with outputs, as if run by Jupyter.

    The cells run in this process, because starting a kernel takes longer than running all cells.

    Raises:
        LiftwrightError: a cell failed.
    """
    import nbformat

    names: dict[str, object] = {"__name__": "__main__", "run": run}
    cells: list[dict[str, object]] = []
    count = 0
    for kind, source in _cells(TEMPLATE):
        cell: dict[str, object] = {
            "id": f"cell-{len(cells):03d}",
            "cell_type": "markdown" if kind == _MARKDOWN else "code",
            "metadata": {"tags": [COVER]} if kind == _TAGGED else {},
            "source": source,
        }
        if kind != _MARKDOWN:
            count += 1
            cell |= {"execution_count": count, "outputs": _outputs(source, names, count)}
        cells.append(cell)
    python = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    notebook: NotebookNode = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {
                "kernelspec": {
                    "name": "python3",
                    "display_name": "Python 3",
                    "language": "python",
                },
                "language_info": {**python, "version": ".".join(map(str, sys.version_info[:3]))},
            },
            "cells": cells,
        }
    )
    return notebook


def _cells(template: str) -> Iterator[tuple[str, str]]:
    """The rest of each `# %%` line, and the source of the cell."""
    for block in template.split(_CELL)[1:]:
        kind, _, source = block.partition("\n")
        source = source.strip()
        if kind == _MARKDOWN:
            source = "\n".join(line.removeprefix("#").strip() for line in source.splitlines())
        yield kind, source


def _outputs(source: str, names: dict[str, object], count: int) -> list[dict[str, object]]:
    """Run a cell; its output is the value of its last expression."""
    *statements, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        raise LiftwrightError(f"notebook: cell {count} has no output")
    try:  # the cells are a constant of this module
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)  # noqa: S102 # nosec
        shown = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307 # nosec
        data, metadata = _bundle(shown)
    except Exception as error:
        message = f"notebook: cell {count} failed ({type(error).__name__}: {error})"
        raise LiftwrightError(message) from error
    return [
        {
            "output_type": "execute_result",
            "execution_count": count,
            "data": data,
            "metadata": metadata,
        }
    ]


def _bundle(shown: Chart | Markdown) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """The output of a cell by MIME type, and its metadata."""
    if isinstance(shown, Chart):
        return shown.mime_bundle()
    return {"text/markdown": str(shown), "text/plain": str(shown)}, {}


def as_text(notebook: NotebookNode) -> str:
    """The notebook in its file format."""
    import nbformat

    return f"{nbformat.writes(notebook)}\n"  # type: ignore[no-untyped-call]
