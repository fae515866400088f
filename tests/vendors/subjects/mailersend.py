"""Prepares MailerSend and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.mailersend import MailerSendSandbox
from moorage.vendors.email.mailersend import MailerSend
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def mailersend_vendor(sandbox: MailerSendSandbox, **options: Any) -> MailerSend:
    """Return the MailerSend vendor with the token of the sandbox."""
    return MailerSend(credentials=sandbox.token, **options)


@contextmanager
def mailersend_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a MailerSend test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = MailerSendSandbox()
        throttled = reply({"message": "Too Many Attempts."}, 429)
        custom = mailersend_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="mlsn.wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({}, 202)),
            secret=sandbox.token,
            codes={
                "auth": None,
                "throttled": None,
                "outage": None,
                "refused": "to.0.email",
            },
            odd_name="Lovelace (Ada)",
        )

    yield make_subject
