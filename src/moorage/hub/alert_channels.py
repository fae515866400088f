"""Channels of alert notifications: logging, webhooks, email, text messages, chats, functions."""

from __future__ import annotations

import json
import logging
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.chat import ChatMessage
from moorage.contracts.email import EmailMessage
from moorage.contracts.email_address import as_address
from moorage.contracts.sms import SmsMessage, check_number
from moorage.domain.http.requests import Request
from moorage.domain.monitoring.alert_settings import webhook_problem
from moorage.domain.monitoring.alerts import Change, Severity
from moorage.domain.webhooks.sending import WebhookSigner
from moorage.errors import ConfigurationError, InvalidData, Problem, StorageUnavailable
from moorage.hub.internals import core_of, flows_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from moorage.domain.monitoring.alert_book import AlertDelivery
    from moorage.domain.monitoring.alert_settings import ChannelSettings
    from moorage.domain.monitoring.alerts import Notification
    from moorage.hub.hub import AsyncHub, Hub

    Channel: TypeAlias = Callable[[AlertDelivery], object]

LOGGER: Final = logging.getLogger("moorage.alerts")
_LONGEST_SMS: Final = 300
_LONGEST_TITLE: Final = 150
_LONGEST_POST: Final = 3_000


def open_channel(hub: Hub | AsyncHub, settings: ChannelSettings) -> Channel:
    """Return the notification channel that these settings describe.

    Raises:
        ConfigurationError: the hub cannot reach it.
    """
    match settings.kind:
        case "webhook":
            return WebhookChannel(hub, settings)
        case "email":
            return EmailChannel(hub, settings)
        case "sms":
            return SmsChannel(hub, settings)
        case "chat":
            return ChatChannel(hub, settings)
        case "function":
            function: Any = settings.function  # such settings contain a function
            return function  # type: ignore[no-any-return]  # checked when it is called
        case _:
            return log_notification


def check_recipients(settings: ChannelSettings) -> None:
    """Check the recipients of an email or SMS channel.

    Raises:
        ConfigurationError: a recipient is neither an email address nor a telephone number.
    """
    problems = list[Problem]()
    for recipient in settings.to:
        try:
            if settings.kind == "email":
                as_address(recipient)
            else:
                check_number(recipient, "to")
        except InvalidData as error:
            problem = Problem("to", error.message, error.remedy)
            if problem not in problems:
                problems.append(problem)
    if problems:
        raise ConfigurationError.of(problems)


def check_secrets(settings: ChannelSettings) -> None:
    """Check the secrets with which a webhook channel signs notifications.

    Raises:
        ConfigurationError: a secret is too weak, or not in the form of Standard Webhooks.
    """
    if settings.secrets:
        WebhookSigner(settings.secrets)


async def await_if_needed(answer: Any) -> Any:
    """Return a function's result, awaiting it first if it is awaitable."""
    return await answer if isawaitable(answer) else answer


def log_notification(delivery: AlertDelivery) -> None:
    """Log a notification with the logger `moorage.alerts`."""
    notification = delivery.notification
    LOGGER.log(
        _level(notification),
        "%s\n%s",
        notification.subject,
        notification.text,
        extra={"alert": notification.as_dict()},
    )


def _level(notification: Notification) -> int:
    if all(notice.change is Change.RECOVERED for notice in notification.notices):
        return logging.INFO
    is_critical = any(notice.severity is Severity.CRITICAL for notice in notification.notices)
    return logging.CRITICAL if is_critical else logging.WARNING


