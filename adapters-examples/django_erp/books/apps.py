"""The app of the books."""

from importlib import import_module

from django.apps import AppConfig


class BooksConfig(AppConfig):
    """Registers the handlers of webhooks."""

    name = "books"

    def ready(self) -> None:
        """Register the handlers of webhooks."""
        import_module("books.vendor_calls")
        import_module("books.back_office")
