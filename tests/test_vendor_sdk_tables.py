"""The tables that a vendor is declared with: options, services, operations, responses, errors."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import vendor_sdk as sdk
from tests.vendors.sms_subjects import Refs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REFS: Any = Refs("reef")


class State(StrEnum):
    """The states of the example object."""

    OPEN = "open"
    SHUT = "shut"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class ExampleObject:
    """An example object at the vendor."""

    ref: sdk.Ref
    state: State = State.UNKNOWN
    size: int | None = None
    good: bool | None = None
    at: datetime | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    raw: Any = None


@attrs.frozen(kw_only=True)
class ObjectEvent:
    """An example event about an object."""

    id: str
    ref: sdk.Ref


@attrs.frozen(kw_only=True)
class ObjectRequest:
    """An example request for an object."""

    name: str
    shades: tuple[str, ...] = ()
    extra: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)


THING = sdk.Reading(
    ExampleObject,
    ref=sdk.ref_at("id", "ID"),
    state=sdk.word("state", of=sdk.same(State, "open shut"), otherwise=State.UNKNOWN),
    size=sdk.integer("size"),
    good=sdk.flag("good"),
    at=sdk.time("at"),
    tags=sdk.texts("tags"),
    note=sdk.text("note", "notes.0", none=("none",)),
)


def object_fields(vendor: ExampleVendor, request: ObjectRequest) -> dict[str, Any]:
    """Return the body of a request for an object."""
    return {"name": request.name, "shades": list(request.shades), "owner": vendor.owner, "x": None}


def read_not_found(refusal: sdk.VendorRejected) -> ExampleObject | None:
    """Return a placeholder value for a 404 response, and None for any other error response."""
    return ExampleObject(ref=REFS.ref("none")) if refusal.status == 404 else None


def read_size(ref: sdk.MakeRef, response: sdk.Response) -> tuple[sdk.Ref, int]:
    """Return an object's reference and size from a response that is not a JSON object."""
    return ref("t1"), int(response.body)


def refuse_empty(name: str) -> None:
    """Refuse a request with an empty name."""
    if not name:
        raise sdk.InvalidData("The item has no name.", field="name", remedy="Give one.")


@attrs.frozen(kw_only=True)
class ExampleVendor(sdk.ApiVendor):
    """An example vendor."""

    name = "reef"
    kinds = ("sms",)
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": 10}
    urls: ClassVar[Mapping[str, str]] = {"": "base_url", "files": "files_url"}
    auth = sdk.basic("owner")
    ping_path = "/owners/{owner}"
    ping_query: ClassVar[Mapping[str, Any]] = {"limit": 1}

    owner: str = attrs.field(
        validator=sdk.matches("[a-z/]+", problem="This is no owner.", remedy="Give a name.")
    )
    region: str = sdk.choice("eu", "eu", "us", problem="This is no region.")
    parent: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches("[a-z]+", problem="This is no parent.", remedy="Give a name.")
        ),
    )
    base_url: str = "https://api.reef.example"
    files_url: str = "https://files.reef.example"

    make = sdk.post("/owners/{owner}/things", json=object_fields, reads=THING)
    fill = sdk.post("/things", form=object_fields, reads=THING)
    look = sdk.get("/things/{id}", to="files", query={"full": "yes"}, reads=THING)
    find = sdk.get(
        "/things",
        query=lambda _vendor, name, country: {"name": name, "country": country},
        check=refuse_empty,
        refused=read_not_found,
        reads=THING,
    )
    shut = sdk.put("/things/{id}", json={"state": "shut"}, idempotent=True, reads=THING)
    drop = sdk.delete("/things/{id}", reads=THING)
    measure = sdk.post("/things/{id}/size", reads=read_size)
    event_reading = sdk.Reading(ObjectEvent, supplied=("id",), ref=sdk.ref_at("thing"))

    def settings(self) -> Mapping[str, Any]:
        """Return the settings with the header for the region."""
        return {"headers": {"Region": self.region}}


