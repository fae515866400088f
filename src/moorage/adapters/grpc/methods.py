"""Methods of gRPC services, with the properties that decide how calls are protected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeGuard, TypeVar

import attrs

from moorage.domain.values.durations import is_true_or_false
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable

Q = TypeVar("Q")
A = TypeVar("A")

_PATH: Final = re.compile(r"/(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*/[A-Za-z_]\w*", re.ASCII)
_NO_SIDE_EFFECTS: Final = 1
_IDEMPOTENT: Final = 2


def _checked_path(_: object, __: object, path: Any) -> None:
    if not isinstance(path, str) or _PATH.fullmatch(path) is None:
        raise InvalidData(
            "The path of a gRPC method is not of the form /package.Service/Method.",
            field="path",
            remedy="Use a path such as /shop.Orders/Get.",
        )


def _short_name(method: Any) -> str:
    service, _, name = method.path[1:].rpartition("/")
    return f"{service.rpartition('.')[2]}.{name}"


def _is_safe(method: Any) -> bool:
    return bool(method.safe)


@attrs.frozen
class GrpcAnswer(Generic[A]):
    """The response of a gRPC method, with the metadata that the server sent.

    Attributes:
        value: the answer.
        initial_metadata: the metadata that the server sent before the answer: pairs of names and
            values, which are bytes if the name ends in "-bin".
        trailing_metadata: the metadata that the server sent after the answer.
    """

    value: A
    initial_metadata: tuple[tuple[str, str | bytes], ...] = attrs.field(kw_only=True, repr=False)
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = attrs.field(kw_only=True, repr=False)


@attrs.frozen(kw_only=True)
class GrpcMethod(Generic[Q, A]):
    """A method of a gRPC service.

    Attributes:
        path: the path of the method, such as "/shop.Orders/Get".
        serialize: converts a request to bytes.
        deserialize: converts the bytes of an answer.
        name: the name in events, errors and logs; by default such as "Orders.Get". An endpoint of
            the service with this name applies to the calls.
        safe: whether the method changes nothing.
        repeatable: whether calling it twice has the same effect as calling it once; by default if
            it is safe.
        streams_requests: whether a call sends a stream of requests.
        streams_answers: whether a call receives a stream of answers.
    """

    path: str = attrs.field(validator=_checked_path)
    serialize: Callable[[Q], bytes] = attrs.field(repr=False)
    deserialize: Callable[[bytes], A] = attrs.field(repr=False)
    name: str = attrs.field(default=attrs.Factory(_short_name, takes_self=True))
    safe: bool = attrs.field(default=False, validator=is_true_or_false)
    repeatable: bool = attrs.field(
        default=attrs.Factory(_is_safe, takes_self=True), validator=is_true_or_false
    )
    streams_requests: bool = attrs.field(default=False, validator=is_true_or_false)
    streams_answers: bool = attrs.field(default=False, validator=is_true_or_false)

    @classmethod
    def of(
        cls,
        path: str,
        request: type[Q],
        answer: type[A],
        **facts: Any,
    ) -> Self:
        """Return a method whose messages are generated protobuf classes.

        Args:
            path: the path of the method, such as "/shop.Orders/Get".
            request: the class of its requests.
            answer: the class of its answers.
            facts: further fields of `GrpcMethod`, such as `safe`.
        """
        request_class: Any = request
        answer_class: Any = answer
        return cls(
            path=path,
            serialize=request_class.SerializeToString,
            deserialize=answer_class.FromString,
            **facts,
        )

    @classmethod
    def described(cls, descriptor: Any, **facts: Any) -> Self:
        """Return the gRPC method that a protobuf definition describes.

        Its option `idempotency_level` says whether the method is safe or repeatable.

        Args:
            descriptor: the method's descriptor, such as
                `shop_pb2.DESCRIPTOR.services_by_name["Orders"].methods_by_name["Get"]`.
            facts: fields of `GrpcMethod` that replace those of the definition.
        """
        from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415 - loads protobuf

        level = descriptor.GetOptions().idempotency_level
        defaults: dict[str, Any] = {
            "safe": level == _NO_SIDE_EFFECTS,
            "repeatable": level in {_NO_SIDE_EFFECTS, _IDEMPOTENT},
            "streams_requests": descriptor.client_streaming,
            "streams_answers": descriptor.server_streaming,
        }
        messages: Any = map(GetMessageClass, (descriptor.input_type, descriptor.output_type))
        return cls.of(
            f"/{descriptor.containing_service.full_name}/{descriptor.name}",
            *messages,
            **{**defaults, **facts},
        )


def packed_answer(answer: Any) -> object:
    """Return a response as plain values, if it is a protobuf message or has metadata."""
    if _has_metadata(answer):
        metadata = answer.initial_metadata, answer.trailing_metadata
        return (_WITH_METADATA, packed_answer(answer.value), *metadata)
    write = getattr(answer, "SerializeToString", None)
    return (_MESSAGE, write()) if write is not None else answer


def _has_metadata(answer: object) -> TypeGuard[GrpcAnswer[Any]]:
    return isinstance(answer, GrpcAnswer)


def unpacked_answer(method: GrpcMethod[Any, Any], stored: Any) -> Any:
    """Return the response from the plain values of `packed_answer`."""
    match stored:
        case (mark, value, initial, trailing) if mark == _WITH_METADATA:
            return GrpcAnswer(
                unpacked_answer(method, value),
                initial_metadata=tuple(map(tuple, initial)),
                trailing_metadata=tuple(map(tuple, trailing)),
            )
        case (mark, data) if mark == _MESSAGE:
            return method.deserialize(data)
        case _:
            return stored


_MESSAGE: Final = "moorage.protobuf"
_WITH_METADATA: Final = "moorage.grpc-answer"
