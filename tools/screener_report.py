"""The screener's training report, and its measurement on sets that exist for reporting only.

Nothing here returns to the training: the functions give text for people.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

from liftwright.model import CATEGORIES
from retail_negatives import write_retail_mails
from screener_data import REPORTING_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from liftwright.adapters.embedded.screen import EmbeddedScreen
    from liftwright.model import Finding
    from screener_data import LabelledText

__all__ = ["describe_training", "measure_benign", "measure_reporting_sets"]

BLOCKED_ABOVE = 4
SEED = 7
# Enough to see a share of half a percent, few enough for a few minutes on two cores.
SAMPLE, MAILS = 1200, 300


def describe_training(
    measured: Mapping[str, Mapping[str, float]],
    cuts: Mapping[str, tuple[float, float, float]],
    rows: Sequence[LabelledText],
) -> str:
    """Two Markdown tables: the rows by source, and each category on the dev rows."""
    sources = Counter(row.source for row in rows)
    lines = ["| source | rows |", "|---|---|"]
    lines += [f"| {name} | {count} |" for name, count in sorted(sources.items())]
    lines += [
        "",
        "| category | train (harm) | dev (harm) | AP | AUROC | recall at 6 | false at 6 | cuts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, of in measured.items():
        lines.append(
            f"| {name} | {of['train']:.0f} ({of['train_harm']:.0f}) "
            f"| {of['dev']:.0f} ({of['dev_harm']:.0f}) "
            f"| {of['average_precision']:.3f} | {of['auroc']:.3f} | {of['recall_at_6']:.3f} "
            f"| {of['false_at_6']:.4f} | {' / '.join(f'{cut:.4f}' for cut in cuts[name])} |"
        )
    return "\n".join(lines) + "\n"


def measure_reporting_sets(safety: Path, screen: EmbeddedScreen) -> str:
    """Markdown lines on the functional tests; never for tuning."""
    hatecheck, xstest, simple = (_table(safety / name) for name in REPORTING_ONLY)
    lines = [
        "| set | what | result |",
        "|---|---|---|",
        *_hatecheck(hatecheck, screen),
        *_shares("XSTest", [r["prompt"] for r in xstest], [_contrast(r) for r in xstest], screen),
        *_shares(
            "SimpleSafetyTests",
            [r["prompts_final"] for r in simple],
            [r["harm_area"] for r in simple],
            screen,
        ),
    ]
    return "\n".join(lines) + "\n"


def measure_benign(
    root: Path, held_out: Mapping[str, Sequence[str]], screen: EmbeddedScreen
) -> str:
    """Markdown lines on benign texts that the heads have not seen, and what was not severity 0.

    Args:
        root: the workspace whose frames and approved content are measured.
        held_out: benign texts by kind.
        screen: the screener.
    """
    chance = random.Random(SEED)  # noqa: S311 - a sample, not a secret
    sets = {
        kind: chance.sample(list(texts), min(SAMPLE, len(texts)))
        for kind, texts in held_out.items()
    }
    for kind in ("shop texts", "fashion texts"):
        mails = write_retail_mails(tuple(sets[kind]), count=MAILS, seed=SEED)
        sets[f"mails of {kind}"] = [
            "\n\n".join(
                [chance.choice(sets["short lines"]), *mail, *chance.sample(sets["short lines"], 2)]
            )
            for mail in mails
        ]
    content = sorted((root / "data/content/approved_content").glob("*.json"))
    sets["frame lines"] = list(_frame_lines(root / "config/frames"))
    sets["approved content"] = [
        text for path in content for text in _paragraphs(json.loads(path.read_text("utf-8")))
    ]
    table = [
        "| benign texts | n | not 0 | 4 or more | blocked (6) | not judged |",
        "|---|" + "---|" * 5,
    ]
    shown = []
    for kind, texts in sets.items():
        found = screen.many(tuple(texts))
        worst = [max(one, key=lambda finding: finding.severity or 0) for one in found]
        levels = np.array([one.severity or 0 for one in worst])
        unjudged = np.array([one[0].severity is None for one in found])
        shares = [*((levels >= level).mean() for level in (1, 4, 6)), unjudged.mean()]
        table.append(f"| {kind} | {len(texts)} | {' | '.join(f'{s:.2%}' for s in shares)} |")
        if not kind.startswith("mails"):
            shown += [
                f"- {kind}: {one.category} {one.severity}: {' '.join(text.split())[:100]}"
                for text, one, away in zip(texts, worst, unjudged, strict=True)
                if one.severity or away
            ]
    return "\n".join([*table, "", *shown]) + "\n"


def _frame_lines(folder: Path) -> Iterator[str]:
    """Each line of the writer's frames, with an everyday brand and topic for its placeholders."""
    for path in sorted(folder.glob("*.yaml")):
        for lines in yaml.safe_load(path.read_text("utf-8")).values():
            for line in lines:
                yield line.replace("{brand}", "Northlight").replace("{topic}", "Winter jackets")


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _contrast(record: Mapping[str, str]) -> str:
    return "unsafe prompts" if record["type"].startswith("contrast") else "safe prompts"


def _blocked(findings: tuple[Finding, ...]) -> bool:
    return any((finding.severity or 0) > BLOCKED_ABOVE for finding in findings)


def _hatecheck(records: list[dict[str, str]], screen: EmbeddedScreen) -> list[str]:
    found = screen.many(tuple(record["test_case"] for record in records))
    hateful = np.array([record["label_gold"] == "hateful" for record in records])
    scores = np.array([one[CATEGORIES.index("hate")].score for one in found])
    blocked = np.array([_blocked(one) for one in found])
    precision = average_precision_score(hateful, scores)
    ranking = f"{precision:.3f} / {roc_auc_score(hateful, scores):.3f}"
    return [
        f"| HateCheck | AP / AUROC of `hate`, {hateful.mean():.2f} hateful | {ranking} |",
        f"| HateCheck | hateful blocked | {blocked[hateful].mean():.3f} |",
        f"| HateCheck | harmless blocked | {blocked[~hateful].mean():.3f} |",
    ]


def _shares(name: str, texts: list[str], kinds: list[str], screen: EmbeddedScreen) -> list[str]:
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for kind, findings in zip(kinds, screen.many(tuple(texts)), strict=True):
        by_kind[kind].append(_blocked(findings))
    return [
        f"| {name} | {kind} blocked | {sum(some)} of {len(some)} |"
        for kind, some in sorted(by_kind.items())
    ]


def _paragraphs(document: Mapping[str, object]) -> list[str]:
    sections = document.get("sections")
    texts = [str(document.get("title", "")), str(document.get("content", ""))]
    if isinstance(sections, list):
        texts += [str(section.get("text", "")) for section in sections]
    return [part.strip() for text in texts for part in text.split("\n\n") if part.strip()]
