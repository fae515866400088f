"""A local sandbox that imitates Google Cloud Storage.

It is strict: it grants tokens only for assertions that the service account has signed, and its own
code checks the signatures of URLs and forms, parameters, resources, checksums, conditions, and the
first and last byte of each chunk of an upload. Bodies are stored on disk, so that `serving()` takes
files of any size.

Buckets of the project can be listed, created and deleted; another project has the bucket
`taken-by-another-account`.

Magic keys: `magic/rate-limit`, `magic/forbidden`, `magic/backend-error` and `magic/held` fail every
request with the error in their names.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import attrs

from moorage.domain.http.requests import Request, Timeouts
from moorage.testing.sandboxes._google import GoogleTokens, key_file
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.storage._containers import TAKEN, Containers
from moorage.testing.sandboxes.storage._gcs_documents import (
    base64,
    check_query,
    error_document,
    invalid,
    json_reply,
    number_in,
    related_parts,
    resource_of,
)
from moorage.testing.sandboxes.storage._gcs_keys import SCOPES, check_form, check_url
from moorage.testing.sandboxes.storage._gcs_store import (
    Body,
    Session,
    StoredObject,
    check_sums,
    part_of,
)
from moorage.testing.sandboxes.storage._listing import page_of
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer, Reply, open_token, range_of
from moorage.testing.sandboxes.storage._s3_forms import check_policy, parts_of
from moorage.testing.sandboxes.storage._s3_store import Spool, StoredContent
from moorage.testing.sandboxes.storage._spooling import SpoolingSandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.testing.sandboxes.base import Sandbox, SandboxRequest

_GOOGLE: Final = "storage.googleapis.com"
_TOKENS: Final = "oauth2.googleapis.com"
_PATH: Final = re.compile(
    "/storage/v1/b/(?P<bucket>[^/]+)/o"
    "(?:/(?P<key>[^/]+)(?:/rewriteTo/b/(?P<other>[^/]+)/o/(?P<to>[^/]+))?)?"
)
_BUCKET_PATH: Final = re.compile("/storage/v1/b(?:/(?P<bucket>[^/]+))?")
_MAGIC: Final = {
    "magic/rate-limit": ("rateLimitExceeded", 429),
    "magic/forbidden": ("forbidden", 403),
    "magic/backend-error": ("backendError", 503),
    "magic/held": ("objectUnderActiveHold", 403),
}
_WRITE_PARAMETERS: Final = "predefinedAcl kmsKeyName ifGenerationMatch"
_READ: Final = "generation ifGenerationMatch ifGenerationNotMatch"
_UNCHANGED: Final = 304


def _now() -> datetime:
    return datetime.now(UTC)


class GcsSandbox(SpoolingSandbox):
    """A sandbox of Google Cloud Storage with one bucket and one service account.

    Args:
        bucket: name of the bucket.
        project: id of the project of the bucket.
        email: email address that names the service account.
        versioned: True to keep generations that are replaced or deleted.
        rewritten: number of bytes that one rewrite request copies.
        now: returns the current time.

    Attributes:
        objects: the stored generations of each object, the oldest first.
        live: the current generation of each object.
        sessions: the uploads in progress, by id.
        tokens: the endpoint that grants access tokens.
    """

    unreadable_code = "invalid"

    def __init__(
        self,
        bucket: str = "sandbox-bucket",
        *,
        project: str = "sandbox-project",
        email: str = "erp@sandbox.iam.gserviceaccount.com",
        versioned: bool = False,
        rewritten: int = 1 << 62,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__()
        self.hosts = (_GOOGLE, _TOKENS)
        self.bucket = bucket
        self.project = project
        self.containers = Containers(bucket, now)
        self.email = email
        self.versioned = versioned
        self.rewritten = rewritten
        self._now = now
        self.objects: dict[str, list[StoredObject]] = {}
        self.live: dict[str, StoredObject] = {}
        self.sessions: dict[str, Session] = {}
        self.tokens = GoogleTokens(email, f"https://{_TOKENS}/token", now, SCOPES)
        self.mounts: dict[str, Sandbox] = {"/token": self.tokens}

    def key_file(self, token_uri: str | None = None) -> str:
        """Return the JSON text of the service account's key file.

        Args:
            token_uri: URL of the token endpoint, if it is not Google's.
        """
        if token_uri is not None:
            self.tokens.audience = token_uri
        return key_file(self.email, self.tokens.audience)

    def break_chunk(self, after: int) -> None:
        """Disconnect in every upload's next chunk, after this many bytes."""
        for session in self.sessions.values():
            session.taken = after

    # --- requests ----------------------------------------------------------

    def handle(self, request: SandboxRequest, spool: Spool) -> Reply:
        """Execute a request with its body on disk."""
        mounted = self.at(request.path)
        if mounted is self:
            return super().handle(request, spool)
        body = spool.content()
        spool.drop()
        response = mounted.answer(attrs.evolve(request, body=body))
        self._delays.seconds = mounted.take_delay()
        return Reply(response.status, dict(response.headers), response.body)

    def refused(self, no: ErrorAnswer) -> Reply:
        """Return an error response in the vendor's format."""
        fields = {"Content-Type": "application/json; charset=UTF-8"}
        body = b"" if no.status == _UNCHANGED else error_document(no.status, no.code, no.message)
        return Reply(no.status, fields, body)

    def done(self, request: SandboxRequest, spool: Spool) -> Reply:
        """Execute a request to Google Cloud Storage."""
        query = dict(request.query)
        if "X-Goog-Signature" in query:
            return self._use_signed_url(request, query, spool)
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            return self._upload_form(request, spool)
        if not self.tokens.allows(request):
            raise ErrorAnswer("authError", 401, "Invalid Credentials")
        bucket_path = _BUCKET_PATH.fullmatch(request.path)
        if bucket_path is not None:
            return self._of_project(request, bucket_path["bucket"], query, spool)
        return self._of_bucket(request, query, spool)

    def _of_bucket(self, request: SandboxRequest, query: dict[str, str], spool: Spool) -> Reply:
        upload = request.path.startswith("/upload/")
        match = _PATH.fullmatch(request.path.removeprefix("/upload"))
        if match is None or (upload and match["key"] is not None):
            raise ErrorAnswer("notFound", 404, "Not Found")
        is_missing = self.bucket not in self.containers.created_at
        if (
            is_missing
            or match["bucket"] != self.bucket
            or match["other"] not in {None, self.bucket}
        ):
            raise ErrorAnswer("notFound", 404, "The specified bucket does not exist.")
        key = None if match["key"] is None else unquote(match["key"])
        if key in _MAGIC:
            raise ErrorAnswer(*_MAGIC[key])
        if upload:
            return self._upload(request, query, spool)
        if key is None:
            return self._list(request, query)
        if match["to"] is not None:
            return self._rewrite(request, key, unquote(match["to"]), query, spool)
        return self._answer_object(request, key, query)

    def _answer_object(self, request: SandboxRequest, key: str, query: dict[str, str]) -> Reply:
        if request.method == "DELETE":
            check_query(query, "generation ifGenerationMatch")
            return self._delete(key, query)
        if request.method != "GET":
            raise ErrorAnswer("methodNotAllowed", 405, "Method Not Allowed")
        check_query(query, f"alt projection {_READ}")
        stored_object = self._kept_object(key, query)
        self._may_read(stored_object, query)
        return (
            self._media(request, stored_object)
            if query.get("alt") == "media"
            else json_reply(stored_object.resource)
        )

    # --- buckets -----------------------------------------------------------

    def _of_project(
        self, request: SandboxRequest, name: str | None, query: dict[str, str], spool: Spool
    ) -> Reply:
        if name is None and query.get("project") != self.project:
            raise invalid("Invalid argument.")
        match request.method, name:
            case "GET", None:
                check_query(query, "project prefix pageToken")
                return self._list_buckets(query)
            case "POST", None:
                check_query(query, "project")
                return self._create_bucket(request, spool)
            case "DELETE", str():
                return self._delete_bucket(name)
            case _:
                raise ErrorAnswer("methodNotAllowed", 405, "Method Not Allowed")

    def _list_buckets(self, query: dict[str, str]) -> Reply:
        names, token = self.containers.page(
            open_token(query.get("pageToken")), query.get("prefix", "")
        )
        page: dict[str, Any] = {"kind": "storage#buckets"}
        # Empty lists are left out.
        if names:
            page["items"] = [self._bucket_resource(name) for name in names]
        if token is not None:
            page["nextPageToken"] = token
        return json_reply(page)

    def _bucket_resource(self, name: str) -> dict[str, Any]:
        created_at = self.containers.created_at[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"kind": "storage#bucket", "id": name, "name": name, "timeCreated": created_at}

    def _create_bucket(self, request: SandboxRequest, spool: Spool) -> Reply:
        resource = attrs.evolve(request, body=spool.content()).json()
        if not {"name"} <= resource.keys() <= {"name", "location"}:
            raise invalid("Invalid JSON payload received.")
        name = resource["name"]
        if name == TAKEN:
            raise ErrorAnswer("conflict", 409, "The requested bucket name is not available.")
        if not self.containers.add(name):
            raise ErrorAnswer("conflict", 409, "You already own this bucket.")
        return json_reply(self._bucket_resource(name))

    def _delete_bucket(self, name: str) -> Reply:
        if name not in self.containers.created_at:
            raise ErrorAnswer("notFound", 404, "The specified bucket does not exist.")
        if name == self.bucket and any(self.objects.values()):
            raise ErrorAnswer("conflict", 409, "The bucket you tried to delete is not empty.")
        self.containers.remove(name)
        return Reply(204)

    # --- reading -----------------------------------------------------------

    def _kept_object(self, key: str, query: dict[str, str]) -> StoredObject:
        generation = number_in(query, "generation")
        if generation is None:
            match = self.live.get(key)
        else:
            matches = (
                candidate
                for candidate in self.objects.get(key, [])
                if candidate.generation == generation
            )
            match = next(matches, None)
        if match is None:
            raise ErrorAnswer("notFound", 404, f"No such object: {self.bucket}/{key}")
        return match

    def _may_read(self, stored: StoredObject, query: dict[str, str]) -> None:
        required_generation = number_in(query, "ifGenerationMatch")
        if required_generation not in {None, stored.generation}:
            raise ErrorAnswer(
                "conditionNotMet", 412, "At least one of the pre-conditions did not hold."
            )
        if number_in(query, "ifGenerationNotMatch") == stored.generation:
            raise ErrorAnswer("notModified", _UNCHANGED, "Not Modified")

    def _media(self, request: SandboxRequest, stored_object: StoredObject) -> Reply:
        resource, size = stored_object.resource, stored_object.stored.size
        encoding = resource.get("contentEncoding")
        fields = {
            "Content-Type": resource.get("contentType", "application/octet-stream"),
            "Content-Disposition": "attachment",
            "Cache-Control": "no-cache, no-store, max-age=0, must-revalidate",
            "X-Goog-Generation": resource["generation"],
            "X-Goog-Metageneration": resource["metageneration"],
            "X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
            "X-Goog-Storage-Class": resource["storageClass"],
            "X-Goog-Stored-Content-Encoding": encoding or "identity",
            "X-Goog-Stored-Content-Length": str(size),
        }
        if encoding is not None:
            fields["Content-Encoding"] = encoding
        header = request.headers.get("range")
        if header is None:
            return Reply(200, fields, stored=(stored_object.stored, 0, size))
        try:
            start, length = range_of(header, size)
        except ErrorAnswer:
            message = "The requested range cannot be satisfied."
            raise ErrorAnswer("requestedRangeNotSatisfiable", 416, message) from None
        fields["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
        return Reply(206, fields, stored=(stored_object.stored, start, length))

    def _list(self, request: SandboxRequest, query: dict[str, str]) -> Reply:
        if request.method != "GET":
            raise ErrorAnswer("methodNotAllowed", 405, "Method Not Allowed")
        check_query(query, "prefix delimiter maxResults pageToken")
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        page_size = min(number_in(query, "maxResults") or 1_000, 1_000)
        try:
            marker = open_token(query.get("pageToken"))
        except ErrorAnswer:
            raise invalid("Invalid page token") from None
        listing = page_of(
            self.live, prefix=prefix, delimiter=delimiter, marker=marker, size=page_size
        )
        page: dict[str, Any] = {"kind": "storage#objects"}
        # Lists and fields without a value are left out.
        if listing.keys:
            page["items"] = [self.live[key].resource for key in listing.keys]
        if listing.folders:
            page["prefixes"] = [*listing.folders]
        if listing.has_more:
            page["nextPageToken"] = base64(listing.last.encode())
        return json_reply(page)

    # --- writing -----------------------------------------------------------

    def _may_put(self, key: str, query: dict[str, str]) -> None:
        required_generation = number_in(query, "ifGenerationMatch")
        live_object = self.live.get(key)
        if required_generation is not None and required_generation != (
            0 if live_object is None else live_object.generation
        ):
            raise ErrorAnswer(
                "conditionNotMet", 412, "At least one of the pre-conditions did not hold."
            )

    def _store(
        self, key: str, resource: dict[str, Any], body: Body, query: dict[str, str]
    ) -> StoredObject:
        self._may_put(key, query)
        number = str(1_700_000_000_000_000 + self.number())
        now = self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        resource_fields = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{key}/{number}",
            "bucket": self.bucket,
            "storageClass": "STANDARD",
            **resource,
            "name": key,
            "generation": number,
            "metageneration": "1",
            "size": str(body.size),
            "etag": base64(number.encode()),
            "timeCreated": now,
            "updated": now,
            **body.sums,
        }
        if "kmsKeyName" in query:
            resource_fields["kmsKeyName"] = f"{query['kmsKeyName']}/cryptoKeyVersions/1"
        stored_content = StoredContent(
            pieces=tuple(body.pieces), etag=number, checksum=None, headers={}, modified=self._now()
        )
        stored_object = StoredObject(resource=resource_fields, stored=stored_content)
        earlier_versions = self.objects.get(key, []) if self.versioned else []
        self.objects[key] = [*earlier_versions, stored_object]
        self.live[key] = stored_object
        return stored_object

    def _delete(self, key: str, query: dict[str, str]) -> Reply:
        stored_object = self._kept_object(key, query)
        self._may_read(stored_object, query)
        if "generation" in query or not self.versioned:
            self.objects[key].remove(stored_object)
        if self.live.get(key) is stored_object:
            del self.live[key]
        return Reply(204)

    def _rewrite(
        self, request: SandboxRequest, key: str, to: str, query: dict[str, str], spool: Spool
    ) -> Reply:
        if request.method != "POST":
            raise ErrorAnswer("methodNotAllowed", 405, "Method Not Allowed")
        check_query(
            query, "rewriteToken destinationPredefinedAcl destinationKmsKeyName ifGenerationMatch"
        )
        if to in _MAGIC:
            raise ErrorAnswer(*_MAGIC[to])
        source = self._kept_object(key, {})
        size = source.stored.size
        previous_size = int(open_token(query.get("rewriteToken")) or "0")
        rewritten_size = previous_size + self.rewritten
        progress = {"kind": "storage#rewriteResponse", "objectSize": str(size)}
        if rewritten_size < size:
            token = base64(str(rewritten_size).encode())
            progress_fields = {
                "totalBytesRewritten": str(rewritten_size),
                "done": False,
                "rewriteToken": token,
            }
            return json_reply({**progress, **progress_fields})
        body = Body(self.folder)
        body.take(source.stored.read(0, size))
        content_fields = (
            "cacheControl",
            "contentDisposition",
            "contentEncoding",
            "contentLanguage",
        )
        properties = {
            name: value
            for name, value in source.resource.items()
            if name in {*content_fields, "contentType", "metadata", "storageClass"}
        }
        resource = resource_of(spool.content()) if spool.size else properties
        rewritten_object = self._store(to, resource, body, query)
        result_fields = {
            "totalBytesRewritten": str(size),
            "done": True,
            "resource": rewritten_object.resource,
        }
        return json_reply({**progress, **result_fields})

    # --- uploads -----------------------------------------------------------

    def _upload(self, request: SandboxRequest, query: dict[str, str], spool: Spool) -> Reply:
        kind = query.pop("uploadType", None)
        if "upload_id" in query:
            return self._answer_session(request, query["upload_id"], spool)
        check_query(query, f"name {_WRITE_PARAMETERS}")
        if request.method != "POST" or kind not in {"multipart", "resumable"}:
            raise invalid("Invalid upload type")
        return (
            self._put(request, query, spool)
            if kind == "multipart"
            else self._start(request, query, spool)
        )

    def _put(self, request: SandboxRequest, query: dict[str, str], spool: Spool) -> Reply:
        resource_body, data, kind = related_parts(request, spool)
        resource = {"contentType": kind, **resource_of(resource_body)}
        key = self._key_of_new(resource, query)
        body = Body(self.folder)
        body.take(iter([data]))
        check_sums(
            body, {name: resource[name] for name in ("md5Hash", "crc32c") if name in resource}
        )
        return json_reply(self._store(key, resource, body, query).resource)

    def _key_of_new(self, resource: dict[str, Any], query: dict[str, str]) -> str:
        key = query.get("name") or resource.get("name")
        if not key:
            raise ErrorAnswer("required", 400, "Required object name")
        if key in _MAGIC:
            raise ErrorAnswer(*_MAGIC[key])
        return str(key)

    def _start(self, request: SandboxRequest, query: dict[str, str], spool: Spool) -> Reply:
        resource = resource_of(spool.content())
        key = self._key_of_new(resource, query)
        self._may_put(key, query)
        id_ = f"ABPtcP-{self.number()}"
        self.sessions[id_] = Session({**resource, "name": key}, query, Body(self.folder))
        place = f"https://{request.host}{request.path}?uploadType=resumable&name={quote(key)}"
        return Reply(200, {"Location": f"{place}&upload_id={id_}", "X-GUploader-UploadID": id_})

    def _answer_session(self, request: SandboxRequest, id_: str, spool: Spool) -> Reply:
        session = self.sessions.get(id_)
        if session is None:
            raise ErrorAnswer("notFound", 404, "The upload is not known.")
        if session.aborted or request.method == "DELETE":
            session.aborted = True
            return Reply(499)
        if request.method != "PUT":
            raise ErrorAnswer("methodNotAllowed", 405, "Method Not Allowed")
        if session.made is None:
            is_over = session.take(spool, request.headers.get("content-range", ""))
            if not is_over:
                return self._progress_reply(request, session)
            session.check(request.headers.get("x-goog-hash"))
            name = session.resource["name"]
            resource = {"contentType": "application/octet-stream", **session.resource}
            session.made = self._store(name, resource, session.body, session.query)
        return json_reply(session.made.resource)

    def _progress_reply(self, request: SandboxRequest, session: Session) -> Reply:
        size = session.body.size
        fields = {"Range": f"bytes=0-{size - 1}"} if size else {}
        if request.headers.get("x-guploader-no-308") == "yes":
            return Reply(200, {**fields, "X-HTTP-Status-Code-Override": "308"})
        return Reply(308, fields)

    # --- for others --------------------------------------------------------

    def _use_signed_url(
        self, request: SandboxRequest, query: dict[str, str], spool: Spool
    ) -> Reply:
        check_url(request, self.email, self._now())
        bucket, _, key = unquote(request.path).removeprefix("/").partition("/")
        if bucket != self.bucket:
            raise ErrorAnswer("NoSuchBucket", 404, "The specified bucket does not exist.")
        if request.method == "PUT":
            body = Body(self.folder)
            body.take(part_of(spool))
            kind = request.headers.get("content-type", "application/octet-stream")
            self._store(key, {"contentType": kind}, body, {})
            return Reply(200)
        if request.method == "DELETE":
            return self._delete(key, {})
        reply = self._media(request, self._kept_object(key, {}))
        for name in ("content-type", "content-disposition"):
            if f"response-{name}" in query:
                reply.headers[name.title()] = query[f"response-{name}"]
        return reply

    def _upload_form(self, request: SandboxRequest, spool: Spool) -> Reply:
        fields, data = parts_of(request, spool)
        check_form(fields, self.email)
        check_policy(fields, len(data), self.bucket, self._now())
        body = Body(self.folder)
        body.take(iter([data]))
        kind = fields.get("content-type", "application/octet-stream")
        self._store(fields["key"], {"contentType": kind}, body, {})
        return Reply(204)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = GcsSandbox(versioned=True)
    browser = SandboxHttpClient(sandbox)
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "bucket": sandbox.bucket,
            "credentials": sandbox.key_file(),
            "project": sandbox.project,
        },
        vendor_values={
            "storage_class": "COLDLINE",
            "encryption": "projects/acme/locations/eu/keyRings/erp/cryptoKeys/files",
        },
        fetch=lambda url: sha256(browser.send(Request.get("/"), url, Timeouts()).body).digest(),
        close=sandbox.close,
    )


__all__ = ["GcsSandbox", "fixture"]
