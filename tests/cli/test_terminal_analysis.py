"""What a person sees of `analyze`; the wording stands in `__snapshots__`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.cli.terminal.analysis import show_analysis

if TYPE_CHECKING:
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

WIDTH = 120


def varied() -> str:
    draw = random.Random(2)  # noqa: S311 - not for secrets
    rows = [
        f"{('as it is', 'new [bold]', 'third')[n % 3]},{n % 10 < 2 + n % 3},{n % 17},{n % 4 == 0},"
        f"{draw.choice(('north', 'north', 'south'))},{draw.random():.3f},{n % 17 + n % 5},"
        f"2026-05-{1 + n // 450:02d}"
        for n in range(4_500)
    ]
    return "arm,bought,spent,seen,place,age,before,day\n" + "\n".join(rows)


def many_segments() -> str:
    rows = [f"{('as it is', 'new')[n % 2]},s{n // 2 % 70},{n % 3 == 0}" for n in range(2_800)]
    return "arm,place,bought\n" + "\n".join(rows)


def no_event_in_control() -> str:
    rows = [f"{('as it is', 'b', 'c', 'd', 'e')[n % 5]},{int(n % 5 > 3)}" for n in range(100)]
    return "arm,bought\n" + "\n".join(rows) + "\n,1"


def nobody_exposed_in_control() -> str:
    rows = [f"{('as it is', 'new')[n % 2]},{n % 3 == 0},{n % 8 == 1}" for n in range(2_000)]
    return "arm,bought,seen\n" + "\n".join(rows)


def many_experiments() -> str:
    rows = [
        f"test {t},{arm},1000,{100 + (arm == 'new') * 2 * t}"
        for t in range(50)
        for arm in ("as it is", "new")
    ]
    rows += ["bad [b],as it is,1000,100", "bad [b],new,3000,300", "alone,new,10,1"]
    return "test,arm,n,y\n" + "\n".join(rows)


SHARES = ("as it is=0.5", "new [bold]=0.25", "third=0.25")
BOTH: dict[str, Any] = {"metrics": ("bought", "spent")}
ONE: dict[str, Any] = {"metrics": ("bought",)}
SCREENS: dict[str, tuple[Any, dict[str, Any]]] = {
    "every part": (
        varied,
        {
            **BOTH,
            "segment": "place",
            "covariates": ("spent=before",),
            "exposed": "seen",
            "time": "day",
            "bayes": True,
        },
    ),
    "explained": (varied, {**BOTH, "explain": ("age", "place")}),
    "mismatch": (varied, {**BOTH, "shares": SHARES}),
    "many segments": (many_segments, {**ONE, "segment": "place"}),
    "no event in the control": (no_event_in_control, ONE),
    "nobody exposed in the control": (nobody_exposed_in_control, {**ONE, "exposed": "seen"}),
    "many experiments": (
        many_experiments,
        {"metrics": ("rate=y/n:binary",), "by": "test", "correction": "bh"},
    ),
}


@pytest.mark.parametrize("screen", SCREENS)
def test_show_analysis(
    screen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: SnapshotAssertion,
) -> None:
    write, options = SCREENS[screen]
    file = tmp_path / "results.csv"
    file.write_text(write() + "\n", encoding="utf-8")
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    request = AnalyzeRequest(file=file, arm="arm", control="as it is", **options)
    show_analysis(analyze_file(request), json=False)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    assert screen != "mismatch" or "winner " not in out.replace("no winner is", "")
    assert out == snapshot


def test_show_analysis_as_json_is_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "results.csv"
    file.write_text(varied(), encoding="utf-8")
    request = AnalyzeRequest(file=file, arm="arm", control="as it is", metrics=("bought",))
    show_analysis(analyze_file(request), json=True)
    assert capsys.readouterr().out.startswith('{\n  "n": 4500')
