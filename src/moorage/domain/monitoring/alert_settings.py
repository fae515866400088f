"""The alert settings of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.secret import Secret, as_secrets
from moorage.domain.values.durations import is_seconds, plain
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.domain.monitoring.alerts import AlertRule

KINDS: Final = ("logging", "webhook", "email", "sms", "function")
"""The kinds of channels."""


def _alert_rules(value: Iterable[AlertRule]) -> tuple[AlertRule, ...]:
    return tuple(value)


def _recipients(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _secrets(value: Any) -> tuple[Secret, ...]:
    return as_secrets(value) if value else ()


_NEEDED_SETTINGS: Final = {"webhook": "service", "email": "to", "sms": "to", "function": "function"}


@attrs.frozen(kw_only=True)
class ChannelSettings:
    """A channel that notifications go to.

    Attributes:
        kind: The kind: `logging`, `webhook`, `email`, `sms` or `function`.
        service: For a webhook, the service that it is sent to.
        path: For a webhook, the path of the request.
        secrets: For a webhook, the secrets that sign it, the newest first.
        to: For email and SMS, the recipients.
        tenant: For email and SMS, the tenant whose account sends.
        function: For a function, the function of an `AlertDelivery`.
    """

    kind: str = attrs.field(default="logging", metadata={"choices": KINDS})
    service: str | None = None
    path: str = "/"
    secrets: tuple[Secret, ...] = attrs.field(default=(), converter=_secrets, repr=False)
    to: tuple[str, ...] = attrs.field(default=(), converter=_recipients)
    tenant: str | None = None
    function: Callable[..., Any] | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse an unknown kind, and a channel without a destination."""
        if self.kind not in KINDS:
            raise ConfigurationError(
                f"There is no kind {self.kind!r} of channels.",
                path="kind",
                remedy=f"Use one of: {', '.join(KINDS)}.",
            )
        needed_field = _NEEDED_SETTINGS.get(self.kind)
        if needed_field is not None and not getattr(self, needed_field):
            raise ConfigurationError(
                f"The {self.kind} channel has no `{needed_field}`.",
                path=needed_field,
                remedy=f"Give `{needed_field}`.",
            )


@attrs.frozen(kw_only=True)
class AlertSettings:
    """The alert rules, and the channels that their notifications go to.

    Attributes:
        rules: The rules, each with a name of its own.
        channels: The channels, by names of your choice; by default one that logs.
        every: Seconds between two evaluations.
    """

    rules: tuple[AlertRule, ...] = attrs.field(default=(), converter=_alert_rules)
    channels: Mapping[str, ChannelSettings] = attrs.field(factory=dict[str, ChannelSettings])
    every: float = attrs.field(default=30.0, converter=plain, validator=is_seconds)

    def __attrs_post_init__(self) -> None:
        """Refuse two rules with one name, and channels that do not exist."""
        names = [rule.name for rule in self.rules]
        problems = [
            Problem(
                f"rules[{position}].name",
                f"Another alert rule is named {rule.name!r}.",
                "Give each rule a name of its own.",
            )
            for position, rule in enumerate(self.rules)
            if rule.name in names[:position]
        ]
        problems += [
            Problem(
                f"rules[{position}].channels",
                f"The alert rule {rule.name!r} names the unknown channel {channel!r}.",
                f"Use one of: {', '.join(self.channels) or 'none'}.",
            )
            for position, rule in enumerate(self.rules)
            for channel in rule.channels
            if channel not in self.channels
        ]
        if problems:
            raise ConfigurationError.of(problems)
