"""How well grounding separates supported from unsupported claims, compared with token overlap.

Two public labelled sets are each split in half by a hash of the question: the coefficients of
`liftwright.agents.grounding.evidence` were fitted on the first half (`--fit` repeats this), and the
table shows the second half. AttributionBench: the development set; RAGTruth: half of its
question-answering part, sentence by sentence.

    python benchmarks/grounding.py --data DIR [--fit]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.agents.grounding import evidence
from liftwright.agents.grounding.claims import likeness_of
from liftwright.config import Grounding
from liftwright.text import sentences, without_citations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

ATTRIBUTION, RAGTRUTH = "attributionbench_dev.jsonl", "ragtruth_qa_half.jsonl"
NEAREST = 12
ROUNDS = 3
# A measure of likeness may only raise the score, one of difference only lower it.
BOUNDS = ((None, None), *[(0.0, None)] * 5, (None, 0.0), (None, None))
PENALTY = 0.5


@dataclass(frozen=True)
class Example:
    """A claim, its sources and whether they support it."""

    data: str
    group: str
    claim: str
    sources: tuple[tuple[str, str], ...]
    supported: bool

    @property
    def is_for_fitting(self) -> bool:
        """Which half: all claims of a question stand in one."""
        return hashlib.sha256(self.group.encode()).digest()[0] % 2 == 0


def read_attribution(path: Path) -> Iterator[Example]:
    """One example per row: the claim against its references."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield Example(
            "AttributionBench",
            row["question"],
            row["claim"],
            tuple(("", text) for text in row["references"]),
            row["attribution_label"] == "attributable",
        )


def read_ragtruth(path: Path) -> Iterator[Example]:
    """One example per sentence of an answer; unsupported where a labelled span overlaps it."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for answer in row["responses"]:
            for span in sentences(answer["response"]):
                if not any(letter.isalnum() for letter in span.text):
                    continue
                yield Example(
                    "RAGTruth QA",
                    row["source"]["question"],
                    span.text,
                    (("", row["source"]["passages"]),),
                    not any(
                        label["start"] < span.end and span.start < label["end"]
                        for label in answer["labels"]
                    ),
                )


def overlap(example: Example) -> float:
    """The baseline: the share of the claim's words that occur in its sources."""
    claim = set(evidence.tokens(example.claim))
    known = {token for _, text in example.sources for token in evidence.tokens(text)}
    return len(claim & known) / len(claim) if claim else 1.0


class Bench:
    """The examples with their evidence and vectors, computed once."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        evidences: dict[object, evidence.Evidence] = {}
        for example in examples:
            if example.sources not in evidences:
                evidences[example.sources] = evidence.Evidence(example.sources)
        self._evidence = [evidences[example.sources] for example in examples]
        self._claims = [evidence.Piece(without_citations(example.claim)) for example in examples]
        self._near = [
            sorted(e.nearest(claim, NEAREST))
            for e, claim in zip(self._evidence, self._claims, strict=True)
        ]
        texts = {claim.text for claim in self._claims}
        for e, near in zip(self._evidence, self._near, strict=True):
            texts |= {e.sentences[index] for index in near}
        ordered = tuple(sorted(texts))
        self._vectors: Mapping[str, npt.NDArray[np.float32]] = dict(
            zip(ordered, MiniLmEmbed()(ordered), strict=True)
        )

    def supports(self) -> list[evidence.Support]:
        """The support of each example with the current coefficients."""
        return [
            e.support(claim, likeness_of(e, near, self._vectors[claim.text], self._vectors))
            for e, claim, near in zip(self._evidence, self._claims, self._near, strict=True)
        ]


def balanced(examples: Sequence[Example]) -> npt.NDArray[np.float64]:
    """Weights that balance the labels of each set."""
    keys = [(example.data, example.supported) for example in examples]
    counts = {key: keys.count(key) for key in set(keys)}
    return np.array([1 / counts[key] for key in keys])


def fit(bench: Bench) -> None:
    """Fit and print the coefficients, selecting the best window again in each round."""
    use = np.array([example.is_for_fitting for example in bench.examples])
    labels = np.array([example.supported for example in bench.examples])[use]
    weights = balanced([example for example in bench.examples if example.is_for_fitting])
    for _ in range(ROUNDS):
        measures = np.array(
            [s.measures or (0.0,) * len(evidence.MEASURES) for s in bench.supports()]
        )
        rows = np.column_stack([np.ones(use.sum()), measures[use]])

        def loss(
            beta: npt.NDArray[np.float64], rows: npt.NDArray[np.float64] = rows
        ) -> tuple[float, npt.NDArray[np.float64]]:
            margin = rows @ beta
            share = 1 / (1 + np.exp(-margin))
            value = (weights * (np.logaddexp(0, margin) - labels * margin)).sum()
            ridge = np.r_[0.0, np.full(len(beta) - 1, PENALTY / 100)]
            slope = rows.T @ (weights * (share - labels)) + 2 * ridge * beta
            return value + (ridge * beta**2).sum(), slope

        start = np.r_[evidence.INTERCEPT, evidence.WEIGHTS]
        found = minimize(loss, start, jac=True, bounds=BOUNDS, method="L-BFGS-B")
        evidence.INTERCEPT, evidence.WEIGHTS = float(found.x[0]), tuple(map(float, found.x[1:]))
    print("INTERCEPT =", round(evidence.INTERCEPT, 3))
    print("WEIGHTS =", tuple(round(weight, 3) for weight in evidence.WEIGHTS))


def report(bench: Bench, config: Grounding) -> None:
    """Print the table of the held-out halves."""
    scores = np.array([support.score for support in bench.supports()])
    floors = np.array([overlap(example) for example in bench.examples])
    print(
        f"{'held-out half':18}{'n':>6}{'overlap':>9}{'AUC':>8}"
        f"{'balanced':>10}{'supported':>11}{'weak':>7}"
    )
    for name in sorted({example.data for example in bench.examples}):
        use = np.array([e.data == name and not e.is_for_fitting for e in bench.examples])
        labels = np.array([example.supported for example in bench.examples])[use]
        kept = scores[use] >= config.weak_score
        print(
            f"{name:18}{use.sum():6}{roc_auc_score(labels, floors[use]):9.3f}"
            f"{roc_auc_score(labels, scores[use]):8.3f}"
            f"{balanced_accuracy_score(labels, kept):10.3f}"
            f"{precision(labels, scores[use] >= config.supported_score):11.3f}"
            f"{precision(labels, kept):7.3f}"
        )
    print("balanced: accuracy at the weak threshold; supported, weak: precision from there up")


def precision(labels: npt.NDArray[np.bool_], kept: npt.NDArray[np.bool_]) -> float:
    """The share of what is kept that is right."""
    return float(labels[kept].mean()) if kept.any() else float("nan")


def main() -> None:
    """Read, fit where asked, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[1] / ".." / "shared" / "data" / "grounding"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    examples = [
        *read_attribution(arguments.data / ATTRIBUTION),
        *read_ragtruth(arguments.data / RAGTRUTH),
    ]
    start = time.perf_counter()
    bench = Bench(examples)
    if arguments.fit:
        fit(bench)
    report(bench, Grounding())
    print(f"{len(examples)} claims in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
