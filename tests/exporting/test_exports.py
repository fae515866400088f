"""Exported request collections match the vendors' requests and formats, and contain no secret."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import Credentials, Endpoint, Region, Service
from moorage.config import read_configuration
from moorage.exporting import describe_requests, openapi, postman
from moorage.exporting.described_requests import variable
from moorage.exporting.hiding import ValueHiding
from moorage.exporting.shapes import shape_of
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.wiring.installed_vendors import vendor_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from moorage.exporting import Description

METHODS = {"get", "put", "post", "delete", "head", "patch", "options", "trace"}
PLANTED = "planted-secret"
USED = re.compile(r"\{\{(\w+)\}\}")


def at_sandbox(vendor: str, folder: Path) -> dict[str, Any]:
    """Return the configuration of an account whose vendor is a sandbox."""
    fixture = fixture_of(vendor, folder)
    fixture.close()
    return {"vendors": {vendor: fixture.options}}


def texts(value: Any) -> Iterator[str]:
    """Return every string in a nested value, including keys."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from (str(name), *texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


def check_collection(collection: dict[str, Any]) -> None:
    """Check a collection against the schema of Postman collections 2.1.0."""
    assert {"info", "item", "variable"} == collection.keys()
    assert collection["info"]["name"]
    assert collection["info"]["schema"].endswith("/v2.1.0/collection.json")
    for folder in collection["item"]:
        assert folder["name"]
        for item in folder["item"]:
            request = item["request"]
            assert item["name"]
            assert request["method"].isupper()
            assert isinstance(request["url"], str)
            lists = [request["header"], request.get("body", {}).get("urlencoded", [])]
            for pair in (pair for pairs in lists for pair in pairs):
                assert [str, str] == [type(pair["key"]), type(pair["value"])]
            assert request.get("body", {"mode": "raw"})["mode"] in {"raw", "urlencoded"}
    variable_names = {item["key"] for item in collection["variable"]}
    assert (
        set()
        == {name for text in texts(collection["item"]) for name in USED.findall(text)}
        - variable_names
    )


def check_description(document: dict[str, Any]) -> None:
    """Check a document against the rules of OpenAPI 3.1."""
    assert "3.1.0" == document["openapi"]
    assert {"title", "version"} <= document["info"].keys()
    operation_ids: list[str] = []
    for path, item in document["paths"].items():
        assert path.startswith("/")
        assert all(server["url"].startswith("https://") for server in item["servers"])
        for method in item.keys() - {"servers"}:
            assert method in METHODS
            operation = item[method]
            operation_ids.append(operation["operationId"])
            assert operation["responses"]
            parameter_places = [
                (parameter["name"], parameter["in"]) for parameter in operation["parameters"]
            ]
            assert len(set(parameter_places)) == len(parameter_places)
            slots = re.findall(r"\{(\w+)\}", path.partition("#")[0])
            assert len(set(slots)) == len(slots)
            assert set(slots) == {name for name, location in parameter_places if location == "path"}
            for content in operation.get("requestBody", {"content": {}})["content"].values():
                assert content["examples"]
            for scheme in operation.get("security", []):
                assert scheme.keys() <= document["components"]["securitySchemes"].keys()
    assert len(set(operation_ids)) == len(operation_ids)


@pytest.mark.parametrize(
    "vendor", [name for name in vendor_names() if name not in {"smtp", "local_files", "fsspec"}]
)
def test_exports_contain_each_vendor(vendor: str, tmp_path: Path) -> None:
    """Postman and OpenAPI exports contain each vendor, and are valid."""
    description = describe_requests(read_configuration(at_sandbox(vendor, tmp_path)))

    assert description.sent
    check_collection(postman(description))
    check_description(openapi(description))


def test_vendor_without_http_is_named(tmp_path: Path) -> None:
    """An account whose vendor does not use HTTP is listed in the export, without requests."""
    description = describe_requests(read_configuration(at_sandbox("local_files", tmp_path)))

    assert () == description.sent
    assert {
        "local_files": "The vendor of this account is not called over HTTP."
    } == description.silent
    check_collection(postman(description))


