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
    answer="response of LDAP",
    slow="Check the load of the server and its indexes, or allow the call more time.",
)
"""The errors for interrupted requests."""

SUCCESS: Final = 0
IS_FALSE: Final = 5
IS_TRUE: Final = 6
WRONG_PASSWORD: Final = 49

_SUBCODE: Final = late_pattern(r"\bdata ([0-9a-f]{1,8})\b", re.IGNORECASE)
"""The number in which Active Directory says why it refused a password."""

_IDENTITY: Final[dict[int, tuple[str, str]]] = {
    WRONG_PASSWORD: (
        "The server refused the name or the password.",
        "Correct user and password of the connector; the vendor code may say more.",
    ),
    48: (
        "The server does not let this name authenticate in this way.",
        "Give a user with a password, or a client certificate.",
    ),
    7: (
        "The server does not offer this way to authenticate.",
        "Authenticate in another way, or enable this one at the server.",
    ),
    8: (
        "The server demands a stronger authentication or an encrypted connection.",
        "Leave start_tls on, or give a URL that begins with ldaps://.",
    ),
    13: (
        "The server demands an encrypted connection.",
        "Leave start_tls on, or give a URL that begins with ldaps://.",
    ),
    50: (
        "The user of the connector may not perform this operation.",
        "Grant the right to the user of the connector.",
    ),
}

_REJECTED: Final[dict[int, tuple[type[VendorRejected], str, str]]] = {
    4: (
        VendorRejected,
        "More entries were found than the server or the search allows.",
        "Narrow the search, or read it in pages with stream().",
    ),
    10: (
        VendorRejected,
        "The entry is at another server, and referrals are not followed.",
        "Connect to the server that holds the entry.",
    ),
    16: (VendorRejected, "The entry does not have the attribute.", "Read the entry anew."),
    17: (InvalidRequest, "The server does not know an attribute.", "Correct its name."),
    18: (
        InvalidRequest,
        "An attribute cannot be searched in this way.",
        "Use another kind of condition for this attribute.",
    ),
    19: (VendorRejected, "A value breaks a rule of the server.", "Correct the value."),
    20: (
        VendorRejected,
        "The attribute or the value exists already.",
        "Read the entry, and add only what is missing.",
    ),
    21: (InvalidRequest, "A value has the wrong syntax.", "Correct the value."),
    32: (
        VendorRejected,
        "There is no such entry, or the user may not see it.",
        "Correct the name of the entry, or grant the right to see it.",
    ),
    34: (
        InvalidRequest,
        "The name of an entry is malformed.",
        "Make names with entry_name(), which escapes values.",
    ),
    64: (
        InvalidRequest,
        "The name of the entry breaks a rule of the server.",
        "Name the entry by an attribute that its class has.",
    ),
    65: (
        VendorRejected,
        "The entry would not fit its object classes.",
        "Give the attributes that they require, and no others.",
    ),
    66: (VendorRejected, "The entry has others below it.", "Delete those first."),
    67: (
        VendorRejected,
        "The attribute is part of the name of the entry.",
        "Rename the entry instead.",
    ),
    68: (AlreadyExists, "An entry of this name exists.", "Change the entry that exists."),
    69: (
        VendorRejected,
        "The object classes of an entry cannot be changed like this.",
        "Delete the entry, and add it with the other classes.",
    ),
    71: (
        VendorRejected,
        "The change concerns several servers.",
        "Keep the entry below a parent at the same server.",
    ),
    53: (
        VendorRejected,
        "The server is unwilling to do this.",
        "Look at the log of the server, and whether it takes changes or needs encryption.",
    ),
}
_OTHER: Final = (
    VendorRejected,
    "The server refused the operation.",
    "Look the vendor code up among the result codes of LDAP.",
)
_NO_PAGES: Final = 12
_TIME: Final = 3
_ADMIN: Final = 11
_BUSY: Final = {51, 52}
_BROKEN: Final = {1, 2, 54, 80}
_UNSURE: Final = 80


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
            "The server gave the search up, because it took too long.",
            may_have_been_processed=False,
            remedy="Narrow the search, or let the server index what it asks for.",
        )
    if code in _BUSY:
        return ConnectionFailed(
            "The server is busy or shutting down.",
            may_have_been_processed=False,
            remedy="Try again, and look at the load of the server.",
        )
    if code == _ADMIN:
        return VendorRejected(
            "The operation exceeds a limit of the server.",
            remedy="Narrow the search, or raise the limit of the connector's user.",
            vendor_code=str(code),
        )
    if code == _UNSURE and has_effect:
        return ConnectionFailed(
            "The server failed while it made the change.",
            may_have_been_processed=True,
            remedy="Look at the log of the server, and whether the change was made.",
        )
    if code in _BROKEN:
        return VendorFailed(
            "The server reports an internal failure, or does not understand the request.",
            may_have_been_processed=False,
            remedy="Look at the log of the server.",
            vendor_code=str(code),
        )
    kind, text, remedy = _REJECTED.get(code, _OTHER)
    return kind(text, remedy=remedy, vendor_code=str(code))


def closed_stream_error() -> LocalFailure:
    """Return the error for reading an LDAP stream after the end of its block."""
    return LocalFailure("The stream is closed.", remedy="Read it inside its block.")
