"""Converts the errors of fsspec filesystems to errors of moorage.

The text of a foreign error is never kept, because it may contain a URL or a secret.
"""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from socket import gaierror
from typing import TYPE_CHECKING, Final

from moorage.adapters.files._errors import file_type_conflict_error
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    FileNotFound,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_FULL_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_BROKEN_CLASSES: Final = frozenset(
    {"SSHException", "TransportError", "ClientConnectionError", "error_proto", "error_reply"}
)
"""Classes of paramiko, httpx, aiohttp and ftplib for a connection that cannot be used."""
_LOGINS: Final = frozenset({"AuthenticationException", "LogonFailure", "SMBAuthenticationError"})
"""Classes of paramiko and smbprotocol for a wrong user or password."""
_STATUSES: Final = {
    "ForbiddenOperation": 403,
    "ResourceNotFound": 404,
    "ResourceConflict": 409,
    "ResourceLocked": 423,
    "BadGatewayError": 502,
    "InsufficientStorage": 507,
}
"""Classes of webdav4, and the HTTP status that each stands for."""
_FTP_CODE: Final = re.compile(r"[45]\d\d")
_FTP_LOGIN: Final = frozenset({430, 530, 532})
_FTP_FULL_DISK: Final = frozenset({452, 552})


def usual_error(error: OSError) -> OSError:
    """Return an OSError as an instance of Python's built-in class for its error number.

    smbprotocol 1.17 raises one class of its own for every number.
    """
    if error.errno is None or not any(
        kind.__name__ == "SMBException" for kind in type(error).__mro__
    ):
        return error
    return OSError(error.errno, "")


@contextmanager
def ignoring_errors(*kinds: type[OSError]) -> Generator[None]:
    """Suppress errors of the given built-in classes in the block; raise all other errors."""
    try:
        yield
    except OSError as error:
        if not isinstance(usual_error(error), kinds):
            raise


def opening_error(error: Exception) -> ConnectorError:
    """Return the error for a filesystem that could not be opened."""
    if isinstance(error, ImportError):
        return ConfigurationError(
            "The package that implements this filesystem is not installed.",
            path="url",
            remedy="Install fsspec and the package of the protocol, such as paramiko for sftp or"
            " webdav4 for webdav.",
        )
    cause = error.__cause__
    if isinstance(error, ValueError) and isinstance(cause, OSError):
        # smbprotocol raises this error for an unreachable server.
        return filesystem_error(cause, changed=False)
    if isinstance(error, (TypeError, ValueError)):
        return ConfigurationError(
            f"The filesystem does not accept the options ({type(error).__name__}).",
            path="options",
            remedy="Compare `url`, `options` and `secrets` with the arguments of the protocol's"
            " class in fsspec.",
        )
    return filesystem_error(error, changed=False)


def filesystem_error(error: Exception, *, changed: bool) -> ConnectorError:
    """Convert an exception of a filesystem to an error of moorage.

    Args:
        error: error that the filesystem raised.
        changed: True if something visible may have changed before the error.
    """
    if isinstance(error, ConnectorError):
        return error
    names = {kind.__name__ for kind in type(error).__mro__}
    status = _status_of(error, names)
    if status is not None:
        return _refusal(status, names)
    if names & _LOGINS:
        return _no_access("authentication")
    if names & _BROKEN_CLASSES or isinstance(
        error, (ConnectionError, TimeoutError, EOFError, gaierror)
    ):
        return ConnectionFailed(
            f"The connection to the filesystem failed ({type(error).__name__}).",
            may_have_been_processed=changed,
        )
    if isinstance(error, OSError):
        return _failed_call(error)
    if isinstance(error, NotImplementedError):
        return UnsupportedByVendor(
            "This filesystem does not support the operation.",
            remedy="Use a protocol of fsspec that can write files.",
        )
    code = type(error).__name__
    return VendorFailed(f"The filesystem failed ({code}).", vendor_code=code)


def _failed_call(error: OSError) -> ConnectorError:
    """Return the error for a filesystem call that failed with a system error number."""
    refusal = _REFUSALS.get(getattr(error, "ntstatus", None))
    if refusal is not None:
        return refusal()
    usual_class_error = usual_error(error)
    if isinstance(usual_class_error, FileNotFoundError):
        return FileNotFound("The file does not exist.", status=404, vendor_code="NoSuchKey")
    if isinstance(usual_class_error, (FileExistsError, IsADirectoryError, NotADirectoryError)):
        return file_type_conflict_error(type(usual_class_error).__name__)
    if isinstance(usual_class_error, PermissionError):
        return _no_access("permission")
    code = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return VendorFailed(
        f"The filesystem failed ({code}).",
        vendor_code=code,
        retryable=error.errno not in _FULL_DISK_ERRORS,
    )


def _status_of(error: Exception, names: set[str]) -> int | None:
    """Return the status code in a server's error reply; None if there is none."""
    if names & {"error_perm", "error_temp"}:
        match = _FTP_CODE.match(str(error))
        return int(match[0]) if match else None
    if "SMBException" in names:
        return None  # its `status` is an SMB status code
    for attribute in ("status_code", "status"):
        value = getattr(error, attribute, None)
        if isinstance(value, int):
            return value
    return next((_STATUSES[name] for name in names if name in _STATUSES), None)


def _refusal(status: int, names: set[str]) -> ConnectorError:
    """Return the moorage error for a server's error response, by its FTP code or HTTP status."""
    if names & {"error_perm", "error_temp"}:
        is_login, is_full = status in _FTP_LOGIN, status in _FTP_FULL_DISK
        is_failure = status < 500
    else:
        is_login, is_full = status in {401, 403, 407}, status == 507
        is_failure = status >= 500
    code = str(status)
    if is_login:
        return _no_access(code)
    if is_full or is_failure:
        message = f"The file server failed with {code}."
        return VendorFailed(message, vendor_code=code, retryable=not is_full)
    if status == 404:
        return FileNotFound("The file does not exist.", status=404, vendor_code="NoSuchKey")
    return VendorRejected(
        f"The file server refused the operation with {code}.",
        vendor_code=code,
        remedy="Check that the account has permission for the operation, and that the name of"
        " the file is allowed.",
    )


def _no_access(code: str) -> AuthenticationFailed:
    return AuthenticationFailed("The filesystem denied access.", vendor_code=code)


def _in_use() -> ConnectorError:
    return VendorFailed(
        "Another program has the file open.",
        vendor_code="STATUS_SHARING_VIOLATION",
        remedy="Close the file in the other program, or try again later.",
    )


def _wrong_name() -> ConnectorError:
    return VendorRejected(
        "The server does not allow the name of the file.",
        vendor_code="STATUS_OBJECT_NAME_INVALID",
        remedy="Use a key without the characters that SMB reserves, such as '?', '*' and ':'.",
    )


_REFUSALS: Final[dict[object, Callable[[], ConnectorError]]] = {
    0xC0000033: _wrong_name,
    0xC0000043: _in_use,
}
"""Errors for statuses of SMB ([MS-ERREF] 2.3.1), which smbprotocol 1.17 keeps as `ntstatus`."""
