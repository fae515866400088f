"""Google Cloud Storage, by its JSON API.

Version 1, with the tokens of a service account. Every body is hashed before it is sent, and Google
stores only bytes with that MD5. Long objects are sent in chunks; after an interruption, Google is
asked for the position at which to continue. The ETag of an object is its generation.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.checksum import Checksum, ChecksumAlgorithm
from moorage.contracts.signed import SignedPost, SignedUrl
from moorage.contracts.storage import OpenedObject, StorageCapability, Upload
from moorage.vendors.storage import _gcs_answers as answers
from moorage.vendors.storage import _gcs_requests as requests
from moorage.vendors.storage._common import in_order, opened, without_content
from moorage.vendors.storage._download_conditions import EmptyAnswer, is_wanted
from moorage.vendors.storage._gcs_session import Session, sent
from moorage.vendors.storage._gcs_signing import Signer, signed_headers, signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.signed import PostOptions, UrlOptions
    from moorage.contracts.storage import (
        Container,
        GetOptions,
        ListPage,
        ObjectInfo,
        Pieces,
        PutOptions,
    )

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_GOOGLE: Final = "https://storage.googleapis.com"
_LONGEST_PAGE: Final = 1_000
_GONE_STATUSES: Final = frozenset({404, 410, 499})
"""Statuses by which Google reports that an upload no longer exists."""


_SESSIONS: Final = sdk.Redaction(
    header_names={"location", "x-guploader-uploadid"}, query_names={"upload_id"}
)
"""Secret parameters: the id of an upload is enough to continue it."""


def _is_bucket(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or _BUCKET.fullmatch(value) is None:
        raise sdk.ConfigurationError(
            "The value is not the name of a bucket.",
            path="bucket",
            remedy="Set lowercase letters, digits, dots, dashes and underscores.",
        )


def _is_of_google(endpoint: str) -> bool:
    """True for Google's own servers, which state a download's generation; emulators do not."""
    host = urlsplit(endpoint).hostname or ""
    return host == "googleapis.com" or host.endswith(".googleapis.com")


@attrs.frozen(kw_only=True)
class Gcs(sdk.GoogleVendor):
    """A bucket of Google Cloud Storage.

    Attributes:
        bucket: name of the bucket.
        credentials: JSON key of a service account; by default the credential provider supplies a
            token, or `Credentials` signed by `JwtSigning` for a service account.
        endpoint: URL of another vendor with this API.
        project: id of the project whose buckets are listed, and in which they are created.
        location: location of new buckets, such as "EU"; by default Google's, which is "US".
    """

    name = "gcs"
    kinds = ("storage",)
    api_version = "v1"
    capabilities = frozenset(StorageCapability) - {
        StorageCapability.STALE_UPLOADS,
        StorageCapability.TAGS,
    }
    limits: ClassVar[Mapping[str, int]] = {"delete": 1}

    urls: ClassVar[Mapping[str, str]] = {"": "endpoint"}
    google_scope = "https://www.googleapis.com/auth/devstorage.full_control"
    refusals = staticmethod(answers.classify)

    bucket: str = attrs.field(validator=_is_bucket)
    endpoint: str = attrs.field(default=_GOOGLE, converter=sdk.validate_base_url)
    project: str | None = None
    location: str | None = None

    def settings(self) -> Mapping[str, Any]:
        """The timeouts for large objects, and the hiding of upload ids, which are secret."""
        return {"timeout": 120.0, "attempt_timeout": 60.0, "redaction": _SESSIONS}

    # --- objects -----------------------------------------------------------

    async def put(
        self, wire: sdk.Wire, key: str, data: bytes, options: PutOptions, /
    ) -> ObjectInfo:
        """Store an object."""
        request = requests.put(self.bucket, key, data, options, wire.new_id())
        try:
            response = await wire.send(request)
        except sdk.VendorRejected as error:
            # An earlier attempt, whose response was lost, may have made the condition false.
            if error.status != 412 or error.attempts < 2:
                raise
            return await self._stored_if_equal(wire, key, data, error)
        return answers.stored(wire, response, key)

    async def open(self, wire: sdk.Wire, key: str, options: GetOptions, /) -> OpenedObject:
        """Download an object or a range; moorage checks conditions that Google does not support."""
        conditions = (options.if_modified_since, options.if_unmodified_since)
        if any(conditions) or options.if_none_match == "*":
            stored_info = await self.head(wire, key, version=options.version)
            if not is_wanted(stored_info, options):
                return OpenedObject(
                    info=stored_info, length=0, modified=False, arriving=EmptyAnswer()
                )
            options = attrs.evolve(options, if_match=stored_info.etag, if_none_match=None)
        response = await wire.open(requests.get(self.bucket, key, options))
        info = answers.opened(wire, key, response.headers)
        return opened(response, info, options, etag_is_certain=_is_of_google(self.endpoint))

    async def head(self, wire: sdk.Wire, key: str, /, *, version: str | None) -> ObjectInfo:
        """Get the properties of an object."""
        response = await wire.send(requests.properties_request(self.bucket, key, version))
        return answers.stored(wire, response, key)

    async def delete(self, wire: sdk.Wire, key: str, /, *, version: str | None) -> None:
        """Delete an object."""
        with suppress(sdk.FileNotFound):
            without_content(await wire.send(requests.delete(self.bucket, key, version)))

    async def delete_many(self, wire: sdk.Wire, keys: Sequence[str], /) -> list[sdk.Result[None]]:
        """Delete objects, with one request each."""

        def step(key: str) -> Any:
            return lambda: self.delete(wire, key, version=None)

        return await wire.run_all([step(key) for key in keys])

    async def list(
        self,
        wire: sdk.Wire,
        prefix: str,
        /,
        *,
        delimiter: str | None,
        cursor: str | None,
        limit: int,
    ) -> ListPage:
        """List objects."""
        request = requests.listing(
            self.bucket,
            prefix=prefix or None,
            delimiter=delimiter,
            maxResults=min(limit, _LONGEST_PAGE),
            pageToken=cursor,
        )
        return answers.page(wire, await wire.send(request))

    async def copy(
        self, wire: sdk.Wire, source: str, key: str, options: PutOptions | None, /
    ) -> ObjectInfo:
        """Copy an object within the bucket, in as many steps as Google needs."""
        token, previous_bytes = None, -1
        while True:
            request = requests.rewrite(self.bucket, source, key, options, token)
            response = await wire.send(request)
            progress = sdk.read_answer(response)
            if progress.flag("done"):
                return answers.identified(wire, progress.object("resource"), response, key)
            token, rewritten_bytes = (
                progress.text("rewriteToken"),
                progress.integer("totalBytesRewritten") or 0,
            )
            if token is None or rewritten_bytes <= previous_bytes:
                raise sdk.malformed(response, "other rewriteToken")
            previous_bytes = rewritten_bytes

    # --- signed URLs -------------------------------------------------------

    async def signed_url(self, wire: sdk.Wire, key: str, options: UrlOptions, /) -> SignedUrl:
        """Sign a URL, without a request."""
        signer, now = await self._signer(wire), wire.now()
        path = f"/{self.bucket}/{quote(key, safe='/~')}"
        return SignedUrl(
            url=signer.url(self.endpoint, path, options, now),
            method=options.method,
            headers=signed_headers(options),
            expires_at=now + timedelta(seconds=options.expires),
        )

    async def signed_post(self, wire: sdk.Wire, key: str, options: PostOptions, /) -> SignedPost:
        """Sign a form, without a request."""
        signer, now = await self._signer(wire), wire.now()
        return SignedPost(
            url=f"{self.endpoint}/{self.bucket}/",
            fields=signer.form(self.bucket, key, options, now),
            expires_at=now + timedelta(seconds=options.expires),
        )

    async def public_url(self, _: sdk.Wire, key: str, /) -> str:
        """An object's public URL."""
        return f"{self.endpoint}/{self.bucket}/{quote(key, safe='/~')}"

    async def _signer(self, wire: sdk.Wire) -> Signer:
        if self.credentials is not None:
            return signer_of(self.credentials)
        match await wire.credentials():
            case sdk.Credentials(
                signing=sdk.JwtSigning(issuer=str() as email), secret=sdk.Secret() as key
            ):
                return Signer(email=email, key=key)
            case _:
                pass
        raise sdk.ConfigurationError(
            "The credentials cannot sign requests to Google Cloud Storage.",
            path=f"vendors.{wire.account}.credentials",
            remedy="Set the key of a service account.",
        )

    # --- resumable uploads ---------------------------------------------------

    async def start_upload(self, wire: sdk.Wire, key: str, options: PutOptions, /) -> Upload:
        """Start an upload, which Google keeps for a week."""
        response = await wire.send(requests.start(self.bucket, key, options))
        id_ = answers.session(response)
        return Upload(ref=wire.ref(key, upload=id_), key=key, id=id_, started_at=wire.now())

    async def send(
        self, wire: sdk.Wire, upload: Upload, pieces: Pieces, /, *, resumed: bool
    ) -> ObjectInfo:
        """Send an object's remaining bytes; it becomes visible when complete."""
        session = Session(wire, self.bucket, upload.id)
        if resumed:
            await session.ask()
        if session.object is not None:
            raise sdk.VendorRejected(
                "This upload is complete.",
                response=session.object,
                remedy="Start another upload to store the object again.",
            )
        response, size, md5 = await sent(session, pieces)
        stored_object = answers.stored(wire, response, upload.key)
        sums = {
            checksum.base64
            for checksum in stored_object.checksums
            if checksum.algorithm is ChecksumAlgorithm.MD5
        }
        if stored_object.size != size or sums - {md5}:
            await self.delete(wire, upload.key, version=stored_object.version)
            raise sdk.VendorFailed(
                "Google stored different bytes than were sent, so moorage deleted the object.",
                response=response,
                remedy="Upload the object again, and report this to Google.",
            )
        return stored_object

    async def abort(self, wire: sdk.Wire, upload: Upload, /) -> None:
        """Abort an upload."""
        try:
            without_content(await wire.send(requests.abort(self.bucket, upload.id)))
        except sdk.VendorRejected as error:
            if error.status not in _GONE_STATUSES:
                raise

    # --- buckets -----------------------------------------------------------

    async def list_containers(self, wire: sdk.Wire, /) -> tuple[Container, ...]:
        """List the buckets of the project."""
        return in_order(await self._buckets(wire))

    async def create_container(self, wire: sdk.Wire, name: str, /) -> None:
        """Create a bucket in the project."""
        project = self._billed_project()
        try:
            await wire.send(requests.create_bucket(project, name, self.location))
        except sdk.VendorRejected as error:
            # Google has the same status for a bucket in the project and a bucket of another user.
            if error.status != 409:
                raise
            buckets = await self._buckets(wire, prefix=name)
            if all(bucket.name != name for bucket in buckets):
                raise sdk.AlreadyExists(
                    f"Another project has a bucket with the name {name!r}.",
                    status=error.status,
                    vendor_code=error.vendor_code,
                    vendor_message=error.vendor_message,
                ) from error

    async def delete_container(self, wire: sdk.Wire, name: str, /) -> None:
        """Delete a bucket; Google refuses to delete a bucket with objects."""
        try:
            without_content(await wire.send(requests.delete_bucket(name)))
        except sdk.VendorRejected as error:
            if error.status != 404:
                raise

    async def _buckets(self, wire: sdk.Wire, prefix: str | None = None) -> Sequence[Container]:
        """The buckets of the project whose names have a prefix."""
        project = self._billed_project()
        buckets: tuple[Container, ...] = ()
        token: str | None = None
        while True:
            response = await wire.send(requests.listed_buckets(project, token, prefix))
            previous_token = token
            page, token = answers.containers(response)
            buckets = (*buckets, *page)
            if token is None:
                return buckets
            if token == previous_token:
                raise sdk.malformed(response, "other nextPageToken")

    def _billed_project(self) -> str:
        """The id of the project.

        Raises:
            ConfigurationError: it is not set.
        """
        if self.project is None:
            raise sdk.ConfigurationError(
                "Google needs a project to list and create buckets, but none is set.",
                path="project",
                remedy="Set `project` to the id of the project of the buckets.",
            )
        return self.project

    # --- results -----------------------------------------------------------

    async def _stored_if_equal(
        self, wire: sdk.Wire, key: str, data: bytes, error: sdk.VendorRejected
    ) -> ObjectInfo:
        """The stored object if its bytes equal the new ones; otherwise raise the vendor's error."""
        try:
            existing_object = await self.head(wire, key, version=None)
        except sdk.VendorRejected:
            raise error from None
        if Checksum.of(ChecksumAlgorithm.MD5, data) in existing_object.checksums:
            return existing_object
        raise error
