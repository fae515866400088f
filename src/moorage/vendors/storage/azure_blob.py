"""Azure Blob Storage.

Requests are signed with an account key, or carry a token of Entra ID. Every body has an MD5 that
Azure verifies, block by block. Azure has no uploads, only blocks: the reference of an upload
contains the blob's options, and an unfinished upload expires after a week.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.signed import SignedUrl
from moorage.contracts.storage import ByteRange, StorageCapability, Upload
from moorage.vendors.storage import _azure_blob_answers as answers
from moorage.vendors.storage import _azure_blob_requests as requests
from moorage.vendors.storage._azure_blob_containers import (
    create_container,
    delete_empty_container,
    list_containers,
)
from moorage.vendors.storage._azure_blob_copies import copied_object
from moorage.vendors.storage._azure_blob_requests import ContainerUrls
from moorage.vendors.storage._azure_blob_sas import Grant
from moorage.vendors.storage._azure_blob_signing import signed
from moorage.vendors.storage._azure_blob_uploads import BlockUpload, part
from moorage.vendors.storage._common import identified, opened, without_content

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.contracts.checksum import Checksum
    from moorage.contracts.signed import UrlOptions
    from moorage.contracts.storage import (
        Container,
        GetOptions,
        ListPage,
        ObjectInfo,
        OpenedObject,
        Part,
        PutOptions,
    )

_ACCOUNT: Final = r"[a-z0-9]{3,24}(?:-secondary)?"
_CONTAINER: Final = r"\$root|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"
_DIRECTORY: Final = r"[A-Za-z0-9][A-Za-z0-9.-]*"
_AUTHORITY: Final = "https://login.microsoftonline.com"
_SCOPE: Final = "https://storage.azure.com/.default"
_LONGEST_PAGE: Final = 5_000


def _usual_endpoint(vendor: AzureBlob) -> str:
    return f"https://{vendor.account}.blob.core.windows.net"


def _plain_url(value: str) -> str:
    return value.rstrip("/")


@attrs.frozen(kw_only=True)
class AzureBlob(sdk.Vendor):
    """A container of Azure Blob Storage.

    Attributes:
        account: name of the storage account.
        container: name of the container.
        credentials: an account key; without an account key and a client, the credential provider
            supplies a token, or `Credentials` signed by `AzureSharedKey`.
        directory, client_id, client_secret: Entra tenant and client with a role for the
            container's data, instead of a key.
        endpoint: URL of the account, if it is not in Azure's public cloud.
        authority: URL of Entra ID, if it is not in Azure's public cloud.
    """

    name: ClassVar[str] = "azure_blob"
    kinds: ClassVar[tuple[str, ...]] = ("storage",)
    api_version: ClassVar[str | None] = "2025-01-05"
    capabilities: ClassVar[frozenset[str]] = frozenset(StorageCapability) - sdk.members_of(
        StorageCapability, "stale_uploads visibility signed_post"
    )
    limits: ClassVar[Mapping[str, int]] = {"delete": 100, "parts": 50_000, "tags": 10}

    account: str = attrs.field(
        validator=sdk.matches(
            _ACCOUNT,
            problem="The value is not the name of a storage account.",
            remedy="Set 3 to 24 lowercase letters and digits. Set the account's URL as `endpoint`.",
        )
    )
    container: str = attrs.field(
        validator=sdk.matches(
            _CONTAINER,
            problem="The value is not the name of a container.",
            remedy="Set 3 to 63 lowercase letters, digits and single dashes.",
        )
    )
    credentials: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    directory: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                _DIRECTORY,
                problem="The value is not the name of a directory.",
                remedy="Set the Entra tenant's id, or one of its domains.",
            )
        ),
    )
    client_id: str | None = attrs.field(default=None, repr=False)
    client_secret: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    endpoint: str = attrs.field(
        default=attrs.Factory(_usual_endpoint, takes_self=True), converter=_plain_url
    )
    authority: str = attrs.field(default=_AUTHORITY, converter=_plain_url)

    def __attrs_post_init__(self) -> None:
        """Refuse an incomplete OAuth client, or an account key together with a client."""
        client = self.directory, self.client_id, self.client_secret
        if any(client) and not all(client):
            raise sdk.ConfigurationError(
                "A client of Entra ID needs a directory, an id and a secret, but not all of"
                " them are set.",
                path="client_id",
                remedy="Set `directory`, `client_id` and `client_secret`, or none of them.",
            )
        if any(client) and self.credentials is not None:
            raise sdk.ConfigurationError(
                "The account has both a key and an Entra client, but requests can use only"
                " one of them.",
                path="credentials",
                remedy="Remove `credentials`, or remove `directory`, `client_id` and"
                " `client_secret`.",
            )

    def ping(self) -> sdk.Request:
        """Request the name of one blob, to check that the account works."""
        return requests.listed(self._urls.path, "", delimiter=None, cursor=None, limit=1)

    def services(self) -> Mapping[str, sdk.Service]:
        """The service of the account."""
        credentials = None
        if self.credentials is not None:
            credentials = sdk.Credentials.signed(
                sdk.AzureSharedKey(account=self.account), self.credentials
            )
        return {
            "": sdk.Service(
                "azure_blob",
                self.endpoint,
                timeout=120.0,
                attempt_timeout=60.0,
                credentials=credentials,
                needs_credentials=credentials is None,
                headers={"x-ms-version": self.api_version or ""},
                classify=answers.classify,
            )
        }

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The OAuth client at Entra ID."""
        if self.client_id is None:
            return {}
        client = sdk.OAuthClient(
            server=f"{self.authority}/{self.directory}/oauth2/v2.0/token",
            client_id=self.client_id,
            secret=self.client_secret,
            authentication=sdk.ClientAuthentication.POST,
            scope=_SCOPE,
        )
        return {"": client}

    @property
    def _urls(self) -> ContainerUrls:
        return ContainerUrls(self.endpoint, self.container)

    # --- objects -----------------------------------------------------------

    async def put(
        self, wire: sdk.Wire, key: str, data: bytes, options: PutOptions, /
    ) -> ObjectInfo:
        """Store a blob."""
        blob_headers, checksum = requests.object_headers(options), requests.md5_of(data)
        request = requests.put(self._urls.blob(key), data, checksum, options, blob_headers)
        try:
            response = await wire.send(request)
        except sdk.VendorRejected as error:
            # An earlier attempt, whose response was lost, may have made the condition false.
            if error.status != 412 or error.attempts < 2:
                raise
            return await self._stored_if_equal(wire, key, error, checksum)
        stored_info = answers.put(
            wire, key, response, sdk.Headers(blob_headers), size=len(data), checksums=(checksum,)
        )
        return identified(stored_info, response)

    async def _stored_if_equal(
        self, wire: sdk.Wire, key: str, error: sdk.VendorRejected, checksum: Checksum
    ) -> ObjectInfo:
        """The stored blob if its bytes equal the new ones; otherwise raise the vendor's error."""
        try:
            stored_info = await self.head(wire, key, version=None)
        except sdk.VendorRejected:
            raise error from None
        if checksum in stored_info.checksums:
            return stored_info
        raise error

    async def open(self, wire: sdk.Wire, key: str, options: GetOptions, /) -> OpenedObject:
        """Download a blob, or a range of it."""
        path = self._urls.blob(key)
        if options.range is not None and options.range.start < 0:
            options = await self._from_start(wire, key, options, options.range)
        response = await wire.open(requests.get(path, options))
        return opened(response, answers.info(wire, key, response.headers), options)

    async def _from_start(
        self, wire: sdk.Wire, key: str, options: GetOptions, requested: ByteRange
    ) -> GetOptions:
        """The options with a range from the start, as Azure cannot count from the end."""
        blob_info = await self.head(wire, key, version=options.version)
        start = max(0, (blob_info.size or 0) + requested.start)
        etag = options.if_match
        if etag is None and options.if_none_match is None:
            etag = blob_info.etag
        return attrs.evolve(options, range=ByteRange(start), if_match=etag)

    async def head(self, wire: sdk.Wire, key: str, /, *, version: str | None) -> ObjectInfo:
        """Get the properties of a blob."""
        response = await wire.send(
            sdk.Request.head(self._urls.blob(key), query={"versionid": version})
        )
        return identified(answers.info(wire, key, response.headers), response)

    async def delete(self, wire: sdk.Wire, key: str, /, *, version: str | None) -> None:
        """Delete a blob."""
        request = sdk.Request.delete(self._urls.blob(key), query={"versionid": version})
        try:
            without_content(await wire.send(request))
        except sdk.FileNotFound:
            return

    async def delete_many(self, wire: sdk.Wire, keys: Sequence[str], /) -> list[sdk.Result[None]]:
        """Delete several blobs concurrently."""
        return await wire.run_all([partial(self.delete, wire, key, version=None) for key in keys])

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
        """List blobs."""
        request = requests.listed(
            self._urls.path,
            prefix,
            delimiter=delimiter,
            cursor=cursor,
            limit=min(limit, _LONGEST_PAGE),
        )
        return answers.page(wire, await wire.send(request))

    async def copy(
        self, wire: sdk.Wire, source: str, key: str, options: PutOptions | None, /
    ) -> ObjectInfo:
        """Copy a blob within the container, and set its new properties."""
        path = self._urls.blob(key)
        without_content(await wire.send(requests.copy(self._urls.url(source), path, options)))
        copied_info = await copied_object(wire, path, key)
        if options is None:
            return copied_info
        for request in requests.restated_headers(path, copied_info, options):
            without_content(await wire.send(request))
        return await self.head(wire, key, version=None)

    # --- signed URLs -------------------------------------------------------

    async def signed_url(self, wire: sdk.Wire, key: str, options: UrlOptions, /) -> SignedUrl:
        """Sign a URL."""
        grant = Grant(
            url=self._urls.url(key),
            resource=f"/blob/{self.account}/{self.container}/{key}",
            version=self.api_version or "",
            options=options,
            until=wire.now() + timedelta(seconds=options.expires),
        )
        return SignedUrl(
            url=await signed(wire, self.account, grant),
            method=options.method,
            headers=grant.headers,
            expires_at=grant.until,
        )

    async def public_url(self, _: sdk.Wire, key: str, /) -> str:
        """A blob's public URL."""
        return self._urls.url(key)

    # --- blocks ------------------------------------------------------------

    async def start_upload(self, wire: sdk.Wire, key: str, options: PutOptions, /) -> Upload:
        """Start an upload, which needs no request."""
        self._urls.blob(key)
        block_upload = BlockUpload.begun(wire.new_id(), requests.object_headers(options))
        return Upload(
            ref=wire.ref(key, upload=block_upload.id),
            key=key,
            id=block_upload.id,
            started_at=wire.now(),
        )

    async def put_part(self, wire: sdk.Wire, upload: Upload, number: int, data: bytes, /) -> Part:
        """Upload a block."""
        block_upload = BlockUpload.parse(upload.id)
        checksum = requests.md5_of(data)
        block = block_upload.block(number, checksum.value)
        path = self._urls.blob(upload.key)
        request = requests.put_block(path, block, data, checksum, block_upload.kept)
        without_content(await wire.send(request))
        return part(number, len(data), checksum)

    # --- containers --------------------------------------------------------

    async def list_containers(self, wire: sdk.Wire, /) -> tuple[Container, ...]:
        """List the containers of the account."""
        return await list_containers(wire)

    async def create_container(self, wire: sdk.Wire, name: str, /) -> None:
        """Create a private container."""
        await create_container(wire, name)

    async def delete_container(self, wire: sdk.Wire, name: str, /) -> None:
        """Delete a container after checking for blobs, because Azure would delete them with it."""
        await delete_empty_container(wire, name)

    async def list_parts(self, wire: sdk.Wire, upload: Upload, /) -> Sequence[Part]:
        """List the uploaded blocks."""
        block_upload = BlockUpload.parse(upload.id)
        try:
            response = await wire.send(requests.blocks(self._urls.blob(upload.key)))
        except sdk.FileNotFound:
            return []
        if any(block_upload.part(*block) for block in answers.blocks(response, "CommittedBlocks")):
            raise sdk.VendorRejected(
                "This upload is complete.",
                status=response.status,
                response=response,
                remedy="Begin another.",
            )
        uncommitted_blocks = answers.blocks(response, "UncommittedBlocks")
        return [
            part for block in uncommitted_blocks if (part := block_upload.part(*block)) is not None
        ]

    async def complete(
        self, wire: sdk.Wire, upload: Upload, parts: Sequence[Part], options: PutOptions, /
    ) -> ObjectInfo:
        """Make a blob from the blocks."""
        block_upload = BlockUpload.parse(upload.id)
        path, names = self._urls.blob(upload.key), block_upload.blocks(parts)
        try:
            response = await wire.send(requests.commit(path, names, options, block_upload.kept))
        except sdk.VendorRejected as error:
            # An earlier attempt, whose response was lost, may have made the condition false.
            if error.status != 412 or await self._committed_blocks(wire, path) != names:
                raise
            return await self.head(wire, upload.key, version=None)
        if response.header("etag") is None:
            raise sdk.malformed(response, "ETag")
        size = sum(part.size for part in parts)
        return answers.put(wire, upload.key, response, sdk.Headers(block_upload.kept), size=size)

    async def _committed_blocks(self, wire: sdk.Wire, path: str) -> Sequence[str]:
        """Return the committed blocks of a blob."""
        try:
            response = await wire.send(requests.blocks(path))
        except sdk.FileNotFound:
            return ()
        return [name for name, _ in answers.blocks(response, "CommittedBlocks")]

    async def abort(self, wire: sdk.Wire, upload: Upload, /) -> None:
        """Do nothing, because Azure deletes unused blocks itself after a week."""
