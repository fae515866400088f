"""Files of another library's filesystem: the URL, the options and the files' descriptions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, unquote, urlsplit

import attrs

from moorage.domain.secrets.sensitive import is_sensitive
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.secrets.secret import Secret

HTTP: Final = frozenset({"http", "https"})
WEBDAV: Final = frozenset({"webdav", "dav"})
_TIMES: Final = (
    *("mtime", "modified", "modify", "last_modified", "LastModified", "updated"),
    *("server_modified", "last_write_time", "created"),
)
_VERSIONS: Final = ("etag", "ETag", "content_hash", "md5", "version")


@attrs.frozen(kw_only=True)
class ForeignFile:
    """A file or folder as its filesystem describes it.

    Attributes:
        name: last part of its path.
        is_file, is_folder: whether it is a file or a folder; both are False for a link.
        size: number of bytes.
        modified: time of the last change; None if the filesystem states none.
        stamp: text that changes when the size, the time or the version of the file changes.
    """

    name: str
    is_file: bool
    is_folder: bool
    size: int
    modified: datetime | None
    stamp: str


def read_description(description: Mapping[str, Any], *, quoted: bool = False) -> ForeignFile:
    """Return a file from the filesystem's description of it.

    Args:
        description: names and values, as `info` and `ls` of fsspec return them.
        quoted: True if the name is a part of a URL.
    """
    name = str(description.get("name", "")).rstrip("/").rpartition("/")[2]
    size = int(description.get("size") or 0)
    modified_at = next(
        (time for name in _TIMES if (time := _time(description.get(name))) is not None), None
    )
    version = next((text for name in _VERSIONS if (text := description.get(name))), "")
    microseconds = 0 if modified_at is None else round(modified_at.timestamp() * 1e6)
    stamp = hashlib.sha256(f"{size}-{microseconds}-{version}".encode()).hexdigest()[:32]
    return ForeignFile(
        name=unquote(name) if quoted else name,
        is_file=description.get("type") == "file",
        is_folder=description.get("type") == "directory",
        size=size,
        modified=modified_at,
        stamp=stamp,
    )


def _time(value: object) -> datetime | None:
    """Parse a file's time, which a filesystem states as a date, in seconds or as text."""
    try:
        if isinstance(value, (int, float)):
            value = datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            value = _time_of_text(value)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _time_of_text(text: str) -> datetime:
    """Return the time in a string in the form of FTP (20261120120000.123), ISO 8601 or HTTP."""
    digits, _, fraction = text.partition(".")
    if len(digits) == 14 and digits.isdecimal():
        written_time = datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return written_time.replace(microsecond=int(fraction.ljust(6, "0")[:6] or 0))
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def protocol_of(url: str) -> str:
    """Return the protocol of a filesystem's URL, such as "sftp".

    Raises:
        ConfigurationError: the text is not a URL of one filesystem, or contains a password.
    """
    protocol, separator, _ = url.partition("://")
    if not separator or not protocol or "::" in url:
        raise ConfigurationError(
            "This text is not the URL of a filesystem.",
            path="url",
            remedy="Write one protocol and a path, such as 'sftp://files.example/outgoing'.",
        )
    try:
        has_password = urlsplit(url).password is not None
    except ValueError:
        has_password = True
    if has_password:
        raise ConfigurationError(
            "The URL of a filesystem contains a password, or cannot be read.",
            path="url",
            remedy="Set the password as `secrets.password`.",
        )
    return protocol.lower()


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse a filesystem option that should be given as a secret.

    Raises:
        ConfigurationError: an option's name suggests that it is a credential.
    """
    for name, value in _nested_options(options):
        if is_sensitive(name) and isinstance(value, str):
            raise ConfigurationError(
                f"The option {name!r} of a filesystem is likely to be a secret.",
                path=f"options.{name}",
                remedy=f"Set it under `secrets`, with the name {name!r}.",
            )


def _nested_options(options: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _nested_options(cast("Mapping[str, Any]", value), f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def revealed_options(
    protocol: str, options: Mapping[str, Any], secrets: Mapping[str, Secret]
) -> dict[str, Any]:
    """Return the arguments of a filesystem's class, with its secrets in plain text.

    A dot in the name of a secret addresses a key of an option that is a mapping. WebDAV expects a
    user and a password as a pair.
    """
    arguments: dict[str, Any] = dict(options)
    for name, secret in secrets.items():
        *outer_names, last_name = name.split(".")
        table = arguments
        for outer_name in outer_names:
            inner_table: object = table.get(outer_name)
            is_table = isinstance(inner_table, Mapping)
            copied_table = dict(cast("Mapping[str, Any]", inner_table)) if is_table else {}
            table[outer_name] = table = copied_table
        table[last_name] = secret.reveal()
    if protocol in WEBDAV and "password" in arguments:
        arguments["auth"] = (arguments.pop("username", ""), arguments.pop("password"))
    return arguments


def path_of(protocol: str, root: str, key: str) -> str:
    """Return the path of a file below a root folder; over HTTP it is a URL."""
    name = quote(key) if protocol in HTTP else key
    return f"{root.rstrip('/')}/{name}" if root else name
