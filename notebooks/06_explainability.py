# %% [markdown]
# # 06 Explainability
#
# Which customer features and content correlate with engagement, and which features predict a larger
# effect. Correlation is not causation: the experiment measures the effect of the messages, while
# the first part of this notebook shows who engages anyway.

# %%
from pathlib import Path

import altair as alt
import duckdb
import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import spearmanr

from liftwright import Workspace, analyze
from liftwright.agents.reporting import messages
from liftwright.agents.reporting.charts import styled_chart
from liftwright.agents.reporting.markdown import (  # fmt: skip
    Markdown,
    callout,
    count,
    escape,
    join_list,
    number,
    p_value,
    paragraphs,
    table,
)
from liftwright.agents.reporting.run_reader import read_run
from liftwright.model import FEATURES

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
outcome = Workspace(ROOT).run()
run = read_run(outcome.folder)
customers = pd.read_csv(ROOT / "data/raw/customers.csv", dtype={"customer_id": "string"})
engagement = duckdb.read_parquet(str(outcome.folder / "engagement.parquet"))
sent = (
    engagement.filter("delivered")
    .project("customer_id, arm, opened, clicked")
    .df()
    .merge(customers, on="customer_id")
)
features = [name for name in FEATURES if name in sent and sent[name].std() > 0]
paragraphs(
    callout(
        "**SIMULATED.** The engagement was drawn from each customer's historical rates, so those "
        "rates should rank highest: this shows that the analysis recovers known effects, and "
        "nothing about real customers."
    )
    if run.simulated
    else None,
    f"{len(sent):,} delivered messages, {int(sent['opened'].sum()):,} opened, "
    f"{int(sent['clicked'].sum()):,} clicked.",
)

# %% [markdown]
# ## Correlation of features with engagement
#
# Spearman's rank correlation of each feature with opens and clicks, with Bonferroni-corrected
# p-values.

# %%
rows = []
for outcome_name in ("opened", "clicked"):
    for name in features:
        known = sent[[name, outcome_name]].dropna()
        r, p = spearmanr(known[name], known[outcome_name])
        adjusted = min(1.0, float(p) * 2 * len(features))
        rows.append(
            {
                "outcome": outcome_name,
                "feature": name,
                "n": len(known),
                "r": float(r),
                "p": adjusted,
            }
        )
correlations = pd.DataFrame(rows)
correlations["strength"] = correlations["r"].abs()
correlations = correlations.sort_values(["outcome", "strength"], ascending=[True, False])
Markdown(
    table(
        ("Outcome", "Feature", ">n", ">Correlation", ">Adj. p", "Significant"),
        [
            (r.outcome, r.feature.replace("_", " "), count(r.n), number(r.r, 3), p_value(r.p),
             "yes" if r.p < run.result.alpha else "no")
            for r in correlations.itertuples()
        ],
    )
)  # fmt: skip

# %% [markdown]
# ## Importance with the other features held fixed
#
# Coefficients of a logistic regression on standardised features and the arm, with 95% intervals:
# the change in the log-odds of opening per standard deviation. Missing values are replaced by the
# median.

# %%
x = sent[features].fillna(sent[features].median())
x = (x - x.mean()) / x.std()
arms = pd.get_dummies(sent["arm"], dtype=float).drop(columns="control", errors="ignore")
fit = sm.GLM(
    sent["opened"].astype(float), sm.add_constant(pd.concat([x, arms], axis=1)),
    family=sm.families.Binomial(),
).fit()  # fmt: skip
ends = fit.conf_int()
importance = [
    {
        "feature": name.replace("_", " "),
        "effect": round(float(fit.params[name]), 4),
        "low": round(float(ends.loc[name, 0]), 4),
        "high": round(float(ends.loc[name, 1]), 4),
    }
    for name in sorted(features, key=lambda name: -abs(fit.params[name]))
]
base = alt.Chart(alt.InlineData(values=importance)).encode(
    y=alt.Y("feature:N", sort=None, title=None, axis=alt.Axis(labelLimit=220))
)
title = "Importance for opening" + (" (SIMULATED)" if run.simulated else "")
styled_chart(
    (
        base.mark_bar(size=18, color="#0072B2", opacity=0.85).encode(
            x=alt.X("effect:Q", title="change in log-odds per standard deviation")
        )
        + base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    )
    .properties(width=400, height=170, title=title)
    .to_dict(),
    f"{title}: " + "; ".join(f"{i['feature']} {i['effect']:+.2f}" for i in importance) + ".",
)

# %% [markdown]
# ## Interpretation

# %%
significant = [i for i in importance if i["low"] > 0 or i["high"] < 0]
others = [i["feature"] for i in importance if i not in significant]
effects = [
    f"an increase in {i['feature']} by one standard deviation multiplies the odds of opening by "
    f"{np.exp(i['effect']):.2f} (95% interval {np.exp(i['low']):.2f} to {np.exp(i['high']):.2f})"
    for i in significant
]
paragraphs(
    escape(f"With the other features held fixed, {join_list(effects)}.")
    if effects
    else "With the other features held fixed, no feature has a significant effect.",
    escape(f"Not significant: {join_list(others)}.") if others else None,
)

# %% [markdown]
# ## Heterogeneous effects
#
# Customers who open anyway may not respond to the message. `analyze` regresses the outcome on arm,
# features and their interactions: an interaction is the change in the effect on opening per
# standard deviation of the feature. Intervals and p-values are simultaneous for all rows, and
# features are ranked only if the effect is shown to differ at all. `liftwright analyze --explain`
# does the same for any file. Here it tests only the three features that correlate most with
# opening, because each one needs many customers.

# %%
leading = sorted(features, key=lambda name: -abs(fit.params[name]))[:3]
explained = analyze(sent, arm="arm", control="control", metrics="opened", explain=leading).explain
paragraphs(
    "**SIMULATED**: the simulated uplift depends on the tone alone and is the same for everyone."
    if run.simulated
    else None,
    escape(f"{count(explained.units)} messages: {explained.reason}."),
    table(
        ("Arm", "Feature", ">Change per sd, in points", ">Interval", ">Adj. p", "Significant"),
        [
            (
                row.arm,
                row.feature.replace("_", " "),
                number(100 * row.change),
                " to ".join(number(100 * end) for end in row.interval),
                p_value(row.p_adjusted),
                "yes" if row.significant else "no",
            )
            for row in explained.rows
        ],
    ),
)

# %% [markdown]
# ## Content cited in the best variants

# %%
messages.citations(run)

# %% [markdown]
# ## Recommendations

# %%
top = significant[0]["feature"] if significant else None
advice = [
    f"Use {top} as a CUPED covariate: it predicts opening, so fewer customers are needed."
    if top
    else "Collect more engagement before targeting by any feature.",
    "Do not target customers who open anyway; "
    + (
        "add a segment rule for the feature with the largest interaction to the next campaign."
        if explained.ranking
        else "no feature predicts a larger effect, so treat all segments the same."
    ),
    "Measure the run again with real outcomes before acting on these results."
    if run.simulated
    else "Repeat this after the next campaign; a feature that stays on top deserves a rule.",
]
Markdown("\n".join(f"{n}. {escape(item)}" for n, item in enumerate(advice, start=1)))
