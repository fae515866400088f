"""The changes of invoices since the last reading.

`write_date` is the time at which a transaction of Odoo began, so a change may become visible after
later ones. The JSON-RPC API also truncates the time to whole seconds. So each reading begins some
minutes before the last known change, and skips the changes that were read before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from odoo_books.entities import Invoice

OVERLAP: Final = timedelta(minutes=10)
"""The longest duration of a transaction whose changes are read in any case."""


@attrs.frozen(kw_only=True)
class ChangePosition:
    """The point up to which changes have been read; store it together with the changes' results.

    Attributes:
        latest: the time of the latest known change.
        seen: the changes of the last minutes, each as the invoice's id, time and open amount.
    """

    latest: datetime
    seen: frozenset[tuple[int, datetime, str]] = frozenset()

    @property
    def begin(self) -> datetime:
        """The time from which the next reading must start."""
        return self.latest - OVERLAP


def new_changes(
    position: ChangePosition, invoices: Iterable[Invoice]
) -> tuple[list[Invoice], ChangePosition]:
    """Return the invoices changed since a position, oldest change first, and the next position.

    The open amount distinguishes two changes of an invoice in the same second.
    """
    changes = {_change_of(invoice): invoice for invoice in invoices}
    new_invoices = [invoice for change, invoice in changes.items() if change not in position.seen]
    latest_time = max([position.latest, *(invoice.changed_at for invoice in new_invoices)])
    recent_changes = {
        change for change in {*position.seen, *changes} if change[1] >= latest_time - OVERLAP
    }
    new_invoices.sort(key=lambda invoice: (invoice.changed_at, invoice.id))
    return new_invoices, ChangePosition(latest=latest_time, seen=frozenset(recent_changes))


def _change_of(invoice: Invoice) -> tuple[int, datetime, str]:
    return invoice.id, invoice.changed_at, str(invoice.open_amount)
