"""A local image registry that can fail on purpose, for tests of pulling images.

It speaks the pulling part of the OCI distribution protocol
(github.com/opencontainers/distribution-spec, spec.md, read 2026-11).
"""

from __future__ import annotations

import io
import json
import tarfile
from base64 import b64encode
from collections import deque
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Fault(NamedTuple):
    """An error response with which the registry refuses a manifest."""

    status: int
    code: str
    message: str


THROTTLED = Fault(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
BROKEN = Fault(503, "UNAVAILABLE", "The registry is in maintenance.")


class Registry:
    """An image registry with one image, `erp:1`.

    Attributes:
        faults: the answers to the next requests for a manifest.
        manifest_requests: the number of requests for a manifest.
        login: the user and the password that it wants, such as "erp:pass"; None for everybody.
    """

    def __init__(self, busybox: Path) -> None:
        self.faults: deque[Fault] = deque()
        self.manifest_requests = 0
        self.login: str | None = None
        self.server = ""
        layer = _layer_of(busybox)
        config = _config_of(layer)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _description(_CONFIG, config),
            "layers": [_description(_LAYER, layer)],
        }
        self.manifest = json.dumps(manifest).encode()
        self.blobs = {_digest(blob): blob for blob in (layer, config)}

    @property
    def image(self) -> str:
        """The full name of the registry's image."""
        return f"{self.server}/erp:1"


@contextmanager
def registry(busybox: Path) -> Generator[Registry]:
    """Yield an image registry."""
    shared_registry = Registry(busybox)

    class Handler(_Handler):
        """The request handler of this registry."""

        registry = shared_registry

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    shared_registry.server = f"localhost:{server.server_port}"
    try:
        yield shared_registry
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Handles requests for a manifest and for blobs."""

    registry: Registry
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Handle a HEAD request for a manifest."""
        self.do_GET()

    def do_GET(self) -> None:
        """Send a manifest or a blob, or the next planned fault."""
        registry, path = self.registry, self.path
        login = registry.login and f"Basic {b64encode(registry.login.encode()).decode()}"
        if login and self.headers["Authorization"] != login:
            self._refuse(Fault(401, "UNAUTHORIZED", "authentication required"))
        elif path == "/v2/":
            self._answer("application/json", b"{}")
        elif "/manifests/" in path:
            registry.manifest_requests += 1
            digest = _digest(registry.manifest)
            if registry.faults:
                self._refuse(registry.faults.popleft())
            elif path in {"/v2/erp/manifests/1", f"/v2/erp/manifests/{digest}"}:
                self._answer(_MANIFEST, registry.manifest, digest)
            else:
                self._refuse(Fault(404, "MANIFEST_UNKNOWN", "manifest unknown"))
        elif path.rpartition("/")[2] in registry.blobs:
            digest = path.rpartition("/")[2]
            self._answer("application/octet-stream", registry.blobs[digest], digest)
        else:
            self._refuse(Fault(404, "BLOB_UNKNOWN", "blob unknown"))

    def _answer(self, kind: str, body: bytes, digest: str = "", status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="erp"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, fault: Fault) -> None:
        errors = [{"code": fault.code, "message": fault.message}]
        self._answer(
            "application/json", json.dumps({"errors": errors}).encode(), status=fault.status
        )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of its base
        """Print nothing."""


def _layer_of(busybox: Path) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for name in ("sh", "echo", "cat", "ls"):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return archive.getvalue()


def _config_of(layer: bytes) -> bytes:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    return json.dumps(config).encode()


def _description(kind: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{sha256(blob).hexdigest()}"
