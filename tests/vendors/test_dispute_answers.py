"""Responses to disputes (evidence or acceptance) in the requests to each payment vendor."""

from __future__ import annotations

import json
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import pytest

from moorage import Account, Hub, Request
from moorage.contracts.payments import Charge, DisputeEvidence, DisputeState, Money
from moorage.contracts.ref import Ref
from moorage.errors import InvalidData, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import AlteredAnswer, SandboxHttpClient
from moorage.vendors.payments.adyen import Adyen
from tests.vendors.payments_subjects import adyen, stripe
from tests.vendors.subjects.checkout_com import checkout_com
from tests.vendors.subjects.paypal import paypal
from tests.vendors.subjects.square import square

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.response import Response
    from moorage.operations.payments import Payments
    from moorage.testing.kits.payments_conformance import PaymentsSubject
    from moorage.testing.sandboxes.base import SandboxRequest

EVIDENCE: Final = DisputeEvidence(
    "The buyer signed.", product="Two chairs", carrier="Parcelworks", tracking_number="PW-1"
)
BARE: Final = DisputeEvidence("The buyer signed.")
SUBJECTS: Final = [stripe, square, checkout_com, paypal]


class SandboxHub:
    """A hub whose vendor has a disputed payment."""

    def __init__(self, make: Callable[[], PaymentsSubject]) -> None:
        self.subject = make()
        self.sandbox = self.subject.sandbox
        account = Account(
            "main", self.subject.vendor, settings={"volatile_keys": True, "retry": None}
        )
        self.accounts = [account]
        self.hub = self.restarted()
        self.payments: Payments = self.hub.payments()

    def restarted(self) -> Hub:
        """Return a new hub, as after a restart, that has no memory of earlier calls."""
        return Hub(self.accounts, http=SandboxHttpClient(self.sandbox))

    def ref(self, id: str) -> Ref:
        """Return a reference to the dispute with the given id."""
        return Ref(self.subject.vendor.name, "main", id)

    def new_dispute(self) -> Ref:
        """Create a dispute, and return a reference to it."""
        order = Charge(
            Money("20.00", "EUR"), self.subject.pays, reference="1", return_url="https://a.example/"
        )
        payment = self.payments.charge(order, idempotency_key="1")
        self.subject.happen()
        assert self.subject.dispute is not None
        return self.ref(self.subject.dispute(payment.ref.id))

    def sent(self, evidence: DisputeEvidence) -> list[SandboxRequest]:
        """Return the requests that are sent when the given evidence is submitted."""
        ref, before = self.new_dispute(), len(self.sandbox.requests)
        self.payments.submit_evidence(ref, evidence, idempotency_key="2")
        return self.sandbox.requests[before:]


def test_stripe_receives_texts_in_its_fields() -> None:
    """Stripe receives each text in its own field, and the same request submits the evidence."""
    (request,) = SandboxHub(stripe).sent(EVIDENCE)

    assert {
        "evidence[uncategorized_text]": "The buyer signed.",
        "evidence[product_description]": "Two chairs",
        "evidence[shipping_carrier]": "Parcelworks",
        "evidence[shipping_tracking_number]": "PW-1",
        "submit": "true",
    } == dict(parse_qsl(request.body.decode()))


def test_stripe_accepts_a_dispute_by_closing_it() -> None:
    """Accepting a dispute at Stripe closes it as lost."""
    shop = SandboxHub(stripe)
    ref = shop.new_dispute()
    dispute = shop.payments.accept_dispute(ref, idempotency_key="2")

    assert (DisputeState.LOST, "lost") == (dispute.state, dispute.vendor_state)
    assert f"/v1/disputes/{ref.id}/close" == shop.sandbox.requests[-1].path


def test_adyen_accepts_a_dispute_under_a_key() -> None:
    """Adyen's Disputes API receives the dispute, the merchant account and an idempotency key."""
    shop = SandboxHub(adyen)
    ref = shop.new_dispute()
    dispute = shop.payments.accept_dispute(ref, idempotency_key="2")
    request = shop.sandbox.requests[-1]

    assert (ref, DisputeState.ACCEPTED, None) == (dispute.ref, dispute.state, dispute.amount)
    assert "/ca/services/DisputeService/v30/acceptDispute" == request.path
    assert "2" == request.headers["idempotency-key"]
    assert {
        "merchantAccountCode": "SandboxMerchant",
        "disputePspReference": ref.id,
    } == request.json()


