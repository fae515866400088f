"""The settings of HTTP clients, which are all declared, checked and documented here.

A client's class inherits the settings that it has, so that its constructor takes them by keyword.
Its docstring explains its other arguments; the explanations of the inherited ones are added to it.
"""

from __future__ import annotations

import inspect
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from moorage.domain.values.text import brief_repr
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.http.outgoing import OutgoingGuard
    from moorage.domain.http.transport import Proxy, Tls
    from moorage.domain.secrets.secret import Secret

_ARGUMENTS: Final = re.compile(r"\n\nArgs:\n(?P<lines>(?:    .*\n?)+)")


def invalid(name: str, value: object, remedy: str) -> ConfigurationError:
    """Return the error for a setting that has an invalid value."""
    return ConfigurationError(
        f"{name} cannot be {brief_repr(value)}.", path=name, remedy=f"Pass {remedy}."
    )


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _check_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise invalid(attribute.name, value, "a whole number of at least 1")


def _check_seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, (int, float)) or not value >= 0:
        raise invalid(attribute.name, value, "a number of seconds or a timedelta; 0 turns it off")


def _check_tls(_: object, __: object, value: Tls | None) -> None:
    if value is not None:
        from moorage.domain.http.transport import Tls  # noqa: PLC0415 - most leave it to the system

        if not isinstance(value, Tls):
            raise invalid("tls", value, "a moorage.Tls")


def _proxy(value: Proxy | Secret | str | None) -> Proxy | None:
    if value is None:
        return None
    from moorage.domain.http.transport import as_proxy  # noqa: PLC0415 - most have none

    return as_proxy(value)


def _check_guard(settings: PoolSettings, _: object, value: OutgoingGuard | None) -> None:
    if value is None:
        return
    from moorage.domain.http.outgoing import OutgoingGuard  # noqa: PLC0415 - most have none

    if not isinstance(value, OutgoingGuard):
        raise invalid("guard", value, "a moorage.OutgoingGuard")
    if settings.proxy is not None:
        raise ConfigurationError(
            "The proxy resolves host names, so the guard could not check their addresses.",
            path="guard",
            remedy="Let the proxy refuse forbidden destinations, or connect without a proxy.",
        )


def _with_arguments(text: str, inherited_text: str) -> str:
    """Insert the arguments from a base class's docstring into a subclass's docstring."""
    text, arguments = inspect.cleandoc(text), _ARGUMENTS.search(inspect.cleandoc(inherited_text))
    assert arguments is not None  # noqa: S101 - each class of settings explains its arguments
    lines = arguments["lines"].rstrip("\n")
    if arguments_match := _ARGUMENTS.search(text):
        start = arguments_match.start("lines")
        return f"{text[:start]}{lines}\n{text[start:]}"
    summary, attributes, attribute_lines = text.partition("\n\nAttributes:")
    return f"{summary}\n\nArgs:\n{lines}{attributes}{attribute_lines}"


@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class PoolSettings:
    """The settings that all HTTP clients have.

    Args:
        tls: the trusted authorities and the client certificate; by default the system's
            authorities.
        proxy: the proxy or its URL; the environment is not read (`environment_proxy` does that).
        guard: the destinations that are allowed, for URLs that others choose.
        max_connections: the maximum number of connections to one origin; further calls wait.
        keep_alive: seconds, or a timedelta, for which an idle connection stays open, if the vendor
            allows it.
        max_body: the maximum number of bytes that `send` holds in memory or `open` decompresses; an
            uncompressed stream of `open` has no limit.
    """

    tls: Tls | None = attrs.field(default=None, validator=_check_tls)
    proxy: Proxy | None = attrs.field(default=None, converter=_proxy)
    guard: OutgoingGuard | None = attrs.field(default=None, validator=_check_guard)
    max_connections: int = attrs.field(default=100, validator=_check_count)
    keep_alive: float = attrs.field(default=15.0, converter=_seconds, validator=_check_seconds)
    max_body: int = attrs.field(default=67_108_864, validator=_check_count)

    def __init_subclass__(cls) -> None:
        """Complete a subclass's docstring with the arguments of its base class."""
        super().__init_subclass__()
        inherited_class = next(base for base in cls.__mro__[1:] if issubclass(base, PoolSettings))
        # Without docstrings, as under `python -OO`, there is no docstring to complete.
        cls.__doc__ = cls.__doc__ and _with_arguments(cls.__doc__, inherited_class.__doc__ or "")


@attrs.define(eq=False, kw_only=True, repr=False, slots=False, on_setattr=attrs.setters.frozen)
class ConnectionSettings(PoolSettings):
    """The settings of HTTP clients that parse responses with moorage's own code.

    Args:
        max_head: the maximum number of bytes before the body.
        max_fields: the maximum number of header fields of a response.
    """

    max_head: int = attrs.field(default=65_536, validator=_check_count)
    max_fields: int = attrs.field(default=200, validator=_check_count)


def settings_of(client: Any) -> ConnectionSettings:
    """Return a copy of a client's settings, including defaults."""
    names = attrs.fields_dict(cast("type[attrs.AttrsInstance]", type(client)))
    return ConnectionSettings(
        **{
            field.name: getattr(client, field.name)
            for field in attrs.fields(ConnectionSettings)
            if field.name in names
        }
    )
