"""Signed URLs and forms by which others download or upload an object."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from moorage import vendor_sdk as sdk
from moorage.contracts.signed import PostOptions, SignedPost, SignedUrl, UrlOptions
from moorage.vendors.storage import _s3_requests as requests

if TYPE_CHECKING:
    from moorage.vendors.storage.s3 import S3


async def sign_url(vendor: S3, wire: sdk.Wire, key: str, options: UrlOptions) -> SignedUrl:
    """Sign an object's URL."""
    signing, secret = await _signing_key(wire)
    request, now = requests.shared(key, options), wire.now()
    url = sdk.join_url(vendor.base_url, request)
    return SignedUrl(
        url=signing.presign(request, url, secret, now, expires=options.expires),
        method=options.method,
        headers=dict(request.headers),
        expires_at=now + timedelta(seconds=options.expires),
    )


async def sign_post(vendor: S3, wire: sdk.Wire, key: str, options: PostOptions) -> SignedPost:
    """Sign a browser form that uploads an object."""
    signing, secret = await _signing_key(wire)
    now = wire.now()
    fields = {"key": key}
    if options.content_type is not None:
        fields["Content-Type"] = options.content_type
    conditions: list[object] = [
        {"bucket": vendor.bucket},
        ["content-length-range", options.smallest, options.largest],
        *({name: value} for name, value in fields.items()),
    ]
    signed_fields = signing.sign_form(conditions, secret, now, expires=options.expires)
    return SignedPost(
        url=f"{vendor.base_url}/",
        fields={**fields, **dict(signed_fields)},
        expires_at=now + timedelta(seconds=options.expires),
    )


async def _signing_key(wire: sdk.Wire) -> tuple[sdk.AwsSigV4, sdk.Secret]:
    """The account's signature scheme, with its secret access key.

    Raises:
        ConfigurationError: the credential provider supplies credentials of another kind.
    """
    match await wire.credentials():
        case sdk.Credentials(signing=sdk.AwsSigV4() as signing, secret=sdk.Secret() as secret):
            return signing, secret
        case _:
            pass
    raise sdk.ConfigurationError(
        "The credentials cannot sign requests to S3.",
        path=f"vendors.{wire.account}.credentials",
        remedy="Provide Credentials.signed(AwsSigV4(..., service='s3'), secret).",
    )
