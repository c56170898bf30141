from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from liftwright.agents.segmentation import (
    segment_customers,
)
from liftwright.config import Segments
from liftwright.errors import ConfigurationError, NoExperiment
from liftwright.model import FEATURES
from plane_samples import (
    customer,
    keep_customers,
    open_tables,
    segments_config,
    varied_customers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.data import Tables

CONFIG = Path(__file__).parents[2] / "config" / "segments.yaml"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path)
    yield opened
    opened.close()


def shipped(**values: object) -> Segments:
    return Segments.model_validate({**yaml.safe_load(CONFIG.read_text()), **values})


def placed(tables: Tables) -> list[tuple[object, ...]]:
    return [tuple(row) for row in tables.rows("select * from segmented order by customer_id")]


@pytest.mark.parametrize("method", ["rules", "rfm", "kmeans"])
def test_segment_customers_any_method_places_each_customer_once_with_confidence_and_reason(
    tables: Tables, method: str
) -> None:
    keep_customers(tables, varied_customers(200))

    found = segment_customers(tables, shipped(method=method), seed=3)

    rows = placed(tables)
    assert len({row[0] for row in rows}) == len(rows) == found.customers == 200
    assert sum(found.sizes.values()) == 200
    assert 3 <= len(found.segments) <= 5
    assert {row[1] for row in rows} == set(found.sizes)
    assert all(0.0 <= float(str(row[2])) <= 1.0 for row in rows)
    assert len({row[2] for row in rows}) > 2
    assert all(str(row[3]).strip() for row in rows)
    assert not any(label.isdigit() for label in found.sizes)


@pytest.mark.parametrize("method", ["rules", "rfm", "kmeans"])
def test_segment_customers_rows_in_another_order_places_all_alike(
    tables: Tables, method: str
) -> None:
    rows = varied_customers(150)
    keep_customers(tables, rows)
    first = segment_customers(tables, shipped(method=method), seed=3)
    before = placed(tables)

    keep_customers(tables, rows[::-1])
    second = segment_customers(tables, shipped(method=method), seed=3)

    assert placed(tables) == before
    assert second == first


@pytest.mark.parametrize("count", [30, 77, 400])
@pytest.mark.parametrize("seed", range(2))
def test_shipped_rules_on_any_varied_list_give_three_to_five_segments(
    tables: Tables, count: int, seed: int
) -> None:
    keep_customers(tables, varied_customers(count, seed))

    found = segment_customers(tables, shipped(), seed=0)

    assert 3 <= len(found.segments) <= 5


def test_segment_customers_two_rules_satisfied_takes_the_greater_weight(tables: Tables) -> None:
    keep_customers(
        tables,
        [
            customer(1, age=50.0, avg_order_value=300.0),
            customer(2, age=50.0),
            customer(3, age=20.0),
        ],
    )
    rules = [
        {
            "label": "Old",
            "description": "d",
            "conditions": [
                {"when": "age > 40", "weight": 1},
                {"when": "avg_order_value < 100", "weight": 1},
            ],
        },
        {
            "label": "Rich",
            "description": "d",
            "conditions": [
                {"when": "avg_order_value > 200", "weight": 2},
                {"when": "age < 30", "weight": 1},
            ],
        },
        {"label": "Rest", "description": "d"},
    ]

    segment_customers(tables, segments_config(rules=rules), seed=0)

    first, second, third = placed(tables)
    # Rich 2/3 against Old 1/2; Old 2/2 against nothing; Old 1/2 against Rich 1/3.
    assert first[1:3] == ("Rich", pytest.approx(1 / 6, abs=1e-4))
    assert first[3] == "avg_order_value > 200 (avg_order_value 300)"
    assert second[1:3] == ("Old", 1.0)
    assert third[1:3] == ("Old", pytest.approx(1 / 6, abs=1e-4))


def test_segment_customers_equal_scores_takes_the_earlier_with_confidence_0(tables: Tables) -> None:
    keep_customers(tables, [customer(1), customer(2, age=10.0), customer(3)])
    rules = [
        {"label": "A", "description": "d", "conditions": [{"when": "age >= 40"}]},
        {"label": "B", "description": "d", "conditions": [{"when": "age > 30"}]},
        {"label": "C", "description": "d", "conditions": [{"when": "age < 20"}]},
    ]

    found = segment_customers(tables, segments_config(rules=rules), seed=0)

    assert [row[1:3] for row in placed(tables)] == [("A", 0.0), ("C", 1.0), ("A", 0.0)]
    assert any("'B'" in warning for warning in found.warnings)
    assert any(warning.startswith("only 2 of 3") for warning in found.warnings)


def test_segment_customers_no_rule_satisfied_goes_to_the_segment_without_conditions(
    tables: Tables,
) -> None:
    keep_customers(tables, [customer(1), customer(2, age=None)])
    rules = [
        {"label": "Default", "description": "d"},
        {"label": "A", "description": "d", "conditions": [{"when": "age >= 40"}]},
        {"label": "B", "description": "d", "conditions": [{"when": "age < 40"}]},
    ]

    segment_customers(tables, segments_config(rules=rules), seed=0)

    assert placed(tables)[1] == ("C00002", "Default", 1.0, "satisfies no other rule")


