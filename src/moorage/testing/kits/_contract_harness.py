"""The code that all contracts' kits share: a vendor under test and its hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.errors import ConnectorError, UnsupportedByVendor
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.kits._sent_requests import (
    is_sentence,
    nested_values,
    require_known_references,
    require_no_stutter,
    with_added_words,
)
from moorage.testing.kits.checks import in_thread, require, sync_check, wait_soon
from moorage.wiring.installed_vendors import names_with_capabilities

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
    from types import UnionType

    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.base import Sandbox

_HANG_TIMES: Final = 10.0
"""The multiple of the usual patience after which an operation counts as hanging.

No check measures the speed of an operation, and on a busy machine the first call takes long to load
modules.
"""
_BULK_OPERATIONS: Final = frozenset({"send_bulk", "create_many"})
_REPEATED: Final = "repeated.address@example.com"


class Subject(Protocol):
    """The attributes that the object to be tested must have in every contract's kit."""

    @property
    def vendor(self) -> Vendor:
        """The account under test."""
        ...

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox of the account under test."""
        ...


AnySubject = TypeVar("AnySubject", bound=Subject)


class ContractHarness(ABC, Generic[AnySubject]):
    """A test environment: a vendor behind a sync or async hub, whose calls are always awaited.

    Attributes:
        contract: the hub's method that returns the contract's operations.
        subject: the vendor under test.
        sandbox: the vendor's sandbox.
        capabilities: the capabilities of the vendor.
        hub: the hub with an account at the vendor.
    """

    contract: str

    def __init__(self, subject: AnySubject, hub: Hub | AsyncHub) -> None:
        self.subject = subject
        self.sandbox = subject.sandbox
        self.capabilities = subject.vendor.capabilities
        self.hub = hub

    async def __call__(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Execute an operation of the contract, then check its requests and references.

        No request is sent twice in a row, unless one of them had a fault or the operation may send
        many.
        """
        count, fault_count = len(self.sandbox.requests), self.sandbox.fault_count
        operations = getattr(self.hub, self.contract)()
        call = partial(getattr(operations, operation), *arguments, **named)
        running_call = call() if isinstance(self.hub, AsyncHub) else in_thread(call)
        result = await wait_soon(
            running_call,
            f"The operation {self.contract}.{operation} does not come to an end.",
            times=_HANG_TIMES,
        )
        require_known_references(result, self.sandbox.requests)
        if operation not in _BULK_OPERATIONS and fault_count == 0:
            require_no_stutter(operation, self.sandbox.requests[count:])
        return result

    @abstractmethod
    def hidden(self) -> Iterable[str]:
        """Yield texts that must not appear in error messages."""

    def check_hides(self, shown: str, step: str) -> None:
        """Check that a text contains none of the texts that must stay hidden."""
        for text in self.hidden():
            require(text not in shown, f"{step} shows personal data or a secret.")

    async def refused(
        self, kind: type[ConnectorError] | UnionType, doing: Awaitable[Any], step: str
    ) -> Any:
        """Return the error of an operation, which must fail with an error of a certain class.

        Args:
            kind: the exact class of the error; `ConnectorError` for any class; or a union of
                the possible classes.
            doing: the operation.
            step: the operation in words, as the beginning of a sentence.
        """
        try:
            result = await doing
        except ConnectorError as error:
            is_exact = isinstance(kind, type) and kind is not ConnectorError
            is_expected = type(error) is kind if is_exact else isinstance(error, kind)
            require(is_expected, f"{step} raised {type(error).__name__}: {error}")
            require(_REPEATED not in f"{error}{error!r}", f"{step} shows an address.")
            self.check_hides(f"{error}{error!r}", step)
            return error
        raise AssertionError(f"{step} was no error, but gave {result!r}.")

    async def __aenter__(self) -> Self:
        """Return this test environment."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the hub."""
        if isinstance(self.hub, AsyncHub):
            await self.hub.close()
        else:
            self.hub.close()


async def require_unsupported(
    harness: ContractHarness[Any], calls: Iterable[tuple[str, Callable[[], Awaitable[Any]]]]
) -> None:
    """Check that calls which need a missing capability are refused before anything is sent.

    The error names the missing capability, and the vendors that have it.

    Args:
        harness: the vendor under test, to which nothing has been sent.
        calls: capabilities, each with a call that requires it.
    """
    names_with_capabilities(harness.contract, frozenset())  # the first call takes longer
    for capability, call in calls:
        if capability in harness.capabilities:
            continue
        step = f"An operation that needs the undeclared capability {capability}"
        error = await harness.refused(UnsupportedByVendor, call(), step)
        missing_capabilities = frozenset(error.capabilities)
        is_named = capability in missing_capabilities and missing_capabilities.isdisjoint(
            harness.capabilities
        )
        require(is_named, f"The error does not name {capability}, or it names another capability.")
        other_vendors = names_with_capabilities(harness.contract, missing_capabilities)
        require(
            error.supported_by == other_vendors, f"The vendors with {capability} are not named."
        )
    require(
        harness.sandbox.requests == [],
        "A request was sent for an operation that the vendor does not support.",
    )


