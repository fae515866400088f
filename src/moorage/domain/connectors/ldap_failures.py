"""The meaning of LDAP's failures: the moorage error, and whether the work may have been done.

Laws:

1. An entry is changed as a whole or not at all, and a result with a failure code says that it was
   not changed. Only if the server reports an unspecified internal failure, the effect is unknown.
2. If a change was sent and no result came, it may have happened.
3. No error quotes the server, because its words may hold a value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from moorage.domain.connectors.interruptions import Interruptions
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AlreadyExists,
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    InvalidRequest,
    LocalFailure,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from moorage.domain.connectors.ldap_wire import LdapResult
    from moorage.errors import ConnectorError

INTERRUPTIONS: Final = Interruptions(
    answer="LDAP response",
    slow="Check the load of the server and its indexes, or raise the timeout of the call.",
)
"""The errors for interrupted requests."""

SUCCESS: Final = 0
IS_FALSE: Final = 5
IS_TRUE: Final = 6
WRONG_PASSWORD: Final = 49

_SUBCODE: Final = late_pattern(r"\bdata ([0-9a-f]{1,8})\b", re.IGNORECASE)
"""The code by which Active Directory explains the refusal of a password."""

_IDENTITY: Final[dict[int, tuple[str, str]]] = {
    WRONG_PASSWORD: (
        "The server rejected the user name or the password.",
        (
            "Correct the user and the password of the connector. The vendor code may give more"
            " details."
        ),
    ),
    48: (
        "The server does not allow this user to authenticate with this method.",
        "Set a user with a password, or a client certificate.",
    ),
    7: (
        "The server does not support this authentication method.",
        "Use another authentication method, or enable this one on the server.",
    ),
    8: (
        "The server requires stronger authentication or an encrypted connection.",
        "Leave start_tls on, or use a URL that begins with ldaps://.",
    ),
    13: (
        "The server requires an encrypted connection.",
        "Leave start_tls on, or use a URL that begins with ldaps://.",
    ),
    50: (
        "The connector's user does not have permission to perform this operation.",
        "Grant the permission to the connector's user.",
    ),
}

_REJECTION_CODES: Final[dict[int, tuple[type[VendorRejected], str, str]]] = {
    4: (
        VendorRejected,
        "The search found more entries than the server or the search allows.",
        "Narrow the search, or read the entries in pages with stream().",
    ),
    10: (
        VendorRejected,
        "The entry is on another server, and the connector does not follow referrals.",
        "Connect to the server that holds the entry.",
    ),
    16: (VendorRejected, "The entry does not have the attribute.", "Read the entry again."),
    17: (InvalidRequest, "The server does not know an attribute.", "Correct its name."),
    18: (
        InvalidRequest,
        "The server cannot search an attribute with this kind of condition.",
        "Use another kind of condition for this attribute.",
    ),
    19: (VendorRejected, "A value violates a rule of the server.", "Correct the value."),
    20: (
        VendorRejected,
        "The attribute or the value already exists.",
        "Read the entry, and add only what is missing.",
    ),
    21: (InvalidRequest, "A value has the wrong syntax for its attribute.", "Correct the value."),
    32: (
        VendorRejected,
        "The entry does not exist, or the user does not have permission to see it.",
        "Correct the name of the entry, or grant the user permission to see it.",
    ),
    34: (
        InvalidRequest,
        "The name of an entry is malformed.",
        "Create names with entry_name(), which escapes values.",
    ),
    64: (
        InvalidRequest,
        "The name of the entry violates a rule of the server.",
        "Use an attribute that the entry's class has in the name.",
    ),
    65: (
        VendorRejected,
        "The attributes of the entry do not match its object classes.",
        "Pass all attributes that the object classes require, and only attributes that they allow.",
    ),
    66: (
        VendorRejected,
        "The entry cannot be deleted or renamed, because it has entries below it.",
        "Delete those first.",
    ),
    67: (
        VendorRejected,
        "The attribute is part of the name of the entry.",
        "Rename the entry instead.",
    ),
    68: (AlreadyExists, "An entry with this name already exists.", "Change the existing entry."),
    69: (
        VendorRejected,
        "The server does not allow this change of the entry's object classes.",
        "Delete the entry, and add it again with the other classes.",
    ),
    71: (
        VendorRejected,
        "The change affects several servers.",
        "Keep the entry below a parent on the same server.",
    ),
    53: (
        VendorRejected,
        "The server is unwilling to perform the operation.",
        "Check the server's log, and check if the server accepts changes or requires encryption.",
    ),
}
_OTHER_REJECTION: Final = (
    VendorRejected,
    "The server refused the operation.",
    "Look up the vendor code in the list of LDAP result codes.",
)
_NO_PAGES: Final = 12
_TIME: Final = 3
_ADMIN: Final = 11
_BUSY_CODES: Final = {51, 52}
_BROKEN_CODES: Final = {1, 2, 54, 80}
_UNCERTAIN_CODE: Final = 80


def ldap_error(result: LdapResult, *, has_effect: bool) -> ConnectorError:
    """Return the error for an operation that the server did not perform.

    Args:
        result: the result of the server.
        has_effect: whether the operation changes something.
    """
    code = result.code
    if code in _IDENTITY:
        text, remedy = _IDENTITY[code]
        subcode = _SUBCODE.search(result.diagnosis) if code == WRONG_PASSWORD else None
        vendor_code = f"{code}:{subcode[1].lower()}" if subcode else str(code)
        return AuthenticationFailed(text, remedy=remedy, vendor_code=vendor_code)
    if code == _NO_PAGES:
        return UnsupportedByVendor(
            "The server does not offer an extension that the operation needs, such as pages.",
            remedy="Search with pages=False, and narrow the search.",
        )
    if code == _TIME:
        return AttemptTimeout(
            "The server ended the search because it took too long.",
            may_have_been_processed=False,
            remedy="Narrow the search, or create an index on the server for the attributes of"
            " the search.",
        )
    if code in _BUSY_CODES:
        return ConnectionFailed(
            "The server is busy or shutting down.",
            may_have_been_processed=False,
            remedy="Try again, and check the load of the server.",
        )
    if code == _ADMIN:
        return VendorRejected(
            "The operation exceeds a limit of the server.",
            remedy="Narrow the search, or raise the limit of the connector's user.",
            vendor_code=str(code),
        )
    if code == _UNCERTAIN_CODE and has_effect:
        return ConnectionFailed(
            "The server failed during the change.",
            may_have_been_processed=True,
            remedy="Check the server's log, and check if the change was made.",
        )
    if code in _BROKEN_CODES:
        return VendorFailed(
            "The server reported an internal error, or did not understand the request.",
            may_have_been_processed=False,
            remedy="Check the server's log.",
            vendor_code=str(code),
        )
    kind, text, remedy = _REJECTION_CODES.get(code, _OTHER_REJECTION)
    return kind(text, remedy=remedy, vendor_code=str(code))


def closed_stream_error() -> LocalFailure:
    """Return the error for reading an LDAP stream after the end of its block."""
    return LocalFailure("The stream is closed.", remedy="Read the stream inside its `with` block.")
