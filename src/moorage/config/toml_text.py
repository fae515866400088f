"""Writes tables as TOML, for display and for configuration files."""

from __future__ import annotations

import json
import math
import re
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE_KEY: Final = late_pattern(r"[A-Za-z0-9_-]+")
# Up to the last @ before the next URL, because a password may contain an @ that is not encoded.
_USER_INFO: Final = late_pattern(r"(?<=://)(?:(?!://)\S)+(?=@)")
_USER: Final = late_pattern(r"((?:\$\{[^}]*\}|[^:])*)(?::(.*))?", re.DOTALL)
"""The user and the password in a URL; a colon in ${NAME:-fallback} does not separate them."""
_PORT: Final = late_pattern(r"\d{1,5}(?![^/?#])")
_QUERY: Final = late_pattern(
    r"(?<=[?&])([^=&?\s#]*(?:passw|passphrase|pwd|secret)[^=&?\s#]*=)([^&\s#]+)", re.IGNORECASE
)
_WIDEST: Final = 80


def write_toml(tree: Mapping[str, Any]) -> str:
    """Return the tables as TOML, without null values, which do not exist in TOML."""
    return "\n".join(_table_lines(tree, ())).strip("\n") + "\n"


def mask_secrets(value: Any, name: str = "") -> Any:
    """Return a value for display, with secrets and possible secrets masked.

    References to secrets are not masked.
    """
    if is_object(value):
        return {
            name_inside: mask_secrets(entry, str(name_inside))
            for name_inside, entry in value.items()
        }
    if is_list(value):
        return [mask_secrets(entry, name) for entry in value]
    if isinstance(value, Secret):
        return MASK
    if not isinstance(value, str) or is_reference(value):
        return value
    return MASK if is_sensitive(name) else without_password(value)


def is_reference(text: str) -> bool:
    """Return whether a string refers to a secret without containing it."""
    return text.startswith("secret://") or re.fullmatch(r"\$\{[A-Za-z_]\w*\}", text) is not None


def has_password(text: str) -> bool:
    """Return whether a string is a URL with a password in plain text."""
    return without_password(text) != text


def without_password(text: str) -> str:
    """Return a string with user names, passwords and secret query parameters of its URLs masked."""
    if "://" not in text:
        return text
    return _QUERY.sub(_masked_query, _USER_INFO.sub(_masked_user, text))


def _masked_user(match: re.Match[str]) -> str:
    user, password = _USER.fullmatch(match[0]).groups("")  # type: ignore[union-attr]  # matches any text
    # Without user and password, the text before an @ is a host with its port and path.
    is_password = password and not re.search(r"[/?#]", user) and not _PORT.match(password)
    return MASK if is_password and not is_reference(password) else match[0]


def _masked_query(match: re.Match[str]) -> str:
    return match[0] if is_reference(match[2]) else f"{match[1]}{MASK}"


def _table_lines(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    present_settings = {name: value for name, value in tree.items() if value is not None}
    tables = {name: value for name, value in present_settings.items() if _has_heading(value)}
    inline_settings = {
        name: value for name, value in present_settings.items() if name not in tables
    }
    if path and (inline_settings or not tables):
        yield f"\n[{_dotted_path(path)}]"
    for name, value in inline_settings.items():
        yield f"{_key(name)} = {_value(value)}"
    for name, table in tables.items():
        table_path = (*path, name)
        if is_object(table):
            yield from _table_lines(table, table_path)
        else:
            for entry in table:
                yield from _entry_lines(entry, table_path)


def _entry_lines(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the TOML lines of one table in a list; tables inside are written inline."""
    yield f"\n[[{_dotted_path(path)}]]"
    for name, value in tree.items():
        if value is not None:
            yield f"{_key(name)} = {_value(value)}"


def _has_heading(value: Any) -> bool:
    """Return whether a value is written under a TOML heading: a table, or a list of tables."""
    if is_object(value):
        return True
    return is_list(value) and bool(value) and all(is_object(entry) for entry in value)


def _dotted_path(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _key(name: object) -> str:
    text = str(name)
    return text if _BARE_KEY.fullmatch(text) else _text(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if is_list(value):
        return _list(value)
    if is_object(value):
        pairs = ", ".join(
            f"{_key(name)} = {_value(entry)}" for name, entry in value.items() if entry is not None
        )
        return f"{{ {pairs} }}" if pairs else "{}"
    return str(value) if isinstance(value, int) else _text(str(value))


def _list(value: list[Any]) -> str:
    entries = [_value(entry) for entry in value if entry is not None]
    line = f"[{', '.join(entries)}]"
    if len(line) <= _WIDEST:
        return line
    return "[\n" + "".join(f"    {entry},\n" for entry in entries) + "]"


def _number_text(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}inf"


def _text(value: str) -> str:
    # TOML has the same escapes as JSON, except for the control character DEL. A lone surrogate is
    # written as an escape, which TOML readers refuse.
    text = value.encode("utf-8", "backslashreplace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
