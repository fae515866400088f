"""The error that each listed code of a vendor becomes, whatever the status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import pytest

from moorage import (
    AuthenticationFailed,
    ConsentRequired,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import reply
from moorage.wiring.installed_vendors import vendor_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import ConnectorError

BODIES: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "berlin_group": lambda code: {"tppMessages": [{"category": "ERROR", "code": code}]},
    "plaid": lambda code: {"error_code": code, "error_message": "No."},
    "twilio": lambda code: {"code": int(code), "message": "No."},
}
"""A vendor's error response with a code."""
CODES: Final[list[tuple[str, type[ConnectorError], str]]] = [
    ("berlin_group", ConsentRequired, "CONSENT_INVALID CONSENT_EXPIRED CONSENT_UNKNOWN"),
    (
        "berlin_group",
        AuthenticationFailed,
        """
        CERTIFICATE_INVALID CERTIFICATE_EXPIRED CERTIFICATE_BLOCKED CERTIFICATE_REVOKE
        CERTIFICATE_REVOKED CERTIFICATE_MISSING SIGNATURE_INVALID SIGNATURE_MISSING ROLE_INVALID
        CORPORATE_ID_INVALID PSU_CREDENTIALS_INVALID TOKEN_UNKNOWN TOKEN_INVALID TOKEN_EXPIRED
        """,
    ),
    (
        "berlin_group",
        InvalidRequest,
        """
        FORMAT_ERROR PARAMETER_NOT_CONSISTENT PARAMETER_NOT_SUPPORTED SERVICE_INVALID
        PERIOD_INVALID TIMESTAMP_INVALID SESSIONS_NOT_SUPPORTED
        """,
    ),
    ("berlin_group", RateLimitExceeded, "ACCESS_EXCEEDED"),
    ("berlin_group", VendorRejected, "SERVICE_BLOCKED RESOURCE_BLOCKED"),
    (
        "plaid",
        ConsentRequired,
        """
        ACCESS_NOT_GRANTED ADDITIONAL_CONSENT_REQUIRED INVALID_ACCESS_TOKEN INVALID_CREDENTIALS
        INVALID_LINK_TOKEN INVALID_PUBLIC_TOKEN ITEM_LOCKED ITEM_LOGIN_REQUIRED ITEM_NOT_FOUND
        USER_ACCOUNT_REVOKED USER_PERMISSION_REVOKED
        """,
    ),
    ("plaid", AuthenticationFailed, "INVALID_API_KEYS UNAUTHORIZED_ENVIRONMENT"),
    (
        "plaid",
        VendorFailed,
        "INSTITUTION_DOWN INSTITUTION_NOT_AVAILABLE INSTITUTION_NOT_RESPONDING PRODUCT_NOT_READY",
    ),
    ("plaid", VendorRejected, "INVALID_ACCOUNT_ID"),
    ("plaid", InvalidRequest, "INVALID_FIELD MISSING_FIELDS"),
    ("twilio", RateLimitExceeded, "14107 20429 21611 60728 63017 63038"),
    ("twilio", AuthenticationFailed, "20003 20005 20006 20008"),
]


@pytest.mark.parametrize(
    "vendor, kind, codes",
    [pytest.param(*entry, id=f"{entry[0]}-{entry[1].__name__}") for entry in CODES],
)
def test_code_of_a_refusal_decides_the_error(
    vendor: str, kind: type[ConnectorError], codes: str
) -> None:
    """Each listed code of a vendor becomes an error of its class."""
    classify = cast("Any", vendor_class(vendor)).refusals
    status = 409 if kind is VendorRejected and vendor == "berlin_group" else 400
    errors = {
        code: classify(Request.get("/"), reply(BODIES[vendor](code), status))
        for code in codes.split()
    }

    assert dict.fromkeys(codes.split(), kind) == {
        code: type(error) for code, error in errors.items()
    }
