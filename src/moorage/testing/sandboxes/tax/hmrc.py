"""A local sandbox that imitates HMRC's API "Check a UK VAT number", version 2.0.

Two numbers of HMRC's own test data are registered, 553557881 and 146295999727; `register` adds
others. Magic numbers: 000000429 gets the response to too many requests, and 000000500 the response
of an outage at HMRC.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_FORM: Final = re.compile("[0-9]{9}(?:[0-9]{3})?")
_ACCEPT: Final = "application/vnd.hmrc.2.0+json"
_MAGIC: Final = {
    "000000429": (
        429,
        "MESSAGE_THROTTLED_OUT",
        "The request for the API is throttled as you have exceeded your quota.",
    ),
    "000000500": (500, "INTERNAL_SERVER_ERROR", "Unknown error"),
}
DATE: Final = "2031-05-06T07:08:09+00:00"
"""The date of every check."""


class HmrcSandbox(base.Sandbox):
    """A sandbox of HMRC: look-ups of VAT numbers, with an application's token.

    Attributes:
        client_id, client_secret: credentials of the application.
        token_endpoint: the endpoint that grants tokens.
        proofs: the consultation numbers that were given, in order.
    """

    hosts = ("api.service.hmrc.gov.uk", "test-api.service.hmrc.gov.uk")

    client_id: str = "hmrc-sandbox-client"
    client_secret: str = "hmrc-sandbox-secret"
    proofs: list[str] = base.state_field(list)
    _businesses: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.token_endpoint = TokenEndpoint(
            "/oauth/token", self.client_id, self.client_secret, posted=True, scope="read:vat"
        )
        self.mounts = {self.token_endpoint.path: self.token_endpoint}
        self.register("553557881", name="Credite Sberger Donal Inc.")
        self.register("146295999727", name="Harbour Ltd")

    def register(self, number: str, *, name: str) -> None:
        """Add a business to the register.

        Args:
            number: VAT number of the business, 9 or 12 digits.
            name: name of the business.
        """
        self._businesses[number] = {
            "name": name,
            "vatNumber": number,
            "address": {
                "line1": "131B Barton Hamlet",
                "line2": "London",
                "postcode": "SW97 5CK",
                "countryCode": "GB",
            },
        }

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        look_up = "/organisations/vat/check-vat-number/lookup/{target}"
        return {f"GET {look_up}": self._look_up, f"GET {look_up}/{{requester}}": self._look_up}

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        message = "A resource with the name in the request can not be found in the API"
        return _error(404, "MATCHING_RESOURCE_NOT_FOUND", message).response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the version header and the token."""
        if request.headers.get("accept") != _ACCEPT:
            raise _error(406, "ACCEPT_HEADER_INVALID", "The accept header is missing or invalid")
        if not self.token_endpoint.allows(request):
            message = "Invalid Authentication information provided"
            raise _error(401, "INVALID_CREDENTIALS", message)

    def _look_up(
        self, _: base.SandboxRequest, target: str, requester: str | None = None
    ) -> Response:
        for name, number in (("targetVrn", target), ("requesterVrn", requester)):
            if number is not None and _FORM.fullmatch(number) is None:
                message = f"Invalid {name} - Vrn parameters should be 9 or 12 digits"
                raise _error(400, "INVALID_REQUEST", message)
        if target in _MAGIC:
            raise _error(*_MAGIC[target])
        business = base.existing(
            self._businesses,
            target,
            _error(404, "NOT_FOUND", "targetVrn does not match a registered company"),
        )
        if requester is None:
            return base.reply({"target": business, "processingDate": DATE})
        base.existing(
            self._businesses,
            requester,
            _error(403, "INVALID_REQUEST", "requesterVrn does not match a registered company"),
        )
        proof = f"ypAe-{self.number():04d}"
        self.proofs.append(proof)
        return base.reply(
            {
                "target": business,
                "requester": requester,
                "consultationNumber": proof,
                "processingDate": DATE,
            }
        )


def _error(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal({"code": code, "message": message}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an application and VAT numbers that work for all example calls."""
    sandbox = HmrcSandbox()
    return SandboxFixture(
        options={"client_id": sandbox.client_id, "client_secret": sandbox.client_secret},
        sandbox=sandbox,
        vendor_values={"vat_number": "GB553557881", "requester": "GB146295999727"},
    )