@pytest.mark.parametrize("method", ["rules", "rfm", "kmeans"])
def test_segment_customers_all_alike_makes_one_segment_and_warns(
    tables: Tables, method: str
) -> None:
    keep_customers(tables, [customer(index) for index in range(20)])

    found = segment_customers(tables, shipped(method=method), seed=0)

    (only,) = found.segments
    assert only.size == 20
    assert only.share == 1.0
    assert any("too similar" in warning for warning in found.warnings)


def test_segment_customers_without_customers_refuses(tables: Tables) -> None:
    keep_customers(tables, [customer(1)])
    tables.keep("customers", "select * from raw where false")

    with pytest.raises(NoExperiment, match="no customers"):
        segment_customers(tables, shipped(), seed=0)


def test_segment_customers_rule_on_an_absent_feature_names_it(tables: Tables) -> None:
    keep_customers(tables, varied_customers(30))

    with pytest.raises(ConfigurationError, match=r"monetary_score.*'avg_order_value'"):
        segment_customers(tables, segments_config(), seed=0, absent=["avg_order_value"])


def test_segment_customers_rfm_on_an_absent_feature_names_it(tables: Tables) -> None:
    keep_customers(tables, varied_customers(30))

    with pytest.raises(ConfigurationError, match="'last_engagement_days'"):
        segment_customers(
            tables, segments_config(method="rfm"), seed=0, absent=["last_engagement_days"]
        )


def test_segment_customers_extra_column_named_like_a_score_is_refused(tables: Tables) -> None:
    keep_customers(tables, [customer(1, recency_score=3)], extra=["recency_score"])

    with pytest.raises(ConfigurationError, match="'recency_score'"):
        segment_customers(tables, segments_config(), seed=0)


def test_segment_customers_rule_on_an_extra_column_shows_its_value(tables: Tables) -> None:
    rows = [
        customer(1, plan="O'Neil", vip=True, balance=-12.345),
        customer(2, plan=None, vip=False, balance=7.0),
    ]
    keep_customers(tables, rows, extra=["plan", "vip", "balance"])
    tables.keep("raw_typed", "select * replace (cast(balance as double) as balance) from customers")
    tables.keep("customers", "select * from raw_typed")
    rules = [
        {
            "label": "A",
            "description": "d",
            "conditions": [{"when": "plan = 'O''Neil'"}, {"when": "vip"}, {"when": "balance < 0"}],
        },
        {"label": "B", "description": "d", "conditions": [{"when": "plan is null"}]},
        {"label": "C", "description": "d"},
    ]

    segment_customers(tables, segments_config(rules=rules), seed=0)

    first, second = placed(tables)
    assert "(plan O'Neil)" in str(first[3])
    assert "(vip true)" in str(first[3])
    assert "(balance -12.35)" in str(first[3])
    assert "(plan none)" in str(second[3])


def test_scores_compare_with_the_other_customers(tables: Tables) -> None:
    keep_customers(
        tables,
        [
            customer(
                index,
                last_engagement_days=float(index),
                purchase_frequency=0.0 if index < 90 else float(index),
            )
            for index in range(100)
        ],
    )

    segment_customers(tables, segments_config(), seed=0)

    scores = tables.rows(
        "select recency_score, count(*) from profiles group by recency_score order by recency_score"
    )
    assert [tuple(row) for row in scores] == [(1, 20), (2, 20), (3, 20), (4, 20), (5, 20)]
    frequent = tables.rows(
        "select frequency_score, count(*) from profiles group by frequency_score order by 1"
    )
    # Customers without orders score 1, although their middle rank lies in the third fifth.
    assert [tuple(row) for row in frequent] == [(1, 90), (5, 10)]
    ((most_recent,),) = tables.rows(
        "select max(last_engagement_days) from profiles where recency_score = 5"
    )
    assert most_recent == 19.0


def test_merge_small_moves_a_small_segment_into_its_nearest_and_says_so(tables: Tables) -> None:
    rows = [
        customer(index, last_engagement_days=float(index), avg_order_value=float(index % 7))
        for index in range(100)
    ]
    keep_customers(tables, rows)
    rules = [
        {"label": label, "description": "d", "conditions": [{"when": when}]}
        for label, when in (
            ("Now", "last_engagement_days < 40"),
            ("Soon", "last_engagement_days between 40 and 43"),
            ("Later", "last_engagement_days between 44 and 75"),
            ("Late", "last_engagement_days > 75"),
        )
    ]
    left = segment_customers(tables, segments_config(rules=rules), seed=0)
    merged = segment_customers(tables, segments_config(rules=rules, merge_small=True), seed=0)

    assert left.sizes["Soon"] == 4
    assert any("'Soon' has 4.0%" in warning for warning in left.warnings)
    assert left.segments[1].warnings
    assert merged.model.merged == {"Soon": "Later"}
    assert merged.sizes == {"Now": 40, "Later": 36, "Late": 24}
    assert any("merged into 'Later'" in warning for warning in merged.warnings)
    assert "also 'Soon'" in next(s.definition for s in merged.segments if s.label == "Later")
    ((reason,),) = tables.rows("select reason from segmented where customer_id = 'C00041'")
    assert all(name in str(reason) for name in ("'Soon'", "'Later'"))


