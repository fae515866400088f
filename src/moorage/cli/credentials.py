"""`moorage credentials`: what a store of credentials holds, and whose it is."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

from cyclopts import Parameter

from moorage.cli.answer import Answer, Table
from moorage.cli.desk import Desk
from moorage.cli.vaults import open_vault
from moorage.domain.auth import Credentials
from moorage.domain.secret import Secret
from moorage.errors import ConfigurationError, CredentialNotFound

Store = Annotated[str, Parameter("--credentials", env_var="MOORAGE_CREDENTIALS", show_env_var=True)]


def set_secret(
    service: str,
    /,
    *,
    store: Store,
    tenant: str | None = None,
    username: str | None = None,
    header: str | None = None,
    query: str | None = None,
    migrate: bool = False,
    desk: Desk,
) -> Answer:
    """Store a secret, which is asked for without being shown, or read from the standard input.

    It is a token that is sent as a bearer's, unless an option says otherwise.

    Args:
        service: the service that it is for.
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        tenant: whose it is.
        username: it is the password of this user.
        header: it is an API key that goes into this header.
        query: it is an API key that goes into this parameter of the query.
        migrate: bring the schema of the store up to date first.
        desk: what all commands share.
    """
    vault = open_vault(store, migrate=migrate)
    if username is not None and not header and not query:
        made = Credentials.basic(username, _secret(service))
    elif username is None and (header or query):
        made = Credentials.api_key(_secret(service), header=header, query=query)
    elif username is None:
        made = Credentials.bearer(_secret(service))
    else:
        raise ConfigurationError(
            "a secret is sent in one way.",
            path="--username",
            remedy="Give one of --username, --header and --query, or none.",
        )
    vault.rotate(service, tenant, made)
    found = {"service": service, "tenant": tenant, "method": made.method.value}
    return Answer(found, [f"stored for {_named(service, tenant)}"])


def list_owners(*, store: Store, desk: Desk) -> Answer:
    """List the services and tenants whose credentials are stored, and no secret.

    Args:
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        desk: what all commands share.
    """
    owners = open_vault(store).owners()
    found = [{"service": service, "tenant": tenant} for service, tenant in owners]
    return Answer({"credentials": found}, [Table(("service", "tenant"), owners)])


def rotate(*, store: Store, desk: Desk) -> Answer:
    """Seal everything anew with the first key of MOORAGE_KEYS, while others read and write.

    Args:
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        desk: what all commands share.
    """
    vault = open_vault(store)
    with desk.progress("sealed anew"):
        sealed = vault.reseal()
    return Answer({"sealed": sealed}, [f"{sealed} sealed anew"])


def delete(
    service: str,
    /,
    *,
    store: Store,
    tenant: str | None = None,
    desk: Desk,
) -> Answer:
    """Delete what is stored for a service and tenant.

    Args:
        service: the service that it is for.
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        tenant: whose it is.
        desk: what all commands share.
    """
    if not open_vault(store).delete(service, tenant):
        raise CredentialNotFound(
            f"nothing is stored for {_named(service, tenant)}.",
            remedy="See moorage credentials list.",
        )
    return Answer(
        {"service": service, "tenant": tenant}, [f"deleted for {_named(service, tenant)}"]
    )


def _secret(service: str) -> Secret:
    if sys.stdin.isatty():  # pragma: no cover - it asks on the terminal of a whole process
        text = getpass.getpass(f"secret for {service}: ")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise ConfigurationError(
            "no secret was given.",
            path="standard input",
            remedy="Type it when you are asked, or send it in one line.",
        )
    return Secret(text)


def _named(service: str, tenant: str | None) -> str:
    return service if tenant is None else f"{service} of {tenant}"
