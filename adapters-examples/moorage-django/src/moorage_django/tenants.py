"""Tenants' accounts and routes in table rows, encrypted for each tenant.

Changes take effect within seconds, without a restart.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from django.db import DEFAULT_DB_ALIAS

from moorage import InvalidData
from moorage.packing import pack_tables, sealing_context, unpack_tables
from moorage_django.errors import translating_errors
from moorage_django.models import Tenant
from moorage_django.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.ports.cipher import Cipher

_SERVICE: Final = "accounts"
_NAME: Final = "tables"
HIDDEN: Final = "••••••"
"""The placeholder of a possible secret in a form; in a list, its number follows."""


class OrmTenants:
    """The tenants stored in a database alias.

    Args:
        cipher: encrypts the tables.
        alias: the database alias.
    """

    def __init__(self, cipher: Cipher, alias: str = DEFAULT_DB_ALIAS) -> None:
        self.alias = alias
        self._cipher = cipher
        self._rows = Tenant.objects.using(alias)

    @translating_errors
    def version(self, tenant: str, /) -> str | None:
        """Return the version of a tenant's tables."""
        sealed_bytes = self._sealed(tenant)
        return None if sealed_bytes is None else sha256(sealed_bytes).hexdigest()

    @translating_errors
    def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return a tenant's tables; empty for an unknown tenant."""
        sealed_tables = self._sealed(tenant)
        if sealed_tables is None:
            return {}
        return unpack_tables(self._cipher.open(sealed_tables, _binding_of(tenant)))

    @translating_errors
    def put(self, tenant: str, tables: Mapping[str, Any], /) -> None:
        """Store a tenant's configuration tables, and replace earlier ones.

        Values may be `Secret`s.
        """
        sealed_tables = self._cipher.seal(pack_tables(tables), _binding_of(tenant))
        fields = {"name": tenant, "sealed": sealed_tables}
        self._rows.update_or_create(pk=_id(tenant), defaults=fields)

    @translating_errors
    def remove(self, tenant: str, /) -> None:
        """Delete a tenant."""
        self._rows.filter(pk=_id(tenant)).delete()

    def _sealed(self, tenant: str) -> bytes | None:
        sealed_text = self._rows.filter(pk=_id(tenant)).values_list("sealed", flat=True).first()
        return None if sealed_text is None else bytes(sealed_text)


class AsyncOrmTenants:
    """The asynchronous `OrmTenants`.

    Args:
        shared: the synchronous object.
    """

    def __init__(self, shared: OrmTenants) -> None:
        self._plain = shared

    async def version(self, tenant: str, /) -> str | None:
        """Return the version of a tenant's tables."""
        return await in_thread(self._plain.alias, self._plain.version, tenant)

    async def tables(self, tenant: str, /) -> Mapping[str, Any]:
        """Return a tenant's tables; empty for an unknown tenant."""
        return await in_thread(self._plain.alias, self._plain.tables, tenant)


def masked_tables(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables for display, with every text in an account masked as a possible secret."""
    vendors = tables.get("vendors", {})
    return {**tables, "vendors": _mask_secrets(vendors)} if vendors else dict(tables)


def restore_masked(entered: Any, stored: Any, path: str = "") -> Any:
    """Return entered tables with the masked values restored.

    Raises:
        InvalidData: a value is masked, but there is no stored value at its place.
    """
    if isinstance(entered, dict):
        stored_table = stored if isinstance(stored, dict) else {}
        return {
            name: restore_masked(value, stored_table.get(name), f"{path}.{name}".strip("."))
            for name, value in entered.items()
        }
    if isinstance(entered, list):
        items = stored if isinstance(stored, list) else []
        items_by_placeholder = {
            _numbered_placeholders(place): item for place, item in enumerate(items)
        }
        return [
            restore_masked(HIDDEN, items_by_placeholder.get(value), f"{path}[{place}]")
            if isinstance(value, str) and value.startswith(HIDDEN)
            else restore_masked(
                value, items[place] if place < len(items) else None, f"{path}[{place}]"
            )
            for place, value in enumerate(entered)
        ]
    if isinstance(entered, str) and entered.startswith(HIDDEN):
        if not isinstance(stored, str) or entered != HIDDEN:
            raise InvalidData(
                f"{path} is masked, but there is no stored value to keep.",
                field=path,
                remedy="Enter the value itself; a mask keeps a value only under its old name.",
            )
        return stored
    return entered


def _mask_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mask_secrets(item) for name, item in value.items()}
    if isinstance(value, list):
        masked_items = [_mask_secrets(item) for item in value]
        return [
            _numbered_placeholders(place) if item == HIDDEN else item
            for place, item in enumerate(masked_items)
        ]
    may_be_shown = not isinstance(value, str) or value.startswith("secret://")
    return value if may_be_shown else HIDDEN


def _numbered_placeholders(place: int) -> str:
    return f"{HIDDEN} {place + 1}"


def _id(tenant: str) -> str:
    return sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()


def _binding_of(tenant: str) -> bytes:
    return sealing_context(tenant, _SERVICE, _NAME)
