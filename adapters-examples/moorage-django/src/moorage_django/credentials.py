"""Credentials in Django's database, encrypted with MOORAGE_KEYS for their owners."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from django.db import transaction

from moorage.adapters.credentials.sealed import (
    AsyncSealedCredentialProvider,
    Row,
    SealedCredentialProvider,
)
from moorage.domain.state.packing import unpack_values
from moorage_django.errors import translating_errors
from moorage_django.models import Credential
from moorage_django.threads import closing_connection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.adapters.credentials.sealed import TextReplacement
    from moorage.ports.cipher import Cipher

_MAX_LENGTH = 500


class OrmRows:
    """The credentials table in the database of a Django alias.

    Args:
        alias: the alias of a database on which the project has no transactions. A rollback would
            undo renewed tokens, and the vendor accepts only the newest token.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._rows = Credential.objects.using(alias)

    @translating_errors
    def find(self, about: bytes, /) -> bytes | None:
        """Return an owner's encrypted string."""
        sealed_text = self._rows.filter(pk=_id(about)).values_list("sealed", flat=True).first()
        return None if sealed_text is None else bytes(sealed_text)

    @translating_errors
    def put(self, about: bytes, sealed: bytes, /) -> None:
        """Store an encrypted string."""
        tenant, service, _ = unpack_values(about)
        fields = {
            "service": _storable_name(service),
            "tenant": tenant and _storable_name(tenant),
            "about": about,
            "sealed": sealed,
        }
        self._rows.update_or_create(pk=_id(about), defaults=fields)

    @translating_errors
    def swap(self, swaps: Sequence[TextReplacement], /) -> int:
        """Replace encrypted strings unless they changed since being read; lock rows in id order."""
        ordered_swaps = sorted(
            (_id(identity), old_bytes, new_bytes) for identity, old_bytes, new_bytes in swaps
        )
        with transaction.atomic(using=self._alias):
            return sum(
                self._rows.filter(pk=id_, sealed=old_text).update(sealed=new_text)
                for id_, old_text, new_text in ordered_swaps
            )

    @translating_errors
    def page(self, after: bytes, size: int, /) -> Sequence[Row]:
        """Return up to `size` rows in id order."""
        page_rows = self._rows.filter(pk__gt=after.decode()).order_by("pk")[:size]
        # A row that was moved to another id cannot be decrypted.
        return [
            Row(
                row.pk.encode(),
                bytes(row.about) if _id(bytes(row.about)) == row.pk else row.pk.encode(),
                bytes(row.sealed),
            )
            for row in page_rows
        ]

    @translating_errors
    def drop(self, about: bytes, /) -> bool:
        """Delete an owner's encrypted string; return whether there was one."""
        deleted_rows, _ = self._rows.filter(pk=_id(about)).delete()
        return bool(deleted_rows)

    @translating_errors
    def clear(self) -> int:
        """Delete all rows, and return their number."""
        deleted_rows, _ = self._rows.all().delete()
        return deleted_rows


class AsyncOrmRows:
    """The asynchronous `OrmRows`: each operation runs in a thread, and closes its connection."""

    def __init__(self, alias: str) -> None:
        rows = OrmRows(alias)
        self.find = closing_connection(alias, rows.find)
        self.put = closing_connection(alias, rows.put)
        self.swap = closing_connection(alias, rows.swap)
        self.page = closing_connection(alias, rows.page)
        self.drop = closing_connection(alias, rows.drop)
        self.clear = closing_connection(alias, rows.clear)


def provider(alias: str, cipher: Cipher) -> SealedCredentialProvider:
    """Return a provider of credentials that are stored in a database alias."""
    return SealedCredentialProvider(OrmRows(alias), cipher)


def aprovider(alias: str, cipher: Cipher) -> AsyncSealedCredentialProvider:
    """Return an asynchronous provider of credentials that are stored in a database alias."""
    return AsyncSealedCredentialProvider(AsyncOrmRows(alias), cipher)


def _id(about: bytes) -> str:
    return sha256(about).hexdigest()


def _storable_name(name: str) -> str:
    """Return a name with characters that a database with any encoding can store."""
    return name.encode("ascii", "backslashreplace").decode().replace("\0", "\\0")[:_MAX_LENGTH]
