"""Encryption of stored data, so that a reader of the store cannot read it."""

from __future__ import annotations

from typing import Protocol


class Cipher(Protocol):
    """Encrypts and decrypts bytes. It is synchronous in every host, since it never waits.

    `seal` encrypts `plain` and binds it to the context `about`, which is not encrypted itself;
    sealing the same bytes twice gives different results. `open` returns the bytes that were sealed
    for the same context, or raises: InvalidData if they were changed, cut off, moved to another
    context or never sealed, and ConfigurationError if the key is missing. No error shows sealed
    content. `needs_rotation` returns whether sealing today would use another key. All methods are
    safe from several threads and after a fork.
    """

    def seal(self, plain: bytes, about: bytes, /) -> bytes: ...

    def open(self, sealed: bytes, about: bytes, /) -> bytes: ...

    def needs_rotation(self, sealed: bytes, /) -> bool: ...