def test_segments_describe_the_distribution_exactly(tables: Tables) -> None:
    import numpy as np

    rows = varied_customers(203)
    rows[5]["age"] = None
    keep_customers(tables, rows)
    found = segment_customers(tables, segments_config(), seed=0)
    placed_in = {row[0]: row[1] for row in placed(tables)}

    for segment in found.segments:
        own = [row for row in rows if placed_in[row["customer_id"]] == segment.label]
        assert segment.size == len(own)
        assert segment.share == len(own) / 203
        for feature in FEATURES:
            values = np.array([row[feature] for row in own if row[feature] is not None], float)
            summary = segment.features[feature]
            assert summary.missing == len(own) - len(values)
            expected = [
                values.mean(),
                np.median(values),
                values.std(ddof=1),
                values.min(),
                np.quantile(values, 0.25),
                np.quantile(values, 0.75),
                values.max(),
            ]
            measured = [
                summary.mean,
                summary.median,
                summary.std,
                summary.min,
                summary.q25,
                summary.q75,
                summary.max,
            ]
            assert measured == pytest.approx(expected, rel=1e-8)
        tiers = [str(row["tier"]) for row in own if row["tier"] is not None]
        assert dict(segment.tiers) == {tier: tiers.count(tier) for tier in set(tiers)}
        assert sum(segment.locations.values()) == len(own)


def test_segments_name_the_features_that_set_them_apart(tables: Tables) -> None:
    keep_customers(
        tables,
        [
            customer(
                index, purchase_frequency=float(index // 10), last_engagement_days=float(index)
            )
            for index in range(90)
        ],
    )
    rules = [
        {"label": "Often", "description": "d", "conditions": [{"when": "frequency_score >= 4"}]},
        {"label": "Seldom", "description": "d", "conditions": [{"when": "frequency_score <= 2"}]},
        {"label": "Between", "description": "d"},
    ]

    found = segment_customers(tables, segments_config(rules=rules), seed=0)

    words = {s.label: [feature.words for feature in s.defining_features] for s in found.segments}
    assert "order often" in words["Often"]
    assert "have high last engagement days" in words["Often"]
    assert "order seldom" in words["Seldom"]
    assert words["Between"] == []


@pytest.mark.parametrize("method", ["rfm", "rules"])
def test_scores_of_customers_without_orders_are_not_raised_by_ties(
    tables: Tables, method: str
) -> None:
    without = {"purchase_frequency": 0.0, "avg_order_value": 0.0, "last_engagement_days": 999.0}
    buyers = [
        customer(180 + n, purchase_frequency=1.0 + n, last_engagement_days=9.0 + n)
        for n in range(20)
    ]
    keep_customers(tables, [*(customer(n, **without) for n in range(180)), *buyers])

    segmentation = segment_customers(tables, segments_config(method=method), seed=0)

    rows = tables.rows(
        "select distinct segment, recency_score, frequency_score, monetary_score from profiles "
        "where purchase_frequency = 0"
    )
    lowest = "Least" if method == "rfm" else "Lapsing"
    assert [tuple(row) for row in rows] == [(lowest, 1, 1, 1)]
    assert segmentation.sizes[lowest] == 180


def test_rfm_bands_follow_the_sum_and_confidence_its_distance_from_a_band(tables: Tables) -> None:
    keep_customers(tables, varied_customers(200))

    segment_customers(tables, segments_config(method="rfm"), seed=0)

    rows = tables.rows(
        "select recency_score + frequency_score + monetary_score as total, "
        "min(segment), max(segment), min(confidence), max(confidence) "
        "from profiles group by total order by total"
    )
    for total, first, last, low, high in rows:
        label = "Best" if total >= 12 else "Middle" if total >= 7 else "Least"
        steps = {"Best": total - 11, "Middle": min(total - 6, 12 - total), "Least": 7 - total}
        assert first == last == label
        assert low == high == pytest.approx(min(steps[label], 5) / 5)


@pytest.mark.parametrize("starts", [(12, 7, 4), (12, 12, 3)])
def test_rfm_bands_that_leave_a_gap_are_refused(starts: tuple[int, ...]) -> None:
    bands = [
        {"label": f"Band {index}", "description": "d", "at_least": start}
        for index, start in enumerate(starts)
    ]

    with pytest.raises(ValueError, match="rfm: at_least"):
        segments_config(rfm=bands)


def test_segments_called_all_are_refused() -> None:
    rules = [
        {"label": label, "description": "d", "conditions": [{"when": "age > 1"}]}
        for label in ("A", "All", "C")
    ]

    with pytest.raises(ValueError, match="'all' is reserved"):
        segments_config(rules=rules)
