# %% [markdown]
# # 01 Data exploration
#
# The customer list and the approved content of this workspace: completeness, ranges, distributions
# and correlations of the features.

# %%
from pathlib import Path

import altair as alt
import pandas as pd

from liftwright.agents.reporting.charts import styled_chart
from liftwright.agents.reporting.markdown import Markdown, count, number, percent, table
from liftwright.content.documents import read_documents
from liftwright.wiring import read_settings

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
settings = read_settings(ROOT)
customers = pd.read_csv(ROOT / settings.customers.path, dtype={"customer_id": "string"})
numeric = list(customers.select_dtypes("number").columns)
Markdown(
    f"{len(customers):,} customers, {customers.shape[1]} columns; "
    f"{customers['customer_id'].duplicated().sum()} duplicate ids."
)

# %% [markdown]
# ## Completeness and ranges
#
# Age, location and tier may be missing; the other columns may not.

# %%
Markdown(
    table(
        ("Column", ">Missing", ">Mean", ">Median", ">Std", ">Min", ">Max"),
        [
            (
                name,
                count(customers[name].isna().sum()),
                *(
                    number(float(customers[name].agg(of)))
                    for of in ("mean", "median", "std", "min", "max")
                ),
            )
            for name in numeric
        ]
        + [
            (name, count(customers[name].isna().sum()), *[""] * 5)
            for name in customers.columns
            if name not in numeric
        ],
    )
)

# %% [markdown]
# ## Distributions

# %%
binned = []
for name in numeric:
    cut = pd.cut(customers[name].dropna(), bins=20)
    binned += [
        {"feature": name.replace("_", " "), "from": b.left, "to": b.right, "customers": int(n)}
        for b, n in cut.value_counts(sort=False).items()
    ]
bars = (
    alt.Chart()
    .mark_bar(color="#0072B2")
    .encode(
        x=alt.X("from:Q", title=None, bin="binned"),
        x2="to:Q",
        y=alt.Y("customers:Q", title="customers"),
    )
    .properties(width=190, height=110)
)
styled_chart(
    bars.facet("feature:N", columns=3, data=alt.InlineData(values=binned))
    .resolve_scale(x="independent", y="independent")
    .to_dict(),
    "Histograms of the customers' numeric features.",
)

# %% [markdown]
# ## Tiers and locations

# %%
tiers = customers["tier"].fillna("(none)").value_counts()
places = customers["location"].fillna("(none)").value_counts()
Markdown(
    table(
        ("Tier", ">Customers", ">Share"),
        [(t, count(n), percent(n / len(customers))) for t, n in tiers.items()],
    )
    + "\n\n"
    + table(
        ("Location (the ten largest)", ">Customers"),
        [(p, count(n)) for p, n in places.head(10).items()],
    )
)

# %% [markdown]
# ## Correlations
#
# Spearman's rank correlation, which is robust to outliers.

# %%
correlation = customers[numeric].corr(method="spearman")
pairs = [
    {
        "a": a.replace("_", " "),
        "b": b.replace("_", " "),
        "r": round(float(correlation.loc[a, b]), 2),
    }
    for a in numeric
    for b in numeric
]
square = alt.Chart(alt.InlineData(values=pairs)).encode(
    x=alt.X("a:N", title=None, sort=None, axis=alt.Axis(labelAngle=-35, labelLimit=200)),
    y=alt.Y("b:N", title=None, sort=None, axis=alt.Axis(labelLimit=200)),
)
heat = square.mark_rect().encode(
    color=alt.Color("r:Q", scale=alt.Scale(scheme="blueorange", domain=[-1, 1]), legend=None)
)
styled_chart(
    (heat + square.mark_text(fontSize=11).encode(text=alt.Text("r:Q", format="+.2f")))
    .properties(width=380, height=230)
    .to_dict(),
    "Rank correlations between the customers' features.",
)

# %%
strongest = max((p for p in pairs if p["a"] < p["b"]), key=lambda p: abs(p["r"]))
Markdown(
    f"The strongest correlation is between {strongest['a']} and {strongest['b']} "
    f"({strongest['r']:+.2f})."
)

# %% [markdown]
# ## Approved content

# %%
documents = read_documents(ROOT / settings.experiment.content.path).documents
frame = pd.DataFrame(
    [
        {
            "category": d.category,
            "paragraphs": sum(len(s.paragraphs) for s in d.sections),
            "words": sum(len(p.split()) for s in d.sections for p in s.paragraphs),
            "expires": d.expires_on is not None,
        }
        for d in documents
    ]
)
grouped = frame.groupby("category").agg(
    documents=("words", "size"), paragraphs=("paragraphs", "sum"), words=("words", "sum"),
    expire=("expires", "sum"),
)  # fmt: skip
Markdown(
    f"{len(documents)} documents, approved from {min(d.approval_date for d in documents)} to "
    f"{max(d.approval_date for d in documents)}.\n\n"
    + table(
        ("Category", ">Documents", ">Paragraphs", ">Words", ">With an expiry date"),
        [(name, *map(count, row)) for name, row in zip(grouped.index, grouped.values, strict=True)],
    )
)