def test_adyen_response_that_a_dispute_was_not_accepted_raises_error() -> None:
    """If Adyen answers with status 200 that a dispute was not accepted, an error is raised."""
    shop = SandboxHub(adyen)
    ref = shop.new_dispute()
    shop.payments.accept_dispute(ref, idempotency_key="2")
    with pytest.raises(VendorRejected, match="did not accept the dispute: The dispute is Accepted"):
        shop.restarted().payments().accept_dispute(ref, idempotency_key="3")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"disputeServiceResult": {}}', b'{"disputeServiceResult": {"success": "x"}}']
)
def test_adyen_answer_without_a_result_is_malformed(body: bytes) -> None:
    """If Adyen's response does not say that a dispute was accepted, the call fails."""
    shop = SandboxHub(adyen)
    ref = shop.new_dispute()
    shop.sandbox.fail(AlteredAnswer(lambda answer: answer.evolve(body=body)))
    with pytest.raises(VendorFailed):
        shop.payments.accept_dispute(ref, idempotency_key="2")


@pytest.mark.parametrize(
    "options, urls",
    [
        ({}, ["https://checkout-test.adyen.com", "https://ca-test.adyen.com"]),
        (
            {"live_url_prefix": "1797-Acme"},
            [
                "https://1797-Acme-checkout-live.adyenpayments.com/checkout",
                "https://ca-live.adyen.com",
            ],
        ),
        ({"base_url": "https://pay.example"}, ["https://pay.example"] * 2),
    ],
)
def test_adyen_has_separate_hosts_for_payments_and_disputes(options: Any, urls: list[str]) -> None:
    """Adyen has separate hosts for payments and disputes, and for test and live accounts."""
    services = Adyen(merchant_account="ACME", credentials="key", **options).services()

    assert urls == [service.base_url for service in services.values()]


def test_square_stores_each_evidence_text_by_its_type() -> None:
    """Square stores each evidence text by type, with its own key, and then submits all texts."""
    *texts, submission = SandboxHub(square).sent(EVIDENCE)
    bodies = [request.json() for request in texts]

    assert {
        "GENERIC_EVIDENCE": "The buyer signed.",
        "PRODUCT_OR_SERVICE_DESCRIPTION": "Two chairs",
        "TRACKING_NUMBER": "Parcelworks PW-1",
    } == {body["evidence_type"]: body["evidence_text"] for body in bodies}
    assert 3 == len({body["idempotency_key"] for body in bodies})
    assert submission.path.endswith("/submit-evidence")
    assert ["GENERIC_EVIDENCE"] == [
        request.json()["evidence_type"] for request in SandboxHub(square).sent(BARE)[:-1]
    ]


def test_checkout_com_stores_texts_and_submits_them() -> None:
    """Checkout.com stores the texts and submits them; then the dispute is looked up."""
    texts, submission, look_up = SandboxHub(checkout_com).sent(EVIDENCE)

    assert {
        "additional_evidence_text": "The buyer signed.\nTwo chairs",
        "proof_of_delivery_or_service_text": "Parcelworks PW-1",
    } == texts.json()
    assert [("PUT", "evidence"), ("POST", "evidence")] == [
        (request.method, request.path.rpartition("/")[2]) for request in (texts, submission)
    ]
    assert "GET" == look_up.method
    (bare_request, *_) = SandboxHub(checkout_com).sent(BARE)
    assert {"additional_evidence_text": "The buyer signed."} == bare_request.json()


@pytest.mark.parametrize("make", [stripe, square, checkout_com])
def test_dispute_names_its_payment(make: Callable[[], PaymentsSubject]) -> None:
    """A dispute has the same payment when it is looked up as when it is listed."""
    shop = SandboxHub(make)
    ref = shop.new_dispute()
    (listed,) = shop.payments.disputes().items
    dispute = shop.payments.get_dispute(ref)

    assert listed.payment is not None
    assert listed.payment == dispute.payment


def paypal_evidence(evidence: DisputeEvidence) -> Any:
    """Return the evidence that PayPal receives, from the form part `input`."""
    submission = next(
        request
        for request in SandboxHub(paypal).sent(evidence)
        if request.path.endswith("/provide-evidence")
    )
    kind = submission.headers["content-type"].encode()
    form: Any = BytesParser().parsebytes(b"Content-Type: " + kind + b"\r\n\r\n" + submission.body)
    (part,) = form.get_payload()
    assert 'form-data; name="input"' == part["content-disposition"]
    (fields,) = json.loads(part.get_payload())["evidences"]
    return fields


