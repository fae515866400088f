"""Local files: objects in a local or mounted folder.

The vendor uses a folder instead of HTTP; a key is a path below the folder. URLs are signed with a
key of your own and served by your application, which calls `LocalFiles.allowed` to check them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.signed import SignedUrl, UrlOptions
from moorage.contracts.storage import StorageCapability
from moorage.vendors.storage._files import FilesVendor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _text(value: Any) -> Any:
    """Return a path as text; a value of another type is unchanged and refused later."""
    return str(value) if isinstance(value, PurePath) else value


def _plain_url(value: str | None) -> str | None:
    return None if value is None else value.rstrip("/")


@attrs.frozen(kw_only=True)
class LocalFiles(FilesVendor):
    """A folder of files.

    Attributes:
        root: the folder, created if missing.
        url: URL at which your application serves signed files, such as "https://erp.example/files".
        signing_key: key that signs URLs, at least 32 random bytes, the same in every process.
    """

    name: ClassVar[str] = "local_files"
    kinds: ClassVar[tuple[str, ...]] = ("storage",)
    transport: ClassVar[str | None] = "files"
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        StorageCapability,
        "range conditional_get conditional_put metadata multipart stale_uploads copy signed_url"
        " public_url",
    )
    limits: ClassVar[Mapping[str, int]] = {"delete": 1_000, "parts": 10_000}

    root: str = attrs.field(converter=_text)
    url: str | None = attrs.field(default=None, converter=_plain_url)
    signing_key: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )

    def services(self) -> Mapping[str, sdk.Service]:
        """The service that protects access to the folder, with time enough to join many parts."""
        return {"": sdk.Service("local_files", timeout=600.0)}

    # --- URLs --------------------------------------------------------------

    async def public_url(self, _: sdk.Wire, key: str, /) -> str:
        """A file's public URL."""
        if self.url is None:
            raise sdk.ConfigurationError(
                "The files of this account have no URL, because the option `url` is not set.",
                path="url",
                remedy="Set `url` to the URL under which your application serves the folder.",
            )
        return f"{self.url}/{quote(key, safe='/')}"

    async def signed_url(self, wire: sdk.Wire, key: str, options: UrlOptions, /) -> SignedUrl:
        """Sign a URL."""
        expires_at = wire.now() + timedelta(seconds=options.expires)
        fields = _signed_fields(options, str(int(expires_at.timestamp())))
        signature = self._signature(key, fields)
        query = urlencode({**fields, "signature": signature}, quote_via=quote)
        content_type = options.content_type if options.method == "PUT" else None
        return SignedUrl(
            url=f"{self._served()}/{quote(key, safe='/')}?{query}",
            method=options.method,
            headers={} if content_type is None else {"Content-Type": content_type},
            expires_at=expires_at,
        )

    def allowed(self, method: sdk.HttpMethod | str, url: str, *, now: datetime) -> Grant:
        """The operation that a signed URL permits, for the application that serves the files.

        Args:
            method: HTTP method of the request.
            url: URL of the request, or its path with the query, as received.
            now: current time, as an aware datetime.

        Raises:
            AuthenticationFailed: the URL is not signed for this request, or has expired.
        """
        base_path = urlsplit(self._served()).path
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _not_signed() from None
        fields = dict(parse_qsl(parts.query, keep_blank_values=True))
        signature = fields.pop("signature", "")
        key = unquote(parts.path.removeprefix(f"{base_path}/"))
        is_good = hmac.compare_digest(
            self._signature(key, fields).encode(), signature.encode(errors="replace")
        )
        if not is_good or fields.get("method") != str(method):
            raise _not_signed()
        expires_at = datetime.fromtimestamp(int(fields["expires"]), UTC)
        if now >= expires_at:
            raise sdk.AuthenticationFailed("The URL has expired.", vendor_code="expired")
        return Grant(
            key=key,
            method=str(method),
            expires_at=expires_at,
            content_type=fields.get("content_type"),
            content_disposition=fields.get("content_disposition"),
        )

    def _served(self) -> str:
        if self.url is None or self.signing_key is None:
            raise sdk.ConfigurationError(
                "moorage cannot sign URLs of these files, because `url` or `signing_key` is"
                " not set.",
                path="signing_key",
                remedy="Set `url` and `signing_key`, and serve the requests that"
                " LocalFiles.allowed accepts.",
            )
        return self.url

    def _signature(self, key: str, fields: Mapping[str, str]) -> str:
        self._served()
        key_bytes = sdk.as_secret(self.signing_key or "").reveal_bytes()
        text = json.dumps(["moorage files 1", key, sorted(fields.items())])
        return hmac.new(key_bytes, text.encode(), hashlib.sha256).hexdigest()


@attrs.frozen(kw_only=True)
class Grant:
    """The operation that a signed URL permits.

    Attributes:
        key: key of the file.
        method: allowed HTTP method.
        expires_at: time of expiry.
        content_type, content_disposition: headers of the response; for a PUT, the required content
            type of the request.
    """

    key: str
    method: str
    expires_at: datetime
    content_type: str | None = None
    content_disposition: str | None = attrs.field(default=None, repr=False)


def _not_signed() -> sdk.AuthenticationFailed:
    return sdk.AuthenticationFailed(
        "The URL is not signed for this request.", vendor_code="signature"
    )


def _signed_fields(options: UrlOptions, until: str) -> dict[str, str]:
    fields = {
        "method": str(options.method),
        "expires": until,
        "content_type": options.content_type,
        "content_disposition": options.content_disposition,
    }
    return {name: value for name, value in fields.items() if value is not None}
