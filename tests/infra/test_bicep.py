"""The Bicep files, held against what can be told without a compiler."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from infra.bicep_reader import ROLES, faults_between, read

INFRA = Path(__file__).parents[2] / "infra"
FILES = {path.name: path.read_text("utf-8") for path in sorted(INFRA.glob("*.bicep"))}


def test_bicep_files_are_there() -> None:
    assert set(FILES) == {"main.bicep", "roles.bicep", "job.bicep", "archive.bicep"}


@pytest.mark.parametrize("name", FILES)
def test_bicep_file_has_no_fault(name: str) -> None:
    assert read(FILES[name]).faults == ()


def test_bicep_files_fit_together() -> None:
    assert faults_between({name: read(text) for name, text in FILES.items()}) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "fault"),
    [
        ("main.bicep", "location string =", "location string = =", "cannot be parsed"),
        ("main.bicep", "writerCapacity\n  }", "writerCapacity\n", "cannot be parsed"),
        ("main.bicep", "capacity: writerCapacity", "capacity: 5", "is a parameter that nothing"),
        ("main.bicep", "workspaceId: logs.id", "workspaceId: log.id", "log: is not declared"),
        ("main.bicep", "uniqueString(", "uniqeString(", "uniqeString(): is no known function"),
        ("main.bicep", "@description('The region.", "@metadata('The region.", "location: has no"),
        ("main.bicep", "@secure()\n", "", "auditKey: is a secret without @secure()"),
        ("main.bicep", "= vault.properties.vaultUri", "= auditKey", "gives away a secret"),
        ("main.bicep", "= openAI.name", "= openAI.listKeys().key1", "gives away a secret"),
        ("main.bicep", "= insights.id", "= insights.properties.ConnectionString", "gives away"),
        ("main.bicep", "vaults@2024-11-01", "vaults@latest", "no resource type with a released"),
        ("main.bicep", "components@2020-02-02", "components@2020-02-02-preview", "no resource"),
        ("main.bicep", "resource search ", "resource openAI ", "openAI: is declared twice"),
        ("roles.bicep", "19fc36ad61bd", "19fc36ad61be", "is no role that is known here"),
        ("roles.bicep", "// Key Vault Secrets User", "// Key Vault Reader", "not what its comment"),
        ("roles.bicep", "'3913510d-42f4-4e42", "'3913510d-42f4", "is not the id of a role"),
        ("roles.bicep", "insights.id, principalId, roles.monitoringMetricsPublisher",
         "insights.id, principalId, roles.monitoring", "roles.monitoring: is not declared"),
    ],
)  # fmt: skip
def test_read_of_a_broken_file_finds_the_fault(
    file: str, before: str, after: str, fault: str
) -> None:
    assert FILES[file].count(before) >= 1, "the file no longer has what this test breaks"
    broken = FILES[file].replace(before, after, 1)
    assert any(fault in found for found in read(broken).faults), read(broken).faults


@pytest.mark.parametrize(
    ("file", "before", "after", "fault"),
    [
        ("main.bicep", "'archive.bicep'", "'archives.bicep'", "there is no archives.bicep"),
        ("main.bicep", "    suffix: suffix\n", "", "job: lacks suffix"),
        ("main.bicep", "suffix: suffix", "sufix: suffix", "job.bicep has no parameter sufix"),
        ("main.bicep", "outputs.registryName", "outputs.registry", "has no output registry"),
        ("job.bicep", "vaults@2024-11-01", "vaults@2023-07-01", "has several versions"),
    ],
)
def test_faults_between_broken_files_are_found(
    file: str, before: str, after: str, fault: str
) -> None:
    assert before in FILES[file]
    broken = {**FILES, file: FILES[file].replace(before, after, 1)}
    found = faults_between({name: read(text) for name, text in broken.items()})
    assert any(fault in one for one in found), found


def test_roles_give_the_data_of_services_and_no_rights_over_resources() -> None:
    # Search Service Contributor is the one exception: without it nobody can make an index.
    given = {ROLES[role] for text in FILES.values() for role in ROLES if role in text}
    assert given == set(ROLES.values())
    assert not given & {"Owner", "Contributor", "User Access Administrator"}


def test_keys_are_refused_unless_asked_for() -> None:
    main = FILES["main.bicep"]
    assert "param disableLocalAuth bool = true" in main
    assert main.count("disableLocalAuth: local") == 4
    assert "DisableLocalAuth: local" in main


def test_scripts_and_bicep_agree_on_parameters_and_outputs() -> None:
    main = read(FILES["main.bicep"])
    script = (INFRA / "setup_azure_resources.sh").read_text("utf-8")
    passed = set(re.findall(r'"(\w+)=(?:\$|false|true)', script)) | {"auditKey"}
    assert passed >= {"name", "location", "jobImage", "disableLocalAuth"}, "the search is broken"
    assert passed <= set(main.parameters)
    asked = set(re.findall(r"default_of (\w+)", script))
    assert len(asked) == 6
    for name in asked:
        assert re.search(rf"^param {name} string = '[^']+'$", main.text, re.MULTILINE), name
    tool = (INFRA / "azure_workspace.py").read_text("utf-8")
    read_there = set(re.findall(r'outputs(?:\.get\(|\[)"(\w+)"', tool))
    read_there |= set(re.findall(r"\bget (AZURE_\w+)", script))
    assert len(read_there) > 8
    assert read_there <= set(main.outputs)


def test_azd_passes_parameters_that_exist_and_runs_what_is_there() -> None:
    main = read(FILES["main.bicep"])
    given = json.loads((INFRA / "main.parameters.json").read_text("utf-8"))["parameters"]
    assert set(given) <= set(main.parameters)
    project = yaml.safe_load((INFRA / "azure.yaml").read_text("utf-8"))
    assert (INFRA / project["infra"]["path"] / f"{project['infra']['module']}.bicep").is_file()
    hook = project["hooks"]["postprovision"]["run"]
    assert "azure_workspace.py write" in hook


def test_job_runs_the_image_as_the_dockerfile_made_it() -> None:
    job = FILES["job.bicep"]
    dockerfile = (INFRA.parent / "Dockerfile").read_text("utf-8")
    script = "/opt/liftwright/container_job.py"
    assert f"'{script}'" in job
    assert f"COPY infra/container_job.py {script}" in dockerfile
    tool = (INFRA / "container_job.py").read_text("utf-8")
    for folder in ("/campaign", "/share"):
        assert f"mountPath: '{folder}'" in job
        assert f'"{folder}"' in tool
    assert re.search(r"parallelism: 1\n\s*replicaCompletionCount: 1", job)
    assert "uid=10001,gid=10001" in job
    assert "USER 10001:10001" in dockerfile
