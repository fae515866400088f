"""Acme passes the conformance kit of text messages, and moorage finds it by its name."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from acme_vendor.sandbox import AcmeSandbox
from acme_vendor.vendor import Acme

from moorage.contracts.sms import SmsStatus
from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded
from moorage.testing import sms_conformance
from moorage.testing.kits.checks import name_of
from moorage.testing.sandboxes.base import reply

if TYPE_CHECKING:
    from moorage import Response


def refusal(status: int, code: str) -> Response:
    """A refusal by Acme."""
    return reply({"error": {"code": code, "message": "Acme refuses."}}, status)


def subject() -> sms_conformance.SmsSubject:
    """Acme with a new sandbox."""
    sandbox = AcmeSandbox()
    return sms_conformance.SmsSubject(
        vendor=Acme(credentials=sandbox.api_key, sender="+15005550006"),
        sandbox=sandbox,
        sent=lambda: len(sandbox.messages),
        refusals=(
            (refusal(429, "too_many"), RateLimitExceeded, "too_many"),
            (refusal(401, "unauthorized"), AuthenticationFailed, "unauthorized"),
            (refusal(422, "unknown_field"), InvalidRequest, "unknown_field"),
        ),
        option=("route", "premium"),
        secret=sandbox.api_key,
        webhook_secret=sandbox.webhook_secret,
        strange_secret=f"whsec_{b64encode(b'a key of somebody else').decode()}",
        report=sandbox.report,
        unknown=reply({"id": "M1", "status": "teleported"}, 201),
        requests=(
            ({"sender": "Acme"}, {"from": "Acme", "text": "Your code is 1234."}),
            ({}, {"to": "+447700900000", "from": "+15005550006"}),
        ),
        answers=(
            (
                "get",
                reply({"id": "M7", "status": "failed"}),
                {"status": SmsStatus.FAILED, "vendor_status": "failed"},
            ),
        ),
        words={"sent": SmsStatus.SENT, "failed": SmsStatus.FAILED},
    )


@pytest.mark.parametrize("check", sms_conformance.CHECKS, ids=name_of)
def test_it_conforms(check: sms_conformance.Check) -> None:
    """Acme passes the conformance kit."""
    check(subject)


@pytest.mark.parametrize("check", sms_conformance.ASYNC_CHECKS, ids=name_of)
def test_it_conforms_async(check: sms_conformance.AsyncCheck) -> None:
    """Acme passes the conformance kit in asynchronous code."""
    asyncio.run(check(subject))
