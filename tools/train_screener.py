"""Train the embedded screener: heads on sentence vectors and hashed words, cut points.

    python tools/train_screener.py --data DIR                 trains, writes heads, lexicon, report
    python tools/train_screener.py --data DIR --across        measures heads on a source left out
    python tools/train_screener.py --data DIR --benign        measures held-out benign texts, frames
    python tools/train_screener.py --data DIR --report        measures on sets kept for reporting

The first three forms read only the files on the allow-list of `screener_data`; the last reads the
functional tests too and writes nothing that the screener loads. The same data, seed and versions
give the same files.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "src")]

import numpy as np  # noqa: E402 - the path comes first
from scipy.sparse import csr_matrix, hstack  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402

from liftwright.adapters.embedded import models  # noqa: E402
from liftwright.adapters.embedded.embed import MiniLmEmbed  # noqa: E402
from liftwright.adapters.embedded.screen import (  # noqa: E402
    EmbeddedScreen,
    how_short,
    read_pieces,
)
from liftwright.adapters.embedded.screen_grams import BUCKETS, hash_grams  # noqa: E402
from liftwright.model import CATEGORIES  # noqa: E402
from liftwright.text.obfuscation import make_visible  # noqa: E402
from retail_negatives import write_retail_mails  # noqa: E402
from screener_data import LabelledText, is_dev, read_held_out, read_rows, read_traps  # noqa: E402
from screener_lexicon import make_lexicon  # noqa: E402
from screener_report import describe_training, measure_benign, measure_reporting_sets  # noqa: E402
from screener_vectors import embed_once  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from liftwright.ports import Embed, Vectors

    Scores = npt.NDArray[np.float64]

SEED = 20_240_601
STRENGTH = 3.0
# The hashed words, scaled against a sentence vector of length 1; chosen across sources, below.
GRAMS_SHARE = 0.7
# The small network beside the linear score; chosen with it, across sources and on own dev rows.
HIDDEN, EPOCHS, DECAY, NETWORK_SHARE = 64, 10, 1e-3, 0.7
# Sentences of shops decide what is blocked in practice, so each counts more than a tweet.
WEIGHTS = {
    "retail_plain": 2.0,
    "retail_alarming": 2.0,
    "retail_line": 6.0,
    "fragment": 3.0,
    "own": 3.0,
    "edos.csv": 0.5,
    "insult_harm": 2.0,
    "insult_harmless": 2.0,
}
# The most that each category may take of the mails, of single short lines and alarming sentences.
MAILS_AT = {6: 0.004, 4: 0.015, 2: 0.04}
SINGLES_AT = {6: 0.01, 4: 0.03, 2: 0.12}
SHORT, LINES_AT_2 = ("retail_line", "fragment"), 0.005
# Where the benign texts allow: 6 finds this share of our own plain harm, and is not above 0.5.
FOUND_AT_6, MOST = 0.7, 0.5
LEAST = {4: 0.4, 2: 0.3}
# The share of benign lines at which the lengths are compared, and the most a short one loses.
HIGH, MOST_SHIFT = 0.995, -4.0
MAILS = 800
# Long rows are made of training sentences only; this group falls on that side of the split.
TRAIN_GROUP = "fit"
CALM = ("retail_plain", "womens_fashion_catalog.parquet")
# What each category is tested on across sources: trained without the source, measured on it.
ACROSS = {
    "hate": ("rtp", "diasafety"),
    "violence": ("rtp", "ailuminate"),
    "self_harm": ("ailuminate", "diasafety"),
    "sexual": ("rtp", "ailuminate"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One category's head and how it did on the dev rows."""

    head: Head
    slope: float
    short: float
    offset: float
    cuts: tuple[float, float, float]
    measured: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Texts as the heads see them: vectors and hashed words in one sparse matrix, and lengths."""

    matrix: csr_matrix
    vectors: Vectors
    short: Scores

    def __getitem__(self, rows: np.ndarray | list[int]) -> Features:
        """Some of the rows."""
        return Features(
            matrix=self.matrix[rows], vectors=self.vectors[rows], short=self.short[rows]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A linear score of vectors and hashed words, plus a network of one layer on the vectors."""

    weights: np.ndarray
    grams: np.ndarray
    hidden: np.ndarray
    hidden_bias: np.ndarray
    output: np.ndarray
    bias: float

    def score(self, features: Features) -> Scores:
        """The score of each text, before calibration."""
        linear = features.matrix @ np.concatenate([self.weights, self.grams / GRAMS_SHARE])
        layer = np.maximum(features.vectors @ self.hidden + self.hidden_bias, 0)
        scores: Scores = linear + layer @ self.output + self.bias
        return scores


