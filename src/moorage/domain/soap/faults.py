"""The conversion of SOAP faults to errors of moorage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.domain.http.response import Response
    from moorage.errors import ConnectorError

_LONGEST_MESSAGE: Final = 500
_CODE: Final = late_pattern(r"[A-Za-z0-9_.:/-]{1,64}")
_CREDENTIALS: Final = frozenset({
    "FailedAuthentication", "FailedCheck", "InvalidSecurity", "InvalidSecurityToken",
    "MessageExpired", "SecurityTokenUnavailable", "UnsupportedSecurityToken",
})  # fmt: skip
"""WS-Security fault codes for a token that the service does not accept."""

_PROTOCOL_CODES: Final = frozenset({"DataEncodingUnknown", "MustUnderstand", "VersionMismatch"})
_SENDER: Final = frozenset({"Client", "Sender"})
_NOT_ALLOWED: Final = frozenset({401, 403})
_TOO_MANY: Final = 429


@attrs.frozen(kw_only=True)
class SoapFault:
    """The fault in the response of a SOAP service.

    Attributes:
        code: the code, such as "Client" or "Receiver", without its prefix.
        subcodes: the more exact codes, the outermost first; for "Client.Login" the subcode is
            "Login".
        message: the description, in English if there are several.
        actor: the URI of the node that failed; None if the service states none.
        detail: the detail as plain values; None if there is none.
    """

    code: str | None
    subcodes: tuple[str, ...] = ()
    message: str = ""
    actor: str | None = None
    detail: Any = attrs.field(default=None, repr=False)


def error_of(fault: SoapFault, response: Response) -> ConnectorError:
    """Return the moorage error that a SOAP fault stands for.

    The HTTP status decides if it is more precise than the fault code: for a refused credential or
    too many requests.
    """
    code = ".".join(filter(None, (fault.code, *fault.subcodes)))
    details: dict[str, Any] = {
        "status": response.status,
        "vendor_code": code if _CODE.fullmatch(code) else None,
        "vendor_message": fault.message[:_LONGEST_MESSAGE] or None,
        "response": response,
    }
    kind = _error_class(fault, response.status)
    if kind is RateLimitExceeded:
        details["by_vendor"] = True
    return kind("The SOAP service returned a fault.", **details)


def _error_class(fault: SoapFault, status: int) -> type[ConnectorError]:
    codes = {fault.code, *fault.subcodes}
    if status == _TOO_MANY:
        return RateLimitExceeded
    if status in _NOT_ALLOWED or codes & _CREDENTIALS:
        return AuthenticationFailed
    if codes & _PROTOCOL_CODES:
        return InvalidRequest
    # A fault code that SOAP does not define leaves open whether the operation was performed.
    return VendorRejected if fault.code in _SENDER else VendorFailed
