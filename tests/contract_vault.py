"""Key Vault under a name of the tests' own, as a third party's entry point.

The vendor's client sends no token to a vault whose challenge names another domain than the vault
has; the contract server is at localhost, and no configuration of the product switches that off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.adapters.azure import KeyVault
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.config import Authentication

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.providers import AdapterContext

NAME = "contract_vault"


def make_secrets(context: AdapterContext[None]) -> KeyVaultSecrets:
    """The entry point."""
    options = context.settings.services.options("key_vault")
    assert isinstance(options, KeyVault)
    return KeyVaultSecrets(
        options,
        credential_for(Authentication(method="managed_identity")),
        context.variables,
        verify_challenge_resource=False,
    )


def register(folder: Path) -> Path:
    """Lay down what an installed package would: its entry point; gives the folder for the path."""
    package = folder / "liftwright_contract_vault-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: liftwright-contract-vault\n")
    (package / "entry_points.txt").write_text(
        f"[liftwright.secrets]\n{NAME} = contract_vault:make_secrets\n"
    )
    return folder
