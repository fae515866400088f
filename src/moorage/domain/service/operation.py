"""Operations on foreign systems: the parameters of an attempt, and HTTP operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.values.durations import is_true_or_false

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Request, Response
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.signing.context import SigningContext
    from moorage.errors import ConnectorError

T = TypeVar("T")


@attrs.frozen
class OperationAttempt:
    """The parameters of one attempt of an operation, such as its time limit.

    Attributes:
        number: the number of the attempt, beginning with 1.
        timeout: the time limit of the attempt in seconds.
        idempotency_key: the key to send to the foreign system; None if the caller gave none, or if
            the service does not honour keys.
        tenant: the tenant whose credentials to use; None if the call has none.
        trace_headers: the headers that name the span of the attempt for the other system, such
            as `traceparent`; none if no observer adds any.
    """

    number: int
    timeout: float
    idempotency_key: str | None = attrs.field(default=None, repr=False)
    tenant: str | None = None
    trace_headers: tuple[tuple[str, str], ...] = ()


def _nothing_refused(_: Response) -> None:
    """Return None, because only the status decides whether a response is an error."""


def _nothing_replaced(_: ConnectorError) -> None:
    """Return None: by default, no other request replaces a request after an error."""


def _safe_by_method(operation: HttpOperation[Any]) -> bool:
    """Return whether the request's HTTP method changes nothing at the server."""
    return operation.request.method.safe


@with_careful_constructor
@attrs.frozen(kw_only=True)
class HttpOperation(Generic[T]):
    """An operation that is one HTTP request, such as a GraphQL or JSON-RPC call.

    Attributes:
        name: the name in events, errors and logs, such as "orders.list". An endpoint of the service
            with this name applies to the operation.
        request: the request. Its `idempotent` determines whether it may be repeated.
        read: reads the result from a successful response. A response from which it raises
            counts as lost, and is not stored under an idempotency key. It may be called several
            times.
        refusal: returns the error that a response with a success status stands for; None if it
            stands for none. It may be called several times.
        failure: returns the error that a response with a failure status stands for;
            None
            if the status alone decides.
        replacement: returns the request to send immediately, in the same attempt, after an error
            that proves that nothing happened; None to send no other. At most one is sent, and only
            its body takes the place of the first one's.
        attempt_body: makes the body of one attempt from the request's own body, for parts that must
            be new each time, such as the nonce of a WS-Security token; None to send the request's
            own body. A repeated idempotency key is compared with the request's own body.
        secrets: the secret values that the request contains. They are masked wherever a
            response repeats them.
        system: the kind of the foreign system, such as "graphql".
        safe: whether the operation changes nothing there; by default the request's method decides.
    """

    name: str
    request: Request = attrs.field(repr=False)
    read: Callable[[Response], T] = attrs.field(repr=False)
    refusal: Callable[[Response], ConnectorError | None] = attrs.field(
        default=_nothing_refused, repr=False
    )
    failure: Callable[[Response], ConnectorError | None] = attrs.field(
        default=_nothing_refused, repr=False
    )
    replacement: Callable[[ConnectorError], Request | None] = attrs.field(
        default=_nothing_replaced, repr=False
    )
    attempt_body: Callable[[bytes, SigningContext], bytes] | None = attrs.field(
        default=None, repr=False
    )
    secrets: tuple[Secret, ...] = attrs.field(default=(), repr=False)
    system: str = "http"
    safe: bool = attrs.field(
        default=attrs.Factory(_safe_by_method, takes_self=True), validator=is_true_or_false
    )

    @property
    def repeatable(self) -> bool:
        """True if sending the request twice has the same effect as sending it once."""
        return self.request.repeatable


class AnswerReader(Generic[T]):
    """Reads the responses of one call; reading the last response again gives the same value.

    A call reads a response to see whether it is readable, and its caller to get the result.
    """

    __slots__ = ("_last", "_read")

    def __init__(self, read: Callable[[Response], T]) -> None:
        self._read = read
        self._last: tuple[Response, T] | None = None

    def __call__(self, response: Response) -> T:
        """Return the result in a successful response; raise what the operation's `read` raises."""
        last_target = self._last
        if last_target is not None and last_target[0] is response:
            return last_target[1]
        value = self._read(response)
        self._last = response, value
        return value
