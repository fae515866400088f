"""The order of keys in a tree of folders, and the pages of a list of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from moorage.domain.values.file_entry import names_of
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LAST_CHARACTER: Final = "\U0010ffff"

Children: TypeAlias = "Callable[[str], Iterable[tuple[str, bool]]]"
"""Returns the name of each file and folder in a folder, and True for a folder.

The folder is given by the beginning of its keys, such as "invoices/", or "" for the root.
"""


class KeyPage(NamedTuple):
    """A page of a list of keys.

    Attributes:
        keys: the keys of files.
        folders: the beginnings of deeper keys, up to the delimiter.
        after: the text to continue after; None at the end.
    """

    keys: list[str]
    folders: list[str]
    after: str | None


def page_of_keys(
    children: Children, prefix: str, delimiter: str | None, after: str, limit: int
) -> KeyPage:
    """Return a page of the files and folders after a given key, in the order of their keys."""
    found_keys: list[str] = []
    folders: list[str] = []
    keys = keys_after(children, prefix, after)
    while len(found_keys) + len(folders) < limit:
        key = next(keys, None)
        if key is None:
            return KeyPage(found_keys, folders, None)
        relative_key = key[len(prefix) :]
        if delimiter and delimiter in relative_key:
            folder = prefix + relative_key[: relative_key.index(delimiter)] + delimiter
            folders.append(folder)
            after = folder + _LAST_CHARACTER
            keys = keys_after(children, prefix, after)
        else:
            after = key
            found_keys.append(key)
    return KeyPage(found_keys, folders, None if next(keys, None) is None else after)


def keys_after(children: Children, prefix: str, after: str, folder: str = "") -> Iterator[str]:
    """Yield the keys that have a prefix and come after a given key, in the order of their bytes.

    A folder is only read if it may have such keys.
    """
    contents = [
        f"{folder}{name}/" if is_folder else folder + name for name, is_folder in children(folder)
    ]
    for key in sorted(contents, key=_bytes_of):
        if not _is_key(key.removesuffix("/")):
            continue
        is_unrelated = not key.startswith(prefix) and not prefix.startswith(key)
        is_past = _bytes_of(key) <= _bytes_of(after) and not after.startswith(key)
        if key.endswith("/") and not is_unrelated and not is_past:
            yield from keys_after(children, prefix, after, key)
        elif not key.endswith("/") and key.startswith(prefix) and _bytes_of(key) > _bytes_of(after):
            yield key


def _bytes_of(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _is_key(text: str) -> bool:
    """Return whether a file name, perhaps from another program, is a valid object key."""
    try:
        names_of(text)
    except (InvalidData, UnicodeEncodeError):
        return False
    return True
