"""The conformance kit for vendors that check VAT numbers finds faulty vendors."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.tax import (
    TaxCapability,
    TraderMatch,
    TraderMatches,
    VatCheck,
    VatNumber,
)
from moorage.errors import ConnectorError, InvalidRequest, VendorFailed, VendorRejected
from moorage.testing import name_of
from moorage.testing import tax_conformance as kit
from moorage.vendor_sdk import Request, refusal
from moorage.vendors.tax.brreg import Brreg
from moorage.vendors.tax.hmrc import Hmrc
from moorage.vendors.tax.vies import Vies
from tests.vendors import tax_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.service.settings import Service


def as_vies(kind: Callable[..., Vies]) -> kit.Factory:
    """Return a function that makes a test subject of VIES, but with the given vendor class."""
    return lambda: attrs.evolve(tax_subjects.vies(), vendor=kind())


def as_brreg(kind: Callable[..., Brreg]) -> kit.Factory:
    """Return a function that makes a test subject of Brreg, but with the given vendor class."""
    return lambda: attrs.evolve(tax_subjects.brreg(), vendor=kind())


def as_hmrc(kind: Callable[..., Hmrc]) -> kit.Factory:
    """Return a function that makes a test subject of HMRC, but with the given vendor class."""

    def new_subject() -> kit.TaxSubject:
        subject = tax_subjects.hmrc()
        sandbox: Any = subject.sandbox
        vendor = kind(client_id=sandbox.client_id, client_secret=sandbox.client_secret)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(Vies):
    """A correct vendor that gives no proof of a check and compares no details."""

    capabilities = frozenset({TaxCapability.EU_NUMBERS})


def minimal_subject() -> kit.TaxSubject:
    """Return a test subject whose vendor has few capabilities."""
    return attrs.evolve(
        as_vies(LesserVendor)(), requester=None, foreign_requester=None, requests=(), answers=()
    )


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_with_few_capabilities_passes_all_checks(check: kit.Check) -> None:
    """A vendor with few capabilities passes all checks."""
    check(minimal_subject)


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_vendor_with_few_capabilities_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """A vendor with few capabilities passes all checks asynchronously, too."""
    asyncio.run(check(minimal_subject))


class _CheckingVendor(Vies):
    """A base class for faulty vendors that change the result of each check."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        raise NotImplementedError

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        return self.changed_check(await super().check_vat_number(wire, number, **options))


class _EveryNumberIsValidVendor(_CheckingVendor):
    """A faulty vendor that reports each VAT number as valid."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, valid=True)


class _EveryNumberIsInvalidVendor(_CheckingVendor):
    """A faulty vendor that reports each VAT number as invalid."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, valid=False)


class _DropsProofVendor(_CheckingVendor):
    """A faulty vendor that drops the proof of a check."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, proof=None)


class _InventsProofVendor(_CheckingVendor):
    """A faulty vendor that invents the proof of a check."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, proof="made up")


class _NamelessVendor(_CheckingVendor):
    """A faulty vendor that drops the name of the business."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, name=None)


class _DropsResponseVendor(_CheckingVendor):
    """A faulty vendor that drops the vendor's response from a check."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, raw=None)


class _TimesNotInUtcVendor(_CheckingVendor):
    """A faulty vendor whose times of checks are not in UTC."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        moment = (check.checked_at + timedelta(hours=2)).replace(tzinfo=None)
        return attrs.evolve(check, checked_at=moment)


class _WrongNumberVendor(_CheckingVendor):
    """A faulty vendor whose check results contain a wrong VAT number."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, number=VatNumber.parse("DE000000001"))


class _EveryDetailMatchesVendor(_CheckingVendor):
    """A faulty vendor that reports that every detail of the business matches."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return attrs.evolve(check, matches=TraderMatches(name=TraderMatch.MATCH))


class _AnyDetailMatchesVendor(_EveryDetailMatchesVendor):
    """A faulty vendor that reports all details as matching as soon as any detail is given."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return check if check.matches is None else super().changed_check(check)


