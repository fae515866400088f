"""Responses to disputes in PayPal's sandbox."""

from __future__ import annotations

import json
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Refusal, reply
from moorage.testing.sandboxes.payments._paypal_ledger import link
from moorage.testing.sandboxes.payments._paypal_rules import (
    checked_body,
    refusal,
    unprocessable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.payments._paypal_ledger import Resource
    from moorage.testing.sandboxes.payments._paypal_rules import Rule

_PATH: Final = "/v1/customer/disputes"
_EVIDENCE: Final[Rule] = {
    "evidences!": [
        {
            "evidence_type!": ("OTHER", "PROOF_OF_FULFILLMENT", "PROOF_OF_REFUND"),
            "evidence_info": {
                "tracking_info": [
                    {
                        "carrier_name!": (
                            "DHL",
                            "FEDEX",
                            "OTHER",
                            "PARCELFORCE",
                            "ROYAL_MAIL",
                            "TNT",
                            "UPS",
                            "USPS",
                        ),
                        "carrier_name_other": 2_000,
                        "tracking_number!": 255,
                    }
                ],
            },
            "notes": 2_000,
        }
    ],
}
_CLAIM: Final[Rule] = {
    "note!": 2_000,
    "accept_claim_type": ("REFUND", "REFUND_WITH_RETURN", "PARTIAL_REFUND"),
    "accept_claim_reason": 255,
}
_STATE: Final = "INVALID_DISPUTE_STATE"


class PayPalDisputes:
    """The disputes of captures, and responses to them.

    Args:
        time: returns the time in PayPal's format.
        disputes: returns all disputes, by id.
        resolve: settles a dispute with an outcome.
    """

    def __init__(
        self,
        time: Callable[[], str],
        disputes: Callable[[], dict[str, Resource]],
        resolve: Callable[[str, str], object],
    ) -> None:
        self._time = time
        self._disputes = disputes
        self._resolve = resolve

    def show(self, _: SandboxRequest, id: str) -> Response:
        """Return a dispute with all its fields."""
        return reply({**self._dispute(id), "links": [link("self", f"{_PATH}/{id}")]})

    def provide(self, request: SandboxRequest, id: str) -> Response:
        """Accept the seller's evidence, if PayPal waits for the seller."""
        dispute = self._dispute(id)
        body = checked_body(_input_of(request), _EVIDENCE)
        self._check_open(dispute)
        for evidence in body["evidences"]:
            for tracking in evidence.get("evidence_info", {}).get("tracking_info", []):
                if tracking["carrier_name"] == "OTHER" and "carrier_name_other" not in tracking:
                    raise Refusal(refusal(400, "INVALID_REQUEST", "MISSING_CARRIER", "/carrier"))
        moment = self._time()
        evidences = [
            {**evidence, "source": "SUBMITTED_BY_SELLER", "date": moment}
            for evidence in body["evidences"]
        ]
        dispute["evidences"] = [*dispute.get("evidences", []), *evidences]
        dispute |= {"status": "UNDER_REVIEW", "update_time": moment}
        return self._link_reply(id)

    def accept(self, request: SandboxRequest, id: str) -> Response:
        """Close a dispute in the buyer's favour, if PayPal waits for the seller."""
        dispute = self._dispute(id)
        checked_body(request.json(), _CLAIM)
        self._check_open(dispute)
        self._resolve(id, "RESOLVED_BUYER_FAVOUR")
        return self._link_reply(id)

    def _check_open(self, dispute: Resource) -> None:
        if dispute["status"] != "WAITING_FOR_SELLER_RESPONSE":
            raise unprocessable(_STATE)

    def _dispute(self, id: str) -> Resource:
        disputes = self._disputes()
        if id not in disputes:
            raise Refusal(refusal(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID"))
        return disputes[id]

    def _link_reply(self, id: str) -> Response:
        return reply({"links": [link("self", f"{_PATH}/{id}")]})


def _input_of(request: SandboxRequest) -> Any:
    """Return the JSON in the part `input` of a form."""
    kind = request.headers.get("content-type") or ""
    if not kind.startswith("multipart/form-data"):
        raise Refusal(refusal(415, "UNSUPPORTED_MEDIA_TYPE"))
    form = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + request.body)
    for part in form.walk():
        if part.get_param("name", header="content-disposition") == "input":
            return json.loads(str(part.get_payload()))
    raise Refusal(refusal(400, "INVALID_REQUEST", "MISSING_INPUT", "input"))
