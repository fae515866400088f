"""`moorage broker`: lease rate-limit tokens to the processes of this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moorage.adapters.state.lease_broker import LeaseBroker
from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.errors import ConfigurationError
from moorage.pipelines.running import signals_call
from moorage.wiring.store_urls import aopen_storage

if TYPE_CHECKING:
    from pathlib import Path


def broker(socket: str | None = None, /, *, mode: str = "600", context: Context) -> CommandResult:
    """Lease rate-limit tokens to the processes of this machine, until SIGTERM or Ctrl-C.

    The processes request tokens from the broker over a Unix socket, and the broker requests them
    from the store for all processes.

    Args:
        socket: the path of the socket; by default the configured one.
        mode: the permissions of the socket as an octal number, such as 660 for a group.
        context: the options that all commands share.
    """
    url = context.state()
    if socket is None:
        settings = context.configured().broker
        if settings is None:
            raise ConfigurationError(
                "The configuration has no socket for the broker.",
                path="broker.socket",
                remedy="Set socket under [broker], or pass the path of the socket.",
            )
        socket = settings.socket
    handed_out, requests = asyncio.run(_serve(url, socket, _permissions(mode), context))
    return CommandResult(
        {"admitted": handed_out, "requests": requests},
        [f"{handed_out} calls admitted with {requests} requests to the store"],
    )


def _permissions(mode: str) -> int:
    try:
        return int(mode, 8)
    except ValueError:
        raise ConfigurationError(
            f"{mode!r:.60} is not an octal number.",
            path="--mode",
            remedy="Pass the permissions of the socket as an octal number, such as 600 or 660.",
        ) from None


async def _serve(url: str, path: str | Path, mode: int, context: Context) -> tuple[int, int]:
    """Serve until a signal arrives; return the numbers of calls and of requests to the store."""
    stop = asyncio.Event()
    async with aopen_storage(url) as storage, LeaseBroker(storage, path, mode=mode) as broker:
        with signals_call(stop.set):
            context.print_progress(f"Serving at {path}; SIGTERM or Ctrl-C ends it.")
            await stop.wait()
    return broker.handed_out, broker.requests