def test_paypal_gets_proof_of_fulfilment_if_carrier_is_known() -> None:
    """PayPal gets a proof of fulfilment if the carrier is known, and otherwise a note."""
    assert {
        "evidence_type": "PROOF_OF_FULFILLMENT",
        "evidence_info": {
            "tracking_info": [
                {
                    "carrier_name": "OTHER",
                    "carrier_name_other": "Parcelworks",
                    "tracking_number": "PW-1",
                }
            ]
        },
        "notes": "The buyer signed.\nTwo chairs",
    } == paypal_evidence(EVIDENCE)
    by_post = DisputeEvidence("Signed.", carrier="Royal Mail", tracking_number="RM-1")
    assert {"carrier_name": "ROYAL_MAIL", "tracking_number": "RM-1"} == paypal_evidence(by_post)[
        "evidence_info"
    ]["tracking_info"][0]
    assert {"evidence_type": "OTHER", "notes": "The buyer signed."} == paypal_evidence(BARE)
    evidence = DisputeEvidence("Signed.", tracking_number="RM-1")
    assert {"evidence_type": "OTHER", "notes": "Signed.\nRM-1"} == paypal_evidence(evidence)


def test_paypal_accepts_the_claim_of_a_dispute() -> None:
    """If a dispute is accepted at PayPal, it is decided for the buyer."""
    shop = SandboxHub(paypal)
    ref = shop.new_dispute()
    dispute = shop.payments.accept_dispute(ref, idempotency_key="2")
    acceptance, _ = shop.sandbox.requests[-2:]

    assert (DisputeState.LOST, "RESOLVED") == (dispute.state, dispute.vendor_state)
    assert f"/v1/customer/disputes/{ref.id}/accept-claim" == acceptance.path
    assert {
        "note": "The claim is accepted.",
        "accept_claim_type": "REFUND",
    } == acceptance.json()


def test_paypal_dispute_that_is_not_accepted_is_refused() -> None:
    """If PayPal refuses to accept a dispute that is still open, an error is raised."""
    shop = SandboxHub(paypal)
    ref = shop.new_dispute()
    shop.payments.submit_evidence(ref, BARE, idempotency_key="2")
    with pytest.raises(VendorRejected) as excinfo:
        shop.payments.accept_dispute(ref, idempotency_key="3")
    assert "INVALID_DISPUTE_STATE" == excinfo.value.vendor_code


def test_paypal_answer_without_a_link_is_no_success() -> None:
    """A PayPal response without the link to the dispute is a failure."""
    shop = SandboxHub(paypal)
    ref = shop.new_dispute()
    shop.sandbox.fail(AlteredAnswer(with_content))
    with pytest.raises(VendorFailed, match="links"):
        shop.payments.accept_dispute(ref, idempotency_key="2")


@pytest.mark.parametrize(
    "request_",
    [
        Request.post("/provide-evidence", json={"evidences": []}),
        Request.post("/provide-evidence", form={"output": "{}"}, files={}),
        Request.post("/provide-evidence", form={"input": '{"evidences": [{}]}'}, files={}),
        Request.post(
            "/provide-evidence",
            form={
                "input": json.dumps(
                    {
                        "evidences": [
                            {
                                "evidence_type": "OTHER",
                                "evidence_info": {
                                    "tracking_info": [
                                        {"carrier_name": "OTHER", "tracking_number": "1"}
                                    ]
                                },
                            }
                        ]
                    }
                )
            },
            files={},
        ),
        Request.post("/accept-claim", json={}),
    ],
)
def test_paypal_sandbox_refuses_malformed_evidence_and_acceptances(request_: Request) -> None:
    """PayPal's sandbox refuses evidence and acceptances that are not in PayPal's form."""
    shop = SandboxHub(paypal)
    path = f"/v1/customer/disputes/{shop.new_dispute().id}{request_.path}"
    with pytest.raises(VendorRejected):
        shop.hub.manager.call("main", request_.evolve(path=path))


@pytest.mark.parametrize(
    "evidence, field",
    [
        (DisputeEvidence("x" * 2_001), "evidence.explanation"),
        (
            DisputeEvidence("x", carrier="DHL", tracking_number="1" * 256),
            "evidence.tracking_number",
        ),
        (DisputeEvidence("x", carrier="C" * 2_001, tracking_number="1"), "evidence.carrier"),
    ],
)
def test_evidence_that_is_too_long_for_paypal(evidence: DisputeEvidence, field: str) -> None:
    """A text that is too long for PayPal is refused before anything is sent."""
    shop = SandboxHub(paypal)
    with pytest.raises(InvalidData) as excinfo:
        shop.payments.submit_evidence(shop.ref("1"), evidence, idempotency_key="1")
    assert field == excinfo.value.field
    assert [] == shop.sandbox.requests


