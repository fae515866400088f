"""Prepares Unisender Go and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.domain.http.requests import Response
from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.unisender_go import UnisenderGoSandbox
from moorage.vendors.email.unisender_go import UnisenderGo
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def unisender_go_vendor(sandbox: UnisenderGoSandbox, **options: Any) -> UnisenderGo:
    """Return the Unisender Go vendor with the API key of the sandbox."""
    return UnisenderGo(credentials=sandbox.api_key, **options)


def unisender_go_hub(**options: Any) -> tuple[UnisenderGoSandbox, Any]:
    """Return a Unisender Go sandbox, and a hub that sends to it."""
    sandbox = UnisenderGoSandbox()
    return sandbox, hub(unisender_go_vendor(sandbox, **options), sandbox)


@contextmanager
def unisender_go_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Unisender Go test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = UnisenderGoSandbox()
        custom = unisender_go_vendor(sandbox)
        return EmailHarness(
            template=sandbox.templates[0],
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(Response(429)),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({"status": "success", "job_id": "j"})),
            secret=sandbox.api_key,
            codes={
                "auth": "114",
                "throttled": None,
                "outage": None,
                "refused": "permanent_unavailable",
            },
        )

    yield make_subject
