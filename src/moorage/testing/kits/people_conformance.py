"""Checks for every directory of people.

Each check takes a function that makes a new `PeopleSubject`: the vendor, its sandbox, and what the
kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.people import (
    MemberKind,
    PeopleCapability,
    PeopleQuery,
    PersonChanges,
    Phone,
    PhoneKind,
)
from moorage.contracts.ref import Ref
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AlreadyExists,
    ChangedMeanwhile,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._contract_harness import (
    require_refusal,
    require_unsupported,
    through_async_hub,
    through_hub,
    uncertain_answers,
    with_an_address,
    with_body,
)
from moorage.testing.kits._people_harness import (
    ACCOUNT,
    PASSWORD,
    Harness,
    PeopleSubject,
    calls_by_capability,
    request_values,
)
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AlteredAnswer, Lost

if TYPE_CHECKING:
    from moorage.contracts.people import GroupPage, MemberPage, Person, PersonPage

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "PeopleSubject"]

_PHONES: Final = (Phone("+49 30 123456"), Phone("+49 151 12345678", PhoneKind.MOBILE))
_FIELDS: Final[dict[str, Any]] = {
    "display_name": "Countess Ada",
    "emails": ("ada@example.com", "countess@example.com"),
    "phones": _PHONES,
    "title": "Analyst",
    "department": "R&D",
    "language": "en",
}
_HOSTILE: Final = (
    "x' or 'a' eq 'a",
    'x" or userName pr or userName eq "a',
    "x\\' or email:*",
    "nobody\\",
    "a b",
)
"""Values that would change the meaning of a filter if they were not escaped."""
_MALFORMED: Final = (b"[]", b"null", b"{}", b"<html></html>")
_NOT_FOUND: Final = 404

Factory: TypeAlias = Callable[[], PeopleSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def an_account_is_created(make: Open) -> None:
    """A new account has all its fields and its password, and can be read by its reference."""
    async with make() as harness:
        created = await harness.create(**_FIELDS)
        read = await harness.get(created.ref)
        for person in (created, read):
            require(person.user_name == "ada@example.com", "Another user name is read.")
            require(person.active is True, f"A new account is reported as active={person.active}.")
            names = (person.given_name, person.family_name, person.external_id)
            require(names == ("Ada", "Lovelace", "E-ada"), f"{names} are read.")
            for name, value in _FIELDS.items():
                value_read = getattr(person, name)
                require(value_read == value, f"The {name} is read as {value_read!r}.")
            require(person.raw, "The result lacks the vendor's response.")
        (kept_account,) = harness.sandbox.accounts()
        require(kept_account.id == created.ref.id, "The reference is not of the account.")
        require(kept_account.password == PASSWORD, "The password did not arrive.")
        require(kept_account.active, "The new account is not active.")
        require(Ref.parse(str(created.ref)) == created.ref, "A reference changes as text.")
        require(created.ref.account == ACCOUNT, "The reference names no account.")


async def an_account_may_be_inactive(make: Open) -> None:
    """An account created as inactive is inactive in the directory and in the result."""
    async with make() as harness:
        person = await harness.create(active=False)
        require(person.active is False, f"The account is reported as active={person.active}.")
        require(not harness.sandbox.accounts()[0].active, "The account is active.")


async def a_key_creates_once(make: Open) -> None:
    """An idempotency key creates one account; its use for another person is refused."""
    async with make() as harness:
        people = [await harness.create(idempotency_key="k-1") for _ in range(3)]
        require(people[0] == people[1] == people[2], "A repeat returns another account.")
        require(len(harness.user_names()) == 1, "A key created several accounts.")
        other_account = harness.create("grace", idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, other_account, "A key for another person")
        posts = [request for request in harness.writes() if "/members" not in request.path]
        require(len(posts) == 1, "A creation took more than one request.")


async def a_taken_name_is_refused(make: Open) -> None:
    """A user name in use raises AlreadyExists, in creations and changes."""
    async with make() as harness:
        first = await harness.create()
        for number, name in enumerate(("ada", "Ada")):
            second_person = harness.create(name, external_id="E-2", idempotency_key=f"k-{number}")
            await harness.refused(AlreadyExists, second_person, f"The name {name}")
        second = await harness.create("grace")
        renaming = harness("change", second.ref, PersonChanges(user_name=first.user_name))
        await harness.refused(AlreadyExists, renaming, "A change to a name in use")
        require(
            harness.user_names() == ["ada@example.com", "grace@example.com"],
            f"The directory has {harness.user_names()}.",
        )


async def only_named_fields_change(make: Open) -> None:
    """A change sets the named fields and keeps all others, even those unknown to moorage."""
    async with make() as harness:
        ref = (await harness.create(**_FIELDS)).ref
        harness.sandbox.annotate(ref.id)
        account_before = await harness.get(ref)
        steps: tuple[dict[str, Any], ...] = (
            {"title": "Professor"},
            {"department": "Mathematics", "given_name": "Augusta"},
            {"emails": ("ada@example.com", "countess@example.com", "new@example.com")},
            {"phones": _PHONES[:1]},
            {"external_id": "E-9", "language": "de"},
        )
        expected = account_before
        for step in steps:
            await harness("change", ref, PersonChanges(**step))
            expected = attrs.evolve(expected, **step)
            changed_person = await harness.get(ref)
            expected = attrs.evolve(expected, version=changed_person.version)
            _require_equal(changed_person, expected)
            require(harness.sandbox.accounts()[0].annotated, f"{sorted(step)} erased other fields.")


def _require_equal(changed_person: Person, expected: Person) -> None:
    for field in attrs.fields(type(changed_person)):
        values = getattr(changed_person, field.name), getattr(expected, field.name)
        if field.name != "raw":
            require(values[0] == values[1], f"The {field.name} is {values[0]!r} after a change.")


async def named_fields_can_be_emptied(make: Open) -> None:
    """Fields named in `clear` are empty after a change."""
    async with make() as harness:
        ref = (await harness.create(**_FIELDS)).ref
        names = ("phones", "title", "department", "external_id", "language")
        await harness("change", ref, PersonChanges(clear=names))
        person = await harness.get(ref)
        kept_fields = [name for name in names if getattr(person, name)]
        require(kept_fields == [], f"{kept_fields} are not empty.")
        await harness("change", ref, PersonChanges(clear=names))
        require(person.family_name == "Lovelace", "Another field was emptied.")


async def a_manager_is_kept(make: Open) -> None:
    """A manager can be set, changed and removed, and must be in the same directory."""
    async with make() as harness:
        if PeopleCapability.MANAGER not in harness.capabilities:
            return
        charles, grace = await harness.create("charles"), await harness.create("grace")
        ada = await harness.create(manager=charles.ref)
        for manager in (charles, grace):
            if manager is grace:
                await harness("change", ada.ref, PersonChanges(manager=grace.ref))
            manager_ref = (await harness.get(ada.ref)).manager
            require(manager_ref is not None, "The manager is lost.")
            name = (await harness.get(manager_ref or ada.ref)).user_name
            require(name == manager.user_name, "Another person became the manager.")
        for _ in range(2):
            await harness("change", ada.ref, PersonChanges(clear=["manager"]))
            require((await harness.get(ada.ref)).manager is None, "The manager is still there.")
        foreign_ref = attrs.evolve(charles.ref, account="elsewhere")
        for operation in (
            harness.create("mary", manager=foreign_ref),
            harness("change", ada.ref, PersonChanges(manager=foreign_ref)),
        ):
            error = await harness.refused(InvalidData, operation, "A manager of another directory")
            require(error.field == "manager", f"The field {error.field} is named.")


async def activity_can_be_repeated(make: Open) -> None:
    """Deactivating and reactivating can be repeated, and change nothing else."""
    async with make() as harness:
        ref = (await harness.create(**_FIELDS)).ref
        harness.sandbox.annotate(ref.id)
        for operation, active in (("deactivate", False), ("reactivate", True)) * 2:
            for _ in range(2):
                await harness(operation, str(ref))
                kept_account = harness.sandbox.accounts()[0]
                require(
                    kept_account.active is active,
                    f"After {operation} active is {kept_account.active}.",
                )
                require(
                    (await harness.get(ref)).active is active, f"{operation} is reported wrongly."
                )
                require(kept_account.annotated, f"{operation} erased other fields.")


async def an_account_is_deleted(make: Open) -> None:
    """A deleted account is gone, others stay, and repeating the deletion is not an error."""
    async with make() as harness:
        ref = (await harness.create()).ref
        await harness.create("grace")
        for _ in range(2):
            await harness("delete", ref)
            require(
                harness.user_names() == ["grace@example.com"],
                f"The remaining accounts are {harness.user_names()}.",
            )
        for operation, arguments in (
            ("get", ()),
            ("deactivate", ()),
            ("change", (PersonChanges(title="Analyst"),)),
        ):
            pending_call = harness(operation, ref, *arguments)
            error = await harness.refused(
                VendorRejected, pending_call, f"{operation} of a deleted account"
            )
            require(error.status == _NOT_FOUND, f"{operation} ended with {error.status}.")


async def everybody_is_listed_once(make: Open) -> None:
    """All pages together list each person once, with the same state as `get`."""
    async with make() as harness:
        harness.sandbox.largest_page = 2
        people = [await harness.create(f"n{number}") for number in range(5)]
        await harness("deactivate", people[0].ref)
        listed_people: list[Person] = []
        page: PersonPage = await harness("find")
        listed_people += page.items
        while page.next is not None:
            require(len(listed_people) < 9, "The pages of a list do not end.")
            page = await harness("find", after=str(page.next))
            require(page.items, "A list has a further page without people.")
            listed_people += page.items
        expected_refs = sorted(str(person.ref) for person in people)
        require(
            sorted(str(person.ref) for person in listed_people) == expected_refs,
            "The list is not complete.",
        )
        for person in listed_people:
            _require_equal(person, await harness.get(person.ref))


async def filters_find_whom_they_name(make: Open) -> None:
    """A filter finds exactly the matching people, even for values with special characters."""
    async with make() as harness:
        await harness.create("o'neill", external_id='E"1', emails=["o'neill@example.com"])
        await harness.create("grace", emails=["grace@example.com", "amazing@example.com"])
        for query, expected_names in (
            (PeopleQuery(email="o'neill@example.com"), ["o'neill"]),
            (PeopleQuery(external_id='E"1'), ["o'neill"]),
            (PeopleQuery(user_name="o'neill@example.com", external_id='E"1'), ["o'neill"]),
            (PeopleQuery(email="amazing@example.com"), ["grace"]),
            (PeopleQuery(user_name="Grace@example.com"), ["grace"]),
            (PeopleQuery(user_name="amazing@example.com"), []),
            (PeopleQuery(user_name="grace@example.com", external_id='E"1'), []),
            *((PeopleQuery(email=text), []) for text in _HOSTILE),
            *((PeopleQuery(external_id=text), []) for text in _HOSTILE),
        ):
            page: PersonPage = await harness("find", query)
            names = [person.user_name.removesuffix("@example.com") for person in page.items]
            fields = [name for name in attrs.asdict(query) if getattr(query, name) is not None]
            require(names == expected_names, f"A filter by {fields} found {len(names)} people.")


async def a_member_joins_once(make: Open) -> None:
    """Adding a person to a group, or removing one, takes effect once even if repeated."""
    async with make() as harness:
        if PeopleCapability.GROUPS not in harness.capabilities:
            return
        person, other_person = await harness.create(), await harness.create("grace")
        page: GroupPage = await harness("groups")
        require(harness.group in [group.ref for group in page.items], "The group is not listed.")
        require(all(group.name for group in page.items), "The name of a group is lost.")
        for _ in range(2):
            await harness("add_member", str(harness.group), str(person.ref))
        await harness("add_member", harness.group, other_person.ref)
        require(
            list(harness.sandbox.memberships()) == [person.ref.id, other_person.ref.id],
            f"The group has {len(harness.sandbox.memberships())} members.",
        )
        harness.sandbox.largest_page = 1
        listed_members: list[Any] = []
        members: MemberPage = await harness("members", harness.group)
        listed_members += members.items
        while members.next is not None:
            require(len(listed_members) < 3, "The pages of a list of members do not end.")
            members = await harness("members", harness.group, after=members.next)
            listed_members += members.items
        refs = [member.ref for member in listed_members]
        require(refs == [person.ref, other_person.ref], f"{len(refs)} members are listed.")
        require(
            listed_members[0].kind is MemberKind.PERSON,
            f"A person is reported as {listed_members[0].kind}.",
        )
        for _ in range(2):
            await harness("remove_member", harness.group, person.ref)
            require(
                list(harness.sandbox.memberships()) == [other_person.ref.id],
                "Another member was removed.",
            )
        require(len(harness.user_names()) == 2, "Leaving a group deleted an account.")


async def a_missing_group_is_an_error(make: Open) -> None:
    """No person can be added to, or removed from, a missing group or another directory's group."""
    async with make() as harness:
        if PeopleCapability.GROUPS not in harness.capabilities:
            return
        person = await harness.create()
        missing_group = attrs.evolve(harness.group, id="00000000-0000-4000-8000-0000000fffff")
        for operation in ("add_member", "remove_member"):
            error = await harness.refused(
                VendorRejected,
                harness(operation, missing_group, person.ref),
                f"{operation} without a group",
            )
            require(error.status == _NOT_FOUND, f"{operation} ended with {error.status}.")
            foreign_ref = attrs.evolve(person.ref, account="elsewhere")
            pending_call = harness(operation, harness.group, foreign_ref)
            await harness.refused(InvalidData, pending_call, f"{operation} across directories")


