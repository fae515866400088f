"""Descriptions of gRPC services, with which methods are called in plain JSON."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.grpc.methods import GrpcMethod
from moorage.domain.connectors.grpc_reflection import files_of_set, in_import_order, missing_imports
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from os import PathLike

_COMMON_MODULES: Final = {
    f"google/protobuf/{name}.proto": f"google.protobuf.{name}_pb2"
    for name in (
        *("any", "api", "descriptor", "duration", "empty", "field_mask", "source_context"),
        *("struct", "timestamp", "type", "wrappers"),
    )
}
"""The files that every program with protobuf has, and the modules with them."""

COMMON_FILES: Final = frozenset(_COMMON_MODULES)
_MEMBER: Final = re.compile(r'(?:no field named "|Failed to parse )([A-Za-z_][\w.\[\]]{0,100})')


class GrpcDescriptors:
    """The services of a gRPC server, with the types of their requests and responses.

    The server itself gives them with reflection, or a file that protoc wrote with
    `--include_imports --descriptor_set_out=shop.protoset`.

    Attributes:
        services: the full names of the services, such as "shop.Orders".
        methods: the full names of the methods, such as "shop.Orders/Get".
    """

    def __init__(self, files: Mapping[str, bytes], services: tuple[str, ...] | None = None) -> None:
        """Read the services from serialized file descriptors.

        Args:
            files: `FileDescriptorProto` messages as bytes, by the names of the files.
            services: the services to read; by default those of all files.

        Raises:
            InvalidData: the files contradict each other, or an import is missing.
        """
        pool, names = _pool(files)
        self._pool = pool
        self.services = tuple(sorted(names if services is None else services))
        self._methods: dict[str, Any] = {}
        for service in self.services:
            try:
                descriptor = pool.FindServiceByName(service)
            except KeyError:
                continue  # A server may list a service that its files do not have.
            for method in descriptor.methods:
                self._methods[f"{service}/{method.name}"] = method
        self.methods = tuple(self._methods)

    @classmethod
    def of_file(cls, path: str | PathLike[str]) -> GrpcDescriptors:
        """Return the descriptions of services in a file that holds a `FileDescriptorSet`.

        Raises:
            ConfigurationError: the file cannot be read, is not a `FileDescriptorSet`, or lacks an
                imported file.
        """
        try:
            return cls(files_of_set(Path(path).read_bytes()))
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        except (ValueError, InvalidData) as error:
            problem = (
                error.message if isinstance(error, InvalidData) else "is not a FileDescriptorSet"
            )
        raise ConfigurationError(
            f"The file {Path(path).name} with the descriptors of a gRPC service is not valid:"
            f" {problem.rstrip('.')}.",
            path="descriptors",
            remedy="Create the file with protoc --include_imports --descriptor_set_out=FILE.",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(self.services)}>"

    def method(self, name: str, **facts: Any) -> GrpcMethod[Any, Any]:
        """Return a method whose requests and responses are JSON values.

        JSON has the form that protobuf defines: names such as `orderId`, 64-bit numbers and bytes
        as strings. Fields with their default value are left out of answers.

        Args:
            name: such as "shop.Orders/Get".
            facts: fields of `GrpcMethod` that replace those of the definition, such as `safe=True`.

        Raises:
            InvalidData: there is no such method.
        """
        descriptor = self._methods.get(name.removeprefix("/"))
        if descriptor is None:
            raise InvalidData(
                f"The gRPC service has no method {name[:200]!r}.",
                field="method",
                remedy=f"Use one of: {', '.join(self.methods)[:1000] or 'it has none'}.",
            )
        method = GrpcMethod[Any, Any].described(descriptor, **facts)
        return GrpcMethod(
            path=method.path,
            serialize=_writer(descriptor.input_type, self._pool),
            deserialize=_reader(method.deserialize, self._pool),
            name=method.name,
            safe=method.safe,
            repeatable=method.repeatable,
            streams_requests=method.streams_requests,
            streams_answers=method.streams_answers,
        )

    def fields(self, name: str) -> dict[str, str]:
        """Return the fields of a method's request, by their names in JSON, with their types."""
        field_descriptors = self._methods[name].input_type.fields
        return {field.json_name: _type_of(field) for field in field_descriptors}


