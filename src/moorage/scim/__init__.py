"""A SCIM 2.0 server, by which an identity provider keeps the people of your application.

The rules are pure: `attributes` knows the schemas, `filters` and `patches` decide what a request
means. `server` answers requests, and reaches the application only through the store of `port`.
`apps` serves it over WSGI and ASGI. Nothing here knows how the application stores its people.
"""

from __future__ import annotations

from moorage.scim.apps import AsyncScimApp, ScimApp
from moorage.scim.filters import ScimCondition, fulfils
from moorage.scim.memory import AsyncMemoryScimStore, MemoryScimStore
from moorage.scim.port import AsyncScimStore, ScimKind, ScimMatches, ScimResource, ScimStore
from moorage.scim.server import AsyncScimServer, ScimAnswer, ScimServer

__all__ = [
    "AsyncMemoryScimStore",
    "AsyncScimApp",
    "AsyncScimServer",
    "AsyncScimStore",
    "MemoryScimStore",
    "ScimAnswer",
    "ScimApp",
    "ScimCondition",
    "ScimKind",
    "ScimMatches",
    "ScimResource",
    "ScimServer",
    "ScimStore",
    "fulfils",
]
