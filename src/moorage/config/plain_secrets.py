"""Finds secrets written in plain text in a configuration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.config.overlays import ENVIRONMENTS
from moorage.config.problems import Report, key, path_below
from moorage.config.references import is_secret_reference
from moorage.config.shapes import AnyOf, ListOf, NamedTable, SecretText, Table, TableByKind, Text
from moorage.config.structure import kind_of
from moorage.config.tables import CONFIGURATION
from moorage.config.toml_text import has_password
from moorage.domain.http.transport import PEM
from moorage.domain.secrets.sensitive import is_sensitive
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.config.shapes import Shape

_REMEDY: Final = (
    "Store the secret elsewhere, and write a secret:// reference to it, such as secret://env/NAME."
)

_SERVER_ADDRESS: Final = late_pattern(
    # The path in an address of HTTP or WebSocket may be a secret.
    r"(?!.*token)(?:"
    r"(?:amqps?|imaps?|ldaps?|mariadb|mongodb|mqtts?|mysql|postgresql|rediss?|sqlite)(?:\+\w+)?"
    r"://\S*|(?:nats|tls)://[^\s@]*)",
    re.IGNORECASE,
)
"""The address of a server such as a database; a password in the address is found separately."""

_NATS_WITH_USER: Final = late_pattern(r"(?:nats|tls)://\S*", re.IGNORECASE)
"""An address of NATS, in which the user is a token if no other setting has a secret."""

_LOGIN_SETTINGS: Final = frozenset({"password", "token", "nkey", "credentials"})


def plain_secrets(tree: Mapping[str, Any], where: str) -> tuple[Problem, ...]:
    """Return the secrets in plain text in a configuration, each with its path.

    Args:
        tree: the whole configuration.
        where: the place of the configuration, such as "a file".
    """
    tables = {name: table for name, table in tree.items() if name != ENVIRONMENTS}
    paths = list(_plain_text_paths(CONFIGURATION, tables, ""))
    environments = tree.get(ENVIRONMENTS)
    if is_object(environments):
        for name, overlay in environments.items():
            overlay_path = f"{ENVIRONMENTS}.{key(name)}"
            paths += _plain_text_paths(CONFIGURATION, overlay, overlay_path, base=tables)
    return tuple(
        Problem(path, f"The secret is written in plain text in {where}.", _REMEDY) for path in paths
    )


def _plain_text_paths(
    shape: Shape | None,
    value: Any,
    path: str,
    name: str = "",
    base: Any = None,
    *,
    has_login: bool = False,
) -> Iterator[str]:
    """Yield the path of each secret in plain text at or below a setting.

    Args:
        shape: the shape of the setting; None if it is unknown.
        value: the value of the setting.
        path: the path of the setting.
        name: the name of the setting.
        base: the value that an environment's value overrides; it may contain the kind of a table.
        has_login: whether another setting of the same table has a password or a token.
    """
    if is_object(value):
        base_table = base if is_object(base) else {}
        if isinstance(shape, AnyOf):
            shape = next((choice for choice in shape.shapes if isinstance(choice, Table)), None)
        if isinstance(shape, TableByKind):
            shape = kind_of(shape, {**base_table, **value}, path, name, Report())
        for field, entry in value.items():
            entry_shape = _shape_of_field(shape, field)
            yield from _plain_text_paths(
                entry_shape,
                entry,
                path_below(path, key(field)),
                str(field),
                base_table.get(field),
                has_login=any(
                    setting in table for table in (base_table, value) for setting in _LOGIN_SETTINGS
                ),
            )
    elif is_list(value):
        entry_shape = shape.of if isinstance(shape, ListOf) else shape
        for position, entry in enumerate(value):
            yield from _plain_text_paths(entry_shape, entry, f"{path}[{position}]")
    elif isinstance(value, str):
        if isinstance(shape, ListOf):
            shape = shape.of
        shapes = shape.shapes if isinstance(shape, AnyOf) else (shape,)
        is_plain = (
            any(_is_secret(choice, value) for choice in shapes)
            and not is_secret_reference(value)
            and not (has_login and _NATS_WITH_USER.fullmatch(value))
        )
        if (is_plain and value) or has_password(value):
            yield path


def _is_secret(shape: Shape | None, text: str) -> bool:
    """Return whether a setting's text is itself a secret.

    The path of a file with a secret is not a secret, and neither is the address of a server; a
    password in an address is found separately.
    """
    return (
        isinstance(shape, SecretText)
        and (not shape.or_path or PEM in text)
        and not _SERVER_ADDRESS.fullmatch(text)
    )


def _shape_of_field(shape: Shape | None, name: str) -> Shape | None:
    if isinstance(shape, ListOf):
        shape = shape.of
    if isinstance(shape, Table):
        field = shape.fields.get(name)
        return None if field is None else field.shape
    if not isinstance(shape, NamedTable):
        return None
    # Whether a header is a secret follows from its name.
    return SecretText() if isinstance(shape.of, Text) and is_sensitive(str(name)) else shape.of