@attrs.frozen(kw_only=True)
class _RevealingCheck(VatCheck):
    """A check result that shows the name of the business."""

    def __repr__(self) -> str:
        return f"VatCheck({self.name})"


class _ShowsBusinessNameVendor(_CheckingVendor):
    """A faulty vendor whose check results show the name of the business."""

    def changed_check(self, check: VatCheck) -> VatCheck:
        return _RevealingCheck(
            **{item.name: getattr(check, item.name) for item in attrs.fields(VatCheck)}
        )


class _ShowingSecretsVendor(Hmrc):
    """A faulty vendor whose repr shows its credentials."""

    def __repr__(self) -> str:
        return f"Hmrc({self.client_secret and self.client_secret.reveal()})"


class _OutageIsInvalidNumberVendor(Vies):
    """A faulty vendor that reports an outage as an invalid number."""

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        try:
            return await super().check_vat_number(wire, number, **options)
        except ConnectorError:
            return VatCheck(number=number, valid=False, checked_at=wire.now())


class _UnreadableIsValidVendor(Vies):
    """A faulty vendor that reports an unreadable response as a valid number."""

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        try:
            return await super().check_vat_number(wire, number, **options)
        except VendorFailed as error:
            if error.retryable:
                raise
            return VatCheck(number=number, valid=True, checked_at=wire.now())


class _VendorThatReadsErrorsAsUnknownNumber(Hmrc):
    """A faulty vendor that reads every refusal as an unknown number."""

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        try:
            return await super().check_vat_number(wire, number, **options)
        except VendorRejected:
            return VatCheck(number=number, valid=False, checked_at=wire.now())


class _Every404IsMissingVendor(Brreg):
    """A faulty vendor that reads each 404 as a business that does not exist."""

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        try:
            await wire.send(Request.get(f"/enheter/{number.number.removesuffix('MVA')}"))
        except VendorRejected:
            return VatCheck(number=number, valid=False, checked_at=wire.now())
        return await super().check_vat_number(wire, number, **options)


class _ChecksTwiceVendor(Vies):
    """A faulty vendor that sends each check twice."""

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        await super().check_vat_number(wire, number, **options)
        return await super().check_vat_number(wire, number, **options)


class _WithoutRequesterVendor(Vies):
    """A faulty vendor that does not send the VAT number of the requester."""

    async def check_vat_number(self, wire: Wire, number: VatNumber, /, **options: Any) -> VatCheck:
        return await super().check_vat_number(wire, number, **{**options, "requester": None})


class _DeclaresMissingProofsVendor(Brreg):
    """A faulty vendor that declares proofs but returns none."""

    capabilities = frozenset({TaxCapability.NORWEGIAN_NUMBERS, TaxCapability.PROOF})


def register_without_proof() -> kit.TaxSubject:
    """Return a test subject whose vendor declares proofs but returns none."""
    return attrs.evolve(
        as_brreg(_DeclaresMissingProofsVendor)(), requester=VatNumber.parse("NO999999992MVA")
    )


class _ClassifyingVendor(Vies):
    """A faulty vendor that classifies failures by its own method."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        raise NotImplementedError

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=self.how)
            for name, service in super().services().items()
        }


class _ByStatusVendor(_ClassifyingVendor):
    """A faulty vendor that classifies failures only by their status."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        return None


class _OutageIsInvalidRequestVendor(_ClassifyingVendor):
    """A faulty vendor that reports an outage as an invalid request."""

    def how(self, request: Request, response: Response) -> ConnectorError | None:
        return refusal(InvalidRequest, "VIES", response, "A-CODE", None)


def _other_number() -> kit.TaxSubject:
    """Return a test subject whose response for a second number contains the first number."""
    return attrs.evolve(tax_subjects.vies(), other=tax_subjects.vies_answer())


