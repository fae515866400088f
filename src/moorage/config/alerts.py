"""The `[alerts]` table of a configuration: rules, and the channels of their notifications."""

from __future__ import annotations

from typing import Any, Final

from moorage.config.class_tables import table_of
from moorage.config.shapes import Function, ListOf, NamedTable, SecretText, Table
from moorage.domain.monitoring.alert_settings import AlertSettings, ChannelSettings
from moorage.domain.monitoring.alerts import AlertRule


def _channel(**fields: Any) -> ChannelSettings:
    settings = ChannelSettings(**fields)
    if settings.kind in {"email", "sms"}:
        from moorage.hub.alert_channels import check_recipients  # noqa: PLC0415 - slow to load

        check_recipients(settings)
    elif settings.secrets:
        from moorage.hub.alert_channels import check_secrets  # noqa: PLC0415 - slow to load

        check_secrets(settings)
    return settings


_RULE: Final = table_of(AlertRule, name="rule")
_CHANNEL: Final = table_of(
    ChannelSettings,
    name="channel",
    make=_channel,
    shapes={"secrets": ListOf(SecretText()), "function": Function()},
)
ALERTS: Final[Table] = table_of(
    AlertSettings, name="alerts", shapes={"rules": ListOf(_RULE), "channels": NamedTable(_CHANNEL)}
)
