"""Files on any filesystem of fsspec: SFTP, FTP, SMB, WebDAV, HTTP, memory and many others.

fsspec has no atomic write that fails if the file exists. Therefore this vendor does not support
conditional writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from moorage.contracts.storage import StorageCapability
from moorage.vendor_sdk import Secret, Service, as_secret, is_object, members_of, no_options
from moorage.vendors.storage._files import FilesVendor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _as_secrets(values: Any) -> Any:
    """Return the table with its values as secrets; a value of another type is refused later."""
    return {name: as_secret(values[name]) for name in values} if is_object(values) else values


@attrs.frozen(kw_only=True)
class Fsspec(FilesVendor):
    """A folder on a filesystem of fsspec.

    Attributes:
        url: protocol and folder, such as "sftp://erp@files.example/outgoing", without a password.
        options: arguments of the protocol's class in fsspec, such as `port` or `base_url`.
        secrets: secret arguments, such as `password`; a dot in a name leads into a table.
    """

    name: ClassVar[str] = "fsspec"
    kinds: ClassVar[tuple[str, ...]] = ("storage",)
    transport: ClassVar[str | None] = "fsspec"
    capabilities: ClassVar[frozenset[str]] = members_of(
        StorageCapability, "range conditional_get metadata multipart stale_uploads copy"
    )
    limits: ClassVar[Mapping[str, int]] = {"delete": 1_000, "parts": 10_000}
    piece_size: ClassVar[int] = 4 * 1024 * 1024

    url: str = attrs.field(repr=False)
    options: dict[str, Any] = attrs.field(factory=no_options, repr=False)
    secrets: dict[str, Secret] = attrs.field(factory=no_options, converter=_as_secrets)

    def services(self) -> Mapping[str, Service]:
        """The service that protects access to the folder, with time enough to join many parts."""
        return {"": Service("fsspec", timeout=600.0, attempt_timeout=300.0)}
