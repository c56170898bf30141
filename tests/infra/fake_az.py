"""A stand-in for the Azure CLI, with the state of one subscription.

It knows the commands and options that the scripts use, and fails on any other. State:
`state.json` in the folder that FAKE_AZ names; the calls stand in `calls.jsonl` beside it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["FAKE_AZ"])
STATE = FOLDER / "state.json"
ANYWHERE = {"--output", "--query", "--subscription"}
# The options of each command; those after a + are required.
COMMANDS: dict[str, str] = {
    "account show": "",
    "account list-locations": "",
    "ad signed-in-user show": "",
    "group exists": "+--name",
    "group create": "+--name +--location --tags",
    "group delete": "+--name +--yes",
    "resource list": "+--resource-group",
    "resource show": "+--ids",
    "provider show": "+--namespace",
    "provider register": "+--namespace --wait",
    "cognitiveservices model list": "+--location",
    "cognitiveservices usage list": "+--location",
    "cognitiveservices account deployment show": "+--name +--resource-group +--deployment-name",
    "cognitiveservices account keys list": "+--name +--resource-group",
    "cognitiveservices account list-deleted": "",
    "cognitiveservices account purge": "+--name +--resource-group +--location",
    "search admin-key show": "+--service-name +--resource-group",
    "keyvault list-deleted": "--resource-type",
    "keyvault purge": "+--name +--location",
    "deployment group show": "+--resource-group +--name",
    "deployment group what-if": "+--resource-group +--name +--template-file +--parameters",
    "deployment group create": "+--resource-group +--name +--template-file +--parameters",
    "acr build": "+--registry +--image +--file @source",
}


class RefusedError(Exception):
    """An error message of `az`, which then exits with 1."""


def parsed(arguments: list[str]) -> tuple[str, dict[str, list[str]]]:
    name = max((c for c in COMMANDS if " ".join(arguments).startswith(c)), key=len, default="")
    if not name:
        raise RefusedError(f"'{' '.join(arguments[:3])}' is misspelled or not recognized")
    options: dict[str, list[str]] = {}
    current = "@source"
    for word in arguments[len(name.split()) :]:
        if word == "--only-show-errors":
            continue
        if word.startswith("--"):
            current = word
            options.setdefault(word, [])
        else:
            options.setdefault(current, []).append(word)
            if current != "--parameters":
                current = "@source"
    takes = COMMANDS[name].split()
    missing = {word[1:] for word in takes if word.startswith("+")} - set(options)
    unknown = set(options) - {word.lstrip("+") for word in takes} - ANYWHERE
    if missing or unknown:
        raise RefusedError(f"{name}: required: {sorted(missing)}, unrecognized: {sorted(unknown)}")
    return name, options


def tsv(*rows: tuple[object, ...]) -> str:
    return "".join("\t".join(str(cell) for cell in row) + "\n" for row in rows)


def answer(  # noqa: C901, PLR0911, PLR0912 - one case per command, each of a line or two
    name: str, given: dict[str, list[str]], state: dict[str, Any]
) -> str:
    """The command's output; changes the state."""
    first = {option: values[0] if values else "" for option, values in given.items()}
    if not state["logged_in"]:
        raise RefusedError("Please run 'az login' to setup account.")
    if name in state.get("refuses", {}):
        raise RefusedError(state["refuses"][name])
    if name.startswith("deployment group") or name in ("resource list", "group delete"):
        group = first.get("--resource-group", first.get("--name"))
        if group != state["group"]:
            raise RefusedError(f"(ResourceGroupNotFound) Resource group '{group}' not found")
    match name:
        case "account show":
            return f"sub-1\nA subscription\n{state['subscription_state']}\n"
        case "account list-locations":
            return "eastus2\nswedencentral\nwesteurope\n"
        case "ad signed-in-user show":
            if not state["person"]:
                raise RefusedError("/me request is only valid with delegated authentication flow.")
            return f"{state['person']}\n"
        case "group exists":
            return f"{json.dumps(first['--name'] == state['group'])}\n"
        case "group create":
            state["group"] = first["--name"]
        case "group delete":
            state["group"] = state["deployed"] = None
        case "resource list":
            return "".join(f"{name}\n" for name in state["foreign"])
        case "resource show":
            return "InstrumentationKey=none;IngestionEndpoint=https://here.invalid/\n"
        case "provider show":
            done = first["--namespace"] not in state["unregistered"]
            return "Registered\n" if done else "NotRegistered\n"
        case "provider register":
            state["unregistered"].remove(first["--namespace"])
        case "cognitiveservices model list":
            return "OpenAI.GlobalStandard.some-model\n" if state["offered"] else ""
        case "cognitiveservices usage list":
            return tsv((f"{state['used']}.0", f"{state['limit']}.0"))
        case "cognitiveservices account deployment show":
            return "50\n"
        case "cognitiveservices account keys list":
            return f"KEY-OF-{first['--name']}\n"
        case "search admin-key show":
            return f"KEY-OF-{first['--service-name']}\n"
        case "cognitiveservices account list-deleted":
            return tsv(("an-openai", "swedencentral")) if state["group"] is None else ""
        case "keyvault list-deleted":
            return tsv(("a-vault", "swedencentral", state["vault_protected"]))
        case "deployment group show":
            if not state["deployed"]:
                raise RefusedError("(DeploymentNotFound)")
            return json.dumps(outputs(state["deployed"]))
        case "deployment group what-if":
            return "Resource and property changes are indicated with these symbols\n"
        case "deployment group create":
            if not Path(first["--template-file"]).is_file():
                raise RefusedError(f"{first['--template-file']}: no such file")
            state["deployed"] = {
                **dict(word.split("=", 1) for word in given["--parameters"] if "=" in word),
                **{
                    key: item["value"]
                    for word in given["--parameters"]
                    if word.startswith("@")
                    for key, item in json.loads(Path(word[1:]).read_text("utf-8"))[
                        "parameters"
                    ].items()
                },
            }
            return json.dumps(outputs(state["deployed"]))
        case "acr build":
            if not (Path(first["@source"]) / "Dockerfile").is_file():
                raise RefusedError("Unable to find Dockerfile")
    return ""