class OptionlessVendor(sdk.ApiVendor):
    """An example vendor without account options."""

    name = "plain"
    kinds = ("sms",)
    base_url = "https://plain.example"
    idempotency = sdk.VendorKeys(
        memory=60.0, repeat=sdk.RepeatedKey.REPLAYED, documentation="https://x.example", header="K"
    )


class Wire:
    """A fake connection with prepared responses, which records its requests."""

    ref = REFS.ref
    tenant = None

    def __init__(self, answer: sdk.Response | sdk.ConnectorError) -> None:
        self.answer = answer
        self.sent: dict[str, Any] = {}

    async def send(
        self, request: sdk.Request, *, parse: Callable[..., Any] | None = None, **more: Any
    ) -> Any:
        """Record the request, and return the response, parsed if a function is given."""
        self.sent = {"request": request, **more}
        if isinstance(self.answer, sdk.ConnectorError):
            raise self.answer
        return self.answer if parse is None else parse(self.answer)


def json_answer(status: int = 200, **fields: Any) -> sdk.Response:
    """Return a JSON response with the given fields."""
    return sdk.Response(status, body=json.dumps(fields).encode())


REEF = ExampleVendor(owner="a/b")


def test_operation_fills_in_path_and_body() -> None:
    """An operation fills in the path and the body, and parses the response."""
    wire: Any = Wire(json_answer(id="t1", state="open"))
    object_request = ObjectRequest(name="coral", extra={"reef": {"deep": True}, "other": {"a": 1}})

    created_object = asyncio.run(REEF.make(wire, object_request, key="k"))

    request = wire.sent["request"]
    assert ("POST", "/owners/a%2Fb/things") == (request.method.value, request.path)
    assert {"name": "coral", "shades": [], "owner": "a/b", "deep": True} == json.loads(request.body)
    assert {"to": "", "key": "k"} == {name: wire.sent[name] for name in ("to", "key")}
    assert (REFS.ref("t1"), State.OPEN) == (created_object.ref, created_object.state)
    assert {"id": "t1", "state": "open"} == created_object.raw


def test_long_keys_are_shortened() -> None:
    """A key beyond the vendor's length limit is sent as a digest; without a key none is sent."""
    for key, expected in (("k" * 11, sha256(b"\n" + b"k" * 11).hexdigest()), (None, None)):
        wire: Any = Wire(json_answer(id="t1"))
        asyncio.run(REEF.make(wire, ObjectRequest(name="coral"), key=key))
        assert expected == wire.sent["key"]


def test_list_in_a_form_becomes_one_field_per_item() -> None:
    """Each item of a list becomes a separate form field, and None is left out."""
    request = ExampleVendor.fill.request(REEF, ObjectRequest(name="coral", shades=("red", "blue")))

    assert b"name=coral&shades=red&shades=blue&owner=a%2Fb" == request.body
    assert [("yes", "true")] == sdk.form_pairs({"yes": True})


def test_read_operation_sends_no_key() -> None:
    """A read operation sends no key, and puts its argument into the path."""
    wire: Any = Wire(json_answer(ID="t 1", size="3", good=True, tags=["a"], notes=["n"], at=0))

    example_object = asyncio.run(REEF.look(wire, REFS.ref("t 1")))

    assert "/things/t%201" == wire.sent["request"].path
    assert (("full", "yes"),) == tuple(wire.sent["request"].query)
    assert "files" == wire.sent["to"]
    assert "key" not in wire.sent
    assert (3, True, ("a",), "n") == (
        example_object.size,
        example_object.good,
        example_object.tags,
        example_object.note,
    )
    assert datetime(1970, 1, 1, tzinfo=UTC) == example_object.at