@attrs.frozen
class WebhookChannel:
    """Sends notifications as JSON to a service of the hub, signed if there are secrets.

    Args:
        hub: the hub.
        settings: the service, the path and the secrets.
    """

    hub: Hub | AsyncHub
    settings: ChannelSettings

    def __attrs_post_init__(self) -> None:
        """Check that the hub has the channel's service, and that it can receive notifications."""
        services = flows_of(self.hub.manager).plans.services
        service = services.get(self.settings.service or "")
        if service is None:
            raise ConfigurationError(
                f"The webhook channel names the unknown service {self.settings.service!r}.",
                path="channels.service",
                remedy="Configure the service, or name another one.",
            )
        problem = webhook_problem(service, self.settings.path)
        if problem is not None:
            raise ConfigurationError(
                problem.found, path=f"channels.{problem.path}", remedy=problem.remedy
            )
        check_secrets(self.settings)

    async def __call__(self, delivery: AlertDelivery) -> None:
        """Send a notification as a signed or unsigned webhook."""
        settings, manager = self.settings, self.hub.manager
        body = json.dumps({"id": delivery.id, **delivery.notification.as_dict()}).encode()
        headers = {"Content-Type": "application/json"}
        if settings.secrets:
            sent_at = core_of(manager).utc()
            signature = WebhookSigner(settings.secrets).sign(body, id=delivery.id, at=sent_at)
            headers |= dict(signature.pairs)
        request = Request.post(settings.path, body=body, headers=headers)
        await await_if_needed(manager.call(settings.service or "", request))


@attrs.frozen
class EmailChannel:
    """Sends notifications as mail, through the hub's email account.

    Args:
        hub: the hub.
        settings: the recipients and the tenant.
    """

    hub: Hub | AsyncHub
    settings: ChannelSettings

    def __attrs_post_init__(self) -> None:
        """Check that every recipient is an email address."""
        check_recipients(self.settings)

    async def __call__(self, delivery: AlertDelivery) -> None:
        """Send a notification as an email message."""
        notification, settings = delivery.notification, self.settings
        message = EmailMessage(to=settings.to, subject=notification.subject, text=notification.text)
        send = partial(self.hub.email(settings.tenant).send_transactional, message)
        await _send(send, _key(delivery, "mail"))


@attrs.frozen
class SmsChannel:
    """Sends notifications as text messages, through the hub's SMS account.

    Args:
        hub: the hub.
        settings: the recipients and the tenant.
    """

    hub: Hub | AsyncHub
    settings: ChannelSettings

    def __attrs_post_init__(self) -> None:
        """Check that every recipient is a telephone number."""
        check_recipients(self.settings)

    async def __call__(self, delivery: AlertDelivery) -> None:
        """Send a notification as a text message to each recipient."""
        notification, settings = delivery.notification, self.settings
        text = f"{notification.subject}\n{notification.text}"[:_LONGEST_SMS]
        for number, recipient in enumerate(settings.to):
            message = SmsMessage(to=recipient, text=text)
            send = partial(self.hub.sms(settings.tenant).send, message)
            await _send(send, _key(delivery, f"sms-{number}"))


@attrs.frozen
class ChatChannel:
    """Posts notifications into chats, through the hub's chat account.

    Args:
        hub: the hub.
        settings: the channels of the chat, and the tenant.
    """

    hub: Hub | AsyncHub
    settings: ChannelSettings

    async def __call__(self, delivery: AlertDelivery) -> None:
        """Post a notification into each channel, or into the account's default channel."""
        notification, settings = delivery.notification, self.settings
        title, text = notification.subject[:_LONGEST_TITLE], notification.text[:_LONGEST_POST]
        channels: tuple[str | None, ...] = settings.to or (None,)
        for number, channel in enumerate(channels):
            message = ChatMessage(title=title, text=text, channel=channel)
            send = partial(self.hub.chat(settings.tenant).send, message)
            await _send(send, _key(delivery, f"chat-{number}"))


async def _send(send: Callable[..., Any], key: str) -> None:
    """Send a message under an idempotency key, or without it while no store can hold the key."""
    try:
        await await_if_needed(send(idempotency_key=key))
    except StorageUnavailable:
        await await_if_needed(send())


def _key(delivery: AlertDelivery, name: str) -> str:
    # If the response is lost, a retry sends a new message: an alert sent twice is better than none.
    return f"alert/{delivery.id}/{delivery.failures}/{name}"
