"""Checks that every CRM vendor must pass.

Each check takes a function that makes a new `CrmSubject`: the vendor, its sandbox, and facts that
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`. They contain
the checks of every contract.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from moorage.contracts.crm import (
    CrmCapability,
    CrmCompany,
    CrmCompanyQuery,
    CrmPerson,
    CrmPersonQuery,
    DealState,
)
from moorage.contracts.ref import Ref
from moorage.contracts.value_codec import pack, unpack
from moorage.domain.values.money import Money
from moorage.errors import (
    AlreadyExists,
    ConnectionFailed,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    VendorFailed,
)
from moorage.testing.kits import contract_conformance
from moorage.testing.kits._contract_harness import through_async_hub, through_hub
from moorage.testing.kits.checks import require
from moorage.testing.kits.contract_conformance import ContractSubject, DeclaredHarness
from moorage.testing.sandbox_scenarios.crm import ada, harbour, offer, paid
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.crm import CrmCompanyRecord, CrmPersonRecord, CrmReceipt, DealRecord
    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.crm.base import CrmSandbox, StoredRecord

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "CrmSubject", "Factory"]

_KEY: Final = "customer-1815"
_HOSTILE: Final = (
    "x' OR Name != '",
    'x" or name eq "a',
    "a/../b?idProperty=email&x=1",
    "50 % & more + #1",
    "back\\slash",
)
"""Values that would change the meaning of a path, a query or a filter if they were not escaped."""
_AMOUNTS: Final = (
    Money("0.01", "EUR"),
    Money("123456789.99", "USD"),
    Money("1500", "JPY"),
    Money("0.001", "KWD"),
    Money("0", "EUR"),
)


@attrs.frozen(kw_only=True)
class CrmSubject(ContractSubject):
    """A CRM vendor to check, with its sandbox.

    Attributes:
        contract: the name of the contract.
        requests: arguments of operations, each with fields of the body that must be sent. A path
            such as "properties.email" names a field of an object, and a number an entry of a list.
        answers: operations with a successful response, each with fields that must be read from it.
        unreadable: operations with a successful response that must not count as a success.
    """

    contract: str = "crm"
    requests: tuple[tuple[str, tuple[Any, ...], Mapping[str, Any]], ...]
    answers: tuple[tuple[str, tuple[Any, ...], Response, Mapping[str, Any]], ...]
    unreadable: tuple[tuple[str, tuple[Any, ...], Response], ...]


class Harness(DeclaredHarness):
    """A CRM vendor under test, with its hub and sandbox."""

    subject: CrmSubject

    @property
    def crm(self) -> CrmSandbox:
        """The vendor's sandbox."""
        return cast("CrmSandbox", self.sandbox)

    def stored(self, type_: str) -> list[StoredRecord]:
        """Return the stored records of a type."""
        return list(self.crm.records(type_))

    async def person(self, *, key: str | None = None, **fields: Any) -> CrmReceipt:
        """Save a person with these fields."""
        receipt: CrmReceipt = await self("save_person", ada(**fields), idempotency_key=key)
        return receipt

    async def company(self, **fields: Any) -> CrmReceipt:
        """Save a company with these fields."""
        receipt: CrmReceipt = await self("save_company", harbour(**fields))
        return receipt

    async def deal(self, **fields: Any) -> CrmReceipt:
        """Save a deal with these fields, by default at the first open stage."""
        stage = fields.pop("stage", self.crm.stages[0])
        receipt: CrmReceipt = await self("save_deal", offer(stage, **fields))
        return receipt