@pytest.fixture(scope="module", name="exported")
def _full_export(tmp_path_factory: pytest.TempPathFactory) -> Description:
    """Return the export of a configuration with many secrets."""
    folder = tmp_path_factory.mktemp("folder")
    settings = {"headers": {"X-Partner": f"{PLANTED}-header"}, "webhook_secrets": [PLANTED * 2]}
    fields = {
        "state": {"url": f"sqlite:///{PLANTED}.db"},
        "vendors": {
            "texts": {
                "kind": "twilio",
                "account_sid": f"AC{'5ec2e7' * 5}00",
                "credentials": f"{PLANTED}-token",
                "sender": "+4930123456",
                **settings,
            },
            "mail": {
                "kind": "resend",
                "credentials": f"re_{PLANTED}",
                "sender": "Our Shop <shop@example.com>",
                "base_url": "https://mail.proxy.example/resend",
            },
            "money": {
                "kind": "paypal",
                "client_id": "shop",
                "client_secret": PLANTED,
                "return_url": "https://shop.example/back",
            },
            "local_files": at_sandbox("local_files", folder)["vendors"]["local_files"],
        },
        "services": {
            "vat": {"base_url": "https://vat.example/v1", "headers": {"X-Key": PLANTED}},
        },
        "tenants": {
            "acme": {"vendors": {"vonage": {"api_key": PLANTED, "credentials": PLANTED}}},
        },
    }
    return describe_requests(read_configuration(fields))


def test_no_secret_is_exported(exported: Description) -> None:
    """Neither export format contains a secret of the configuration, in plain or encoded form."""
    for document in (postman(exported), openapi(exported)):
        text = json.dumps(document)
        assert PLANTED not in text
        assert "5ec2e7" not in text
        assert "sandbox-key" not in text
        assert "cGxhbnRlZC1zZWNyZXQ" not in text


def test_environment_variables_are_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values from environment variables are not in the exported accounts."""
    configuration = read_configuration({"vendors": {"resend": {}}})
    monkeypatch.setenv("MOORAGE_ENVIRONMENT", "production")
    monkeypatch.setenv("MOORAGE_VENDORS__RESEND__SENDER", f"{PLANTED}@shop.example")
    description = describe_requests(configuration)

    assert {} == description.silent
    assert PLANTED not in json.dumps([postman(description), openapi(description)])


def test_accounts_with_similar_names_have_variables_of_their_own() -> None:
    """Accounts whose names differ only in a dash or underscore share no variables."""
    assert ("a-b_url", "a_b_url") == (variable("a-b", "url"), variable("a_b", "url"))


def test_settings_that_are_not_secret_are_exported_with_their_values(exported: Description) -> None:
    """Settings that are not secret are exported as variables with their values."""
    assert "+4930123456" == exported.variables["texts_sender"]
    assert "shop@example.com" == exported.variables["mail_sender"]
    assert "https://mail.proxy.example/resend" == exported.variables["mail_url"]
    assert "" == exported.variables["mail_credentials"]
    assert "" == exported.variables["texts_account_sid"]
    assert "" == exported.variables["texts_x-partner"]
    assert "https://vat.example/v1" == exported.variables["vat_url"]


def test_each_account_has_a_folder_or_a_reason_for_none(exported: Description) -> None:
    """Each account and service has a folder in the export, or a stated reason why it has none."""
    collection = postman(exported)
    folders = {item["name"]: item["item"] for item in collection["item"]}

    assert {"texts", "mail", "money", "acme.vonage", "vat"} == folders.keys()
    assert {"local_files": "The vendor of this account is not called over HTTP."} == exported.silent
    assert "local_files is not here" in collection["info"]["description"]
    assert "local_files is not here" in openapi(exported)["info"]["description"]
    check_collection(collection)
    check_description(openapi(exported))


def test_exported_requests_match_the_vendors(exported: Description) -> None:
    """An exported request has the vendor's path and fields, and variables for secrets."""
    folders = {report["name"]: report["item"] for report in postman(exported)["item"]}
    request = next(text["request"] for text in folders["texts"] if text["name"].startswith("send:"))
    form = {part["key"]: part["value"] for part in request["body"]["urlencoded"]}
    headers = {item["key"]: item["value"] for item in request["header"]}

    path = "/2010-04-01/Accounts/{{texts_account_sid}}/Messages.json"
    assert f"{{{{texts_url}}}}{path}" == request["url"]
    assert {"To": "+4915112345678", "Body": "Hello.", "From": "{{texts_sender}}"} == form
    assert "Basic {{texts_authorization}}" == headers["Authorization"]
    assert "{{texts_x-partner}}" == headers["X-Partner"]


