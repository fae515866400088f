"""moorage in Django: a project's hub, and its stores in Django's database.

Everything is loaded when it is first used, so that settings may import from here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moorage_django.databases import Router as Router
    from moorage_django.databases import beside as beside
    from moorage_django.deferred import after_commit as after_commit
    from moorage_django.deferred import outbox as outbox
    from moorage_django.runtime import ahub as ahub
    from moorage_django.runtime import hub as hub
    from moorage_django.runtime import inbox as inbox
    from moorage_django.runtime import integration_log as integration_log
    from moorage_django.webhooks import on as on

_HOME = {
    # in settings
    "beside": "databases",
    "Router": "databases",
    # calling vendors
    "hub": "runtime",
    "ahub": "runtime",
    "integration_log": "runtime",
    # after the commit
    "after_commit": "deferred",
    "outbox": "deferred",
    # webhooks
    "inbox": "runtime",
    "on": "webhooks",
}
__all__ = tuple(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]  # the names imported above


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'moorage_django' has no attribute {name!r}")
        return getattr(import_module(f"moorage_django.{home}"), name)
