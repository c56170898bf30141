# %% [markdown]
# # 03 Retrieval quality
#
# The approved passages found for each segment, their scores, and their relevance as graded by hand.

# %%
from pathlib import Path

import altair as alt
import pandas as pd

from liftwright import Workspace
from liftwright.agents.reporting.charts import styled_chart
from liftwright.agents.reporting.markdown import Markdown, count, escape, number, percent, table
from liftwright.agents.reporting.run_reader import read_run

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
workspace = Workspace(ROOT)
run = read_run(workspace.run().folder)
found = pd.DataFrame(
    [
        {
            "segment": segment,
            "rank": rank,
            "document_id": p.document_id,
            "title": p.title,
            "paragraph_index": p.paragraph_index,
            "score": p.score,
            "fallback": p.fallback,
            "text": p.text,
        }
        for segment, passages in run.passages.items()
        for rank, p in enumerate(passages, start=1)
    ]
)
sizes = found.groupby("segment").size()
longest = found["text"].str.split().str.len().max()
Markdown(
    f"{len(found)} passages for {len(sizes)} segments, {sizes.min()} to {sizes.max()} each; "
    f"{int(found['fallback'].sum())} fallbacks; scores from {found['score'].min():.2f} to "
    f"{found['score'].max():.2f}; longest passage: {longest} words."
)

# %% [markdown]
# ## Scores

# %%
points = [
    {"segment": r.segment, "rank": r.rank, "score": round(r.score, 3)} for r in found.itertuples()
]
styled_chart(
    alt.Chart(alt.InlineData(values=points))
    .mark_line(point=alt.OverlayMarkDef(size=50))
    .encode(
        x=alt.X("rank:O", title="rank", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("score:Q", scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("segment:N", sort=None),
    )
    .properties(width=430, height=190)
    .to_dict(),
    "Relevance score by rank for each segment.",
)

# %% [markdown]
# ## Graded by hand
#
# Each passage was graded for its segment in `retrieval_grades.csv`: 2 fits a message to this
# segment, 1 is true and harmless but not specific to it, 0 does not belong in such a message.
# **Graded by the developers**, not by an independent reader, and not blind. Grades 1 and 2 count as
# relevant; a passage without a grade counts as not relevant.

# %%
grades = pd.read_csv(ROOT / "notebooks" / "retrieval_grades.csv")
graded = found.merge(grades, how="left", on=["segment", "document_id", "paragraph_index"])
Markdown(
    table(
        ("Segment", ">Rank", "Document", ">Score", ">Grade", "Why"),
        [
            (
                r.segment,
                r.rank,
                f"{r.title}, paragraph {r.paragraph_index}",
                number(r.score),
                "none" if pd.isna(r.grade) else int(r.grade),
                "" if pd.isna(r.why) else r.why,
            )
            for r in graded.itertuples()
        ],
    )
)

# %%
relevant = graded["grade"].fillna(0) >= 1
by_segment = relevant.groupby(graded["segment"], sort=False).agg(["sum", "size"])
share = float(relevant.mean())
ungraded = int(graded["grade"].isna().sum())
Markdown(
    table(
        ("Segment", ">Relevant", ">Found", ">Share"),
        [
            (label, count(hits), count(size), percent(hits / size))
            for label, (hits, size) in zip(by_segment.index, by_segment.values, strict=True)
        ]
        + [("All", count(relevant.sum()), count(len(graded)), percent(share))],
    )
    + f"\n\n**{percent(share)} of the passages are relevant; the target of 80% is "
    f"{'met' if share >= 0.8 else 'not met'}.** Fit for the segment (grade 2): "
    f"{percent(float((graded['grade'] == 2).mean()))}. Without a grade: {ungraded}."
)

# %% [markdown]
# ## Natural-language questions
#
# The same index, searched with questions as people ask them.

# %%
questions = (
    "how do I return a jacket that does not fit",
    "what do gold members get",
    "sleeping bag for cold nights",
)
Markdown(
    table(
        ("Question", "Best document", ">Score"),
        [
            (question, best.title, number(best.score))
            for question in questions
            for best in workspace.search(question, top_k=1)
        ],
    )
)

# %% [markdown]
# ## Passages in full

# %%
Markdown(
    "\n\n".join(
        f"**{escape(segment)}**\n\n"
        + "\n".join(f"- {escape(r.title)}: {escape(r.text)}" for r in group.itertuples())
        for segment, group in found.groupby("segment", sort=False)
    )
)
