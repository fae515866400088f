"""The locations of all stores, chosen by the settings alone.

In SQLite one transaction writes at a time. A vendor that is called while the host writes must not
wait for the host, which waits for it. So beside a host's SQLite file there are two of ours: one for
state, and one for all else that is not the host's own transaction's.
"""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class StoreLocations:
    """The location of each store.

    Attributes:
        state: the URL of the store of state; None if it is in the host's database.
        aside: the SQLite file of what must not wait for the host; None if that, too, is in the
            host's database.
        memory: whether everything is in the memory of this process.
    """

    state: str | None = attrs.field(default=None, repr=False)
    aside: str | None = None
    memory: bool = False


def places(
    *, kind: str | None, file: str | None, state: str | None = None, aside: str | None = None
) -> StoreLocations:
    """Choose the location of each store from the database and the settings.

    Args:
        kind: what kind of database the host's is, if it has one.
        file: the file that it is, if it is one of SQLite's.
        state: where the settings say that state is.
        aside: the file that they name.
    """
    if kind is None or (kind == "sqlite" and file is None):
        return StoreLocations(state=state or "memory:", aside=aside, memory=aside is None)
    if file is None:
        return StoreLocations(state=state, aside=aside)
    path = Path(file).absolute()
    return StoreLocations(
        state=state or f"sqlite:///{path.with_suffix('.moorage-state.db')}",
        aside=aside or str(path.with_suffix(".moorage.db")),
    )
