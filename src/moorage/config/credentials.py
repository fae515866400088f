"""Credentials in a configuration: a bearer token, a table, or a secret with a table in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.config.class_tables import field_descriptions, table_of
from moorage.config.shapes import (
    AnyOf,
    AnyValue,
    DateTimeShape,
    Field,
    ListOf,
    NamedTable,
    Number,
    OneOf,
    SecretText,
    Table,
    Text,
)
from moorage.domain.auth.credential_tables import read_credentials, read_credentials_text
from moorage.domain.auth.methods import AuthMethod, Credentials, OAuthCredentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.signings import SIGNINGS
from moorage.domain.values.frozen_values import evolve
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.config.shapes import Shape
    from moorage.domain.auth.credential_codec import AnyCredentials

_SHAPES: Final[Mapping[str, Shape]] = {
    "claims": AnyValue(),
    "headers": NamedTable(Text()),
    "query": NamedTable(Text()),
    "components": ListOf(Text()),
    "lifetime": Number(),
}


def _parse_secret(value: Secret | AnyCredentials) -> AnyCredentials:
    """Return the credentials in a secret: stored credentials, JSON, or a bearer token."""
    if not isinstance(value, Secret):
        return value
    try:
        return read_credentials_text(value, "The credentials")
    except InvalidData as error:
        problem, remedy = error.message, error.remedy
    raise ConfigurationError(problem, path="", remedy=remedy)


def _parse_table(**fields: Any) -> AnyCredentials:
    """Return the credentials that the fields of a table describe."""
    present_fields = {name: value for name, value in fields.items() if value is not None}
    try:
        return read_credentials(present_fields, "The credentials")
    except InvalidData as error:
        problem, remedy = error.message, error.remedy
    raise ConfigurationError(problem, path="", remedy=remedy)


def _optional(fields: Mapping[str, Field]) -> dict[str, Field]:
    return {name: evolve(field, required=False) for name, field in fields.items()}


def _signing_table() -> Table:
    """Return a table with the fields of all signing methods; `method` selects among them."""
    fields: dict[str, Field] = {}
    algorithm_names: list[str | int] = []
    for kind in SIGNINGS.values():
        table = table_of(kind, shapes=_SHAPES)
        algorithm = table.fields.get("algorithm")
        if algorithm is not None and isinstance(algorithm.shape, OneOf):
            algorithm_names += algorithm.shape.choices
        for name, field in table.fields.items():
            description = f"{kind.method}: {field.about}"
            earlier_field = fields.get(name)
            fields[name] = evolve(
                field,
                about=description
                if earlier_field is None
                else f"{earlier_field.about} {description}",
                default=None,
                required=False,
            )
    algorithms = OneOf(tuple(dict.fromkeys(algorithm_names)))
    fields["algorithm"] = evolve(fields["algorithm"], shape_or_load=algorithms)
    return Table("signing", "How requests are signed with a key that is not sent.", fields, dict)


def _table() -> Table:
    shapes: dict[str, Shape] = {
        "method": OneOf(tuple(method.value for method in AuthMethod)),
        "expires_at": DateTimeShape(),
        "issued_at": DateTimeShape(),
        "signing": _signing_table(),
        "secret": SecretText(),
        "scope": AnyOf((Text(), ListOf(Text()))),
    }
    plain_table = table_of(Credentials, shapes=shapes)
    oauth = table_of(OAuthCredentials, shapes=shapes)
    descriptions = field_descriptions(Credentials)
    fields = {**_optional(oauth.fields), **_optional(plain_table.fields)}
    fields["method"] = evolve(fields["method"], default=AuthMethod.BEARER.value)
    fields["secret_base64"] = Field(SecretText(), f"In base64: {descriptions.get('secret', '')}")
    return Table(
        "credentials", "The credentials that moorage sends to a service.", fields, _parse_table
    )


CREDENTIALS: Final = AnyOf((_table(), SecretText(_parse_secret)))
"""The shape of `credentials` of a service or a region."""
