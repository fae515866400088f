"""Checks for every VAT number vendor.

The most important ones are about outages: a register that cannot check a number raises an error,
and never makes the number valid or invalid.

Each check takes a function that makes a new `TaxSubject`: the vendor, its sandbox, and what the kit
cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, Final, TypeAlias

from moorage.contracts.tax import KIND, TaxCapability, TraderMatch, VatCheck
from moorage.domain.http.requests import Response
from moorage.errors import (
    ConnectorError,
    InvalidData,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._contract_harness import through_async_hub, through_hub
from moorage.testing.kits._sent_requests import require_no_repeats
from moorage.testing.kits._tax_harness import (
    ACCOUNT,
    TRADER,
    Harness,
    TaxSubject,
    unsupported_options,
)
from moorage.testing.kits.checks import require
from moorage.wiring.installed_vendors import names_with_capabilities

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "TaxSubject"]

_MALFORMED: Final = (
    *(b"{}", b"[]", b"null", b"", b"<html></html>"),
    *(b'{"valid": "perhaps"}', b'{"valid": null}', b'{"valid": 1}'),
)
_JSON: Final = {"Content-Type": "application/json"}
_HTML: Final = b"<html>Nothing is here.</html>"
_OUTAGES: Final[tuple[tuple[Response, type[ConnectorError]], ...]] = (
    (Response(503, body=_HTML), VendorFailed),
    (Response(500, _JSON, b"{}"), VendorFailed),
)

Factory: TypeAlias = Callable[[], TaxSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def a_registered_number_is_valid(make: Open) -> None:
    """A registered number is valid, and has the register's details."""
    async with make() as harness:
        check: VatCheck = await harness.check()
        require(check.valid is True, "A registered number is reported as invalid.")
        require(check.number == harness.subject.number, "The answer is about another number.")
        require(check.checked_at.utcoffset() == timedelta(0), "The time of the check is not UTC.")
        require(check.proof is None, "A proof was returned, but none was requested.")
        require(check.matches is None, "Details were compared although the request has none.")
        require(check.raw, "The result lacks the vendor's response.")
        for name, expected in harness.subject.business.items():
            value = getattr(check, name)
            require(value == expected, f"The register's {name} was read as {value!r}.")


async def a_number_is_read_as_people_write_it(make: Open) -> None:
    """A number written with spaces and lower-case letters is recognised."""
    async with make() as harness:
        written_number = " ".join(str(harness.subject.number).lower())
        check: VatCheck = await harness("check_vat_number", written_number)
        require(check.number == harness.subject.number, "The answer is about another number.")
        require(check.valid, "A registered number is reported as invalid.")


async def an_unknown_number_is_invalid(make: Open) -> None:
    """An unregistered number is reported as invalid, without an error."""
    async with make() as harness:
        for number in harness.subject.unknown:
            check: VatCheck = await harness.check(number)
            require(check.valid is False, "An unknown number is reported as valid.")
            require(check.number == number, "The answer is about another number.")
            require(check.checked_at.utcoffset() == timedelta(0), "The time is not UTC.")


async def an_outage_is_no_verdict(make: Open) -> None:
    """If the register cannot check a number, the error is retryable, not a verdict."""
    async with make() as harness:
        total = len(harness.subject.outages) + len(_OUTAGES)
    for count in range(total):
        async with make() as harness:  # a new vendor object, whose circuit breakers are closed
            answer, kind = (*harness.subject.outages, *_OUTAGES)[count]
            for number in (harness.subject.number, harness.subject.unknown[0]):
                harness.sandbox.fail(answer)
                error = await harness.refused(kind, harness.check(number), f"Outage {count}")
                require(error.retryable, f"Outage {count} must be retryable.")
                require(error.service == ACCOUNT, "An outage names no account.")


async def a_malformed_answer_is_no_verdict(make: Open) -> None:
    """A successful response without content is an error, neither valid nor invalid."""
    for body in _MALFORMED:
        async with make() as harness:
            harness.sandbox.fail(Response(200, _JSON, body))
            await harness.refused(VendorFailed, harness.check(), f"{body!r}")


async def a_wrong_address_is_no_verdict(make: Open) -> None:
    """A 404 due to a wrong address does not make a registered number invalid."""
    async with make() as harness:
        for answer in (Response(404, body=_HTML), Response(404), Response(410, body=_HTML)):
            harness.sandbox.fail(answer)
            await harness.refused(
                VendorRejected | VendorFailed,
                harness.check(),
                f"HTTP {answer.status} of another host",
            )


async def an_answer_is_about_its_number(make: Open) -> None:
    """A response about another number is an error."""
    async with make() as harness:
        harness.sandbox.fail(harness.subject.other)
        await harness.refused(VendorFailed, harness.check(), "An answer about another number")


