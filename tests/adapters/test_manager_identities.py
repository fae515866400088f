"""Invalid identities for secret managers are refused without showing their secrets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.secret_managers.aws_identity import AwsKeys
from moorage.adapters.secret_managers.azure_key_vault import AzureClient
from moorage.adapters.secret_managers.gcp_secret_manager import GcpServiceAccount
from moorage.adapters.secret_managers.hashicorp_vault import VaultAppRole, VaultToken
from moorage.errors import InvalidData
from tests.security.canaries import revealed_texts

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
def test_errors_do_not_show_the_identity(make: Callable[[], Any]) -> None:
    """The error for an identity that cannot be encoded, and its traceback, show no secret."""
    with pytest.raises(InvalidData) as excinfo:
        make()
    assert [] == [path for path, text in revealed_texts(excinfo.value, "error") if SECRET in text]
