"""`moorage rearm` and `moorage neutralize`: handle a copied database."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.places import opened_store
from moorage.cli.vaults import open_vault
from moorage.errors import ConfigurationError
from moorage.hub import copied_stores
from moorage.wiring.store_urls import is_sealed, open_tenants

Store = Annotated[
    str | None, Parameter("--credentials", env_var="MOORAGE_CREDENTIALS", show_env_var=True)
]


def rearm(*, context: Context) -> CommandResult:
    """Allow this environment to use a store that belonged to another environment.

    Args:
        context: the options that all commands share.
    """
    environment = _environment_name(context)
    with opened_store(context.keys_store()) as store:
        former_owner = copied_stores.rearm(store, environment)
    return CommandResult(
        {"environment": environment, "owner": former_owner},
        [
            f"{environment} may use the store"
            + ("" if former_owner == environment else f", which belonged to {former_owner}")
        ],
    )


def neutralize(*, store: Store = None, yes: bool = False, context: Context) -> CommandResult:
    """Delete what could cause calls from a copied store; keep its idempotency keys.

    The command refuses a store that belongs to this environment, because it is not a copy.

    Args:
        store: the URL of the credential store: sqlite:///file.db, postgresql://…, mariadb://… or
            mysql://….
        yes: confirm the deletion; without it, nothing is deleted.
        context: the options that all commands share.
    """
    environment = _environment_name(context)
    with opened_store(context.keys_store()) as states:
        owner = copied_stores.owner(states)
    if owner in {None, environment}:
        raise ConfigurationError(
            f"The store belongs to {'no' if owner is None else 'this'} environment; the command"
            " works only on a copy of another environment's store.",
            path="state.environment_id",
            remedy="Set the environment of the copy with --environment or in the configuration.",
        )
    if not yes:
        raise ConfigurationError(
            f"The command would delete the data that the environment {owner} has stored.",
            path="--yes",
            remedy="Make sure that this store is the copy, then repeat the command with --yes.",
        )
    stores = _stores_to_clear(context, store)
    deleted_counts = {name: copied_stores.neutralize(target) for name, target in stores.items()}
    lines = [f"{number} {name} deleted" for name, number in deleted_counts.items()]
    configured_store = context.configured().credentials_from
    if store is None and configured_store is not None and is_sealed(configured_store.url.reveal()):
        lines.append(
            "The credentials in the store of [credentials_from] were kept. To delete them, too,"
            " repeat the command with --credentials URL."
        )
    return CommandResult(
        {"environment": environment, "owner": owner, "deleted": deleted_counts}, lines
    )


def _environment_name(context: Context) -> str:
    environment = context.configured().environment_id
    if environment is None:
        raise ConfigurationError(
            "The environment has no name.",
            path="state.environment_id",
            remedy="Pass --environment, or set MOORAGE_ENVIRONMENT or environment_id under"
            " [state].",
        )
    return environment


def _stores_to_clear(context: Context, store: str | None) -> dict[str, Any]:
    """Return the stores that could cause calls from a copy, by name."""
    stores = context.host_stores()
    if store is not None:
        stores["credentials"] = open_vault(store)
    tenants = context.configured().tenants_from
    if tenants is not None:
        stores["tenants"] = open_tenants(tenants.url.reveal(), tenants.keys)
    if not stores:
        raise ConfigurationError(
            "The configuration has no store that could cause calls from a copy.",
            path="--credentials",
            remedy="Pass the URL of the credential store.",
        )
    return stores
