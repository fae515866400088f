"""Errors of fsspec filesystems are converted to moorage errors."""

from __future__ import annotations

import errno
import ftplib
from socket import gaierror
from types import SimpleNamespace
from typing import Any

import pytest
from paramiko import AuthenticationException, SSHException
from webdav4.client import (
    BadGatewayError,
    ForbiddenOperation,
    HTTPError,
    InsufficientStorage,
    ResourceConflict,
    ResourceLocked,
    ResourceNotFound,
)

from moorage.adapters.files.fsspec_errors import filesystem_error, ignoring_errors, opening_error
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    FileNotFound,
    InvalidData,
    InvalidRequest,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

FTP_REFUSAL, FTP_FAILURE, FTP_NONSENSE = (
    ftplib.error_perm,
    ftplib.error_temp,
    ftplib.error_proto,
)


class HttpRefusal(Exception):
    """A substitute for an HTTP error of aiohttp."""

    status = 429


class SMBException(Exception):
    """A substitute for smbprotocol 1.17's base class of errors."""


class SMBOSError(OSError, SMBException):
    """A substitute for the only class that smbprotocol 1.17 uses for refused calls."""

    def __init__(self, number: int, ntstatus: int = 0) -> None:
        super().__init__(number, "canary")
        self.ntstatus = ntstatus


class LogonFailure(SMBException):
    """The error for a login that an SMB server refused."""

    status = 0xC000006D


def _http_error(status: int) -> HTTPError:
    response: Any = SimpleNamespace(
        status_code=status, reason_phrase="canary", request=SimpleNamespace(method="GET"), url=""
    )
    return HTTPError(response)


@pytest.mark.parametrize(
    "error, kind",
    [
        (InvalidData("as it is"), InvalidData),
        (AuthenticationException("canary"), AuthenticationFailed),
        (SSHException("canary"), ConnectionFailed),
        (ConnectionResetError("canary"), ConnectionFailed),
        (TimeoutError("canary"), ConnectionFailed),
        (EOFError("canary"), ConnectionFailed),
        (FTP_NONSENSE("canary"), ConnectionFailed),
        (FileNotFoundError("canary"), FileNotFound),
        (FileExistsError("canary"), InvalidRequest),
        (IsADirectoryError("canary"), InvalidRequest),
        (PermissionError("canary"), AuthenticationFailed),
        (NotImplementedError("canary"), UnsupportedByVendor),
        (gaierror(-2, "canary"), ConnectionFailed),
        (SMBOSError(errno.ENOENT), FileNotFound),
        (SMBOSError(errno.EEXIST), InvalidRequest),
        (SMBOSError(errno.EACCES), AuthenticationFailed),
        (SMBOSError(0, 0xC0000033), VendorRejected),
        (SMBOSError(errno.EPERM, 0xC0000043), VendorFailed),
        (SMBOSError(errno.EIO), VendorFailed),
        (LogonFailure("canary"), AuthenticationFailed),
        (OSError("canary"), VendorFailed),
        (RuntimeError("canary"), VendorFailed),
        (FTP_REFUSAL("530 canary"), AuthenticationFailed),
        (FTP_REFUSAL("550 canary"), VendorRejected),
        (FTP_REFUSAL("552 canary"), VendorFailed),
        (FTP_REFUSAL("canary"), VendorFailed),
        (FTP_FAILURE("450 canary"), VendorFailed),
        (ForbiddenOperation("canary"), AuthenticationFailed),
        (ResourceNotFound("canary"), FileNotFound),
        (ResourceConflict("canary"), VendorRejected),
        (ResourceLocked("canary"), VendorRejected),
        (BadGatewayError(), VendorFailed),
        (InsufficientStorage("canary"), VendorFailed),
        (_http_error(401), AuthenticationFailed),
        (_http_error(503), VendorFailed),
        (HttpRefusal("canary"), VendorRejected),
    ],
    ids=repr,
)
def test_converted_error_has_the_class_of_its_cause(
    error: Exception, kind: type[ConnectorError]
) -> None:
    """A converted error has the class that fits its cause, and omits the cause's message."""
    failure = filesystem_error(error, changed=True)
    assert kind is type(failure)
    assert "canary" not in repr(failure)


def test_full_disk_is_not_tried_again() -> None:
    """A full disk is not retryable; an input/output error is."""
    assert not filesystem_error(OSError(errno.ENOSPC, ""), changed=False).retryable
    assert not filesystem_error(FTP_REFUSAL("552"), changed=False).retryable
    assert filesystem_error(OSError(errno.EIO, ""), changed=False).retryable


@pytest.mark.parametrize("changed", [True, False])
def test_broken_connection_says_what_may_have_happened(changed: bool) -> None:
    """After a broken connection the outcome is unknown only if something may have changed."""
    failure = filesystem_error(ConnectionResetError(), changed=changed)
    assert isinstance(failure, ConnectionFailed)
    assert changed == failure.may_have_been_processed


@pytest.mark.parametrize(
    "error, kind",
    [
        (ImportError("canary"), ConfigurationError),
        (TypeError("canary"), ConfigurationError),
        (ValueError("canary"), ConfigurationError),
        (ConnectionRefusedError("canary"), ConnectionFailed),
    ],
    ids=repr,
)
def test_error_of_opening_a_filesystem_names_the_setting(
    error: Exception, kind: type[ConnectorError]
) -> None:
    """If a filesystem cannot be opened, the error names the setting to correct."""
    failure = opening_error(error)
    assert kind is type(failure)
    assert "canary" not in repr(failure)


def test_unreachable_server_of_smb_is_no_wrong_option() -> None:
    """A ValueError caused by a refused connection is converted to a failed connection."""
    error = ValueError("canary")
    error.__cause__ = ConnectionRefusedError("canary")
    assert isinstance(opening_error(error), ConnectionFailed)


def test_only_the_expected_error_is_passed_over() -> None:
    """Only the expected error is suppressed, even if SMB reports it; other errors are raised."""
    with ignoring_errors(FileNotFoundError):
        raise SMBOSError(errno.ENOENT)
    with pytest.raises(SMBOSError), ignoring_errors(FileNotFoundError):
        raise SMBOSError(errno.EACCES)
