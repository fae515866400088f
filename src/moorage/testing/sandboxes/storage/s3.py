"""A local sandbox that imitates Amazon S3.

It is strict: its own code checks signatures (also of URLs and forms), hashes, checksums,
conditions, and the order and size of parts. Bodies are stored on disk, so that `serving()` takes
files of any size.

Buckets can be listed, created and deleted; another account has the bucket
`taken-by-another-account`.

Magic keys: `magic/slow-down`, `magic/access-denied`, `magic/internal-error` and
`magic/wrong-region` fail every request with the error in their names.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import attrs

from moorage.domain.http.requests import Request, Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.storage._containers import TAKEN, Containers
from moorage.testing.sandboxes.storage._listing import page_of
from moorage.testing.sandboxes.storage._s3_auth import Key, check_header, check_query
from moorage.testing.sandboxes.storage._s3_documents import (
    KNOWN_HEADERS,
    ErrorAnswer,
    Reply,
    answer,
    checked_sums,
    error_xml,
    is_fresh,
    name_of,
    open_token,
    parse_body,
    quote_plus,
    range_of,
    stored_headers,
    sums_of,
    tag,
    title,
    xml,
    yes_or_no,
)
from moorage.testing.sandboxes.storage._s3_forms import read_form
from moorage.testing.sandboxes.storage._s3_store import Spool, StoredContent
from moorage.testing.sandboxes.storage._s3_uploads import UploadSandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.testing.sandboxes.base import SandboxRequest

_MAGIC: Final = {
    "magic/slow-down": ("SlowDown", 503),
    "magic/access-denied": ("AccessDenied", 403),
    "magic/internal-error": ("InternalError", 500),
    "magic/wrong-region": ("PermanentRedirect", 301),
}
_SMALL: Final = 65_536


def _now() -> datetime:
    return datetime.now(UTC)


class S3Sandbox(UploadSandbox):
    """A sandbox of Amazon S3 with one bucket.

    Args:
        bucket, region: name and region of the bucket.
        access_key_id, secret, token: credentials that requests must have.
        least_part: smallest number of bytes of every part except the last.
        versioned: True to keep earlier versions of objects.
        may_list: False if the key may not list objects; then a missing object is answered as
            forbidden.
        now: returns the current time.
    """

    def __init__(
        self,
        bucket: str = "sandbox-bucket",
        region: str = "us-east-1",
        *,
        access_key_id: str = "AKIASANDBOX",
        secret: str = "s3-sandbox-secret",
        token: str | None = None,
        least_part: int = 5 * 1024 * 1024,
        versioned: bool = False,
        may_list: bool = True,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(bucket, least_part, now, versioned=versioned)
        self.region = region
        self.key = Key(id=access_key_id, secret=secret, token=token, region=region)
        self.may_list = may_list
        self.containers = Containers(bucket, now)
        self.hosts = (f"{bucket}.s3.{region}.amazonaws.com", f"s3.{region}.amazonaws.com")

    # --- requests ----------------------------------------------------------

    def refused(self, no: ErrorAnswer) -> Reply:
        """Return an error response in the vendor's format."""
        fields = {"Content-Type": "application/xml"}
        if no.code == "PermanentRedirect":
            fields["x-amz-bucket-region"] = "eu-elsewhere-1"
        return Reply(no.status, fields, error_xml(no.code, no.message, **no.more))

    def done(self, request: SandboxRequest, spool: Spool) -> Reply:
        """Execute a request to S3."""
        query = dict(request.query)
        name = self._bucket_to_change(request)
        key = "" if name is not None else self._key(request)
        form = request.headers.get("content-type", "").startswith("multipart/form-data")
        if request.method == "POST" and not key and form:
            return self._form(request, spool)
        if "X-Amz-Signature" in query:
            check_query(request, self.key, self._now())
        else:
            check_header(request, self.key, self._now(), spool.digests["sha256"].hex())
        self._check_headers(request, spool)
        if name is not None:
            return self._of_account(request, name, query, spool)
        if key in _MAGIC:
            raise ErrorAnswer(*_MAGIC[key])
        if not key:
            return self._of_bucket(request, query, spool)
        if request.method == "PUT" and "partNumber" in query:
            return self._put_part(request, key, query, spool)
        verbs = {
            "PUT": self._copy if "x-amz-copy-source" in request.headers else self._put,
            "GET": self._list_parts if "uploadId" in query else self._get,
            "HEAD": self._get,
            "DELETE": self._abort if "uploadId" in query else self._delete,
            "POST": self._start if "uploads" in query else self._complete,
        }
        if request.method not in verbs:
            raise ErrorAnswer("MethodNotAllowed", 405)
        return verbs[request.method](request, key, query, spool)

    def _bucket_to_change(self, request: SandboxRequest) -> str | None:
        """Return the bucket that a request creates or deletes, "" for a list of buckets."""
        if request.host.partition(".")[0] == self.bucket:
            return None
        path = unquote(request.path).removeprefix("/")
        is_change = request.method in {"PUT", "DELETE"} and path and "/" not in path
        is_list = request.method == "GET" and not path
        return path if is_change or is_list else None

    def _key(self, request: SandboxRequest) -> str:
        path = unquote(request.path).removeprefix("/")
        if request.host.partition(".")[0] == self.bucket:
            bucket, key = self.bucket, path
        else:
            bucket, _, key = path.partition("/")
        if bucket != self.bucket or bucket not in self.containers.created_at:
            raise ErrorAnswer("NoSuchBucket", 404, "The specified bucket does not exist")
        return key

    def _check_headers(self, request: SandboxRequest, spool: Spool) -> None:
        for name in request.headers:
            header_name = name.lower()
            is_amazon_header = header_name.startswith("x-amz-") and not header_name.startswith(
                "x-amz-meta-"
            )
            if is_amazon_header and header_name not in KNOWN_HEADERS:
                raise ErrorAnswer("NotImplemented", 501, f"{name} is not implemented", Header=name)
        is_chunked = "chunked" in request.headers.get("transfer-encoding", "")
        if is_chunked:
            raise ErrorAnswer("MissingContentLength", 411)
        checked_sums(request, spool)

    # --- buckets -----------------------------------------------------------

    def _of_account(
        self, request: SandboxRequest, name: str, query: dict[str, str], spool: Spool
    ) -> Reply:
        if request.method == "GET":
            return self._list_buckets(query)
        if request.method == "PUT":
            return self._create_bucket(name, spool)
        if name not in self.containers.created_at:
            raise ErrorAnswer("NoSuchBucket", 404, "The specified bucket does not exist")
        if name == self.bucket and (self.objects or any(self.versions.values())):
            message = "The bucket you tried to delete is not empty"
            raise ErrorAnswer("BucketNotEmpty", 409, message, BucketName=name)
        self.containers.remove(name)
        return Reply(204)

    def _list_buckets(self, query: dict[str, str]) -> Reply:
        if "max-buckets" not in query:
            raise ErrorAnswer("InvalidArgument", 400, "The sandbox lists buckets in pages only")
        names, token = self.containers.page(open_token(query.get("continuation-token")))
        buckets = "".join(
            f"<Bucket>{tag('Name', name)}{tag('CreationDate', self._created_text(name))}</Bucket>"
            for name in names
        )
        next_token = "" if token is None else tag("ContinuationToken", token)
        return answer(xml("ListAllMyBucketsResult", f"<Buckets>{buckets}</Buckets>", next_token))

    def _created_text(self, name: str) -> str:
        return self.containers.created_at[name].strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _create_bucket(self, name: str, spool: Spool) -> Reply:
        elements = parse_body(spool).iter() if spool.size else ()
        places = [item.text for item in elements if name_of(item) == "LocationConstraint"]
        if places != ([] if self.region == "us-east-1" else [self.region]):
            message = "The specified location-constraint is not valid"
            raise ErrorAnswer("InvalidLocationConstraint", 400, message)
        if name == TAKEN:
            message = "The requested bucket name is not available."
            raise ErrorAnswer("BucketAlreadyExists", 409, message)
        # In its first region, S3 reports success for a bucket that the account has.
        if not self.containers.add(name) and self.region != "us-east-1":
            message = "The bucket that you tried to create already exists, and you own it."
            raise ErrorAnswer("BucketAlreadyOwnedByYou", 409, message)
        return Reply(200, {"Location": f"/{name}"})

    # --- the bucket --------------------------------------------------------

    def _of_bucket(self, request: SandboxRequest, query: dict[str, str], spool: Spool) -> Reply:
        if request.method == "POST" and "delete" in query:
            return self._delete_many(request, spool)
        if request.method == "GET" and "uploads" in query:
            return self._list_uploads(query)
        if request.method == "GET" and query.get("list-type") == "2":
            return self._list(query)
        raise ErrorAnswer("NotImplemented", 501)

    def _delete_many(self, request: SandboxRequest, spool: Spool) -> Reply:
        if "content-md5" not in request.headers and not sums_of(request):
            message = "Missing required header for this request: Content-MD5"
            raise ErrorAnswer("InvalidRequest", 400, message)
        keys = [
            element.text or "" for element in parse_body(spool).iter() if name_of(element) == "Key"
        ]
        if not 0 < len(keys) <= 1000:
            raise ErrorAnswer("MalformedXML", 400)
        elements = ""
        for key in keys:
            if key in _MAGIC:
                child_elements = tag("Key", key), tag("Code", _MAGIC[key][0]), tag("Message", "No")
                elements += f"<Error>{''.join(child_elements)}</Error>"
            else:
                self.objects.pop(key, None)
                elements += f"<Deleted>{tag('Key', key)}</Deleted>"
        return answer(xml("DeleteResult", elements))

    def _list(self, query: dict[str, str]) -> Reply:
        if not self.may_list:
            raise ErrorAnswer("AccessDenied", 403, "Access Denied")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        page_size = min(int(query.get("max-keys", "1000")), 1000)
        marker = open_token(query.get("continuation-token"))
        write = quote_plus if query.get("encoding-type") == "url" else str
        page = page_of(
            self.objects, prefix=prefix, delimiter=delimiter, marker=marker, size=page_size
        )
        objects = "".join(self._listed_object(key, write) for key in page.keys)
        prefixes = "".join(
            f"<CommonPrefixes>{tag('Prefix', write(folder))}</CommonPrefixes>"
            for folder in page.folders
        )
        token = b64encode(page.last.encode()).decode()
        child_elements = [
            tag("Name", self.bucket),
            tag("Prefix", write(prefix)),
            tag("KeyCount", len(page.entries)),
            tag("MaxKeys", page_size),
            tag("IsTruncated", yes_or_no(page.has_more)),
            tag("EncodingType", "url") if "encoding-type" in query else "",
            tag("NextContinuationToken", token) if page.has_more else "",
        ]
        return answer(xml("ListBucketResult", *child_elements, objects, prefixes))

    def _listed_object(self, key: str, write: Callable[[str], str]) -> str:
        stored_object = self.objects[key]
        child_elements = [
            tag("Key", write(key)),
            tag("LastModified", stored_object.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
            tag("ETag", f'"{stored_object.etag}"'),
            tag("Size", stored_object.size),
            tag("StorageClass", stored_object.headers.get("x-amz-storage-class", "STANDARD")),
        ]
        return f"<Contents>{''.join(child_elements)}</Contents>"

    # --- objects -----------------------------------------------------------

    def _put(self, request: SandboxRequest, key: str, _: dict[str, str], spool: Spool) -> Reply:
        self._may_put(request, key)
        sums = sums_of(request)
        stored_object = StoredContent(
            pieces=(spool.piece(),),
            etag=spool.digests["md5"].hex(),
            checksum=sums[0] if sums else None,
            headers=stored_headers(request),
            modified=self._now(),
        )
        fields = {
            "ETag": f'"{stored_object.etag}"',
            **self._store(key, stored_object).version_header,
        }
        return Reply(200, fields | {f"x-amz-checksum-{name}": value for name, value in sums})

    def _get(self, request: SandboxRequest, key: str, query: dict[str, str], _: Spool) -> Reply:
        stored_object = self._stored_version(key, query)
        fields = {
            **{title(name): value for name, value in stored_object.headers.items()},
            "ETag": f'"{stored_object.etag}"',
            "Last-Modified": format_datetime(stored_object.modified, usegmt=True),
            "Accept-Ranges": "bytes",
            **stored_object.version_header,
        }
        fields.pop("X-Amz-Tagging", None)
        for name, value in query.items():
            if name.startswith("response-"):
                fields[title(name.removeprefix("response-"))] = value
        if not is_fresh(request, stored_object):
            return Reply(304, {"ETag": fields["ETag"], "Last-Modified": fields["Last-Modified"]})
        start, length = 0, stored_object.size
        status = 200
        header = request.headers.get("range")
        if header is not None:
            start, length = range_of(header, stored_object.size)
            status = 206
            fields["Content-Range"] = f"bytes {start}-{start + length - 1}/{stored_object.size}"
        elif (
            request.headers.get("x-amz-checksum-mode") == "ENABLED"
            and stored_object.checksum is not None
        ):
            fields[f"x-amz-checksum-{stored_object.checksum[0]}"] = stored_object.checksum[1]
            fields["x-amz-checksum-type"] = (
                "COMPOSITE" if stored_object.composite else "FULL_OBJECT"
            )
        return Reply(status, fields, stored=(stored_object, start, length))

    def _stored_version(self, key: str, query: dict[str, str]) -> StoredContent:
        version = query.get("versionId", "null")
        if version != "null":
            versions = self.versions.get(key, [])
            if version not in {candidate.version for candidate in versions}:
                raise ErrorAnswer("NoSuchVersion", 404, "The specified version does not exist.")
            return next(candidate for candidate in versions if candidate.version == version)
        stored_object = self.objects.get(key)
        if stored_object is None and not self.may_list:
            raise ErrorAnswer("AccessDenied", 403, "Access Denied")
        if stored_object is None:
            raise ErrorAnswer("NoSuchKey", 404, "The specified key does not exist.", Key=key)
        return stored_object

    def _delete(self, _: SandboxRequest, key: str, query: dict[str, str], __: Spool) -> Reply:
        version = query.get("versionId", "null")
        if version == "null":
            self.objects.pop(key, None)
            return Reply(204, {"x-amz-delete-marker": "true"} if self.versioned else {})
        remaining_versions = [
            stored_object
            for stored_object in self.versions.get(key, [])
            if stored_object.version != version
        ]
        self.versions[key] = remaining_versions
        if key in self.objects and self.objects[key].version == version:
            del self.objects[key]
            if remaining_versions:
                self.objects[key] = remaining_versions[-1]
        return Reply(204, {"x-amz-version-id": version})

    def _copy(self, request: SandboxRequest, key: str, _: dict[str, str], __: Spool) -> Reply:
        bucket, name = unquote(request.headers["x-amz-copy-source"]).lstrip("/").split("/", 1)
        if bucket != self.bucket:
            raise ErrorAnswer("NoSuchBucket", 404)
        source = self._stored_version(name, {})
        replaces = request.headers.get("x-amz-metadata-directive") == "REPLACE"
        if name == key and not replaces:
            raise ErrorAnswer(
                "InvalidRequest", 400, "This copies an object to itself, changing nothing."
            )
        self._may_put(request, key)
        copied_object = attrs.evolve(source, modified=self._now())
        copied_object = self._store(
            key,
            attrs.evolve(copied_object, headers=stored_headers(request))
            if replaces
            else copied_object,
        )
        modified_at = copied_object.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        child_elements = tag("LastModified", modified_at), tag("ETag", f'"{copied_object.etag}"')
        return answer(xml("CopyObjectResult", *child_elements), copied_object.version_header)

    # --- forms -------------------------------------------------------------

    def _form(self, request: SandboxRequest, spool: Spool) -> Reply:
        fields, data = read_form(request, spool, self.key, self.bucket, self._now())
        uploaded_spool = Spool(self.folder)
        uploaded_spool.write(data)
        uploaded_spool.close()
        stored_object = StoredContent(
            pieces=(uploaded_spool.piece(),),
            etag=uploaded_spool.digests["md5"].hex(),
            checksum=None,
            headers={"content-type": fields.get("content-type", "binary/octet-stream")},
            modified=self._now(),
        )
        return Reply(204, self._store(fields["key"], stored_object).version_header)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = S3Sandbox(versioned=True)
    browser = SandboxHttpClient(sandbox)
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "bucket": sandbox.bucket,
            "region": sandbox.region,
            "access_key_id": sandbox.key.id,
            "credentials": sandbox.key.secret,
        },
        vendor_values={"storage_class": "STANDARD_IA"},
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )


__all__ = ["S3Sandbox", "error_xml", "fixture"]
