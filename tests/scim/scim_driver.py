"""A client of a SCIM server with a store in memory, for tests."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage.domain.http.requests import Response
from moorage.scim import MemoryScimStore, ScimServer

if TYPE_CHECKING:
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.scim import ScimAnswer

TOKEN = "a-token-of-the-tests"
BASE = "https://erp.example/scim/v2"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
ADA: dict[str, Any] = {
    "schemas": [USER, ENTERPRISE],
    "externalId": "E-1815",
    "userName": "ada@example.com",
    "active": True,
    "displayName": "Ada",
    "emails": [{"primary": True, "type": "work", "value": "ada@example.com"}],
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    ENTERPRISE: {"department": "Analysis"},
}


class Driver:
    """A client that sends requests to a SCIM server with a store in memory."""

    def __init__(self, store: Any = None, *, lenient: bool = True) -> None:
        self.store = MemoryScimStore() if store is None else store
        self.server = ScimServer(self.store, tokens=[TOKEN], base_url=BASE, lenient=lenient)

    def __call__(
        self, method: str, path: str, body: Any = None, *, query: str = "", **headers: str
    ) -> ScimAnswer:
        """Send a request with the server's token, and return the response."""
        fields = {"Authorization": f"Bearer {TOKEN}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.server.answer(
            method, path, query=query, headers=list(fields.items()), body=content
        )

    def json(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Send a request, check that it succeeds, and return the parsed body."""
        answer = self(method, path, body, **options)
        assert answer.status in {200, 201}, answer.body
        return json.loads(answer.body)

    def patch(self, path: str, *operations: dict[str, Any]) -> Any:
        """Send a PATCH, check that it succeeds, and return the resource."""
        return self.json("PATCH", path, patch_body(*operations))


def patch_body(*operations: Any) -> dict[str, Any]:
    """Return the body of a PATCH with these operations."""
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    return {"schemas": schemas, "Operations": list(operations)}


class ServerClient:
    """An HTTP client that reaches only a SCIM server."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def send(self, request: Request, url: str, _: Timeouts, /) -> Response:
        """Send a request to the server."""
        path = urlsplit(url).path.removeprefix("/scim/v2")
        answer = self.driver.server.answer(
            request.method.value,
            path,
            query=urlsplit(url).query,
            headers=list(request.headers.pairs),
            body=request.body if isinstance(request.body, bytes) else b"",
        )
        return Response(answer.status, dict(answer.headers), answer.body, url=url)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Any:
        """Raise an error, because the vendor uses no streams."""
        raise NotImplementedError

    def close(self) -> None:
        """Do nothing."""


def wsgi_environ(method: str, path: str, body: bytes, **fields: str) -> dict[str, Any]:
    """Return the environment of a WSGI request."""
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "erp.example",
        "SERVER_PORT": "443",
        "wsgi.url_scheme": "https",
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {TOKEN}",
        **fields,
    }
