"""Private NATS servers with JetStream that a test may stop, kill and start again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import nats

from tests.support.ports import free_port
from tests.support.servers import nats_server
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class PrivateNats:
    """A private `nats-server` whose streams survive its process.

    Args:
        config: further lines of its configuration.
        jetstream: further settings of JetStream.
        login: options of nats-py with which the test itself logs in.
    """

    def __init__(self, config: str = "", *, jetstream: str = "", **login: Any) -> None:
        self.port = free_port()
        self._login = login
        self._folder = TemporaryDirectory(prefix="moorage-nats-")
        self.folder = Path(self._folder.name)
        self._config = self.folder / "nats.conf"
        store = json.dumps(str(self.folder / "store"))
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f"jetstream {{ store_dir: {store}\n{jetstream} }}\n{config}\n"
        )
        self.start()

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server with its stored streams."""
        self.process = subprocess.Popen(
            [nats_server(), "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, "starting nats-server")

    def _listens(self) -> bool:
        assert self.process.poll() is None, "nats-server ended at once"
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def kill(self) -> None:
        """Kill the server, as a crash would."""
        self.process.kill()
        self.process.wait()

    def suspend(self) -> None:
        """Suspend the server's process, so that it does not reply."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the server's process."""
        os.kill(self.process.pid, signal.SIGCONT)

    def ask(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run a function with a JetStream context of nats-py, and return its result."""

        async def run() -> Any:
            client = await nats.connect(self.url, **self._login)
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())

    def add_stream(self, name: str, **config: Any) -> None:
        """Create a stream for the subjects that begin with its name."""
        config.setdefault("subjects", [name, f"{name}.>"])
        self.ask(lambda js: js.add_stream(name=name, **config))

    def messages(self, stream: str) -> list[Any]:
        """Return the messages of a stream, in order."""

        async def read(js: Any) -> list[Any]:
            state = (await js.stream_info(stream)).state
            # If a stream has no messages, its first number belongs to no message.
            numbers = range(state.first_seq, state.last_seq + 1) if state.messages else ()
            return [await js.get_msg(stream, number) for number in numbers]

        messages: list[Any] = self.ask(read)
        return messages

    def payloads(self, stream: str) -> list[bytes]:
        """Return the payloads of a stream's messages, in order."""
        return [message.data or b"" for message in self.messages(stream)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.resume()
        self.kill()
        self._folder.cleanup()
