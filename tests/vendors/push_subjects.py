"""Test subjects of all push vendors for the conformance kit."""

from __future__ import annotations

import json

from moorage.domain.http.requests import Response
from moorage.errors import (
    AuthenticationFailed,
    DeviceGone,
    InvalidRequest,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._contract_harness import with_values
from moorage.testing.kits.push_conformance import PushSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.push.apns import ApnsSandbox
from moorage.testing.sandboxes.push.firebase import FirebaseSandbox
from moorage.testing.sandboxes.push.web_push import WebPushSandbox
from moorage.vendors.push.apns import Apns
from moorage.vendors.push.firebase import Firebase
from moorage.vendors.push.web_push import WebPush

DETAIL = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


def firebase_error(status: int, word: str, code: str | None = None, **headers: str) -> Response:
    """Return an error response of Firebase."""
    details = [] if code is None else [{"@type": DETAIL, "errorCode": code}]
    error = {"code": status, "message": "It failed.", "status": word, "details": details}
    return reply({"error": error}, status, **headers)


def with_other_detail(answer: Response) -> Response:
    """Return an error response of Firebase with an error code of another Google product."""
    return with_values({DETAIL: "type.googleapis.com/google.rpc.ErrorInfo"}, answer)


def firebase() -> PushSubject:
    """Return a Firebase test subject with a new sandbox."""
    sandbox = FirebaseSandbox()
    key_file = sandbox.key_file()
    return PushSubject(
        vendor=Firebase(credentials=key_file),
        sandbox=sandbox,
        refusals=(
            (firebase_error(404, "NOT_FOUND", "UNREGISTERED"), DeviceGone),
            (firebase_error(404, "NOT_FOUND"), InvalidRequest),
            (with_other_detail(firebase_error(404, "NOT_FOUND", "UNREGISTERED")), InvalidRequest),
            (firebase_error(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), InvalidRequest),
            (firebase_error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"), VendorRejected),
            (firebase_error(403, "PERMISSION_DENIED"), AuthenticationFailed),
            (firebase_error(400, "FAILED_PRECONDITION", "A_NEW_WORD"), VendorRejected),
            (firebase_error(500, "INTERNAL", "INTERNAL"), VendorFailed),
            (firebase_error(503, "UNAVAILABLE", "UNAVAILABLE"), VendorFailed),
            (firebase_error(500, "A_NEW_WORD"), VendorFailed),
        ),
        pause=(
            firebase_error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", Retry_After="60"),
            60.0,
        ),
        unreadable=reply({}),
        secrets=(json.loads(key_file)["private_key"],),
    )


def web_push() -> PushSubject:
    """Return a Web Push test subject with a new sandbox."""
    sandbox = WebPushSandbox()
    return PushSubject(
        vendor=WebPush(private_key=sandbox.private_key, contact="mailto:push@erp.example"),
        sandbox=sandbox,
        refusals=(
            (Response(410), DeviceGone),
            (Response(404, body=b"<html></html>"), DeviceGone),
            (reply({"reason": "BadJwtToken"}, 403), AuthenticationFailed),
            (Response(401), AuthenticationFailed),
            (Response(400, body=b"no"), InvalidRequest),
            (Response(413), InvalidRequest),
            (Response(405), VendorRejected),
            (Response(500), VendorFailed),
        ),
        pause=(Response(429, {"Retry-After": "60"}), 60.0),
        unreadable=Response(204),
        secrets=(sandbox.private_key, sandbox.recipient().auth),
    )


def apple_error(status: int, reason: str, **headers: str) -> Response:
    """Return an error response of Apple's push service."""
    return reply({"reason": reason}, status, **headers)


def apns() -> PushSubject:
    """Return a test subject of Apple's push service with a new sandbox."""
    sandbox = ApnsSandbox()
    return PushSubject(
        vendor=Apns(
            private_key=sandbox.private_key,
            key_id=sandbox.key_id,
            team_id=sandbox.team_id,
            topic=sandbox.topic,
        ),
        sandbox=sandbox,
        refusals=(
            (apple_error(410, "Unregistered"), DeviceGone),
            (apple_error(410, "ExpiredToken"), DeviceGone),
            (apple_error(400, "BadDeviceToken"), InvalidRequest),
            (apple_error(400, "DeviceTokenNotForTopic"), InvalidRequest),
            (apple_error(413, "PayloadTooLarge"), InvalidRequest),
            (apple_error(403, "ExpiredProviderToken"), AuthenticationFailed),
            (apple_error(403, "InvalidProviderToken"), AuthenticationFailed),
            (apple_error(400, "ANewReason"), VendorRejected),
            (Response(410, body=b"<html></html>"), VendorRejected),
            (apple_error(500, "InternalServerError"), VendorFailed),
            (apple_error(503, "Shutdown"), VendorFailed),
        ),
        pause=(apple_error(429, "TooManyRequests", Retry_After="60"), 60.0),
        unreadable=Response(204),
        secrets=(sandbox.private_key.splitlines()[1],),
    )


SUBJECTS = (firebase, web_push, apns)
