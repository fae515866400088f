"""moorage in Flask: an extension with the hub, its stores, webhooks and commands.

It sees only what moorage shows to everybody. What an application holds of it is in `extension`;
where things are kept, in `places`; each table has an adapter of its own.
"""

from __future__ import annotations

from moorage_flask.current import current_moorage
from moorage_flask.extension import Moorage
from moorage_flask.tables import tables

__all__ = ("Moorage", "current_moorage", "tables")
