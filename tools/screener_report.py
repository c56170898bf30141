"""The screener's training report, and its results on the reporting-only sets.

Nothing here feeds back into training: the functions return text for people.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from liftwright.model import CATEGORIES
from screener_data import REPORTING_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from liftwright.adapters.embedded.screen import EmbeddedScreen
    from liftwright.model import Finding
    from screener_data import LabelledText

__all__ = ["describe_training", "measure_reporting_sets"]

BLOCKED_ABOVE = 4


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


def measure_reporting_sets(safety: Path, approved: Path, screen: EmbeddedScreen) -> str:
    """A Markdown table for the functional tests and approved content; never used for tuning."""
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
        *_approved(approved, screen),
    ]
    return "\n".join(lines) + "\n"


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _contrast(record: Mapping[str, str]) -> str:
    return "unsafe prompts" if record["type"].startswith("contrast") else "safe prompts"


def _blocked(findings: tuple[Finding, ...]) -> bool:
    return any((finding.severity or 0) > BLOCKED_ABOVE for finding in findings)


def _hatecheck(records: list[dict[str, str]], screen: EmbeddedScreen) -> list[str]:
    replies = screen.many(tuple(record["test_case"] for record in records))
    hateful = np.array([record["label_gold"] == "hateful" for record in records])
    scores = np.array([findings[CATEGORIES.index("hate")].score for findings in replies])
    blocked = np.array([_blocked(findings) for findings in replies])
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


def _approved(folder: Path, screen: EmbeddedScreen) -> list[str]:
    paragraphs = [
        text
        for path in sorted(folder.glob("*.json"))
        for text in _paragraphs(json.loads(path.read_text("utf-8")))
    ]
    if not paragraphs:
        return ["| approved content | paragraphs blocked | not available |"]
    blocked = sum(map(_blocked, screen.many(tuple(paragraphs))))
    return [f"| approved content | paragraphs blocked | {blocked} of {len(paragraphs)} |"]


def _paragraphs(document: Mapping[str, object]) -> list[str]:
    sections = document.get("sections")
    texts = [str(document.get("title", "")), str(document.get("content", ""))]
    if isinstance(sections, list):
        texts += [str(section.get("text", "")) for section in sections]
    return [part.strip() for text in texts for part in text.split("\n\n") if part.strip()]
