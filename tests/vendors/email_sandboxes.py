"""Email vendors for the conformance kit, each with its sandbox, in sync and async mode."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs

from moorage.domain.http.requests import Response
from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.amazon_ses import AmazonSesSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.email.smtp import SmtpSandbox
from moorage.vendors.email.amazon_ses import AmazonSes
from moorage.vendors.email.sendgrid import SendGrid
from moorage.vendors.email.smtp import Smtp
from tests.vendors.email_hubs import hub, lose_next_response
from tests.vendors.subjects.brevo import brevo_harnesses
from tests.vendors.subjects.mailersend import mailersend_harnesses
from tests.vendors.subjects.mailgun import mailgun_harnesses
from tests.vendors.subjects.mailjet import mailjet_harnesses
from tests.vendors.subjects.mailtrap import mailtrap_harnesses
from tests.vendors.subjects.mandrill import mandrill_harnesses
from tests.vendors.subjects.postal import postal_harnesses
from tests.vendors.subjects.postmark import postmark_harnesses
from tests.vendors.subjects.resend import resend_harnesses
from tests.vendors.subjects.scaleway import scaleway_harnesses
from tests.vendors.subjects.sparkpost import sparkpost_harnesses
from tests.vendors.subjects.unisender_go import unisender_go_harnesses

Make = Callable[[], EmailHarness]


def sendgrid_vendor(sandbox: SendGridSandbox) -> SendGrid:
    """Return the SendGrid vendor with the sandbox's key."""
    return SendGrid(credentials=sandbox.api_key)


def ses_vendor(sandbox: AmazonSesSandbox) -> AmazonSes:
    """Return the Amazon SES vendor with the sandbox's region and keys."""
    return AmazonSes(
        region=sandbox.region,
        access_key_id=sandbox.access_key_id,
        credentials=sandbox.secret_access_key,
    )


def smtp_vendor(sandbox: SmtpSandbox, **changes: Any) -> Smtp:
    """Return the SMTP vendor with the sandbox's host and password."""
    default_options: dict[str, Any] = {
        "host": sandbox.host,
        "port": sandbox.port,
        "security": "none",
        "username": sandbox.username,
        "credentials": sandbox.password,
    }
    return Smtp(**{**default_options, **changes})


@contextmanager
def sendgrid_harnesses(mode: str) -> Generator[Make]:
    """Yield a function that makes a SendGrid test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = SendGridSandbox()
        throttled = reply({"errors": [{"message": "too many requests"}]}, 429)
        custom = sendgrid_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="SG.wrong"), sandbox, mode=mode),
            template="d-welcome",
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(Response(200)),
            secret=sandbox.api_key,
            codes={
                "auth": None,
                "throttled": None,
                "outage": None,
                "refused": "personalizations.0.to",
            },
        )

    yield make_subject


@contextmanager
def ses_harnesses(mode: str) -> Generator[Make]:
    """Yield a function that makes an Amazon SES test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = AmazonSesSandbox()
        throttled = reply({"message": "No."}, 429, x_amzn_ErrorType="TooManyRequestsException")
        custom = ses_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({})),
            secret=sandbox.secret_access_key,
            codes={
                "auth": "InvalidSignatureException",
                "throttled": "TooManyRequestsException",
                "outage": None,
                "refused": "MessageRejected",
            },
        )

    yield make_subject


@contextmanager
def smtp_harnesses(mode: str) -> Generator[Make]:
    """Yield a function that makes an SMTP test subject for the conformance kit."""
    with ExitStack() as open_ones:

        def make_subject() -> EmailHarness:
            sandbox = open_ones.enter_context(SmtpSandbox())
            custom = smtp_vendor(sandbox)
            return EmailHarness(
                sandbox=None,
                hub=hub(custom, mode=mode),
                stranger=hub(attrs.evolve(custom, credentials="wrong"), mode=mode),
                delivered=sandbox.delivered,
                refuse=lambda: sandbox.refusals.append("450 4.7.1 Too much mail"),
                lose=lambda: "lost@example.com",
                malform=None,
                secret=sandbox.password,
                codes={
                    "auth": "535 5.7.8",
                    "throttled": "450 4.7.1",
                    "outage": "421 4.3.2",
                    "refused": "550 5.1.1",
                },
                many=250,
            )

        yield make_subject


HARNESSES = {
    "sendgrid": sendgrid_harnesses,
    "amazon_ses": ses_harnesses,
    "smtp": smtp_harnesses,
    "postmark": postmark_harnesses,
    "resend": resend_harnesses,
    "mailgun": mailgun_harnesses,
    "mailjet": mailjet_harnesses,
    "sparkpost": sparkpost_harnesses,
    "brevo": brevo_harnesses,
    "mailersend": mailersend_harnesses,
    "mailtrap": mailtrap_harnesses,
    "mandrill": mandrill_harnesses,
    "scaleway": scaleway_harnesses,
    "postal": postal_harnesses,
    "unisender_go": unisender_go_harnesses,
}
