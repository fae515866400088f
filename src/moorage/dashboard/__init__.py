"""The operations page, which shows current failures and the actions to repair them.

- `markup`, `layout`, `style`: HTML from values, strictly escaped
- `web`: requests and responses as values; `wsgi` and `asgi` serve them
- `people`: people and their permissions; `tokens`: protection of forms against forgery
- `reading`: values read from the hub, the queues and the log
- `charts`: figures over time as SVG
- `pages`: the pages; `acts`: the actions that change something
- `dashboard`: the whole page as one function of a request and a person
"""

from __future__ import annotations

from moorage.dashboard.dashboard import Dashboard
from moorage.dashboard.people import ALL_ACTS, READ_ONLY, Group, Person
from moorage.dashboard.web import PageRequest, PageResponse
from moorage.dashboard.wsgi import DashboardApp

__all__ = [
    "ALL_ACTS",
    "READ_ONLY",
    "Dashboard",
    "DashboardApp",
    "Group",
    "PageRequest",
    "PageResponse",
    "Person",
]
