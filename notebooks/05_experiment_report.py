# %% [markdown]
# # 05 Experiment report
#
# The report that a run writes by itself, here from its parts, for the workspace's campaign. Each
# section is one function of `liftwright.agents.reporting`; the numbers are those of the run's
# `metrics.json`, `decisions.json` and `run.json`.

# %%
from pathlib import Path

from liftwright import Workspace
from liftwright.agents.reporting import charts, following, messages, opening, outcomes
from liftwright.agents.reporting.reading import read_run

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
run = read_run(Workspace(ROOT).run().folder)
opening.cover(run)

# %% [markdown]
# ## Executive summary

# %%
opening.summary(run)

# %% [markdown]
# ## Success criteria

# %%
opening.criteria(run)

# %% [markdown]
# ## Lift by variant
#
# An interval that crosses zero means that the data agree with no effect at all.

# %%
charts.lift_by_variant(run)

# %%
outcomes.overall(run)

# %% [markdown]
# ## Lift by segment

# %%
charts.lift_by_segment(run)

# %%
outcomes.by_segment(run)

# %%
outcomes.winners(run)

# %% [markdown]
# ## Soundness: assignment, sample ratio, power, balance

# %%
outcomes.assignment(run)

# %%
outcomes.engagement(run)

# %%
outcomes.ratio_check(run)

# %%
outcomes.power(run)

# %%
charts.balance(run)

# %%
outcomes.balance(run)

# %% [markdown]
# ## Safety and audit

# %%
messages.safety(run)

# %%
messages.audit(run)

# %% [markdown]
# ## Citations

# %%
messages.citations(run)

# %%
messages.grounding(run)

# %% [markdown]
# ## Operationalisation and next steps

# %%
following.next_steps(run)

# %%
following.scaling(run)

# %%
following.production()

# %%
following.debts()

# %%
following.timeline()
