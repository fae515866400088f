"""Private MQTT brokers that tests may kill, a subscriber, and a scripted broker."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.support.ports import free_port
from tests.support.servers import mosquitto_program
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "the-end"
"""The topic of messages that show a subscriber that all earlier ones have arrived."""


class PrivateMosquitto:
    """A private `mosquitto` broker for one test, which listens on this machine only.

    Args:
        lines: further lines of its configuration, for its only listener.
        anonymous: whether clients need no user.
        is_persistent: whether the broker that `stop` ends keeps its sessions.
    """

    def __init__(self, *lines: str, anonymous: bool = True, is_persistent: bool = False) -> None:
        self.port = free_port()
        self._place = TemporaryDirectory(prefix="moorage-mosquitto-")
        self._config = Path(self._place.name, "mosquitto.conf")
        settings = [
            "user root",
            f"persistence {str(is_persistent).lower()}",
            f"persistence_location {self._place.name}/",
            "max_queued_messages 0",
            "set_tcp_nodelay true",
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(anonymous).lower()}",
        ]
        self._config.write_text("\n".join([*settings, *lines, ""]))
        self.process = self._start_process()

    @property
    def url(self) -> str:
        """Return the URL of the broker."""
        return f"mqtt://127.0.0.1:{self.port}"

    def _start_process(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [mosquitto_program(), "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def is_listening() -> bool:
            assert process.poll() is None, "mosquitto ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True

        wait_until(is_listening, "starting mosquitto")
        return process

    def start(self) -> None:
        """Start the broker again."""
        self.process = self._start_process()

    def stop(self) -> None:
        """Stop the broker cleanly."""
        self.process.terminate()
        self.process.wait()

    def kill(self) -> None:
        """Kill the broker without a clean shutdown."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._place.cleanup()


def write_password(file: Path, user: str, password: str) -> None:
    """Write a password file that contains one user."""
    subprocess.run(
        [mosquitto_program("mosquitto_passwd"), "-b", "-c", str(file), user, password],
        check=True,
        capture_output=True,
    )


def end_client(client: Client) -> None:
    """Disconnect a client, end its thread, and close its sockets."""
    client.disconnect()
    client.loop_stop()
    # paho closes the sockets that wake its thread only when the object is garbage-collected.
    client._reset_sockets()  # noqa: SLF001 - no public method closes it


class Subscriber:
    """A client that subscribes to a topic of a broker, by default to all topics.

    Args:
        port: the port of the broker.
        user: the user, if the broker wants one.
        password: the user's password.
        topic: the topic.
    """

    def __init__(
        self, port: int, user: str | None = None, password: str | None = None, *, topic: str = "#"
    ) -> None:
        self._messages: list[Any] = []
        self._is_ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._subscribe
        self._topic = topic
        self._client.on_subscribe = lambda *_: self._is_ready.set()
        self._client.on_message = lambda _, __, message: self._messages.append(message)
        self._client.username_pw_set(user, password)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._is_ready.wait(60), "the subscription was not accepted"

    def _subscribe(self, *_: Any) -> None:
        self._client.subscribe([(self._topic, 2), (MARK, 2)])

    def messages(self) -> list[Any]:
        """Return the messages that the subscriber has received so far, in order."""
        marks = self._marks()
        self._client.publish(MARK, qos=2)
        wait_until(lambda: self._marks() > marks, "receiving the last message")
        return [message for message in self._messages if message.topic != MARK]

    def payloads(self) -> list[bytes]:
        """Return the payloads of the messages received so far."""
        return [message.payload for message in self.messages()]

    def _marks(self) -> int:
        return sum(message.topic == MARK for message in self._messages)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_client(self._client)


def connack(code: int = 0, properties: bytes | None = b"") -> bytes:
    """Return a CONNACK packet; without properties, one for MQTT 3.1.1."""
    body = bytes([0, code])
    if properties is not None:
        body += bytes([len(properties)]) + properties
    return bytes([0x20, len(body)]) + body


def acknowledgement(kind: int, number: int, code: int | None = None) -> bytes:
    """Return an acknowledgement packet, such as 0x40 for QoS 1."""
    body = number.to_bytes(2) + (b"" if code is None else bytes([code]))
    return bytes([kind, len(body)]) + body


class ScriptedBroker:
    """A minimal MQTT broker whose responses the test writes.

    Attributes:
        opened: the requests for a session that arrived, as packets.
        published: the messages that arrived, as packets.
        answer: returns the answer to a packet; it takes the kind of the packet and the number of
            the message. None ends the connection.

    Args:
        greeting: the answer to the opening of a session.
        answer: the function that returns the answers; by default nothing is answered.
    """

    def __init__(
        self,
        greeting: bytes = connack(),
        answer: Callable[[int, int], bytes | None] = lambda *_: b"",
    ) -> None:
        self.opened: list[bytes] = []
        self.published: list[bytes] = []
        self.answer = answer
        self._greeting = greeting
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rb") as stream:
            while head := stream.read(1):
                kind, size = head[0] & 0xF0, 0
                for shift in range(0, 28, 7):
                    digit = stream.read(1)[0]
                    size |= (digit & 0x7F) << shift
                    if digit < 0x80:
                        break
                reply = self._reply(kind, stream.read(size))
                if reply is None:
                    return
                client.sendall(reply)

    def _reply(self, kind: int, body: bytes) -> bytes | None:
        if kind == 0x10:
            self.opened.append(body)
            return self._greeting
        begin = 0
        if kind == 0x30:
            self.published.append(body)
            begin = 2 + int.from_bytes(body[:2])
        return self.answer(kind, int.from_bytes(body[begin : begin + 2]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for item in self._open:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()
