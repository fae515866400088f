"""The alert settings of a hub's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.urls import validate_path
from moorage.domain.monitoring.probes import foreign_address
from moorage.domain.secrets.secret import Secret, as_secrets
from moorage.domain.values.durations import is_seconds, plain_seconds
from moorage.domain.values.frozen_values import field, fields_of, frozen
from moorage.domain.values.names import repeated_names
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from moorage.domain.monitoring.alerts import AlertRule
    from moorage.domain.service.settings import Service

KINDS: Final = ("logging", "webhook", "email", "sms", "chat", "function")
"""The kinds of alert channels."""


def _alert_rules(value: Iterable[AlertRule]) -> tuple[AlertRule, ...]:
    return tuple(value)


def _recipients(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _secrets(value: Any) -> tuple[Secret, ...]:
    return as_secrets(value) if value else ()


_NEEDED_SETTINGS: Final = {"webhook": "service", "email": "to", "sms": "to", "function": "function"}
_KIND_SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "logging": (),
    "webhook": ("service", "path", "secrets"),
    "email": ("to", "tenant"),
    "sms": ("to", "tenant"),
    "chat": ("to", "tenant"),
    "function": ("function",),
}
"""The settings that an alert channel of each kind has."""


def _is_path(_: object, __: object, value: str) -> None:
    validate_path(value)


@frozen(kw_only=True)
class ChannelSettings:
    """A channel to which alert notifications are sent.

    Attributes:
        kind: The kind: `logging`, `webhook`, `email`, `sms`, `chat` or `function`.
        service: For a webhook, the service that it is sent to.
        path: For a webhook, the path of the request.
        secrets: For a webhook, the secrets that sign it, the newest first.
        to: For email and SMS, the recipients; for a chat, the names of its channels; by default
            the account's channel.
        tenant: For email, SMS and a chat, the tenant whose account sends.
        function: For a function, the function that is called with an `AlertDelivery`.
    """

    kind: str = field(default="logging", metadata={"choices": KINDS})
    service: str | None = None
    path: str = field(default="/", validator=_is_path)
    secrets: tuple[Secret, ...] = field(default=(), converter=_secrets, repr=False)
    to: tuple[str, ...] = field(default=(), converter=_recipients)
    tenant: str | None = None
    function: Callable[..., Any] | None = None

    def __attrs_post_init__(self) -> None:
        """Check the channel's kind and destination; refuse settings that its kind does not use."""
        if self.kind not in KINDS:
            raise ConfigurationError(
                f"{self.kind!r} is not a kind of alert channel.",
                path="kind",
                remedy=f"Use one of: {', '.join(KINDS)}.",
            )
        problems = list(self._problems())
        if problems:
            raise ConfigurationError.of(problems)

    def _problems(self) -> Iterator[Problem]:
        """Yield a problem for a missing destination and for each setting that does not apply."""
        needed_field = _NEEDED_SETTINGS.get(self.kind)
        if needed_field is not None and not getattr(self, needed_field):
            yield Problem(
                needed_field,
                f"The {self.kind} channel has no `{needed_field}`.",
                f"Set `{needed_field}`.",
            )
        for option in fields_of(ChannelSettings):
            is_used = option.name == "kind" or option.name in _KIND_SETTINGS[self.kind]
            if not is_used and getattr(self, option.name) != option.default:
                kinds = [kind for kind, names in _KIND_SETTINGS.items() if option.name in names]
                yield Problem(
                    option.name,
                    f"A channel with the kind {self.kind} does not use `{option.name}`.",
                    f"Remove it, or set the kind to {' or '.join(kinds)}.",
                )


def webhook_problem(service: Service, path: str) -> Problem | None:
    """Return why notifications cannot be sent to a service; None if they can.

    The path in the problem names the wrong setting of the channel.

    Args:
        service: the service.
        path: the path of the request, or an absolute URL.
    """
    if service.base_url is None and not service.regions:
        return Problem(
            "service",
            f"The service {service.name!r} has no URL, so a webhook cannot be sent to it.",
            "Set the base_url of the service, or select another service.",
        )
    return foreign_address(service, path, "path")


@frozen(kw_only=True)
class AlertSettings:
    """The alert rules, and the channels for their notifications.

    Attributes:
        rules: The rules, each with a unique name.
        channels: The channels, by names of your choice; by default one that logs.
        every: Seconds between two evaluations.
    """

    rules: tuple[AlertRule, ...] = field(default=(), converter=_alert_rules)
    channels: Mapping[str, ChannelSettings] = field(factory=dict[str, ChannelSettings])
    every: float = field(default=30.0, converter=plain_seconds, validator=is_seconds)

    def __attrs_post_init__(self) -> None:
        """Check that rule names are unique, and that all named channels exist."""
        rules = [(f"rules[{number}]", rule) for number, rule in enumerate(self.rules)]
        problems = [
            *repeated_rules((path, rule.name) for path, rule in rules),
            *unknown_channels(
                ((path, rule.name, rule.channels) for path, rule in rules), self.channels
            ),
        ]
        if problems:
            raise ConfigurationError.of(problems)


def repeated_rules(rules: Iterable[tuple[str, object]]) -> Iterator[Problem]:
    """Yield a problem for each alert rule that has the name of an earlier rule.

    Args:
        rules: the path and the name of each rule.
    """
    for path, name in repeated_names(rules):
        yield Problem(
            f"{path}.name",
            f"Another alert rule is named {name!r}.",
            "Pass each rule a different name.",
        )


def unknown_channels(
    rules: Iterable[tuple[str, object, Iterable[str]]], channels: Collection[str]
) -> Iterator[Problem]:
    """Yield a problem for each unknown channel that an alert rule names.

    Args:
        rules: the path, the name and the channels of each rule.
        channels: the names of the channels.
    """
    for path, name, channel_names in rules:
        for channel in channel_names:
            if channel not in channels:
                yield Problem(
                    f"{path}.channels",
                    f"The alert rule {name!r} uses the unknown channel {channel!r}.",
                    f"Use one of: {', '.join(channels)}."
                    if channels
                    else "Define the channel under alerts.channels, or remove `channels`.",
                )
