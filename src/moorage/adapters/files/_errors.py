"""Conversion of the operating system's file errors to errors of a storage vendor."""

from __future__ import annotations

import errno
from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    FileNotFound,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_FULL_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def refusal(code: str, status: int, message: str) -> VendorRejected:
    """Return the error for an operation that the file system has refused."""
    return VendorRejected(message, status=status, vendor_code=code)


def file_type_conflict_error(code: str) -> InvalidRequest:
    """Return the error for a folder where a file should be, or a file where a folder should."""
    return InvalidRequest(
        "There is a folder at the path of the file, or a file at the path of its folder.",
        vendor_code=code,
        remedy="Use another key. A path cannot be both a file and a folder.",
    )


def mapping_errors(verb: Callable[P, R]) -> Callable[P, R]:
    """Wrap an operation so that it raises moorage's errors, whose messages contain no paths."""

    @wraps(verb)
    def run_guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except OSError as error:
            raise _file_error(error) from None

    return run_guarded


def _file_error(error: OSError) -> ConnectorError:
    code = errno.errorcode.get(error.errno or 0, type(error).__name__)
    reason = error.strerror or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return FileNotFound("The file does not exist.", status=404, vendor_code="NoSuchKey")
    if isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError)):
        return file_type_conflict_error(code)
    if isinstance(error, PermissionError):
        return AuthenticationFailed(
            f"The operating system denied access to the file: {reason}.",
            vendor_code=code,
            remedy="Let this process access the folder and its files.",
        )
    is_lasting = error.errno in _FULL_DISK_ERRORS
    return VendorFailed(f"The system failed: {reason}.", vendor_code=code, retryable=not is_lasting)
