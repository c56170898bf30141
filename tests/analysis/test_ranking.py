from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from liftwright.analysis.ranking import auroc, average_precision, ndcg_at, recall_at

# A few values only, so that most samples have ties.
SCORED = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), st.booleans()), min_size=2
).filter(lambda cases: {label for _, label in cases} == {True, False})


@given(SCORED)
def test_auroc_scores_with_ties_equals_scikit_learn(cases: list[tuple[float, bool]]) -> None:
    scores, labels = zip(*cases, strict=True)
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@given(SCORED)
def test_average_precision_scores_with_ties_equals_scikit_learn(
    cases: list[tuple[float, bool]],
) -> None:
    scores, labels = zip(*cases, strict=True)
    expected = average_precision_score(labels, scores)
    assert average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)


@given(SCORED)
def test_auroc_labels_turned_round_is_the_complement(cases: list[tuple[float, bool]]) -> None:
    scores, labels = zip(*cases, strict=True)
    other = auroc(scores, [not label for label in labels])
    assert auroc(scores, labels) + other == pytest.approx(1)


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_auroc_one_class_is_nan(labels: list[bool]) -> None:
    assert math.isnan(auroc([0.1, 0.2], labels))


def test_auroc_labels_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="1 labels for 2 scores"):
        auroc([0.1, 0.2], [True])


# By hand: log2 of 2, 3, 4, 5, 6 is 1, 1.58496, 2, 2.32193, 2.58496.
GAINS = {"a": 3.0, "b": 2.0, "c": 3.0, "d": 0.0, "e": 1.0, "f": 2.0}
BEST = 3 + 3 / 1.5849625 + 2 / 2 + 2 / 2.3219281 + 1 / 2.5849625
TABLE = {
    "best order": (["a", "c", "b", "f", "e", "d"], 1.0),
    "as searched": (
        ["a", "b", "c", "d", "e", "f"],
        (3 + 2 / 1.5849625 + 3 / 2 + 0 + 1 / 2.5849625 + 2 / 2.8073549) / BEST,
    ),
    "with strangers": (["x", "e", "y", "a"], (1 / 1.5849625 + 3 / 2.3219281) / BEST),
    "nothing of worth": (["x", "d"], 0.0),
    "nothing": ([], 0.0),
}


@pytest.mark.parametrize(("found", "expected"), TABLE.values(), ids=TABLE)
def test_ndcg_at_hand_computed_table_is_met(found: list[str], expected: float) -> None:
    assert ndcg_at(10, found, GAINS) == pytest.approx(expected, abs=1e-7)


@given(st.permutations(sorted(GAINS)), st.integers(1, 8))
def test_ndcg_at_any_order_equals_scikit_learn(order: list[str], k: int) -> None:
    falling = [[float(len(order) - rank) for rank in range(len(order))]]
    expected = ndcg_score([[GAINS[name] for name in order]], falling, k=k)
    assert ndcg_at(k, order, GAINS) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("k", "found", "expected"),
    [(2, ["a", "x", "b"], 1 / 5), (3, ["a", "x", "b"], 2 / 5), (10, ["d"], 0.0), (10, [], 0.0)],
)
def test_recall_at_counts_relevant_documents_within_the_cutoff(
    k: int, found: list[str], expected: float
) -> None:
    assert recall_at(k, found, GAINS) == pytest.approx(expected)
