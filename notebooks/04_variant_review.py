# %% [markdown]
# # 04 Variant review
#
# Every message that was written: its form, its citations, its claims, what screening said, what it
# cost, and its text beside the other tones of its segment.

# %%
from collections import Counter
from pathlib import Path

import altair as alt

from liftwright import Workspace
from liftwright.agents.reporting import messages
from liftwright.agents.reporting.charts import chart_of
from liftwright.agents.reporting.markdown import Words, count, number, percent, table
from liftwright.agents.reporting.run_reader import read_run
from liftwright.text import word_count

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
run = read_run(Workspace(ROOT).run().folder)
per_segment = Counter(v.segment for v in run.variants)
Words(
    f"{len(run.variants)} variants in {len(per_segment)} segments "
    f"({min(per_segment.values())} to {max(per_segment.values())} each), and the control. "
    f"{len(run.failures)} never became valid. "
    f"{len({v.body for v in run.variants})} bodies are different from each other."
)

# %% [markdown]
# ## Form and sources

# %%
rows = []
for v in run.messages():
    claims = run.claims.get(v.variant_id)
    decision = run.decision(v.variant_id)
    rows.append(
        (
            v.segment or "(control)",
            v.arm,
            len(v.subject),
            word_count(v.body),
            len(v.citations),
            sum(messages.is_verified(v, c) for c in v.citations),
            "" if claims is None else number(claims.score),
            decision.status if decision else "none",
            v.attempts,
        )
    )
columns = (
    *("Segment", "Arm", ">Subject, characters", ">Body, words", ">Citations", ">Verified"),
    *(">Least claim score", "Screening", ">Drafts"),
)
Words(table(columns, rows))

# %%
words = [{"segment": v.segment, "tone": v.tone, "words": word_count(v.body)} for v in run.variants]
chart_of(
    alt.Chart(alt.InlineData(values=words))
    .mark_bar()
    .encode(
        x=alt.X("tone:N", title=None, axis=alt.Axis(labelAngle=-30)),
        y=alt.Y("words:Q", title="words in the body"),
        color=alt.Color("tone:N", legend=None),
        column=alt.Column("segment:N", title=None),
    )
    .properties(width=110, height=130)
    .to_dict(),
    "Words in the body of each variant, by segment and tone.",
)

# %% [markdown]
# ## Claims and citations

# %%
messages.grounding(run)

# %%
messages.citations(run)

# %% [markdown]
# ## Screening

# %%
messages.safety(run)

# %% [markdown]
# ## Cost

# %%
models = Counter(v.model for v in run.variants)
Words(
    table(
        ("Writer", ">Messages", ">Tokens in", ">Tokens out", ">US dollars", ">Drafts per message"),
        [
            (
                model,
                count(n),
                count(sum(v.tokens.input for v in run.variants if v.model == model)),
                count(sum(v.tokens.output for v in run.variants if v.model == model)),
                number(sum(v.cost_usd for v in run.variants if v.model == model), 4),
                number(sum(v.attempts for v in run.variants if v.model == model) / n),
            )
            for model, n in models.items()
        ],
    )
)

# %% [markdown]
# ## Errors

# %%
messages.failures(run)

# %% [markdown]
# ## How alike the messages are
#
# Share of words that two messages of one segment have in common (Jaccard). The tones share their
# passages, so some likeness is meant; 100% would be the same message twice.

# %%
likeness = []
for segment in per_segment:
    mine = [v for v in run.variants if v.segment == segment]
    for i, one in enumerate(mine):
        for other in mine[i + 1 :]:
            a, b = set(one.body.lower().split()), set(other.body.lower().split())
            likeness.append((segment, f"{one.tone} and {other.tone}", len(a & b) / len(a | b)))
Words(table(("Segment", "Tones", ">In common"), [(s, t, percent(x)) for s, t, x in likeness]))

# %% [markdown]
# ## The messages

# %%
messages.appendix(run)
