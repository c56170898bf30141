# %% [markdown]
# # 02 Segmentation
#
# Into which segments the rules put the customers, what the segments look like, how sure the
# placement is, and how another method would divide the same list.

# %%
from pathlib import Path

import altair as alt
import duckdb
import pandas as pd

from liftwright import Workspace, segment_customers
from liftwright.agents.reporting.charts import chart_of
from liftwright.agents.reporting.markdown import Words, count, number, percent, plain, table
from liftwright.agents.reporting.run_reader import read_run

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
# A run that is there with equal inputs is kept, not made again.
outcome = Workspace(ROOT).run()
run = read_run(outcome.folder)
segmented = duckdb.read_parquet(str(outcome.folder / "segmented.parquet")).df()
Words(
    f"{count(run.customers)} customers in {len(run.segments)} segments, each in exactly one: "
    f"{len(segmented):,} rows, {segmented['customer_id'].nunique():,} ids. The smallest segment "
    f"holds {percent(min(s.share for s in run.segments))}."
)

# %% [markdown]
# ## Sizes

# %%
sizes = [{"segment": s.label, "customers": s.size} for s in run.segments]
base = alt.Chart(alt.InlineData(values=sizes)).encode(
    y=alt.Y("segment:N", sort=None, title=None, axis=alt.Axis(labelLimit=220)),
    x=alt.X("customers:Q", title="customers"),
)
chart_of(
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
# Each customer gets the segment whose conditions it satisfies best; confidence is the lead over the
# second best.

# %%
Words(
    table(
        ("Segment", "Definition", "Description", ">Mean confidence"),
        [(s.label, s.definition, s.description, number(s.mean_confidence)) for s in run.segments],
    )
)

# %% [markdown]
# ## Means and medians

# %%
features = list(run.segments[0].features)
Words(
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
# ## What sets them apart
#
# Difference of the segment's median from that of all customers, in interquartile ranges.

# %%
apart = [
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
chart_of(
    bars.facet("segment:N", columns=2, data=alt.InlineData(values=apart))
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
chart_of(
    bars.facet("segment:N", columns=2, data=alt.InlineData(values=binned)).to_dict(),
    "Distribution of the confidence of the placement, by segment.",
)

# %%
sample = segmented.groupby("segment").head(1)
Words(
    "One placement of each segment, with its reason:\n\n"
    + "\n".join(f"- **{plain(r.segment)}**: {plain(r.reason)}" for r in sample.itertuples())
)

# %% [markdown]
# ## Another method
#
# The same customers clustered by k-means. Where both methods put the same people together, the
# segments are a trait of the data and not of the rules.

# %%
clusters = pd.DataFrame(segment_customers(ROOT / "data/raw/customers.csv", method="kmeans"))
both = segmented.merge(
    clusters[["customer_id", "segment"]], on="customer_id", suffixes=("_rules", "_clusters")
)
crossed = pd.crosstab(both["segment_rules"], both["segment_clusters"])
together = float(crossed.max(axis=1).sum() / crossed.to_numpy().sum())
Words(
    table(
        ("Rules \\ clusters", *(f">{name}" for name in crossed.columns)),
        [
            (label, *map(count, row))
            for label, row in zip(crossed.index, crossed.values, strict=True)
        ],
    )
    + f"\n\n{percent(together)} of the customers are in the cluster that is most frequent in their "
    "segment."
)
