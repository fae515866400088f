"""Prepares Mandrill and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.mandrill import MandrillSandbox
from moorage.vendors.email.mandrill import Mandrill
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def mandrill_vendor(sandbox: MandrillSandbox, **options: Any) -> Mandrill:
    """Return the Mandrill vendor with the API key of the sandbox."""
    return Mandrill(credentials=sandbox.api_key, **options)


def mandrill_hub(**options: Any) -> tuple[MandrillSandbox, Any]:
    """Return a Mandrill sandbox, and a hub that sends to it."""
    sandbox = MandrillSandbox()
    return sandbox, hub(mandrill_vendor(sandbox, **options), sandbox)


@contextmanager
def mandrill_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Mandrill test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = MandrillSandbox()
        throttled = reply({"name": "RequestLimitExceeded", "message": "No."}, 429)
        custom = mandrill_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply([])),
            secret=sandbox.api_key,
            codes={
                "auth": "Invalid_Key",
                "throttled": "RequestLimitExceeded",
                "outage": "-1",
                "refused": "hard-bounce",
            },
        )

    yield make_subject