Factory: TypeAlias = Callable[[], CrmSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def a_person_is_saved_once(make: Open) -> None:
    """A second call with the same reference updates the person, and keeps fields without value."""
    async with make() as harness:
        company = await harness.company()
        first = await harness.person(phone="+49 431 1", title="Analyst", company=company.ref)
        second = await harness.person(family_name="King", email=None, given_name=None)
        require(first.ref == second.ref, "A second call saved another person.")
        require(first.created is not False, "A new person is reported as updated.")
        require(second.created is not True, "An updated person is reported as new.")
        require(first.raw, "The receipt lacks the vendor's response.")
        (stored,) = harness.stored("person")
        require(stored.id == first.ref.id, "The reference is not of the person.")
        person: CrmPersonRecord = await harness("get_person", first.ref)
        expected = {
            "ref": first.ref,
            "family_name": "King",
            "given_name": "Ada",
            "reference": "C-1815",
            "email": "ada@example.com",
            "phone": "+49 431 1",
            "title": "Analyst",
            "companies": (company.ref,),
        }
        _require_fields(person, expected, "A person")


async def a_person_is_matched_by_email(make: Open) -> None:
    """A person without a reference is matched by the email address."""
    async with make() as harness:
        if CrmCapability.MATCH_EMAIL not in harness.capabilities:
            return
        first = await harness.person(reference=None)
        second = await harness.person(reference=None, family_name="King")
        require(first.ref == second.ref, "A second call saved another person.")
        other = await harness.person(reference=None, email="grace@example.com")
        require(other.ref != first.ref, "Another email address changed the same person.")
        person: CrmPersonRecord = await harness("get_person", first.ref)
        require(person.family_name == "King", "The person was not updated.")


async def a_taken_email_is_refused(make: Open) -> None:
    """A person with another person's email address raises AlreadyExists, and changes nothing."""
    async with make() as harness:
        first = await harness.person()
        second_person = harness.person(reference="C-2", family_name="Other")
        await harness.refused(AlreadyExists, second_person, "A person with a taken address")
        require(len(harness.stored("person")) == 1, "A second person was saved.")
        person: CrmPersonRecord = await harness("get_person", first.ref)
        require(person.family_name == "Lovelace", "The first person was changed.")


async def a_company_is_saved_once(make: Open) -> None:
    """A second call with the same reference updates the company."""
    async with make() as harness:
        first = await harness.company(website="harbour.example", phone="+49 431 2")
        second = await harness.company(name="Harbour GmbH")
        other = await harness.company(reference="C-2")
        require(first.ref == second.ref, "A second call saved another company.")
        require(other.ref != first.ref, "Another reference changed the same company.")
        company: CrmCompanyRecord = await harness("get_company", first.ref)
        expected = {
            "ref": first.ref,
            "name": "Harbour GmbH",
            "reference": "C-1042",
            "website": "harbour.example",
            "phone": "+49 431 2",
        }
        _require_fields(company, expected, "A company")


async def a_deal_is_saved_once(make: Open) -> None:
    """A second call with the same reference updates the deal; its links and amount are read."""
    async with make() as harness:
        company = await harness.company()
        links: dict[str, Ref] = {"company": company.ref}
        if CrmCapability.DEAL_PEOPLE in harness.capabilities:
            links["person"] = (await harness.person()).ref
        first = await harness.deal(**links)
        second = await harness.deal(name="200 buoys", amount=None, **links)
        require(first.ref == second.ref, "A second call saved another deal.")
        require(len(harness.stored("deal")) == 1, "There are several deals.")
        deal: DealRecord = await harness("get_deal", first.ref)
        expected = {
            "ref": first.ref,
            "name": "200 buoys",
            "reference": "O-7",
            "stage": harness.crm.stages[0],
            "state": DealState.OPEN,
            "closes_on": offer("x").closes_on,
            "amount": Money("1499.90", "EUR"),
            "companies": (company.ref,),
            "people": tuple(links[name] for name in ("person",) if name in links),
        }
        _require_fields(deal, expected, "A deal")


async def amounts_of_deals_are_exact(make: Open) -> None:
    """The amount of a deal keeps all digits and its currency."""
    async with make() as harness:
        for number, amount in enumerate(_AMOUNTS):
            receipt = await harness.deal(reference=f"O-{number}", amount=amount)
            deal: DealRecord = await harness("get_deal", receipt.ref)
            require(deal.amount == amount, f"{amount} is read as {deal.amount}.")


async def a_deal_moves_between_stages(make: Open) -> None:
    """A moved deal has the new stage and its state; a repeat has no further effect."""
    async with make() as harness:
        receipt = await harness.deal()
        states = (DealState.OPEN, DealState.WON, DealState.LOST)
        for stage, state in zip(harness.crm.stages, states, strict=True):
            for _ in range(2):
                moved: CrmReceipt = await harness("move_deal", receipt.ref, stage)
                require(moved.ref == receipt.ref, "The receipt is of another deal.")
            deal: DealRecord = await harness("get_deal", receipt.ref)
            require(deal.stage == stage, f"The stage is read as {deal.stage}.")
            require(deal.state is state, f"A deal at the stage {stage} is {deal.state}.")
            require(deal.amount is not None, "A moved deal lost its amount.")


async def a_note_is_added_to_its_record(make: Open) -> None:
    """A note has its text unchanged, and is linked to its record alone."""
    async with make() as harness:
        text = "Paid <b>late</b> & in full.\nBy card: 5 > 3"
        targets = {
            "person": await harness.person(),
            "company": await harness.company(),
            "deal": await harness.deal(),
        }
        for name, target in targets.items():
            await harness("add_note", target.ref, paid(text))
            note = harness.stored("note")[-1]
            require(note.text == text, f"The note reads {note.text!r}.")
            require(note.links == (target.ref.id,), f"A note on a {name} has other links.")


async def a_key_adds_one_note(make: Open) -> None:
    """An idempotency key adds one note; its use for another note is refused."""
    async with make() as harness:
        ref = (await harness.company()).ref
        notes = [await harness("add_note", ref, paid(), idempotency_key=_KEY) for _ in range(3)]
        require(notes[0] == notes[1] == notes[2], "A repeat returns another note.")
        require(len(harness.stored("note")) == 1, "A key added several notes.")
        other_note = harness("add_note", ref, paid("Sent."), idempotency_key=_KEY)
        await harness.refused(IdempotencyConflict, other_note, "A key for another note")


async def a_lost_note_is_not_added_again(make: Open) -> None:
    """If the response to a note is lost, no repeat with the same key adds a second note."""
    async with make() as harness:
        ref = (await harness.company()).ref
        harness.sandbox.fail(Lost())
        for _ in range(2):
            adding = harness("add_note", ref, paid(), idempotency_key=_KEY)
            try:
                await adding
            except OutcomeUnknown:
                continue
            except ConnectionFailed as error:
                raise AssertionError("A lost note is reported as not sent.") from error
        require(len(harness.stored("note")) == 1, "A repeat added a second note.")


async def a_lost_save_is_repeated_without_a_second_record(make: Open) -> None:
    """After a lost response, the same call succeeds, and there is one record."""
    async with make() as harness:
        for type_, save in (
            ("person", harness.person),
            ("company", harness.company),
            ("deal", harness.deal),
        ):
            harness.sandbox.fail(Lost())
            try:
                await save()
            except (ConnectionFailed, OutcomeUnknown):
                receipt = await save()
                require(receipt.created is not True, f"A repeat reports a new {type_}.")
            require(len(harness.stored(type_)) == 1, f"A repeat saved a second {type_}.")


async def a_lost_save_is_repeated_under_its_key(make: Open) -> None:
    """After a lost response, a repeat with the same key succeeds."""
    async with make() as harness:
        harness.sandbox.fail(Lost())
        try:
            await harness.person(key=_KEY)
        except (ConnectionFailed, OutcomeUnknown):
            await harness.person(key=_KEY)
        require(len(harness.stored("person")) == 1, "A repeat saved a second person.")


async def people_are_found(make: Open) -> None:
    """A person is found by the reference and the email address; another value finds nobody."""
    async with make() as harness:
        ref = (await harness.person()).ref
        await harness.person(reference="C-2", email="grace@example.com")
        for query in (
            CrmPersonQuery(reference="C-1815"),
            CrmPersonQuery(email="ada@example.com"),
        ):
            page = await harness("find_people", query)
            require([person.ref for person in page.items] == [ref], f"{query} finds others.")
            require(page.next is None, "A found person has a further page.")
        missing = (
            *(CrmPersonQuery(reference=value) for value in ("C-9", *_HOSTILE)),
            CrmPersonQuery(email="nobody'x@example.com"),
        )
        for query in missing:
            page = await harness("find_people", query)
            require(page.items == () and page.next is None, f"{query} finds somebody.")


async def companies_are_found(make: Open) -> None:
    """A company is found by the reference and the name; another value finds none."""
    async with make() as harness:
        names = ("Harbour Ltd", *_HOSTILE)
        refs = [
            (await harness.company(name=name, reference=f"C {number}/{name}")).ref
            for number, name in enumerate(names)
        ]
        for number, (name, ref) in enumerate(zip(names, refs, strict=True)):
            for query in (
                CrmCompanyQuery(name=name),
                CrmCompanyQuery(reference=f"C {number}/{name}"),
            ):
                page = await harness("find_companies", query)
                refs_found = [company.ref for company in page.items]
                require(refs_found == [ref], f"{query} finds {len(refs_found)} companies.")
        for query in (CrmCompanyQuery(name="Nobody Ltd"), CrmCompanyQuery(reference="C-9")):
            page = await harness("find_companies", query)
            require(page.items == () and page.next is None, f"{query} finds a company.")


async def lists_have_all_records(make: Open) -> None:
    """The pages of a list have each record once."""
    async with make() as harness:
        cast("Any", harness.sandbox).largest_page = 2
        people = [
            (await harness.person(reference=f"C-{number}", email=f"a{number}@example.com")).ref
            for number in range(5)
        ]
        companies = [(await harness.company(reference=f"C-{number}")).ref for number in range(5)]
        named = CrmCompanyQuery(name="Harbour Ltd")
        for operation, refs, arguments in (
            ("find_people", people, ()),
            ("find_companies", companies, ()),
            ("find_companies", companies, (named,)),
        ):
            listed_refs: list[Ref] = []
            page = await harness(operation, *arguments)
            listed_refs += [item.ref for item in page.items]
            while page.next is not None and len(listed_refs) <= len(refs):
                after = Ref.parse(str(page.next))
                page = await harness(operation, *arguments, after=after)
                listed_refs += [item.ref for item in page.items]
            require(
                sorted(map(str, listed_refs)) == sorted(map(str, refs)),
                f"{operation}: {listed_refs}.",
            )


async def references_belong_to_their_records(make: Open) -> None:
    """A reference of another type of record, or of another CRM, is refused before sending."""
    async with make() as harness:
        person, company = (await harness.person()).ref, (await harness.company()).ref
        sent_count = len(harness.sandbox.requests)
        foreign = Ref(company.vendor, "another", company.id, company.related)
        calls: dict[str, Any] = {
            "a company as a person": lambda: harness("get_person", company),
            "a person as a company": lambda: harness("get_company", person),
            "a person as a deal": lambda: harness("get_deal", person),
            "a person moved as a deal": lambda: harness("move_deal", person, "x"),
            "a company of another CRM": lambda: harness.person(company=foreign),
            "a deal of another CRM": lambda: harness.deal(company=foreign),
        }
        for step, call in calls.items():
            await harness.refused(InvalidData, call(), step)
        if person.related:
            for field, wrong in (("company", person), ("person", company)):
                try:
                    offer("x", **{field: wrong})
                except InvalidData:
                    continue
                raise AssertionError(f"A deal accepts the wrong record as {field}.")
        require(len(harness.sandbox.requests) == sent_count, "A refused call sent a request.")


async def requests_are_in_the_vendors_words(make: Open) -> None:
    """Each field is sent under the vendor's name for it."""
    async with make() as harness:
        subject = harness.subject
    for operation, arguments, expected in subject.requests:
        async with make() as harness:
            targets = {
                "person": (await harness.person()).ref,
                "company": (await harness.company()).ref,
                "deal": (await harness.deal()).ref,
            }
            sent_count = len(harness.sandbox.requests)
            values = (targets.get(str(item), item) for item in arguments)
            await harness(operation, *values)
            body = harness.sandbox.requests[sent_count].json()
            for path, value in expected.items():
                sent_value = _at(body, path)
                require(
                    sent_value == value,
                    f"{operation} sends {sent_value!r} as {path}, not {value!r}.",
                )


async def answers_are_read_in_full(make: Open) -> None:
    """Each field of a response is read, and the result can be stored."""
    async with make() as harness:
        for operation, arguments, answer, expected in harness.subject.answers:
            harness.sandbox.fail(answer)
            record = await harness(operation, *arguments)
            _require_fields(record, expected, f"The result of {operation}")
            require(unpack(pack(record)) == record, "The result cannot be stored.")


async def incomplete_answers_are_failures(make: Open) -> None:
    """A successful response without the record is a failure or an unknown outcome."""
    async with make() as harness:
        for number, (operation, arguments, answer) in enumerate(harness.subject.unreadable):
            harness.sandbox.fail(answer)
            try:
                await harness(operation, *arguments)
            except (VendorFailed, OutcomeUnknown):
                continue
            raise AssertionError(f"The incomplete answer {number} is reported as a success.")


async def nothing_shows_personal_data(make: Open) -> None:
    """No repr of a value or a result shows a name, an address or a text."""
    async with make() as harness:
        receipt = await harness.person(phone="+49 431 77", title="Analyst")
        record = await harness("get_person", receipt.ref)
        page = await harness("find_people")
        company = CrmCompany(name="Lovelace Ltd", reference="C-1", website="lovelace.example")
        values = (
            CrmPerson(family_name="Lovelace", given_name="Ada", email="ada@example.com"),
            company,
            paid("About Ada Lovelace"),
            CrmPersonQuery(email="ada@example.com"),
            CrmCompanyQuery(name="Lovelace Ltd"),
            receipt,
            record,
            page,
        )
        shown_text = repr(values).casefold()
        for text in ("lovelace", "ada@", "+49 431 77", "analyst"):
            require(text not in shown_text, f"A repr shows {text!r}.")


def _require_fields(record: object, expected: Mapping[str, Any], step: str) -> None:
    for name, value in expected.items():
        read_value = getattr(record, name)
        require(read_value == value, f"{step} has {read_value!r} as {name}, not {value!r}.")
    require(cast("Any", record).raw, f"{step} lacks the vendor's response.")


def _at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body[int(name)] if name.isdigit() else body.get(name)
    return body


_ALL_CHECKS: Final = (
    a_person_is_saved_once,
    a_person_is_matched_by_email,
    a_taken_email_is_refused,
    a_company_is_saved_once,
    a_deal_is_saved_once,
    amounts_of_deals_are_exact,
    a_deal_moves_between_stages,
    a_note_is_added_to_its_record,
    a_key_adds_one_note,
    a_lost_note_is_not_added_again,
    a_lost_save_is_repeated_without_a_second_record,
    a_lost_save_is_repeated_under_its_key,
    people_are_found,
    companies_are_found,
    lists_have_all_records,
    references_belong_to_their_records,
    requests_are_in_the_vendors_words,
    answers_are_read_in_full,
    incomplete_answers_are_failures,
    nothing_shows_personal_data,
)

CHECKS: Final[tuple[Check, ...]] = (
    *contract_conformance.CHECKS,
    *through_hub(_ALL_CHECKS, Harness.with_sync_hub),
)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    *contract_conformance.ASYNC_CHECKS,
    *through_async_hub(_ALL_CHECKS, Harness.with_async_hub),
)