def test_function_may_parse_a_response() -> None:
    """A function can parse a response of an operation with or without a key."""
    wire: Any = Wire(sdk.Response(200, body=b"7"))

    assert (REFS.ref("t1"), 7) == asyncio.run(REEF.measure(wire, REFS.ref("t1")))
    assert (REFS.ref("t1"), 7) == asyncio.run(REEF.measure(wire, REFS.ref("t1"), key="k"))


WHEN = sdk.when(sdk.flag("good"), sdk.text("note"), State.SHUT)


@pytest.mark.parametrize(
    "fields, value",
    [
        ({"good": True, "note": "fine"}, "fine"),
        ({"good": False, "note": "fine"}, State.SHUT),
        ({"note": "fine"}, State.SHUT),
    ],
)
def test_conditional_field_takes_one_of_two_values(fields: dict[str, Any], value: object) -> None:
    """A conditional field takes one of two values, each from the response or a constant."""
    assert value == WHEN(sdk.as_answer(fields))


def test_webhook_is_read_by_a_table() -> None:
    """A table turns a webhook into an event; a webhook without an id or a table gives none."""
    webhook = sdk.WebhookEvent(
        vendor="reef", id="e1", type="thing", vendor_type="thing", data={"thing": "t1"}
    )
    foreign_webhook = attrs.evolve(webhook, data={"person": "p1"})

    assert (ObjectEvent(id="e1", ref=REFS.ref("t1")),) == REEF.events(webhook, REFS.ref)
    assert () == REEF.events(foreign_webhook, REFS.ref)
    assert () == OptionlessVendor().events(webhook, REFS.ref)
    assert (REFS.ref("e1"),) == OAuthExample().events(webhook, REFS.ref)


def test_expected_refusal_becomes_a_value() -> None:
    """A refusal that the operation expects becomes a value; other refusals are raised."""
    missing_wire: Any = Wire(sdk.VendorRejected("No.", status=404))
    refusing_wire: Any = Wire(sdk.VendorRejected("No.", status=409))

    assert REFS.ref("none") == asyncio.run(REEF.find(missing_wire, "x", country=None)).ref
    with pytest.raises(sdk.VendorRejected):
        asyncio.run(REEF.find(refusing_wire, "x", country="DE"))
    with pytest.raises(sdk.VendorRejected):
        asyncio.run(REEF.look(refusing_wire, "x"))
    assert (("name", "x"), ("country", "DE")) == tuple(wrong_query(REEF))
    with pytest.raises(sdk.InvalidData, match="has no name"):
        ExampleVendor.find.request(REEF, "", country=None)


def wrong_query(vendor: ExampleVendor) -> Any:
    """Return the query parameters of a search."""
    return ExampleVendor.find.request(vendor, "x", country="DE").query


def test_put_and_delete_requests_use_their_method() -> None:
    """PUT and DELETE requests use their method, and a request can be marked as repeatable."""
    shut = ExampleVendor.shut.request(REEF, "t1")

    assert ("PUT", True, b'{"state":"shut"}') == (shut.method.value, shut.idempotent, shut.body)
    assert "DELETE" == ExampleVendor.drop.request(REEF, "t1").method.value


@pytest.mark.parametrize(
    "rows, message",
    [
        ({"ref": sdk.ref_at("id"), "statsu": sdk.text("s")}, "ExampleObject has no field statsu"),
        ({"ref": sdk.ref_at("id"), "supplied": ("colour",)}, "ExampleObject has no field colour"),
        ({"state": State.OPEN}, "ExampleObject needs the field ref"),
    ],
)
def test_response_table_with_wrong_fields_is_refused_at_once(
    rows: dict[str, Any], message: str
) -> None:
    """A response table with an unknown field, or without a required one, is refused at once."""
    with pytest.raises(TypeError, match=message):
        sdk.Reading(ExampleObject, **rows)


