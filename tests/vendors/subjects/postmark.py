"""Prepares Postmark and its sandbox for the conformance kit of email vendors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

from moorage.testing.kits.email_conformance import EmailHarness
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.vendors.email.postmark import Postmark
from tests.vendors.email_hubs import hub, lose_next_response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def postmark_vendor(sandbox: PostmarkSandbox, **options: Any) -> Postmark:
    """Return the Postmark vendor with the sandbox's token."""
    return Postmark(credentials=sandbox.token, **options)


@contextmanager
def postmark_harnesses(mode: str) -> Generator[Callable[[], EmailHarness]]:
    """Yield a function that makes a Postmark test subject for the conformance kit."""

    def make_subject() -> EmailHarness:
        sandbox = PostmarkSandbox()
        throttled = reply({"ErrorCode": 429, "Message": "Too many."}, 429)
        custom = postmark_vendor(sandbox)
        return EmailHarness(
            sandbox=sandbox,
            hub=hub(custom, sandbox, mode=mode),
            stranger=hub(attrs.evolve(custom, credentials="wrong"), sandbox, mode=mode),
            delivered=sandbox.delivered,
            refuse=lambda: sandbox.fail(throttled),
            lose=lambda: lose_next_response(sandbox),
            malform=lambda: sandbox.fail(reply({})),
            secret=sandbox.token,
            codes={"auth": "10", "throttled": "429", "outage": "100", "refused": "406"},
        )

    yield make_subject
