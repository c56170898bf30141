"""Key Vault's secrets: a challenge for requests without a token, then the secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from azure_server.identity import VAULT, token_for
from azure_server.server import InvalidRequest, Recorded, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSIONS = frozenset({"7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"})
_PATH = re.compile(r"/secrets/([0-9a-zA-Z-]{1,127})/?([0-9a-f]{32})?")
_TENANT = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000001"
_ID = "0123456789abcdef0123456789abcdef"


class VaultService:
    """A vault.

    Args:
        secrets: by the name they have in the vault.
        disabled: names of secrets that are switched off.
        resource: that the challenge names.

    Attributes:
        challenges: how often a token was asked for.
    """

    prefix = "/secrets/"

    def __init__(
        self,
        secrets: Mapping[str, str],
        *,
        disabled: frozenset[str] = frozenset(),
        resource: str = VAULT,
    ) -> None:
        # Names are case-insensitive.
        self._secrets = {name.lower(): value for name, value in secrets.items()}
        self._disabled, self._resource = {name.lower() for name in disabled}, resource
        self.challenges = 0

    def handle(self, request: Recorded) -> Reply:
        """The secret, or the real vault's error."""
        path = _PATH.fullmatch(request.path)
        if request.method != "GET" or path is None:
            raise InvalidRequest("only GET of a secret by a name a vault can have is served")
        if request.query.get("api-version") not in _VERSIONS:
            raise InvalidRequest(f"api-version {request.query.get('api-version')!r} is unknown")
        if set(request.query) != {"api-version"}:
            raise InvalidRequest(f"unknown parameters in {sorted(request.query)}")
        if request.headers.get("authorization") != f"Bearer {token_for(VAULT)}":
            return self._challenge()
        name = path[1].lower()
        if name in self._disabled:
            return _error(403, "Forbidden", {"code": "SecretDisabled"})
        if name not in self._secrets:
            return _error(404, "SecretNotFound")
        host = request.headers.get("host", "")
        return Reply(
            json={
                "value": self._secrets[name],
                "id": f"https://{host}/secrets/{name}/{_ID}",
                "attributes": {"enabled": True, "created": 1, "updated": 1},
            }
        )

    def _challenge(self) -> Reply:
        self.challenges += 1
        told = f'Bearer authorization="{_TENANT}", resource="{self._resource}"'
        reply = _error(401, "Unauthorized")
        return Reply(status=401, json=reply.json, headers={"WWW-Authenticate": told})


def _error(status: int, code: str, inner: Mapping[str, str] | None = None) -> Reply:
    error: dict[str, object] = {"code": code, "message": "SERVER WORDS"}
    if inner:
        error["innererror"] = dict(inner)
    return Reply(status=status, json={"error": error})