def test_response_without_a_required_id_raises_error() -> None:
    """A response without a required id is an error; an event without it is skipped."""
    with pytest.raises(sdk.VendorFailed, match="has no id"):
        THING.parse(REFS.ref, json_answer(state="open"))
    assert () == THING.parse_if_complete(REFS.ref, sdk.as_answer({}))
    assert (REFS.ref("1"),) == tuple(
        x.ref for x in THING.parse_if_complete(REFS.ref, sdk.as_answer({"id": 1}))
    )


def money_of(text: str) -> sdk.Money:
    """Return an amount in euros, or raise `InvalidData`."""
    return sdk.Money(text, "EUR")


@attrs.frozen
class Price:
    """A value whose constructor refuses some texts."""

    amount: sdk.Money = attrs.field(converter=money_of)


@attrs.frozen(kw_only=True)
class ExampleValue:
    """An example value that contains other values."""

    price: Price
    label: Price | None = None
    things: tuple[ExampleObject, ...] = ()
    scan: bytes | None = None


PRICE = sdk.Reading(Price, amount=sdk.needed(sdk.text("amount"), "amount"))
VALUE_READING = sdk.Reading(
    ExampleValue,
    price=sdk.nested("price", PRICE),
    label=sdk.nested("label", PRICE),
    things=sdk.each("things", THING),
    scan=sdk.base64("scan"),
)


def test_response_table_reads_nested_values() -> None:
    """A response table can contain tables for nested values, lists of them, and decoded bytes."""
    things = [{"id": "t1"}, {"state": "open"}, "no object"]
    price = {"amount": "1.50"}

    shelf = VALUE_READING.parse(
        REFS.ref, json_answer(price=price, label=price, things=things, scan="YQ==")
    )

    assert (Price("1.50"), Price("1.50"), b"a") == (shelf.price, shelf.label, shelf.scan)
    assert [REFS.ref("t1")] == [thing.ref for thing in shelf.things]


@pytest.mark.parametrize("scan", ["", "?", None, 7])
def test_nested_values_may_be_missing(scan: object) -> None:
    """A nested value that is missing or refused is read as None, and a missing list as empty."""
    answer = json_answer(price={"amount": "1"}, label={"amount": "much"}, things={}, scan=scan)

    assert ExampleValue(price=Price("1")) == VALUE_READING.parse(REFS.ref, answer)


def test_value_that_the_class_refuses_raises_error() -> None:
    """A response with a value that the class refuses raises an error; such an event is skipped."""
    with pytest.raises(sdk.VendorFailed, match="has no amount"):
        PRICE.parse(REFS.ref, json_answer(amount="much"))
    assert () == PRICE.parse_if_complete(REFS.ref, sdk.as_answer({"amount": "much"}))


def test_response_without_a_required_nested_value_raises_error() -> None:
    """A response without a required nested value raises an error, which names the value."""
    with pytest.raises(sdk.VendorFailed, match="has no price"):
        VALUE_READING.parse(REFS.ref, json_answer(price={"amount": "much"}))


def test_operation_passes_all_arguments_to_the_function_for_its_body() -> None:
    """An operation passes its further arguments to the function that creates its body."""

    def body(_: ExampleVendor, ref: sdk.Ref, note: str | None) -> dict[str, Any]:
        return {"of": ref.id, "note": note}

    rename = sdk.post("/things/{id}", json=body, reads=THING)
    wire: Any = Wire(json_answer(id="t1"))

    asyncio.run(rename.__get__(REEF, ExampleVendor)(wire, REFS.ref("t1"), "new", key="k"))

    assert "/things/t1" == wire.sent["request"].path
    assert {"of": "t1", "note": "new"} == json.loads(wire.sent["request"].body)