def test_vendor_without_a_sandbox_account_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor without a sandbox account is listed, with the step that the user must take."""
    install(
        tmp_path,
        monkeypatch,
        "[moorage.vendors]\npigeon = tests.contracts.external_sms_vendor:TextMessageVendor\n",
    )
    description = describe_requests(read_configuration({"vendors": {"pigeon": {}}}))

    assert () == description.sent
    assert "moorage.sandbox_fixtures" in description.silent["pigeon"]


def test_vendor_of_another_package_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor of another package with a sandbox account is exported like a built-in one."""
    points = (
        "[moorage.vendors]\npigeon = tests.contracts.external_sms_vendor:TextMessageVendor\n"
        "[moorage.sandbox_fixtures]\npigeon = tests.contracts.external_sms_vendor:fixture\n"
    )
    install(tmp_path, monkeypatch, points)
    description = describe_requests(read_configuration({"vendors": {"pigeon": {}}}))

    assert {"/letters", "/letters/{id}"} == {notice.template for notice in description.sent}
    check_description(openapi(description))


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, points: str) -> None:
    """Make a package with these entry points look installed."""
    home_directory = folder / "loft-1.0.dist-info"
    home_directory.mkdir()
    (home_directory / "METADATA").write_text("Metadata-Version: 2.1\nName: loft\nVersion: 1.0\n")
    (home_directory / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(folder))


def test_services_have_endpoints_and_authentication() -> None:
    """A service's endpoints and kind of authentication are exported, without its secret."""
    url = "https://api.example"
    end_endpoints = (Endpoint("rates", "GET", "/rates/{country}"), Endpoint("any"))
    services = [
        Service("open", url),
        Service("bearer", url, endpoints=end_endpoints, credentials=Credentials.bearer(PLANTED)),
        Service("basic", url, credentials=Credentials.basic("me", PLANTED)),
        Service("header", url, credentials=Credentials.api_key(PLANTED)),
        Service("query", url, credentials=Credentials.api_key(PLANTED, query="key")),
        Service("digest", url, credentials=Credentials.digest("erp", PLANTED)),
        Service("ticket", url, credentials=Credentials.negotiate()),
        Service("later", url, needs_credentials=True),
        Service("functions"),
    ]
    configuration = read_configuration({})
    description = describe_requests(attrs.evolve(configuration, services=tuple(services)))
    request = {
        notice.owner: (*dict(notice.headers).items(), *dict(notice.query).items())
        for notice in description.sent
    }

    assert {
        "open": (),
        "bearer": (("Authorization", "Bearer {{bearer_credentials}}"),),
        "basic": (("Authorization", "Basic {{basic_credentials}}"),),
        "header": (("X-API-Key", "{{header_credentials}}"),),
        "query": (("key", "{{query_credentials}}"),),
        "digest": (),
        "ticket": (),
        "later": (("Authorization", "Bearer {{later_credentials}}"),),
    } == request
    assert ["/rates/{country}", "/"] == [
        notice.template for notice in description.sent if notice.owner == "bearer"
    ]
    check_collection(postman(description))
    check_description(openapi(description))
    assert PLANTED not in json.dumps([postman(description), openapi(description)])


def test_each_region_of_a_service_is_exported() -> None:
    """The requests of a service with regions are exported with the URL of each region."""
    regions = (Region("eu", "https://eu.example"), Region("us", "https://us.example"))
    service = Service("shop", regions=regions, credentials=Credentials.bearer(PLANTED))
    configuration = attrs.evolve(read_configuration({}), services=(service,))
    description = describe_requests(configuration)

    assert [("shop", "shop_eu_url"), ("shop", "shop_us_url")] == [
        (request.owner, request.server) for request in description.sent
    ]
    assert {
        "shop_credentials": "",
        "shop_eu_url": "https://eu.example",
        "shop_us_url": "https://us.example",
    } == description.variables
    check_collection(postman(description))
    check_description(openapi(description))


def test_names_with_the_same_letters_have_separate_variables() -> None:
    """Services whose names are alike in ASCII letters keep their own URLs and credentials."""
    token = Credentials.bearer(PLANTED)
    services = [
        Service(name, f"https://{host}.example", credentials=token)
        for host, name in enumerate(["продажи", "оплата", "a b", "a.b", "Main", "main"])
    ]
    configuration = attrs.evolve(read_configuration({}), services=tuple(services))
    description = describe_requests(configuration)

    assert {service.name: service.base_url for service in services} == {
        request.owner: description.variables[request.server] for request in description.sent
    }
    assert len(services) == len({request.headers for request in description.sent})
    assert [[{"url": service.base_url}] for service in services] == [
        item["servers"] for item in openapi(description)["paths"].values()
    ]
    check_collection(postman(description))
    check_description(openapi(description))


