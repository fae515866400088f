"""The conformance kit of shipping vendors finds capabilities that are declared wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import pytest

from moorage.contracts.shipping import ShippingCapability
from moorage.errors import ConfigurationError, UnsupportedByVendor
from moorage.testing import name_of
from moorage.testing.kits.shipping_conformance import CHECKS
from moorage.vendors.shipping.colissimo import Colissimo
from moorage.vendors.shipping.royalmail import RoyalMail
from tests.vendors.subjects.colissimo import colissimo
from tests.vendors.subjects.royalmail import royalmail

if TYPE_CHECKING:
    from moorage.testing.kits.shipping_conformance import ShippingSubject

BY_NAME: Final = {name_of(check): check for check in CHECKS}


class FindingColissimo(Colissimo):
    """A faulty vendor that declares a search for labels, but has none."""

    capabilities = Colissimo.capabilities | {ShippingCapability.FIND_LOST_LABEL}


class PdfColissimo(Colissimo):
    """A faulty vendor that prints labels in ZPL without declaring it."""

    capabilities = Colissimo.capabilities - {ShippingCapability.LABEL_ZPL}


class SilentRoyalMail(RoyalMail):
    """A faulty vendor that finds lost labels without declaring it."""

    capabilities = RoyalMail.capabilities - {ShippingCapability.FIND_LOST_LABEL}


class ZebraRoyalMail(RoyalMail):
    """A faulty vendor that declares labels in ZPL, but prints none."""

    capabilities = RoyalMail.capabilities | {ShippingCapability.LABEL_ZPL}


def colissimo_as(kind: type[Colissimo]) -> ShippingSubject:
    """Return a test subject of Colissimo with another vendor class."""
    subject = colissimo()
    fields = attrs.fields_dict(Colissimo)
    options = {name: getattr(subject.vendor, name) for name in fields}
    return attrs.evolve(subject, vendor=kind(**options))


def royalmail_as(kind: type[RoyalMail]) -> ShippingSubject:
    """Return a test subject of Royal Mail with another vendor class."""
    subject = royalmail()
    return attrs.evolve(subject, vendor=kind(credentials=subject.secret))


@pytest.mark.parametrize(
    "check", ["a_lost_answer_buys_nothing_twice", "an_interrupted_batch_is_completed"]
)
def test_declared_search_must_find_a_lost_label(check: str) -> None:
    """A vendor that declares a search and finds nothing fails the kit."""
    with pytest.raises(AssertionError, match=r"did not find it|does not settle"):
        BY_NAME[check](lambda: colissimo_as(FindingColissimo))


def test_search_must_be_declared() -> None:
    """A vendor that finds a lost label without declaring it fails the kit."""
    with pytest.raises(AssertionError, match="does not declare that it can find labels"):
        BY_NAME["a_lost_answer_buys_nothing_twice"](lambda: royalmail_as(SilentRoyalMail))


def test_declared_prices_must_exist() -> None:
    """A vendor class that declares prices but has none cannot be defined."""
    capabilities = Colissimo.capabilities | {ShippingCapability.RATES}

    with pytest.raises(ConfigurationError, match="not the method get_rates"):
        type("PricingColissimo", (Colissimo,), {"capabilities": capabilities})


def test_declared_zpl_must_be_printed() -> None:
    """A vendor that declares labels in ZPL and refuses them fails the kit."""
    with pytest.raises(UnsupportedByVendor, match="does not print ZPL labels"):
        BY_NAME["declared_capabilities_work"](lambda: royalmail_as(ZebraRoyalMail))


def test_undeclared_zpl_is_refused() -> None:
    """The kit never requests ZPL from a vendor that does not declare it."""
    for check in ("a_label_is_converted_or_refused", "unsupported_features_are_refused"):
        BY_NAME[check](lambda: colissimo_as(PdfColissimo))
