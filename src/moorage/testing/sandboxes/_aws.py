"""The authentication of AWS sandboxes other than S3."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from moorage.domain.http.requests import Request
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.occasion import Occasion
from moorage.domain.signing.sigv4 import AwsSigV4

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
UNSIGNED: Final = "It is not signed."
STRANGER: Final = "The security token is invalid."
MISMATCH: Final = "The signature does not match."


def objection(
    request: SandboxRequest, service: str, region: str, key: tuple[str, str]
) -> str | None:
    """Return the problem of a request's AWS signature; None if it is valid."""
    header = request.headers.get("authorization") or ""
    match = _CREDENTIAL.search(header)
    if match is None:
        return UNSIGNED
    id_, secret = key
    if match.groups() != (id_, region, service):
        return STRANGER
    stamp = request.headers.get("x-amz-date") or ""
    now = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    names = re.findall(r"SignedHeaders=([^,]+)", header)[0].split(";")
    signed_headers = {name: request.headers.get(name) or "" for name in names if name != "host"}
    repeated_request = AwsSigV4(access_key_id=id_, region=region, service=service).sign(
        Request.post(request.path, headers=signed_headers, body=request.body),
        f"https://{request.host}{request.path}",
        Secret(secret),
        Occasion(now, ""),
    )
    return None if repeated_request.headers.get("authorization") == header else MISMATCH
