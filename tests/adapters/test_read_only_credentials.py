"""Read-only credential providers for environment variables and files."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from moorage.adapters.credentials.environment import (
    AsyncEnvironmentCredentialProvider,
    EnvironmentCredentialProvider,
)
from moorage.adapters.credentials.file import AsyncFileCredentialProvider, FileCredentialProvider
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
    InvalidData,
    StorageUnavailable,
)
from tests.support.frames import is_of_moorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD, NEW = Credentials.bearer("old"), Credentials.bearer("new")
PREFIX = "MOORAGE_CREDENTIAL_"
OWNERS = [("shop", None), ("shop", "acme-fr"), ("shop-acme", "fr"), ("shop-acme-fr", None)]


class CredentialSource:
    """A source of credentials (environment or file) and its read-only provider."""

    def __init__(self, kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self.path, self._patch = kind, home / "credentials.toml", monkeypatch
        self._tables: dict[str, str] = {}
        makers: dict[str, Callable[[], Any]] = {
            "environment": EnvironmentCredentialProvider,
            "environment, async": AsyncEnvironmentCredentialProvider,
            "file": lambda: FileCredentialProvider(self.path),
            "file, async": lambda: AsyncFileCredentialProvider(self.path),
        }
        self.provider = makers[kind]()
        if "file" in kind:
            self.put_file("")

    def put(self, owner: tuple[str, str | None], token: str) -> None:
        """Store a token in the source."""
        service, tenant = owner
        if "environment" in self.kind:
            names = (service,) if tenant is None else (service, tenant)
            variable = PREFIX + "__".join(names).upper().replace("-", "_")
            self._patch.setenv(variable, token)
            return
        table = f"services.{service}" if tenant is None else f"tenants.{tenant}.{service}"
        self._tables[table] = f"[{table}]\nsecret = {json.dumps(token)}\n"
        self.put_file("".join(self._tables.values()))

    def put_file(self, text: str, mode: int = 0o600) -> None:
        """Replace the credential file's content."""
        new_path = self.path.with_suffix(".new")
        new_path.write_text(text, "utf-8")
        new_path.chmod(mode)
        new_path.rename(self.path)

    def ask(self, method_name: str, *options: object) -> Any:
        """Return the result of this method of the provider."""
        answer = getattr(self.provider, method_name)
        return asyncio.run(answer(*options)) if "async" in self.kind else answer(*options)


