from __future__ import annotations

import dataclasses
import json
import re
from io import BytesIO
from typing import TYPE_CHECKING

import nbformat
import pytest
from pypdf import PdfReader

from liftwright.agents.reporting import (
    charts,
    markdown,
    messages,
    next_steps,
    outcomes,
    summary,
    write_report,
)
from liftwright.agents.reporting.notebook import executed_notebook
from liftwright.agents.reporting.run_reader import RunFiles, read_run
from liftwright.errors import InputError, IntegrityError, LiftwrightError
from reporting_samples import SEGMENTS, TONES, Sample, write_run

if TYPE_CHECKING:
    from pathlib import Path

# One worker writes the report once, and all tests look at it.
pytestmark = pytest.mark.xdist_group("report")
ALL_TEXTS = (
    summary.cover,
    summary.summary,
    summary.criteria,
    outcomes.overall,
    outcomes.by_segment,
    outcomes.winners,
    outcomes.segments,
    outcomes.assignment,
    outcomes.engagement,
    outcomes.sample_ratio,
    outcomes.power,
    outcomes.balance,
    messages.safety,
    messages.audit,
    messages.citations,
    messages.grounding,
    messages.failures,
    messages.appendix,
    next_steps.next_steps,
    next_steps.scaling,
)


def run_of(folder: Path, sample: Sample | None = None) -> RunFiles:
    return read_run(write_run(folder / "run1", sample))


