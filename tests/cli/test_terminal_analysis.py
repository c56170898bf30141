"""What a person sees of `analyze`: every part is there, and nothing is wider than the terminal."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.cli.terminal.analysis import show_analysis

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = tmp_path / "r.csv"
    draw = random.Random(2)  # noqa: S311 - not for secrets
    rows = [
        f"{('as it is', 'new [bold]', 'third')[n % 3]},{n % 10 < 2 + n % 3},{n % 17},{n % 4 == 0},"
        f"{draw.choice(('north', 'north', 'south'))},{draw.random():.3f},{n % 17 + n % 5},"
        f"2026-05-{1 + n // 450:02d}"
        for n in range(4_500)
    ]
    file.write_text("arm,bought,spent,seen,place,age,before,day\n" + "\n".join(rows) + "\n")
    return file


def shown(
    results: Path, capsys: pytest.CaptureFixture[str], columns: int = 120, **options: Any
) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        values: dict[str, Any] = {"metrics": ("bought", "spent"), **options}
        request = AnalyzeRequest(file=results, arm="arm", control="as it is", **values)
        show_analysis(analyze_file(request), json=False)
    return capsys.readouterr().out


def test_show_analysis_has_every_part(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(
        results,
        capsys,
        segment="place",
        covariates=("spent=before",),
        exposed="seen",
        time="day",
        bayes=True,
    )
    for part in (
        "4,500 units",
        "Against as it is",
        "By segment (exploratory)",
        "CUPED, spent",
        "winsorised, spent",
        "any time, bought",
        "exposed, bought",
        "CUPED takes away of the variance: spent",
        "Tests: Cochran-Mantel-Haenszel: bought; stratified Welch t: spent.",
        "winsorised, cut: spent above 16.00",
        "exposed: as it is: 375",
        "Does the effect differ between segments?",
        "Posterior",
        "Thompson shares of a next wave, by bought",
        "sample ratio as designed (p = 1)",
        "bought: best is third",
        "ship third: better than control on bought",
        "new [bold]",
    ):
        assert part in out, part
    assert max(map(len, out.splitlines())) <= 120


def test_show_analysis_explains(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(results, capsys, explain=("age", "place"))
    assert "What goes with a larger effect on bought" in out
    assert "place = south" in out
    assert "would rank noise" in " ".join(out.split())


def test_show_analysis_of_a_mismatch_names_no_winner(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(results, capsys, shares=("as it is=0.5", "new [bold]=0.25", "third=0.25"))
    assert "SAMPLE-RATIO MISMATCH in: overall" in out
    assert "stop new [bold], third: sample-ratio mismatch" in out
    assert "best is" not in out


def test_show_analysis_of_many_segments_points_to_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "many.csv"
    rows = [f"{('as it is', 'new')[n % 2]},s{n // 2 % 70},{n % 3 == 0}" for n in range(2_800)]
    file.write_text("arm,place,bought\n" + "\n".join(rows) + "\n")
    out = shown(file, capsys, segment="place", metrics=("bought",))
    assert "70 rows of segments are in the output of --json" in out


def test_show_analysis_tells_a_warning_once_with_its_places(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.csv"
    rows = [f"{('as it is', 'b', 'c', 'd', 'e')[n % 5]},{int(n % 5 > 3)}" for n in range(100)]
    file.write_text("arm,bought\n" + "\n".join(rows) + "\n,1\n")
    out = shown(file, capsys, metrics=("bought",))
    assert out.count("lift not estimable: control has no event") == 1
    assert "and 1 more" in out
    assert "left out: 1 rows without arm unit or segment" in out


def test_show_analysis_as_json_is_the_document(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = AnalyzeRequest(file=results, arm="arm", control="as it is", metrics=("bought",))
    show_analysis(analyze_file(request), json=True)
    assert capsys.readouterr().out.startswith('{\n  "n": 4500')


def test_show_analysis_where_nobody_of_the_control_was_exposed_compares_no_exposed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one_sided.csv"
    rows = [f"{('as it is', 'new')[n % 2]},{n % 3 == 0},{n % 8 == 1}" for n in range(2_000)]
    file.write_text("arm,bought,seen\n" + "\n".join(rows) + "\n")
    out = shown(file, capsys, metrics=("bought",), exposed="seen")
    assert "exposed: as it is: 0; new: 250; nobody of as it is was" in out
    assert "exposed, bought" not in out
    assert "NOT as designed" not in out


def test_show_analysis_of_many_experiments_shows_the_clearest_and_the_sum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "many.csv"
    rows = [
        f"test {t},{arm},1000,{100 + (arm == 'new') * 2 * t}"
        for t in range(50)
        for arm in ("as it is", "new")
    ]
    rows += ["bad [b],as it is,1000,100", "bad [b],new,3000,300", "alone,new,10,1"]
    file.write_text("test,arm,n,y\n" + "\n".join(rows) + "\n")
    out = shown(file, capsys, metrics=("rate=y/n:binary",), by="test", correction="bh")
    told = " ".join(out.split())
    assert "The 20 clearest of 51 comparisons" in out
    assert "52 experiments, 104,010 units; each against its as it is" in told
    assert "of which chance alone gives about 3" in told
    assert "SAMPLE-RATIO MISMATCH in 1: bad [b]" in told
    assert "not compared, no control in 1: alone" in told
    assert out.index("test 49") < out.index("test 48")
    assert "test 10 " not in out
    assert max(map(len, out.splitlines())) <= 120
