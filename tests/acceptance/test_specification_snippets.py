"""The validation snippets of the product's specification, as they stand, on the sample brand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import liftwright
from liftwright import (
    anonymize_customer_id,
    apply_policy_threshold,
    assign_customers_to_arms,
    calculate_lift,
    calculate_metrics,
    check_safety,
    design_experiment,
    extract_citations,
    extract_snippet,
    generate_segment_summary,
    generate_variant,
    init_workspace,
    load_customer_data,
    retrieve_content,
    segment_customers,
    simulate_engagement,
)
from liftwright.model import CATEGORIES

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT = {"name": "High-Value Loyal", "features": {"purchase_frequency": 12.0}}
VARIANTS = [
    {"variant_id": f"v-{tone}", "tone": tone} for tone in ("urgent", "informational", "friendly")
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brand") / "workspace"
    init_workspace(folder)
    return folder


@pytest.fixture(autouse=True)
def _in_the_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)


@pytest.fixture(scope="module")
def many_customers() -> pd.DataFrame:
    """20,000 people who are alike in all that the simulator looks at."""
    count = 20_000
    return pd.DataFrame(
        {
            "customer_id": [f"S{number:06}" for number in range(count)],
            "age": 40,
            "location": "Leeds",
            "tier": "Silver",
            "purchase_frequency": [number % 20 for number in range(count)],
            "avg_order_value": [20.0 + number % 90 for number in range(count)],
            "last_engagement_days": [number % 300 for number in range(count)],
            "historical_open_rate": 0.25,
            "historical_click_rate": 0.07,
        }
    )


@pytest.fixture(scope="module")
def engagement(workspace: Path, many_customers: pd.DataFrame) -> Any:
    assignments = assign_customers_to_arms(many_customers, VARIANTS, workspace=workspace)
    return simulate_engagement(assignments, workspace=workspace)


# ── Data ──────────────────────────────────────────────────────────────────────────────────────


def test_snippet_customer_file_has_the_fields_and_is_loaded_as_it_is() -> None:
    df = pd.read_csv("data/raw/customers.csv", dtype={"customer_id": str})
    assert 100 <= len(df) <= 500
    critical = [
        *("customer_id", "purchase_frequency", "avg_order_value", "last_engagement_days"),
        *("historical_open_rate", "historical_click_rate"),
    ]
    assert {*critical, "age", "location", "tier"} <= set(df.columns)
    assert df["customer_id"].is_unique
    assert df[critical].isna().sum().sum() == 0
    loaded = load_customer_data("data/raw/customers.csv")
    assert set(loaded["customer_id"]) == set(df["customer_id"])
    assert loaded["avg_order_value"].sum() == pytest.approx(df["avg_order_value"].sum())


def test_snippet_anonymize_customer_id_hashes_under_the_workspaces_own_key(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIFTWRIGHT_LOG_KEY", raising=False)
    name = anonymize_customer_id("C00001")
    assert re.fullmatch(r"[0-9a-f]{16}", name)
    assert anonymize_customer_id("C00001") == name != anonymize_customer_id("C00002")
    assert (workspace / "data" / "log.key").stat().st_mode & 0o077 == 0
    init_workspace(tmp_path / "other")
    assert anonymize_customer_id("C00001", workspace=tmp_path / "other") != name
    monkeypatch.setenv("LIFTWRIGHT_LOG_KEY", "shared between workspaces")
    shared = anonymize_customer_id("C00001")
    assert shared != name
    assert anonymize_customer_id("C00001", workspace=tmp_path / "other") == shared


# ── Segments ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["rules", "rfm", "kmeans"])
def test_snippet_segment_customers_by_any_method_gives_three_to_five_named_segments(
    method: str,
) -> None:
    customers = pd.read_csv("data/raw/customers.csv")
    segments = segment_customers(customers, method)
    assert segments["segment"].nunique() in range(3, 6)
    assert not segments["segment"].str.fullmatch(r"\d+").any()
    assert segments["customer_id"].is_unique
    assert len(segments) == len(customers)
    assert segments["confidence"].between(0, 1).all()
    assert segments["reason"].str.len().min() > 0
    if method == "rules":
        pd.testing.assert_frame_equal(segment_customers("data/raw/customers.csv"), segments)
        assert segments["segment"].value_counts(normalize=True).min() > 0.10


def test_snippet_segment_customers_with_an_unknown_method_says_what_is_allowed() -> None:
    with pytest.raises(liftwright.InputError, match=r"'magic'.*rules, rfm, kmeans"):
        segment_customers("data/raw/customers.csv", "magic")


def test_snippet_generate_segment_summary_adds_up() -> None:
    summary: dict[str, Any] = generate_segment_summary("data/raw/customers.csv")
    assert sum(one["size"] for one in summary.values()) == 500
    assert sum(one["share"] for one in summary.values()) == pytest.approx(1.0)
    for one in summary.values():
        spend = one["features"]["avg_order_value"]
        assert spend["q25"] <= spend["median"] <= spend["q75"]
        assert one["definition"]


# ── Content ───────────────────────────────────────────────────────────────────────────────────


def test_snippet_retrieve_content_gives_three_to_five_sources() -> None:
    results = retrieve_content(SEGMENT, top_k=5)
    assert 3 <= len(results) <= 5
    for result in results:
        assert {"document_id", "title", "paragraph_index", "text", "score"} <= result.keys()
        assert len(result["text"].split()) <= 200
        assert result["score"] > 0.5 or result["fallback"]
    assert any(not result["fallback"] for result in results)
    assert len({result["document_id"] for result in results}) == len(results)


def test_snippet_retrieve_content_knows_a_segment_by_its_name_and_falls_back() -> None:
    assert retrieve_content("At-Risk", top_k=5)
    with pytest.raises(liftwright.InputError, match="At-Risk"):
        retrieve_content("At-Rusk")
    results = retrieve_content({"name": "Zzz qqq"}, top_k=5)
    assert len(results) >= 3
    assert all(result["fallback"] for result in results)


def test_snippet_extract_snippet_ends_with_a_sentence_within_the_words() -> None:
    text = "One two three. Four five six seven. Eight nine."
    assert extract_snippet(text, 8) == "One two three. Four five six seven."
    assert len(extract_snippet("Word and word again. " * 200, max_length=200).split()) <= 200


# ── Messages ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tone", ["urgent", "informational", "friendly"])
def test_snippet_generate_variant_is_short_enough_and_cited(tone: str) -> None:
    content = retrieve_content(SEGMENT, top_k=5)
    variant = generate_variant(SEGMENT, content, tone)
    assert len(variant["subject"]) <= 60
    assert 150 <= len(variant["body"].split()) <= 250
    citations = extract_citations(variant["body"])
    assert len(citations) >= 1
    assert {citation["title"] for citation in citations} <= {one["title"] for one in content}
    assert len(variant["citations"]) >= 1
    assert not any(mark in variant["body"] for mark in ("**", "[Your Name]", "{"))


def test_snippet_generate_variant_in_an_unknown_tone_names_the_nearest() -> None:
    with pytest.raises(liftwright.InputError, match="friendly"):
        generate_variant(SEGMENT, None, "frendly")


def test_snippet_extract_citations_gives_title_and_section() -> None:
    body = "It is free. [Source: Boots, Wool and More, Care] And warm. [Source: Delivery, Times]"
    assert extract_citations(body) == [
        {"title": "Boots, Wool and More", "section": "Care"},
        {"title": "Delivery", "section": "Times"},
    ]
    assert extract_citations("No source here.") == []


def test_snippet_generate_variant_without_enough_to_say_gives_the_reasons() -> None:
    nothing = {
        "document_id": "d",
        "version": "1",
        "title": "Lamps",
        "section": "Overview",
        "paragraph_index": 0,
        "text": "Lamps give light.",
        "score": 0.9,
    }
    with pytest.raises(liftwright.NoExperiment, match=r"urgent: .*words"):
        generate_variant(SEGMENT, [nothing], "urgent")


def test_snippet_functions_outside_a_workspace_use_the_sample_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many_customers: pd.DataFrame
) -> None:
    monkeypatch.chdir(tmp_path)
    segments = segment_customers(many_customers.head(200))
    assert segments["segment"].nunique() in range(3, 6)
    assert check_safety({"body": "Our shops open at nine."})["status"] == "pass"
    assert list(tmp_path.iterdir()) == [], "nothing is written where the caller stands"


# ── Safety ────────────────────────────────────────────────────────────────────────────────────


def test_snippet_check_safety_gives_severities_and_blocks_what_is_above_medium() -> None:
    result = check_safety({"body": "Our shops open at nine. Come and see the new boots."})
    assert (result["status"], result["hate_severity"]) == ("pass", 0)
    assert {f"{category}_severity" for category in CATEGORIES} <= result.keys()
    assert result["variant_id"]
    result = check_safety({"body": "I will find you and stab you to death tonight."})
    assert (result["status"], result["violence_severity"]) == ("block", 6)
    assert "violence" in result["block_reason"]


@pytest.mark.parametrize("variant", [{}, {"subject": "Hello"}, {"body": None}])
def test_snippet_check_safety_without_a_body_refuses(variant: dict[str, Any]) -> None:
    with pytest.raises(liftwright.InputError, match="'body'"):
        check_safety(variant)


@pytest.mark.parametrize("category", CATEGORIES)
def test_snippet_apply_policy_threshold_blocks_only_above_the_threshold(category: str) -> None:
    def status(severity: int | None, threshold: int = 4) -> str:
        return apply_policy_threshold(
            {**dict.fromkeys(CATEGORIES, 0), category: severity}, threshold
        )

    assert [status(severity) for severity in (0, 2, 4, 6)] == ["pass", "pass", "pass", "block"]
    assert status(4, threshold=2) == "block"
    assert status(None) == "block"
    assert apply_policy_threshold({c: 0 for c in CATEGORIES if c != category}) == "block"


# ── Experiment ────────────────────────────────────────────────────────────────────────────────


def test_snippet_design_experiment_has_control_and_one_arm_per_variant() -> None:
    design = design_experiment("data/raw/customers.csv", VARIANTS)
    assert [arm["arm"] for arm in design["arms"]] == [
        "control",
        "treatment_1",
        "treatment_2",
        "treatment_3",
    ]
    assert sum(arm["share"] for arm in design["arms"]) == pytest.approx(1.0)
    assert sum(design["sizes"].values()) == 500


def test_snippet_assignment_is_a_quarter_per_arm_as_rows_and_as_a_column() -> None:
    customers = segment_customers("data/raw/customers.csv")
    assignments = assign_customers_to_arms(customers, VARIANTS)
    assert len(assignments) == len(customers)
    assert len({a["customer_id"] for a in assignments}) == len(customers)
    control = [a for a in assignments if a["arm"] == "control"]
    assert len(control) / len(assignments) == pytest.approx(0.25, abs=0.05)
    shares = assignments["arm"].value_counts(normalize=True)
    assert len(shares) == 4
    assert all(abs(share - 0.25) <= 0.05 for share in shares)
    assert all(a["assigned_at"].endswith("Z") for a in assignments)
    for segment, group in assignments.to_frame().groupby("segment"):
        exact = len(group) / 4
        assert all(abs(n - exact) < 1 for n in group["arm"].value_counts()), segment


def test_snippet_assignment_knows_the_callers_control_and_segments() -> None:
    customers = segment_customers("data/raw/customers.csv").head(300)
    own = [{**variant, "segment": "At-Risk"} for variant in VARIANTS]
    control = {"variant_id": "my-control", "arm": "control"}
    assignments = assign_customers_to_arms(customers, [control, *own]).to_frame()
    assert set(assignments.loc[assignments["arm"] == "control", "variant_id"]) == {"my-control"}
    treated = assignments[assignments["arm"] != "control"]
    assert set(treated["segment"]) == {"At-Risk"}
    assert len(assignments) == 300


@pytest.mark.parametrize(
    "variants",
    [
        [{"variant_id": f"v{n}", "arm": f"treatment_{n}"} for n in (1, 2, 3)],
        [{"variant_id": f"v{n}"} for n in (1, 2, 3)],
        [{"variant_id": "c", "arm": "control"}, *({"variant_id": f"v{n}"} for n in (1, 2, 3))],
    ],
    ids=["by alias", "by place", "by place after the control"],
)
def test_snippet_assignment_puts_variants_into_their_arms(
    variants: list[dict[str, Any]], many_customers: pd.DataFrame
) -> None:
    assignments = assign_customers_to_arms(many_customers.head(100), variants).to_frame()
    treated = assignments[assignments["arm"] != "control"]
    pairs = set(zip(treated["arm"], treated["variant_id"], strict=True))
    assert pairs == {(f"treatment_{n}", f"v{n}") for n in (1, 2, 3)}


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{"variant_id": "a", "tone": "urgnt"}], "'a'.*'urgnt'.*urgent"),
        (
            [{"variant_id": "a", "tone": "urgent"}, {"variant_id": "b", "tone": "urgent"}],
            "'a'.*'b'",
        ),
        ([{"variant_id": f"v{n}"} for n in range(4)], "'v0' and 'v3'"),
    ],
)
def test_snippet_assignment_of_variants_that_do_not_fit_says_which(
    variants: list[dict[str, Any]], message: str, many_customers: pd.DataFrame
) -> None:
    with pytest.raises(liftwright.InputError, match=message):
        assign_customers_to_arms(many_customers.head(100), variants)


def test_snippet_assignment_does_not_depend_on_the_order_of_customers() -> None:
    customers = segment_customers("data/raw/customers.csv")
    turned = customers.iloc[::-1]
    one = {a["customer_id"]: a["arm"] for a in assign_customers_to_arms(customers, VARIANTS)}
    other = {a["customer_id"]: a["arm"] for a in assign_customers_to_arms(turned, VARIANTS)}
    assert one == other


def test_snippet_simulation_lifts_the_treatment_and_stays_in_range(engagement: Any) -> None:
    frame = engagement.to_frame()
    assert len(frame) == 20_000
    opened = frame[frame["delivered"]].groupby("arm")["opened"].mean()
    clicked = frame[frame["delivered"]].groupby("arm")["clicked"].mean()
    assert opened["treatment_1"] > opened["control"]
    assert 0.20 <= opened["control"] <= 0.30
    assert 0.05 <= clicked["control"] <= 0.10
    assert set(frame["source"]) == {"simulated"}


def test_snippet_simulation_is_reproducible(workspace: Path, many_customers: pd.DataFrame) -> None:
    assignments = assign_customers_to_arms(many_customers.head(2000), VARIANTS)
    columns = ["customer_id", "delivered", "opened", "clicked", "converted", "revenue"]

    def outcomes(**options: Any) -> list[Any]:
        rows = simulate_engagement(assignments, workspace=workspace, **options).to_frame()
        return list(rows[columns].itertuples(index=False, name=None))

    assert outcomes() == outcomes()
    assert outcomes(seed=1) != outcomes(seed=2)


def test_snippet_simulation_without_uplift_gives_the_treatments_no_lead(
    workspace: Path, many_customers: pd.DataFrame
) -> None:
    assignments = assign_customers_to_arms(many_customers.head(2000), VARIANTS)
    treated = simulate_engagement(assignments, uplift=0.0, workspace=workspace)
    as_control = [{**row, "arm": "control"} for row in assignments]
    untreated = simulate_engagement(as_control, workspace=workspace)
    assert [row["opened"] for row in treated] == [row["opened"] for row in untreated]


def test_snippet_calculate_metrics_gives_rates_per_arm(engagement: Any) -> None:
    metrics = calculate_metrics(engagement)
    frame = engagement.to_frame()
    treated = frame[(frame["arm"] == "treatment_1") & frame["delivered"]]
    assert metrics["treatment_1"]["open_rate"] == pytest.approx(treated["opened"].mean())
    assert metrics["treatment_1"]["click_rate"] == pytest.approx(treated["clicked"].mean())
    assert metrics["treatment_1"]["open_rate"] > metrics["control"]["open_rate"]
    assert metrics["control"]["delivered"] == int(
        frame[frame["arm"] == "control"]["delivered"].sum()
    )


def test_snippet_calculate_lift_is_exact_and_refuses_a_control_of_zero() -> None:
    assert calculate_lift(0.30, 0.25) == 20.0
    assert calculate_lift(0.25, 0.25) == 0.0
    with pytest.raises((ValueError, liftwright.LiftwrightError, ZeroDivisionError)):
        calculate_lift(0.30, 0.0)
