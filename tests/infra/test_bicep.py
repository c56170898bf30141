"""The Bicep files, checked without a compiler."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from infra.bicep_reader import ROLES, faults_between, read

INFRA = Path(__file__).parents[2] / "infra"
FILES = {path.name: path.read_text("utf-8") for path in sorted(INFRA.glob("*.bicep"))}


@pytest.mark.parametrize("name", FILES)
def test_bicep_file_has_no_fault(name: str) -> None:
    assert read(FILES[name]).faults == ()


def test_bicep_files_fit_together() -> None:
    assert faults_between({name: read(text) for name, text in FILES.items()}) == []


def test_roles_give_the_data_of_services_and_no_rights_over_resources() -> None:
    # Search Service Contributor is the one exception: it is needed to create an index.
    given = {ROLES[role] for text in FILES.values() for role in ROLES if role in text}
    assert given == set(ROLES.values())
    assert not given & {"Owner", "Contributor", "User Access Administrator"}


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
