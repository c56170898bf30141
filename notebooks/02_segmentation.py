# %% [markdown]
# # 02 Segmentation
#
# The segments that the rules produce, their profiles, the confidence of the assignment, and a
# comparison with another method.

# %%
from pathlib import Path

import altair as alt
import duckdb
import pandas as pd

from liftwright import Workspace, segment_customers
from liftwright.agents.reporting.charts import styled_chart
from liftwright.agents.reporting.markdown import Markdown, count, escape, number, percent, table
from liftwright.agents.reporting.run_reader import read_run

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
# An existing run with the same inputs is reused.
outcome = Workspace(ROOT).run()
run = read_run(outcome.folder)
segmented = duckdb.read_parquet(str(outcome.folder / "segmented.parquet")).df()
Markdown(
    f"{count(run.customers)} customers in {len(run.segments)} segments, each in exactly one: "
    f"{len(segmented):,} rows, {segmented['customer_id'].nunique():,} ids. The smallest segment "
    f"has {percent(min(s.share for s in run.segments))} of the customers."
)

# %% [markdown]
# ## Sizes

# %%
sizes = [{"segment": s.label, "customers": s.size} for s in run.segments]
base = alt.Chart(alt.InlineData(values=sizes)).encode(
    y=alt.Y("segment:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
    x=alt.X("customers:Q", title="customers"),
)
styled_chart(
    (
        base.mark_bar(color="#0072B2", size=22)
        + base.mark_text(align="left", dx=5, fontSize=11).encode(text="customers:Q")
    )
    .properties(width=430, height=34 * len(sizes))
    .to_dict(),
    "Customers per segment: " + ", ".join(f"{s.label} {s.size}" for s in run.segments) + ".",
)

# %% [markdown]
# ## Definitions
#
# Each customer is assigned to the segment whose conditions fit best; confidence is the margin over
# the runner-up.

# %%
Markdown(
    table(
        ("Segment", "Definition", "Description", ">Mean confidence"),
        [(s.label, s.definition, s.description, number(s.mean_confidence)) for s in run.segments],
    )
)

# %% [markdown]
# ## Means and medians

# %%
features = list(run.segments[0].features)
Markdown(
    table(
        ("Segment", *(f">{name.replace('_', ' ')}" for name in features)),
        [
            (
                s.label,
                *(
                    f"{number(s.features[name].mean)} / {number(s.features[name].median)}"
                    for name in features
                ),
            )
            for s in run.segments
        ],
    )
)

# %% [markdown]
# ## Defining features
#
# The difference between the segment's median and the overall median, in interquartile ranges.

# %%
defining = [
    {"segment": s.label, "feature": d.feature.replace("_", " "), "effect": d.effect}
    for s in run.segments
    for d in s.defining_features
]
bars = (
    alt.Chart()
    .mark_bar(size=14, color="#0072B2")
    .encode(
        y=alt.Y("feature:N", title=None, axis=alt.Axis(labelLimit=200)),
        x=alt.X("effect:Q", title="interquartile ranges"),
    )
    .properties(width=200, height=80)
)
styled_chart(
    bars.facet("segment:N", columns=2, data=alt.InlineData(values=defining))
    .resolve_scale(y="independent")
    .to_dict(),
    "The features in which each segment differs most from all customers.",
)

# %% [markdown]
# ## Confidence

# %%
binned = [
    {"segment": label, "from": b.left, "to": b.right, "customers": int(n)}
    for label, group in segmented.groupby("segment")
    for b, n in pd.cut(group["confidence"], bins=[i / 10 for i in range(11)], include_lowest=True)
    .value_counts(sort=False)
    .items()
]
bars = (
    alt.Chart()
    .mark_bar(color="#009E73")
    .encode(x=alt.X("from:Q", bin="binned", title="confidence"), x2="to:Q", y="customers:Q")
    .properties(width=200, height=100)
)
styled_chart(
    bars.facet("segment:N", columns=2, data=alt.InlineData(values=binned)).to_dict(),
    "Distribution of the confidence by segment.",
)

# %%
sample = segmented.groupby("segment").head(1)
Markdown(
    "One customer of each segment, with the reason for the assignment:\n\n"
    + "\n".join(f"- **{escape(r.segment)}**: {escape(r.reason)}" for r in sample.itertuples())
)

# %% [markdown]
# ## Comparison with k-means
#
# The same customers clustered by k-means. Where both methods agree, the segments reflect the data
# rather than the rules.

# %%
clusters = pd.DataFrame(segment_customers(ROOT / "data/raw/customers.csv", method="kmeans"))
both = segmented.merge(
    clusters[["customer_id", "segment"]], on="customer_id", suffixes=("_rules", "_clusters")
)
crossed = pd.crosstab(both["segment_rules"], both["segment_clusters"])
agreement = float(crossed.max(axis=1).sum() / crossed.to_numpy().sum())
Markdown(
    table(
        ("Rules \\ clusters", *(f">{name}" for name in crossed.columns)),
        [
            (label, *map(count, row))
            for label, row in zip(crossed.index, crossed.values, strict=True)
        ],
    )
    + f"\n\n{percent(agreement)} of the customers are in the most frequent cluster of their "
    "segment."
)
