"""The checked settings in `app.config["MOORAGE"]`; errors name the setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage import ConfigurationError, Secret
from moorage.config.hubs import check_ports

if TYPE_CHECKING:
    from os import PathLike

    from flask import Flask

    from moorage.dashboard import Person


@attrs.frozen(kw_only=True)
class Settings:
    """An application's settings, in capitals in `app.config["MOORAGE"]`.

    Attributes:
        configuration: moorage's configuration: the path of a file, or a mapping.
        environment: the overlay of the configuration that applies, such as `production`.
        database: the database of the tables: a URL, an engine of SQLAlchemy, a session or a factory
            of sessions, or an extension with an `engine` and a `session`. Without a database, all
            data is in the memory of each process.
        session: returns the application's current session, for data in its transaction.
        state: the store of circuits, limits and idempotency keys: a URL, which may be a `Secret`,
            or a `StateStorage`.
        aside: another database, for data outside of the application's transactions.
        keys: the keys that encrypt stored credentials and webhooks, as for `KeyRing.parse`.
        tenants: True if the database contains accounts of tenants, besides the configuration.
        keep: days for which log entries, handled webhooks and finished calls are kept.
        person: returns the person who sends a request to the operations page, as a `Person` of
            `moorage.dashboard`, or None; without this function there is no operations page.
        four_eyes: True if a second person must confirm how a payment is closed.
        health: True if the pages `live`, `ready` and `health` exist.
        ports: further arguments of `moorage.open`, such as `observers`.
    """

    configuration: Mapping[str, Any] | str | PathLike[str] = attrs.field(repr=False)
    environment: str | None = None
    database: Any = attrs.field(default=None, repr=False)
    session: Callable[[], Any] | None = attrs.field(default=None, repr=False)
    state: Any = attrs.field(default=None, repr=False)
    aside: str | None = attrs.field(default=None, repr=False)
    keys: Secret | str | None = attrs.field(default=None, repr=False)
    tenants: bool = False
    keep: float = 90.0
    person: Callable[[], Person | None] | None = None
    four_eyes: bool = True
    health: bool = False
    ports: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    @property
    def state_url(self) -> str | None:
        """The URL of the state store in the settings, if any."""
        url = self.state.reveal() if isinstance(self.state, Secret) else self.state
        return url if isinstance(url, str) else None


def settings_of(app: Flask) -> Settings:
    """Return an application's checked settings."""
    app_settings: object = cast("Mapping[str, object]", app.config).get("MOORAGE")
    if not isinstance(app_settings, Mapping):
        raise _setting_error(
            "",
            "This application has no settings for moorage.",
            'Set app.config["MOORAGE"] to a mapping with at least "CONFIGURATION".',
        )
    fields = {name.upper(): name for name in attrs.fields_dict(Settings)}
    options: dict[str, Any] = {}
    for name, value in cast("Mapping[str, Any]", app_settings).items():
        if name not in fields:
            nearest_names = get_close_matches(str(name).upper(), fields, n=1)
            hint = f"Did you mean {nearest_names[0]}? " if nearest_names else ""
            raise _setting_error(
                name, f"{name!r} is not a setting of moorage.", f"{hint}Use {', '.join(fields)}."
            )
        options[fields[name]] = value
    if options.get("configuration") is None:
        raise _setting_error(
            "CONFIGURATION",
            "The setting is missing.",
            "Set the path of moorage's configuration, or a mapping.",
        )
    for name, value in options.items():
        fits, problem, remedy = _SHAPES.get(name, _ANY)
        if not fits(value):
            raise _setting_error(name.upper(), problem, remedy)
    check_ports(options.get("ports", ()), "MOORAGE.PORTS")
    return Settings(**options)


def _callable(value: object) -> bool:
    return value is None or callable(value)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _keys(value: object) -> bool:
    return value is None or isinstance(value, (str, Secret))


def _days(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= cast("float", value) <= _AGES


def _switch(value: object) -> bool:
    return isinstance(value, bool)


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _accept_anything(_: object) -> bool:
    return True


_AGES: Final = 36_500
"""The number of days in a hundred years."""

_FUNCTION: Final = (_callable, "The value is not a function.", "Set a function.")
_WORDS: Final = (_is_text, "The value is not a string.", "Set a string, or remove the setting.")
_ANY: Final = (_accept_anything, "", "")
_SHAPES: Final[dict[str, tuple[Callable[[object], bool], str, str]]] = {
    "session": _FUNCTION,
    "person": _FUNCTION,
    "four_eyes": (_switch, "The value is not a boolean.", "Set True or False."),
    "environment": _WORDS,
    "aside": _WORDS,
    "keys": (_keys, "The value is not a key ring.", "Set a string or a Secret."),
    "keep": (_days, "The value is not a number of days.", f"Set a number from 0 to {_AGES}."),
    "tenants": (_switch, "The value is not a boolean.", "Set True or False."),
    "health": (_switch, "The value is not a boolean.", "Set True or False."),
    "ports": (
        _mapping,
        "The value is not a mapping.",
        "Set a mapping of further arguments of `moorage.open`.",
    ),
}


def _setting_error(name: str, problem: str, remedy: str) -> ConfigurationError:
    path = f"MOORAGE.{name}" if name else "MOORAGE"
    return ConfigurationError(problem, path=path, remedy=remedy)