def test_response_table_takes_fields_from_the_caller_and_constants() -> None:
    """A response table takes some fields from the caller and some from constants."""
    reading = sdk.Reading(
        ExampleObject,
        supplied=("note",),
        ref=sdk.ref_at(row=lambda fields: fields.text("id"), name="id"),
        state=State.SHUT,
        raw=lambda fields: fields.text("id"),
    )

    thing = reading.parse(REFS.ref, json_answer(id="t1"), note="given")

    assert ("given", State.SHUT, "t1") == (thing.note, thing.state, thing.raw)
    assert (
        "none"
        == sdk.Reading(ExampleObject, ref=sdk.ref_at("id"), note=sdk.text("n"))
        .parse(REFS.ref, json_answer(id="1", n="none"))
        .note
    )
    assert THING.parse(REFS.ref, json_answer(id="1", note="none")).note is None


def test_account_has_a_service_for_each_url() -> None:
    """An account has a service for each URL, with its secret, settings and error classes."""
    services = attrs.evolve(REEF, credentials="s3cret").services()

    assert {"": "https://api.reef.example", "files": "https://files.reef.example"} == {
        name: service.base_url for name, service in services.items()
    }
    assert {sdk.Credentials.basic("a/b", "s3cret")} == {
        service.credentials for service in services.values()
    }
    assert {"eu"} == {service.headers["Region"] for service in services.values()}
    assert REEF.services()[""].needs_credentials
    assert sdk.Request.get("/owners/a%2Fb", query={"limit": 1}) == REEF.ping()


def test_account_without_options_has_one_service_with_a_bearer_token() -> None:
    """By default an account has one service, a bearer token and no ping."""
    service = OptionlessVendor(credentials="s3cret").services()[""]

    assert sdk.Credentials.bearer("s3cret") == service.credentials
    assert ("K", True) == (service.idempotency_header, service.idempotency_replays)
    assert OptionlessVendor().ping() is None
    assert sdk.Credentials.api_key("s", header="X") == sdk.api_key("X")(REEF, sdk.Secret("s"))
    in_query = sdk.query_key("x", documentation="https://reef.example/docs")
    assert sdk.Credentials.api_key("s", query="x") == in_query(REEF, sdk.Secret("s"))


