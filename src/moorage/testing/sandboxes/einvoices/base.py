"""The base of sandboxes for vendors of electronic invoices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import urlencode

import attrs

from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData
from moorage.testing.sandboxes.base import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.testing.sandboxes.base import Notice

RECIPIENT: Final = "0088:7300010000001"
"""A recipient that each sandbox can deliver to."""
STRANGER: Final = "0088:4012345000009"
"""A recipient that no sandbox can deliver to."""
DOCUMENT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"'
    ' xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">'
    "<cbc:ID>Größe-2041</cbc:ID></Invoice>"
).encode()
"""A document that is recognised as an invoice, but has no invoice content."""
FA3: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/">'
    "<Podmiot1><DaneIdentyfikacyjne><NIP>5260250274</NIP></DaneIdentyfikacyjne></Podmiot1>"
    "<Podmiot2><DaneIdentyfikacyjne><NIP>5252248481</NIP></DaneIdentyfikacyjne></Podmiot2>"
    "<Fa><P_2>Łódź-2041</P_2><RodzajFaktury>VAT</RodzajFaktury></Fa></Faktura>"
).encode()
"""A document that is recognised as an FA(3) file, but has no invoice content."""
URL: Final = "https://erp.example/hooks/einvoices"
TOKEN: Final = "for-einvoice-webhooks-of-the-sandbox-only"


@attrs.frozen(kw_only=True)
class DeliveredDocument:
    """A document accepted for delivery.

    Attributes:
        recipient: electronic address of the recipient, or the vendor's own identifier of the
            recipient.
        document: the document.
    """

    recipient: str
    document: bytes = attrs.field(repr=False)


class EinvoicesSandbox(Sandbox, ABC):
    """A local sandbox that imitates a vendor of electronic invoices.

    Attributes:
        document: a document that the sandbox accepts.
        recipient: a recipient to whom the sandbox can deliver the document; None if the document
            names it.
    """

    document: ClassVar[bytes] = DOCUMENT
    recipient: ClassVar[str | None] = RECIPIENT

    @abstractmethod
    def deliveries(self) -> Sequence[DeliveredDocument]:
        """Return the documents accepted for delivery, in order."""

    @abstractmethod
    def arrive(self, document: bytes = DOCUMENT) -> str:
        """Make a document of another business arrive, and return its id."""

    def receive(self, id_: str) -> Notice:
        """Return the webhook about a received document."""
        raise InvalidData(
            f"This vendor sends no webhook of the document {id_}.",
            field="id_",
            remedy="Download the document by its id.",
        )

    def hook(self, fields: Mapping[str, object], token: str = TOKEN) -> Notice:
        """Return a webhook with these fields, for a URL that contains the token."""
        url = f"{URL}?{urlencode({'token': token})}"
        return self.notify(url, encode_json(fields), {"Content-Type": "application/json"})


__all__ = [
    "DOCUMENT",
    "FA3",
    "RECIPIENT",
    "STRANGER",
    "TOKEN",
    "URL",
    "DeliveredDocument",
    "EinvoicesSandbox",
]
