"""Multipart uploads in the S3 sandbox."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import attrs

from moorage.testing.sandboxes.storage._s3_documents import (
    ALGORITHMS,
    ErrorAnswer,
    Reply,
    answer,
    name_of,
    parse_body,
    quote_plus,
    stored_headers,
    sums_of,
    tag,
    xml,
    yes_or_no,
)
from moorage.testing.sandboxes.storage._s3_store import (
    Spool,
    StoredContent,
    StoredPart,
    StoredUpload,
    join_checksums,
)
from moorage.testing.sandboxes.storage._spooling import SpoolingSandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.testing.sandboxes.base import SandboxRequest


class UploadSandbox(SpoolingSandbox):
    """The S3 sandbox's stored objects and multipart uploads."""

    page: int = 1000
    """The largest number of parts or uploads on a page of a list."""

    def __init__(
        self, bucket: str, least_part: int, now: Callable[[], datetime], *, versioned: bool
    ) -> None:
        super().__init__()
        self.versioned = versioned
        self.bucket = bucket
        self.least_part = least_part
        self.objects: dict[str, StoredContent] = {}
        self.versions: dict[str, list[StoredContent]] = {}
        self.uploads: dict[str, StoredUpload] = {}
        self._now = now

    def _may_put(self, request: SandboxRequest, key: str) -> None:
        existing_object = self.objects.get(key)
        if request.headers.get("if-none-match") == "*" and existing_object is not None:
            raise ErrorAnswer("PreconditionFailed", 412, Condition="If-None-Match")
        header = request.headers.get("if-match")
        if header is not None and existing_object is None:
            raise ErrorAnswer("NoSuchKey", 404, "The specified key does not exist.", Key=key)
        if (
            header is not None
            and existing_object is not None
            and header.strip('"') != existing_object.etag
        ):
            raise ErrorAnswer("PreconditionFailed", 412, Condition="If-Match")

    def _store(self, key: str, stored: StoredContent) -> StoredContent:
        if self.versioned:
            stored = attrs.evolve(stored, version=f"v{self.number()}")
            self.versions.setdefault(key, []).append(stored)
        self.objects[key] = stored
        return stored

    # --- uploads -----------------------------------------------------------

    def _start(self, request: SandboxRequest, key: str, _: dict[str, str], __: Spool) -> Reply:
        id_ = f"upload-{self.number()}"
        algorithm = (request.headers.get("x-amz-checksum-algorithm") or "").lower() or None
        if algorithm not in {None, *ALGORITHMS}:
            raise ErrorAnswer("InvalidRequest", 400, "Checksum algorithm provided is unsupported.")
        self.uploads[id_] = StoredUpload(
            key=key, algorithm=algorithm, headers=stored_headers(request), begun=self._now()
        )
        child_elements = tag("Bucket", self.bucket), tag("Key", key), tag("UploadId", id_)
        return answer(xml("InitiateMultipartUploadResult", *child_elements))

    def _upload(self, key: str, query: dict[str, str]) -> StoredUpload:
        upload = self.uploads.get(query.get("uploadId", ""))
        if upload is None or upload.key != key:
            raise ErrorAnswer("NoSuchUpload", 404, "The specified upload does not exist.")
        return upload

    def _put_part(
        self, request: SandboxRequest, key: str, query: dict[str, str], spool: Spool
    ) -> Reply:
        upload = self._upload(key, query)
        number = query["partNumber"]
        if not number.isdigit() or not 1 <= int(number) <= 10_000:
            raise ErrorAnswer(
                "InvalidArgument", 400, "Part number must be between 1 and 10000, inclusive"
            )
        sums = dict(sums_of(request))
        if upload.algorithm is not None and upload.algorithm not in sums:
            raise ErrorAnswer(
                "InvalidRequest", 400, f"Checksum Type mismatch: expected {upload.algorithm}"
            )
        checksum = spool.digests[upload.algorithm] if upload.algorithm else None
        part = StoredPart(
            piece=spool.piece(),
            md5=spool.digests["md5"],
            checksum=checksum,
            modified=self._now(),
        )
        upload.parts[int(number)] = part
        fields = {"ETag": f'"{part.etag}"'}
        return Reply(200, fields | {f"x-amz-checksum-{name}": text for name, text in sums.items()})

    def _list_parts(self, _: SandboxRequest, key: str, query: dict[str, str], __: Spool) -> Reply:
        upload = self._upload(key, query)
        part_marker = int(query.get("part-number-marker", "0"))
        numbers = sorted(number for number in upload.parts if number > part_marker)
        elements = ""
        for number in numbers[: self.page]:
            part = upload.parts[number]
            child_elements = [
                tag("PartNumber", number),
                tag("ETag", f'"{part.etag}"'),
                tag("Size", part.piece.size),
            ]
            if upload.algorithm is not None and part.checksum is not None:
                name = f"Checksum{upload.algorithm.upper()}"
                child_elements.append(tag(name, b64encode(part.checksum).decode()))
            elements += f"<Part>{''.join(child_elements)}</Part>"
        has_more = len(numbers) > self.page
        if has_more:
            elements += tag("NextPartNumberMarker", numbers[self.page - 1])
        return answer(xml("ListPartsResult", tag("IsTruncated", yes_or_no(has_more)), elements))

    def _complete(
        self, request: SandboxRequest, key: str, query: dict[str, str], spool: Spool
    ) -> Reply:
        upload = self._upload(key, query)
        part_elements = [
            element for element in parse_body(spool).iter() if name_of(element) == "Part"
        ]
        part_fields = [
            {name_of(field): field.text or "" for field in part} for part in part_elements
        ]
        numbers = [int(part.get("PartNumber", "0")) for part in part_fields]
        if not numbers:
            raise ErrorAnswer("MalformedXML", 400)
        if numbers != sorted(set(numbers)):
            raise ErrorAnswer("InvalidPartOrder", 400)
        parts = [
            self._checked_part(upload, number, part)
            for number, part in zip(numbers, part_fields, strict=True)
        ]
        if any(part.piece.size < self.least_part for part in parts[:-1]):
            raise ErrorAnswer(
                "EntityTooSmall", 400, "Your proposed upload is smaller than the minimum"
            )
        size = sum(part.piece.size for part in parts)
        if request.headers.get("x-amz-mp-object-size", str(size)) != str(size):
            raise ErrorAnswer("InvalidRequest", 400, "The size of the object is not what was said")
        self._may_put(request, key)
        etag, checksum = join_checksums(parts, upload.algorithm)
        stored_object = StoredContent(
            pieces=tuple(part.piece for part in parts),
            etag=etag,
            checksum=checksum,
            composite=True,
            headers=upload.headers,
            modified=self._now(),
        )
        version = self._store(key, stored_object).version_header
        del self.uploads[query["uploadId"]]
        child_elements = tag("Bucket", self.bucket), tag("Key", key), tag("ETag", f'"{etag}"')
        # S3 sends white space while it works.
        return answer(b"  \n" + xml("CompleteMultipartUploadResult", *child_elements), version)

    def _checked_part(
        self, upload: StoredUpload, number: int, fields: dict[str, str]
    ) -> StoredPart:
        part = upload.parts.get(number)
        if part is None or fields.get("ETag", "").strip('"') != part.etag:
            raise ErrorAnswer(
                "InvalidPart", 400, "One or more of the specified parts could not be found."
            )
        if upload.algorithm is not None:
            checksum = fields.get(f"Checksum{upload.algorithm.upper()}")
            if checksum is None:
                raise ErrorAnswer(
                    "InvalidRequest", 400, f"The checksum is missing for part {number}."
                )
            if checksum != b64encode(part.checksum or b"").decode():
                raise ErrorAnswer("InvalidPart", 400)
        return part

    def _abort(self, _: SandboxRequest, key: str, query: dict[str, str], __: Spool) -> Reply:
        for part in self._upload(key, query).parts.values():
            part.piece.path.unlink(missing_ok=True)
        del self.uploads[query["uploadId"]]
        return Reply(204)

    def _list_uploads(self, query: dict[str, str]) -> Reply:
        write = quote_plus if query.get("encoding-type") == "url" else str
        page_size = min(int(query.get("max-uploads", "1000")), 1000, self.page)
        markers = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        uploads = sorted((upload.key, id_) for id_, upload in self.uploads.items())
        matches = [
            key_and_id
            for key_and_id in uploads
            if key_and_id > markers and key_and_id[0].startswith(query.get("prefix", ""))
        ]
        elements = ""
        for key, id_ in matches[:page_size]:
            started_at = self.uploads[id_].begun.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            child_elements = (
                tag("Key", write(key)),
                tag("UploadId", id_),
                tag("Initiated", started_at),
            )
            elements += f"<Upload>{''.join(child_elements)}</Upload>"
        has_more = len(matches) > page_size
        if has_more:
            key, id_ = matches[page_size - 1]
            elements += tag("NextKeyMarker", write(key)) + tag("NextUploadIdMarker", id_)
        elements += tag("EncodingType", "url") if "encoding-type" in query else ""
        return answer(
            xml("ListMultipartUploadsResult", tag("IsTruncated", yes_or_no(has_more)), elements)
        )
