"""Exceptions of other libraries become errors of moorage."""

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
    cache_failure,
    credential_read_failure,
    credential_store_failure,
    http_failure,
    refresh_failure,
    store_failure,
    tenants_failure,
)

KINDS: list[tuple[Any, type[ConnectorError], str]] = [
    (http_failure, ConnectionFailed, "HTTP client"),
    (store_failure, StorageUnavailable, "store"),
    (tenants_failure, StorageUnavailable, "tenant provider"),
    (cache_failure, StorageUnavailable, "cache"),
    (credential_read_failure, CredentialNotFound, "credential provider"),
    (refresh_failure, CredentialRefreshFailed, "credential provider"),
    (credential_store_failure, StorageUnavailable, "credential provider"),
]


def raise_error() -> None:
    """Raise an exception whose text contains a secret."""
    raise ValueError("hunter2")


@pytest.mark.parametrize("make, kind, who", KINDS)
def test_error_names_class_and_location(make: Any, kind: type[ConnectorError], who: str) -> None:
    """The error for another library's exception has its class and location, but not its text."""
    with pytest.raises(ValueError, match="hunter2") as excinfo:
        raise_error()

    own_error: ConnectorError = make(excinfo.value)

    assert kind is type(own_error)
    assert who in own_error.message
    assert "ValueError in raise_error, line" in own_error.message
    assert own_error.remedy.startswith("Check that ")
    assert "may raise only" in own_error.remedy
    assert "hunter2" not in repr(own_error)


def test_exception_without_a_traceback_is_named_by_its_class() -> None:
    """For an exception without a traceback, the error names only its class."""
    assert "raised KeyError." in http_failure(KeyError()).message
