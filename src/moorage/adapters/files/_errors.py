"""What the system says of files, in the words of a vendor."""

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

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def refused(code: str, status: int, message: str) -> VendorRejected:
    """The error of what must not be done."""
    return VendorRejected(message, status=status, vendor_code=code)


def mapped(verb: Callable[P, R]) -> Callable[P, R]:
    """A verb that raises errors of ours only; what they say names no path."""

    @wraps(verb)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except OSError as error:
            raise _ours(error) from None

    return guarded


def _ours(error: OSError) -> ConnectorError:
    code = errno.errorcode.get(error.errno or 0, type(error).__name__)
    said = error.strerror or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return FileNotFound("There is no such file.", status=404, vendor_code="NoSuchKey")
    if isinstance(error, (FileExistsError, IsADirectoryError, NotADirectoryError)):
        return InvalidRequest(
            "A folder stands where the file should be, or a file where its folder should be.",
            vendor_code=code,
            remedy="Give it another key: a file has no files below it here.",
        )
    if isinstance(error, PermissionError):
        return AuthenticationFailed(
            f"The system does not allow this: {said}.",
            vendor_code=code,
            remedy="Give this process the right to the folder.",
        )
    lasting = error.errno in _FULL
    return VendorFailed(f"The system failed: {said}.", vendor_code=code, retryable=not lasting)
