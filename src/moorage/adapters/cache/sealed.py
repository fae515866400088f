"""A cache of encrypted responses in a shared state store, for all processes that use the store.

Any store can be used. Give the cache a store of its own (another prefix, file or database), so that
cached answers do not use the space that circuits and idempotency keys need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.cache.rules import StoredAnswers
from moorage.domain.cache.state import (
    CachedAnswers,
    ReadCachedAnswers,
    RemoveCachedAnswers,
    StoreCachedAnswers,
    pack_entries,
    unpack_entries,
)
from moorage.domain.state.packing import pack_values
from moorage.domain.values.durations import SECOND, micros
from moorage.domain.values.functions import check_store_kind, with_timeout
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from moorage.domain.cache.rules import Entries
    from moorage.ports.cipher import Cipher
    from moorage.ports.state import AsyncStateStorage, StateStorage

_STORAGE: Final = ("execute",)
_CIPHER: Final = ("seal", "open")


class _SealedEntries:
    """The common code of the caches: encrypts and decrypts cached responses."""

    def __init__(self, storage: Any, cipher: Any) -> None:
        for port, operations, name in ((storage, _STORAGE, "storage"), (cipher, _CIPHER, "cipher")):
            if not all(callable(getattr(port, operation, None)) for operation in operations):
                raise ConfigurationError(
                    f"The {name} is {with_article(type(port).__name__)}. A cache of encrypted"
                    " responses cannot use it.",
                    path=name,
                    remedy="Pass a store of shared state, and a cipher such as AesGcmCipher.",
                )
        self._storage = storage
        self._execute = with_timeout(storage.execute, 1)
        self._cipher: Cipher = cipher

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._storage!r})"

    def _unsealed(self, key: str, stored: CachedAnswers) -> StoredAnswers:
        if stored.content is None:
            return StoredAnswers(stored.version)
        try:
            entries = unpack_entries(self._cipher.open(stored.content, _binding_of(key)))
        except (ConfigurationError, InvalidData) as error:
            return StoredAnswers(stored.version, unreadable=type(error).__name__)
        age_seconds = stored.rested / SECOND
        return StoredAnswers(stored.version, tuple(entry.later(age_seconds) for entry in entries))

    def _store(
        self, key: str, version: int, entries: Entries, seconds: float
    ) -> StoreCachedAnswers:
        sealed_answers = self._cipher.seal(pack_entries(entries), _binding_of(key))
        return StoreCachedAnswers(key, version, sealed_answers, max(1, micros(seconds)))


def _binding_of(key: str) -> bytes:
    return pack_values(("kept answers", key))


class SealedCache(_SealedEntries):
    """A `ResponseCache` in a `StateStorage`, each entry encrypted and bound to its key.

    Args:
        storage: the store of the answers; preferably one that nothing else uses.
        cipher: encrypts the answers.

    Raises:
        ConfigurationError: there is no cipher.
    """

    def __init__(self, storage: StateStorage, cipher: Cipher) -> None:
        super().__init__(storage, cipher)
        check_store_kind(storage, "storage", is_async=False)

    def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        """Return the responses that are cached under a key."""
        return self._unsealed(key, self._execute(ReadCachedAnswers(key), timeout))

    def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        """Cache responses, unless the responses under the key have changed since `find`.

        Return True if they were stored.
        """
        was_stored: bool = self._execute(self._store(key, version, entries, seconds), timeout)
        return was_stored

    def delete(self, key: str, /, timeout: float | None = None) -> None:
        """Remove a key's responses; `store` then refuses responses based on an earlier `find`."""
        self._execute(RemoveCachedAnswers(key), timeout)


class AsyncSealedCache(_SealedEntries):
    """The asynchronous `SealedCache`.

    Args:
        storage: the store of the answers; preferably one that nothing else uses.
        cipher: encrypts the answers.

    Raises:
        ConfigurationError: there is no cipher.
    """

    def __init__(self, storage: AsyncStateStorage, cipher: Cipher) -> None:
        super().__init__(storage, cipher)
        check_store_kind(storage, "storage")

    async def find(self, key: str, /, timeout: float | None = None) -> StoredAnswers:
        """Return the responses that are cached under a key."""
        return self._unsealed(key, await self._execute(ReadCachedAnswers(key), timeout))

    async def store(
        self,
        key: str,
        version: int,
        entries: Entries,
        seconds: float,
        /,
        timeout: float | None = None,
    ) -> bool:
        """Cache responses, unless the responses under the key have changed since `find`.

        Return True if they were stored.
        """
        was_stored: bool = await self._execute(self._store(key, version, entries, seconds), timeout)
        return was_stored

    async def delete(self, key: str, /, timeout: float | None = None) -> None:
        """Remove a key's responses; `store` then refuses responses based on an earlier `find`."""
        await self._execute(RemoveCachedAnswers(key), timeout)
