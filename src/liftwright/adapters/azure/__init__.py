"""Azure OpenAI, AI Search, AI Content Safety and Key Vault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from liftwright.config.models import Count, Name  # noqa: TC001 - pydantic reads them at run time
from liftwright.errors import ConfigurationError
from liftwright.providers import AdapterContext, Options, Provider, SearchAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from azure.core.credentials import TokenCredential

    from liftwright.adapters.azure.content_safety_client import ContentSafetyService
    from liftwright.ports import Complete, Embed, Judge, Screen, Secrets, Shield

    Context = AdapterContext[Any]


_TIMEOUT_SECONDS, _REASONING_TIMEOUT_SECONDS = 10.0, 120.0


class AzureOpenAI(Options):
    """Azure OpenAI: the v1 endpoint, or a dated api-version of the older form."""

    endpoint: Name
    deployment: Name
    model: Name
    api_version: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}(-preview)?$")] | None = None
    reasoning: bool = True
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] = 2000
    embedding_deployment: str | None = None
    embedding_model: str | None = None
    embedding_dimensions: Count | None = None
    api_key_secret: Name = "AZURE_OPENAI_API_KEY"  # noqa: S105 - a name

    @model_validator(mode="after")
    def _reasoning_models_differ(self) -> AzureOpenAI:
        if self.reasoning and self.temperature is not None:
            raise ValueError("temperature must be null if reasoning is true")
        if not self.reasoning and self.reasoning_effort is not None:
            raise ValueError("reasoning_effort must be null if reasoning is false")
        return self


class AzureSearch(Options):
    """Azure AI Search."""

    endpoint: Name
    index: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")] = "approved-content"
    api_version: str | None = None
    semantic_configuration: str | None = "default"
    vectors: bool = True
    api_key_secret: Name = "AZURE_SEARCH_API_KEY"  # noqa: S105 - a name


class AzureContentSafety(Options):
    """Azure AI Content Safety."""

    endpoint: Name
    api_version: Name = "2023-10-01"
    output_type: Literal["FourSeverityLevels", "EightSeverityLevels"] = "FourSeverityLevels"
    blocklists: tuple[str, ...] = ()
    prompt_shields: bool = False
    groundedness: bool = False
    api_key_secret: Name = "AZURE_CONTENT_SAFETY_API_KEY"  # noqa: S105 - a name


class KeyVault(Options):
    """Azure Key Vault, as the source of secrets."""

    url: Name


def _openai(context: AdapterContext[AzureOpenAI]) -> Complete:
    from liftwright.adapters.azure.openai import AzureOpenAIComplete

    options, services = context.options, context.settings.services
    key, token = _openai_access(context)
    usual = _REASONING_TIMEOUT_SECONDS if options.reasoning else _TIMEOUT_SECONDS
    return AzureOpenAIComplete(
        options,
        api_key=key,
        token_provider=token,
        price=services.prices.get(options.model),
        timeout_seconds=services.calls.timeout_seconds.complete or usual,
    )


def _openai_embed(context: AdapterContext[AzureOpenAI]) -> Embed:
    from liftwright.adapters.azure.openai import AzureOpenAIEmbed

    key, token = _openai_access(context)
    return AzureOpenAIEmbed(
        context.options,
        api_key=key,
        token_provider=token,
        timeout_seconds=context.settings.services.calls.timeout_seconds.embed,
    )


def _search(context: AdapterContext[AzureSearch]) -> SearchAdapter:
    from liftwright.adapters.azure.search import AzurePassageSearch
    from liftwright.adapters.azure.search_index import AzureSearchIndex

    options, timeouts = context.options, context.settings.services.calls.timeout_seconds
    key, credential = _access(context, options.api_key_secret, "azure_search")
    embed = context.need_embed() if options.vectors else None
    return SearchAdapter(
        index=AzureSearchIndex(
            options,
            embed,
            api_key=key,
            credential=credential,
            timeout_seconds=timeouts.index,
        ),
        search=lambda name: AzurePassageSearch(
            options,
            embed,
            name,
            api_key=key,
            credential=credential,
            timeout_seconds=timeouts.search,
        ),
    )


def _content_safety(context: AdapterContext[AzureContentSafety]) -> Screen:
    from liftwright.adapters.azure.content_safety import AzureContentSafetyScreen

    options = context.options
    key, credential = _access(context, options.api_key_secret, "azure_content_safety")
    return AzureContentSafetyScreen(
        options,
        api_key=key,
        credential=credential,
        timeout_seconds=context.settings.services.calls.timeout_seconds.screen,
    )


def _prompt_shields(context: AdapterContext[AzureContentSafety]) -> Shield:
    from liftwright.adapters.azure.content_safety import AzurePromptShields

    return AzurePromptShields(_safety_service(context))


def _groundedness(context: AdapterContext[AzureContentSafety]) -> Judge:
    from liftwright.adapters.azure.content_safety import AzureGroundedness

    return AzureGroundedness(_safety_service(context))


def _key_vault(context: AdapterContext[KeyVault]) -> Secrets:
    from liftwright.adapters.azure.identity import credential_for
    from liftwright.adapters.azure.key_vault import KeyVaultSecrets

    authentication = context.settings.services.authentication
    if authentication.method == "api_key":
        # The vault that holds the services' keys accepts only an identity.
        authentication = authentication.model_copy(update={"method": "default"})
    return KeyVaultSecrets(
        context.options, credential_for(authentication, context.variables), context.variables
    )


def _safety_service(context: AdapterContext[AzureContentSafety]) -> ContentSafetyService:
    from liftwright.adapters.azure.content_safety_client import ContentSafetyService

    options, timeouts = context.options, context.settings.services.calls.timeout_seconds
    key, credential = _access(context, options.api_key_secret, "azure_content_safety")
    return ContentSafetyService(options, key, credential, timeouts.screen)


def _openai_access(
    context: AdapterContext[AzureOpenAI],
) -> tuple[str | None, Callable[[], str] | None]:
    from liftwright.adapters.azure.identity import COGNITIVE_SERVICES, token_provider

    key, credential = _access(context, context.options.api_key_secret, "azure_openai")
    return key, None if credential is None else token_provider(credential, COGNITIVE_SERVICES)


def _access(context: Context, secret: str, block: str) -> tuple[str | None, TokenCredential | None]:
    """A key or a credential, depending on `authentication.method`."""
    from liftwright.adapters.azure.identity import credential_for

    authentication = context.settings.services.authentication
    if authentication.method != "api_key":
        return None, credential_for(authentication, context.variables)
    key = context.secrets(secret)
    if key is None:
        raise ConfigurationError(
            f"config/azure_config.yaml: {block}.api_key_secret: the secret {secret} is not set; "
            "put it into the environment or .env, or choose another authentication.method"
        )
    return key, None


def _token_check(service: str) -> Callable[[Context], Mapping[str, Callable[[], str]]]:
    """The check that a token for a service can be obtained; none if keys are used."""

    def checks(context: Context) -> Mapping[str, Callable[[], str]]:
        authentication = context.settings.services.authentication
        if authentication.method == "api_key":
            return {}

        def check() -> str:
            from liftwright.adapters.azure import identity

            scopes = {
                "Cognitive Services": identity.COGNITIVE_SERVICES,
                "Search": identity.SEARCH,
                "Key Vault": identity.KEY_VAULT,
            }
            credential = identity.credential_for(authentication, context.variables)
            credential.get_token(scopes[service])
            return f"Connection successful: {authentication.method} gave a token"

        return {f"identity for {service}": check}

    return checks


OPENAI = Provider(
    adapters={"complete": _openai, "embed": _openai_embed},
    options=AzureOpenAI,
    address="endpoint",
    checks=_token_check("Cognitive Services"),
)
SEARCH = Provider(
    adapters={"search": _search},
    options=AzureSearch,
    address="endpoint",
    checks=_token_check("Search"),
)
CONTENT_SAFETY = Provider(
    adapters={"screen": _content_safety, "shield": _prompt_shields, "judge": _groundedness},
    options=AzureContentSafety,
    switches={"shield": "prompt_shields", "judge": "groundedness"},
    address="endpoint",
    checks=_token_check("Cognitive Services"),
)
KEY_VAULT = Provider(
    adapters={"secrets": _key_vault},
    options=KeyVault,
    address="url",
    checks=_token_check("Key Vault"),
)
