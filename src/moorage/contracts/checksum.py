"""Checksums, which detect bytes that were changed during a transfer."""

from __future__ import annotations

import re
import zlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.contracts.validators import OneOf, is_a, is_maybe_count
from moorage.domain.values.crc32c import crc32c
from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_PARTS: Final = re.compile(r"[0-9]{1,9}")


class ChecksumAlgorithm(OneOf, field="algorithm"):
    """An algorithm that computes a checksum."""

    CRC32 = "crc32"
    CRC32C = "crc32c"
    CRC64NVME = "crc64nvme"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"


class RunningChecksum(Protocol):
    """A checksum that is computed piece by piece."""

    def update(self, data: bytes, /) -> None:
        """Add bytes to the checksum."""
        ...

    def digest(self) -> bytes:
        """The checksum of all bytes that were added."""
        ...


class _Crc:
    def __init__(self, make: Callable[[bytes, int], int]) -> None:
        self._make = make
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._make(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def _hash(name: str) -> RunningChecksum:
    import hashlib  # noqa: PLC0415 - loads OpenSSL

    return hashlib.new(name, usedforsecurity=False)


_CHECKSUM_MAKERS: Final[dict[ChecksumAlgorithm, Callable[[], RunningChecksum]]] = {
    ChecksumAlgorithm.CRC32: lambda: _Crc(zlib.crc32),
    ChecksumAlgorithm.CRC32C: lambda: _Crc(crc32c),
    ChecksumAlgorithm.MD5: lambda: _hash("md5"),
    ChecksumAlgorithm.SHA1: lambda: _hash("sha1"),
    ChecksumAlgorithm.SHA256: lambda: _hash("sha256"),
}


def start_checksum(algorithm: ChecksumAlgorithm) -> RunningChecksum | None:
    """Start a checksum; None if this Python cannot compute the algorithm."""
    checksum_class = _CHECKSUM_MAKERS.get(algorithm)
    return None if checksum_class is None else checksum_class()


def _lower_hex(value: str) -> str:
    return value.lower() if isinstance(value, str) else value


def _is_hex(_: object, __: object, value: Any) -> None:
    if not _HEX.fullmatch(value):
        raise InvalidData(
            "The checksum must be a hexadecimal string of the length that its algorithm has.",
            field="checksum",
            remedy="Give the checksum in hexadecimal digits, or use Checksum.of(algorithm, data).",
        )


@frozen
class Checksum:
    """A checksum of bytes.

    Attributes:
        algorithm: algorithm that computed it.
        value: checksum in lower-case hex.
        parts: number of upload parts whose checksums were combined into this one; None if it was
            computed from the bytes themselves.
    """

    algorithm: ChecksumAlgorithm = field(converter=ChecksumAlgorithm)
    value: str = field(converter=_lower_hex, validator=[is_a(str), _is_hex])
    parts: int | None = field(default=None, validator=is_maybe_count)

    @classmethod
    def of(cls, algorithm: ChecksumAlgorithm | str, data: bytes) -> Checksum:
        """Compute the checksum of these bytes."""
        hasher = start_checksum(ChecksumAlgorithm(algorithm))
        if hasher is None:
            raise InvalidData(
                f"This Python cannot compute a checksum of {algorithm}.",
                field="checksum",
                remedy="Use crc32, crc32c, md5, sha1 or sha256.",
            )
        hasher.update(data)
        return cls(ChecksumAlgorithm(algorithm), hasher.digest().hex())

    @classmethod
    def from_base64(cls, algorithm: ChecksumAlgorithm, text: str | None) -> Checksum | None:
        """Parse a base64 checksum from an HTTP header; a suffix such as `-3` counts the parts."""
        digest, dash, parts = (text or "").partition("-")
        try:
            value = b64decode(digest, validate=True).hex()
        except ValueError:
            return None
        if not value or (dash and not _PARTS.fullmatch(parts)):
            return None
        return cls(algorithm, value, int(parts) if dash else None)

    @property
    def base64(self) -> str:
        """The checksum in base64, as HTTP headers carry it."""
        return b64encode(bytes.fromhex(self.value)).decode()

    def fits(self, data: bytes) -> bool:
        """True if these bytes have this checksum; False if the checksum cannot be computed."""
        hasher = start_checksum(self.algorithm)
        if hasher is None or self.parts is not None:
            return False
        hasher.update(data)
        return hasher.digest().hex() == self.value
