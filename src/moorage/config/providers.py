"""The providers that read `secret://` references: environment variables, files, and `[secrets]`.

Each class describes the table of one kind of provider, and opens its reader.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.config.class_tables import table_of
from moorage.config.shapes import Field, OneOf, Table, TableByKind
from moorage.domain.auth.credential_tables import is_credential, read_credentials
from moorage.domain.http.urls import validate_private_url
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.sealing import KeyRing
from moorage.domain.values.frozen_values import evolve, field, frozen, optional
from moorage.domain.values.installation import install
from moorage.domain.values.json_text import is_object
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from moorage.domain.auth.credential_codec import AnyCredentials

Read: TypeAlias = "Callable[[str], Secret | AnyCredentials | None]"
_FIELD: Final = "secret"
_TABLE_START: Final = re.compile(r'\s*\{\s*"')
_LONGEST_FILE: Final = 65_536


@frozen
class ProviderEnvironment:
    """The environment variables, folder and clean-up that opening a secret provider needs.

    Attributes:
        variables: the environment variables.
        folder: the folder that relative paths start from.
        closing: closes the resources of the providers.
    """

    variables: Mapping[str, str] = field(repr=False)
    folder: Path
    closing: ExitStack


@frozen(kw_only=True)
class Environment:
    """Secrets in environment variables.

    Attributes:
        prefix: the beginning of the variables' names.
    """

    prefix: str = ""

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads secrets from environment variables."""
        variables = place.variables

        def read_stored(name: str) -> Secret | None:
            variable = self.prefix + name
            return Secret(variables[variable]) if variable in variables else None

        return read_stored


@frozen(kw_only=True)
class Files:
    """Secrets in files, one file per secret, such as the files that Docker and Kubernetes mount.

    Attributes:
        folder: the folder of the files; by default the folder of the configuration.
    """

    folder: str = "."

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads secrets from files."""
        folder = place.folder / self.folder

        def read(name: str) -> Secret | None:
            try:
                with (folder / name).open("rb") as file:
                    content = file.read(_LONGEST_FILE + 1).strip()
            except (OSError, ValueError):
                return None
            return Secret(content) if len(content) <= _LONGEST_FILE else None

        return read


def _is_mount(_: object, __: object, value: str) -> None:
    if not value.strip("/"):
        raise ConfigurationError(
            "The path of the secrets engine is empty.",
            path="mount",
            remedy="Set the path at which the engine is enabled, such as secret.",
        )


@frozen(kw_only=True)
class Vault:
    """Secrets in HashiCorp Vault or OpenBao, in a KV engine of version 2.

    Attributes:
        address: the URL of the server, such as https://vault.example:8200.
        token: the token to authenticate with; or give a token_file, a role_id or a kubernetes_role.
        token_file: a file with the token, which another program renews.
        role_id: the AppRole of this program.
        secret_id: the secret of the AppRole.
        kubernetes_role: the role that Vault assigns to the service account of the pod.
        mount: the path at which the engine is enabled.
        namespace: the namespace in Vault Enterprise.
        timeout: seconds for each request.
    """

    address: str = field(converter=validate_private_url)
    token: Secret | None = None
    token_file: str | None = None
    role_id: str | None = None
    secret_id: Secret | None = None
    kubernetes_role: str | None = None
    mount: str = field(default="secret", validator=_is_mount)
    namespace: str | None = None
    timeout: float = 5.0

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads secrets from the Vault engine."""
        from moorage.adapters.secret_managers import hashicorp_vault as vault  # noqa: PLC0415 - imported only if it is used

        manager = vault.HashiCorpVault(
            self.address, self._login(vault, place), mount=self.mount, namespace=self.namespace
        )
        return _managed_read(manager, self.timeout, place)

    def _login(self, vault: Any, place: ProviderEnvironment) -> Any:
        logins = {
            "token": self.token and vault.VaultToken(self.token),
            "token_file": self.token_file
            and vault.VaultTokenFile(str(place.folder / self.token_file)),
            "role_id": self.role_id and vault.VaultAppRole(self.role_id, self.secret_id),
            "kubernetes_role": self.kubernetes_role and vault.VaultKubernetes(self.kubernetes_role),
        }
        configured_logins = [login for login in logins.values() if login is not None]
        if len(configured_logins) != 1:
            raise ConfigurationError(
                "Vault needs exactly one login method.",
                path="token",
                remedy=f"Give one of {', '.join(logins)}.",
            )
        if self.secret_id is not None and self.role_id is None:
            raise ConfigurationError(
                "secret_id is set, but role_id is missing.",
                path="secret_id",
                remedy="Set role_id, or remove secret_id.",
            )
        return configured_logins[0]


