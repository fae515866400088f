"""Program that handles all failed webhooks of an ERP again, and prints their number."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import Any

from moorage.hub.inbox import EntryQuery


def open_inbox(name: str) -> tuple[Any, Any]:
    """Return the inbox of a demo ERP, and the context in which to use the inbox."""
    if name == "django":
        os.environ["DJANGO_SETTINGS_MODULE"] = "erp.settings"
        import django  # noqa: PLC0415 - one framework of the two

        django.setup()
        from moorage_django import inbox  # noqa: PLC0415 - models need what was set up

        return inbox(), nullcontext()
    from ledger import create_app  # type: ignore[import-not-found]  # noqa: PLC0415 - the other

    from moorage_flask import current_moorage  # noqa: PLC0415 - of this framework only

    app = create_app()
    with app.app_context():
        return current_moorage.inbox, app.app_context()


inbox, context = open_inbox(sys.argv[1])
with context:
    waiting = inbox.find(EntryQuery(states=["waiting"])).items
    for entry in waiting:
        inbox.replay(entry.id)
    inbox.handle()
sys.stdout.write(str(len(waiting)))
