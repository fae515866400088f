"""The project's settings for moorage, in Django's setting `MOORAGE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.utils.module_loading import import_string

from moorage import ConfigurationError, Secret
from moorage.config.hubs import check_ports

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

NAME: Final = "MOORAGE"
OWN: Final = "moorage"
"""The alias of moorage's own database; used if DATABASES contains it."""

_AGES: Final = 36_500
"""The number of days in a hundred years."""

DATABASE: Final = "database"
"""The value of STATE for the database that the setting DATABASE names."""


def _import_value(value: Any, name: str) -> Any:
    """Import a dotted path; return any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError:
        raise _setting_error(
            name, f"The path {value!r} cannot be imported.", "Set a path such as 'erp.ports.mine'."
        ) from None


def _of_subject(value: Any) -> Any:
    return _import_value(value, "subject")


def _check_switch(_: object, field: attrs.Attribute[bool], value: object) -> None:
    if not isinstance(value, bool):
        raise _setting_error(
            field.name,
            f"The value has the type {_database_kind(value)}, but must be a boolean.",
            "Set True or False.",
        )


def _check_words(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise _setting_error(
            field.name,
            f"The value has the type {_database_kind(value)}, but must be a string.",
            "Set a string, or remove the setting.",
        )


def _days(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _AGES:
        raise _setting_error(
            field.name,
            "The value is not a number of days.",
            f"Set a number from 0 to {_AGES}, or None to keep the data for ever.",
        )


def _key_ring(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, (str, Secret)):
        raise _setting_error(
            field.name,
            f"The value has the type {_database_kind(value)}, but must be a key ring.",
            "Set a string or a Secret.",
        )


def _function(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not callable(value):
        raise _setting_error(
            field.name,
            f"The value has the type {_database_kind(value)}, but must be a function.",
            "Set a function.",
        )


def _setting_error(name: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, path=f"{NAME}.{name.upper()}", remedy=remedy)


def _database_kind(value: object) -> str:
    return type(value).__name__


@attrs.frozen(kw_only=True)
class ProjectSettings:
    """A project's checked settings.

    Attributes:
        configuration: moorage's configuration: the path of a file, or a mapping.
        environment: the overlay of the configuration that applies, such as "production".
        database: the alias of the database for state, credentials and log.
        state: "database", or the URL of another store.
        worker: True if `manage.py moorage deliver` runs, so that it makes the stored calls.
        four_eyes: True if a second person must confirm on the operations page how a payment is
            closed.
        tenants: True if the database contains accounts of tenants.
        keys: the keys that encrypt stored data, as for `KeyRing.parse`; by default the environment
            variable MOORAGE_KEYS.
        keep: days for which log entries and finished entries are kept; None to keep them for ever.
        subject: a function, or its path, that returns the person whose data an event is about.
        ports, aports: further arguments of `moorage.open` and `moorage.aopen`, or the path of a
            function that returns them.
    """

    configuration: Mapping[str, Any] | str | os.PathLike[str] = attrs.field(repr=False)
    environment: str | None = attrs.field(default=None, validator=_check_words)
    database: str = DEFAULT_DB_ALIAS
    state: str | None = attrs.field(default=None, repr=False, validator=_check_words)
    worker: bool = attrs.field(default=False, validator=_check_switch)
    tenants: bool = attrs.field(default=False, validator=_check_switch)
    four_eyes: bool = attrs.field(default=True, validator=_check_switch)
    keys: Secret | str | None = attrs.field(default=None, repr=False, validator=_key_ring)
    keep: float | None = attrs.field(default=90.0, validator=_days)
    subject: Callable[[Any], str | None] | None = attrs.field(
        default=None, converter=_of_subject, validator=_function
    )
    ports: Any = attrs.field(factory=dict, repr=False)
    aports: Any = attrs.field(factory=dict, repr=False)

    def ports_of(self, *, is_async: bool) -> dict[str, Any]:
        """Return the additional ports of a synchronous or asynchronous hub."""
        name = "aports" if is_async else "ports"
        further_ports: Any = _import_value(getattr(self, name), name)
        if callable(further_ports):
            further_ports = further_ports()
        if not isinstance(further_ports, Mapping):
            raise _setting_error(
                name,
                f"The value has the type {_database_kind(further_ports)}, but must be a mapping.",
                "Set a mapping of further arguments of `moorage.open`.",
            )
        check_ports(further_ports, f"{NAME}.{name.upper()}")
        return {**further_ports}


_FIELDS: Final = {field.name.upper(): field.name for field in attrs.fields(ProjectSettings)}


def project_settings() -> ProjectSettings:
    """Return this project's checked settings.

    Raises:
        ConfigurationError: the setting is missing or wrong.
    """
    project_settings = getattr(settings, NAME, None)
    if not isinstance(project_settings, Mapping) or "CONFIGURATION" not in project_settings:
        raise ConfigurationError(
            "Django's settings do not name moorage's configuration.",
            path=NAME,
            remedy='Set MOORAGE = {"CONFIGURATION": BASE_DIR / "moorage.toml"}.',
        )
    unknown_names = sorted(str(name) for name in project_settings if name not in _FIELDS)
    if unknown_names:
        raise ConfigurationError(
            f"{unknown_names[0]!r} is not a setting of moorage.",
            path=f"{NAME}.{unknown_names[0]}",
            remedy=f"Use {', '.join(_FIELDS)}.",
        )
    database = project_settings.get(
        "DATABASE", OWN if OWN in settings.DATABASES else DEFAULT_DB_ALIAS
    )
    if not isinstance(database, str) or database not in settings.DATABASES:
        raise ConfigurationError(
            f"There is no database {database!r}.",
            path=f"{NAME}.DATABASE",
            remedy=f"Name one of DATABASES: {', '.join(sorted(settings.DATABASES))}.",
        )
    fields: dict[str, Any] = {_FIELDS[name]: value for name, value in project_settings.items()}
    fields["database"] = database
    return ProjectSettings(**fields)
