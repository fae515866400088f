"""The receipts and notices that the SdI sends to the sender of a file."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.einvoices import EinvoiceStatus
from moorage.errors import InvalidData
from moorage.invoices.binding import read_root, text_at
from moorage.invoices.moments import zoned_moment

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.vendor_sdk.xml_text import XmlElement

_NAMESPACES: Final = frozenset(
    {
        "http://www.fatturapa.gov.it/sdi/messaggi/v1.0",
        "http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fattura/messaggi/v1.0",
    }
)


class SdiNoticeKind(StrEnum):
    """The kind of a notice from the SdI.

    `delivered` (RC) and `rejected` (NS) concern the file. `undelivered` (MC) means that the SdI
    could not reach the recipient yet; a private recipient finds the invoice in the tax portal.
    `outcome` (NE) is the decision of a public office, `expired` (DT) means that the office did not
    answer for 15 days, and `attested` (AT) that the office cannot be reached at all.
    """

    DELIVERED = "RC"
    REJECTED = "NS"
    UNDELIVERED = "MC"
    OUTCOME = "NE"
    EXPIRED = "DT"
    ATTESTED = "AT"


_KINDS: Final = {
    "RicevutaConsegna": SdiNoticeKind.DELIVERED,
    "NotificaScarto": SdiNoticeKind.REJECTED,
    "RicevutaScarto": SdiNoticeKind.REJECTED,
    "NotificaMancataConsegna": SdiNoticeKind.UNDELIVERED,
    "RicevutaImpossibilitaRecapito": SdiNoticeKind.UNDELIVERED,
    "NotificaEsito": SdiNoticeKind.OUTCOME,
    "NotificaDecorrenzaTermini": SdiNoticeKind.EXPIRED,
    "AttestazioneTrasmissioneFattura": SdiNoticeKind.ATTESTED,
}
_STATUSES: Final = {
    SdiNoticeKind.DELIVERED: EinvoiceStatus.DELIVERED,
    SdiNoticeKind.REJECTED: EinvoiceStatus.FAILED,
    SdiNoticeKind.UNDELIVERED: EinvoiceStatus.ACCEPTED,
    SdiNoticeKind.EXPIRED: EinvoiceStatus.DELIVERED,
    SdiNoticeKind.ATTESTED: EinvoiceStatus.FAILED,
}
_OUTCOMES: Final = {"EC01": EinvoiceStatus.DELIVERED, "EC02": EinvoiceStatus.REFUSED}


@attrs.frozen
class SdiError:
    """A reason why the SdI rejected a file.

    Attributes:
        code: the SdI's code, such as '00400'.
        text: description of the error.
    """

    code: str
    text: str | None


@attrs.frozen(kw_only=True)
class SdiNotice:
    """A notice from the SdI, Italy's exchange for electronic invoices, about a file that was sent.

    Attributes:
        kind: kind of the notice.
        status: state of the sent invoice; `unknown` if the notice has an outcome that moorage does
            not know.
        sdi_id: the SdI's identifier of the file.
        file_name: name of the file that was sent.
        message_id: identifier of the notice.
        received_at, delivered_at: times of receipt and of delivery; None if they are missing or
            have no time zone.
        outcome: the office's decision, 'EC01' for acceptance or 'EC02' for refusal.
        text: description, if there is one.
        errors: reasons of a rejection.
    """

    kind: SdiNoticeKind
    status: EinvoiceStatus
    sdi_id: str
    file_name: str
    message_id: str | None = None
    received_at: datetime | None = None
    delivered_at: datetime | None = None
    outcome: str | None = None
    text: str | None = None
    errors: tuple[SdiError, ...] = ()


def read_sdi_notice(body: bytes) -> SdiNotice:
    """Return the notice in a file from the SdI, such as `IT01234567890_00001_RC_001.xml`.

    The signature is not checked, so read only files that arrived through your channel with the SdI.

    Raises:
        InvalidData: the file is not safe XML, not a notice to the sender, or incomplete.
    """
    root = read_root(body, "The SdI's notice")
    kind = _KINDS.get(root.name) if root.namespace in _NAMESPACES else None
    if kind is None:
        raise InvalidData(
            f"The document is not a notice of the SdI to the sender of a file: its root element"
            f" is {root.name[:40]!r}.",
            field=f"/{root.name[:40]}",
            remedy="Give a file whose name has RC, NS, MC, NE, DT or AT.",
        )
    outcome = text_at(root, "EsitoCommittente", "Esito")
    return SdiNotice(
        kind=kind,
        status=_STATUSES.get(kind) or _OUTCOMES.get(outcome or "", EinvoiceStatus.UNKNOWN),
        sdi_id=_required_value(root, "IdentificativoSdI"),
        file_name=_required_value(root, "NomeFile"),
        message_id=text_at(root, "MessageId"),
        received_at=zoned_moment(text_at(root, "DataOraRicezione")),
        delivered_at=zoned_moment(text_at(root, "DataOraConsegna")),
        outcome=outcome,
        text=text_at(root, "Descrizione") or text_at(root, "EsitoCommittente", "Descrizione"),
        errors=tuple(
            SdiError(code, text_at(item, "Descrizione"))
            for parent in root.all("ListaErrori")
            for item in parent.all("Errore")
            if (code := text_at(item, "Codice"))
        ),
    )


def _required_value(root: XmlElement, name: str) -> Any:
    text = text_at(root, name)
    if text is None:
        raise InvalidData(
            f"The SdI's notice has no {name}.",
            field=f"/{root.name}/{name}",
            remedy="Fetch the notice again; it is incomplete.",
        )
    return text
