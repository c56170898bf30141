"""Opens obstore clients with the credentials that each vendor's own tools would find.

Credentials are requested once before the client is opened, so that a missing one is reported by
Liftwright and not in the middle of a read.
"""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from liftwright.errors import DataError, InputError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liftwright.config import Authentication, ObjectStores
    from liftwright.model import ObjectUrl

    CredentialProvider = Callable[[], Any]
    # Options of the client, and its credentials; None signs no request.
    Access = tuple[dict[str, Any], CredentialProvider | None]

RETRIES = 3
_CONNECT_SECONDS = 5
_DEFAULT_REGION = "us-east-1"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
# How long obstore keeps AWS keys before it asks botocore, which renews those of a role, again.
_AWS_KEYS_VALID = timedelta(minutes=10)


def open_client(
    url: ObjectUrl,
    options: ObjectStores,
    authentication: Authentication,
    variables: Mapping[str, str],
) -> Any:  # noqa: ANN401 - S3Store | AzureStore | GCSStore
    """Open an obstore client for the bucket or container of `url`.

    Args:
        url: any URL in the container.
        options: endpoints and time-out.
        authentication: the identity for Azure, if the environment has no key.
        variables: the environment and .env.

    Raises:
        DataError: credentials or Azure's account are missing.
        InputError: a package is not installed.
    """
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError:
        raise _not_installed(url, "obstore") from None
    store: Any
    if url.store == "s3":
        store, (config, credentials) = S3Store, _s3(url, options, variables)
    elif url.store == "azure":
        store, (config, credentials) = AzureStore, _azure(url, options, authentication, variables)
    else:
        store, (config, credentials) = GCSStore, _gcs(url, options, variables)
    endpoint = config.get("endpoint") or config.get("base_url") or ""
    seconds = options.timeout_seconds
    return store(
        url.container,
        config=config,
        credential_provider=credentials,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "timeout": timedelta(seconds=seconds),
            "connect_timeout": timedelta(seconds=min(seconds, _CONNECT_SECONDS)),
        },
        retry_config={
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=2 * seconds),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        },
    )


def _s3(url: ObjectUrl, options: ObjectStores, variables: Mapping[str, str]) -> Access:
    credentials = region = None
    if (_first(variables, "AWS_SKIP_SIGNATURE") or "").lower() != "true":
        credentials, region = _aws_credentials(url, variables)
    config: dict[str, Any] = {
        "region": _first(variables, "AWS_REGION", "AWS_DEFAULT_REGION")
        or region
        or _DEFAULT_REGION,
        "skip_signature": credentials is None,
    }
    endpoint = options.s3_endpoint or _first(variables, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint is not None:
        config["endpoint"] = endpoint
    return config, credentials


def _aws_credentials(
    url: ObjectUrl, variables: Mapping[str, str]
) -> tuple[CredentialProvider, str | None]:
    """Credentials from the AWS chain (environment, profile, role), and the profile's region."""
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        raise _not_installed(url, "botocore") from None
    try:
        session = Session(profile=_first(variables, "AWS_PROFILE"))
        key = _first(variables, "AWS_ACCESS_KEY_ID")
        secret = _first(variables, "AWS_SECRET_ACCESS_KEY")
        if key and secret:
            # botocore does not read .env.
            session.set_credentials(key, secret, _first(variables, "AWS_SESSION_TOKEN"))
        found = session.get_credentials()
        region: str | None = session.get_config_variable("region")
        if found is not None:
            found.get_frozen_credentials()
    except BotoCoreError as error:
        raise DataError(f"{url}: AWS gave no credentials ({type(error).__name__})") from None
    if found is None:
        raise DataError(
            f"{url}: no credentials for S3: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "nor a profile (AWS_PROFILE), nor a role of this machine; AWS_SKIP_SIGNATURE=true "
            "reads a public bucket"
        )

    def current() -> dict[str, Any]:
        keys = found.get_frozen_credentials()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _AWS_KEYS_VALID,
        }

    return current, region


def _azure(
    url: ObjectUrl,
    options: ObjectStores,
    authentication: Authentication,
    variables: Mapping[str, str],
) -> Access:
    configured = _first(variables, "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
    account = url.account or configured
    if account is None:
        raise DataError(
            f"{url}: the storage account is missing: set AZURE_STORAGE_ACCOUNT_NAME, or write "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        )
    endpoint = options.azure_endpoint or f"https://{account}.blob.{url.suffix}"
    config = {"account_name": account, "endpoint": endpoint}
    # The environment's key is sent to its own account only.
    if configured in (None, account):
        key = _first(variables, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY")
        if key is not None:
            return config, lambda: {"access_key": key, "expires_at": None}
        sas = _first(variables, "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
        if sas is not None:
            return config, lambda: {"sas_token": sas.removeprefix("?"), "expires_at": None}
    return config, _entra_credentials(url, authentication, variables)


def _entra_credentials(
    url: ObjectUrl, authentication: Authentication, variables: Mapping[str, str]
) -> CredentialProvider:
    from liftwright.adapters.azure.identity import credential_for

    if authentication.method == "api_key":
        # That method is for the AI services; a store without a key needs an identity.
        authentication = authentication.model_copy(update={"method": "default"})
    credential = credential_for(authentication, variables)

    from obstore.auth.azure import AzureCredentialProvider

    provider = AzureCredentialProvider(credential)  # type: ignore[arg-type] # asks for a vendor class
    try:
        provider()
    except ProviderError as error:
        raise DataError(f"{url}: {error}; or set AZURE_STORAGE_ACCOUNT_KEY") from None
    return provider


def _gcs(url: ObjectUrl, options: ObjectStores, variables: Mapping[str, str]) -> Access:
    emulator = _first(variables, "STORAGE_EMULATOR_HOST")
    if emulator is not None and "://" not in emulator:
        emulator = f"http://{emulator}"
    endpoint = options.gcs_endpoint or emulator
    config = {} if endpoint is None else {"base_url": endpoint}
    if emulator is not None and endpoint == emulator:
        # An emulator ignores credentials, but without any the client would ask the machine's
        # metadata server for a token before a large upload.
        return config, lambda: {"token": "emulator", "expires_at": None}
    return config, _google_credentials(url, variables)


def _google_credentials(url: ObjectUrl, variables: Mapping[str, str]) -> CredentialProvider:
    """Google's application default credentials."""
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from obstore.auth.google import GoogleCredentialProvider
    except ImportError:
        raise _not_installed(url, "google-auth and requests") from None
    file = _first(variables, "GOOGLE_APPLICATION_CREDENTIALS")
    try:
        with warnings.catch_warnings():
            # google-auth warns when a person's own account is used.
            warnings.simplefilter("ignore")
            if file is None:
                found, _ = google.auth.default(scopes=[_GOOGLE_SCOPE])
            else:
                load: Any = google.auth.load_credentials_from_file
                found, _ = load(file, scopes=[_GOOGLE_SCOPE])
        provider = GoogleCredentialProvider(found)
        provider()
    except (GoogleAuthError, OSError, ValueError) as error:
        raise DataError(
            f"{url}: no credentials for Google Cloud Storage ({type(error).__name__}): name a file "
            "in GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`, "
            "or run this where a service account is attached"
        ) from None
    return provider


def _first(variables: Mapping[str, str], *names: str) -> str | None:
    return next((variables[name] for name in names if variables.get(name)), None)


def _not_installed(url: ObjectUrl, package: str) -> InputError:
    return InputError(f"{url}: needs the package {package}: pip install 'liftwright[stores]'")
