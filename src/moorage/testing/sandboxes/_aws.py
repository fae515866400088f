"""The base class of AWS sandboxes other than S3, which checks signatures."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar, Final

from moorage.domain.http.query import encode_pairs
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.sigv4 import AwsSigV4
from moorage.testing.sandboxes.base import Sandbox

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import Refusal, SandboxRequest

_CREDENTIAL: Final = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
UNSIGNED: Final = "It is not signed."
STRANGER: Final = "The security token is invalid."
MISMATCH: Final = "The signature does not match."


class AwsSandbox(Sandbox, ABC):
    """The base class of sandboxes that imitate AWS services.

    Attributes:
        service: name of the service in signatures.
        domains: beginnings of the names of its hosts.
        access_key_id, secret_access_key: credentials that requests must have.
        region: AWS region of the sandbox.
    """

    service: ClassVar[str]
    domains: ClassVar[tuple[str, ...]]

    access_key_id: str = "AKIDSANDBOX"
    secret_access_key: str = "aws-sandbox-secret"
    region: str = "eu-central-1"

    def __attrs_post_init__(self) -> None:
        self.hosts = tuple(f"{name}.{self.region}.amazonaws.com" for name in self.domains)

    @property
    def account(self) -> dict[str, str]:
        """The options of an account that uses this sandbox."""
        return {
            "region": self.region,
            "access_key_id": self.access_key_id,
            "credentials": self.secret_access_key,
        }

    def check_access(self, request: SandboxRequest) -> None:
        """Check the AWS signature of a request."""
        key = self.access_key_id, self.secret_access_key
        problem = _signature_problem(request, self.service, self.region, key)
        if problem is not None:
            raise self._unauthorized(problem)

    @abstractmethod
    def _unauthorized(self, problem: str) -> Refusal:
        """Return the response to a request with an invalid AWS signature."""


def _signature_problem(
    request: SandboxRequest, service: str, region: str, key: tuple[str, str]
) -> str | None:
    """Return the problem with a request's AWS signature; None if it is valid."""
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
    query = encode_pairs(request.query)
    repeated_request = AwsSigV4(access_key_id=id_, region=region, service=service).sign(
        Request(
            HttpMethod(request.method), request.path, headers=signed_headers, body=request.body
        ),
        f"https://{request.host}{request.path}{query and f'?{query}'}",
        Secret(secret),
        SigningContext(now, ""),
    )
    return None if repeated_request.headers.get("authorization") == header else MISMATCH