def with_an_address(answer: Response) -> Response:
    """Return an error response whose text repeats an email address, which no error may show."""
    if answer.body[:1] not in {b"{", b"["}:
        return answer
    return with_added_words(f" It is about {_REPEATED}.", answer)


def require_words(error: ConnectorError, refusal: Response, step: str) -> None:
    """Check that an error repeats a sentence from the vendor's error response.

    The error of an outage (HTTP 500 and above) need not have the vendor's words.

    Args:
        error: the error that the response raised.
        refusal: the error response.
        step: the operation, as the beginning of a sentence.
    """
    if refusal.status >= 500 or refusal.body[:1] not in {b"{", b"["}:
        return
    values = [value for _, value in nested_values("", refusal.json())]
    sentences = [value for value in values if is_sentence(value)]
    is_told = any(str(sentence).rstrip(".") in str(error) for sentence in sentences)
    require(is_told or not sentences, f"{step} loses the vendor's words: {error}")


def uncertain_answers(refusal: Response) -> tuple[Response, ...]:
    """Return responses after which the request may have been executed.

    Args:
        refusal: an error response of the vendor. A response with HTTP 408 contains the same words.
    """
    outages = (Response(status, body=b"<html></html>") for status in (500, 503))
    return (*outages, refusal.evolve(status=408))


def require_refusal(
    error: ConnectorError, refusal: Response, step: str, *codes: str | None
) -> None:
    """Check that an error contains the vendor's response, with its text and its error code.

    Args:
        error: the error that the response raised, sent as `with_an_address` returns it.
        refusal: the error response.
        step: the operation, as the beginning of a sentence.
        codes: the code that the error must have; none if it does not matter.
    """
    response = getattr(error, "response", None)
    is_complete = response is not None and response.body == with_an_address(refusal).body
    require(is_complete, f"{step} does not contain the vendor's response.")
    require_words(error, refusal, step)
    code = getattr(error, "vendor_code", None)
    require(codes in ((), (code,)), f"{step} has the code {code!r}.")


def with_body(body: bytes, response: Response) -> Response:
    """Return a response with another body."""
    return response.evolve(body=body)


def with_values(values: Mapping[str, str], response: Response) -> Response:
    """Return a response whose JSON strings are replaced according to `values`."""
    return response.evolve(body=encode_json(_replace_in(response.json(), values)))


def _replace_in(value: Any, values: Mapping[str, str]) -> Any:
    if is_object(value):
        return {name: _replace_in(part, values) for name, part in value.items()}
    if is_list(value):
        return [_replace_in(part, values) for part in value]
    return values.get(value, value) if isinstance(value, str) else value


def through_hub(
    checks: Iterable[Callable[..., Coroutine[Any, Any, None]]], open_harness: Callable[..., Any]
) -> tuple[Callable[[Callable[[], Any]], None], ...]:
    """Turn checks that take a test environment into synchronous checks that take a vendor.

    Args:
        checks: the checks; each takes a function that opens a harness.
        open_harness: opens a harness with a synchronous hub for a function that makes a subject.
    """
    return tuple(sync_check(check, open_harness) for check in checks)


def through_async_hub(
    checks: Iterable[Callable[..., Coroutine[Any, Any, None]]], open_harness: Callable[..., Any]
) -> tuple[Callable[[Callable[[], Any]], Coroutine[Any, Any, None]], ...]:
    """Turn checks that take a test environment into coroutine functions that take a vendor.

    Args:
        checks: the checks; each takes a function that opens a harness.
        open_harness: opens a harness with an asynchronous hub for a function that makes a subject.
    """
    return tuple(_of_subject(check, open_harness) for check in checks)


def _of_subject(
    check: Callable[..., Coroutine[Any, Any, None]], open_harness: Callable[..., Any]
) -> Callable[[Callable[[], Any]], Coroutine[Any, Any, None]]:
    @wraps(check)
    async def check_subject(factory: Callable[[], Any]) -> None:
        await check(partial(open_harness, factory))

    return check_subject
