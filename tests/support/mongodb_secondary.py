"""A secondary of a replica set that has no primary, with MongoDB's wire protocol."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from datetime import UTC, datetime
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import bson

if TYPE_CHECKING:
    from collections.abc import Generator

_HEADER = struct.Struct("<iiii")
_MESSAGE, _REPLY = 2013, 1


@contextmanager
def secondary(*documents: dict[str, Any]) -> Generator[str]:
    """Yield the address of a secondary, each of whose collections has these documents."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while len(header := self.rfile.read(_HEADER.size)) == _HEADER.size:
                size, number, _, kind = _HEADER.unpack(header)
                body = self.rfile.read(size - _HEADER.size)
                # The command of an old query follows its flags, its namespace and two numbers.
                start = 5 if kind == _MESSAGE else body.index(b"\0", 4) + 9
                reply = bson.encode(_reply(bson.decode(body[start:]), address, documents))
                if kind == _MESSAGE:
                    kind, content = _MESSAGE, b"\0" * 5 + reply
                else:
                    kind, content = _REPLY, struct.pack("<iqii", 8, 0, 0, 1) + reply
                self.wfile.write(_HEADER.pack(_HEADER.size + len(content), 1, number, kind))
                self.wfile.write(content)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        address = f"127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()


def _reply(
    command: dict[str, Any], address: str, documents: tuple[dict[str, Any], ...]
) -> dict[str, Any]:
    name = next(iter(command)).lower()
    if name == "find":
        space = f"{command['$db']}.{command['find']}"
        return {"cursor": {"firstBatch": list(documents), "id": 0, "ns": space}, "ok": 1.0}
    if name not in {"hello", "ismaster"}:
        return {"ok": 1.0}
    now = datetime.now(UTC)
    return {
        "helloOk": True,
        "isWritablePrimary": False,
        "ismaster": False,
        "secondary": True,
        "setName": "rs",
        "setVersion": 1,
        "hosts": [address],
        "me": address,
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "logicalSessionTimeoutMinutes": 30,
        "localTime": now,
        "lastWrite": {"lastWriteDate": now},
        "ok": 1.0,
    }
