"""gRPC servers whose reflection is incomplete, contradictory or endless."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import ConnectionFailed, InvalidRequest, VendorFailed
from moorage.adapters.grpc.descriptors import GrpcDescriptors
from moorage.domain.connectors import grpc_reflection as reflection
from moorage.testing import GrpcServer, GrpcStatus
from tests.adapters.grpc import shop_definitions as shop

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.adapters.grpc.grpc_harness import Harness

FILES = {file.name: file.SerializeToString() for file in shop.files()}
SERVICES = ("shop.Orders",)


class RawMessage:
    """A message class that stores its bytes unparsed, for requests and responses."""

    FromString = staticmethod(bytes)
    SerializeToString = staticmethod(bytes)


def field(number: int, value: bytes) -> bytes:
    """Return an encoded protobuf field with these bytes."""
    size = len(value)
    prefix = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + prefix + value


class Reflection:
    """A reflection service that returns the responses that a test prepared.

    Attributes:
        questions: the reflection requests received so far.
    """

    def __init__(self, server: GrpcServer) -> None:
        self._server = server
        self.address = server.address
        self.questions: list[bytes] = []

    def answer(
        self,
        files: Callable[[str], list[bytes]],
        services: tuple[str, ...] = SERVICES,
        path: str = reflection.PATHS[0],
    ) -> None:
        """Answer with the files that `files` returns for the requested symbol or file name."""

        def answers(questions: Iterator[bytes]) -> Iterator[bytes]:
            for question in questions:
                self.questions.append(question)
                if question == reflection.LIST_SERVICES:
                    listed = b"".join(field(1, field(1, name.encode())) for name in services)
                    yield field(6, listed)
                    continue
                answer_files = files(question[2:].decode())
                yield (
                    field(4, b"".join(field(1, file) for file in answer_files))
                    if answer_files
                    else field(7, b"\x08\x05")
                )

        self._server.add(
            path,
            answers,
            request=RawMessage,
            answer=RawMessage,
            streams_requests=True,
            streams_answers=True,
        )

    def refuse(self, code: str) -> None:
        """End every reflection request with this status."""

        def answers(_: Iterator[bytes]) -> Iterator[bytes]:
            raise GrpcStatus(code)
            yield b""

        for path in reflection.PATHS:
            self._server.add(
                path,
                answers,
                answer=RawMessage,
                request=RawMessage,
                streams_requests=True,
                streams_answers=True,
            )


@pytest.fixture(name="server")
def _server() -> Generator[Reflection]:
    """Yield a server with the test's own reflection service."""
    with GrpcServer() as server:
        yield Reflection(server)


@pytest.fixture(name="reflected")
def _reflect(
    server: Reflection, harnesses: Callable[..., Harness]
) -> Callable[[], GrpcDescriptors]:
    """Return a function that asks the server for its descriptors, in either mode."""
    harness = harnesses(server.address)

    def reflect_descriptors() -> GrpcDescriptors:
        described: GrpcDescriptors = harness.perform(harness.connector.reflect())
        return described

    return reflect_descriptors


def one_file(name: str) -> list[bytes]:
    """Return the only file that has this name or defines the service, without its imports."""
    return [FILES["shop/orders.proto" if name == "shop.Orders" else name]]


@pytest.mark.parametrize("path", reflection.PATHS)
def test_imported_files_are_requested_one_by_one(
    server: Reflection, reflected: Callable[[], GrpcDescriptors], path: str
) -> None:
    """Imported files are requested one by one, in both versions of the reflection protocol."""
    server.answer(one_file, path=path)

    assert (shop.GET, shop.PUT, shop.WATCH) == reflected().methods
    assert reflection.question_of_file("shop/types.proto") in server.questions


def test_a_server_without_services_has_no_methods(
    server: Reflection, reflected: Callable[[], GrpcDescriptors]
) -> None:
    """A server that lists no services has no methods, and gets no further requests."""
    server.answer(one_file, services=())

    assert () == reflected().methods
    assert [reflection.LIST_SERVICES] == server.questions


@pytest.mark.parametrize(
    "files,problem",
    [
        (lambda name: one_file(name) if name == "shop.Orders" else [], "'shop/types.proto'"),
        (lambda _: [field(1, b"a") + field(2, b"b") + b"\x0a\x01"], "cannot be read"),
        (lambda _: [field(1, b"a") + field(3, b"a")], "cannot be read"),
        (lambda name: [field(1, name.encode()) + field(3, f"{name}+".encode())], "imported file"),
    ],
    ids=["missing", "garbled", "circle", "endless"],
)
def test_unusable_reflection_responses_are_refused(
    server: Reflection,
    reflected: Callable[[], GrpcDescriptors],
    files: Callable[[str], list[bytes]],
    problem: str,
) -> None:
    """If the responses of server reflection are unusable, the error asks for a descriptor file."""
    server.answer(files)
    with pytest.raises(VendorFailed, match=f"{problem}.*`descriptors`"):
        reflected()
    assert len(server.questions) <= reflection.MOST_ROUNDS


def test_status_code_of_refused_reflection_decides_the_error(
    server: Reflection, reflected: Callable[[], GrpcDescriptors]
) -> None:
    """UNIMPLEMENTED means that the server has no reflection; other codes raise other errors."""
    server.refuse("INVALID_ARGUMENT")
    with pytest.raises(InvalidRequest, match="rejected the request as invalid"):
        reflected()
    server.refuse("UNIMPLEMENTED")
    with pytest.raises(InvalidRequest, match="does not support reflection"):
        reflected()


def test_reflection_does_not_replace_given_descriptors(
    server: Reflection, harnesses: Callable[..., Harness]
) -> None:
    """Reflection does not replace the descriptors that the program gave to the connector."""
    server.answer(one_file, services=())
    configured = GrpcDescriptors(FILES)
    harness = harnesses(server.address, descriptors=configured)
    harness.perform(harness.connector.reflect())

    assert configured is harness.connector.descriptors


def test_exceptions_of_grpcio_are_judged(harnesses: Callable[..., Harness]) -> None:
    """Operations that use reflection convert time-outs, and leave unknown exceptions unchanged."""
    connector = harnesses("127.0.0.1:1").connector
    for operation in (connector.reflect(), connector.call_by_name(shop.GET, {})):
        error: Any = operation.translate_error(TimeoutError())
        assert isinstance(error, ConnectionFailed)
        assert operation.translate_error(ZeroDivisionError()) is None
