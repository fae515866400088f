"""Stored data about a person (the subject) is found, exported and erased in every store."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncSubjects,
    Credentials,
    InvalidData,
    LogQuery,
    Request,
    Subjects,
    WebhookInbox,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger
from moorage.contracts.storage import PutOptions
from moorage.domain.observation.integration_log import IntegrationLog, IntegrationStatus, LogPage
from moorage.hub.inbox import EntryQuery
from moorage.services.subjects import SubjectsFlows, SubjectStore
from tests.entries.shop import CHARGE, Shop
from tests.support.virtual_tasks import run_plain

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.contracts.payments.events import PaymentEvent

ADA, BOB = "customer-ada", "customer-bob"


def person_of(event: PaymentEvent) -> str | None:
    """Return the person that a payment event is about."""
    assert event.payment is not None
    return {"INV-1": ADA, "INV-2": BOB}.get(event.payment.reference or "")


@pytest.fixture(name="shop", params=[False, True], ids=["sync", "async"])
def _shop(request: pytest.FixtureRequest) -> Shop:
    """Return a shop at which two people have bought something."""
    shop = Shop(is_async=request.param, subject=person_of)
    for number, subject in enumerate((ADA, BOB), 1):
        notice = shop.webhook_of_payment(f"INV-{number}")
        shop.do(shop.inbox.receive, "stripe", **notice.arguments())
        shop.do(shop.outbox.put, "payments", "charge", CHARGE, subject=subject, tenant="acme")
    shop.do(shop.outbox.deliver, shop.hub)
    return shop


def subjects(shop: Shop, *, everything: bool = True) -> Any:
    """Return the API for personal data, over all stores of the shop or over its log only."""
    is_plain = isinstance(shop.inbox, WebhookInbox)
    log: Any = shop.log if is_plain else AsyncMemoryIntegrationLogger(shop.log)
    entry_boxes = {"inbox": shop.inbox, "outbox": shop.outbox} if everything else {}
    return (Subjects if is_plain else AsyncSubjects)(log=log, **entry_boxes)


def test_finds_all_data_of_a_subject(shop: Shop) -> None:
    """All stored data about one subject is found, and no data about others."""
    result = shop.do(subjects(shop).find, subject=ADA)
    assert [1, 1, 1] == [len(result.log), len(result.inbox), len(result.outbox)]
    assert {ADA} == {item.subject for item in (*result.log, *result.inbox, *result.outbox)}
    tenant_data = shop.do(subjects(shop).find, tenant="acme")
    assert (0, 2) == (len(tenant_data.inbox), len(tenant_data.outbox))
    assert (1, 1) == (
        len(tenant_data.log) // 2,
        len(shop.do(subjects(shop).find, tenant="acme", subject=ADA).outbox),
    )


def test_stored_data_of_subject_is_found_even_if_it_fills_several_pages(shop: Shop) -> None:
    """Stored data about a subject is found even if it fills several pages."""
    for _ in range(501):
        shop.do(shop.outbox.put, "payments", "charge", CHARGE, subject=ADA)
    assert 502 == len(shop.do(subjects(shop).find, subject=ADA).outbox)


def test_export_has_the_content_of_webhooks_and_calls(shop: Shop) -> None:
    """The exported JSON has the content of webhooks and calls."""
    options = PutOptions(metadata={"a": "b"})
    shop.do(shop.outbox.put, "storage", "upload", "a.txt", b"\xffx", options, subject=ADA)
    shop.do(shop.outbox.put, "storage", "delete_many", {"b.txt", "a.txt"}, subject=ADA)
    fields = json.loads(shop.do(subjects(shop).export, subject=ADA))
    assert ["log", "inbox", "outbox"] == list(fields)
    (webhook,) = fields["inbox"]
    assert "INV-1" == webhook["said"][0]["data"]["object"]["metadata"]["reference"]
    multi_file_entry, upload, charge = fields["outbox"]
    assert [["a.txt", "b.txt"]] == multi_file_entry["values"]
    assert {"minor": 14990, "currency": "EUR"} == charge["values"][0]["amount"]
    assert ["a.txt", "\ufffdx"] == upload["values"][:2]
    assert "done" == charge["state"]
    assert "2030-01-01T00:00:00+00:00" == charge["added_at"]
    assert "success" == fields["log"][0]["status"]
    for item in (webhook, charge):
        assert {"content", "reply"}.isdisjoint(item)


def test_exported_request_has_the_arguments_of_its_constructor(shop: Shop) -> None:
    """An exported request has the arguments of its constructor and nothing else."""
    request = Request.get("/rates", headers={"Accept": "text/csv"})
    shop.do(shop.outbox.put_request, "vat", request, subject="eve")
    (call,) = json.loads(shop.do(subjects(shop).export, subject="eve"))["outbox"]
    assert {"pairs": [["Accept", "text/csv"]]} == call["values"][1]["headers"]


def test_export_is_indented_json_with_unescaped_letters() -> None:
    """The export is indented JSON with unescaped non-ASCII letters and no Python notation."""
    requests: list[LogQuery] = []

    async def find(query: LogQuery) -> LogPage:
        requests.append(query)
        next_page = "1" if query.after is None else None
        return LogPage(items=(entry_of_ada,), next=next_page)

    async def remove(query: LogQuery) -> int:
        raise AssertionError(query)

    fields = {"city": "Köln", "price": Decimal("1.50"), "several": {2, None, "1"}}
    entry_of_ada = IntegrationLog(
        id="1",
        service="vat",
        status=IntegrationStatus.SUCCESS,
        started_at=datetime(2030, 1, 1, tzinfo=UTC),
        duration=0.1,
    )
    place = SubjectStore(find=find, remove=remove, query=LogQuery, shown=lambda _: fields)

    exported_json = run_plain(
        SubjectsFlows({"log": place}, None).export(subject=ADA, tenant="acme")
    )

    lines = [
        "{",
        '  "city": "Köln",',
        '  "price": "1.50",',
        '  "several": [',
        '    "1",',
        "    2,",
        "    null",
        "  ]",
        "}",
    ]
    entry_lines = ",\n".join(["\n".join(f"    {line}" for line in lines)] * 2)
    assert f'{{\n  "log": [\n{entry_lines}\n  ]\n}}' == exported_json
    assert [(ADA, "acme", 500, None), (ADA, "acme", 500, "1")] == [
        (request.subject, request.tenant, request.limit, request.after) for request in requests
    ]


def test_erasing_one_subject_removes_all_its_data(shop: Shop) -> None:
    """Erasing one subject removes all data about the subject, and no other data."""
    erased_counts = shop.do(subjects(shop).erase, subject=ADA)
    assert (1, 1, 1) == (erased_counts.log, erased_counts.inbox, erased_counts.outbox)
    result = shop.do(subjects(shop).find, subject=ADA)
    assert ((), (), ()) == (result.log, result.inbox, result.outbox)
    assert 1 == len(shop.do(subjects(shop).find, subject=BOB).inbox)
    assert 1 == len(shop.do(shop.outbox.find, EntryQuery()).items)


def test_data_of_one_tenant_can_be_exported_and_erased_alone(shop: Shop) -> None:
    """One tenant's data can be exported and erased without affecting other tenants."""
    shop.do(shop.outbox.put, "payments", "charge", CHARGE, subject=ADA, tenant="globex")
    fields = json.loads(shop.do(subjects(shop).export, subject=ADA, tenant="globex"))
    assert ["globex"] == [field["tenant"] for field in fields["outbox"]]

    assert 1 == shop.do(subjects(shop).erase, tenant="globex").outbox
    assert 2 == len(shop.do(subjects(shop).find, tenant="acme").outbox)
    assert 0 == shop.do(subjects(shop).erase, subject=ADA, tenant="globex").outbox
    assert 2 == len(shop.do(shop.inbox.find, EntryQuery()).items)


