"""`moorage credentials`: store, list, re-encrypt and delete credentials."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.vaults import open_vault
from moorage.domain.auth.methods import Credentials
from moorage.domain.secrets.secret import Secret
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
    context: Context,
) -> CommandResult:
    """Store a secret, typed at a hidden prompt or read from the standard input.

    The secret is sent as a bearer token, unless an option says otherwise.

    Args:
        service: the service of the credentials.
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        tenant: the tenant of the credentials.
        username: send the secret as this user's password.
        header: send the secret as an API key in this header.
        query: send the secret as an API key in this query parameter.
        migrate: update the store's schema first.
        context: the options that all commands share.
    """
    vault = open_vault(store, migrate=migrate)
    if username is not None and not header and not query:
        credentials = Credentials.basic(username, _secret(service))
    elif username is None and (header or query):
        credentials = Credentials.api_key(_secret(service), header=header, query=query)
    elif username is None:
        credentials = Credentials.bearer(_secret(service))
    else:
        raise ConfigurationError(
            "--username, --header and --query cannot be combined.",
            path="--username",
            remedy="Pass at most one of them.",
        )
    audited_fields = {"method": credentials.method.value}
    with context.audit_trail() as audit:
        if audit is not None:
            audit.record("credentials.set", _subject(service, tenant), after=audited_fields)
        vault.rotate(service, tenant, credentials)
    result = {"service": service, "tenant": tenant, "method": credentials.method.value}
    return CommandResult(result, [f"stored for {_owner(service, tenant)}"])


def list_owners(*, store: Store, context: Context) -> CommandResult:
    """List the services and tenants with stored credentials, without any secret.

    Args:
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        context: the options that all commands share.
    """
    owners = open_vault(store).owners()
    rows = [{"service": service, "tenant": tenant} for service, tenant in owners]
    return CommandResult({"credentials": rows}, [Table(("service", "tenant"), owners)])


def rotate(*, store: Store, context: Context) -> CommandResult:
    """Re-encrypt all credentials with the first key of MOORAGE_KEYS while they stay in use.

    Args:
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        context: the options that all commands share.
    """
    vault = open_vault(store)
    with context.audit_trail() as audit, context.progress("re-encrypted"):
        if audit is not None:
            audit.record("credentials.rotate", "all credentials")
        reencrypted_count = vault.reseal()
    return CommandResult({"sealed": reencrypted_count}, [f"{reencrypted_count} re-encrypted"])


def delete(
    service: str,
    /,
    *,
    store: Store,
    tenant: str | None = None,
    context: Context,
) -> CommandResult:
    """Delete the stored credentials of a service and tenant.

    Args:
        service: the service of the credentials.
        store: the URL of the store: sqlite:///file.db, postgresql://…, mariadb://… or mysql://….
        tenant: the tenant of the credentials.
        context: the options that all commands share.
    """
    with context.audit_trail() as audit:
        if audit is not None:
            audit.record("credentials.delete", _subject(service, tenant))
        existed = open_vault(store).delete(service, tenant)
    if not existed:
        raise CredentialNotFound(
            f"There are no credentials stored for {_owner(service, tenant)}.",
            remedy="List the stored credentials with moorage credentials list.",
        )
    return CommandResult(
        {"service": service, "tenant": tenant}, [f"deleted for {_owner(service, tenant)}"]
    )


def _subject(service: str, tenant: str | None) -> str:
    return f"credentials of {_owner(service, tenant)}"


def _secret(service: str) -> Secret:
    if sys.stdin.isatty():  # pragma: no cover - it asks on the terminal of a whole process
        text = getpass.getpass(f"secret for {service}: ")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise ConfigurationError(
            "The secret is empty.",
            path="standard input",
            remedy="Type the secret at the prompt, or send it as one line of standard input.",
        )
    return Secret(text)


def _owner(service: str, tenant: str | None) -> str:
    return service if tenant is None else f"{service} of {tenant}"
