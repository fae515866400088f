"""The HTML forms by which browsers upload to the S3 sandbox."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.testing.sandboxes.storage._s3_auth import Key, check_form
from moorage.testing.sandboxes.storage._s3_documents import ErrorAnswer

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.storage._s3_store import Spool

_FORM: Final = frozenset({"policy", "x-amz-signature", "x-goog-signature", "file"})


def check_policy(fields: dict[str, str], size: int, bucket: str, now: datetime) -> None:
    """Refuse an upload form that violates its own policy."""
    policy: dict[str, Any] = json.loads(b64decode(fields["policy"]))
    if datetime.fromisoformat(policy["expiration"]) < now:
        raise ErrorAnswer("AccessDenied", 403, "Invalid according to Policy: Policy expired.")
    condition_names: set[str] = set()
    for condition in policy["conditions"]:
        if isinstance(condition, dict):
            ((name, expected),) = cast("dict[str, str]", condition).items()
            actual = bucket if name == "bucket" else fields.get(name.lower())
            is_good = actual == expected
            condition_names.add(name.lower())
        else:
            operator, smallest, largest = condition
            if operator != "content-length-range" or not smallest <= size <= largest:
                raise ErrorAnswer("EntityTooLarge", 400, "Your proposed upload exceeds the maximum")
            continue
        if not is_good:
            raise ErrorAnswer(
                "AccessDenied", 403, "Invalid according to Policy: Policy Condition failed"
            )
    extra_fields = set(fields) - condition_names - _FORM
    if extra_fields:
        raise ErrorAnswer(
            "AccessDenied", 403, f"Invalid according to Policy: Extra input fields: {extra_fields}"
        )


def read_form(
    request: SandboxRequest, spool: Spool, key: Key, bucket: str, now: datetime
) -> tuple[dict[str, str], bytes]:
    """Return a form's fields and file, after checking its signed policy."""
    fields, data = parts_of(request, spool)
    check_form(fields, key)
    check_policy(fields, len(data), bucket, now)
    return fields, data


def parts_of(request: SandboxRequest, spool: Spool) -> tuple[dict[str, str], bytes]:
    """Return a form's fields and file, without checking its signature."""
    kind = request.headers["content-type"]
    message = BytesParser(policy=HTTP).parsebytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + spool.content()
    )
    fields: dict[str, str] = {}
    data = b""
    for part in cast("Any", message.iter_parts()):
        name = part.get_param("name", header="content-disposition").lower()
        content = part.get_payload(decode=True)
        if name == "file":
            data = content
        else:
            fields[name] = content.decode()
    return fields, data
