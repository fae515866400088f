"""The alert settings of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.secret import Secret, as_secrets
from moorage.domain.values.durations import is_seconds, plain
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

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
    """Yield a problem for each rule whose name an earlier one has.

    Args:
        rules: the path and the name of each rule.
    """
    names = set[str]()
    for path, name in rules:
        if not isinstance(name, str):
            continue
        if name in names:
            yield Problem(
                f"{path}.name",
                f"Another alert rule is named {name!r}.",
                "Give each rule a name of its own.",
            )
        names.add(str(name))


def unknown_channels(
    rules: Iterable[tuple[str, object, Iterable[str]]], channels: Collection[str]
) -> Iterator[Problem]:
    """Yield a problem for each channel that a rule names and that does not exist.

    Args:
        rules: the path, the name and the channels of each rule.
        channels: the names of the channels.
    """
    for path, name, channel_names in rules:
        for channel in channel_names:
            if channel not in channels:
                yield Problem(
                    f"{path}.channels",
                    f"The alert rule {name!r} names the unknown channel {channel!r}.",
                    f"Use one of: {', '.join(channels) or 'none'}.",
                )
