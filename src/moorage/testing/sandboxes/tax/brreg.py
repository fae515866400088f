"""A local sandbox that imitates the open API of Norway's Brønnøysund register.

Magic numbers: 999999991 is registered for VAT, 999999992 is not, 999999993 was deleted, and
999999994 was removed for legal reasons. No other number belongs to an entity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from pathlib import Path

_FORM: Final = re.compile("[0-9]{9}")
_REMOVED: Final = "999999994"
_JSON: Final = ("application/json", "*/*")


def _entity(number: str, name: str, **fields: Any) -> dict[str, Any]:
    form = {"kode": "AS", "beskrivelse": "Aksjeselskap"}
    return {"organisasjonsnummer": number, "navn": name, "organisasjonsform": form, **fields}


def _address() -> dict[str, Any]:
    return {
        "land": "Norge",
        "landkode": "NO",
        "postnummer": "8900",
        "poststed": "BRØNNØYSUND",
        "adresse": ["Havnegata 48", None],
        "kommune": "BRØNNØY",
        "kommunenummer": "1813",
    }


class BrregSandbox(base.Sandbox):
    """A sandbox of the Brønnøysund register of legal entities, with look-ups and search."""

    hosts = ("data.brreg.no",)

    def __attrs_post_init__(self) -> None:
        self._entities = {
            "999999991": _entity(
                "999999991",
                "FJORD HANDEL AS",
                respons_klasse="Enhet",
                registrertIMvaregisteret=True,
                forretningsadresse=_address(),
                konkurs=False,
            ),
            "999999992": _entity(
                "999999992",
                "IDRETTSLAGET KAIEN",
                respons_klasse="Enhet",
                registrertIMvaregisteret=False,
                forretningsadresse=_address(),
                konkurs=False,
            ),
            "999999993": _entity(
                "999999993", "GAMLE KAI AS", respons_klasse="SlettetEnhet", slettedato="2030-01-31"
            ),
        }

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        api = "/enhetsregisteret/api/enheter"
        return {f"GET {api}": self._search, f"GET {api}/{{number}}": self._fetch}

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return Response(404)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check that the request accepts JSON; credentials are not needed."""
        if request.headers.get("accept") not in _JSON:
            raise base.Refusal(Response(406))

    def _fetch(self, request: base.SandboxRequest, number: str) -> Response:
        if _FORM.fullmatch(number) is None or request.query:
            raise _invalid_number("orgnr", number)
        if number == _REMOVED:
            body = {"organisasjonsnummer": number, "slettedato": "2030-01-31"}
            raise base.refusal(body, 410)
        return base.reply(base.existing(self._entities, number, base.Refusal(Response(404))))

    def _search(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        number = query.pop("organisasjonsnummer", "")
        if query or _FORM.fullmatch(number) is None:
            raise _invalid_number("organisasjonsnummer", number)
        entity = self._entities.get(number, {})
        matches = [entity] if entity and "slettedato" not in entity else []
        page = {"size": 20, "totalElements": len(matches), "totalPages": 1, "number": 0}
        body: dict[str, Any] = {"page": page}
        return base.reply(body | ({"_embedded": {"enheter": matches}} if matches else {}))


def _invalid_number(parameter: str, number: str) -> base.Refusal:
    """Return the error for a number that no entity can have."""
    text = "Organisasjonsnummeret er ugyldig"
    details = {"feilmelding": text, "parametere": [parameter], "feilaktigVerdi": number}
    body = {
        "status": 400,
        "feilmelding": "Feilaktig forespørsel",
        "antallFeil": 1,
        "valideringsfeil": [details],
    }
    return base.refusal(body, 400)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with a VAT number that works for all example calls."""
    values = {"vat_number": "NO999999991MVA", "requester": "NO999999992MVA"}
    return SandboxFixture(options={}, sandbox=BrregSandbox(), vendor_values=values)
