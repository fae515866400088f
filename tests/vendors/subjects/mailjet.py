"""Prepares Mailjet and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.mailjet import MailjetSandbox
from moorage.vendors.email.mailjet import Mailjet
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def mailjet_vendor(sandbox: MailjetSandbox, **options: Any) -> Mailjet:
    """Return the Mailjet vendor with the sandbox's API key and its secret."""
    return Mailjet(api_key=sandbox.api_key, credentials=sandbox.secret_key, **options)


def mailjet_hub(**options: Any) -> tuple[MailjetSandbox, Any]:
    """Return a Mailjet sandbox, and a hub that sends to it."""
    sandbox = MailjetSandbox()
    return sandbox, hub(mailjet_vendor(sandbox, **options), sandbox)


@contextmanager
def mailjet_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Mailjet test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = MailjetSandbox()
        throttled = reply({"ErrorMessage": "Too many requests.", "StatusCode": 429}, 429)
        custom = mailjet_vendor(sandbox)
        return EmailHarness(
            template="7",
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({})),
            secret=sandbox.secret_key,
            codes={"auth": None, "throttled": None, "outage": None, "refused": "mj-0013"},
        )

    yield make_subject
