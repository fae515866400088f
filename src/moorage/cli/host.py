"""A program that has the command line in it, such as an application of a web framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.config import Source


@attrs.frozen(kw_only=True)
class Host:
    """What commands use where nothing else is named.

    Attributes:
        source: the configuration.
        environment: which of its environments.
        state: the URL of the store of shared state, if it is not the configuration's.
        kept: opens what a copy of its database could act with, by name: what has `clear`, and
            outboxes and inboxes.
    """

    source: Source
    environment: str | None = None
    state: str | None = attrs.field(default=None, repr=False)
    kept: Callable[[], Mapping[str, Any]] = dict
