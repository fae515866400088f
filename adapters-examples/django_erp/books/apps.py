"""The Django configuration of the ERP's app."""

from importlib import import_module

from django.apps import AppConfig


class BooksConfig(AppConfig):
    """Registers the webhook handlers."""

    name = "books"

    def ready(self) -> None:
        """Register the webhook handlers."""
        import_module("books.vendor_calls")
        import_module("books.back_office")
