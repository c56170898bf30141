# %% [markdown]
# # 04 Variant review
#
# Every message: form, citations, claims, screening, cost, and its text next to the other tones of
# its segment.

# %%
from collections import Counter
from itertools import combinations
from pathlib import Path

import altair as alt

from liftwright import Workspace
from liftwright.agents.reporting import messages
from liftwright.agents.reporting.charts import styled_chart
from liftwright.agents.reporting.markdown import Markdown, count, number, percent, table
from liftwright.agents.reporting.run_reader import read_run
from liftwright.text import word_count

ROOT = Path.cwd().parent if Path.cwd().name == "notebooks" else Path.cwd()
run = read_run(Workspace(ROOT).run().folder)
per_segment = Counter(v.segment for v in run.variants)
Markdown(
    f"{len(run.variants)} variants in {len(per_segment)} segments "
    f"({min(per_segment.values())} to {max(per_segment.values())} each), and the control. "
    f"{len(run.failures)} failed. "
    f"{len({v.body for v in run.variants})} bodies are distinct."
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
    *(">Lowest claim score", "Screening", ">Drafts"),
)
Markdown(table(columns, rows))

# %%
words = [{"segment": v.segment, "tone": v.tone, "words": word_count(v.body)} for v in run.variants]
styled_chart(
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
Markdown(
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
# ## Failures

# %%
messages.failures(run)

# %% [markdown]
# ## Similarity of the messages
#
# The share of words that two messages of a segment have in common (Jaccard). The tones use the same
# passages, so some similarity is expected; 100% would be the same message twice.

# %%
similarity = []
for segment in per_segment:
    variants = [v for v in run.variants if v.segment == segment]
    for v, other in combinations(variants, 2):
        a, b = set(v.body.lower().split()), set(other.body.lower().split())
        similarity.append((segment, f"{v.tone} and {other.tone}", len(a & b) / len(a | b)))
Markdown(table(("Segment", "Tones", ">In common"), [(s, t, percent(x)) for s, t, x in similarity]))

# %% [markdown]
# ## The messages

# %%
messages.appendix(run)
