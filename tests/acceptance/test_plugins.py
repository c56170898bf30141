"""Two packages from outside, installed as a user installs them: a writer and a search."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

import campaign
from acceptance_samples import liftwright
from liftwright.errors import InputError
from liftwright.model.run_files import RunFolder
from liftwright.wiring import adapter_names, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from acceptance_samples import Answer

# The writer is the one of the documentation, file by file.
GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"
BLOCK = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SEARCH = '''
from liftwright.model import Identity, Passage
from liftwright.ports import IndexReport
from liftwright.providers import Options, Provider, SearchAdapter
from liftwright.text import words


class ShelfOptions(Options):
    endpoint: str
    title_weight: float = 1.0


class Shelf:
    """Ranks paragraphs by the words that they share with the query."""

    metered = False
    uses_vectors = False
    rows = ()

    def __init__(self, context):
        self.weight = context.options.title_weight
        self.identity = Identity(
            provider="shelf", model="overlap", version=str(context.options.title_weight)
        )

    def index(self):
        return self

    def __call__(self, request, /, progress=None):
        if progress is None:
            return self.find(request)
        Shelf.rows = [(one, part) for one in request for part in one.paragraphs()]
        return IndexReport(
            name="shelf", documents=len(request), paragraphs=len(Shelf.rows),
            added=len(request), changed=0, removed=0, unchanged=0, embedded=0,
        )

    def find(self, query):
        asked = set(words(query.text))
        best = {}
        for document, part in Shelf.rows:
            if document.document_id in query.excluded:
                continue
            title = len(asked & set(words(document.title)))
            points = self.weight * title + len(asked & set(words(part.text)))
            passage = Passage(
                document_id=document.document_id, version=document.version,
                title=document.title, section=part.section,
                paragraph_index=part.index, text=part.text,
                score=points / (points + 3), category=document.category,
            )
            known = best.get(document.document_id)
            if known is None or passage.score > known.score:
                best[document.document_id] = passage
        ranked = sorted(best.values(), key=lambda one: (-one.score, one.document_id))
        return tuple(one for one in ranked if one.score >= query.min_score)[: query.top_k]


def make(context):
    shelf = Shelf(context)
    return SearchAdapter(index=shelf, search=lambda name: shelf)


provider = Provider(adapters={"search": make}, options=ShelfOptions, address="endpoint")
'''
SEARCH_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "liftwright-shelf"
version = "1.0"

[project.entry-points."liftwright.search"]
shelf = "shelf_search:provider"

[project.entry-points."liftwright.screen"]
absent = "no_such_module:provider"
shelf = "shelf_search:provider"
spark = "shelf_search:provider"

[project.entry-points."liftwright.embed"]
calls = "shelf_search:provider"

[tool.hatch.build.targets.wheel]
include = ["shelf_search.py"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed both packages."""
    target = tmp_path_factory.mktemp("site")
    packages = (
        dict(BLOCK.findall(GUIDE.read_text("utf-8"))),
        {"shelf_search.py": SEARCH, "pyproject.toml": SEARCH_PROJECT},
    )
    for files in packages:
        source = tmp_path_factory.mktemp("source")
        for name, text in files.items():
            (source / name).write_text(text, encoding="utf-8")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-index"),
                *("--no-deps", "--no-build-isolation", "--disable-pip-version-check"),
                *("--target", str(target), str(source)),
            ],
            check=True,
            timeout=120,
        )
    return target


