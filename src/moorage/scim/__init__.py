"""A SCIM 2.0 server, by which an identity provider manages your application's users.

`attributes` contains the schemas, and `filters` and `patches` interpret requests, all as pure
functions. `server` answers requests, and uses the application only through the store interface in
`port`. `apps` serves it over WSGI and ASGI.
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
