"""Prepares Mailgun and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.mailgun import MailgunSandbox
from moorage.vendors.email.mailgun import Mailgun
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def mailgun_vendor(sandbox: MailgunSandbox, **options: Any) -> Mailgun:
    """Return the Mailgun vendor with the sandbox's domain and key."""
    return Mailgun(domain=sandbox.domain, credentials=sandbox.api_key, **options)


@contextmanager
def mailgun_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Mailgun test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = MailgunSandbox()
        throttled = reply({"message": "Too many."}, 429)
        custom = mailgun_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="key-wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({})),
            secret=sandbox.api_key,
            codes={"auth": None, "throttled": None, "outage": None, "refused": None},
        )

    yield make_subject
