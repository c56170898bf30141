"""Train the embedded screener: linear heads on sentence vectors, probabilities, cut points.

    python tools/train_screener.py --data DIR                 train; write heads, lexicon, report
    python tools/train_screener.py --data DIR --report        measure on the reporting sets

Training reads only the files on the allow-list of `screener_data`. Reporting also reads the
functional tests, and writes nothing that the screener loads. The same data, seed and versions give
the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "src")]

import numpy as np  # noqa: E402 - the path comes first
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: E402

from liftwright.adapters.embedded import models  # noqa: E402
from liftwright.adapters.embedded.embed import MiniLmEmbed  # noqa: E402
from liftwright.adapters.embedded.screen import EmbeddedScreen, read_pieces  # noqa: E402
from liftwright.adapters.embedded.screen_text import make_visible  # noqa: E402
from liftwright.model import CATEGORIES  # noqa: E402
from retail_negatives import write_retail_mails  # noqa: E402
from screener_data import LabelledText, is_dev, read_rows, read_traps  # noqa: E402
from screener_lexicon import make_lexicon  # noqa: E402
from screener_report import describe_training, measure_reporting_sets  # noqa: E402
from screener_vectors import embed_once  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from liftwright.ports import Embed, Vectors

    Scores = npt.NDArray[np.float64]

SEED = 20_240_601
STRENGTHS = (1.0, 3.0, 10.0, 30.0)
# Retail sentences are what is screened in practice, so they weigh more than tweets.
WEIGHTS = {
    "retail_plain": 2.0,
    "retail_alarming": 2.0,
    "womens_fashion_catalog.parquet": 1.0,
    "own": 2.0,
    "edos.csv": 0.5,
}
# The maximum false-positive rates by severity, for e-mails and for single alarming sentences.
MAILS_AT = {6: 0.0025, 4: 0.01, 2: 0.04}
SINGLES_AT_6 = 0.01
MIN_CUTS = {6: 0.5, 4: 0.25, 2: 0.1}
MAILS = 800
# Long rows consist of training sentences only; this group is in the training split.
TRAIN_GROUP = "fit"
CATALOGUE = "womens_fashion_catalog.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The head of one category and its results on the dev rows."""

    weights: tuple[float, ...]
    bias: float
    slope: float
    offset: float
    cuts: tuple[float, float, float]
    measured: dict[str, float]


def train(rows: Sequence[LabelledText], vectors: Vectors, benign: Benign) -> dict[str, Trained]:
    """Train the heads of all categories; rows without a label for a category are excluded."""
    dev = np.array([is_dev(row.group) for row in rows])
    weights = np.array([WEIGHTS.get(row.source, 1.0) for row in rows])
    heads = {}
    for category in CATEGORIES:
        labels = np.array([row.labels.get(category, -1) for row in rows])
        heads[category] = _train_one(vectors, labels, weights, dev, benign)
    return heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Benign:
    """The vectors that set the cut points: pieces of e-mails, and single alarming sentences."""

    pieces: Vectors
    mails: tuple[tuple[int, ...], ...]
    traps: Vectors
    alarming: Vectors


def _train_one(
    vectors: Vectors,
    labels: np.ndarray,
    weights: np.ndarray,
    dev: np.ndarray,
    benign: Benign,
) -> Trained:
    known = labels >= 0
    fit, held = known & ~dev, known & dev
    fitted = {}
    for strength in STRENGTHS:
        head = LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)
        head.fit(vectors[fit], labels[fit], sample_weight=weights[fit])
        raw = head.decision_function(vectors[held])
        fitted[average_precision_score(labels[held], raw), strength] = head
    precision, strength = max(fitted)
    head = fitted[precision, strength]
    raw = head.decision_function(vectors[held])
    scale = LogisticRegression(C=1e6).fit(raw[:, None], labels[held], sample_weight=weights[held])
    slope, offset = float(scale.coef_[0, 0]), float(scale.intercept_[0])

    def probability(some: Vectors) -> Scores:
        scores: Scores = 1 / (1 + np.exp(-(slope * head.decision_function(some) + offset)))
        return scores

    cuts = _cuts(probability, benign)
    scores = probability(vectors[held])
    positive = labels[held] == 1
    return Trained(
        weights=tuple(round(float(weight), 5) for weight in head.coef_[0]),
        bias=round(float(head.intercept_[0]), 5),
        slope=round(slope, 5),
        offset=round(offset, 5),
        cuts=cuts,
        measured={
            "train": int(fit.sum()),
            "train_harm": int((labels[fit] == 1).sum()),
            "dev": int(held.sum()),
            "dev_harm": int(positive.sum()),
            "strength": strength,
            "average_precision": float(precision),
            "auroc": float(roc_auc_score(labels[held], raw)),
            "recall_at_6": float((scores[positive] >= cuts[2]).mean()),
            "false_at_6": float((scores[~positive] >= cuts[2]).mean()),
        },
    )


