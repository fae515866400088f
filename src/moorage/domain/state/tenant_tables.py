"""A tenant's configuration tables as bytes, which are encrypted before they are stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.domain.values.text import with_article
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping


def pack_tables(tables: object) -> bytes:
    """Encode a tenant's configuration tables, with secrets as plain text.

    Raises:
        InvalidData: the tables are not a dict, or a value cannot be written as JSON.
    """
    if is_object(tables):
        return encode_json(_reveal(tables))
    raise InvalidData(
        f"The tables of a tenant must be a dict, not {with_article(type(tables).__name__)}.",
        field="tables",
        remedy="Pass a dict, as under [tenants.NAME] in a configuration.",
    )


def unpack_tables(data: bytes) -> Mapping[str, Any]:
    """Decode a tenant's configuration tables."""
    return cast("Mapping[str, Any]", json.loads(data))


def _reveal(value: Any) -> Any:
    """Return a value with its secrets as plain text."""
    if isinstance(value, Secret):
        return value.reveal()
    if is_object(value):
        return {name: _reveal(entry) for name, entry in value.items()}
    if is_list(value):
        return [_reveal(entry) for entry in value]
    return value
