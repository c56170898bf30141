"""Small workspaces of the sample brand, and ways to run them, for the acceptance tests."""

from __future__ import annotations

import csv
import json
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from typer.testing import CliRunner

from liftwright.campaign import RunRequest, Workspace, init_workspace
from liftwright.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.campaign import StageProgress

CUSTOMERS = "data/raw/customers.csv"
CONTENT = "data/content/approved_content"
HEADER = (
    *("customer_id", "age", "location", "tier", "purchase_frequency", "avg_order_value"),
    *("last_engagement_days", "historical_open_rate", "historical_click_rate"),
)
TONES = ("urgent", "informational", "friendly")
# The sample brand's documents that the small workspaces keep; none expires, none is for a tier.
DOCUMENTS = (
    *("boot-care", "comeback-offer", "customer-care", "delivery-options", "first-walking-kit"),
    *("how-tarnwick-began", "materials-and-makers", "returns-exchanges-refunds"),
    *("three-year-guarantee", "trail-club-membership"),
)
# What the tests expect of the configuration, whatever the shipped one says.
SETTINGS: Mapping[str, object] = {
    "azure_config.adapters.complete": "embedded",
    "azure_config.calls.backoff_seconds": 0,
    "azure_config.calls.breaker.cool_down_seconds": 0.01,
    "experiment_config.name": "small-campaign",
    "experiment_config.seed": 7,
    "experiment_config.tones": [*TONES],
    "experiment_config.shares": {},
    "experiment_config.retrieval.top_k": 4,
    "experiment_config.retrieval.min_score": 0.5,
    "experiment_config.retrieval.fallback_documents": ["customer-care", "delivery-options"],
    "channels.email.variant.body_min_words": 45,
    "channels.email.variant.body_max_words": 75,
    "safety_thresholds.threshold": 4,
    "segments.rules": [
        {
            "label": "Big Spenders",
            "description": "They spend more than most customers.",
            "audience": ["high spenders", "loyal customers"],
            "conditions": [{"when": "monetary_score >= 4"}],
        },
        {
            "label": "Long Gone",
            "description": "They have not been seen for long.",
            "audience": ["lapsed customers"],
            "conditions": [{"when": "recency_score <= 2"}],
        },
        {
            "label": "All Others",
            "description": "They are in between.",
            "audience": ["new customers"],
            "conditions": [],
        },
    ],
}


# ── Workspaces ────────────────────────────────────────────────────────────────────────────────


def lay_down(root: Path, customers: int = 60) -> Path:
    """A small workspace in a new folder."""
    init_workspace(root)
    for file in (root / CONTENT).glob("*.json"):
        if file.stem not in DOCUMENTS:
            file.unlink()
    for key, value in SETTINGS.items():
        configure(root, key, value)
    write_customers(root, varied_customers(customers))
    return root


def configure(root: Path, key: str, value: object) -> None:
    """Change one value of a configuration file: `experiment_config.analysis.alpha`."""
    stem, *path = key.split(".")
    file = root / "config" / f"{stem}.yaml"
    values: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    here = values
    for part in path[:-1]:
        here = here[int(part) if part.isdigit() else part]
    here[int(path[-1]) if path[-1].isdigit() else path[-1]] = value
    file.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def varied_customers(count: int, seed: int = 1) -> list[dict[str, str]]:
    """Customers with correlated features, equal for an equal seed."""
    draw = random.Random(seed)  # noqa: S311 - a repeatable sample
    rows = []
    for number in range(1, count + 1):
        often = round(draw.expovariate(0.3) + 0.2, 1)
        rows.append(
            {
                "customer_id": f"C{number:05}",
                "age": str(draw.randint(18, 80)),
                "location": draw.choice(("Leeds", "York", "Hull")),
                "tier": draw.choice(("Gold", "Silver", "Bronze")),
                "purchase_frequency": str(often),
                "avg_order_value": str(round(draw.lognormvariate(4, 0.6), 2)),
                "last_engagement_days": str(int(draw.expovariate(often / 200))),
                "historical_open_rate": str(round(draw.betavariate(3, 9), 4)),
                "historical_click_rate": str(round(draw.betavariate(2, 26), 4)),
            }
        )
    return rows


