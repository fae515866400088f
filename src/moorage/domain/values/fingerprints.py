"""Fingerprints of requests and payloads. Their digest is computed only when needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.loading import LOADING_ERRORS, not_loaded_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash

LONGEST_KEPT: Final = 4_096
"""Bytes; the digest of longer content is computed at once."""


def new_sha256() -> _Hash:
    """Return the SHA-256 hash of no bytes; the first call loads OpenSSL.

    Raises:
        LocalFailure: this process has no files or memory left to load OpenSSL.
    """
    try:
        from hashlib import sha256  # noqa: PLC0415 - most programs never need it
    except LOADING_ERRORS as error:
        failure = error
    else:
        return sha256()
    raise not_loaded_error("Python's hashlib", failure)


def digest_of(fingerprint: bytes | Fingerprint) -> bytes:
    """Return a fingerprint's digest, which stores and other processes see."""
    return fingerprint if isinstance(fingerprint, bytes) else fingerprint.digest()


class Fingerprint:
    """A fingerprint that computes its digest only if two contents differ.

    A repeat usually has the same bytes as the first request; then nothing has to be parsed. A
    fingerprint equals another fingerprint, or a digest in bytes, if and only if their digests are
    equal.

    Args:
        content: bytes, or nested tuples of strings and bytes; equal content has an equal digest.
        compute_digest: the rule that computes the digest of the content.
    """

    __slots__ = ("_content", "_digest", "_digested")

    def __init__(self, content: Any, compute_digest: Callable[[Any], bytes]) -> None:
        self._content = content
        self._digested = compute_digest
        self._digest: bytes | None = None

    def digest(self) -> bytes:
        """Return the digest of the content, computed at the first use."""
        if self._digest is None:
            self._digest = self._digested(self._content)
        return self._digest

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Fingerprint):
            same_rule = self._digested is other._digested
            if same_rule and self._content == other._content:
                return True
            return self.digest() == other.digest()
        return self.digest() == other if isinstance(other, bytes) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest())

    def __repr__(self) -> str:
        return "<Fingerprint>"
