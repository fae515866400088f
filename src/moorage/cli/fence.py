"""`moorage rearm` and `moorage neutralize`: what is done by hand about a copied database."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from moorage import fence
from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.places import opened_store
from moorage.cli.vaults import open_vault
from moorage.errors import ConfigurationError
from moorage.opening import open_tenants

Store = Annotated[
    str | None, Parameter("--credentials", env_var="MOORAGE_CREDENTIALS", show_env_var=True)
]


def rearm(*, desk: Desk) -> Answer:
    """Say that this environment may send with a store that was another's first.

    Args:
        desk: what all commands share.
    """
    own = _named(desk)
    with opened_store(desk.state()) as store:
        first = fence.rearm(store, own)
    return Answer(
        {"environment": own, "home": first},
        [f"{own} may send with the store" + ("" if first == own else f", which was {first}'s")],
    )


def neutralize(*, store: Store = None, yes: bool = False, desk: Desk) -> Answer:
    """Delete what a copy could act with, such as credentials; idempotency keys stay.

    It is refused where the store is this environment's own, and so no copy.

    Args:
        store: the URL of the store of credentials: sqlite:///file.db, postgresql://…, mariadb://…
            or mysql://….
        yes: do it; without this, nothing is deleted.
        desk: what all commands share.
    """
    own = _named(desk)
    with opened_store(desk.state()) as states:
        home = fence.home(states)
    if home in {None, own}:
        raise ConfigurationError(
            f"the store is {'nobody’s' if home is None else 'that of this very environment'}, and"
            " so no copy of another's.",
            path="state.environment_id",
            remedy="Name the environment that the copy is used in, with --environment or there.",
        )
    if not yes:
        raise ConfigurationError(
            f"what {home} has stored would be deleted from this copy.",
            path="--yes",
            remedy="Make sure that this is the copy, and say --yes.",
        )
    kept = _kept(desk, store)
    gone = {name: fence.neutralize(one) for name, one in kept.items()}
    return Answer(
        {"environment": own, "home": home, "deleted": gone},
        [f"{number} {name} deleted" for name, number in gone.items()],
    )


def _named(desk: Desk) -> str:
    own = desk.configured().environment_id
    if own is None:
        raise ConfigurationError(
            "this environment has no name that a store could know it by.",
            path="state.environment_id",
            remedy="Give --environment, MOORAGE_ENVIRONMENT, or [state] environment_id.",
        )
    return own


def _kept(desk: Desk, store: str | None) -> dict[str, Any]:
    """What a copy could act with, by what people call it."""
    kept = desk.kept()
    if store is not None:
        kept["credentials"] = open_vault(store)
    said = desk.configured().tenants_from
    if said is not None:
        kept["tenants"] = open_tenants(said.url.reveal(), said.keys)
    if not kept:
        raise ConfigurationError(
            "nothing is configured that a copy could act with.",
            path="--credentials",
            remedy="Name the store of credentials.",
        )
    return kept