async def an_old_version_is_refused(make: Open) -> None:
    """A change based on an old version is refused; one based on the current version works."""
    async with make() as harness:
        if PeopleCapability.VERSION not in harness.capabilities:
            return
        person = await harness.create()
        require(person.version is not None, "A new account has no version.")
        await harness("change", person.ref, PersonChanges(title="Analyst"), version=person.version)
        for changes in (PersonChanges(title="Queen"), PersonChanges(emails=["queen@example.com"])):
            late_change = harness("change", person.ref, changes, version=person.version)
            await harness.refused(ChangedMeanwhile, late_change, "A change of an old version")
        current = await harness.get(person.ref)
        require((current.title, current.emails) == ("Analyst", ()), "An old version was changed.")
        await harness("change", person.ref, PersonChanges(title="Count"), version=current.version)
        require((await harness.get(person.ref)).title == "Count", "The current version is refused.")


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness).items())


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error with the response, and creates nothing."""
    async with make() as harness:
        for number, (refusal, kind, *codes) in enumerate(harness.subject.refusals):
            answer = with_an_address(refusal)
            for key in (None, f"k-{number}"):
                harness.sandbox.fail(answer)
                error = await harness.refused(
                    kind, harness.create(idempotency_key=key), f"Refusal {number}"
                )
                require_refusal(error, refusal, f"Refusal {number}", *codes)
        require(harness.user_names() == [], "A refused account was created.")


async def a_refused_deletion_is_no_deletion(make: Open) -> None:
    """Only the error for a missing account lets it count as deleted."""
    async with make() as harness:
        ref = (await harness.create()).ref
        for number, (refusal, kind, *_) in enumerate(harness.subject.refusals):
            if refusal.status == _NOT_FOUND:
                continue
            harness.sandbox.fail(refusal)
            await harness.refused(kind, harness("delete", ref), f"A deletion with refusal {number}")
        require(len(harness.user_names()) == 1, "A refused deletion deleted the account.")


async def a_pause_is_obeyed(make: Open) -> None:
    """If a vendor requests a pause, the error for its response states that pause."""
    async with make() as harness:
        answer, seconds = harness.subject.pause
        harness.sandbox.fail(answer)
        error = await harness.refused(RateLimitExceeded, harness.create(), "A rate limit")
        pause = error.vendor_retry_after
        require(pause == seconds, f"The vendor asks for a pause of {seconds} s, not of {pause}.")


async def a_lost_creation_is_found(make: Open) -> None:
    """After a lost response, an account is found by its names and not created twice."""
    async with make() as harness:
        unreadable = [AlteredAnswer(partial(with_body, body)) for body in _MALFORMED]
        faults: tuple[Lost | AlteredAnswer, ...] = (Lost(), *unreadable)
        for number, fault in enumerate(faults):
            harness.sandbox.fail(fault)
            name, key = f"n{number}", f"k-{number}"
            people = [await harness.create(name, idempotency_key=key) for _ in range(2)]
            require(people[0].ref == people[1].ref, "A repeat returns another account.")
            require(
                people[0].external_id == f"E-{name}", "The account of another person is returned."
            )
            require(len(harness.user_names()) == number + 1, "A lost creation was repeated.")


async def an_account_of_others_is_not_taken(make: Open) -> None:
    """A creation without response stays unknown if it had no id, or if the user name was taken."""
    async with make() as harness:
        harness.sandbox.fail(Lost())
        for _ in range(2):
            unanswered_call = harness.create(external_id=None, idempotency_key="k-1")
            await harness.refused(OutcomeUnknown, unanswered_call, "A lost creation without an id")
        require(len(harness.user_names()) == 1, "A lost creation was repeated.")
        await harness.create("grace", external_id="E-other")
        harness.sandbox.fail(Response(503, body=b"<html></html>"))
        for _ in range(2):
            unanswered_call = harness.create("grace", idempotency_key="k-2")
            await harness.refused(OutcomeUnknown, unanswered_call, "The account of a namesake")
        require(len(harness.user_names()) == 2, "A failed creation was repeated.")


async def an_uncertain_failure_is_unknown(make: Open) -> None:
    """If a creation fails and no account is found, it is unknown and not repeated."""
    async with make() as harness:
        for outage in uncertain_answers(harness.subject.refusals[0][0]):
            status = outage.status
            harness.sandbox.fail(outage)
            await harness.refused(VendorFailed, harness.create(), f"HTTP {status}")
            harness.sandbox.fail(outage)
            for _ in range(2):
                operation = harness.create(idempotency_key=f"k-{status}")
                await harness.refused(OutcomeUnknown, operation, f"HTTP {status} under a key")
        outages = uncertain_answers(harness.subject.refusals[0][0])[:2]
        harness.sandbox.fail(*outages)
        operation = harness.create(idempotency_key="k-2")
        await harness.refused(OutcomeUnknown, operation, "A failure of the look-up too")
        require(harness.user_names() == [], "An unknown creation was sent again.")


async def unreadable_answers_are_no_values(make: Open) -> None:
    """An unreadable response raises VendorFailed."""
    async with make() as harness:
        ref = (await harness.create()).ref
        for body in _MALFORMED:
            answer = Response(200, {"Content-Type": "application/json"}, body)
            harness.sandbox.fail(answer)
            await harness.refused(VendorFailed, harness.get(ref), f"{body!r} about an account")
            harness.sandbox.fail(answer)
            await harness.refused(VendorFailed, harness("find"), f"{body!r} as a list")
            if PeopleCapability.GROUPS in harness.capabilities:
                for call in (
                    partial(harness, "groups"),
                    partial(harness, "members", harness.group),
                ):
                    harness.sandbox.fail(answer)
                    await harness.refused(VendorFailed, call(), f"{body!r} about groups")


async def options_arrive(make: Open) -> None:
    """The caller's extra options for this vendor are sent.

    Options for other vendors are ignored.
    """
    async with make() as harness:
        own_options = dict([harness.subject.option])
        extra = {harness.subject.vendor.name: own_options, "another": {"other": "1"}}
        await harness.create(extra=extra)
        request = harness.writes()[0]
        name, option = harness.subject.option
        values = request_values(request)
        is_sent = any(path.split(".")[-1] == name and value == option for path, value in values)
        require(is_sent, "An option is lost.")
        require(b'"other"' not in request.body, "An extra option of another vendor was sent.")


async def requests_have_their_values(make: Open) -> None:
    """Each request has the values that the vendor's documentation requires."""
    async with make() as harness:
        for number, (fields, values) in enumerate(harness.subject.requests):
            if not harness.person(**fields).needs <= harness.capabilities:
                continue
            await harness.create(f"n{number}", **fields)
            sent = request_values(harness.writes()[-1])
            for path, expected_value in values.items():
                sent_values = [value for name, value in sent if name == path]
                is_right = (
                    not sent_values if expected_value is None else expected_value in sent_values
                )
                require(is_right, f"The request has {path} = {sent_values}.")


