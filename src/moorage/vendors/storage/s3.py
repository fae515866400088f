"""Amazon S3, and other vendors with the same API.

The API of 2006-03-01, signed with SigV4. Every body is hashed before it is sent, and its checksum
is sent along, part by part. A response of status 200 that contains an error is treated as an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit, urlunsplit

import attrs

from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.storage import Part, StorageCapability, Upload
from moorage.vendor_sdk import (
    AwsSigV4,
    ConfigurationError,
    Credentials,
    Request,
    Secret,
    Service,
    Vendor,
    VendorRejected,
    as_secret,
    choices,
    malformed,
    required,
)
from moorage.vendors.storage import _s3_answers as answers
from moorage.vendors.storage import _s3_requests as requests
from moorage.vendors.storage._common import (
    bare_etag,
    identified,
    opened,
    put_if,
    root,
    without_content,
)
from moorage.vendors.storage._s3_lists import (
    BUCKETS,
    MOST_KEYS,
    create_bucket,
    delete_bucket,
    list_buckets,
    unfinished_uploads,
)
from moorage.vendors.storage._s3_signing import sign_post, sign_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.signed import PostOptions, SignedPost, SignedUrl, UrlOptions
    from moorage.contracts.storage import (
        Container,
        GetOptions,
        ListPage,
        ObjectInfo,
        OpenedObject,
        PutOptions,
    )
    from moorage.vendor_sdk import Result, Wire

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NO_UPLOAD: Final = "NoSuchUpload"
_ALGORITHMS: Final = frozenset(
    {ChecksumAlgorithm.CRC32, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256}
)


def _is_bucket(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or _BUCKET.fullmatch(value) is None:
        raise ConfigurationError(
            "The value is not the name of a bucket.",
            path="bucket",
            remedy="Set 3 to 63 lowercase letters, digits, dots and dashes.",
        )


def _is_supported_algorithm(_: object, __: object, value: Any) -> None:
    if value is not None and value not in _ALGORITHMS:
        raise ConfigurationError(
            "This Python cannot compute this checksum.",
            path="checksum",
            remedy="Use sha256, sha1 or crc32, or None if the vendor does not support checksums.",
        )


def _default_path_style(vendor: S3) -> bool:
    """True if URLs need the bucket in their path: if an endpoint is set, or the name has a dot."""
    return vendor.endpoint is not None or "." in str(vendor.bucket)


@attrs.frozen(kw_only=True)
class S3(Vendor):
    """A bucket of Amazon S3, or of another vendor with the same API.

    Attributes:
        bucket: name of the bucket.
        region: region of the bucket.
        access_key_id: id of the access key.
        credentials: secret access key; by default the credential provider supplies `Credentials`,
            signed by `AwsSigV4` for the service `s3`.
        session_token: session token of temporary credentials.
        endpoint: URL of a vendor other than Amazon.
        path_style: True to name the bucket in the path instead of the host; by default with an
            endpoint, or if the name has a dot.
        checksum: checksum that every body is sent with and the vendor stores: sha256, sha1 or
            crc32; None for a vendor without checksums.
    """

    name: ClassVar[str] = "s3"
    kinds: ClassVar[tuple[str, ...]] = ("storage",)
    api_version: ClassVar[str | None] = "2006-03-01"
    capabilities: ClassVar[frozenset[str]] = frozenset(StorageCapability)
    limits: ClassVar[Mapping[str, int]] = {
        "delete": MOST_KEYS,
        "part": 5 * 1024 * 1024,
        "parts": 10_000,
        "copy": 5 * 1024 * 1024 * 1024,
    }

    bucket: str = attrs.field(validator=_is_bucket)
    region: str = "us-east-1"
    access_key_id: str | None = attrs.field(default=None, repr=False)
    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    session_token: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    endpoint: str | None = None
    path_style: bool = attrs.field(default=attrs.Factory(_default_path_style, takes_self=True))
    checksum: ChecksumAlgorithm | None = attrs.field(
        default=ChecksumAlgorithm.SHA256,
        converter=attrs.converters.optional(ChecksumAlgorithm),
        validator=_is_supported_algorithm,
        metadata=choices(*sorted(_ALGORITHMS)),
    )

    def __attrs_post_init__(self) -> None:
        """Refuse an id without its secret, or a secret without its id."""
        if (self.access_key_id is None) != (self.credentials is None):
            raise ConfigurationError(
                "S3 needs the id and the secret of an access key, but only one of them is set.",
                path="access_key_id",
                remedy="Set `access_key_id` and `credentials`, or remove both.",
            )

    @property
    def base_url(self) -> str:
        """The URL of the bucket."""
        if self.path_style:
            return f"{self._endpoint_url}/{self.bucket}"
        parts = urlsplit(self._endpoint_url)
        return urlunsplit(parts._replace(netloc=f"{self.bucket}.{parts.netloc}"))

    @property
    def _endpoint_url(self) -> str:
        """The URL of the account, without a bucket."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return (self.endpoint or f"https://s3.{self.region}.{domain}").rstrip("/")

    def ping(self) -> Request:
        """Request the name of one object, to check that the account works."""
        return Request.get("/", query={"list-type": "2", "max-keys": "1"})

    def services(self) -> Mapping[str, Service]:
        """The services of the bucket and, for its buckets, of the account."""
        credentials = None
        if self.access_key_id is not None and self.credentials is not None:
            signing = AwsSigV4(
                access_key_id=self.access_key_id,
                region=self.region,
                service="s3",
                session_token=self.session_token,
            )
            credentials = Credentials.signed(signing, self.credentials)
        return {
            name: Service(
                f"s3_{name}" if name else "s3",
                url,
                timeout=120.0,
                attempt_timeout=60.0,
                credentials=credentials,
                needs_credentials=credentials is None,
                classify=answers.classify,
            )
            for name, url in (("", self.base_url), (BUCKETS, self._endpoint_url))
        }

    # --- objects -----------------------------------------------------------

    async def put(self, wire: Wire, key: str, data: bytes, options: PutOptions, /) -> ObjectInfo:
        """Store an object."""
        checksum, fields = requests.proof(data, self.checksum)
        try:
            response = await wire.send(requests.put(key, data, options, fields))
        except VendorRejected as error:
            # An earlier attempt, whose response was lost, may have made the condition false.
            if error.status != 412 or error.attempts < 2:
                raise
            return await self._stored_if_equal(wire, key, error, checksum=checksum)
        return answers.stored_object(wire, key, response, options, size=len(data))

    async def open(self, wire: Wire, key: str, options: GetOptions, /) -> OpenedObject:
        """Download an object, or a range of it."""
        response = await wire.open(requests.get(key, options))
        return opened(response, answers.info(wire, key, response.headers), options)

    async def head(self, wire: Wire, key: str, /, *, version: str | None) -> ObjectInfo:
        """Get the properties of an object."""
        request = Request.head(
            requests.path(key),
            query={"versionId": version},
            headers={"x-amz-checksum-mode": "ENABLED"},
        )
        response = await wire.send(request)
        return identified(answers.info(wire, key, response.headers), response)

    async def delete(self, wire: Wire, key: str, /, *, version: str | None) -> None:
        """Delete an object."""
        request = Request.delete(requests.path(key), query={"versionId": version})
        without_content(await wire.send(request))

    async def delete_many(self, wire: Wire, keys: Sequence[str], /) -> list[Result[None]]:
        """Delete up to a thousand objects."""
        return answers.deletion_results(await wire.send(requests.delete_many(keys)), keys)

    async def list(
        self, wire: Wire, prefix: str, /, *, delimiter: str | None, cursor: str | None, limit: int
    ) -> ListPage:
        """List objects."""
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "prefix": prefix or None,
            "delimiter": delimiter,
            "max-keys": min(limit, MOST_KEYS),
            "continuation-token": cursor,
        }
        return answers.page(wire, await wire.send(Request.get("/", query=query)))

    async def copy(
        self, wire: Wire, source: str, key: str, options: PutOptions | None, /
    ) -> ObjectInfo:
        """Copy an object within the bucket; S3 refuses an unchanged copy onto itself."""
        if source == key and options is None:
            return await self.head(wire, key, version=None)
        headers = {"x-amz-copy-source": f"/{self.bucket}{requests.path(source)}"}
        if options is not None:
            headers["x-amz-metadata-directive"] = "REPLACE"
            headers |= {**put_if(options), **requests.object_headers(options)}
        root(await wire.send(Request.put(requests.path(key), headers=headers)), "CopyObjectResult")
        return await self.head(wire, key, version=None)

    # --- signed URLs -------------------------------------------------------

    async def signed_url(self, wire: Wire, key: str, options: UrlOptions, /) -> SignedUrl:
        """Sign a URL, without a request."""
        return await sign_url(self, wire, key, options)

    async def signed_post(self, wire: Wire, key: str, options: PostOptions, /) -> SignedPost:
        """Sign a form, without a request."""
        return await sign_post(self, wire, key, options)

    async def public_url(self, _: Wire, key: str, /) -> str:
        """An object's public URL."""
        return f"{self.base_url}{requests.path(key)}"

    # --- uploads in parts --------------------------------------------------

    async def start_upload(self, wire: Wire, key: str, options: PutOptions, /) -> Upload:
        """Start an upload."""
        headers = requests.object_headers(options)
        if self.checksum is not None:
            headers["x-amz-checksum-algorithm"] = self.checksum.upper()
        request = Request.post(requests.path(key), query={"uploads": ""}, headers=headers)
        # A retry may orphan the first upload; list_stale_uploads() finds it.
        response = await wire.send(request.evolve(idempotent=True))
        result = root(response, "InitiateMultipartUploadResult")
        id_ = required(result.text("UploadId"), response, "UploadId")
        return Upload(
            ref=wire.ref(key, upload=id_),
            key=key,
            id=id_,
            started_at=wire.now(),
            raw=result.as_dict(),
        )

    async def put_part(self, wire: Wire, upload: Upload, number: int, data: bytes, /) -> Part:
        """Upload a part."""
        checksum, fields = requests.proof(data, self.checksum)
        request = Request.put(
            requests.path(upload.key),
            query=[("partNumber", number), ("uploadId", upload.id)],
            headers=fields,
            body=data,
        )
        response = await wire.send(request)
        etag = required(bare_etag(response.header("etag")), response, "ETag")
        return Part(number=number, size=len(data), etag=etag, checksum=checksum)

    async def list_parts(self, wire: Wire, upload: Upload, /) -> Sequence[Part]:
        """List the uploaded parts."""
        parts: list[Part] = []
        next_marker: str | None = "0"
        while next_marker is not None:
            query = {"uploadId": upload.id, "part-number-marker": next_marker}
            request = Request.get(requests.path(upload.key), query=query)
            response = await wire.send(request)
            previous_marker = next_marker
            page, next_marker = answers.parts(response)
            if next_marker == previous_marker:
                raise malformed(response, "other NextPartNumberMarker")
            parts += page
        return parts

    async def complete(
        self, wire: Wire, upload: Upload, parts: Sequence[Part], options: PutOptions, /
    ) -> ObjectInfo:
        """Make an object from the parts."""
        request = requests.complete(upload.key, upload.id, parts, options)
        try:
            response = await wire.send(request)
        except VendorRejected as error:
            # The upload is missing if an earlier attempt completed it and lost its response.
            is_missing = error.vendor_code == _NO_UPLOAD
            if error.status == 412 and not is_missing:
                is_missing = await self._is_missing(wire, upload)
            if not is_missing:
                raise
            return await self._stored_if_equal(wire, upload.key, error, parts=parts)
        result = root(response, "CompleteMultipartUploadResult")
        etag = required(bare_etag(result.text("ETag")), response, "ETag")
        size = sum(part.size for part in parts)
        return answers.stored_object(wire, upload.key, response, options, size=size, etag=etag)

    async def _is_missing(self, wire: Wire, upload: Upload) -> bool:
        """Return whether an upload was certainly completed or aborted."""
        try:
            await self.list_parts(wire, upload)
        except VendorRejected as error:
            return error.vendor_code == _NO_UPLOAD
        return False

    async def abort(self, wire: Wire, upload: Upload, /) -> None:
        """Abort an upload."""
        request = Request.delete(requests.path(upload.key), query={"uploadId": upload.id})
        try:
            without_content(await wire.send(request))
        except VendorRejected as error:
            if error.vendor_code != _NO_UPLOAD:
                raise

    async def list_uploads(self, wire: Wire, prefix: str, /) -> Sequence[Upload]:
        """List the unfinished uploads."""
        return await unfinished_uploads(wire, prefix)

    # --- buckets -----------------------------------------------------------

    async def list_containers(self, wire: Wire, /) -> tuple[Container, ...]:
        """List the buckets of the account, in all regions."""
        return await list_buckets(wire)

    async def create_container(self, wire: Wire, name: str, /) -> None:
        """Create a bucket in the region of the account."""
        await create_bucket(wire, name, self.region)

    async def delete_container(self, wire: Wire, name: str, /) -> None:
        """Delete a bucket; S3 refuses to delete a bucket with objects."""
        await delete_bucket(wire, name)

    # --- results -----------------------------------------------------------

    async def _stored_if_equal(
        self,
        wire: Wire,
        key: str,
        error: VendorRejected,
        *,
        checksum: Checksum | None = None,
        parts: Sequence[Part] = (),
    ) -> ObjectInfo:
        """The stored object if its bytes equal the new ones; otherwise raise the vendor's error."""
        try:
            stored_info = await self.head(wire, key, version=None)
        except VendorRejected:
            raise error from None
        if checksum in stored_info.checksums or (
            parts and stored_info.etag == answers.combined_etag(parts)
        ):
            return stored_info
        raise error
