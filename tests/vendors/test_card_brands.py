"""The name of a card's brand is the same at all payment vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from moorage import Hub
from moorage.contracts.payments import Charge, MeansOfPayment, Money, PaymentsCapability
from moorage.contracts.payments.brands import card_brand
from moorage.contracts.routes import Account
from moorage.testing import name_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.vendors.payments_subjects import SUBJECTS

if TYPE_CHECKING:
    from moorage.testing.kits.payments_conformance import Factory

WORDS: Final = {
    "visa": "visa VISA Visa",
    "mastercard": "mastercard mc MASTERCARD MASTER_CARD Mastercard MasterCard",
    "amex": "amex AMEX AMERICAN_EXPRESS American-Express",
    "diners": "diners DINERS DISCOVER_DINERS Diners-Club",
    "discover": "discover DISCOVER Discover",
    "unionpay": "unionpay cup CHINA_UNION_PAY CHINA_UNIONPAY Unionpay Union-Pay",
    "cartes_bancaires": "cartes_bancaires cartebancaire CARTE_BANCAIRE CB_NATIONALE",
    "eftpos_au": "eftpos_au eftpos_australia EFTPOS",
    "jcb": "jcb JCB",
    "maestro": "maestro MAESTRO Maestro",
    "unknown": "unknown UNKNOWN OTHER_BRAND",
    "square_gift_card": "SQUARE_GIFT_CARD",
    "carta_si": "Carta-Si",
}
"""The names that vendors have for each card brand, with a hyphen for a blank."""
WITHOUT_CARDS: Final = {"gocardless_payments"}
"""Vendors that charge no cards."""


@pytest.mark.parametrize(
    "make",
    [make_subject for make_subject in SUBJECTS if name_of(make_subject) not in WITHOUT_CARDS],
    ids=name_of,
)
def test_payment_with_a_visa_card_has_the_same_brand_at_every_vendor(make: Factory) -> None:
    """A payment with a Visa card has the same brand name at every payment vendor."""
    subject = make()
    account = Account("till", subject.vendor, settings={"volatile_keys": True})
    order = Charge(
        Money("149.90", "EUR"),
        subject.pays,
        reference="INV-1",
        customer=subject.buyer,
        return_url="https://shop.example/",
    )
    with Hub([account], http=SandboxHttpClient(subject.sandbox)) as hub:
        payment = hub.payments().charge(order, idempotency_key="INV-1/1")
        subject.happen()
        if PaymentsCapability.LOOK_UP in subject.vendor.capabilities:
            payment = hub.payments().get(payment.ref)

    assert payment.means is not None
    assert "visa" == payment.means.brand


@pytest.mark.parametrize("brand", WORDS)
def test_spellings_and_other_names_of_brand_are_normalised(brand: str) -> None:
    """Different spellings and names of a card brand become one name; unknown brands are kept."""
    for word in WORDS[brand].split():
        spaced_word = word.replace("-", " ")
        assert brand == card_brand(spaced_word) == MeansOfPayment(brand=spaced_word).brand
    assert brand == card_brand(brand)


@pytest.mark.parametrize("word", [None, "", " ", "_"])
def test_word_without_letters_is_no_brand(word: str | None) -> None:
    """A card brand without letters is treated as missing."""
    assert card_brand(word) is None
    assert MeansOfPayment(brand=word).brand is None
