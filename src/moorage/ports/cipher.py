"""How what is stored is kept from those who can read the store."""

from __future__ import annotations

from typing import Protocol


class Cipher(Protocol):
    """Seals bytes, and opens what it sealed. It is plain in both colours, for it never waits.

    `seal` hides `plain` and binds it to `about`, which is not hidden; the same bytes sealed twice
    look different. `open` gives back exactly what was sealed about the same, or raises: InvalidData
    if it was changed, cut off, moved to something else or never sealed, and ConfigurationError if
    its key is not here. No error shows what was sealed. `needs_rotation` tells whether something
    would be sealed with another key today. All are safe from several threads and after a fork.
    """

    def seal(self, plain: bytes, about: bytes, /) -> bytes: ...

    def open(self, sealed: bytes, about: bytes, /) -> bytes: ...

    def needs_rotation(self, sealed: bytes, /) -> bool: ...