async def answers_are_read(make: Open) -> None:
    """Each response is parsed as the vendor's documentation defines."""
    async with make() as harness:
        ref = (await harness.create()).ref
        for answer, fields in harness.subject.answers:
            harness.sandbox.fail(answer)
            person = await harness.get(ref)
            for name, expected_value in fields.items():
                value_read = getattr(person, name)
                require(value_read == expected_value, f"The {name} is read as {value_read!r}.")


async def secrets_are_shown_nowhere(make: Open) -> None:
    """No error, value, event or log entry shows a secret or password, even if the vendor does."""
    async with make() as harness:
        secrets = (*harness.subject.secrets, PASSWORD)
        all_secrets = " and ".join(secrets)
        echo = {"error": {"message": all_secrets}, "detail": all_secrets}
        shown_texts: list[str] = [f"{harness.hub.account(ACCOUNT)!r}"]
        person = await harness.create()
        shown_texts.append(f"{person!r}{person.ref}{person.raw}")
        for status in (400, 401, 409, 429):
            harness.sandbox.fail(Response(status, body=encode_json(echo)))
            try:
                await harness.create("grace")
            except ConnectorError as error:
                trace = "".join(traceback.format_exception(error))
                shown_texts.append(f"{error}{error!r}{vars(error)!r}{trace}")
        harness.sandbox.fail(Lost())
        try:
            await harness.create("mary")
        except ConnectorError as error:
            shown_texts.append("".join(traceback.format_exception(error)))
        await harness.require_hidden(shown_texts, secrets)


