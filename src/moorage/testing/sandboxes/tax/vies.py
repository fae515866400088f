"""A local sandbox that imitates VIES.

Magic numbers: a number of zeros that ends in a code of VIES's own test service gets that service's
response to the code, in every member state: 201 INVALID_INPUT, 202 INVALID_REQUESTER_INFO, 300
SERVICE_UNAVAILABLE, 301 MS_UNAVAILABLE, 302 TIMEOUT, 400 VAT_BLOCKED, 401 IP_BLOCKED, 500 and 501
GLOBAL_MAX_CONCURRENT_REQ(_TIME), 600 and 601 MS_MAX_CONCURRENT_REQ(_TIME). Such a number has the
form of its country, such as DE000000301 or ATU00000301. DE136695976 and FR40303265045 are
registered; `register` adds others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import typed, words, wrong_names
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_DETAILS: Final = ("Name", "Street", "PostalCode", "City", "CompanyType")
_FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    **typed(str, "countryCode vatNumber requesterMemberStateCode requesterNumber"),
    **{f"trader{detail}": str for detail in _DETAILS},
}
_STATES: Final = words(
    "AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI"
)
_REQUESTERS: Final = _STATES | {"EU"}
_FORM: Final = re.compile(r"[0-9A-Za-z+*.]{2,12}")
_MAGIC_FORM: Final = re.compile("U?0{4,}([1-6][0-9]{2})(?:B[0-9]{2})?[A-Z]?")
_MAGIC: Final = {
    "201": "INVALID_INPUT",
    "202": "INVALID_REQUESTER_INFO",
    "300": "SERVICE_UNAVAILABLE",
    "301": "MS_UNAVAILABLE",
    "302": "TIMEOUT",
    "400": "VAT_BLOCKED",
    "401": "IP_BLOCKED",
    "500": "GLOBAL_MAX_CONCURRENT_REQ",
    "501": "GLOBAL_MAX_CONCURRENT_REQ_TIME",
    "600": "MS_MAX_CONCURRENT_REQ",
    "601": "MS_MAX_CONCURRENT_REQ_TIME",
}
_NOT_DISCLOSED: Final = "---"
DATE: Final = "2031-05-06T07:08:09.123Z"
"""The date of every check."""


class ViesSandbox(base.Sandbox):
    """A sandbox of VIES: VAT number checks, and the member states' status.

    Attributes:
        unavailable: prefixes of the member states whose registers do not respond.
        proofs: the consultation numbers that were given, in order.
    """

    hosts = ("ec.europa.eu",)

    unavailable: set[str] = base.state_field(set)
    proofs: list[str] = base.state_field(list)
    _businesses: dict[str, dict[str, str]] = base.state_field(dict)
    _withheld: set[str] = base.state_field(set)

    def __attrs_post_init__(self) -> None:
        self.register("DE136695976", name="Harbour GmbH", discloses=False)
        self.register(
            "FR40303265045",
            name="QUAI SARL",
            street="1 RUE DU PORT",
            postal_code="13002",
            city="MARSEILLE",
        )

    def register(
        self,
        number: str,
        *,
        name: str,
        street: str = "",
        postal_code: str = "",
        city: str = "",
        discloses: bool = True,
    ) -> None:
        """Add a business to its member state's register.

        Args:
            number: VAT number of the business, with the prefix.
            name: name of the business.
            street: street and house number.
            postal_code: postal code.
            city: city.
            discloses: False if the member state does not disclose the name and address.
        """
        self._businesses[number] = {
            "Name": name,
            "Street": street,
            "PostalCode": postal_code,
            "City": city,
        }
        if not discloses:
            self._withheld.add(number)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        api = "/taxation_customs/vies/rest-api"
        return {
            f"POST {api}/check-vat-number": self._check,
            f"GET {api}/check-status": self._status,
        }

    def _status(self, _: base.SandboxRequest) -> Response:
        states = [
            {
                "countryCode": state,
                "availability": "Unavailable" if state in self.unavailable else "Available",
            }
            for state in sorted(_STATES)
        ]
        return base.reply({"vow": {"available": True}, "countries": states})

    def _check(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or wrong_names(_FIELDS, body):
            raise _error("VOW-ERR-1", 500, "An unexpected error occurred.")
        state, number = body.get("countryCode", ""), body.get("vatNumber", "")
        own_state, own_number = body.get("requesterMemberStateCode"), body.get("requesterNumber")
        problem = base.first_problem(
            {
                ("VOW-ERR-11", "A mandatory field is missing"): not state or not number,
                ("INVALID_INPUT", None): state not in _STATES,
                ("VOW-ERR-2600", "The Vat number does not respect the configured pattern"): (
                    _FORM.fullmatch(number) is None
                ),
                ("VOW-ERR-2500", "The requester member state code is invalid."): own_state
                is not None
                and own_state not in _REQUESTERS,
                (
                    "VOW-ERR-2700",
                    "The requester VAT number does not respect the configured pattern",
                ): own_number is not None and _FORM.fullmatch(own_number) is None,
            }
        )
        if problem is not None:
            raise _error(problem[0], 400, problem[1])
        magic = _MAGIC_FORM.fullmatch(number)
        code = _MAGIC.get(magic[1]) if magic else None
        if code is not None or state in self.unavailable:
            raise _error(code or "MS_UNAVAILABLE", 200)
        return base.reply(self._answer(state + number, body, has_requester=bool(own_number)))

    def _answer(self, number: str, body: dict[str, Any], *, has_requester: bool) -> dict[str, Any]:
        business = self._businesses.get(number)
        disclosed = business if number not in self._withheld else None
        address = _NOT_DISCLOSED
        if disclosed is not None:
            postal_line = f"{disclosed['PostalCode']} {disclosed['City']}"
            address = f"\n{disclosed['Street']}\n{postal_line}\n"
        # Without the requester's member state VIES ignores the requester, and does not report that.
        proof = ""
        if has_requester and "requesterMemberStateCode" in body:
            proof = f"WAPIAAAA{self.number():08d}"
            self.proofs.append(proof)
        answer: dict[str, Any] = {
            "countryCode": body["countryCode"],
            "vatNumber": body["vatNumber"],
            "requestDate": DATE,
            "valid": business is not None,
            "requestIdentifier": proof,
            "name": _NOT_DISCLOSED if disclosed is None else disclosed["Name"],
            "address": address,
        }
        for detail in _DETAILS:
            detail_text = body.get(f"trader{detail}")
            answer[f"trader{detail}"] = detail_text or _NOT_DISCLOSED
            answer[f"trader{detail}Match"] = _match(detail_text, (disclosed or {}).get(detail))
        return answer


def _match(requested: str | None, registered: str | None) -> str:
    if not requested or not registered:
        return "NOT_PROCESSED"
    return "VALID" if requested.upper() == registered.upper() else "INVALID"


def _error(code: str, status: int, message: str | None = None) -> base.Refusal:
    problem = {"error": code} if message is None else {"error": code, "message": message}
    return base.refusal({"actionSucceed": False, "errorWrappers": [problem]}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with VAT numbers that work for all example calls."""
    values = {"vat_number": "FR40303265045", "requester": "DE136695976", "trader_name": "Quai SARL"}
    return SandboxFixture(options={}, sandbox=ViesSandbox(), vendor_values=values)
