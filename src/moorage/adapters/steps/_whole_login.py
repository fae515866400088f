"""Checks for a complete login in a platform's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_whole_login(settings: object, names: Sequence[str], platform: str) -> None:
    """Refuse a login if some of its parts are set and others are missing.

    Args:
        settings: the settings.
        names: the names of the login's parts.
        platform: the kind of the platform in the message, with its article.

    Raises:
        ConfigurationError: some parts of the login are set, and others are missing.
    """
    missing_settings = [name for name in names if getattr(settings, name) is None]
    if missing_settings and len(missing_settings) < len(names):
        raise ConfigurationError(
            f"The setting {missing_settings[0]} of {platform} platform is missing.",
            path=missing_settings[0],
            remedy=f"Give {', '.join(sorted(names))}, or none of them.",
        )