async def nothing_shows_personal_data(make: Open) -> None:
    """No repr of a new person, an account, a change or a query shows personal data."""
    async with make() as harness:
        person = await harness.create(**_FIELDS)
        shown_people = [
            repr(harness.person(**_FIELDS)),
            repr(person),
            repr(await harness("find")),
            repr(PersonChanges(title="Countess", emails=["countess@example.com"])),
            repr(PeopleQuery(email="countess@example.com", external_id="E-ada")),
        ]
        for text in ("Lovelace", "ountess", "E-ada", "ada@", "151", "R&D"):
            require(text not in "".join(shown_people), f"{text} is shown.")


_ALL_CHECKS: Final = (
    an_account_is_created,
    an_account_may_be_inactive,
    a_key_creates_once,
    a_taken_name_is_refused,
    only_named_fields_change,
    named_fields_can_be_emptied,
    a_manager_is_kept,
    activity_can_be_repeated,
    an_account_is_deleted,
    everybody_is_listed_once,
    filters_find_whom_they_name,
    a_member_joins_once,
    a_missing_group_is_an_error,
    an_old_version_is_refused,
    unsupported_features_are_refused,
    a_refusal_has_its_type,
    a_refused_deletion_is_no_deletion,
    a_pause_is_obeyed,
    a_lost_creation_is_found,
    an_account_of_others_is_not_taken,
    an_uncertain_failure_is_unknown,
    unreadable_answers_are_no_values,
    options_arrive,
    requests_have_their_values,
    answers_are_read,
    secrets_are_shown_nowhere,
    nothing_shows_personal_data,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
