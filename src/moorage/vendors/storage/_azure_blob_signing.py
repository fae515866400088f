"""Signing of URLs with an account key, or with a delegation key from Azure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage import vendor_sdk as sdk
from moorage.vendors.storage._azure_blob_answers import delegation_key
from moorage.vendors.storage._azure_blob_requests import delegation

if TYPE_CHECKING:
    from moorage.vendors.storage._azure_blob_sas import Grant


async def signed(wire: sdk.Wire, account: str, grant: Grant) -> str:
    """Return the signed URL for a permission.

    Raises:
        ConfigurationError: the credentials are neither a key of an account nor a token.
    """
    match await wire.credentials():
        case sdk.Credentials(
            signing=sdk.AzureSharedKey() as signing, secret=sdk.Secret() as secret
        ):
            return grant.signed(("",), partial(signing.signature, secret))
        case sdk.OAuthCredentials():
            return await _delegated_url(wire, account, grant)
        case _:
            pass
    raise sdk.ConfigurationError(
        "The credentials cannot sign requests to Azure Storage.",
        path=f"vendors.{wire.account}.credentials",
        remedy="Provide Credentials.signed(AzureSharedKey(account=...), key), or a token.",
    )


async def _delegated_url(wire: sdk.Wire, account: str, grant: Grant) -> str:
    """Return a URL that is signed with a delegation key from Azure."""
    key = delegation_key(await wire.send(delegation(wire.now(), grant.until)))
    signing = sdk.AzureSharedKey(account=account)
    return grant.signed(
        (*key.named.values(), "", "", ""), partial(signing.signature, key.key), **key.named
    )