def test_personal_data_api_works_without_optional_stores(shop: Shop) -> None:
    """The API for personal data works without the stores that it is not given."""
    result = shop.do(subjects(shop, everything=False).find, subject=ADA)
    assert (1, ()) == (len(result.log), result.inbox)
    assert 1 == shop.do(subjects(shop, everything=False).erase, subject=ADA).log
    assert {} == json.loads(shop.do(type(subjects(shop))().export, subject=ADA))


@pytest.mark.parametrize("method_name", ["find", "export", "erase"])
def test_search_without_subject_or_tenant_is_refused(shop: Shop, method_name: str) -> None:
    """A search, export or erasure needs a subject or a tenant; with neither it is refused."""
    with pytest.raises(InvalidData, match="everybody") as excinfo:
        shop.do(getattr(subjects(shop), method_name))
    assert "subject" == excinfo.value.field
    assert "Pass a subject, a tenant, or both" in excinfo.value.remedy
    assert shop.log.find(LogQuery()).items


def test_api_of_each_contract_stores_the_subject_of_a_call(shop: Shop) -> None:
    """The API of each contract stores the subject of a call, and refuses an invalid subject."""
    hub = shop.hub
    manager = hub.manager
    for contract_api in (hub.email, hub.payments, hub.sms, hub.storage, hub.shipping):
        with pytest.raises(InvalidData) as excinfo:
            contract_api(subject="")
        assert "subject" == excinfo.value.field
    with pytest.raises(InvalidData, match="subject"):
        shop.do(manager.run, "stripe", lambda: 1, subject="")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_export_of_a_tenant_lists_its_credentials(
    tmp_path: Path,
    is_async: bool,
) -> None:
    """The export of a tenant lists its credentials; the export of a subject lists none."""
    options = tmp_path / "credentials.db", AesGcmCipher(generate_keys())
    stored_provider = SqliteCredentialProvider(*options)
    for tenant in ("acme", "globex", None):
        stored_provider.rotate("vat", tenant, Credentials.bearer("hidden"))
    subjects_class: Any = AsyncSubjects if is_async else Subjects
    vault: Any = AsyncSqliteCredentialProvider(*options) if is_async else stored_provider
    flows = subjects_class(credentials=vault)

    def do(method_name: Any, **person_of: str) -> Any:
        return asyncio.run(method_name(**person_of)) if is_async else method_name(**person_of)

    assert {"credentials": ["vat"]} == json.loads(do(flows.export, tenant="acme"))
    assert ("vat",) == do(flows.find, tenant="acme").credentials
    assert () == do(flows.find, tenant="acme", subject=ADA).credentials
    assert {"credentials": []} == json.loads(do(flows.export, tenant="acme", subject=ADA))
    assert 0 == do(flows.erase, tenant="acme", subject=ADA).credentials
    assert 1 == do(flows.erase, tenant="acme").credentials
    assert [("vat", None), ("vat", "globex")] == stored_provider.owners()