def descriptor_pool(files: Mapping[str, bytes]) -> Any:
    """Return a descriptor pool of these files and the common files that they import.

    Args:
        files: `FileDescriptorProto` messages as bytes, by the names of the files.

    Raises:
        InvalidData: the files contradict each other, or an import is missing.
    """
    from google.protobuf.descriptor_pb2 import FileDescriptorProto  # noqa: PLC0415 - loads protobuf
    from google.protobuf.descriptor_pool import DescriptorPool  # noqa: PLC0415 - loads protobuf

    complete = {name: file for name, file in files.items() if name not in COMMON_FILES}
    _add_common(complete)
    missing_files = missing_imports(complete, ())
    if missing_files:
        raise InvalidData(
            f"The imported file {missing_files[0][:200]!r} is missing from the descriptors.",
            field="files",
            remedy="Create the descriptors with protoc --include_imports.",
        )
    pool: Any = DescriptorPool()
    try:
        for data in in_import_order(complete):
            pool.Add(FileDescriptorProto.FromString(data))
        for name in complete:
            pool.FindFileByName(name)  # An older protobuf resolves types only now.
    except Exception:  # noqa: BLE001 - protobuf raises TypeError, KeyError, DecodeError and others
        pool = None
    if pool is None:
        raise InvalidData(
            "The Protobuf descriptors are not valid, or contradict each other.",
            field="files",
            remedy="Create the descriptors with protoc --include_imports.",
        )
    return pool


def _pool(files: Mapping[str, bytes]) -> tuple[Any, tuple[str, ...]]:
    """Return a pool with these descriptor files, and the names of their services."""
    pool = descriptor_pool(files)
    descriptors = [pool.FindFileByName(name) for name in files if name not in COMMON_FILES]
    services = [service for file in descriptors for service in file.services_by_name.values()]
    return pool, tuple(service.full_name for service in services)


def _add_common(files: dict[str, bytes]) -> None:
    """Add the common protobuf files that other files import, directly or indirectly."""
    while True:
        names = [name for name in missing_imports(files, ()) if name in COMMON_FILES]
        if not names:
            return
        for name in names:
            files[name] = import_module(_COMMON_MODULES[name]).DESCRIPTOR.serialized_pb


def _writer(descriptor: Any, pool: Any) -> Callable[[Any], bytes]:
    from google.protobuf.json_format import ParseDict, ParseError  # noqa: PLC0415 - loads protobuf
    from google.protobuf.message import EncodeError  # noqa: PLC0415 - loads protobuf
    from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415 - loads protobuf

    kind: Any = GetMessageClass(descriptor)

    def write(request: Any) -> bytes:
        if not is_object(request):
            raise InvalidData(
                f"The request of type {descriptor.full_name} is not a JSON object.",
                field="request",
                remedy="Pass a dict with the fields of the message.",
            )
        place = ""
        try:
            data: bytes = ParseDict(request, kind(), descriptor_pool=pool).SerializeToString()
        except ParseError as error:
            match = _MEMBER.search(str(error))
            place = "" if match is None else f" at {match[1]!r}"
        except EncodeError:
            place = ", because a required field is missing"
        except (ArithmeticError, AttributeError, TypeError, ValueError, RecursionError):
            # protobuf raises these exceptions for some values of a wrong type or size.
            pass
        else:
            return data
        names = ", ".join(field.json_name for field in descriptor.fields)
        raise InvalidData(
            f"The request does not match the type {descriptor.full_name}{place}.",
            field="request",
            remedy=f"Use only the fields of the message: {names or 'it has none'}.",
        )

    return write


def _reader(deserialize: Callable[[bytes], Any], pool: Any) -> Callable[[bytes], Any]:
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - loads protobuf

    return lambda data: MessageToDict(deserialize(data), descriptor_pool=pool)


def _type_of(field: Any) -> str:
    """Return the type of a field in the notation of .proto files."""
    if field.message_type is not None:
        name = str(field.message_type.full_name)
        if field.message_type.GetOptions().map_entry:
            parts: Any = field.message_type.fields_by_name
            return f"map<{_type_of(parts['key'])}, {_type_of(parts['value'])}>"
    elif field.enum_type is not None:
        name = str(field.enum_type.full_name)
    else:
        name = _SCALARS[int(field.type)]
    return f"repeated {name}" if _is_repeated(field) else name


def _is_repeated(field: Any) -> bool:
    is_repeated = getattr(field, "is_repeated", None)
    return bool(field.label == _REPEATED_LABEL if is_repeated is None else is_repeated)


_REPEATED_LABEL: Final = 3
_SCALARS: Final[tuple[str, ...]] = (
    *("", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string"),
    *("group", "message", "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64"),
)
