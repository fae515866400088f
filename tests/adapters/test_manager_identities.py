"""Who we say we are to a secret manager is refused without being shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.secret_managers.aws_identity import AwsKeys
from moorage.adapters.secret_managers.azure_key_vault import AzureClient
from moorage.adapters.secret_managers.gcp_secret_manager import GcpServiceAccount
from moorage.adapters.secret_managers.hashicorp_vault import VaultAppRole, VaultToken
from moorage.errors import InvalidData
from tests.security.canaries import shown

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "s3cr3t-of-ours"
UNENCODABLE = f"{SECRET}\udc80"


@pytest.mark.parametrize(
    "make",
    [
        partial(VaultToken, UNENCODABLE),
        partial(VaultAppRole, "our-role", UNENCODABLE),
        partial(AwsKeys, "AKID", UNENCODABLE),
        partial(AwsKeys, "AKID", SECRET, UNENCODABLE),
        partial(AzureClient, "our-app", SECRET, authority="nowhere"),
        partial(GcpServiceAccount, "us@x", SECRET),
        partial(GcpServiceAccount, "us@x", SECRET, token_uri="nowhere"),
    ],
)
def test_what_is_refused_is_not_shown(make: Callable[[], Any]) -> None:
    """Neither the error, nor what it came from, nor a frame of either holds a secret."""
    with pytest.raises(InvalidData) as caught:
        make()
    assert [] == [path for path, text in shown(caught.value, "error") if SECRET in text]
