"""Requests and responses of gRPC server reflection, and the import order of protobuf files.

Laws:

1. The files are complete: each file comes after those that it imports, and no import is missing.
2. The number of questions and the amount of data have limits that the server cannot raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.connectors.protobuf_wire import bytes_of, number_of, text_field
from moorage.errors import InvalidRequest, VendorFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

PATHS: Final = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)
"""The paths of the gRPC reflection methods; a server has one or both."""

LIST_SERVICES: Final = text_field(7, "*")
MOST_FILES: Final = 2_000
MOST_ROUNDS: Final = 30
LARGEST: Final = 64 * 1024 * 1024
"""The maximum size of all protobuf files together, in bytes."""

_FILE: Final = 4
_SERVICES: Final = 6
_ERROR: Final = 7
_NOT_FOUND: Final = 5


def question_of_symbol(name: str) -> bytes:
    """Return the reflection request for the file that defines a service or a message."""
    return text_field(4, name)


def question_of_file(name: str) -> bytes:
    """Return the reflection request for a file of a given name."""
    return text_field(3, name)


def services_of(answer: bytes) -> tuple[str, ...]:
    """Return the full names of the services in the response to a `LIST_SERVICES` request.

    Raises:
        VendorFailed: the response cannot be read.
    """
    try:
        _check_error(answer)
        names = tuple(
            b"".join(bytes_of(service, 1)).decode()
            for services in bytes_of(answer, _SERVICES)
            for service in bytes_of(services, 1)
        )
    except ValueError:
        names = None
    if names is None or len(names) > MOST_FILES:
        raise unreadable_descriptions_error()
    return names


def files_of(answer: bytes) -> dict[str, bytes]:
    """Return the files in a reflection response, by name; each is a `FileDescriptorProto`.

    The result is empty if the server does not know the file or the symbol.

    Raises:
        VendorFailed: the response cannot be read.
    """
    try:
        if not _check_error(answer):
            return {}
        return {
            name_of(file): file
            for response in bytes_of(answer, _FILE)
            for file in bytes_of(response, 1)
        }
    except ValueError:
        pass
    raise unreadable_descriptions_error()


def files_of_set(descriptor_set: bytes) -> dict[str, bytes]:
    """Return the files of a `FileDescriptorSet`, by name.

    Raises:
        ValueError: the bytes are not a `FileDescriptorSet`.
    """
    return {name_of(file): file for file in bytes_of(descriptor_set, 1)}


def name_of(file: bytes) -> str:
    """Return the name of a protobuf file, such as "shop/orders.proto".

    Raises:
        ValueError: the bytes are not a `FileDescriptorProto`.
    """
    name = b"".join(bytes_of(file, 1)).decode()
    if not name:
        raise ValueError("The file has no name.")
    return name


def imports_of(file: bytes) -> tuple[str, ...]:
    """Return the names of the files that a protobuf file imports.

    Raises:
        ValueError: the bytes are not a `FileDescriptorProto`.
    """
    return tuple(name.decode() for name in bytes_of(file, 3))


def missing_imports(files: Mapping[str, bytes], others: Collection[str]) -> tuple[str, ...]:
    """Return the names of imported files that neither of two sets of files contains.

    Raises:
        VendorFailed: a file cannot be read, or the files are too many or too large.
    """
    if len(files) > MOST_FILES or sum(map(len, files.values())) > LARGEST:
        raise unreadable_descriptions_error()
    try:
        names = {name: None for file in files.values() for name in imports_of(file)}
    except ValueError:
        raise unreadable_descriptions_error() from None
    return tuple(name for name in names if name not in files and name not in others)


def in_import_order(files: Mapping[str, bytes]) -> tuple[bytes, ...]:
    """Return files in an order in which each follows the files that it imports.

    Raises:
        ValueError: files import each other, or cannot be read.
    """
    order: dict[str, bytes] = {}
    waiting_imports = {
        name: [item for item in imports_of(files[name]) if item in files] for name in files
    }
    while waiting_imports:
        ready_names = [
            name
            for name, imports in waiting_imports.items()
            if all(map(order.__contains__, imports))
        ]
        if not ready_names:
            raise ValueError("The files import each other.")
        for name in ready_names:
            order[name] = files[name]
            del waiting_imports[name]
    return tuple(order.values())


def unreadable_descriptions_error() -> VendorFailed:
    """Return the error for gRPC descriptions that cannot be read."""
    return VendorFailed(
        "The gRPC service describes its methods in a form that cannot be read.",
        remedy="Set `descriptors` to a file that protoc has written.",
        retryable=False,
    )


def missing_files_error(names: Iterable[str]) -> VendorFailed:
    """Return the error for gRPC descriptions that lack imported files."""
    return VendorFailed(
        "The gRPC service does not provide the imported file"
        f" {', '.join(name[:80] for name in names)[:300]!r}.",
        remedy="Set `descriptors` to a file that protoc has written with --include_imports.",
        retryable=False,
    )


def no_reflection_error() -> InvalidRequest:
    """Return the error for a gRPC server without reflection."""
    return InvalidRequest(
        "The gRPC service does not describe its methods, because it does not support reflection.",
        remedy="Enable reflection on the server, or set `descriptors` to a file that protoc"
        " has written.",
    )


def _check_error(answer: bytes) -> bool:
    """Return False if a reflection response states that a name is unknown; raise other errors."""
    for error in bytes_of(answer, _ERROR):
        if number_of(error, 1) == _NOT_FOUND:
            return False
        raise ValueError("The server could not answer.")
    return True