@frozen(kw_only=True)
class Aws:
    """Secrets in AWS Secrets Manager.

    Attributes:
        region: the region, such as eu-central-1.
        access_key_id: the id of the access key; by default it is looked up as AWS's own tools do.
        secret_access_key: the secret of the access key.
        session_token: the token of temporary keys.
        endpoint: the service's URL, if it is not the region's default.
        timeout: seconds for each request.
    """

    region: str
    access_key_id: str | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    endpoint: str | None = field(default=None, converter=optional(validate_private_url))
    timeout: float = 5.0

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads secrets from AWS Secrets Manager in the region."""
        from moorage.adapters.secret_managers import aws_identity as aws  # noqa: PLC0415 - imported only if it is used
        from moorage.adapters.secret_managers.aws_secrets_manager import AwsSecretsManager  # noqa: PLC0415 - imported only if it is used

        if (self.access_key_id is None) is not (self.secret_access_key is None):
            raise ConfigurationError(
                "The access key needs both access_key_id and secret_access_key.",
                path="access_key_id" if self.access_key_id is None else "secret_access_key",
                remedy="Set both settings, or remove both.",
            )
        if self.session_token is not None and self.access_key_id is None:
            raise ConfigurationError(
                "A session token is set, but the access key is missing.",
                path="session_token",
                remedy="Set access_key_id and secret_access_key, or remove the session token.",
            )
        identity: Any = aws.AwsEnvironment(place.variables)
        if self.access_key_id is not None and self.secret_access_key is not None:
            identity = aws.AwsKeys(self.access_key_id, self.secret_access_key, self.session_token)
        options = {} if self.endpoint is None else {"endpoint": self.endpoint}
        manager = AwsSecretsManager(self.region, identity, **options)
        return _managed_read(manager, self.timeout, place)


@frozen(kw_only=True)
class Gcp:
    """Secrets in Google's Secret Manager.

    Attributes:
        project: the id of the project.
        key_file: the key file of a service account; by default the identity of the machine is used.
        endpoint: the service's URL, if it is not the default.
        timeout: seconds for each request.
    """

    project: str
    key_file: str | None = None
    endpoint: str | None = field(default=None, converter=optional(validate_private_url))
    timeout: float = 5.0

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads secrets from Google's Secret Manager in the project."""
        from moorage.adapters.secret_managers import gcp_secret_manager as gcp  # noqa: PLC0415 - imported only if it is used

        identity: Any = gcp.GcpMetadata()
        if self.key_file is not None:
            try:
                identity = gcp.GcpServiceAccount.from_file(place.folder / self.key_file)
            except ConfigurationError as error:
                error.path = "key_file"
                raise
        options = {} if self.endpoint is None else {"endpoint": self.endpoint}
        manager = gcp.GcpSecretManager(self.project, identity, **options)
        return _managed_read(manager, self.timeout, place)


@frozen(kw_only=True)
class Azure:
    """Secrets in Azure Key Vault.

    Attributes:
        address: the URL of the vault, such as https://ours.vault.azure.net.
        client_id: the id of the application; without a client_secret, the id of a managed identity.
        client_secret: the secret of the application; by default the identity of the machine is
            used.
        directory: the directory (tenant) of the application; by default that of the vault.
        timeout: seconds for each request.
    """

    address: str = field(converter=validate_private_url)
    client_id: str | None = None
    client_secret: Secret | None = None
    directory: str | None = None
    timeout: float = 5.0

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads secrets from the Azure key vault."""
        from moorage.adapters.secret_managers import azure_key_vault as azure  # noqa: PLC0415 - imported only if it is used

        identity: Any = azure.AzureManagedIdentity(self.client_id)
        if self.directory is not None and self.client_secret is None:
            raise ConfigurationError(
                "A directory is set, but the application's client_secret is missing.",
                path="directory",
                remedy="Set client_id and client_secret, or remove the directory.",
            )
        if self.client_secret is not None:
            if self.client_id is None:
                raise ConfigurationError(
                    "client_secret is set, but client_id is missing.",
                    path="client_id",
                    remedy="Set client_id to the id of the application.",
                )
            identity = azure.AzureClient(self.client_id, self.client_secret, tenant=self.directory)
        return _managed_read(azure.AzureKeyVault(self.address, identity), self.timeout, place)


@frozen(kw_only=True)
class Keyring:
    """Secrets in the keyring of a desktop.

    Attributes:
        application: the name under which the keyring stores the passwords.
    """

    application: str = "moorage"

    def open(self, _: ProviderEnvironment) -> Read:
        """Return the function that reads this application's passwords from the keyring."""
        try:
            from moorage.adapters.credentials.keyring import KeyringSecrets  # noqa: PLC0415 - an optional package
        except ImportError:
            raise ConfigurationError(
                "The package keyring is not installed.",
                path="kind",
                remedy=install("keyring"),
            ) from None
        return KeyringSecrets(self.application).read


