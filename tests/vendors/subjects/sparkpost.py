"""Prepares SparkPost and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.sparkpost import SparkPostSandbox
from moorage.vendors.email.sparkpost import SparkPost
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def sparkpost_vendor(sandbox: SparkPostSandbox, **options: Any) -> SparkPost:
    """Return the SparkPost vendor with the sandbox's API key."""
    return SparkPost(credentials=sandbox.api_key, **options)


def sparkpost_hub(**options: Any) -> tuple[SparkPostSandbox, Any]:
    """Return a SparkPost sandbox, and a hub that sends to it."""
    sandbox = SparkPostSandbox()
    return sandbox, hub(sparkpost_vendor(sandbox, **options), sandbox)


@contextmanager
def sparkpost_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a SparkPost test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = SparkPostSandbox()
        throttled = reply({"errors": [{"message": "Too many requests"}]}, 429)
        custom = sparkpost_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({})),
            secret=sandbox.api_key,
            codes={"auth": None, "throttled": None, "outage": None, "refused": "5002"},
        )

    yield make_subject
