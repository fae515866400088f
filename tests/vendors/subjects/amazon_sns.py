"""Prepares Amazon SNS and its sandbox for the conformance kit of SMS vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.contracts.ref import Ref
from moorage.contracts.sms import SmsStatus
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


def sns_error(status: int, code: str, words: str = "+447700900000 is refused") -> Response:
    """Return an error response of Amazon SNS that contains a phone number."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{words}</Message></Error>"
    space = "http://sns.amazonaws.com/doc/2010-03-31/"
    document = f'<ErrorResponse xmlns="{space}">{error}<RequestId>r</RequestId></ErrorResponse>'
    return Response(status, {"Content-Type": "text/xml"}, document.encode())


def amazon_sns() -> SmsSubject:
    """Return an Amazon SNS test subject with a new sandbox."""
    sandbox = AmazonSnsSandbox()
    refusals: tuple[tuple[Response, type[ConnectorError], str], ...] = (
        (sns_error(400, "Throttling"), RateLimitExceeded, "Throttling"),
        (sns_error(403, "AuthorizationError"), AuthenticationFailed, "AuthorizationError"),
        (sns_error(400, "InvalidParameter"), InvalidRequest, "InvalidParameter"),
        (sns_error(400, "OptedOut"), VendorRejected, "OptedOut"),
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
        requests=(
            (
                {"sender": "+15005550009"},
                {
                    "Action": "Publish",
                    "PhoneNumber": "+447700900000",
                    "Message": "Your code is 1234.",
                    "MessageAttributes.entry.1.Name": "AWS.MM.SMS.OriginationNumber",
                    "MessageAttributes.entry.1.Value.DataType": "String",
                    "MessageAttributes.entry.1.Value.StringValue": "+15005550009",
                },
            ),
            (
                {"sender": "Acme"},
                {
                    "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SenderID",
                    "MessageAttributes.entry.1.Value.StringValue": "Acme",
                },
            ),
            ({}, {"MessageAttributes.entry.1.Name": None}),
        ),
        answers=(
            (
                "send",
                Response(
                    200,
                    {"Content-Type": "text/xml"},
                    b"<PublishResponse><PublishResult><MessageId>m-7</MessageId></PublishResult>"
                    b"<ResponseMetadata><RequestId>r-7</RequestId></ResponseMetadata>"
                    b"</PublishResponse>",
                ),
                {
                    "ref": Ref("amazon_sns", "texts", "m-7"),
                    "status": SmsStatus.QUEUED,
                    "vendor_status": None,
                },
            ),
        ),
    )
