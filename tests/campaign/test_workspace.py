"""Laying a workspace down, planning, doctoring and analyzing: without a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from configuration import lay_down
from liftwright import __version__
from liftwright.analysis import smallest_detectable_effect
from liftwright.campaign import (
    AnalyzeRequest,
    HealthCheck,
    RunRequest,
    Workspace,
    analyze_file,
    init_workspace,
)
from liftwright.campaign.run_resolver import differences
from liftwright.errors import ConfigurationError, InputError
from liftwright.model import CUSTOMERS
from plane_samples import varied_customers

if TYPE_CHECKING:
    from liftwright.campaign import Plan

ROOT = Path(__file__).parents[2]
SERVER = [
    "azure_config.adapters.complete=openai_compatible",
    'azure_config.openai_compatible={"base_url": "http://127.0.0.1:9/v1", "model": "small"}',
    (
        "azure_config.prices={small: {input_usd_per_million: 1, cached_input_usd_per_million: 0.1, "
        "output_usd_per_million: 4, as_of: 2026-11-01}}"
    ),
]
TEXT = "One paragraph about lamps, which is long enough to be read and to be found again."


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ── Which run is meant ────────────────────────────────────────────────────────────────────────


def test_differences_are_named_by_key_with_short_values_alone() -> None:
    before = {
        "code": "a" * 64,
        "experiment_config.yaml: seed": 7,
        "experiment_config.yaml: simulation": {"uplift": {"urgent": {"mean": 0.1}}},
        "screen adapter": {"provider": "acme", "version": "1"},
        "customers": "c" * 64,
    }
    now = {
        "code": "b" * 64,
        "experiment_config.yaml: seed": 8,
        "experiment_config.yaml: simulation": {"uplift": {"urgent": {"mean": 0.2}, "calm": 1}},
        "screen adapter": {"provider": "acme", "version": "2"},
        "customers": "c" * 64,
    }
    assert list(differences(before, dict(before))) == []
    assert list(differences(before, now)) == [
        "code",
        "experiment_config.yaml: seed: 7 → 8",
        "experiment_config.yaml: simulation.uplift.urgent.mean: 0.1 → 0.2",
        "experiment_config.yaml: simulation.uplift.calm: null → 1",
        "screen adapter: version: 1 → 2",
    ]


# ── init ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["deep/er/still", "empty", "name with spaces é"])
def test_init_workspace_into_a_new_or_empty_folder_lists_what_it_wrote(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    written = init_workspace(tmp_path / name)
    assert [str(path) for path in written] == sorted(tree(tmp_path / name))
    for needed in ("config/segments.yaml", "config/prompts/base_template.txt", ".env.example"):
        assert Path(needed) in written
    assert (tmp_path / name / "data" / "raw" / "customers.csv").is_file()


def test_init_workspace_into_a_folder_with_something_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError):
        init_workspace(tmp_path)
    assert tree(tmp_path) == {"mine.txt": b"mine"}


def test_init_from_an_installed_wheel_carries_all_that_a_workspace_needs(tmp_path: Path) -> None:
    command = installed(tmp_path)
    assert shell(tmp_path, command, "--version").strip() == __version__
    folder = tmp_path / "w"
    shell(tmp_path, command, "init", str(folder))
    init_workspace(tmp_path / "checkout")
    assert tree(folder) == tree(tmp_path / "checkout")
    # Models, lexicon, tokenizer and statements are the wheel's own, too.
    options = ["--workspace", str(folder), "--json"]
    answer = shell(tmp_path, command, "screen", "Our shops open at nine.", *options)
    assert json.loads(answer)["status"] == "pass"
    assert json.loads(shell(tmp_path, command, "plan", *options))["customers"] == 500


def shell(folder: Path, *command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout


def installed(folder: Path) -> str:
    """The command of a wheel, in an environment whose other packages are those of this one."""
    build = ("-m", "build", "--wheel", "--no-isolation", "-o", str(folder / "dist"))
    shell(folder, sys.executable, *build, str(ROOT))
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = str(folder / "venv" / "bin" / "python")
    pip = ("-m", "pip", "--disable-pip-version-check", "--python", python)
    shell(folder, sys.executable, *pip, "install", "--no-deps", "--no-index", str(wheel))
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    found = shell(folder, python, "-c", "import liftwright; print(liftwright.__file__)")
    assert found.startswith(str(site)), "the wheel is tested, not the checkout"
    return str(folder / "venv" / "bin" / "liftwright")


# ── plan ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = lay_down(tmp_path / "workspace")
    rows = varied_customers(1000)
    lines = [
        ",".join("" if row[n] is None else str(row[n]) for n in CUSTOMERS.names) for row in rows
    ]
    (root / "data" / "content").mkdir(parents=True)
    file = root / "data" / "customers.csv"
    file.write_text("\n".join([",".join(CUSTOMERS.names), *lines, ""]), encoding="utf-8")
    document = {
        "document_id": "lamps",
        "title": "Lamps",
        "category": "product",
        "approval_date": "2026-01-01",
        "content": TEXT,
    }
    (root / "data" / "content" / "lamps.json").write_text(json.dumps(document), encoding="utf-8")
    return root


def plan(workspace: Path, *overrides: str) -> Plan:
    return Workspace(workspace).plan(RunRequest(overrides=overrides))


def test_plan_counts_the_calls_of_every_port(workspace: Path) -> None:
    made = plan(workspace)
    calls = {one.port: (one.expected, one.at_most, one.metered) for one in made.calls}
    segments = len(made.segments)
    assert segments >= 2
    assert calls["complete"] == (segments * 3, segments * 3 * 4, False)
    assert calls["search"][0] == segments
    # The embedded screener takes all parts of a message at once.
    assert calls["screen"] == (segments * 3 + 1, segments * 3 + 1, False)
    assert set(calls) == {"complete", "index", "search", "screen"}
    assert not any(one.unpriced or one.unit for one in made.calls)
    assert (made.expected_usd, made.at_most_usd) == (0.0, 0.0)
    assert sum(made.segments.values()) == made.customers == 1000


def test_plan_with_a_paid_writer_prices_tokens_by_the_configured_price(workspace: Path) -> None:
    made = plan(workspace, *SERVER)
    assert not (workspace / "data" / "runs").exists()
    assert not (workspace / "data" / "ledger.sqlite").exists()
    complete = made.calls[0]
    assert complete.metered
    assert complete.input_tokens > 0
    cost = (complete.input_tokens * 1.0 + complete.output_tokens * 4.0) / 1e6
    assert complete.expected_usd == pytest.approx(cost, rel=1e-3)
    # At most, every draft is asked for again as often as it may be.
    assert made.at_most_usd >= 4 * made.expected_usd


def test_plan_states_the_smallest_lift_that_the_power_formula_gives(workspace: Path) -> None:
    made = plan(workspace)
    row = next(r for r in made.detectable if (r.segment, r.metric) == ("all", "open_rate"))
    assert (row.per_arm, row.control) == (245, 245)
    effect = smallest_detectable_effect(row.base_rate, 245, 245, alpha=0.05 / 18, power=0.8)
    assert effect is not None
    assert row.smallest_lift == pytest.approx(effect / row.base_rate, rel=1e-3)
    assert row.customers_needed is not None
    assert row.customers_needed > 1000
    assert "underpowered" in made.answers[0]


# ── doctor ────────────────────────────────────────────────────────────────────────────────────


def checks(workspace: Path, **options: bool) -> dict[str, HealthCheck]:
    return {check.name: check for check in Workspace(workspace).doctor(**options)}


def test_doctor_of_a_sound_workspace_finds_every_part_sound(workspace: Path) -> None:
    found = checks(workspace, live=True)
    assert [name for name, check in found.items() if not check.ok] == []
    assert {"python", "configuration", "content", "customers", "screener", "writer"} <= set(found)
    assert "1,000 rows, 1,000 kept" in found["customers"].detail
    for part in ("embedding model", "screener", "writer"):
        assert "Connection successful" in found[part].detail


@pytest.mark.parametrize(
    ("file", "text", "check", "named"),
    [
        ("data/customers.csv", "nothing\n1\n", "customers", "customer_id"),
        ("config/safety_thresholds.yaml", "threshold: four\n", "configuration", "threshold"),
    ],
)
def test_doctor_goes_on_after_a_fault_and_names_it(
    workspace: Path, file: str, text: str, check: str, named: str
) -> None:
    (workspace / file).write_text(text, encoding="utf-8")
    found = checks(workspace)
    assert not found[check].ok
    assert named in found[check].detail
    assert found["python"].ok


def test_doctor_live_with_an_unreachable_writer_finds_the_writer_at_fault(workspace: Path) -> None:
    config = workspace / "config" / "azure_config.yaml"
    server = "{base_url: 'http://127.0.0.1:9/v1', model: small}"
    calls = "calls: {retries: 0, backoff_seconds: 0}"
    config.write_text(
        f"adapters: {{complete: openai_compatible}}\nopenai_compatible: {server}\n{calls}\n"
    )
    found = checks(workspace, live=True)
    assert not found["writer"].ok
    assert "writer" not in checks(workspace), "no call is made without --live"


# ── analyze ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = tmp_path / "results.csv"
    rows = [
        f"u{n},{'AB'[n % 2]},{n % 3 == 0},{n % 7},{1 + n % 2},{n % 5},{'xy'[n % 4 // 2]}"
        for n in range(400)
    ]
    file.write_text("\n".join(["user,group,bought,spend,visits,before,city", *rows, ""]))
    return file


def analyze(results: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"arm": "group", "control": "A", "metrics": ("bought",)}
    return analyze_file(AnalyzeRequest(file=results, **{**values, **changes})).to_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm": "grop"}, r"--arm 'grop'.*group"),
        ({"control": "C"}, r"--control 'C': no such arm.*A, B"),
        ({"metrics": ("bougt",)}, r"bougt.*bought"),
        ({"metrics": (":mean",)}, r"--metric ':mean': the name is empty"),
        ({"metrics": ("r=spend:ratio",)}, r"allowed for a ratio: NAME=NUM/DEN:ratio"),
        ({"metrics": ("city:mean",)}, r"row 1: city: found 'x'"),
        ({"metrics": ("spend:binary",)}, r"spend: found '2'"),
        ({"unit": "usr"}, r"--unit 'usr'.*user"),
        ({"segment": "citi"}, r"--segment 'citi'.*city"),
        ({"count": "city"}, r"row 1: city: found 'x', allowed: a whole number"),
        ({"count": "visits", "unit": "user"}, r"--count.*leave out --unit"),
        ({"alpha": 0.0}, r"--alpha: found 0, allowed: above 0 and below 1"),
        ({"alpha": 1.5}, r"--alpha: found 1\.5"),
        ({"correction": "bonferroni"}, r"--correction: found 'bonferroni'.*holm"),
        ({"shares": ("A=0.5",)}, r"--share: .*(sum of 0\.5|'B')"),
        ({"shares": ("A=0.5", "C=0.5")}, r"--share 'C': no such arm.*B"),
        ({"shares": ("A=half", "B=0.5")}, r"--share 'A=half': found share 'half'"),
        ({"covariates": ("bought",)}, r"--covariate 'bought': allowed: METRIC=COL"),
        ({"covariates": ("spent=before",)}, r"--covariate 'spent=before': no such metric"),
        (
            {"metrics": ("r=spend/visits:ratio",), "covariates": ("r=before",)},
            r"not available for a ratio",
        ),
    ],
)
def test_analyze_file_with_a_wrong_option_names_it_and_what_is_allowed(
    results: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        analyze(results, **changes)


def test_workspace_without_configuration_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"liftwright init DIR"):
        Workspace(tmp_path).plan()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_init_workspace_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(InputError, match="cannot be written"):
        init_workspace(closed / "w")