@pytest.fixture
def root(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace that is written for and searched by the two plug-ins."""
    monkeypatch.syspath_prepend(site)
    root = campaign.lay_down(tmp_path / "workspace", screen="embedded")
    configure(
        root,
        adapters={"complete": "acme", "search": "shelf", "screen": "embedded"},
        acme={"greeting": "Good morning from the plug-in.", "quotes": 4},
        shelf={"endpoint": "https://someone:pass@shelf.example/v1?key=1", "title_weight": 2.5},
    )
    yield root
    for name in ("acme_writer", "shelf_search"):
        sys.modules.pop(name, None)


def configure(root: Path, **blocks: object) -> None:
    file = root / "config" / "azure_config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **blocks}, width=200))


def line_of(root: Path, text: str) -> int:
    lines = (root / "config" / "azure_config.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def refused(root: Path) -> Answer:
    """What `run` answers; it must not have begun."""
    answer = liftwright(root, "run")
    assert answer.status == 2
    assert len(answer.err.strip().splitlines()) == 1
    assert not (root / "data" / "runs").exists()
    return answer


def test_run_with_two_plug_ins_uses_their_options_and_records_who_they_are(root: Path) -> None:
    outcome = campaign.run(root, run_id="plugged")
    assert outcome.exit_status == 0
    folder = RunFolder(root / "data" / "runs" / "plugged")
    variants = json.loads(folder.file("variants.json").read_text())["variants"]
    passed = [one for one in variants if one["body"].startswith("Good morning from the plug-in.")]
    assert passed == variants
    assert {one["model"] for one in variants} == {"quotes"}
    for one in variants:
        assert one["body"].count("[Source:") == min(4, len(one["passages"]))
    parts = campaign.record(folder.path).fingerprint_parts
    writer, search = parts["complete adapter"], parts["search adapter"]
    assert (writer["provider"], writer["model"]) == ("acme", "quotes")
    assert (search["provider"], search["version"]) == ("shelf", "2.5")
    started = next(
        entry["context"]
        for line in (root / "logs" / "system.log").read_text().splitlines()
        if (entry := json.loads(line))["action"] == "run_started"
    )
    assert started["adapters"]["complete"] == "acme"
    assert started["adapters"]["search"] == "shelf"
    assert started["endpoints"] == {"shelf": "https://shelf.example/v1"}
    # An option is a part of the identity: with another one, this is another run.
    assert campaign.run(root, run_id="plugged").exit_status == 0
    for override in ("acme.quotes=2", "shelf.title_weight=1"):
        with pytest.raises(InputError):
            campaign.run(root, override, run_id="plugged")


def test_run_with_the_override_of_the_documentation_answers_as_it_says(root: Path) -> None:
    line = next(one for one in GUIDE.read_text("utf-8").splitlines() if one.startswith("$ "))
    said = GUIDE.read_text("utf-8").partition(f"{line}\n")[2].splitlines()[0]
    assert liftwright(root, *line.split()[2:]).err.strip() == said


@pytest.mark.parametrize(
    ("block", "named", "found"),
    [
        ({"greeting": "Hello", "quotes": 9}, "acme.quotes", ("quotes: 9", "found 9", "5")),
        ({"greeting": "Hello", "quote": 3}, "acme.quote", ("quote: 3", "did you mean 'quotes'")),
        ({"quotes": 3}, "acme.greeting", ("acme:", "no default")),
        ({"greeting": 5}, "acme.greeting", ("greeting: 5", "found 5, allowed: text")),
    ],
)
def test_run_with_a_wrong_option_names_file_line_key_and_what_is_allowed(
    root: Path, block: dict[str, object], named: str, found: tuple[str, ...]
) -> None:
    configure(root, acme=block)
    line, *said = found
    told = refused(root).err
    assert f"{root / 'config' / 'azure_config.yaml'}:{line_of(root, line)}: {named}: " in told
    assert all(words in told for words in said)


def test_run_with_an_unknown_or_a_missing_block_names_it_and_its_keys(root: Path) -> None:
    configure(root, acne={"greeting": "Hello"})
    told = refused(root).err
    assert f":{line_of(root, 'acne:')}: acne: unknown key; did you mean 'acme'?" in told
    file = root / "config" / "azure_config.yaml"
    blocks = yaml.safe_load(file.read_text())
    del blocks["acne"]
    file.write_text(yaml.safe_dump({**blocks, "acme": None}, width=200))
    told = refused(root).err
    assert "azure_config.yaml: acme: found null" in told
    assert "greeting, quotes" in told
    assert "adapters.complete" in told


def test_settings_of_a_plug_in_can_be_set_for_one_run_and_take_variables(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREETING", "Good evening.")
    configure(root, acme={"greeting": "${GREETING}"}, adapters={"complete": "embedded"})
    overrides = ("adapters.complete=acme", "acme.quotes=5")
    services = read_settings(root, overrides).services
    options = services.options("acme")
    assert options is not None
    assert options.model_dump() == {"greeting": "Good evening.", "quotes": 5}
    assert services.adapters.complete == "acme"
    answer = liftwright(root, "plan", "--json", "--set", "title_weigt=3")
    assert answer.status == 2
    assert "'shelf.title_weight'" in answer.err


@pytest.mark.parametrize(
    ("port", "name", "said"),
    [
        ("screen", "absent", ("no_such_module", "ModuleNotFoundError")),
        ("screen", "shelf", ("shelf_search:provider", "only: search")),
        ("search", "acme", ("did you mean", "shelf")),
    ],
)
def test_run_with_a_plug_in_that_cannot_serve_names_the_port_and_the_package(
    root: Path, port: str, name: str, said: tuple[str, ...]
) -> None:
    adapters = {"complete": "acme", "search": "shelf", "screen": "embedded", port: name}
    configure(root, adapters=adapters)
    told = refused(root).err
    assert f"adapters.{port}: " in told
    assert any(words in told for words in said)


def test_plug_in_with_the_name_of_another_block_is_refused_only_where_it_is_chosen(
    root: Path,
) -> None:
    assert {"absent", "shelf", "spark"} <= set(adapter_names("screen"))
    assert read_settings(root).services.options("spark") is not None
    for port, name in (("screen", "spark"), ("embed", "calls")):
        answer = liftwright(root, "plan", "--set", f"adapters.{port}={name}")
        assert (answer.status, "is taken" in answer.err or "only:" in answer.err) == (2, True)


def test_doctor_live_looks_at_plug_ins_as_at_any_service(root: Path) -> None:
    answer = liftwright(root, "doctor", "--live", "--json")
    checks = {one["name"]: one for one in json.loads(answer.out)["checks"]}
    assert checks["writer"]["ok"]
    assert "acme/quotes" in checks["writer"]["detail"]
    assert checks["search"]["ok"]
