"""The tables, and the data that the ERP begins with."""

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
    """Make the tables, and fill empty books."""

    help = "Make the tables, and fill empty books with companies, customers and invoices."

    def handle(self, **_: Any) -> None:
        """Create the missing rows; existing ones stay."""
        call_command("migrate", interactive=False, verbosity=0)
        for alias in settings.DATABASES:
            call_command(
                "migrate", "moorage_django", database=alias, interactive=False, verbosity=0
            )
        self._fill()

    @transaction.atomic
    def _fill(self) -> None:
        told = json.loads(Path(settings.SEED).read_text())
        for one in told["companies"]:
            Company.objects.get_or_create(slug=one["slug"], defaults=one)
        for one in told["means"]:
            Means.objects.get_or_create(**one)
        for one in told["customers"]:
            fields = {**one, "company": Company.objects.get(slug=one["company"])}
            Customer.objects.get_or_create(email=one["email"], defaults=fields)
        for one in told["invoices"]:
            customer = Customer.objects.get(email=one["customer"])
            fields = {**one, "customer": customer, "company": customer.company}
            Invoice.objects.get_or_create(number=one["number"], defaults=fields)
