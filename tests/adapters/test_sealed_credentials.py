"""Encrypted credentials in a host's own table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sealed import (
    AsyncSealedCredentialProvider,
    Row,
    SealedCredentialProvider,
)
from moorage.testing import credentials_conformance as kit
from moorage.testing.kits.checks import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.credentials.sealed import TextReplacement

CIPHER = AesGcmCipher(generate_keys())


class Dictionary:
    """A table of encrypted strings that is kept in a dictionary."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}

    def find(self, about: bytes, /) -> bytes | None:
        """Return the stored string with this id, or None."""
        return self._kept.get(about)

    def put(self, about: bytes, sealed: bytes, /) -> None:
        """Store a string."""
        self._kept[about] = sealed

    def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        """Replace existing strings."""
        stored_chunks = [swap for swap in swaps if self._kept.get(swap.about) == swap.old]
        self._kept.update({item.about: item.new for item in stored_chunks})
        return len(stored_chunks)

    def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        """Return up to `size` rows in order."""
        places = [entry for entry in sorted(self._kept) if entry > after][:size]
        return [Row(place, place, self._kept[place]) for place in places]

    def drop(self, about: bytes, /) -> bool:
        """Remove a string."""
        return self._kept.pop(about, None) is not None

    def clear(self) -> int:
        """Remove all strings."""
        number = len(self._kept)
        self._kept.clear()
        return number


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_sealed_credential_provider_passes_conformance_kit(check: kit.Check) -> None:
    """SealedCredentialProvider passes the conformance kit."""
    check(lambda renew: SealedCredentialProvider(Dictionary(), CIPHER, renew=renew))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_sealed_credential_provider_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncSealedCredentialProvider passes the conformance kit."""
    asyncio.run(
        check(lambda renew: AsyncSealedCredentialProvider(Dictionary(), CIPHER, renew=renew))
    )


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_owners_are_listed_and_deleted(*, is_async: bool) -> None:
    """Owners of credentials are listed without decryption, and deleted credentials are gone."""
    rows = Dictionary()
    plain_provider = SealedCredentialProvider(rows, CIPHER)
    provider: Any = AsyncSealedCredentialProvider(rows, CIPHER) if is_async else plain_provider
    plain_provider.rotate("stripe", "acme", kit.OLD)
    plain_provider.rotate("stripe", None, kit.OTHER)

    def call_provider(method: Any, *value: object) -> Any:
        return asyncio.run(method(*value)) if is_async else method(*value)

    assert [("stripe", None), ("stripe", "acme")] == call_provider(provider.owners)
    assert 0 == call_provider(provider.reseal)
    assert call_provider(provider.delete, "stripe", "acme")
    assert not call_provider(provider.delete, "stripe", "acme")
    assert [("stripe", None)] == call_provider(provider.owners)