def test_repeated_placeholder_and_slash_at_the_end_are_exported() -> None:
    """A placeholder that a path repeats has two names, and no URL has a double slash."""
    endpoint = Endpoint("compare", "GET", "/shops/{id}/{id}")
    services = (Service("shop", "https://shop.example/v1/", endpoints=(endpoint,)),)
    configuration = attrs.evolve(read_configuration({}), services=services)
    description = describe_requests(configuration)

    assert ["/shops/{id}/{id_5}"] == [request.template for request in description.sent]
    assert "https://shop.example/v1" == description.variables["shop_url"]
    check_description(openapi(description))


@pytest.mark.parametrize(
    "path, shown",
    [
        ("/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "/{{it_url_secret_1}}"),
        ("/v1/bot7%3Aplanted/x", "/v1/{{it_url_secret_2}}/x"),
        ("/hooks/T00000000/kX9vQ2pL7wZ4mN8tR3", "/hooks/T00000000/{{it_url_secret_3}}"),
        ("/tokens/pl4nted", "/tokens/{{it_url_secret_2}}"),
        ("/3f9c2b7d-91aa-4c0e-8d55-0123456789ab/", "/{{it_url_secret_1}}/"),
        ("/api/v1/2010-04-01/rest.php", "/api/v1/2010-04-01/rest.php"),
        ("/token/revoke", "/token/revoke"),
    ],
)
def test_token_in_a_path_is_not_exported(path: str, shown: str) -> None:
    """A token in a service's URL or an endpoint's path is exported as a variable."""
    url = f"https://api.example{path}"
    endpoint = Endpoint("one", "GET", f"{path.rstrip('/')}/rates")
    services = (Service("it", url, endpoints=(endpoint,)),)
    configuration = attrs.evolve(read_configuration({}), services=services)
    description = describe_requests(configuration)
    text = json.dumps([postman(description), openapi(description)])

    assert f"https://api.example{shown}".rstrip("/") == description.variables["it_url"].rstrip("/")
    secret_parts = [part for part in path.split("/") if part and part not in shown.split("/")]
    assert [] == [part for part in secret_parts if part in text]
    check_collection(postman(description))
    check_description(openapi(description))


def test_token_in_an_accounts_url_is_not_exported() -> None:
    """A token in the URL of an account's proxy is not exported."""
    url = "https://proxy.example/kX9vQ2pL7wZ4mN8tR3/resend"
    fields = {"vendors": {"resend": {"credentials": "re_1", "base_url": url}}}
    description = describe_requests(read_configuration(fields))

    assert "kX9v" not in json.dumps([postman(description), openapi(description)])
    shown_url = "https://proxy.example/{{resend_url_secret_1}}/resend"
    assert shown_url == description.variables["resend_url"]


@pytest.mark.parametrize(
    "values, shape",
    [
        ([], {}),
        ([1, 2], {"type": "integer"}),
        ([1, None], {"type": ["integer", "null"]}),
        ([True], {"type": "boolean"}),
        ([0.5], {"type": "number"}),
        ([[]], {"type": "array"}),
        ([["a"]], {"type": "array", "items": {"type": "string"}}),
        (
            [{"a": 1}, {"a": 2, "b": "c"}],
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "required": ["a"],
            },
        ),
        ([{}, {"a": 1}], {"type": "object", "properties": {"a": {"type": "integer"}}}),
    ],
)
def test_exported_schema_fits_the_recorded_values(values: list[Any], shape: dict[str, Any]) -> None:
    """The exported schema of a field fits the values that were recorded for that field."""
    assert shape == shape_of(values)


def test_return_only_for_vendors_with_redirects(tmp_path: Path) -> None:
    """A request for the buyer's return is exported only for vendors that redirect the buyer."""
    with pytest.raises(AssertionError, match="no step that a buyer must complete"):
        fixture_of("twilio", tmp_path).buyer(object())  # type: ignore[arg-type]  # never looked at


def test_value_in_the_name_of_a_variable_is_not_replaced() -> None:
    """A variable's name stays unchanged even if it contains the value of another variable."""
    hiding = ValueHiding(
        "erp",
        {"long-password": "erp_password", "password": "erp_realm", "erp_": "erp_prefix"},
    )

    assert "{{erp_realm}}: {{erp_password}}" == hiding.text("password: long-password")
    assert {"erp_realm", "erp_password"} == hiding.used