def table_rows(text: markdown.Markdown, columns: int) -> list[list[str]]:
    """The cells of all table rows of so many columns, headings left out."""
    lines = [line for line in str(text).splitlines() if line.startswith("|")]
    rows = [
        [cell.strip().replace("\\", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    heads = {index - 1 for index, row in enumerate(rows) if set(row[0]) <= set(":-")}
    return [
        row
        for index, row in enumerate(rows)
        if len(row) == columns and index not in heads and index - 1 not in heads
    ]


# ── The tables say what the files say ──


def test_overall_cells_equal_the_metrics_file(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    document = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    expected = [row for row in document["comparisons"] if row["segment"] == "all"]
    found = table_rows(outcomes.overall(run), 10)
    assert len(found) == len(expected) == 12
    for row in expected:
        name = markdown.metric_label(row["metric"])
        (cells,) = [r for r in found if r[0] == name and r[1] == row["arm"]]
        assert cells[2] == f"{row['n_treatment']:,} / {row['n_control']:,}"
        assert cells[5] == markdown.signed_percent(row["lift"])
        assert cells[7] == markdown.p_value(row["p_value"]).replace("<", "&lt;")
        assert cells[8] == markdown.p_value(row["p_adjusted"]).replace("<", "&lt;")
        assert cells[9] == markdown.stars(row["p_adjusted"], significant=row["significant"])


def test_by_segment_every_row_of_the_file_is_there_once(tmp_path: Path) -> None:
    gone = ((SEGMENTS[0], "urgent"), (SEGMENTS[1], "friendly"))
    run = run_of(tmp_path, Sample(missing=gone))
    document = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    expected = [row for row in document["comparisons"] if row["segment"] != "all"]
    assert len(table_rows(outcomes.by_segment(run), 10)) == len(expected) == 7 * 4


def test_safety_counts_equal_the_decisions(tmp_path: Path) -> None:
    run = run_of(tmp_path, Sample(blocked=((SEGMENTS[0], "urgent"), (SEGMENTS[2], "friendly"))))
    found = {row[0]: row[1] for row in table_rows(messages.safety(run), 2)}
    assert found["Passed"] == "8"
    assert found["Blocked"] == "2"
    assert found["Blocked for violence"] == "2"
    assert found["Blocked for hate"] == "0"
    assert found["Pass rate"] == "80.0%"


def test_criteria_all_met_where_the_run_is_sound_and_the_lift_is_sure(tmp_path: Path) -> None:
    run = run_of(tmp_path, Sample(treatment_events=90))
    rows = table_rows(summary.criteria(run), 5)
    assert [row[3] for row in rows] == ["yes"] * 4
    assert rows[2][4] == "simulated"


def test_citations_count_and_verify(tmp_path: Path) -> None:
    (row,) = table_rows(messages.citations(run_of(tmp_path)), 7)
    assert row[:4] == ["Delivery", "delivery", "9", "9"]
    assert row[6] == "yes"


def test_citations_of_a_passage_never_given_is_not_verified(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run1")
    document = json.loads((folder / "variants.json").read_text(encoding="utf-8"))
    document["variants"][0]["citations"][0]["paragraph_index"] = 7
    (folder / "variants.json").write_text(json.dumps(document), encoding="utf-8")
    (row,) = table_rows(messages.citations(read_run(folder)), 7)
    assert row[6] == "NO"


def test_best_variants_are_at_most_half_and_positive(tmp_path: Path) -> None:
    assert len(messages.best_variants(run_of(tmp_path))) == 5
    worse = run_of(tmp_path / "b", Sample(treatment_events=20))
    assert messages.best_variants(worse) == frozenset()


def test_customers_for_rates_grow_as_the_rate_falls(tmp_path: Path) -> None:
    result = run_of(tmp_path).result
    of = {row.metric: outcomes.customers_for(row, result) for row in result.power}
    assert of["click_rate"] is not None
    assert of["open_rate"] is not None
    assert of["click_rate"] > of["open_rate"] > 1_000
    assert of["conversion_rate"] is None
    # A mean: the detectable lift of 31 % falls to 10 % with 3.1 squared times the customers.
    assert of["revenue"] == round(1200 * 3.1**2)


# ── Any run can be rendered ──


@pytest.mark.parametrize(
    "sample",
    [
        Sample(),
        Sample(control_events=0, treatment_events=0),
        Sample(missing=tuple((SEGMENTS[0], tone) for tone in TONES)),
        Sample(blocked=tuple((segment, "urgent") for segment in SEGMENTS), simulated=False),
        Sample(brand=None),
    ],
)
def test_texts_any_run_renders(tmp_path: Path, sample: Sample) -> None:
    run = run_of(tmp_path, sample)
    for text in ALL_TEXTS:
        assert str(text(run)).strip(), text.__name__


def test_texts_run_with_bare_files_renders(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run1")
    for name in ("claims.json", "failures.json", "passages.json", "engagement.json"):
        (folder / name).unlink()
    (folder / "run.json").write_text("{}", encoding="utf-8")
    bare = {"n": 0, "control": "control", "alpha": 0.05, "correction": "holm", "arms": []}
    srm = {"p_value": None, "ok": False, "observed": {}, "expected": {}}
    (folder / "metrics.json").write_text(
        json.dumps({**bare, "comparisons": [], "srm": srm}), encoding="utf-8"
    )
    (folder / "decisions.json").write_text("[]", encoding="utf-8")
    run = read_run(folder)
    for text in ALL_TEXTS:
        str(text(run))
    assert run.simulated
    assert isinstance(charts.balance(run), markdown.Markdown)


@pytest.mark.parametrize("name", ["variants.json", "metrics.json", "arms.json"])
def test_read_run_damaged_file_is_an_integrity_error(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "run1")
    (folder / name).write_text('{"variants": 3}', encoding="utf-8")
    with pytest.raises(IntegrityError):
        read_run(folder)


# ── The files ──


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o500)
    folder = write_run(tmp_path_factory.mktemp("runs") / "run1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        written = write_report(folder)
    assert [path.name for path in written] == ["experiment_report.ipynb", "experiment_report.pdf"]
    assert list(home.iterdir()) == []
    assert {path.name for path in (folder / "report").iterdir()} == {p.name for p in written}
    return folder


def test_write_report_notebook_is_executed_with_pictures_and_without_errors(
    reported: Path,
) -> None:
    notebook = nbformat.read(reported / "report/experiment_report.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert all(cell.execution_count for cell in code)
    assert not [output for output in outputs if output.output_type in ("error", "stream")]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert all(output.metadata["image/png"]["alt"] for output in pictures)


def test_write_report_pdf_is_tagged_and_small(reported: Path) -> None:
    data = (reported / "report/experiment_report.pdf").read_bytes()
    reader = PdfReader(BytesIO(data))
    assert len(data) < 10 * 2**20
    assert len(reader.pages) > 3
    assert "/StructTreeRoot" in reader.trailer["/Root"]
    assert b"pdfuaid" in data or "pdfuaid" in str(
        reader.xmp_metadata and reader.xmp_metadata.stream.get_data()
    )
    assert "Contents" in reader.pages[1].extract_text()


def test_write_report_pdf_says_every_word_of_the_notebook(reported: Path) -> None:
    reader = PdfReader(reported / "report/experiment_report.pdf")
    pages = [page.extract_text() for page in reader.pages]
    notebook = nbformat.read(reported / "report/experiment_report.ipynb", as_version=4)
    printed = squeezed("".join(pages))
    for cell in notebook.cells:
        for text in cell_texts(cell):
            for piece in shown_pieces(text):
                assert squeezed(piece) in printed, piece


def cell_texts(cell: nbformat.NotebookNode) -> list[str]:
    if cell.cell_type == "markdown":
        return [cell.source]
    return [o.data["text/markdown"] for o in cell.outputs if "text/markdown" in o.get("data", {})]


def shown_pieces(markdown: str) -> list[str]:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    pieces = [
        "".join(child.content for child in token.children or [])
        for token in tokens
        if token.type == "inline"
    ]
    # A page may end inside a long paragraph; its sentences are then looked for one by one.
    return [part for piece in pieces for part in piece.split(". ")]


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u200b\u00ad-]+", "", text).replace("−", "")  # noqa: RUF001


def test_write_report_equal_input_gives_equal_files(reported: Path) -> None:
    before = [path.read_bytes() for path in sorted((reported / "report").iterdir())]
    write_report(reported)
    assert [path.read_bytes() for path in sorted((reported / "report").iterdir())] == before


def test_write_report_unknown_form_or_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ipynb"):
        write_report(tmp_path, form="html")
    with pytest.raises(InputError):
        write_report(tmp_path)


def test_lift_chart_cuts_long_intervals_and_says_so(tmp_path: Path) -> None:
    few = run_of(tmp_path, Sample(per_cell=30, control_events=2, treatment_events=3))
    chart = charts.lift_by_segment(few)
    assert isinstance(chart, charts.Chart)
    assert "are cut" in json.dumps(chart.specification)
    assert "click rate" in chart.alt
    many = charts.lift_by_variant(
        run_of(tmp_path / "b", Sample(per_cell=4000, control_events=400, treatment_events=900))
    )
    assert isinstance(many, charts.Chart)
    assert "are cut" not in json.dumps(many.specification)
    assert "conversion rate" in json.dumps(many.specification)
    assert many.svg().startswith("<svg")


def test_executed_notebook_failing_cell_is_an_error_that_names_it(tmp_path: Path) -> None:
    broken = dataclasses.replace(run_of(tmp_path), result=None)  # type: ignore[arg-type]
    with pytest.raises(LiftwrightError, match=r"cell \d+ .*AttributeError"):
        executed_notebook(broken)
