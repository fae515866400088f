"""Functions that pay invoices in an ERP with its framework's test client, and check the pages.

First, each function makes a payment inside a transaction of the host that is rolled back.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final

INVOICE: Final = "/acme/invoices/A-1004/"


def django_client() -> Any:
    """Pay in Django's test client, after a charge in an `atomic` block that was rolled back."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "erp.settings"
    import django  # noqa: PLC0415 - one framework of the two

    django.setup()
    from books import (  # type: ignore[import-not-found]  # noqa: PLC0415 - found where it runs
        models,
        vendor_calls,
    )
    from django.db import transaction  # noqa: PLC0415 - found where it runs
    from django.test import Client  # noqa: PLC0415 - found where it runs

    invoice = models.Invoice.objects.get(number="A-1002")
    attempt_fields = {"token": "pm_card_visa", "back_url": "http://127.0.0.1/back/"}
    atomic: Any = transaction.atomic
    with atomic():
        vendor_calls.pay(models.Attempt.objects.create(invoice=invoice, number=1, **attempt_fields))
        transaction.set_rollback(True)
    assert not models.Attempt.objects.exists()
    # The data that the same form sends again.
    vendor_calls.pay(models.Attempt.objects.create(invoice=invoice, number=1, **attempt_fields))
    return Client(enforce_csrf_checks=True)


def flask_client() -> Any:
    """Pay in Flask's test client, after a charge in a session that was rolled back."""
    from ledger import create_app, vendor_calls  # type: ignore[import-not-found]  # noqa: PLC0415 - found where it runs
    from ledger.models import Attempt, Invoice, session  # type: ignore[import-not-found]  # noqa: PLC0415 - of this framework only

    from moorage_flask import current_moorage  # noqa: PLC0415 - of this framework only

    app = create_app()
    with app.app_context():
        invoice = session.query(Invoice).filter_by(number="A-1002").one()
        attempt_fields = {"token": "pm_card_visa", "back_url": "http://127.0.0.1/back/"}
        attempt = Attempt(invoice_id=invoice.id, number=1, **attempt_fields)
        session.add(attempt)
        session.commit()
        charge = vendor_calls._charge(attempt)  # noqa: SLF001 - what the ERP is about to ask for
        payments = current_moorage.hub.payments("acme")
        payments.charge(charge, idempotency_key=attempt.reference)
        vendor_calls.mail(invoice, "Receipt of nothing", "Nothing.")
        session.rollback()
        vendor_calls.pay(attempt)
    return app.test_client()


def source(client: Any, path: str) -> str:
    """Return the HTML of a page."""
    answer = client.get(path)
    body: bytes = answer.content if sys.argv[1] == "django" else answer.data
    return body.decode()


client = django_client() if sys.argv[1] == "django" else flask_client()
page = source(client, INVOICE)
values = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
values["means"] = re.findall(r'name="means" value="(\d+)"', page)[0]
assert client.post(f"{INVOICE}pay", data={"attempt": "1"}).status_code == 403
assert client.post(f"{INVOICE}pay", data=values).status_code == 303
assert "It is paid" in source(client, INVOICE)
assert "It is paid" in source(client, "/acme/invoices/A-1002/")