def make_features(texts: Sequence[str], vectors: Vectors) -> Features:
    """The features of texts, given their vectors."""
    buckets = [hash_grams(text) for text in texts]
    sizes = np.array([len(some) for some in buckets])
    words = csr_matrix(
        (
            np.repeat(GRAMS_SHARE / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32),
            np.concatenate([*map(np.array, buckets), []]).astype(np.int32),
            np.concatenate([[0], np.cumsum(sizes)]),
        ),
        shape=(len(texts), BUCKETS),
    )
    return Features(
        matrix=hstack([csr_matrix(vectors), words]).tocsr(),
        vectors=vectors,
        short=np.array([how_short(text) for text in texts]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Benign:
    """Benign texts that set the cut points: the pieces of mails, and single sentences by kind."""

    pieces: Features
    mails: tuple[tuple[int, ...], ...]
    singles: dict[str, Features]


def train(rows: Sequence[LabelledText], features: Features, benign: Benign) -> dict[str, Trained]:
    """The heads of all categories; rows that say nothing on a category are left out of it."""
    dev = np.array([is_dev(row.group) for row in rows])
    weights, own = _weights(rows), np.array([row.source == "own" for row in rows])
    return {
        category: _train_one(features, _labels(rows, category), weights, dev, own, benign)
        for category in CATEGORIES
    }


def measure_across(rows: Sequence[LabelledText], features: Features) -> str:
    """A Markdown table: heads that were trained without a source, measured on that source."""
    sources = np.array([row.source for row in rows])
    weights = _weights(rows)
    lines = ["| category | source left out | texts (harm) | AP | AUROC |", "|---|---|---|---|---|"]
    for category, names in ACROSS.items():
        labels = _labels(rows, category)
        for name in names:
            left_out = np.char.startswith(sources, name)
            fit, test = (labels >= 0) & ~left_out, (labels >= 0) & left_out
            scores = _fit(features, labels, weights, fit).score(features[test])
            precision = average_precision_score(labels[test], scores)
            lines.append(
                f"| {category} | {name} | {test.sum()} ({(labels[test] == 1).sum()}) "
                f"| {precision:.3f} | {roc_auc_score(labels[test], scores):.3f} |"
            )
    return "\n".join(lines) + "\n"


def _labels(rows: Sequence[LabelledText], category: str) -> np.ndarray:
    return np.array([row.labels.get(category, -1) for row in rows])


def _weights(rows: Sequence[LabelledText]) -> np.ndarray:
    return np.array([WEIGHTS.get(row.source, 1.0) for row in rows])


def _fit(features: Features, labels: np.ndarray, weights: np.ndarray, fit: np.ndarray) -> Head:
    linear = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=400)
    linear.fit(features.matrix[fit], labels[fit], sample_weight=weights[fit])
    # The network takes no weights: rows are drawn by theirs, harm as often as none.
    chances = weights * fit
    for label in (0, 1):
        chances[labels == label] /= chances[labels == label].sum()
    chances[~fit] = 0
    drawn = np.random.default_rng(SEED).choice(
        len(labels), size=2 * fit.sum(), p=chances / chances.sum()
    )
    network = MLPClassifier(
        (HIDDEN,), alpha=DECAY, max_iter=EPOCHS, batch_size=256, random_state=SEED
    )
    with warnings.catch_warnings():
        # It stops before it has converged, on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(features.vectors[drawn], labels[drawn])
    (hidden, output), (hidden_bias, output_bias) = network.coefs_, network.intercepts_
    return Head(
        weights=linear.coef_[0][:-BUCKETS],
        grams=GRAMS_SHARE * linear.coef_[0][-BUCKETS:],
        hidden=hidden,
        hidden_bias=hidden_bias,
        output=NETWORK_SHARE * output[:, 0],
        bias=float(linear.intercept_[0] + NETWORK_SHARE * output_bias[0]),
    )


def _train_one(  # noqa: PLR0913, PLR0917 - one row each
    features: Features,
    labels: np.ndarray,
    weights: np.ndarray,
    dev: np.ndarray,
    own: np.ndarray,
    benign: Benign,
) -> Trained:
    known = labels >= 0
    fit, held = known & ~dev, known & dev
    head = _fit(features, labels, weights, fit)
    raw = head.score(features[held])
    scale = LogisticRegression(C=1e6).fit(raw[:, None], labels[held], sample_weight=weights[held])
    slope, offset = scale.coef_[0, 0], scale.intercept_[0]
    short = slope * _shift_of_short(head, benign.singles.values())

    def probability(some: Features) -> Scores:
        scores: Scores = 1 / (1 + np.exp(-(slope * head.score(some) + short * some.short + offset)))
        return scores

    scores = probability(features[held])
    positive = labels[held] == 1
    found = np.quantile(scores[positive & own[held]], 1 - FOUND_AT_6)
    cuts = _cuts(probability, benign, least_of_6=min(float(found), MOST))
    return Trained(
        head=head,
        slope=round(float(slope), 5),
        short=round(float(short), 5),
        offset=round(float(offset), 5),
        cuts=cuts,
        measured={
            "train": int(fit.sum()),
            "train_harm": int((labels[fit] == 1).sum()),
            "dev": int(held.sum()),
            "dev_harm": int(positive.sum()),
            "average_precision": float(average_precision_score(labels[held], raw)),
            "auroc": float(roc_auc_score(labels[held], raw)),
            "recall_at_6": float((scores[positive] >= cuts[2]).mean()),
            "false_at_6": float((scores[~positive] >= cuts[2]).mean()),
        },
    )


def _shift_of_short(head: Head, benign: Iterable[Features]) -> float:
    """What a line of no length must lose so that short and long benign lines go equally far."""
    benign = tuple(benign)
    raw = np.concatenate([head.score(some) for some in benign])
    short = np.concatenate([some.short for some in benign])
    is_short = short >= 0.5  # noqa: PLR2004 - four words and fewer
    gap = np.quantile(raw[short == 0], HIGH) - np.quantile(raw[is_short], HIGH)
    return float(np.clip(gap / short[is_short].mean(), MOST_SHIFT, 0))


def _cuts(
    probability: Callable[[Features], Scores], benign: Benign, *, least_of_6: float
) -> tuple[float, float, float]:
    """Scores from which a text has severity 2, 4 and 6, by what benign texts reach."""
    pieces = probability(benign.pieces)
    worst = np.array([max(pieces[list(mail)]) for mail in benign.mails])
    singles = {name: probability(some) for name, some in benign.singles.items()}
    cuts = []
    for level, least in (LEAST | {6: least_of_6}).items():
        reached = [np.quantile(worst, 1 - MAILS_AT[level]), least]
        reached += [np.quantile(some, 1 - SINGLES_AT[level]) for some in singles.values()]
        if level == 2:  # noqa: PLR2004 - the lowest of the three
            reached += [np.quantile(singles[name], 1 - LINES_AT_2) for name in SHORT]
        cuts.append(float(np.ceil(max(reached) * 1e4) / 1e4))
    four, two, six = cuts
    return min(two, four, six), min(four, six), six


def gather_benign(
    rows: Sequence[LabelledText], traps: tuple[str, ...], embed: Embed, cache: Path
) -> Benign:
    """Mails of dev sentences, cut as the screener cuts them, and single sentences."""
    held = [row for row in rows if is_dev(row.group)]
    pieces: dict[str, int] = {}
    mails = tuple(
        tuple(pieces.setdefault(part, len(pieces)) for part in _parts(mail))
        for mail in _mails(held, seed=SEED)
    )
    singles = {
        kind: [row.text for row in held if row.source == kind]
        for kind in ("retail_alarming", "retail_plain", "retail_line", "fragment")
    }
    singles["traps"] = list(traps)
    return Benign(
        pieces=make_features(tuple(pieces), embed_once(tuple(pieces), embed, cache)),
        mails=mails,
        singles={
            name: make_features(texts, embed_once(texts, embed, cache))
            for name, texts in singles.items()
        },
    )


def gather_long(rows: Sequence[LabelledText]) -> list[LabelledText]:
    """Harmless training rows that are no sentences: windows of long ones, and whole mails."""
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
    """Mails and short paragraphs of benign sentences, a sixth of them alarming."""
    calm = [row.text for row in rows if row.source in CALM]
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
        "format": 2,
        "seed": SEED,
        "rows": len(rows),
        "rows_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "heads": {
            category: {
                "weights": _rounded(one.head.weights),
                "grams": _eight_bits(one.head.grams),
                "hidden": _eight_bits(one.head.hidden),
                "hidden_bias": _rounded(one.head.hidden_bias),
                "output": _rounded(one.head.output),
                "bias": round(one.head.bias, 5),
                "slope": one.slope,
                "short": one.short,
                "offset": one.offset,
                "cuts": list(one.cuts),
            }
            for category, one in heads.items()
        },
    }
    models.write_checked(folder / "screener.json", content)
    models.write_checked(folder / "lexicon.json", make_lexicon(safety))


