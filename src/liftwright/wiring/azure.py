"""Azure's services: what makes each adapter, and the key or credential it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from liftwright.adapter_context import SearchAdapter, Site, need_secret, options_of
from liftwright.calls.metered_client import RetriedSecrets
from liftwright.calls.retry import Calls
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.adapters.azure.content_safety_client import Service
    from liftwright.config import AzureOpenAI
    from liftwright.config.azure import Authentication, AzureContentSafety
    from liftwright.ports import Complete, Embed, Judge, Screen, Secrets, Shield, Telemetry


def openai(site: Site) -> Complete:
    """The writer that a deployment of Azure OpenAI is."""
    from liftwright.adapters.azure.openai import AzureOpenAIComplete

    options = options_of(site.settings.services.azure_openai, "complete", "azure_openai")
    key, token = _openai_access(site, options)
    return AzureOpenAIComplete(
        options,
        api_key=key,
        token_provider=token,
        price=site.settings.services.prices.get(options.model),
        timeout_seconds=site.settings.services.calls.timeout_seconds.complete,
    )


def openai_embed(site: Site) -> Embed:
    """The embedder that a deployment of Azure OpenAI is."""
    from liftwright.adapters.azure.openai import AzureOpenAIEmbed

    options = options_of(site.settings.services.azure_openai, "embed", "azure_openai")
    key, token = _openai_access(site, options)
    return AzureOpenAIEmbed(
        options,
        api_key=key,
        token_provider=token,
        timeout_seconds=site.settings.services.calls.timeout_seconds.embed,
    )


def search(site: Site) -> SearchAdapter:
    """Azure AI Search: the index, and the search of one."""
    from liftwright.adapters.azure.search import AzurePassageSearch
    from liftwright.adapters.azure.search_index import AzureSearchIndex

    options = options_of(site.settings.services.azure_search, "search", "azure_search")
    key, credential = _access(site, options.api_key_secret, "azure_search")
    embed = site.need_embed() if options.vectors else None
    return SearchAdapter(
        index=AzureSearchIndex(
            options,
            embed,
            api_key=key,
            credential=credential,
            timeout_seconds=site.settings.services.calls.timeout_seconds.index,
        ),
        search=lambda name: AzurePassageSearch(
            options,
            embed,
            name,
            api_key=key,
            credential=credential,
            timeout_seconds=site.settings.services.calls.timeout_seconds.search,
        ),
    )


def content_safety(site: Site) -> Screen:
    """The screener of Azure AI Content Safety."""
    from liftwright.adapters.azure.content_safety import AzureContentSafetyScreen

    options = options_of(
        site.settings.services.azure_content_safety, "screen", "azure_content_safety"
    )
    key, credential = _access(site, options.api_key_secret, "azure_content_safety")
    return AzureContentSafetyScreen(
        options,
        api_key=key,
        credential=credential,
        timeout_seconds=site.settings.services.calls.timeout_seconds.screen,
    )


def prompt_shields(site: Site) -> Shield | None:
    """Who looks for attacks in documents; None where that is switched off."""
    options = site.settings.services.azure_content_safety
    if options is None or not options.prompt_shields:
        return None
    from liftwright.adapters.azure.content_safety import AzurePromptShields

    return AzurePromptShields(_safety_service(site, options))


def groundedness(site: Site) -> Judge | None:
    """Who gives a second opinion on claims; None where that is switched off."""
    options = site.settings.services.azure_content_safety
    if options is None or not options.groundedness:
        return None
    from liftwright.adapters.azure.content_safety import AzureGroundedness

    return AzureGroundedness(_safety_service(site, options))


def key_vault(site: Site) -> Secrets:
    """The secrets of a Key Vault, asked again where it does not answer."""
    from liftwright.adapters.azure.identity import credential_for
    from liftwright.adapters.azure.key_vault import KeyVaultSecrets

    services = site.settings.services
    options = options_of(services.key_vault, "secrets", "key_vault")
    who = services.authentication
    if who.method == "api_key":
        # The services take keys, but the vault that holds them is opened by an identity alone.
        who = who.model_copy(update={"method": "default"})
    vault = KeyVaultSecrets(options, credential_for(who), site.variables)
    return RetriedSecrets(vault, Calls(services.calls))


def monitor(site: Site) -> Telemetry:
    """The telemetry that Azure Monitor takes."""
    from liftwright.adapters.azure.identity import credential_for
    from liftwright.adapters.telemetry.azure_monitor import azure_monitor_telemetry

    services, key = site.settings.services, "azure_monitor.connection_string_secret"
    options = options_of(services.azure_monitor, "telemetry", "azure_monitor")
    connection = need_secret(site, options.connection_string_secret, key)
    who = services.authentication
    return azure_monitor_telemetry(
        options, connection, None if who.method == "api_key" else credential_for(who)
    )


def _safety_service(site: Site, options: AzureContentSafety) -> Service:
    from liftwright.adapters.azure.content_safety_client import Service

    key, credential = _access(site, options.api_key_secret, "azure_content_safety")
    return Service(options, key, credential, site.settings.services.calls.timeout_seconds.screen)


def _openai_access(site: Site, options: AzureOpenAI) -> tuple[str | None, Callable[[], str] | None]:
    from liftwright.adapters.azure.identity import COGNITIVE_SERVICES, token_provider

    key, credential = _access(site, options.api_key_secret, "azure_openai")
    return key, None if credential is None else token_provider(credential, COGNITIVE_SERVICES)


def _access(site: Site, secret: str, name: str) -> tuple[str | None, Any]:
    """A key or a credential for an Azure service, as `authentication.method` says."""
    from liftwright.adapters.azure.identity import credential_for

    authentication = site.settings.services.authentication
    if authentication.method != "api_key":
        return None, credential_for(authentication)
    key = site.secrets(secret)
    if key is None:
        raise ConfigurationError(
            f"config/azure_config.yaml: {name}.api_key_secret: the secret {secret} is not set; "
            "put it into the environment or .env, or choose another authentication.method"
        )
    return key, None


def ask_for_token(authentication: Authentication, service: str) -> str:
    """Ask for a token that a service would be shown, and say that it was given."""
    from liftwright.adapters.azure import identity

    scopes = {
        "Cognitive Services": identity.COGNITIVE_SERVICES,
        "Search": identity.SEARCH,
        "Key Vault": identity.KEY_VAULT,
    }
    identity.credential_for(authentication).get_token(scopes[service])
    return f"Connection successful: {authentication.method} gave a token"
