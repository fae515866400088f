"""Signing of URLs with an account key, or with a delegation key from Azure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.vendor_sdk import (
    AzureSharedKey,
    ConfigurationError,
    Credentials,
    OAuthCredentials,
    Secret,
)
from moorage.vendors.storage._azure_blob_answers import delegation_key
from moorage.vendors.storage._azure_blob_requests import delegation

if TYPE_CHECKING:
    from moorage.vendor_sdk import Wire
    from moorage.vendors.storage._azure_blob_sas import Grant


async def signed(wire: Wire, account: str, grant: Grant) -> str:
    """The signed URL.

    Raises:
        ConfigurationError: the credentials are neither a key of an account nor a token.
    """
    match await wire.credentials():
        case Credentials(signing=AzureSharedKey() as signing, secret=Secret() as secret):
            return grant.signed(("",), partial(signing.signature, secret))
        case OAuthCredentials():
            return await _delegated(wire, account, grant)
        case _:
            pass
    raise ConfigurationError(
        "The credentials cannot sign for Azure Storage.",
        path=f"vendors.{wire.account}.credentials",
        remedy="Provide Credentials.signed(AzureSharedKey(account=...), key), or a token.",
    )


async def _delegated(wire: Wire, account: str, grant: Grant) -> str:
    """The URL signed with a delegation key from Azure."""
    key = delegation_key(await wire.send(delegation(wire.now(), grant.until)))
    signing = AzureSharedKey(account=account)
    return grant.signed(
        (*key.named.values(), "", "", ""), partial(signing.signature, key.key), **key.named
    )