@pytest.mark.parametrize("make", [square, checkout_com, paypal])
def test_submitting_different_evidence_is_refused_while_dispute_is_under_review(
    make: Callable[[], PaymentsSubject],
) -> None:
    """While a dispute is under review, submitting different evidence is refused."""
    shop = SandboxHub(make)
    ref = shop.new_dispute()
    shop.payments.submit_evidence(ref, EVIDENCE, idempotency_key="2")

    repeated = shop.restarted().payments().submit_evidence(ref, EVIDENCE, idempotency_key="2")
    assert DisputeState.UNDER_REVIEW == repeated.state
    with pytest.raises(VendorRejected):
        shop.payments.submit_evidence(ref, BARE, idempotency_key="3")


@pytest.mark.parametrize(
    "make, name",
    [
        (square, "explanation"),
        (square, "product"),
        (square, "tracking_number"),
        (checkout_com, "explanation"),
        (checkout_com, "tracking_number"),
    ],
)
def test_long_evidence_is_refused(make: Callable[[], PaymentsSubject], name: str) -> None:
    """A text that is too long for the vendor is refused before anything is sent."""
    shop = SandboxHub(make)
    evidence = DisputeEvidence(**{"explanation": "It arrived.", name: "x" * 501})
    with pytest.raises(InvalidData, match="at most 500 characters") as excinfo:
        shop.payments.submit_evidence(shop.ref("1"), evidence, idempotency_key="1")
    assert f"evidence.{name}" == excinfo.value.field
    assert [] == shop.sandbox.requests


@pytest.mark.parametrize(
    "fields",
    [
        {"explanation": ""},
        {"explanation": 5},
        {"explanation": "x" * 20_001},
        {"product": " "},
        {"carrier": "x" * 20_001},
        {"tracking_number": b"1"},
    ],
)
def test_wrong_evidence_is_refused(fields: dict[str, Any]) -> None:
    """If a text of the evidence is wrong, the error contains the name of its field."""
    with pytest.raises(InvalidData) as excinfo:
        DisputeEvidence(**{"explanation": "The buyer signed.", **fields})
    assert [excinfo.value.field] == list(fields)


def test_evidence_of_another_class_is_refused() -> None:
    """Evidence must be an `Evidence` object, not a string, and its repr shows no details."""
    shop = SandboxHub(stripe)
    with pytest.raises(InvalidData, match="evidence"):
        shop.payments.submit_evidence(shop.ref("1"), "signed", idempotency_key="1")  # type: ignore[arg-type]  # wrong on purpose
    assert "signed" not in repr(EVIDENCE)


@pytest.mark.parametrize("make", SUBJECTS)
def test_unknown_dispute_is_refused(make: Callable[[], PaymentsSubject]) -> None:
    """Every operation with a dispute that does not exist at the vendor is refused."""
    shop = SandboxHub(make)
    with pytest.raises(VendorRejected):
        shop.payments.get_dispute(shop.ref("unknown"))
    with pytest.raises(VendorRejected):
        shop.payments.accept_dispute(shop.ref("unknown"), idempotency_key="1")


def with_content(response: Response) -> Response:
    """Return the response with a body added; Checkout.com itself never sends one here."""
    return response.evolve(body=b"{}")


def test_checkout_com_answer_with_content_is_no_success() -> None:
    """A Checkout.com response with a body is a failure, since its successes have none."""
    shop = SandboxHub(checkout_com)
    ref = shop.new_dispute()
    shop.sandbox.fail(AlteredAnswer(with_content))
    with pytest.raises(VendorFailed, match="has a body"):
        shop.payments.accept_dispute(ref, idempotency_key="2")


def test_square_evidence_without_an_id_is_no_success() -> None:
    """A Square response without the id of the stored evidence is a failure."""
    shop = SandboxHub(square)
    ref = shop.new_dispute()
    shop.sandbox.fail(AlteredAnswer(with_content))
    with pytest.raises(VendorFailed, match=r"evidence\.id"):
        shop.payments.submit_evidence(ref, BARE, idempotency_key="2")


def test_checkout_com_sandbox_submits_no_empty_evidence() -> None:
    """Checkout.com's sandbox refuses to submit evidence if none was stored before."""
    shop = SandboxHub(checkout_com)
    ref = shop.new_dispute()
    manager = shop.hub.manager
    with pytest.raises(VendorRejected, match="evidence_required"):
        manager.call("main", Request.post(f"/disputes/{ref.id}/evidence"))
