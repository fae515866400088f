"""The Django app of moorage."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.core.signals import request_finished
from django.db.backends.signals import connection_created
from django.test.signals import setting_changed
from django.utils.module_loading import autodiscover_modules

from moorage.wiring.store_urls import serve

SCHEME = "django"
"""The scheme of a store's URL: `django://moorage` is the store in the database alias `moorage`."""


class MoorageConfig(AppConfig):
    """moorage as a Django app."""

    name = "moorage_django"
    verbose_name = "Moorage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect Django's signals, and import the project's webhook handlers."""
        from moorage_django import (  # noqa: PLC0415 - models cannot be imported before `ready`
            checks,
            databases,
            runtime,
            state,
        )

        databases.remember()
        connection_created.connect(databases.tune, dispatch_uid="moorage_django")
        request_finished.connect(runtime.after_request, dispatch_uid="moorage_django")
        register(checks.settings_are_right, "moorage")
        register(checks.tables_are_there, Tags.database)
        serve(SCHEME, state.store_of_url)
        setting_changed.connect(runtime.start_anew, dispatch_uid="moorage_django")
        autodiscover_modules("webhooks")