def _cuts(probability: Callable[[Vectors], Scores], benign: Benign) -> tuple[float, float, float]:
    """The scores from which a text has severity 2, 4 and 6, from the scores of benign e-mails."""
    pieces = probability(benign.pieces)
    worst = np.array([max(pieces[list(mail)]) for mail in benign.mails])
    single = (probability(benign.traps), probability(benign.alarming))
    six = max(
        np.quantile(worst, 1 - MAILS_AT[6]),
        *(np.quantile(some, 1 - SINGLES_AT_6) for some in single),
        MIN_CUTS[6],
    )
    four = min(max(np.quantile(worst, 1 - MAILS_AT[4]), MIN_CUTS[4]), six)
    two = min(max(np.quantile(worst, 1 - MAILS_AT[2]), MIN_CUTS[2]), four)
    two, four, six = (float(np.ceil(cut * 1e4) / 1e4) for cut in (two, four, six))
    return two, four, six


def gather_benign(
    rows: Sequence[LabelledText], traps: tuple[str, ...], embed: Embed, cache: Path
) -> Benign:
    """E-mails of dev sentences, split as by the screener, and single alarming sentences."""
    held = [row for row in rows if is_dev(row.group)]
    alarming = [row.text for row in held if row.source == "retail_alarming"]
    pieces: dict[str, int] = {}
    mails = tuple(
        tuple(pieces.setdefault(part, len(pieces)) for part in _parts(mail))
        for mail in _mails(held, seed=SEED)
    )
    return Benign(
        pieces=embed_once(tuple(pieces), embed, cache),
        mails=mails,
        traps=embed_once(traps, embed, cache),
        alarming=embed_once(alarming, embed, cache),
    )


def gather_long(rows: Sequence[LabelledText]) -> list[LabelledText]:
    """Harmless training rows longer than a sentence: windows and whole e-mails."""
    kept = [row for row in rows if not is_dev(row.group)]
    known = {row.text for row in rows}
    parts = {part: None for mail in _mails(kept, seed=SEED + 1) for part in _parts(mail)}
    labels = dict.fromkeys(CATEGORIES, 0)
    return [
        LabelledText(text=part, source="retail_long", labels=labels, group=TRAIN_GROUP)
        for part in parts
        if part not in known
    ]


def _mails(rows: Sequence[LabelledText], *, seed: int) -> tuple[str, ...]:
    """E-mails and short paragraphs of benign sentences, a sixth of which look alarming."""
    calm = [row.text for row in rows if row.source in ("retail_plain", CATALOGUE)]
    alarming = [row.text for row in rows if row.source == "retail_alarming"]
    pool = tuple(calm + alarming[:: max(1, 5 * len(alarming) // len(calm))])
    mails = write_retail_mails(pool, count=MAILS, seed=seed)
    return tuple(
        " ".join(mail[: 2 + row % 3] if row % 2 else mail) for row, mail in enumerate(mails)
    )


def _parts(mail: str) -> list[str]:
    visible = make_visible(mail)
    return [" ".join(visible.text[start:end].split()) for start, end in read_pieces(visible)]


def write_models(
    heads: dict[str, Trained], safety: Path, rows: Sequence[LabelledText], folder: Path
) -> None:
    """Write `screener.json` and `lexicon.json`, each with its checksum."""
    listing = "\n".join(f"{row.source}\t{row.text}" for row in rows)
    content: dict[str, object] = {
        "format": 1,
        "seed": SEED,
        "rows": len(rows),
        "rows_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "heads": {
            category: {
                "weights": list(head.weights),
                "bias": head.bias,
                "slope": head.slope,
                "offset": head.offset,
                "cuts": list(head.cuts),
            }
            for category, head in heads.items()
        },
    }
    models.write_checked(folder / "screener.json", content)
    models.write_checked(folder / "lexicon.json", make_lexicon(safety))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train or report; see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with safety/, content/")
    parser.add_argument("--out", type=Path, default=models.FOLDER, help="folder of the models")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "liftwright")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the rows, for a quick trial"
    )
    parser.add_argument("--report", action="store_true", help="only measure the written models")
    parser.add_argument("--approved", type=Path, default=ROOT / "data/content/approved_content")
    options = parser.parse_args(arguments)
    embed = MiniLmEmbed()
    if options.report:
        screen = EmbeddedScreen(embed, options.out)
        measured = measure_reporting_sets(options.data / "safety", options.approved, screen)
        sys.stdout.write(measured)
        return 0
    cache = options.cache / "screener_vectors.npz"
    rows = read_rows(options.data, seed=SEED, scale=options.scale)
    rows = (*rows, *gather_long(rows))
    benign = gather_benign(rows, read_traps(options.data), embed, cache)
    vectors = embed_once([row.text for row in rows], embed, cache)
    heads = train(rows, vectors, benign)
    write_models(heads, options.data / "safety", rows, options.out)
    sys.stdout.write(
        describe_training(
            {name: head.measured for name, head in heads.items()},
            {name: head.cuts for name, head in heads.items()},
            rows,
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
