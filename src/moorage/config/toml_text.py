"""Tables as TOML, for people to read and for files to be written anew."""

from __future__ import annotations

import json
import math
import re
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
# To the last @ before the next URL: a password may hold whatever should have been encoded.
_USER: Final = re.compile(r"(?<=://)(?:(?!://)\S)+(?=@)")
_PORT: Final = re.compile(r"\d{1,5}(?![^/?#])")
_QUERY: Final = re.compile(
    r"(?<=[?&])([^=&?\s#]*(?:passw|passphrase|pwd|secret)[^=&?\s#]*=)([^&\s#]+)", re.IGNORECASE
)
_WIDEST: Final = 80


def write_toml(tree: Mapping[str, Any]) -> str:
    """The tables as TOML. Null, which TOML does not know, is left out."""
    return "\n".join(_table(tree, ())).strip("\n") + "\n"


def masked(value: Any, name: str = "") -> Any:
    """The value as it may be shown: without what is, or may be, a secret.

    What only says where a secret is stays.
    """
    if is_object(value):
        return {own: masked(one, str(own)) for own, one in value.items()}
    if is_list(value):
        return [masked(one, name) for one in value]
    if isinstance(value, Secret):
        return MASK
    if not isinstance(value, str) or is_reference(value):
        return value
    return MASK if is_sensitive(name) else without_password(value)


def is_reference(text: str) -> bool:
    """Whether a text says where a secret is, and not what it is."""
    return text.startswith("secret://") or re.fullmatch(r"\$\{[A-Za-z_]\w*\}", text) is not None


def has_password(text: str) -> bool:
    """Whether a text is a URL with a password in it that stands there plainly."""
    return without_password(text) != text


def without_password(text: str) -> str:
    """A text without the name and password that a URL in it may have, or those of its query."""
    if "://" not in text:
        return text
    return _QUERY.sub(_of_query, _USER.sub(_of_user, text))


def _of_user(found: re.Match[str]) -> str:
    user, _, password = found[0].partition(":")
    # Without a name and password, what stands before an @ is a host with its port and path.
    is_one = password and not re.search(r"[/?#]", user) and not _PORT.match(password)
    return MASK if is_one and not is_reference(password) else found[0]


def _of_query(found: re.Match[str]) -> str:
    return found[0] if is_reference(found[2]) else f"{found[1]}{MASK}"


def _table(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    given = {name: one for name, one in tree.items() if one is not None}
    tables = {name: one for name, one in given.items() if _stands_apart(one)}
    plain = {name: one for name, one in given.items() if name not in tables}
    if path and (plain or not tables):
        yield f"\n[{_dotted(path)}]"
    for name, one in plain.items():
        yield f"{_key(name)} = {_value(one)}"
    for name, one in tables.items():
        own = (*path, name)
        if is_object(one):
            yield from _table(one, own)
        else:
            for each in one:
                yield from _entry(each, own)


def _entry(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """One of several tables of a name; those in it are written inside."""
    yield f"\n[[{_dotted(path)}]]"
    for name, one in tree.items():
        if one is not None:
            yield f"{_key(name)} = {_value(one)}"


def _stands_apart(value: Any) -> bool:
    """Whether a value gets a heading: a table, or several tables."""
    if is_object(value):
        return True
    return is_list(value) and bool(value) and all(is_object(one) for one in value)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _key(name: object) -> str:
    text = str(name)
    return text if _BARE.fullmatch(text) else _text(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if is_list(value):
        return _list(value)
    if is_object(value):
        inner = ", ".join(f"{_key(own)} = {_value(one)}" for own, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return str(value) if isinstance(value, int) else _text(str(value))


def _list(value: list[Any]) -> str:
    inner = [_value(one) for one in value if one is not None]
    line = f"[{', '.join(inner)}]"
    if len(line) <= _WIDEST:
        return line
    return "[\n" + "".join(f"    {one},\n" for one in inner) + "]"


def _number(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return repr(value) if math.isfinite(value) else f"{'-' if value < 0 else ''}inf"


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but for the last of the control characters. No letters are halves
    # of a pair; whoever reads such a text refuses it.
    text = value.encode("utf-8", "backslashreplace").decode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