def _rounded(numbers: np.ndarray) -> list[float]:
    return [round(float(number), 5) for number in numbers]


def _eight_bits(numbers: np.ndarray) -> dict[str, object]:
    """Numbers in 8 bits each, with the scale that brings them back."""
    scale = float(np.float32(np.abs(numbers).max() / 127))
    whole = np.rint(numbers / scale).astype(np.int8)
    return {"scale": scale, "numbers": base64.b64encode(zlib.compress(whole.tobytes(), 9)).decode()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, or report; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with safety/, content/")
    parser.add_argument("--out", type=Path, default=models.FOLDER, help="folder of the models")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "liftwright")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, for a trial")
    parser.add_argument("--report", action="store_true", help="measure the written models only")
    parser.add_argument("--across", action="store_true", help="measure across sources only")
    parser.add_argument("--benign", action="store_true", help="measure benign texts only")
    parser.add_argument("--workspace", type=Path, default=ROOT, help="whose frames and content")
    options = parser.parse_args(arguments)
    embed = MiniLmEmbed()
    if options.report:
        screen = EmbeddedScreen(embed, options.out)
        sys.stdout.write(measure_reporting_sets(options.data / "safety", screen))
        return 0
    if options.benign:
        held_out = read_held_out(options.data, seed=SEED)
        screen = EmbeddedScreen(embed, options.out)
        sys.stdout.write(measure_benign(options.workspace, held_out, screen))
        return 0
    cache = options.cache / "screener_vectors.npz"
    rows = read_rows(options.data, seed=SEED, scale=options.scale)
    rows = (*rows, *gather_long(rows))
    benign = gather_benign(rows, read_traps(options.data), embed, cache)
    texts = [row.text for row in rows]
    features = make_features(texts, embed_once(texts, embed, cache))
    if options.across:
        sys.stdout.write(measure_across(rows, features))
        return 0
    heads = train(rows, features, benign)
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
