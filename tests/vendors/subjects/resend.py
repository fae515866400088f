"""Prepares Resend and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.resend import ResendSandbox
from moorage.vendors.email.resend import Resend
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def resend_vendor(sandbox: ResendSandbox, **options: Any) -> Resend:
    """Return the Resend vendor with the sandbox's key."""
    return Resend(credentials=sandbox.api_key, **options)


@contextmanager
def resend_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Resend test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = ResendSandbox()
        # All attempts of one call.
        throttled = [reply({"name": "rate_limit_exceeded", "message": "Too many."}, 429)] * 3
        custom = resend_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="re_wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(*throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({})),
            secret=sandbox.api_key,
            codes={
                "auth": "invalid_api_key",
                "throttled": "rate_limit_exceeded",
                "outage": "service_unavailable",
                "refused": "validation_error",
            },
        )

    yield make_subject
