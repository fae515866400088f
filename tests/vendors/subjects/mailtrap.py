"""Prepares Mailtrap and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.mailtrap import MailtrapSandbox
from moorage.vendors.email.mailtrap import Mailtrap
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def mailtrap_vendor(sandbox: MailtrapSandbox, **options: Any) -> Mailtrap:
    """Return the Mailtrap vendor with the token of the sandbox."""
    return Mailtrap(credentials=sandbox.token, **options)


def mailtrap_hub(**options: Any) -> tuple[MailtrapSandbox, Any]:
    """Return a Mailtrap sandbox, and a hub that sends to it."""
    sandbox = MailtrapSandbox()
    return sandbox, hub(mailtrap_vendor(sandbox, **options), sandbox)


@contextmanager
def mailtrap_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Mailtrap test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = MailtrapSandbox()
        throttled = reply({"success": False, "errors": ["Rate limit exceeded"]}, 429)
        custom = mailtrap_vendor(sandbox)
        return EmailHarness(
            template=sandbox.templates[0],
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({"success": True})),
            secret=sandbox.token,
            codes={"auth": None, "throttled": None, "outage": None, "refused": None},
        )

    yield make_subject
