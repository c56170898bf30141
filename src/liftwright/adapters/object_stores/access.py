"""Where each object store is, and who Liftwright is to it, by the store's own chain of credentials.

Credentials are asked for once before a client is made, so that a missing one is told in our words.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from liftwright.errors import DataError, InputError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liftwright.config import Authentication, ObjectStores
    from liftwright.model import ObjectUrl

    Credentials = Callable[[], dict[str, Any]]

_STORAGE = "https://storage.azure.com/.default"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_DEFAULT_REGION = "us-east-1"
# Keys that renew themselves are asked for again after this long.
_KEPT = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAccess:
    """How a store is reached.

    Attributes:
        config: the client's own options.
        endpoint: the address, where it is not the store's public one.
        credentials: gives those of now; None asks without any.
    """

    config: dict[str, Any]
    endpoint: str | None
    credentials: Credentials | None


def to_s3(url: ObjectUrl, options: ObjectStores, variables: Mapping[str, str]) -> StoreAccess:
    """S3, or what speaks its language, by the chain of AWS: environment, profile, role.

    Raises:
        DataError: no credentials are found.
        InputError: botocore is not installed.
    """
    endpoint = options.s3_endpoint or _first(variables, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    region = _first(variables, "AWS_REGION", "AWS_DEFAULT_REGION")
    if (_first(variables, "AWS_SKIP_SIGNATURE") or "").lower() == "true":
        credentials = None
    else:
        credentials, configured = _of_aws(url, variables)
        region = region or configured
    config: dict[str, Any] = {"region": region or _DEFAULT_REGION}
    if credentials is None:
        config["skip_signature"] = True
    if endpoint is not None:
        config["endpoint"] = endpoint
    return StoreAccess(config=config, endpoint=endpoint, credentials=credentials)


def _of_aws(url: ObjectUrl, variables: Mapping[str, str]) -> tuple[Credentials, str | None]:
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
            # Those of .env are known to us alone.
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

    def renewed() -> dict[str, Any]:
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _KEPT,
        }

    return renewed, region


def to_azure(
    url: ObjectUrl,
    options: ObjectStores,
    authentication: Authentication,
    variables: Mapping[str, str],
) -> StoreAccess:
    """Azure Blob Storage, by the environment's key or signature of the account, else by identity.

    Raises:
        DataError: the account is not named, or there is no identity.
        ConfigurationError: azure-identity is not installed.
    """
    own = _first(variables, "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
    account = url.account or own
    if account is None:
        raise DataError(
            f"{url}: the storage account is missing: set AZURE_STORAGE_ACCOUNT_NAME, or write "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        )
    endpoint = options.azure_endpoint
    config = {
        "account_name": account,
        "endpoint": endpoint or f"https://{account}.blob.{url.suffix}",
    }
    # A key of the environment is shown to the account that it is of, and to no other.
    is_own = own is None or own == account
    key = _first(variables, "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY") if is_own else None
    signature = (
        _first(variables, "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY") if is_own else None
    )
    if key is not None:
        credentials = _fixed({"access_key": key, "expires_at": None})
    elif signature is not None:
        credentials = _fixed({"sas_token": signature.removeprefix("?"), "expires_at": None})
    else:
        credentials = _of_entra(url, authentication)
    return StoreAccess(config=config, endpoint=endpoint, credentials=credentials)


def _of_entra(url: ObjectUrl, authentication: Authentication) -> Credentials:
    from liftwright.adapters.azure.identity import credential_for

    if authentication.method == "api_key":
        # The services take keys of their own; a store without one is opened by an identity.
        authentication = authentication.model_copy(update={"method": "default"})
    credential = credential_for(authentication)

    def renewed() -> dict[str, Any]:
        token = credential.get_token(_STORAGE)
        return {
            "token": token.token,
            "expires_at": datetime.fromtimestamp(token.expires_on, UTC),
        }

    try:
        renewed()
    except ProviderError as error:
        raise DataError(f"{url}: {error}; or set AZURE_STORAGE_ACCOUNT_KEY") from None
    return renewed


def to_gcs(url: ObjectUrl, options: ObjectStores, variables: Mapping[str, str]) -> StoreAccess:
    """Google Cloud Storage, by Google's application default credentials.

    Raises:
        DataError: no credentials are found.
        InputError: google-auth is not installed.
    """
    emulator = _first(variables, "STORAGE_EMULATOR_HOST")
    if emulator is not None and "://" not in emulator:
        emulator = f"http://{emulator}"
    endpoint = options.gcs_endpoint or emulator
    config: dict[str, Any] = {} if endpoint is None else {"base_url": endpoint}
    if emulator is not None and endpoint == emulator:
        # What stands in for the store asks nobody who they are. The client, told to sign nothing,
        # would still ask this machine's cloud for a token before a large put.
        nobody = _fixed({"token": "nobody", "expires_at": None})
        return StoreAccess(config=config, endpoint=endpoint, credentials=nobody)
    return StoreAccess(config=config, endpoint=endpoint, credentials=_of_google(url, variables))


def _of_google(url: ObjectUrl, variables: Mapping[str, str]) -> Credentials:
    try:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request
    except ImportError:
        raise _not_installed(url, "google-auth and requests") from None
    file = _first(variables, "GOOGLE_APPLICATION_CREDENTIALS")
    try:
        with warnings.catch_warnings():
            # It would have a person's own account replaced by a service's.
            warnings.simplefilter("ignore")
            if file is not None and "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ:
                load: Any = google.auth.load_credentials_from_file
                found, _ = load(file, scopes=[_GOOGLE_SCOPE])
            else:
                found, _ = google.auth.default(scopes=[_GOOGLE_SCOPE])
        found.refresh(Request())
    except (GoogleAuthError, OSError, ValueError) as error:
        raise DataError(
            f"{url}: no credentials for Google Cloud Storage ({type(error).__name__}): name a file "
            "in GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`, "
            "or run this where a service account is attached"
        ) from None

    def renewed() -> dict[str, Any]:
        if not found.valid:
            found.refresh(Request())
        return {"token": found.token, "expires_at": found.expiry.replace(tzinfo=UTC)}

    return renewed


def _fixed(credentials: dict[str, Any]) -> Credentials:
    return lambda: credentials


def _first(variables: Mapping[str, str], *names: str) -> str | None:
    return next((variables[name] for name in names if variables.get(name)), None)


def _not_installed(url: ObjectUrl, package: str) -> InputError:
    return InputError(f"{url}: needs the package {package}: pip install 'liftwright[stores]'")
