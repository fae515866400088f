"""The documents and errors of the Google Cloud Storage sandbox."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer, Reply

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.storage._s3_store import Spool

_TEXTS: Final = words(
    "cacheControl contentDisposition contentEncoding contentLanguage contentType crc32c customTime"
    " md5Hash name storageClass"
)
_FLAGS: Final = frozenset({"eventBasedHold", "temporaryHold"})
_ACLS: Final = words(
    "authenticatedRead bucketOwnerFullControl bucketOwnerRead private projectPrivate publicRead"
)
_CLASSES: Final = frozenset({"ARCHIVE", "COLDLINE", "NEARLINE", "STANDARD"})
_KMS: Final = re.compile("projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_NUMBER: Final = re.compile("[0-9]{1,19}")


def error_document(status: int, reason: str, message: str) -> bytes:
    """Return the JSON document of a Google error."""
    inner = {"message": message, "domain": "global", "reason": reason}
    return encode_json({"error": {"code": status, "message": message, "errors": [inner]}})


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    """Return a response with a JSON document."""
    fields = {"Content-Type": "application/json; charset=UTF-8", **headers}
    return Reply(status, fields, encode_json(value))


def invalid(message: str) -> ErrorAnswer:
    """Return the response to an invalid request."""
    return ErrorAnswer("invalid", 400, message)


def check_query(query: dict[str, str], names: str) -> None:
    """Refuse a query parameter that the method does not take."""
    for name in query:
        if name not in names.split():
            raise ErrorAnswer("invalidParameter", 400, f"Unknown parameter: {name}")
    acl = query.get("predefinedAcl", query.get("destinationPredefinedAcl"))
    if acl is not None and acl not in _ACLS:
        raise invalid(f"Invalid value for: {acl} is not a valid value")
    key = query.get("kmsKeyName", query.get("destinationKmsKeyName"))
    if key is not None and _KMS.fullmatch(key) is None:
        raise invalid(f"Malformed Cloud KMS crypto key: {key}")


def number_in(query: dict[str, str], name: str) -> int | None:
    """Return a query parameter's value as a number; None if it is missing."""
    text = query.get(name)
    if text is not None and _NUMBER.fullmatch(text) is None:
        raise ErrorAnswer("invalidParameter", 400, f"Invalid value for {name}: {text!r}")
    return None if text is None else int(text)


def resource_of(body: bytes) -> dict[str, Any]:
    """Return the metadata for a new object."""
    try:
        resource = json.loads(body)
    except ValueError:
        resource = None
    if not is_object(resource):
        raise ErrorAnswer("parseError", 400, "Parse Error")
    for name, value in resource.items():
        if name == "metadata":
            is_known = is_object(value) and all(isinstance(text, str) for text in value.values())
        else:
            kind = bool if name in _FLAGS else str
            is_known = name in _TEXTS | _FLAGS and isinstance(value, kind)
        if not is_known:
            raise invalid(f'Invalid JSON payload received. Unknown name or value at "{name}"')
    if resource.get("storageClass", "STANDARD") not in _CLASSES:
        raise invalid("Invalid storage class")
    return resource


def related_parts(request: SandboxRequest, spool: Spool) -> tuple[bytes, bytes, str]:
    """Return the two parts of a multipart upload, and the second part's content type."""
    kind, _, boundary = request.headers.get("content-type", "").partition("; boundary=")
    # An email parser would change the line endings, which belong to the file.
    parts = (b"\r\n" + spool.content()).split(f"\r\n--{boundary}".encode())
    if kind != "multipart/related" or len(parts) != 4 or not parts[3].startswith(b"--"):
        raise ErrorAnswer("badContent", 400, "Malformed multipart body.")
    (head, metadata_body), (data_type, data_body) = (_halves(part) for part in parts[1:3])
    if not head.startswith("application/json"):
        raise ErrorAnswer("badContent", 400, f"Unsupported content with type: {head}")
    return metadata_body, data_body, data_type


def _halves(part: bytes) -> tuple[str, bytes]:
    """Return a multipart part's content type and content."""
    head, _, content = part.partition(b"\r\n\r\n")
    fields = BytesParser(policy=HTTP).parsebytes(head.lstrip() + b"\r\n\r\n")
    return str(fields["content-type"]), content


def base64(digest: bytes) -> str:
    """Return a digest in base64, as Google writes it."""
    return b64encode(digest).decode()