def write_customers(root: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """Write the workspace's customers, with the columns of the first row."""
    file = root / CUSTOMERS
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


# ── Running ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str


def liftwright(root: Path | None, *arguments: str) -> Answer:
    """The command line, in this process."""
    where = () if root is None else ("--workspace", str(root))
    result = CliRunner().invoke(app, [*arguments, *where])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(status=result.exit_code, out=result.stdout, err=result.stderr)


def command(root: Path, *arguments: str) -> list[str]:
    """The command line as a process's arguments."""
    start = "from liftwright.cli import main; main()"
    return [sys.executable, "-c", start, *arguments, "--workspace", str(root)]


def liftwright_process(root: Path, *arguments: str) -> Answer:
    """The command line, in a process of its own."""
    done = subprocess.run(
        command(root, *arguments), capture_output=True, text=True, timeout=300, check=False
    )
    return Answer(status=done.returncode, out=done.stdout, err=done.stderr)


_CHANGING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"(?<=│ )\d+\.\d\d +(?=│ TIME)"), "SECONDS "),
    (re.compile(r"\d+\.\d+ s\b"), "SECONDS s"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "HASH"),
    (re.compile(r"(?<=│ )3\.\d+\.\d+ +(?=│)"), "VERSION "),
    (re.compile(r"(?<=\.yaml:)\d+"), "LINE"),
    (re.compile(r" +$", re.MULTILINE), ""),
    # Where a line breaks and how wide a column is depends on the length of a path.
    (re.compile(r",\s+(?=[\w/]+\.\w+,|[\w/]+\.\w+$)", re.MULTILINE), ", "),
    (re.compile(r"(?<=\S) {3,}"), "  "),
    (re.compile(r"([━─])\1{2,}"), r"\1\1"),
)


def steady(text: str, root: Path | None = None) -> str:
    """What a command said, without what differs from run to run and from place to place."""
    if root is not None:
        text = text.replace(str(root), "WORKSPACE")
    text = text.replace(str(Path.cwd()), "HERE")
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text


class Enough(Exception):  # noqa: N818 - a wish, not a fault
    """Raised by a test's listener: the stages so far are all that is asked for."""


def run_until(root: Path, stage: str, run_id: str = "part", **request: Any) -> Path:
    """Run up to and with a stage, and stop as a process that dies there would; gives the folder.

    Running again under the same id goes on, and keeps what is still valid.
    """

    def listen(step: StageProgress) -> None:
        if step.stage == stage and step.state in ("done", "kept"):
            raise Enough

    try:
        Workspace(root).run(RunRequest(run_id=run_id, **request), notify=listen)
    except Enough:
        return root / "data" / "runs" / run_id
    message = f"the run ended before {stage}"
    raise AssertionError(message)


def draft_for(prompt: str, drafts: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """The draft for a prompt, whatever limits it names and whatever was wrong before."""
    asked = re.sub(r"\d+", "#", prompt)
    for known, draft in drafts.items():
        if asked.startswith(re.sub(r"\d+", "#", known).rstrip()):
            return draft
    return None


# ── What a run wrote ──────────────────────────────────────────────────────────────────────────


def read_json(file: Path) -> Any:
    """A file's JSON values."""
    return json.loads(file.read_text(encoding="utf-8"))


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file, by id where it has one."""
    import duckdb

    with duckdb.connect() as connection:
        table = connection.read_parquet(str(file))
        # A time with a zone is shown as text: what it is does not hang on this machine's zone.
        told = ", ".join(
            f'cast("{name}" as varchar)' if "TIME" in str(kind) else f'"{name}"'
            for name, kind in zip(table.columns, table.types, strict=True)
        )
        found = table.project(told).fetchall()
        rows = [dict(zip(table.columns, row, strict=True)) for row in found]
    return sorted(rows, key=lambda row: str(row.get("customer_id", "")))


def outcome(file: Path) -> Any:
    """What a file says, without the times at which it was said."""
    if file.suffix == ".parquet":
        return timeless(read_rows(file))
    return timeless(read_json(file))


def timeless(value: Any) -> Any:
    """The value without keys that end in `_at` or begin with `latency_`."""
    if isinstance(value, dict):
        return {
            name: timeless(item)
            for name, item in value.items()
            if not name.endswith("_at") and not name.startswith("latency_")
        }
    return [timeless(item) for item in value] if isinstance(value, list) else value


def files_of(root: Path) -> dict[str, bytes]:
    """Every file of a workspace but its logs of events and its lock, with its bytes."""
    passed_over = {"data/.lock", "logs/system.log", "logs/experiment.log"}
    found = {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}
    return {name: data for name, data in found.items() if name not in passed_over}


def log_lines(root: Path) -> Iterable[dict[str, Any]]:
    """The events of both logs."""
    for name in ("system.log", "experiment.log"):
        file = root / "logs" / name
        if file.is_file():
            yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())