@frozen(kw_only=True)
class Sealed:
    """Credentials of services, each encrypted, in a SQLite file.

    Attributes:
        path: the path of the file.
        keys: the keys that `generate_keys` made.
    """

    path: str
    keys: Secret

    def open(self, place: ProviderEnvironment) -> Read:
        """Return the function that reads encrypted credentials from the SQLite file."""
        from moorage.adapters.ciphers.aes_gcm import AesGcmCipher  # noqa: PLC0415 - imported only if it is used
        from moorage.adapters.credentials.sqlite import SqliteCredentialProvider  # noqa: PLC0415 - imported only if it is used

        cipher = AesGcmCipher(KeyRing.parse(self.keys))
        provider = SqliteCredentialProvider(place.folder / self.path, cipher)

        def read(name: str) -> AnyCredentials | None:
            tenant, _, service = name.rpartition("/")
            if not provider.has(service, tenant or None):
                return None
            credentials: AnyCredentials = provider.get(service, tenant or None)
            return credentials

        return read


_KINDS: Final[Mapping[str, type[Any]]] = {
    "env": Environment,
    "file": Files,
    "vault": Vault,
    "aws": Aws,
    "gcp": Gcp,
    "azure": Azure,
    "keyring": Keyring,
    "sqlite": Sealed,
}


def built_in(place: ProviderEnvironment) -> dict[str, Read]:
    """Return the providers that need no settings: `secret://env/NAME`, `secret://file/path`."""
    return {"env": Environment().open(place), "file": Files().open(place)}


def _names() -> tuple[str, ...]:
    return tuple(_KINDS)


def _table(kind: str) -> Table:
    return _TABLES[kind]


def _managed_read(manager: Any, timeout: float, place: ProviderEnvironment) -> Read:
    from moorage.adapters.secret_managers.managed_secrets import ManagedSecrets  # noqa: PLC0415 - imported only if it is used

    reader = place.closing.enter_context(ManagedSecrets(manager, timeout=timeout))

    def read(name: str) -> Secret | AnyCredentials | None:
        path, _, field = name.partition("#")
        content = reader.read(path)
        return None if content is None else _field_or_credentials(content, field)

    return read


def _field_or_credentials(content: Secret, field: str) -> Secret | AnyCredentials | None:
    """Return a field of a secret's JSON table, or the credentials in that table.

    Return the whole text if it is not a table.

    Raises:
        InvalidData: the table is broken, or its fields do not fit its method of authentication.
    """
    try:
        table = json.loads(content.reveal())
    except (ValueError, RecursionError):
        table = None
    if table is None and _TABLE_START.match(content.reveal()):
        raise InvalidData(
            "The secret begins like a JSON object, but is not valid JSON.",
            field="secret",
            remedy="Correct the JSON where the secret is stored.",
        )
    if not is_object(table):
        return None if field else content
    if not field and is_credential(table):
        return read_credentials(table, "the stored credentials")
    secret = table.get(field or _FIELD)
    del table
    return Secret(secret) if isinstance(secret, str) else None


def _table_of_kind(name: str, kind: type[Any]) -> Table:
    table = table_of(kind, name=f"secrets.{name}")
    kind_field = Field(OneOf((name,)), "The kind of provider.")
    return evolve(
        table, fields={"kind": kind_field, **table.fields}, make=partial(_make_provider, kind)
    )


def _make_provider(kind: type[Any], /, **fields: Any) -> Any:
    return kind(**{name: value for name, value in fields.items() if name != "kind"})


_TABLES: Final = {name: _table_of_kind(name, kind) for name, kind in _KINDS.items()}
PROVIDERS: Final = TableByKind("provider of secrets", _names, _table, named=False)
