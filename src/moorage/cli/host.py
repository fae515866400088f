"""The program that embeds the command line, such as a web application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.config import Source


@attrs.frozen(kw_only=True)
class Host:
    """The defaults of commands in an embedding program.

    Attributes:
        source: the configuration, as for `moorage.open`.
        environment: the environment of the configuration.
        state: the URL of the store of shared state, if it differs from the configuration's.
        stores: opens the host's stores that could cause calls from a copied database (outboxes,
            inboxes, and objects with `clear`), by name.
        ports: opens the other ports of the host's hub, such as its cipher and its tenants, by the
            names of the arguments of `moorage.open`.
    """

    source: Source
    environment: str | None = None
    state: str | None = attrs.field(default=None, repr=False)
    stores: Callable[[], Mapping[str, Any]] = dict
    ports: Callable[[], Mapping[str, Any]] = dict
