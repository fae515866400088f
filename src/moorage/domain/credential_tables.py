"""Credentials as people write them into files, variables and secret managers.

A credential is a table with the fields of `Credentials`, or those of `OAuthCredentials` where it
has an `access_token`; or it is a text, which is a bearer token. Without a `method` it is one too.

1. A binary secret is written as `secret_base64`. How requests are signed is a table `signing`, with
   the fields of the way of signing that the `method` names; its `lifetime` is in seconds.
2. What is written here is read here as what it was.
3. No refusal shows what was read, and no frame of ours that raises holds it.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, get_args

import attrs

from moorage.domain.auth import AuthMethod, Credentials, OAuthCredentials, Signing
from moorage.domain.json_text import encode_json
from moorage.domain.keeping import SIGNINGS
from moorage.domain.secret import Secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.keeping import Kept

_OAUTH: Final = "access_token"
_BINARY: Final = "secret_base64"


def read_credentials(written: object, place: str) -> Kept:
    """The credentials that a person wrote at this place.

    Raises:
        InvalidData: they are none.
    """
    kept, problem = _read(written)
    if kept is not None:
        return kept
    del written
    raise InvalidData(
        f"{place}: {problem}",
        field="credentials",
        remedy="Write a token; or a table with a method, a secret and what the method needs, such"
        " as a username; or one with an access_token.",
    )


def read_credentials_text(text: Secret, place: str) -> Kept:
    """The credentials that a text at this place is: a table in JSON, or else a bearer token.

    Raises:
        InvalidData: they are none.
    """
    return read_credentials(_parsed(text), place)


def write_credentials(kept: Kept) -> Secret:
    """Credentials as a table in JSON, which `read_credentials_text` reads."""
    return Secret(encode_json(_table(kept)).decode())


def _parsed(text: Secret) -> object:
    """A table, or the text itself; what only looks like a table is none. It raises nothing."""
    try:
        if not text.reveal().lstrip().startswith("{"):
            return text.reveal()
        return json.loads(text.reveal())
    except (InvalidData, ValueError, RecursionError):
        return None


def _read(written: object) -> tuple[Kept | None, str]:
    try:
        if isinstance(written, str):
            return Credentials.bearer(written), ""
        if isinstance(written, dict):
            return _of(written)  # pyright: ignore[reportUnknownArgumentType]
    except InvalidData as error:
        return None, error.message
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
        return None, "A field of it has a value that it cannot have."
    return None, "It is neither a text nor a table."


def _of(table: Mapping[Any, Any]) -> tuple[Kept | None, str]:
    kind = OAuthCredentials if _OAUTH in table else Credentials
    known = {field.name for field in attrs.fields(kind)}
    if kind is Credentials:
        known.add(_BINARY)
    if not table.keys() <= known:
        return None, f"It has a field that is none of {', '.join(sorted(known))}."
    fields = dict(table)
    if _BINARY in fields:
        if "secret" in fields:
            return None, f"It has both a secret and a {_BINARY}."
        fields["secret"] = _decoded(fields.pop(_BINARY))
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
    """Put the way of signing where its table was, or tell what is wrong with the table."""
    kind, table = SIGNINGS.get(fields["method"]), dict(fields["signing"])
    if kind is None:
        return f"It has a table signing, and its method is none of {', '.join(SIGNINGS)}."
    known = attrs.fields(kind)
    if not table.keys() <= {field.name for field in known}:
        names = ", ".join(sorted(field.name for field in known))
        return f"Its signing has a field that is none of {names}."
    missing = {field.name for field in known if field.default is attrs.NOTHING} - table.keys()
    if missing:
        return f"Its signing lacks {', '.join(sorted(missing))}."
    if "lifetime" in table:
        table["lifetime"] = timedelta(seconds=table["lifetime"])
    fields["signing"] = kind(**table)
    return ""


def _decoded(text: str) -> bytes:
    try:
        return a2b_base64(text, strict_mode=True)
    except (TypeError, ValueError):
        pass
    del text
    raise InvalidData(
        f"The {_BINARY} is not written in base64.",
        field="secret",
        remedy="Give the secret in base64, or as it is under the name secret.",
    )


def _table(value: Kept | attrs.AttrsInstance) -> dict[str, Any]:
    """The fields that are not what they would be if nobody gave them; and the method, always."""
    table: dict[str, Any] = {}
    for field in attrs.fields(type(value)):
        found = getattr(value, field.name)
        if found is None or (found == field.default and field.name != "method"):
            continue
        if field.name == "secret" and not _is_text(found):
            table[_BINARY] = b2a_base64(found.reveal_bytes(), newline=False).decode()
        else:
            table[field.name] = _written(found)
    return table


def _is_text(secret: Secret) -> bool:
    try:
        secret.reveal()
    except InvalidData:
        return False
    return True


def _written(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    # What is left is a way of signing; or what JSON knows, for which a tuple is a list.
    return _table(value) if isinstance(value, get_args(Signing)) else value
