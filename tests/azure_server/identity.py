"""App Service's managed identity endpoint: a token for requests with the secret header."""

from __future__ import annotations

import hashlib
import time

from azure_server.server import InvalidRequest, Recorded, Reply

PATH = "/msi/token"
SECRET = "CANARY-identity-header"  # noqa: S105 - of a test
COGNITIVE = "https://cognitiveservices.azure.com"
SEARCH = "https://search.azure.com"
VAULT = "https://vault.azure.net"
_LIFETIME_SECONDS = 3600


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
