"""The contract of a result: its JSON, its schema, and results that other versions wrote."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from liftwright import analyze
from liftwright.agents.experimentation import assign, design_experiment, interim_looks, measure
from liftwright.analysis import ExperimentResult, ManyExperimentsResult
from liftwright.analysis.result import SCHEMAS, PlanCompliance, json_schema
from plane_samples import (
    customer,
    decide,
    experiment_config,
    keep_customers,
    keep_segmented,
    open_tables,
    variants_for,
)

if TYPE_CHECKING:
    from liftwright.model import Json

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"
OF_EVERY_FILE = {
    *("n", "control", "alpha", "correction", "srm", "arms", "comparisons"),
    *("srm_failed", "best", "decisions", "sequential", "winsorised", "winsorised_at", "excluded"),
    *("verdict", "guardrails", "multiple_exposure"),
}
OF_EVERY_RUN = {
    *("n", "control", "alpha", "correction", "srm", "arms", "comparisons", "simulated"),
    *("primary_metric", "srm_by_segment", "srm_over_time", "srm_failed", "best", "ratios"),
    *("assigned", "omnibus", "sequential", "interactions", "bayes", "decisions", "balance"),
    *("power", "daily", "warnings", "measured_at", "course", "plan", "verdict", "guardrails"),
}


def closed(schema: Any) -> Any:
    """The schema with no key allowed but those that it names."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(item) for key, item in schema.items()}
    return found | {"additionalProperties": False} if "properties" in found else found


def check(document: dict[str, Json], name: str = "experiment_result") -> None:
    schema = json.loads((PUBLISHED / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    text = json.dumps(document, allow_nan=False)
    Draft202012Validator(closed(schema)).validate(json.loads(text))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(2)  # noqa: S311 - not for secrets
    file = tmp_path_factory.mktemp("results") / "results.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        names = ("arm", "bought", "spent", "before", "visits", "seen", "place", "age", "day")
        rows.writerow(names)
        for n in range(3_000):
            rows.writerow(
                [
                    *("abc"[n % 3], n % 10 < 2 + n % 3, n % 17, n % 17 + n % 5, 1 + n % 4),
                    *(n % 4 == 0, "xyz"[n // 3 % 3], draw.random(), f"2026-05-{1 + n % 20:02}"),
                ]
            )
    return file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ExperimentResult:
    """A run with an arm that one segment lacks, a metric without events, and two looks."""
    experiment = experiment_config()
    sizes = {"A": 800, "B": 400}
    tables = open_tables(tmp_path_factory.mktemp("run"))
    placed = [(f"{s}-{n}", s) for s, size in sizes.items() for n in range(size)]
    keep_segmented(tables, placed)
    keep_customers(tables, [customer(0, customer_id=name) for name, _ in placed])
    variants = variants_for(sizes)
    design = design_experiment(variants, decide(variants, ("urgent@B",)), experiment, sizes)
    assignment = assign(tables, design, "2026-01-02T00:00:00.000Z")
    none = "cast(null as timestamp with time zone)"
    tables.keep(
        "engagement",
        "select customer_id, segment, arm, variant_id, true as delivered, "  # noqa: S608 - our own text
        "customer_id like '%1' as opened, customer_id like '%11' as clicked, false as converted, "
        "case when customer_id like '%11' then 5e0 else 0e0 end as revenue, "
        f"'historical' as source, timestamptz '2026-01-03 00:00:00Z' as delivered_at, "
        f"{none} as opened_at, {none} as clicked_at, {none} as converted_at from assignments",
    )
    found = measure(tables, assignment, experiment, simulated=False)
    tables.close()
    first = replace(found, measured_at="2026-01-04T00:00:00Z", plan=PlanCompliance(sha256="ab"))
    second = replace(first, measured_at="2026-01-05T00:00:00Z")
    return replace(second, course=interim_looks([first, second]))


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_json_schema_is_the_published_one(name: str) -> None:
    published = (PUBLISHED / f"{name}.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json_schema(SCHEMAS[name]), "run tools/write_schemas.py"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segment": "place", "time": "day", "covariates": {"spent": "before"}, "bayes": True},
        {"exposed": "seen", "explain": ["age", "place"], "planned": 9_000},
        {"metrics": ["bought", "r=spent/visits:ratio"], "lower": ["bought"], "segment": "place"},
        {"shares": {"a": 0.8, "b": 0.1, "c": 0.1}, "bayes": True},
    ],
)
def test_result_of_a_file_fits_the_schema_and_is_read_back(
    table: Path, options: dict[str, Any]
) -> None:
    found = analyze(
        table, **{"arm": "arm", "control": "a", "metrics": ["bought", "spent"]} | options
    )
    assert isinstance(found, ExperimentResult)
    document = found.to_json()
    check(document)
    again = ExperimentResult.from_json(json.loads(json.dumps(document)))
    assert again == found
    assert again.to_json() == document


def test_result_of_a_file_leaves_out_what_was_not_asked_for(table: Path) -> None:
    found = analyze(table, arm="arm", control="a", metrics=["bought", "spent"])
    assert set(found.to_json()) == OF_EVERY_FILE | {"omnibus"}


def test_result_of_many_experiments_fits_the_schema(table: Path) -> None:
    found = analyze(table, arm="arm", control="a", metrics=["bought", "spent"], by="place")
    assert isinstance(found, ManyExperimentsResult)
    check(found.to_json(), "many_experiments_result")
    assert [one.experiment for one in found.experiments] == ["x", "y", "z"]


def test_result_of_a_run_fits_the_schema_and_is_read_back(run: ExperimentResult) -> None:
    document = run.to_json()
    check(document)
    assert set(document) == OF_EVERY_RUN | {"winsorised", "winsorised_at"}
    assert ExperimentResult.from_json(json.loads(json.dumps(document))) == run
    assert [one.look for one in run.course] == [1, 1, 1, 2, 2, 2]
    assert run.winner() == run.best[0]
    assert "urgent" not in {row.arm for row in run.rows("B")}


def test_from_json_of_another_version_takes_what_it_knows(run: ExperimentResult) -> None:
    document = run.to_json()
    needed = ("n", "control", "alpha", "correction", "srm", "arms", "comparisons")
    older = {name: document[name] for name in needed}
    assert ExperimentResult.from_json(older).comparisons == run.comparisons
    assert ExperimentResult.from_json(older).deciding_metric == "open_rate"
    newer = json.loads(json.dumps(document)) | {"later": 1}
    newer["comparisons"][0]["later"] = {"a": [1]}
    assert ExperimentResult.from_json(newer) == run


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", "many"), ("arms", {}), ("comparisons", [{}]), ("correction", "tukey"), ("srm", None)],
)
def test_from_json_of_another_form_is_refused(
    run: ExperimentResult, name: str, value: object
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader's one error
        ExperimentResult.from_json({**run.to_json(), name: value})
