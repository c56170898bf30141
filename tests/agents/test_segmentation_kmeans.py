from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from liftwright.agents.segmentation import segment_customers
from liftwright.agents.segmentation.kmeans import _silhouette
from liftwright.agents.segmentation.naming import distinct_labels
from liftwright.errors import ConfigurationError
from plane_samples import customer, keep_customers, open_tables, segments_config, varied_customers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    yield opened
    opened.close()


def in_groups(centres: list[tuple[float, float]], each: int = 40) -> list[dict[str, object]]:
    draw = random.Random(5)  # noqa: S311 - a repeatable sample
    return [
        customer(
            index * each + place,
            purchase_frequency=frequency + draw.uniform(-0.3, 0.3),
            avg_order_value=value + draw.uniform(-3, 3),
        )
        for index, (frequency, value) in enumerate(centres)
        for place in range(each)
    ]


FOUR = [(1.0, 20.0), (1.0, 200.0), (20.0, 20.0), (20.0, 200.0)]
TWO_FEATURES = {"features": ["purchase_frequency", "avg_order_value"]}


def test_kmeans_on_clear_groups_finds_their_number_and_members(tables: Tables) -> None:
    keep_customers(tables, in_groups(FOUR))

    found = segment_customers(tables, segments_config(method="kmeans", kmeans=TWO_FEATURES), seed=1)

    assert sorted(found.sizes.values()) == [40, 40, 40, 40]
    assert max(found.model.silhouettes, key=found.model.silhouettes.__getitem__) == "4"
    groups = tables.rows(
        "select count(distinct segment) from segmented "
        "group by cast(substr(customer_id, 2) as bigint) // 40"
    )
    assert [row[0] for row in groups] == [1, 1, 1, 1]


def test_kmeans_places_each_customer_at_the_nearest_centre(tables: Tables) -> None:
    rows = varied_customers(300)
    keep_customers(tables, rows)
    found = segment_customers(tables, segments_config(method="kmeans"), seed=1)
    scales, groups = found.model.scales, found.model.groups

    placed = dict(tables.rows("select customer_id, segment from segmented"))
    for row in rows:
        ordinary = [min(max(float(str(row[s.feature])), s.low), s.high) for s in scales]
        point = [(value - s.mean) / s.sd for value, s in zip(ordinary, scales, strict=True)]
        distances = {
            g.label: sum((a - b) ** 2 for a, b in zip(point, g.centre, strict=True)) for g in groups
        }
        # Distances are in thousandths; a customer between two centres may go either way.
        assert distances[str(placed[row["customer_id"]])] <= min(distances.values()) + 0.02


def test_kmeans_on_the_same_seed_repeats_and_another_seed_samples_others(tables: Tables) -> None:
    keep_customers(tables, varied_customers(400))
    config = segments_config(method="kmeans", kmeans={"sample_rows": 100})

    first = segment_customers(tables, config, seed=1)
    again = segment_customers(tables, config, seed=1)
    other = segment_customers(tables, config, seed=2)

    assert first == again
    assert first.model.scales != other.model.scales


def test_kmeans_absent_features_are_left_out_with_a_warning(tables: Tables) -> None:
    keep_customers(tables, [{**row, "historical_open_rate": None} for row in varied_customers(80)])

    found = segment_customers(
        tables, segments_config(method="kmeans"), seed=1, absent=["historical_open_rate"]
    )

    assert "historical_open_rate" not in {scale.feature for scale in found.model.scales}
    assert any("historical_open_rate" in warning for warning in found.warnings)


def test_kmeans_with_no_feature_left_is_refused(tables: Tables) -> None:
    keep_customers(tables, varied_customers(30))
    config = segments_config(method="kmeans", kmeans={"features": ["age"]})

    with pytest.raises(ConfigurationError, match="age"):
        segment_customers(tables, config, seed=1, absent=["age"])


@pytest.mark.parametrize("feature", ["nonsense", "tier"])
def test_kmeans_on_what_is_no_numeric_column_is_refused(tables: Tables, feature: str) -> None:
    keep_customers(tables, varied_customers(30))
    config = segments_config(method="kmeans", kmeans={"features": ["age", feature]})

    with pytest.raises(ConfigurationError, match=rf"features\[1\]: '{feature}'"):
        segment_customers(tables, config, seed=1)


def test_kmeans_few_different_customers_make_as_many_segments(tables: Tables) -> None:
    keep_customers(
        tables, [customer(index, purchase_frequency=float(index % 2) * 9) for index in range(20)]
    )

    found = segment_customers(tables, segments_config(method="kmeans"), seed=1)

    assert sorted(found.sizes.values()) == [10, 10]
    assert sorted(found.sizes) == ["Frequent Buyers", "Infrequent Buyers"]
    assert {row[0] for row in tables.rows("select distinct confidence from segmented")} == {1.0}


def test_kmeans_reason_names_the_centre_and_the_customers_values(tables: Tables) -> None:
    keep_customers(tables, in_groups(FOUR))

    segment_customers(tables, segments_config(method="kmeans", kmeans=TWO_FEATURES), seed=1)

    ((label, reason),) = tables.rows(
        "select segment, reason from segmented where customer_id = 'C00000'"
    )
    assert str(reason).startswith(f"nearest to the centre of '{label}': ")
    assert "purchase_frequency " in str(reason)
    assert "(centre " in str(reason)


def test_silhouette_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    points = np.vstack([rng.normal(size=(50, 3)), rng.normal(size=(30, 3)) + 2, [[9.0, 9.0, 9.0]]])
    labels = np.array([0] * 50 + [1] * 30 + [2])

    assert _silhouette(points, labels) == pytest.approx(silhouette_score(points, labels))
    assert _silhouette(points, np.zeros(81, dtype=np.intp)) == -1.0


@given(
    st.lists(
        st.fixed_dictionaries(
            {name: st.sampled_from([-2.0, -0.5, 0.0, 0.5, 2.0]) for name in ("a", "b", "c")}
        ),
        min_size=1,
        max_size=5,
    )
)
@settings(max_examples=100, deadline=None)
def test_distinct_labels_are_all_different_and_readable(effects: list[dict[str, float]]) -> None:
    labels = distinct_labels(effects, {})

    assert len(set(labels)) == len(effects)
    assert all(label and not label.isdigit() for label in labels)