def outputs(parameters: dict[str, str]) -> dict[str, dict[str, str]]:
    """The outputs as Resource Manager gives them: with lower-case first letters."""
    name = parameters["name"]
    job = parameters.get("deployJobHost") == "true"
    values = {
        "AZURE_OPENAI_ENDPOINT": f"https://{name}-openai.openai.azure.com/",
        "AZURE_OPENAI_DEPLOYMENT": "gpt-5-mini",
        "AZURE_OPENAI_MODEL": "gpt-5-mini",
        "AZURE_OPENAI_EMBEDDING_DEPLOYMENT": "text-embedding-3-small",
        "AZURE_SEARCH_ENDPOINT": f"https://{name}-search.search.windows.net",
        "AZURE_SEARCH_SEMANTIC_RANKER": "free",
        "AZURE_CONTENT_SAFETY_ENDPOINT": f"https://{name}-safety.cognitiveservices.azure.com/",
        "AZURE_KEY_VAULT_URL": f"https://{name}.vault.azure.net/",
        "AZURE_OPENAI_ACCOUNT": f"{name}-openai",
        "AZURE_SEARCH_SERVICE": f"{name}-search",
        "AZURE_CONTENT_SAFETY_ACCOUNT": f"{name}-safety",
        "AZURE_APPLICATION_INSIGHTS_ID": f"/insights/{name}",
        "AZURE_IDENTITY_CLIENT_ID": "0",
        "AZURE_CONTAINER_REGISTRY": f"{name}registry" if job else "",
        "AZURE_CONTAINER_REGISTRY_ADDRESS": f"{name}registry.example" if job else "",
        "AZURE_JOB_STORAGE_ACCOUNT": f"{name}files" if job else "",
        "AZURE_ARCHIVE_STORAGE_ACCOUNT": (
            f"{name}archive" if parameters.get("deployArchive") == "true" else ""
        ),
    }
    return {
        key[0].lower() + key[1:]: {"type": "String", "value": value}
        for key, value in values.items()
    }


def main() -> int:
    with (FOLDER / "calls.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    state = json.loads(STATE.read_text("utf-8"))
    try:
        sys.stdout.write(answer(*parsed(sys.argv[1:]), state))
    except RefusedError as refusal:
        sys.stderr.write(f"ERROR: {refusal}\n")
        return 1
    STATE.write_text(json.dumps(state), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
