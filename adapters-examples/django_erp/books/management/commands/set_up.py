"""Creates the tables and the ERP's first data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from books.models import Company, Customer, Invoice, Means


class Command(BaseCommand):
    """Creates the tables, and fills them if they are empty."""

    help = "Create the tables, and fill empty tables with companies, customers and invoices."

    def handle(self, **_: Any) -> None:
        """Create missing rows, without changing existing rows."""
        call_command("migrate", interactive=False, verbosity=0)
        for alias in settings.DATABASES:
            call_command(
                "migrate", "moorage_django", database=alias, interactive=False, verbosity=0
            )
        self._fill()

    @transaction.atomic
    def _fill(self) -> None:
        seed = json.loads(Path(settings.SEED).read_text())
        for value in seed["companies"]:
            Company.objects.get_or_create(slug=value["slug"], defaults=value)
        for value in seed["means"]:
            Means.objects.get_or_create(**value)
        for value in seed["customers"]:
            fields = {**value, "company": Company.objects.get(slug=value["company"])}
            Customer.objects.get_or_create(email=value["email"], defaults=fields)
        for value in seed["invoices"]:
            customer = Customer.objects.get(email=value["customer"])
            fields = {**value, "customer": customer, "company": customer.company}
            Invoice.objects.get_or_create(number=value["number"], defaults=fields)
