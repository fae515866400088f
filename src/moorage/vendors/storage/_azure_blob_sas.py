"""Shared access signatures: URLs that grant one operation on a blob for a limited time."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

import attrs

from moorage.vendor_sdk import encode_pairs

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.contracts.signed import UrlOptions

_PERMISSIONS: Final = {"GET": "r", "HEAD": "r", "PUT": "w", "DELETE": "d"}


@attrs.frozen(kw_only=True)
class Grant:
    """The permissions that a signed URL grants.

    Attributes:
        url: URL of the blob.
        resource: name of the blob in signatures.
        version: version of the API.
        options: allowed operation, and headers of the responses.
        until: time of expiry.
    """

    url: str
    resource: str
    version: str
    options: UrlOptions
    until: datetime

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a request with the URL needs."""
        if self.options.method != "PUT":
            return {}
        headers = {"x-ms-blob-type": "BlockBlob"}
        if self.options.content_type is not None:
            headers["Content-Type"] = self.options.content_type
        return headers

    def signed(self, leading: tuple[str, ...], sign: Callable[[str], str], **more: str) -> str:
        """Return the URL with its signature.

        Args:
            leading: lines that identify the signer, which follow the resource.
            sign: signs a string.
            more: further parameters that identify the signer.
        """
        fields = self._fields()
        text = "\n".join(
            (
                fields["sp"],
                "",
                fields["se"],
                self.resource,
                *leading,
                "",
                fields["spr"],
                fields["sv"],
                fields["sr"],
                "",
                "",
                "",
                fields.get("rscd", ""),
                "",
                "",
                fields.get("rsct", ""),
            )
        )
        pairs = tuple({**fields, **more, "sig": sign(text)}.items())
        return f"{self.url}?{encode_pairs(pairs)}"

    def _fields(self) -> dict[str, str]:
        options = self.options
        fields = {
            "sv": self.version,
            "sr": "b",
            "sp": _PERMISSIONS[options.method],
            "se": moment(self.until),
            "spr": "https" if self.url.startswith("https:") else "https,http",
        }
        if options.method in {"GET", "HEAD"}:
            response_headers = {"rscd": options.content_disposition, "rsct": options.content_type}
            fields |= {name: value for name, value in response_headers.items() if value}
        return fields


def moment(time: datetime) -> str:
    """Return a time in Azure's format."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
