"""Sends a synchronous client's request with a body in memory, and reads the response.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from moorage.adapters.http.messages._content import HeldBody, decompressor_of
from moorage.adapters.http.pyreqwest._clients import ProcessForked
from moorage.adapters.http.pyreqwest._failures import PyreqwestErrors
from moorage.adapters.http.pyreqwest._messages import (
    address_of,
    check_length,
    check_proxy,
    fields_of,
    headers_of,
    plain_length,
)
from moorage.adapters.http.pyreqwest._timeouts import PIECE_SIZE
from moorage.adapters.http.pyreqwest._waiting import drop_response_sync, run_now
from moorage.domain.http.response import received_response
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from moorage.adapters.http.pyreqwest._clients import Clients
    from moorage.adapters.http.pyreqwest._engine import PyreqwestEngine
    from moorage.adapters.http.pyreqwest._timeouts import StepTimeouts
    from moorage.domain.http.requests import Request, Response


def send_whole(
    engine: PyreqwestEngine, clients: Clients, request: Request, url: str, timeouts: StepTimeouts
) -> Response:
    """Send a request whose body is in memory, and read its whole response.

    Raises:
        Forked: this process cannot use pyreqwest.
    """
    (origin, request_url), method = address_of(url), request.method
    fields = fields_of(request) if request.headers.pairs else None
    gateway = engine.gateway and engine.gateway_to(origin)
    total, allowed_time = timeouts.total, timeouts.allowed_time
    pool, holder = engine.pool(), object()
    outgoing = status = reader = None
    start_time = monotonic()
    deadline = inf if total is None else start_time + total
    failure: Exception
    try:
        if not pool.claim(origin, holder):
            pool_deadline = deadline if timeouts.pool is None else start_time + timeouts.pool
            run_now(pool.take(origin, holder, min(deadline, pool_deadline)))
            allowed_time = timeouts.remaining(deadline - monotonic())
        client = clients.find(timeouts.connect, timeouts.read, proxied=gateway is not None)
        builder = client.request(method, request_url)
        if fields:
            builder = builder.headers(fields)
        if total is not None:
            builder = builder.timeout(allowed_time)
        if request.body:
            builder = builder.body_bytes(request.body)
        outgoing = builder.streamed_read_buffer_limit(PIECE_SIZE).build_streamed()
        response = outgoing.__enter__()
        reader, status = response.body_reader, response.status
        headers = headers_of(response)
        length = plain_length(method, status, headers)
        if length is None:
            check_length(method, status, headers)
            check_proxy(gateway, origin, status)
        piece = reader.read_chunk()
        if piece is not None and length == len(piece) <= engine.max_body:
            body = bytes(piece)
        else:
            held_body = HeldBody(decompressor_of(request, status, headers), engine.max_body)
            body = _whole_body(reader, piece, held_body)
        reader = None
        return received_response(
            status, headers, body, reason=None, url=url, elapsed=monotonic() - start_time
        )
    except (ConnectorError, ProcessForked):
        raise
    except Exception as error:  # noqa: BLE001 - every error is replaced
        failure = PyreqwestErrors(origin, gateway, timeouts, deadline, status).of(error)
    finally:
        if reader is not None:
            drop_response_sync(outgoing)
        pool.give(origin, holder)
    raise failure


def _whole_body(reader: Any, piece: Any, held_body: HeldBody) -> bytes:
    """Read the rest of a body after its first piece, and return the whole body."""
    while piece is not None:
        held_body.add(bytes(piece))
        piece = reader.read_chunk()
    return held_body.whole()
