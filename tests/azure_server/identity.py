"""Tokens: App Service's managed identity endpoint, and Microsoft Entra ID for a client secret."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import parse_qsl

from azure_server.server import InvalidRequest, Recorded, Reply

PATH = "/msi/token"
SECRET = "CANARY-identity-header"  # noqa: S105 - of a test
COGNITIVE = "https://cognitiveservices.azure.com"
SEARCH = "https://search.azure.com"
VAULT = "https://vault.azure.net"
CLIENT_SECRET = "CANARY-client-secret"  # noqa: S105 - the same
_LIFETIME_SECONDS = 3600
# MSAL asks Microsoft's own host about any other tenant of an unknown authority.
_TENANT = "/adfs/"


def token_for(resource: str) -> str:
    """The token for a resource, which its service accepts."""
    return f"CANARY-token-{hashlib.sha256(resource.rstrip('/').encode()).hexdigest()[:16]}"


class IdentityService:
    """The managed identity endpoint.

    Attributes:
        client_id: of the user-assigned identity; None where it is the system's.
        asked: the resources that tokens were asked for, in order.
    """

    prefix = PATH

    def __init__(self, client_id: str | None = None) -> None:
        self.client_id = client_id
        self.asked: list[str] = []

    def handle(self, request: Recorded) -> Reply:
        """A token, or the real endpoint's error."""
        if request.method != "GET" or request.path != PATH:
            raise InvalidRequest("only GET of the token is served")
        if request.query.get("api-version") != "2019-08-01":
            raise InvalidRequest("api-version must be 2019-08-01")
        if request.headers.get("x-identity-header") != SECRET:
            return Reply(status=401, json={"statusCode": 401, "message": "SERVER WORDS"})
        resource = request.query.get("resource", "")
        if not resource.startswith("https://") or resource.endswith("/.default"):
            raise InvalidRequest("resource must be an https address, not a scope")
        if request.query.get("client_id") != self.client_id:
            return Reply(status=400, json={"statusCode": 400, "message": "SERVER WORDS"})
        self.asked.append(resource)
        return Reply(
            json={
                "access_token": token_for(resource),
                "expires_on": str(int(time.time()) + _LIFETIME_SECONDS),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": self.client_id or "system",
            }
        )


def environment(url: str) -> dict[str, str]:
    """The variables that App Service sets for its programs.

    Args:
        url: of the server.
    """
    return {"IDENTITY_ENDPOINT": url + PATH, "IDENTITY_HEADER": SECRET}


class EntraService:
    """The token endpoint of a tenant, which signs in the service principal `client`.

    Attributes:
        lifetime_seconds: of the tokens; those of less than five minutes are refreshed at once.
    """

    prefix = _TENANT
    lifetime_seconds = _LIFETIME_SECONDS

    def handle(self, request: Recorded) -> Reply:
        """The tenant's endpoints, or a token."""
        url = f"https://{request.headers['host']}{_TENANT}"
        if request.path.endswith("/.well-known/openid-configuration"):
            endpoints = {"token_endpoint": f"{url}token", "authorization_endpoint": f"{url}auth"}
            return Reply(json={"issuer": url, **endpoints})
        asked = dict(parse_qsl(request.body.decode()))
        if request.path != f"{_TENANT}token" or asked.get("grant_type") != "client_credentials":
            raise InvalidRequest("only tokens for client credentials are served")
        if (asked.get("client_id"), asked.get("client_secret")) != ("client", CLIENT_SECRET):
            error = f"AADSTS7000215: SERVER WORDS {asked.get('client_secret')}"
            return Reply(status=401, json={"error": "invalid_client", "error_description": error})
        token = token_for(asked["scope"].removesuffix("/.default"))
        lifetime = self.lifetime_seconds
        return Reply(json={"access_token": token, "token_type": "Bearer", "expires_in": lifetime})


def principal(url: str, secret: str = CLIENT_SECRET) -> dict[str, str]:
    """The variables of a service principal.

    Args:
        url: of the server.
        secret: the client's secret.
    """
    return {
        "AZURE_AUTHORITY_HOST": url,
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": "client",
        "AZURE_CLIENT_SECRET": secret,
    }
