# %% [markdown]
# # 05 Experiment report
#
# The report that a run writes by itself, here from its parts, for the workspace's campaign. Each
# section is one function of `liftwright.agents.reporting`; the numbers are those of the run's
# `metrics.json`, `decisions.json` and `run.json`.

# %%
from pathlib import Path

from liftwright import Workspace
from liftwright.agents.reporting import charts, estimates, messages, next_steps, outcomes, summary
from liftwright.agents.reporting.markdown import Words, bullets, plain
from liftwright.agents.reporting.run_reader import read_run

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
run = read_run(Workspace(ROOT).run().folder)
summary.cover(run)

# %% [markdown]
# ## Before: can the campaign answer its question?
#
# What `liftwright plan` says before anything is paid for.

# %%
Words(bullets(plain(answer) for answer in Workspace(ROOT).plan().answers))

# %% [markdown]
# ## Executive summary

# %%
summary.summary(run)

# %% [markdown]
# ## Success criteria

# %%
summary.criteria(run)

# %% [markdown]
# ## Lift by variant
#
# An interval that crosses zero means that the data agree with no effect at all.

# %%
charts.lift_by_variant(run)

# %%
outcomes.overall(run)

# %% [markdown]
# ## What to do with each arm, and what other estimators say

# %%
estimates.decisions(run)

# %%
estimates.others(run)

# %%
estimates.beliefs(run)

# %% [markdown]
# ## Lift by segment

# %%
estimates.interactions(run)

# %%
charts.lift_by_segment(run)

# %%
outcomes.by_segment(run)

# %%
outcomes.winners(run)

# %% [markdown]
# ## Soundness: plan, assignment, sample ratio, power, balance

# %%
estimates.plan(run)

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
next_steps.next_steps(run)

# %%
next_steps.scaling(run)

# %%
next_steps.production()

# %%
next_steps.debts()

# %%
next_steps.timeline()
