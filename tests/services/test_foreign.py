"""Errors that are not ours, made ours."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import (
    ConnectionFailed,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
    StorageUnavailable,
)
from moorage.services.core.foreign_errors import (
    cache_broke,
    http_broke,
    no_credentials,
    not_refreshed,
    store_broke,
    tenants_broke,
)

KINDS: list[tuple[Any, type[ConnectorError], str]] = [
    (http_broke, ConnectionFailed, "HTTP client"),
    (store_broke, StorageUnavailable, "store"),
    (tenants_broke, StorageUnavailable, "provider of tenants"),
    (cache_broke, StorageUnavailable, "cache"),
    (no_credentials, CredentialNotFound, "credential provider"),
    (not_refreshed, CredentialRefreshFailed, "credential provider"),
]


def fail() -> None:
    """Raise what may hold a secret."""
    raise ValueError("hunter2")


@pytest.mark.parametrize("make, kind, who", KINDS)
def test_names_where_it_was_raised(make: Any, kind: type[ConnectorError], who: str) -> None:
    """The error names who raised what and where, and quotes nothing."""
    with pytest.raises(ValueError, match="hunter2") as caught:
        fail()

    ours: ConnectorError = make(caught.value)

    assert kind is type(ours)
    assert who in ours.message
    assert "ValueError in fail, line" in ours.message
    assert ours.remedy.startswith("Check that ")
    assert "must raise" in ours.remedy
    assert "hunter2" not in repr(ours)


def test_an_error_that_was_never_raised_has_no_place() -> None:
    """Without a traceback there is only the class to name."""
    assert "raised KeyError." in http_broke(KeyError()).message
