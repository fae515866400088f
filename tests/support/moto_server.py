"""Moto, an emulator of Amazon Web Services, in its own process; it verifies signatures."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

import attrs
import pytest

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

REGION: Final = "eu-central-1"
_TIMEOUT: Final = 120.0
_SERVE: Final = "import sys; from moto.server import main; main(sys.argv[1:])"
_ALL: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@attrs.frozen
class Key:
    """An access key of a user with all permissions."""

    id: str
    secret: str = attrs.field(repr=False)


class MotoServer:
    """A moto server on a local port, which runs until it is closed.

    Attributes:
        url: the server's URL.
        key: the access key that the server accepts.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("moto") is None:
            pytest.skip("moto is for development only")
        port = free_port()
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _SERVE, "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait()
            self.key = self._user()
            self._guard("0")
        except BaseException:
            self.close()
            raise

    def add_bucket(self, name: str) -> None:
        """Create a bucket with versioning."""
        place = f"<LocationConstraint>{REGION}</LocationConstraint>"
        self._prepare(
            "s3", f"/{name}", f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>"
        )
        versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        self._prepare("s3", f"/{name}?versioning", versions)

    def add_queue(self, name: str) -> None:
        """Create a queue; the name of a FIFO queue ends with `.fifo`."""
        fields = {"Action": "CreateQueue", "Version": "2012-11-05", "QueueName": name}
        if name.endswith(".fifo"):
            fields |= {"Attribute.1.Name": "FifoQueue", "Attribute.1.Value": "true"}
        with self.unguarded():
            self._send("sqs", "/", urlencode(fields), "POST", "application/x-www-form-urlencoded")

    def receive(self, queue: str) -> str:
        """Return the XML response to a request for up to ten messages of a queue."""
        fields = {
            "Action": "ReceiveMessage",
            "Version": "2012-11-05",
            "QueueUrl": f"{self.url}/123456789012/{queue}",
            "MaxNumberOfMessages": "10",
            "AttributeName.1": "All",
            "MessageAttributeName.1": "All",
        }
        with self.unguarded():
            return self._send(
                "sqs", "/", urlencode(fields), "POST", "application/x-www-form-urlencoded"
            )

    def verify_sender(self, domain: str) -> None:
        """Allow mail from a domain."""
        body = json.dumps({"EmailIdentity": domain})
        self._prepare("ses", "/v2/email/identities", body, method="POST")

    def act(self, service: str, target: str, **fields: Any) -> dict[str, Any]:
        """Perform an action of Amazon's JSON protocol, and return the response."""
        kind = "application/x-amz-json-1.1"
        with self.unguarded():
            text = self._send(service, "/", json.dumps(fields), "POST", kind, target=target)
        document: dict[str, Any] = json.loads(text or "{}")
        return document

    def milliseconds(self) -> int:
        """Return this machine's time in milliseconds, as in log events."""
        return int(time.time() * 1000)

    def kept(self, service: str, kind: str) -> list[dict[str, Any]]:
        """Return the resources of the given type that moto stores."""
        fields: list[dict[str, Any]] = json.loads(self._send("", "/moto-api/data.json", "", "GET"))[
            service
        ][kind]
        return fields

    @contextlib.contextmanager
    def unguarded(self) -> Generator[None]:
        """Disable authorization during the block, since moto cannot verify presigned URLs."""
        self._guard("inf")
        try:
            yield
        finally:
            self._guard("0")

    def close(self) -> None:
        """Stop the process."""
        self._process.terminate()
        self._process.wait(_TIMEOUT)

    def _wait(self) -> None:
        end_time = time.monotonic() + _TIMEOUT
        while time.monotonic() < end_time:
            assert self._process.poll() is None, "moto ended at once"
            with contextlib.suppress(OSError):
                self._send("", "/moto-api/", "", "GET")
                return
            time.sleep(0.05)
        raise AssertionError("moto did not open its port in time")

    def _user(self) -> Key:
        self._ask("CreateUser")
        self._ask("PutUserPolicy", PolicyName="all", PolicyDocument=json.dumps(_ALL))
        result = self._ask("CreateAccessKey")
        results = [
            re.search(f"<{name}>(.+?)</", result) for name in ("AccessKeyId", "SecretAccessKey")
        ]
        id_, secret = [result[1] for result in results if result is not None]
        return Key(id_, secret)

    def _ask(self, action: str, **fields: str) -> str:
        table = {"Action": action, "Version": "2010-05-08", "UserName": "erp", **fields}
        return self._send("iam", "/", urlencode(table), "POST", "application/x-www-form-urlencoded")

    def _prepare(self, service: str, path: str, body: str, *, method: str = "PUT") -> None:
        with self.unguarded():
            self._send(service, path, body, method)

    def _guard(self, after: str) -> None:
        """Start to check signatures and permissions after the given number of requests."""
        self._send("", "/moto-api/reset-auth", after, "POST")

    def _send(
        self,
        service: str,
        path: str,
        body: str,
        method: str,
        kind: str = "text/plain",
        *,
        target: str = "",
    ) -> str:
        scope = f"nobody/20310506/{REGION}/{service}/aws4_request"
        sign = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none"
        headers = {"Authorization": sign, "Content-Type": kind}
        if target:
            headers["X-Amz-Target"] = target
        with contextlib.closing(
            HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        ) as connection:
            connection.request(method, path, body.encode(), headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        assert answer.status == 200, text
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
