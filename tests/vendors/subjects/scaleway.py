"""Prepares Scaleway and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.scaleway import ScalewaySandbox
from moorage.vendors.email.scaleway import Scaleway
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def scaleway_vendor(sandbox: ScalewaySandbox, **options: Any) -> Scaleway:
    """Return the Scaleway vendor with the secret key and the ids of the sandbox."""
    default_options: dict[str, Any] = {
        "credentials": sandbox.secret_key,
        "project_id": sandbox.project_id,
        "domain_id": sandbox.domain_id,
    }
    return Scaleway(**{**default_options, **options})


def scaleway_hub(**options: Any) -> tuple[ScalewaySandbox, Any]:
    """Return a Scaleway sandbox, and a hub that sends to it."""
    sandbox = ScalewaySandbox()
    return sandbox, hub(scaleway_vendor(sandbox, **options), sandbox)


@contextmanager
def scaleway_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Scaleway test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = ScalewaySandbox()
        throttled = reply({"type": "too_many_requests", "message": "No."}, 429)
        custom = scaleway_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({"emails": []})),
            secret=sandbox.secret_key,
            codes={
                "auth": "denied_authentication",
                "throttled": "too_many_requests",
                "outage": "internal_error",
                "refused": "invalid_arguments",
            },
        )

    yield make_subject