@pytest.mark.parametrize(
    "options, message, path, remedy",
    [
        ({"owner": "A"}, "This is no owner", "owner", "Give a name"),
        ({"owner": 1}, "This is no owner", "owner", "Give a name"),
        ({"owner": "a", "region": "as"}, "This is no region", "region", "Use eu or us"),
        ({"owner": "a", "region": 1}, "This is no region", "region", "Use eu or us"),
        ({"owner": "a", "parent": ""}, "This is no parent", "parent", "Give a name"),
        ({"owner": None}, "This is no owner", "owner", "Give a name"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], message: str, path: str, remedy: str
) -> None:
    """A wrong vendor option is refused, and the error names it with a remedy."""
    with pytest.raises(sdk.ConfigurationError, match=message) as excinfo:
        ExampleVendor(**options)
    assert path == excinfo.value.path
    assert remedy in str(excinfo.value.remedy)


def test_account_option_with_default_none_accepts_none() -> None:
    """An account option whose default is None accepts None."""
    assert ExampleVendor(owner="a", parent=None).parent is None
    assert REEF.parent is None
    assert "ab" == ExampleVendor(owner="a", parent="ab").parent


def test_text_is_split_into_a_set_of_words() -> None:
    """A text with any number of lines is split into a set of words."""
    assert sdk.word_set("a b\n c") == {"a", "b", "c"}


def test_members_are_listed_by_value() -> None:
    """The members of an enumeration are listed by their values; a wrong value is refused."""
    assert sdk.members_of(State, "open shut") == {State.OPEN, State.SHUT}
    with pytest.raises(ValueError, match="'ajar' is not a valid State"):
        sdk.members_of(State, "open ajar")


def test_words_turns_text_with_several_codes_into_table_for_one_meaning() -> None:
    """`words` turns a text with several codes into a table that gives all of them one meaning."""
    assert {"a": 1, "b": 1} == sdk.words(1, "a b")
    assert {"open": State.OPEN} == sdk.same(State, "open")
    assert {word.value: word for word in State} == sdk.same(State)


REFUSALS = sdk.Refusals(
    vendor="Reef",
    codes_at={400: {"c1": sdk.VendorFailed}},
    codes={"c1": sdk.RateLimitExceeded},
    reading={403: sdk.AuthenticationFailed},
    statuses={400: sdk.InvalidRequest},
    left=frozenset({408}),
    mask=lambda text: text.replace("7", "*"),
)
GET, POST = sdk.Request.get("/"), sdk.Request.post("/")


@pytest.mark.parametrize(
    "request_, status, fields, expected",
    [
        (POST, 400, {"code": "c1"}, sdk.VendorFailed),
        (POST, 402, {"code": "c1"}, sdk.RateLimitExceeded),
        (POST, 400, {"message": "no"}, sdk.InvalidRequest),
        (GET, 403, {"message": "no"}, sdk.AuthenticationFailed),
        (POST, 403, {"message": "no"}, sdk.VendorRejected),
        (GET, 404, {"message": "no"}, sdk.VendorRejected),
    ],
)
def test_first_matching_error_table_decides_the_error_class(
    request_: sdk.Request, status: int, fields: dict[str, str], expected: type
) -> None:
    """The first error table that contains the code or status decides the error class."""
    assert expected is type(REFUSALS(request_, json_answer(status, **fields)))


@pytest.mark.parametrize(
    "status, fields",
    [(200, {"code": "c1"}), (500, {"code": "c1"}), (408, {"code": "c1"}), (400, {})],
)
def test_successes_and_server_errors_are_not_refusals(status: int, fields: dict[str, str]) -> None:
    """Successes, server errors, excluded statuses and responses without text are not refusals."""
    assert REFUSALS(POST, json_answer(status, **fields)) is None


def test_response_without_a_code_is_no_refusal_if_all_refusals_have_one() -> None:
    """If all of a vendor's refusals have a code, a response without one is not a refusal."""
    coded_refusals = attrs.evolve(REFUSALS, needs_code=True)

    assert coded_refusals(POST, json_answer(400, message="no")) is None
    assert coded_refusals(POST, json_answer(400, code="c2")) is not None


def test_field_of_the_caller_may_have_the_name_of_a_table_argument() -> None:
    """A field that the caller supplies may have the name of a table argument, such as `ref`."""
    reading = sdk.Reading(ObjectEvent, supplied=("id", "ref"))
    ref = REFS.ref("t2")

    assert (ObjectEvent(id="e1", ref=ref),) == reading.parse_if_complete(
        REFS.ref, sdk.as_answer({}), id="e1", ref=ref
    )


def test_http_statuses_have_their_usual_error_classes() -> None:
    """Each HTTP status in the table has its error class, and 429 is always a rate-limit error."""
    limit, login = {429: sdk.RateLimitExceeded}, sdk.AuthenticationFailed

    assert {400: sdk.InvalidRequest, 401: login, **limit} == sdk.error_statuses("400")
    assert {
        **dict.fromkeys((400, 422), sdk.InvalidRequest),
        **dict.fromkeys((401, 403), login),
        **limit,
    } == sdk.error_statuses("400 422", login="401 403")


def test_error_of_a_refusal_has_masked_message_code_and_response() -> None:
    """A refusal's error has the masked message, the code and the response."""
    error: Any = REFUSALS(POST, json_answer(402, code="c1", message="no 7"))

    assert "Reef refused: no *" in str(error)
    assert ("c1", "no *", 402, True) == (
        error.vendor_code,
        error.vendor_message,
        error.status,
        error.by_vendor,
    )
    assert "refused: 409" in str(
        sdk.refusal(sdk.VendorRejected, "Reef", json_answer(409), None, None, otherwise=409)
    )


def test_message_of_a_refusal_is_unchanged_without_a_mask() -> None:
    """Without a mask, the vendor's message is kept unchanged."""
    error: Any = sdk.Refusals(vendor="Reef")(POST, json_answer(402, message="no 7"))

    assert "no 7" == error.vendor_message


def test_long_refusal_message_is_shortened() -> None:
    """A long refusal message is shortened, and an empty one is None."""
    assert sdk.masked_words("") is None
    assert sdk.masked_words(None) is None
    assert f"{'word ' * 60}…" == sdk.masked_words("word " * 100)


@attrs.frozen(kw_only=True)
class OAuthExample(sdk.OAuthVendor):
    """An example vendor with client credentials and an option for the shop."""

    name = "lagoon"
    kinds = ("sms",)
    oauth_path = "/oauth/token"
    oauth_scope = "read write"
    oauth_authentication = sdk.ClientAuthentication.POST
    oauth_options = ("client_id", "client_secret", "shop")
    event_reading = staticmethod(lambda event, ref: (ref(event.id),))

    shop: str | None = None
    base_url: str = "https://api.lagoon.example/v1/"


@attrs.frozen(kw_only=True)
class ExampleByUrl(sdk.ApiVendor):
    """An example vendor whose test system has its own URL."""

    name = "atoll"
    kinds = ("sms",)
    modes = sdk.url_modes(
        live="https://api.atoll.", test="https://api.atoll.test", option="shop_url"
    )

    shop_url: str = "https://api.atoll.example"


@attrs.frozen(kw_only=True)
class ExampleByKey(sdk.ApiVendor):
    """An example vendor whose keys show whether an account is live or for tests."""

    name = "atoll"
    kinds = ("sms",)
    modes = sdk.key_modes(live=("live_", "old_"), test=("test_",))

    base_url: str = "https://api.atoll.example"


@pytest.mark.parametrize(
    "vendor, mode",
    [
        (ExampleByUrl(), sdk.Mode.LIVE),
        (ExampleByUrl(shop_url="https://api.atoll.test/v1"), sdk.Mode.TEST),
        (ExampleByUrl(shop_url="http://localhost"), None),
        (ExampleByKey(credentials=sdk.Secret("old_1")), sdk.Mode.LIVE),
        (ExampleByKey(credentials=sdk.Secret("test_1")), sdk.Mode.TEST),
        (ExampleByKey(credentials=sdk.Secret("1")), None),
        (ExampleByKey(), None),
        (OAuthExample(), None),
    ],
)
def test_url_or_secret_of_an_account_shows_its_mode(
    vendor: sdk.Vendor, mode: sdk.Mode | None
) -> None:
    """An account's URL or secret shows whether it is live or for tests, if the vendor says how."""
    assert vendor.mode() is mode


def test_vendor_without_credentials_is_an_http_vendor() -> None:
    """By default, an HTTP vendor has no credentials of its own."""
    assert sdk.HttpVendor().static_credentials() is None


def test_oauth_vendor_has_a_client_if_the_account_has_credentials() -> None:
    """An OAuth vendor gets an OAuth client only if its account has credentials."""
    client = OAuthExample(client_id="c", client_secret="s", shop="x").clients()[""]
    service = OAuthExample().services()[""]

    assert "https://api.lagoon.example/v1/oauth/token" == client.server.token_endpoint
    assert ("c", ("read", "write")) == (client.client_id, client.scope)
    assert sdk.ClientAuthentication.POST is client.authentication
    assert {} == OAuthExample().clients()
    assert (True, None) == (service.needs_credentials, service.credentials)


@pytest.mark.parametrize("missing", OAuthExample.oauth_options)
def test_account_with_incomplete_oauth_options_is_refused(missing: str) -> None:
    """An account with only some of the options is refused, and the error names a missing one."""
    options = {name: "x" for name in OAuthExample.oauth_options if name != missing}

    with pytest.raises(
        sdk.ConfigurationError, match=f"together, and {missing} is missing"
    ) as excinfo:
        OAuthExample(**options)
    assert missing == excinfo.value.path
