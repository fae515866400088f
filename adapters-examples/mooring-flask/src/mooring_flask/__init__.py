"""mooring in Flask: one extension that holds the hub, its stores, webhooks and commands.

It sees only what mooring shows to everybody. What an application holds of it is in `extension`;
where things are kept, in `places`; each table has an adapter of its own.
"""

from __future__ import annotations

from mooring_flask.current import current_mooring
from mooring_flask.extension import Mooring
from mooring_flask.tables import tables

__all__ = ("Mooring", "current_mooring", "tables")
