"""Credentials as people write them in files, environment variables and secret managers.

A credential is a table with the fields of `Credentials`, or with those of `OAuthCredentials` if it
has an `access_token`; or it is a string, which is a bearer token. A table without a `method` is a
bearer token too.

1. A binary secret is written as `secret_base64`. The way to sign requests is a table `signing` with
   the fields that belong to the `method`; its `lifetime` is in seconds.
2. Reading a written credential gives an equal one.
3. No error shows the string that was read, and no stack frame of this package that raises an error
   contains it.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from moorage.domain.auth.methods import AuthMethod, Credentials, OAuthCredentials
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.signings import SIGNINGS, Signing
from moorage.domain.values.frozen_values import NOTHING, fields_of
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import attrs

    from moorage.domain.auth.credential_codec import AnyCredentials

_OAUTH: Final = "access_token"
_BINARY: Final = "secret_base64"
_SECRETS: Final = frozenset({"secret", "access_token"})
_REMEDY: Final = (
    "Write a token, a table with a method, a secret and the other fields that the method"
    " needs (such as a username), or a table with an access_token."
)


def read_credentials(written: object, place: str) -> AnyCredentials:
    """Return the credentials that a person wrote, for example as a table in a file.

    Raises:
        InvalidData: the value is not a credential.
    """
    credentials, problem, remedy = _read_credentials(written)
    if credentials is not None:
        return credentials
    del written
    raise InvalidData(f"{place}: {problem}", field="credentials", remedy=remedy)


def read_credentials_text(text: Secret, place: str) -> AnyCredentials:
    """Return the credentials in a string: a table in JSON, or else a bearer token.

    Raises:
        InvalidData: the string is not a credential.
    """
    credentials, problem, remedy = _read_text(text)
    if credentials is not None:
        return credentials
    raise InvalidData(f"{place}: {problem}", field="credentials", remedy=remedy)


def is_credential(table: Mapping[str, Any]) -> bool:
    """Return whether a table describes one credential, and thus has a `method`."""
    return "method" in table or _OAUTH in table


def write_credentials(credentials: AnyCredentials) -> Secret:
    """Return credentials as a JSON string, which `read_credentials_text` can read."""
    return Secret(encode_json(_table(credentials)).decode())


def _read_text(text: Secret) -> tuple[AnyCredentials | None, str, str]:
    """Return the credentials in a string, or None with the problem and its remedy; never raise."""
    value, problem, remedy = _parse_text(text)
    if value is None:
        return None, problem, remedy
    return _read_credentials(value)


def _parse_text(text: Secret) -> tuple[object, str, str]:
    """Parse a string as a JSON object, if it is one; otherwise return the string. Never raise.

    If the string is neither, return None, with the problem and its remedy.
    """
    try:
        content = text.reveal()
    except InvalidData:
        return (
            None,
            "The secret is not valid UTF-8 text.",
            ("Store the secret as UTF-8 text, or as secret_base64."),
        )
    stripped_content = content.strip()
    if stripped_content.startswith(('"', "'")):
        return (
            None,
            "The secret begins with a quotation mark.",
            ("Store the secret without quotation marks."),
        )
    if not stripped_content.startswith(("{", "[")):
        return content, "", ""
    try:
        value = json.loads(content)
    except RecursionError:
        problem = "nested too deeply"
    except json.JSONDecodeError as error:
        problem = f"broken at line {error.lineno}, column {error.colno}"
    else:
        if isinstance(value, dict):
            return cast("object", value), "", ""
        problem = "a list"
    return (
        None,
        f"The secret begins like a JSON object, but is {problem}.",
        'Correct the JSON, such as {"method": "basic", "username": "…", "secret": "…"}.',
    )


def _read_credentials(written: object) -> tuple[AnyCredentials | None, str, str]:
    """Return the credentials in a value, or None with the problem and its remedy; never raise."""
    problem, remedy = "The credential is not a string or a table.", _REMEDY
    try:
        if isinstance(written, str):
            return Credentials.bearer(written), "", ""
        if isinstance(written, dict):
            credentials, problem = _credentials_of(written)  # pyright: ignore[reportUnknownArgumentType]  # parsed, so of any type
            return credentials, problem, remedy
    except InvalidData as error:
        problem = error.message
        # Other fields of the table depend on each other, so the remedy describes the whole table.
        remedy = error.remedy if error.field in _SECRETS else _REMEDY
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
        problem = "A field of the credential has an invalid value."
    return None, problem, remedy


def _credentials_of(table: Mapping[Any, Any]) -> tuple[AnyCredentials | None, str]:
    kind = OAuthCredentials if _OAUTH in table else Credentials
    names = {field.name for field in fields_of(kind)}
    if kind is Credentials:
        names.add(_BINARY)
    if not table.keys() <= names:
        return None, (
            f"The credential has an unknown field. The known fields are {', '.join(sorted(names))}."
        )
    fields = dict(table)
    if _BINARY in fields:
        if "secret" in fields:
            return None, f"The credential has both a secret and a {_BINARY}."
        fields["secret"] = _decode_bytes(fields.pop(_BINARY))
    if kind is Credentials:
        fields.setdefault("method", AuthMethod.BEARER)
    for name in ("expires_at", "issued_at"):
        if isinstance(fields.get(name), str):
            fields[name] = datetime.fromisoformat(fields[name])
    if "signing" in fields:
        problem = _sign(fields)
        if problem:
            return None, problem
    return kind(**fields), ""


def _sign(fields: dict[str, Any]) -> str:
    """Replace the table in the field `signing` by a signing object; return the problem, if any."""
    kind, table = SIGNINGS.get(fields["method"]), dict(fields["signing"])
    if kind is None:
        return (
            "The credential has a table signing, but its method is not one of"
            f" {', '.join(SIGNINGS)}."
        )
    defaults = fields_of(kind)
    if not table.keys() <= {field.name for field in defaults}:
        names = ", ".join(sorted(field.name for field in defaults))
        return f"The table signing has an unknown field. The known fields are {names}."
    missing_names = {field.name for field in defaults if field.default is NOTHING} - table.keys()
    if missing_names:
        return f"Its signing lacks {', '.join(sorted(missing_names))}."
    if "lifetime" in table:
        table["lifetime"] = timedelta(seconds=table["lifetime"])
    fields["signing"] = kind(**table)
    return ""


def _decode_bytes(text: str | Secret) -> bytes:
    try:
        encoded_text = text.reveal() if isinstance(text, Secret) else text
        return a2b_base64(encoded_text, strict_mode=True)
    except (TypeError, ValueError):
        pass
    del text
    encoded_text = ""
    raise InvalidData(
        f"{_BINARY} is not valid base64.",
        field="secret",
        remedy="Encode the secret in base64, or write it unencoded under the name secret.",
    )


def _table(value: AnyCredentials | attrs.AttrsInstance) -> dict[str, Any]:
    """Return a credential as a table: its method, and the fields that differ from defaults."""
    table: dict[str, Any] = {}
    for field in fields_of(type(value)):
        setting = getattr(value, field.name)
        if setting is None or (setting == field.default and field.name != "method"):
            continue
        if field.name == "secret" and not _is_text(setting):
            table[_BINARY] = b2a_base64(setting.reveal_bytes(), newline=False).decode()
        else:
            table[field.name] = _stored_value(setting)
    return table


def _is_text(secret: Secret) -> bool:
    try:
        secret.reveal()
    except InvalidData:
        return False
    return True


def _stored_value(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    # The remaining values are signing methods, and JSON values, in which a tuple becomes a list.
    return _table(value) if isinstance(value, get_args(Signing)) else value
