"""Synchronous and asynchronous verifiers with a clock that the test sets."""

# ruff: noqa: D102 - fakes, as typed as they need to be

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import Headers, Request, Response, WebhookEvent, WebhookRejected, WebhookVerifier
from moorage.testing import VirtualClock
from tests.webhooks import keys
from tests.webhooks.signing import CERT_PAYPAL, CERT_SNS, SentWebhook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.requests import Timeouts
    from tests.webhooks.senders import Sender

NOW = keys.NOW
CONFIRM = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=a&Token=b"
KNOWN = frozenset({CERT_SNS, CERT_PAYPAL, CERT_PAYPAL.replace("api.", "api.sandbox."), CONFIRM})


class Links:
    """An HTTP client that returns certificates for known URLs, and records its requests."""

    def __init__(self, body: bytes | None = None, status: int = 200) -> None:
        self.body = keys.usual_certificate() if body is None else body
        self.status = status
        self.asked: list[str] = []
        self.sent: list[tuple[Request, Timeouts]] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        self.asked.append(url)
        self.sent.append((request, timeouts))
        is_existing = url in KNOWN
        return Response(
            self.status if is_existing else 404, Headers(), self.body if is_existing else b""
        )

    def open(self, _: Request, __: str, ___: Timeouts, /) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing, because there is nothing to close."""


class AsyncLinks:
    """An asynchronous HTTP client that shares the records of a synchronous client."""

    def __init__(self, links: Links) -> None:
        self.links = links

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        await asyncio.sleep(0)
        return self.links.send(request, url, timeouts)

    async def open(self, _: Request, __: str, ___: Timeouts, /) -> Any:
        raise NotImplementedError

    async def close(self) -> None:
        """Do nothing, because there is nothing to close."""


class Receiver:
    """A webhook verifier with a test clock, for synchronous or asynchronous use."""

    def __init__(
        self, scheme: Any, secret: Any = None, *, is_async: bool = False, **more: Any
    ) -> None:
        self.is_async = is_async
        self.clock = VirtualClock(NOW)
        self.links = more.pop("links", None) or Links()
        self.verifier = WebhookVerifier(
            scheme,
            secret,
            clock=self.clock,
            http=self.links,
            async_http=AsyncLinks(self.links),
            **more,
        )

    @classmethod
    def of(cls, sender: Sender, **more: Any) -> Receiver:
        """Return a receiver for a vendor's webhooks."""
        options: dict[str, Any] = {"parameters": sender.parameters, "replay_guard": False} | more
        scheme = options.pop("scheme", sender.name)
        return cls(scheme, options.pop("secret", sender.secret), **options)

    def verify(self, sent: SentWebhook | dict[str, Any], **more: Any) -> tuple[WebhookEvent, ...]:
        options = (sent.arguments() if isinstance(sent, SentWebhook) else sent) | more
        if self.is_async:
            return asyncio.run(self.verifier.averify(**options))
        return self.verifier.verify(**options)

    def done(self, events: Iterable[WebhookEvent] | WebhookEvent) -> None:
        if self.is_async:
            asyncio.run(self.verifier.adone(events))
        else:
            self.verifier.done(events)

    def release(self, events: Iterable[WebhookEvent] | WebhookEvent) -> None:
        if self.is_async:
            asyncio.run(self.verifier.arelease(events))
        else:
            self.verifier.release(events)

    def confirm(self, event: WebhookEvent) -> bool:
        if self.is_async:
            return asyncio.run(self.verifier.aconfirm(event))
        return self.verifier.confirm(event)

    def reason_of_refusal(self, sent: SentWebhook | dict[str, Any], **more: Any) -> str | None:
        """Return the reason for which the verifier refuses a webhook; fail if it accepts it."""
        with pytest.raises(WebhookRejected) as excinfo:
            self.verify(sent, **more)
        assert " " in excinfo.value.message
        return excinfo.value.reason


IN_BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
