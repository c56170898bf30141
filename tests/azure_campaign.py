"""The small campaign on Azure's adapters, spoken over TLS to the contract server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

import campaign
import metered_writer
from acceptance_samples import configure, draft_for
from azure_server.openai import KEY as OPENAI_KEY
from azure_server.openai import OpenAIService
from azure_server.safety import KEY as SAFETY_KEY
from azure_server.safety import SafetyService
from azure_server.search import KEY as SEARCH_KEY
from azure_server.search import SearchService
from azure_server.server import AzureServer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from azure_server.server import Handler

KEYS = {
    "AZURE_OPENAI_API_KEY": OPENAI_KEY,
    "AZURE_SEARCH_API_KEY": SEARCH_KEY,
    "AZURE_CONTENT_SAFETY_API_KEY": SAFETY_KEY,
}
ADAPTERS = {
    "complete": "azure_openai",
    "search": "azure_search",
    "screen": "azure_content_safety",
}


def point(workspace: Path, server: AzureServer, *ports: str) -> None:
    """Have a workspace's ports served by the server; the keys stand in the environment."""
    file = workspace / "config" / "azure_config.yaml"
    config = yaml.safe_load(file.read_text())
    config["adapters"].update({port: ADAPTERS[port] for port in ports})
    config["authentication"] = {"method": "api_key"}
    writer = {"endpoint": server.url, "deployment": "thinker", "model": "gpt-5-mini"}
    config["azure_openai"] = writer
    config["azure_search"] = {"endpoint": server.url, "vectors": False}
    config["azure_content_safety"] = {"endpoint": server.url}
    file.write_text(yaml.safe_dump(config))


def point_all(workspace: Path, server: AzureServer) -> None:
    """As `point`, with every service: a deployment that embeds, and both switches on."""
    point(workspace, server, *ADAPTERS)
    configure(workspace, "azure_config.azure_openai.embedding_deployment", "vectors")
    for switch in ("prompt_shields", "groundedness"):
        configure(workspace, f"azure_config.azure_content_safety.{switch}", value=True)


def drafts_on(root: Path) -> dict[str, tuple[str, str]]:
    """What the composer writes from the passages that the service finds, by prompt."""
    with AzureServer([SearchService()]).running() as server:
        workspace = campaign.copy(root, root.with_name("drafts"))
        point(workspace, server, "search")
        return metered_writer.drafts_of(campaign.stop_before(workspace, "screen"))


def services(drafts: Mapping[str, tuple[str, str]]) -> list[Handler]:
    """The three services, of which the model writes these drafts."""

    def write(prompt: str) -> str:
        subject, body = draft_for(prompt, drafts) or ("", "")
        return json.dumps({"subject": subject, "body": body})

    return [OpenAIService(write=write), SearchService(), SafetyService()]