async def a_proof_is_kept(make: Open) -> None:
    """Each check that names a requester returns its own proof from the register."""
    async with make() as harness:
        requester, foreign_requester = harness.subject.requester, harness.subject.foreign_requester
        if TaxCapability.PROOF not in harness.capabilities or requester is None:
            return
        checks: list[VatCheck] = [await harness.check(requester=requester) for _ in range(2)]
        sandbox_proofs = harness.subject.proofs()
        require(len(sandbox_proofs) == 2, "The register was not asked for a proof.")
        require(
            [check.proof for check in checks] == sandbox_proofs,
            "The proof is lost or of another check.",
        )
        if foreign_requester is not None:
            request_count = len(harness.sandbox.requests)
            error = await harness.refused(
                InvalidData,
                harness.check(requester=foreign_requester),
                "A requester who gets no proof",
            )
            require(error.field == "requester", "The error does not name the requester.")
            was_sent = len(harness.sandbox.requests) > request_count
            require(not was_sent, "A check was sent for a requester who gets no proof.")


async def details_are_compared(make: Open) -> None:
    """Business details that differ from the register are never reported as a match."""
    async with make() as harness:
        if TaxCapability.TRADER_MATCH not in harness.capabilities:
            return
        matches = (await harness.check(trader=TRADER)).matches
        require(matches is not None, "The result lacks the comparison of details.")
        values = (matches.name, matches.street, matches.postal_code, matches.city)
        require(
            TraderMatch.MATCH not in values,
            "Details are reported as matching although the register does not have them.",
        )


async def unsupported_features_are_refused(make: Open) -> None:
    """Another register's number, or an unsupported feature, is refused before sending."""
    async with make() as harness:
        for capability, options in unsupported_options(harness).items():
            error = await harness.refused(
                UnsupportedByVendor,
                harness.check(**options),
                f"An operation that needs the undeclared capability {capability}",
            )
            require(capability in error.capabilities, f"{capability} is not named.")
            number = options.get("number", harness.subject.number)
            other_vendors = names_with_capabilities(KIND, frozenset({capability, number.needs}))
            require(
                error.supported_by == other_vendors, f"The vendors with {capability} are not named."
            )
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, with the vendor's code and response."""
    async with make() as harness:
        for count, (answer, kind, code) in enumerate(harness.subject.refusals):
            # Two responses, because a refused token is replaced by a new one.
            harness.sandbox.fail(answer, answer)
            error = await harness.refused(kind, harness.check(), f"Refusal {count}")
            harness.sandbox.forget_faults()
            kept_answer = getattr(error, "response", None)
            is_kept = kept_answer is not None and kept_answer.body == answer.body
            require(is_kept, "The answer is lost.")
            kept_code = getattr(error, "vendor_code", None)
            require(kept_code == code, f"Refusal {count} has the code {kept_code!r}.")


async def each_request_is_sent_once(make: Open) -> None:
    """A check repeats no request itself, because the hub decides on retries."""
    async with make() as harness:
        for number in (harness.subject.number, *harness.subject.unknown):
            request_count = len(harness.sandbox.requests)
            await harness.check(number)
            require_no_repeats("check_vat_number", harness.sandbox.requests[request_count:])


async def a_request_is_in_the_vendors_words(make: Open) -> None:
    """Each argument of a check is sent under the vendor's name for it."""
    async with make() as harness:
        for options, expected in harness.subject.requests:
            await harness.check(**options)
            request = harness.sandbox.requests[-1]
            if isinstance(expected, str):
                require(request.path == expected, f"{options} was sent to another path.")
                continue
            body = request.json()
            for name, value in expected.items():
                require(body.get(name) == value, f"{options} was sent with {body} as {name}.")


async def an_answer_is_read_in_full(make: Open) -> None:
    """Each field of a vendor's response is parsed, and its codes become the contract's values."""
    async with make() as harness:
        for answer, options, expected_fields in harness.subject.answers:
            harness.sandbox.fail(answer)
            check: VatCheck = await harness.check(**options)
            for name, expected in expected_fields.items():
                value = getattr(check, name)
                require(value == expected, f"The answer was read with {value!r} as {name}.")
            require(check.raw, "The result lacks the vendor's response.")


async def nothing_shows_the_business(make: Open) -> None:
    """No repr of a check or account shows a number, a business or a secret."""
    async with make() as harness:
        check = await harness.check()
        harness.check_hides(f"{check!r}{harness.hub.account(ACCOUNT)!r}", "A repr")


_ALL_CHECKS: Final = (
    a_registered_number_is_valid,
    a_number_is_read_as_people_write_it,
    an_unknown_number_is_invalid,
    an_outage_is_no_verdict,
    a_malformed_answer_is_no_verdict,
    a_wrong_address_is_no_verdict,
    an_answer_is_about_its_number,
    a_proof_is_kept,
    details_are_compared,
    unsupported_features_are_refused,
    a_refusal_has_its_type,
    each_request_is_sent_once,
    a_request_is_in_the_vendors_words,
    an_answer_is_read_in_full,
    nothing_shows_the_business,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
