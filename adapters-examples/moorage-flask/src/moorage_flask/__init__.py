"""moorage in Flask: an extension with the hub, its stores, webhooks and commands.

The package uses only moorage's public modules. `extension` has the extension itself, `places`
chooses the location of each store, and each table has an adapter of its own.
"""

from __future__ import annotations

from moorage_flask.current import current_moorage
from moorage_flask.extension import Moorage
from moorage_flask.tables import tables

__all__ = ("Moorage", "current_moorage", "tables")
