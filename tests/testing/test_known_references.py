"""Conformance kits find ids in results that were in no request and no response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.payments import Money, MoveState, Page, Refund
from moorage.contracts.ref import Ref
from moorage.domain.http.headers import Headers
from moorage.testing import name_of
from moorage.testing import payments_conformance as kit
from moorage.testing.kits._sent_requests import require_known_references
from moorage.testing.sandboxes.base import SandboxRequest
from moorage.vendors.payments.stripe import Stripe
from tests.vendors import payments_subjects

if TYPE_CHECKING:
    from moorage.contracts.wire import Wire


def refund(id: str, payment: str, raw: object) -> Refund:
    """Return a refund with the given ids and the vendor's response."""
    return Refund(
        ref=Ref("stripe", "main", id),
        payment=Ref("stripe", "main", payment),
        state=MoveState.SUCCEEDED,
        amount=Money("5.00", "EUR"),
        raw=raw,
    )


REQUEST = SandboxRequest("GET", "api.example", "/payments/pay%2F1", (), Headers(), b"")


def test_references_of_vendor_and_caller_are_accepted() -> None:
    """An id may come from a request or the vendor's response, even as parts that are joined."""
    require_known_references(refund("ref_1", "pay/1", {"id": "ref_1"}), [REQUEST])
    require_known_references([refund("A:B", "pay/1", {"ids": ["B", "A"]})], [REQUEST])


def test_unknown_references_are_noticed() -> None:
    """A result or page with an id from no request or response fails the check."""
    for wrong_value in (
        refund("ref_1x", "pay/1", {"id": "ref_1"}),
        refund("ref_1", "pay/2", {"id": "ref_1"}),
        Page(items=(refund("ref_2", "pay/1", {"id": "ref_1"}),)),
    ):
        with pytest.raises(AssertionError, match="in no answer"):
            require_known_references(wrong_value, [REQUEST])


@attrs.frozen(kw_only=True)
class MisreadingVendor(Stripe):
    """A faulty vendor that reads the id of a refund wrong."""

    async def refund(self, wire: Wire, *arguments: Any, **keywords: Any) -> Refund:
        """Make a refund, and return a wrong reference to it."""
        refund = await super().refund(wire, *arguments, **keywords)
        return attrs.evolve(refund, ref=wire.ref(f"{refund.ref.id}x"))


def misreading_subject() -> kit.PaymentsSubject:
    """Return a test subject of Stripe whose vendor reads ids wrong."""
    subject = payments_subjects.stripe()
    sandbox: Any = subject.sandbox
    return attrs.evolve(subject, vendor=MisreadingVendor(credentials=sandbox.api_key))


def test_a_vendor_that_misreads_an_id_is_noticed() -> None:
    """A vendor whose refunds have wrong references fails each check that makes a refund."""
    checks = {name_of(check): check for check in kit.CHECKS}
    with pytest.raises(AssertionError, match="in no answer"):
        checks["money_is_refunded_in_parts"](misreading_subject)


def test_results_without_an_answer_are_not_checked() -> None:
    """Results without the vendor's response, and references to a next page, are not checked."""
    require_known_references(refund("ref_1x", "pay/2", None), [])
    cursor = Ref("stripe", "main", "cursor")
    require_known_references(Page(items=(refund("r1", "r1", {"id": "r1"}),), next=cursor), [])
