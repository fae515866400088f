"""Prepares Brevo and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.brevo import BrevoSandbox
from moorage.vendors.email.brevo import Brevo
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def brevo_vendor(sandbox: BrevoSandbox, **options: Any) -> Brevo:
    """Return the Brevo vendor with the sandbox's key."""
    return Brevo(credentials=sandbox.api_key, **options)


@contextmanager
def brevo_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Brevo test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = BrevoSandbox()
        throttled = reply({"message": "Too many requests."}, 429)
        custom = brevo_vendor(sandbox)
        return EmailHarness(
            template="7",
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="xkeysib-wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({}, 201)),
            secret=sandbox.api_key,
            codes={
                "auth": "unauthorized",
                "throttled": None,
                "outage": None,
                "refused": "invalid_parameter",
            },
        )

    yield make_subject