WRONG = [
    ("a_registered_number_is_valid", as_vies(_EveryNumberIsInvalidVendor), "reported as invalid"),
    ("a_registered_number_is_valid", as_vies(_WrongNumberVendor), "about another number"),
    ("a_registered_number_is_valid", as_vies(_TimesNotInUtcVendor), "not UTC"),
    ("a_registered_number_is_valid", as_vies(_InventsProofVendor), "none was requested"),
    (
        "a_registered_number_is_valid",
        as_vies(_EveryDetailMatchesVendor),
        "Details were compared although the request has none",
    ),
    (
        "a_registered_number_is_valid",
        as_vies(_DropsResponseVendor),
        "The result lacks the vendor's response",
    ),
    ("a_registered_number_is_valid", as_vies(_NamelessVendor), "name was read as None"),
    (
        "a_number_is_read_as_people_write_it",
        as_vies(_EveryNumberIsInvalidVendor),
        "reported as invalid",
    ),
    ("an_unknown_number_is_invalid", as_vies(_EveryNumberIsValidVendor), "reported as valid"),
    ("an_unknown_number_is_invalid", as_vies(_WrongNumberVendor), "about another number"),
    ("an_outage_is_no_verdict", as_vies(_OutageIsInvalidNumberVendor), "was no error"),
    ("an_outage_is_no_verdict", as_vies(_ByStatusVendor), "must be retryable"),
    ("an_outage_is_no_verdict", as_vies(_OutageIsInvalidRequestVendor), "raised InvalidRequest"),
    ("a_malformed_answer_is_no_verdict", as_vies(_OutageIsInvalidNumberVendor), "was no error"),
    ("a_malformed_answer_is_no_verdict", as_vies(_UnreadableIsValidVendor), "was no error"),
    (
        "a_wrong_address_is_no_verdict",
        as_hmrc(_VendorThatReadsErrorsAsUnknownNumber),
        "was no error",
    ),
    ("a_wrong_address_is_no_verdict", as_brreg(_Every404IsMissingVendor), "was no error"),
    ("an_answer_is_about_its_number", as_vies(_UnreadableIsValidVendor), "was no error"),
    ("an_answer_is_about_its_number", _other_number, "was no error"),
    ("a_proof_is_kept", as_vies(_DropsProofVendor), "proof is lost"),
    ("a_proof_is_kept", as_vies(_InventsProofVendor), "proof is lost"),
    ("a_proof_is_kept", as_vies(_WithoutRequesterVendor), "not asked for a proof"),
    ("a_proof_is_kept", register_without_proof, "not asked for a proof"),
    ("details_are_compared", as_vies(_AnyDetailMatchesVendor), "the register does not have"),
    ("a_refusal_has_its_type", as_vies(_ByStatusVendor), "raised VendorFailed"),
    ("a_refusal_has_its_type", as_hmrc(_VendorThatReadsErrorsAsUnknownNumber), "was no error"),
    ("each_request_is_sent_once", as_vies(_ChecksTwiceVendor), "twice"),
    (
        "a_request_is_in_the_vendors_words",
        as_vies(_WithoutRequesterVendor),
        "requesterMemberStateCode",
    ),
    ("an_answer_is_read_in_full", as_vies(_DropsProofVendor), "None as proof"),
    ("an_answer_is_read_in_full", as_vies(_AnyDetailMatchesVendor), "as matches"),
    ("nothing_shows_the_business", as_vies(_ShowsBusinessNameVendor), "shows personal data"),
    ("nothing_shows_the_business", as_hmrc(_ShowingSecretsVendor), "or a secret"),
]
PLAIN = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A vendor of VAT checks with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)


def test_request_that_is_sent_for_feature_which_vendor_lacks_fails_check() -> None:
    """A vendor that requests a feature which it does not declare fails the check."""

    def new_subject() -> kit.TaxSubject:
        subject = minimal_subject()
        subject.sandbox.requests.append(None)  # type: ignore[arg-type]  # any request counts
        return subject

    with pytest.raises(AssertionError, match="A request was sent for an operation"):
        PLAIN["unsupported_features_are_refused"](new_subject)
