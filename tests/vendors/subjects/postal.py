"""Prepares Postal and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.http.requests import Response
from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.postal import PostalSandbox
from moorage.vendors.email.postal import Postal
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def postal_vendor(sandbox: PostalSandbox, **options: Any) -> Postal:
    """Return the Postal vendor with the URL and the API key of the sandbox."""
    return Postal(credentials=sandbox.api_key, base_url=sandbox.base_url, **options)


def postal_hub(**options: Any) -> tuple[PostalSandbox, Any]:
    """Return a Postal sandbox, and a hub that sends to it."""
    sandbox = PostalSandbox()
    return sandbox, hub(postal_vendor(sandbox, **options), sandbox)


@contextmanager
def postal_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Postal test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = PostalSandbox()
        custom = postal_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(Response(429)),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({"status": "success", "data": {}})),
            secret=sandbox.api_key,
            codes={
                "auth": "InvalidServerAPIKey",
                "throttled": None,
                "outage": None,
                "refused": "ServerSuspended",
            },
        )

    yield make_subject
