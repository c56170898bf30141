# %% [markdown]
# # 06 Explainability
#
# Which features of customers and which content go with engagement, and which with a larger effect
# of a message. Correlation is not cause: the experiment tells what the messages do, the first part
# of this tells who engages anyway.

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
from liftwright.agents.reporting.charts import chart_of
from liftwright.agents.reporting.markdown import (  # fmt: skip
    Words,
    callout,
    count,
    joined,
    listed,
    number,
    p_value,
    plain,
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
joined(
    callout(
        "**SIMULATED.** The engagement was drawn from each customer's historical rates, so those "
        "rates must come out on top: this shows that the analysis finds what is there, and "
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
# Spearman's rank correlation of each feature with opening and clicking; p-values are multiplied by
# the number of correlations (Bonferroni).

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
found = pd.DataFrame(rows)
found["strength"] = found["r"].abs()
found = found.sort_values(["outcome", "strength"], ascending=[True, False])
Words(
    table(
        ("Outcome", "Feature", ">n", ">Correlation", ">Adj. p", "Significant"),
        [
            (r.outcome, r.feature.replace("_", " "), count(r.n), number(r.r, 3), p_value(r.p),
             "yes" if r.p < run.result.alpha else "no")
            for r in found.itertuples()
        ],
    )
)  # fmt: skip

# %% [markdown]
# ## Importance with the other features held fixed
#
# Coefficients of a logistic regression on standardised features, with 95% intervals: the change in
# the log-odds of opening for one standard deviation more, with the arm held fixed too. Missing
# values are replaced by the median.

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
chart_of(
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
# ## What this says

# %%
sure = [i for i in importance if i["low"] > 0 or i["high"] < 0]
unsure = [i["feature"] for i in importance if i not in sure]
told = [
    f"one standard deviation more {i['feature']} multiplies the odds of opening by "
    f"{np.exp(i['effect']):.2f} (95% interval {np.exp(i['low']):.2f} to {np.exp(i['high']):.2f})"
    for i in sure
]
joined(
    plain(f"With the others held fixed, {listed(told)}.")
    if told
    else "No feature has an effect that can be told from none with the others held fixed.",
    plain(f"Not distinguishable from no effect: {listed(unsure)}.") if unsure else None,
)

# %% [markdown]
# ## Which features go with a larger effect
#
# Who opens anyway may not be moved by a message. `analyze` regresses the outcome on arm, features
# and their products: a product says by how much the effect on opening grows with one standard
# deviation more of the feature. Intervals and p-values hold for all rows together, and features are
# ranked only where the effect is shown to differ at all. `liftwright analyze --explain` does the
# same for any file. Here it looks at the three features that go most with opening: each needs many
# customers.

# %%
leading = sorted(features, key=lambda name: -abs(fit.params[name]))[:3]
explained = analyze(sent, arm="arm", control="control", metrics="opened", explain=leading).explain
joined(
    "**SIMULATED**: an uplift per tone was put in, the same for everyone."
    if run.simulated
    else None,
    plain(f"{count(explained.units)} messages: {explained.reason}."),
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
# ## Which content was cited in the variants that did best

# %%
messages.citations(run)

# %% [markdown]
# ## Recommendations

# %%
first = sure[0]["feature"] if sure else None
advice = [
    f"Adjust by {first} (CUPED): it goes with opening, so fewer customers show the same lift."
    if first
    else "Collect more engagement before any feature is used to choose whom to write to.",
    "Do not choose readers by who opens anyway; "
    + (
        "a feature with a larger effect is worth a rule of its own in the next campaign."
        if explained.ranking
        else "no feature is shown to go with a larger effect, so write to all segments alike."
    ),
    "Measure the run again with real outcomes before anything here is acted on."
    if run.simulated
    else "Repeat this after the next campaign; a feature that stays on top is worth a rule.",
]
Words("\n".join(f"{n}. {plain(one)}" for n, one in enumerate(advice, start=1)))