@pytest.fixture(params=["environment", "environment, async", "file", "file, async"], name="place")
def _source(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CredentialSource:
    return CredentialSource(request.param, tmp_path, monkeypatch)


def test_owners_are_separate(place: CredentialSource) -> None:
    """A credential is returned only for its own service and tenant."""
    for owner in OWNERS:
        assert not place.ask("has", *owner)
        with pytest.raises(CredentialNotFound):
            place.ask("get", *owner)
    for number, owner in enumerate(OWNERS):
        place.put(owner, f"token-{number}")
        results = [
            candidate_owner for candidate_owner in OWNERS if place.ask("has", *candidate_owner)
        ]
        assert OWNERS[: number + 1] == results
    for number, owner in enumerate(OWNERS):
        assert Credentials.bearer(f"token-{number}") == place.ask("get", *owner)


def test_refresh_reads_again(place: CredentialSource) -> None:
    """`refresh` returns a credential if it was replaced in the source, and fails otherwise."""
    place.put(OWNERS[1], "old")
    with pytest.raises(CredentialRefreshFailed, match="vendor refused the credential"):
        place.ask("refresh", *OWNERS[1], OLD)
    place.put(OWNERS[1], "new")
    assert NEW == place.ask("refresh", *OWNERS[1], OLD)
    with pytest.raises(CredentialNotFound):
        place.ask("refresh", *OWNERS[0], OLD)


def test_read_only_provider_refuses_to_store_a_credential(place: CredentialSource) -> None:
    """A read-only provider refuses to store a credential."""
    place.put(OWNERS[0], "old")
    with pytest.raises(ConfigurationError, match="cannot write to"):
        place.ask("rotate", *OWNERS[0], NEW)
    assert OLD == place.ask("get", *OWNERS[0])


def test_invalid_credential_is_not_shown(place: CredentialSource) -> None:
    """An invalid credential is refused, and no traceback frame of moorage shows it."""
    place.put(OWNERS[0], "sk_live\n")
    with pytest.raises(InvalidData, match="white space") as excinfo:
        place.ask("get", *OWNERS[0])

    assert_no_secret_in(excinfo.value)


def assert_no_secret_in(error: ConnectorError) -> None:
    """Fail if a secret is in an error, or in a traceback frame of moorage."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    moorage_locals = [frame.locals for frame in report.stack if is_of_moorage(frame.filename)]
    assert moorage_locals
    assert "sk_live" not in repr((moorage_locals, str(error), error.__cause__))


@pytest.mark.parametrize(
    "text, expected",
    [
        ('{"access_token": "a"}', OAuthCredentials(access_token="a")),
        (' {"secret": "a"}', Credentials.bearer("a")),
    ],
)
def test_a_variable_may_hold_json(
    text: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential variable holds a plain token or a JSON table."""
    monkeypatch.setenv("MOORAGE_CREDENTIAL_SHOP", text)

    assert expected == EnvironmentCredentialProvider().get("shop", None)


@pytest.mark.parametrize("text", ['{"secret": "sk_live"', "", "[" * 9, "{" + '"a":[' * 99_999])
def test_error_for_an_unreadable_variable_names_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a credential variable is empty or has broken JSON, the error names the variable."""
    monkeypatch.setenv("MOORAGE_CREDENTIAL_SHOP", text)
    with pytest.raises(InvalidData, match="MOORAGE_CREDENTIAL_SHOP") as excinfo:
        EnvironmentCredentialProvider().get("shop", None)
    assert_no_secret_in(excinfo.value)


@pytest.mark.parametrize("name", ["", "Shop", "shop_a", "shop--a", "-shop", "shop-", "é", "a.b"])
def test_ambiguous_variable_name_needs_a_configured_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service with an ambiguous variable name needs a name in the configuration."""
    for variable in (name, name.upper(), name.upper().replace("-", "_").replace(".", "_")):
        monkeypatch.setenv(PREFIX + variable, "old")
        monkeypatch.setenv(PREFIX + "SHOP__" + variable, "old")
    plain_provider, named_provider = (
        EnvironmentCredentialProvider(),
        EnvironmentCredentialProvider({(name, None): "KEY"}),
    )
    monkeypatch.setenv("KEY", "new")

    assert not plain_provider.has(name, None)
    assert not plain_provider.has("shop", name)
    with pytest.raises(CredentialNotFound, match="not form a valid name"):
        plain_provider.get("shop", name)
    assert NEW == named_provider.get(name, None)
    assert not named_provider.has("shop", name)


def test_prefix_of_credential_variables_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host may set another prefix for the credential variables."""
    monkeypatch.setenv("ERP_SHOP", "old")

    assert OLD == EnvironmentCredentialProvider(prefix="ERP_").get("shop", None)


FILE = pytest.mark.parametrize("place", ["file", "file, async"], indirect=True)


@FILE
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620])
def test_a_file_that_others_can_read_is_refused(place: CredentialSource, mode: int) -> None:
    """A credential file that everybody can read, or others can write, is refused."""
    place.put_file('[services.shop]\nsecret = "old"\n', mode)

    with pytest.raises(ConfigurationError, match=f"its mode is {mode:04o}"):
        place.ask("get", "shop", None)
    place.path.chmod(0o640)
    assert OLD == place.ask("get", "shop", None)


@FILE
@pytest.mark.parametrize(
    "text, problem",
    [
        ('[services.shop]\nsecret = "sk_live', "cannot be parsed"),
        ('secret = "sk_live"', r"not consist of the tables \[services"),
        ('services = "sk_live"', r"not consist of the tables \[services"),
        ('[tenants]\nacme = "sk_live"', r"not consist of the tables \[services"),
        (
            '[tenants.acme.shop]\nkey = "sk_live"',
            r"\[tenants.acme.shop\]: The credential has an unknown field",
        ),
    ],
)
def test_a_broken_file_is_refused(place: CredentialSource, text: str, problem: str) -> None:
    """A broken credential file raises an error without secrets; its earlier content is not used."""
    place.put(("shop", None), "old")
    place.ask("get", "shop", None)
    place.put_file(text)

    for _ in range(2):
        with pytest.raises(InvalidData, match=problem) as excinfo:
            place.ask("get", "shop", None)
        assert_no_secret_in(excinfo.value)


@FILE
def test_deleted_credential_file_raises_storage_unavailable(place: CredentialSource) -> None:
    """A deleted credential file raises StorageUnavailable; its old content is not used."""
    place.put(("shop", None), "old")
    place.ask("get", "shop", None)
    place.path.unlink()

    with pytest.raises(StorageUnavailable, match="cannot be read"):
        place.ask("get", "shop", None)


def test_extension_of_a_credential_file_decides_its_format(tmp_path: Path) -> None:
    """The extension of a credential file decides its format; syntax errors state the line."""
    path = tmp_path / "credentials.json"
    path.write_text('{"tenants": {"acme": {"shop": "old"}}}')
    path.chmod(0o600)
    provider = FileCredentialProvider(path)

    assert OLD == provider.get("shop", "acme")
    path.write_text('{\n"services": {"shop": sk_live}}')
    with pytest.raises(InvalidData, match=r"cannot be parsed, line 2"):
        provider.get("shop", "acme")


def test_unchanged_file_is_read_once(tmp_path: Path) -> None:
    """An unchanged credential file is not read again."""
    path = tmp_path / "credentials.toml"
    path.write_text('[services]\nshop = "old"\n')
    path.chmod(0o600)
    provider = FileCredentialProvider(path)

    assert provider.get("shop", None) is provider.get("shop", None)


def test_credential_file_with_an_unknown_extension_is_refused(tmp_path: Path) -> None:
    """A credential file with an unknown extension is refused at construction."""
    with pytest.raises(ConfigurationError, match=r"neither \.toml nor \.json"):
        FileCredentialProvider(tmp_path / "credentials.ini")
