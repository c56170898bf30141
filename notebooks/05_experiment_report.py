# %% [markdown]
# # 05 Experiment report
#
# The report that every run writes, here for the workspace's campaign and built section by section.
# Each section is a function of `liftwright.agents.reporting`; the numbers come from the run's
# `metrics.json`, `decisions.json` and `run.json`.

# %%
from pathlib import Path

from liftwright import Workspace
from liftwright.agents.reporting import charts, estimates, messages, next_steps, outcomes, summary
from liftwright.agents.reporting.markdown import Markdown, bullets, escape
from liftwright.agents.reporting.run_reader import read_run

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
run = read_run(Workspace(ROOT).run().folder)
summary.cover(run)

# %% [markdown]
# ## Before the run: can the campaign answer its question?
#
# The output of `liftwright plan`, before any cost.

# %%
Markdown(bullets(escape(answer) for answer in Workspace(ROOT).plan().answers))

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
# An interval that contains zero means that the data are consistent with no effect.

# %%
charts.lift_by_variant(run)

# %%
outcomes.overall(run)

# %% [markdown]
# ## Decisions and other estimators

# %%
estimates.decisions(run)

# %%
estimates.other_estimates(run)

# %%
estimates.win_probabilities(run)

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
# ## Validity: plan, assignment, sample ratio, power, balance

# %%
estimates.plan(run)

# %%
outcomes.assignment(run)

# %%
outcomes.engagement(run)

# %%
outcomes.sample_ratio(run)

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
next_steps.production_architecture()

# %%
next_steps.technical_debt()

# %%
next_steps.timeline()
