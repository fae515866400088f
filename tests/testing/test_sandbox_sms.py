"""The sandboxes of SMS vendors are as strict as the vendors."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest

from moorage import Request, Response
from moorage.domain.http.requests import Timeouts
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.testing.sandboxes.sms.vonage import VonageSandbox

TO, FROM = "+4915112345678", "+15005550006"


def send_request(sandbox: Any, request: Request, who: tuple[str, str]) -> Response:
    """Send a request to a sandbox."""
    token = b64encode(":".join(who).encode()).decode()
    sent_request = request.evolve(
        headers=[*request.headers.pairs, ("Authorization", f"Basic {token}")]
    )
    url = f"https://{sandbox.hosts[0]}{request.path}"
    query = urlencode([*request.query])
    client = SandboxHttpClient(sandbox)
    return client.send(sent_request, f"{url}?{query}" if query else url, Timeouts())


def twilio(form: dict[str, str] | None, path: str = "Messages", who: str | None = None) -> Response:
    """Send a request to Twilio's sandbox."""
    sandbox = TwilioSandbox()
    api_path = f"/2010-04-01/Accounts/{sandbox.account_sid}/{path}.json"
    request = Request.get(api_path) if form is None else Request.post(api_path, form=form)
    return send_request(sandbox, request, (sandbox.account_sid, who or sandbox.auth_token))


@pytest.mark.parametrize(
    "form, code",
    [
        ({"Unknown": "1"}, 20001),
        ({"To": ""}, 21604),
        ({"From": ""}, 21603),
        ({"Body": ""}, 21602),
        ({"Body": "a" * 1601}, 21617),
        ({"SendAt": "2031-05-06T07:08:09Z"}, 35118),
        ({"ScheduleType": "fixed"}, 35118),
        ({"SendAt": "2031-05-06T07:08:09Z", "ScheduleType": "fixed"}, 35118),
        (
            {
                "SendAt": "2031-05-06T07:08:09+00:00",
                "ScheduleType": "fixed",
                "MessagingServiceSid": "MG1",
            },
            35114,
        ),
        ({"To": "+15005550001"}, 21211),
        ({"To": "+15005550004"}, 21610),
        ({"From": "+15005550001"}, 21212),
        ({"From": "+15005550008"}, 21611),
    ],
    ids=str,
)
def test_twilio_refuses_invalid_messages(form: dict[str, str], code: int) -> None:
    """Twilio refuses invalid messages with its error codes."""
    answer = twilio({"To": TO, "From": FROM, "Body": "Hello"} | form)

    assert code == answer.json()["code"]
    assert answer.status == answer.json()["status"] == (429 if code == 21611 else 400)


def test_twilio_refuses_other_tokens() -> None:
    """Twilio refuses a wrong token for all requests."""
    assert {401} == {
        twilio({"To": TO}, who="other").status,
        twilio(None, "Balance", who="other").status,
        twilio(None, "Messages/SM1", who="other").status,
        twilio({"Status": "canceled"}, "Messages/SM1", who="other").status,
    }


def vonage(sandbox: VonageSandbox, request: Request, secret: str | None = None) -> Any:
    """Send a request to Vonage's sandbox, and return the JSON response."""
    return send_request(sandbox, request, (sandbox.api_key, secret or sandbox.api_secret)).json()


def send(form: dict[str, str], secret: str | None = None) -> list[str]:
    """Send a message by Vonage's sandbox, and return the status of each part."""
    message_form = {"to": "447700900000", "from": "Acme", "text": "Hello"} | form
    request = Request.post("/sms/json", form=message_form)
    answer = vonage(VonageSandbox(), request, secret)
    assert str(len(answer["messages"])) == answer["message-count"]
    return [part["status"] for part in answer["messages"]]


@pytest.mark.parametrize(
    "form, statuses",
    [
        ({}, ["0"]),
        ({"text": "a" * 161}, ["0", "0"]),
        ({"text": "ж", "type": "unicode"}, ["0"]),
        ({"text": ""}, ["2"]),
        ({"unknown": "1"}, ["3"]),
        ({"to": "+447700900000"}, ["3"]),
        ({"ttl": "19999"}, ["3"]),
        ({"ttl": "soon"}, ["3"]),
        ({"ttl": "20000"}, ["0"]),
        ({"client-ref": "r" * 101}, ["3"]),
        ({"text": "ж"}, ["6"]),
        ({"callback": "https://a.example/" + "x" * 100}, ["23"]),
        ({"to": "447700900001"}, ["1"]),
        ({"to": "447700900033"}, ["33"]),
        ({"to": "447700900101", "text": "a" * 307}, ["0", "1", "1"]),
    ],
    ids=str,
)
def test_vonage_refuses_invalid_messages(form: dict[str, str], statuses: list[str]) -> None:
    """Vonage refuses invalid messages in the response body, part by part."""
    assert statuses == send(form)


def test_vonage_refuses_other_secrets() -> None:
    """Each of Vonage's APIs refuses a wrong secret in its own way."""
    sandbox = VonageSandbox()
    credentials = (sandbox.api_key, "other")

    assert ["4"] == send({}, "other")
    assert (
        4 == send_request(sandbox, Request.get("/ni/standard/json"), credentials).json()["status"]
    )
    assert 401 == send_request(sandbox, Request.get("/account/get-balance"), credentials).status


@pytest.mark.parametrize(
    "query, status",
    [
        ({"number": "447700900000"}, 0),
        ({"number": "447700900043"}, 43),
        ({"number": "447700900009"}, 9),
        ({"number": "447700900109"}, 0),
        ({"number": "07700900000"}, 3),
        ({"number": "07700900000", "country": "GB"}, 0),
        ({"number": "12"}, 3),
        ({"number": "nobody"}, 3),
        ({}, 3),
    ],
    ids=str,
)
def test_vonage_look_up_returns_a_number_only_if_it_found_one(
    query: dict[str, str], status: int
) -> None:
    """A Vonage number look-up returns a status, and returns a number only if it found one."""
    result = vonage(VonageSandbox(), Request.get("/ni/standard/json", query=query))

    assert status == result["status"]
    assert (status in {0, 43}) == ("international_format_number" in result)


@pytest.mark.parametrize(
    "number, query, expected",
    [
        ("+4930123456", {}, (True, "DE", "+4930123456")),
        ("+442079460000", {"CountryCode": "DE"}, (True, "GB", "+442079460000")),
        ("+12125551234", {}, (True, "US", "+12125551234")),
        ("02079460000", {"CountryCode": "GB"}, (True, "GB", "+442079460000")),
        ("2125551234", {"CountryCode": "US"}, (True, "US", "+12125551234")),
        ("+9991234567", {}, (False, None, "+9991234567")),
        ("2125551234", {}, (False, None, "+2125551234")),
    ],
    ids=str,
)
def test_twilio_look_up_finds_the_country_by_the_calling_code(
    number: str, query: dict[str, str], expected: tuple[object, ...]
) -> None:
    """Twilio's sandbox finds a number's country by its calling code, or else by `CountryCode`."""
    sandbox = TwilioSandbox()
    request = Request.get(f"/v2/PhoneNumbers/{number}", query=query)
    result = send_request(sandbox, request, (sandbox.account_sid, sandbox.auth_token)).json()

    assert expected == (result["valid"], result["country_code"], result["phone_number"])
