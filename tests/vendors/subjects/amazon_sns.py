"""Amazon SNS as the conformance kit takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.sms_conformance import SmsSubject
from moorage.testing.sandboxes.sms.amazon_sns import AmazonSnsSandbox
from moorage.vendors.sms.amazon_sns import AmazonSns

if TYPE_CHECKING:
    from moorage.errors import ConnectorError


def sns_says(status: int, code: str, words: str = "+447700900000 is refused") -> Response:
    """A refusal by SNS, which quotes a number."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
    space = "http://sns.amazonaws.com/doc/2010-03-31/"
    document = f'<ErrorResponse xmlns="{space}">{error}<RequestId>r</RequestId></ErrorResponse>'
    return Response(status, {"Content-Type": "text/xml"}, document.encode())


def amazon_sns() -> SmsSubject:
    """Amazon SNS with a new sandbox."""
    sandbox = AmazonSnsSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError]], ...] = (
        (sns_says(400, "Throttling"), RateLimitExceeded),
        (sns_says(403, "AuthorizationError"), AuthenticationFailed),
        (sns_says(400, "InvalidParameter"), InvalidRequest),
        (sns_says(400, "OptedOut"), VendorRejected),
    )
    return SmsSubject(
        vendor=AmazonSns(
            region=sandbox.region,
            access_key_id=sandbox.access_key_id,
            credentials=sandbox.secret_access_key,
        ),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=refusals,
        option=("AWS.SNS.SMS.SMSType", "Transactional"),
        arrives=("MessageAttributes.entry.1.Value.StringValue", "Transactional"),
        secret=sandbox.secret_access_key,
        wordless=True,
    )
