"""The `[alerts]` table of a configuration: rules, and the channels of their notifications."""

from __future__ import annotations

from typing import Final

from moorage.config.of_classes import table_of
from moorage.config.shapes import Function, Many, Named, SecretText, Table
from moorage.domain.monitoring.alert_settings import AlertSettings, ChannelSettings
from moorage.domain.monitoring.alerts import AlertRule

_RULE: Final = table_of(AlertRule, name="rule")
_CHANNEL: Final = table_of(
    ChannelSettings,
    name="channel",
    shapes={"secrets": Many(SecretText()), "function": Function()},
)
ALERTS: Final[Table] = table_of(
    AlertSettings, name="alerts", shapes={"rules": Many(_RULE), "channels": Named(_CHANNEL)}
)
