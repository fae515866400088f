"""Who may come in where AWS signs, but for S3."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moorage.domain.http import Request
from moorage.domain.secret import Secret
from moorage.domain.signing.occasion import Occasion
from moorage.domain.signing.sigv4 import AwsSigV4

if TYPE_CHECKING:
    from moorage.testing.sandbox.base import Asked

_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
UNSIGNED: Final = "It is not signed."
STRANGER: Final = "The security token is invalid."
MISMATCH: Final = "The signature does not match."


def objection(asked: Asked, service: str, region: str, key: tuple[str, str]) -> str | None:
    """What speaks against a request, signed again as its sender should have; None if nothing."""
    given = asked.headers.get("authorization") or ""
    found = _CREDENTIAL.search(given)
    if found is None:
        return UNSIGNED
    id_, secret = key
    if found.groups() != (id_, region, service):
        return STRANGER
    stamp = asked.headers.get("x-amz-date") or ""
    now = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    names = re.findall(r"SignedHeaders=([^,]+)", given)[0].split(";")
    kept = {name: asked.headers.get(name) or "" for name in names if name != "host"}
    again = AwsSigV4(access_key_id=id_, region=region, service=service).sign(
        Request.post(asked.path, headers=kept, body=asked.body),
        f"https://{asked.host}{asked.path}",
        Secret(secret),
        Occasion(now, ""),
    )
    return None if again.headers.get("authorization") == given else MISMATCH
