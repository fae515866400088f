"""Pages of key listings, as in all object storages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.frozen
class Listing:
    """One page of a listing of keys.

    Attributes:
        keys: the listed keys.
        folders: the folders that stand for several keys.
        entries: keys and folders in order.
        last: the last key of the page, after which the next page begins.
        has_more: True if there is a next page.
    """

    keys: tuple[str, ...]
    folders: tuple[str, ...]
    entries: tuple[str, ...]
    last: str
    has_more: bool


def page_of(
    keys: Iterable[str], *, prefix: str, delimiter: str | None, marker: str, size: int
) -> Listing:
    """Return the listing page that begins after a key.

    Args:
        keys: all keys.
        prefix: text with which the listed keys begin.
        delimiter: the end of a folder's name; if empty, there are no folders.
        marker: the key after which the page begins.
        size: number of entries that a page may have.
    """
    entries: list[str] = []
    folders: list[str] = []
    last, has_more = marker, False
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= marker.encode():
            continue
        folder = _folder_of(key, prefix, delimiter)
        if not folder or (folder not in folders and not marker.startswith(folder)):
            if len(entries) == size:
                has_more = True
                break
            entries.append(folder or key)
            folders += [folder] if folder else []
        last = key
    listed_keys = tuple(entry for entry in entries if entry not in folders)
    return Listing(listed_keys, tuple(folders), tuple(entries), last, has_more)


def _folder_of(key: str, prefix: str, delimiter: str | None) -> str:
    if not delimiter or delimiter not in key[len(prefix) :]:
        return ""
    return key[: key.index(delimiter, len(prefix)) + len(delimiter)]
