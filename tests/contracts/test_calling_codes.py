"""The country of a phone number, by its calling code."""

import pytest

from moorage import Account, Hub, Route
from moorage.contracts.calling_codes import country_of
from moorage.contracts.sms import SmsMessage
from moorage.testing.sandboxes.base import SandboxHttpClient
from tests.contracts.external_sms_vendor import PigeonServer, TextMessageVendor


@pytest.mark.parametrize(
    "number, country",
    [
        ("+4915112345678", "DE"),
        ("+33612345678", "FR"),
        ("+77012345678", "KZ"),
        ("+79161234567", "RU"),
        ("+35312345678", "IE"),
        ("+27821234567", "ZA"),
        ("+85212345678", "HK"),
        ("+14155550100", None),
        ("+9999999999", None),
    ],
)
def test_first_digits_of_a_phone_number_give_its_country(number: str, country: str | None) -> None:
    """A phone number's first digits give its country, unless several countries share them."""
    assert country == country_of(number)


def test_calling_code_belongs_to_one_country_or_none() -> None:
    """Each calling code belongs to one two-letter country code, or to no country."""
    result = {str(code): country_of(f"+{code}0000000") for code in range(1, 1_000)}
    country_codes = {country for country in result.values() if country}

    assert all(len(country) == 2 and country.isupper() for country in country_codes)
    assert len(country_codes) > 200


def test_country_of_a_phone_number_determines_the_route() -> None:
    """The country of its phone number determines the route of a text message."""
    servers = [PigeonServer("de.example"), PigeonServer("world.example")]
    accounts = [
        Account("de", TextMessageVendor(loft="de.example")),
        Account("w", TextMessageVendor(loft="world.example")),
    ]
    routes = [Route("sms", "w"), Route("sms", "de", countries="DE")]
    hub = Hub(accounts, routes, http=SandboxHttpClient(*servers))

    def chosen_account(number: str) -> str:
        return hub.sms().send(SmsMessage(to=number, text="x")).ref.account

    assert ["de", "w", "w"] == [
        chosen_account(n) for n in ("+4915112345678", "+33612345678", "+14155550100")
    ]