def test_entry_that_cannot_be_decrypted_is_exported_with_the_reason(shop: Shop) -> None:
    """An entry that cannot be decrypted is exported with the reason."""
    result = shop.do(subjects(shop).find, subject=ADA)
    (broken_entry,) = result.outbox

    def open_or_refuse(entry: Any) -> dict[str, Any]:
        if entry is broken_entry:
            raise InvalidData(
                "the content cannot be decrypted.", field="content", remedy="Find the key."
            )
        return {"fine": entry.id}

    async def find(_: object) -> Any:
        return LogPage(items=(broken_entry, *result.log), next=None)

    async def remove(_: object) -> int:
        raise AssertionError

    place = SubjectStore(find=find, remove=remove, query=EntryQuery, shown=open_or_refuse)
    exported_data = json.loads(
        run_plain(SubjectsFlows({"outbox": place}, None).export(subject=ADA))
    )

    first, *other_exports = exported_data["outbox"]
    assert (broken_entry.id, broken_entry.operation) == (first["id"], first["operation"])
    assert first["unreadable"].startswith("InvalidData: the content cannot be decrypted.")
    assert [{"fine": item.id} for item in result.log] == other_exports


def test_keys_of_every_kind_are_written(shop: Shop) -> None:
    """In an export, keys of a mapping that are not strings are converted to strings."""
    fields = {7: "a", None: "b", (1, "ö"): "c", Decimal("1.5"): "d", IntegrationStatus.SUCCESS: "e"}

    async def find(_: object) -> Any:
        return LogPage(items=tuple(shop.do(subjects(shop).find, subject=ADA).log), next=None)

    async def remove(_: object) -> int:
        raise AssertionError

    (one, *_) = run_plain(find(None)).items
    place = SubjectStore(find=find, remove=remove, query=LogQuery, shown=lambda _: {"kept": fields})
    exported_data = json.loads(
        run_plain(SubjectsFlows({"log": place}, None).export(subject=one.subject))
    )

    expected = {"7": "a", "null": "b", '[1, "ö"]': "c", "1.5": "d", "success": "e"}
    assert expected == exported_data["log"][0]["kept"]
