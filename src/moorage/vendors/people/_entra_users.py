"""Conversion of Graph's users, groups and members to values of the contract, and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.people import (
    Group,
    Member,
    MemberKind,
    PeopleQuery,
    Person,
    Phone,
    PhoneKind,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Ref, Request, Response

_FIELDS: Final[Mapping[str, str]] = {
    "user_name": "userPrincipalName",
    "given_name": "givenName",
    "family_name": "surname",
    "display_name": "displayName",
    "title": "jobTitle",
    "department": "department",
    "external_id": "employeeId",
    "language": "preferredLanguage",
    "active": "accountEnabled",
}
SELECT: Final = ",".join(
    ("id", *_FIELDS.values(), "mail", "otherMails", "businessPhones", "mobilePhone")
)
EXPAND: Final = "manager($select=id)"
_FILTERS: Final = {
    "user_name": "userPrincipalName eq {0}",
    "email": "(mail eq {0} or otherMails/any(address:address eq {0}))",
    "external_id": "employeeId eq {0}",
}
_CONFLICT: Final = 409
_CONFLICTS: Final = frozenset({"ObjectConflict", "ConflictingObjects"})
_STATUSES: Final[Mapping[int, type[Any]]] = {
    400: sdk.InvalidRequest,
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    412: sdk.ChangedMeanwhile,
    429: sdk.RateLimitExceeded,
}
_MEMBER_KINDS: Final = {
    "#microsoft.graph.user": MemberKind.PERSON,
    "#microsoft.graph.group": MemberKind.GROUP,
}
_NOT_IN_NICKNAMES: Final = re.compile(r"[^!#-'*+\-./0-9=?A-Z^_`a-z{|}~]")
_NICKNAME: Final = 64


def classify(_: Request, response: Response) -> ConnectorError | None:
    """Return the error for an error response, by the codes in its details and its status."""
    status = response.status
    if status < 400 or status >= 500 or status == 408:
        return None
    answer = sdk.error_answer(response)
    kind = _STATUSES.get(status, sdk.VendorRejected)
    code = answer.text("error.code")
    details = {item.text("code") for item in answer.objects("error.details")}
    if details & _CONFLICTS or (status == _CONFLICT and code is not None):
        kind = sdk.AlreadyExists
    words = sdk.masked_words(answer.text("error.message"))
    return sdk.refusal(
        kind, "Microsoft Graph", response, code, words, otherwise=code or f"HTTP {status}"
    )


def filter_of(query: PeopleQuery) -> str | None:
    """The filter for a query; None if it matches everybody."""
    conditions = [
        template.format(_quoted_text(value))
        for name, template in _FILTERS.items()
        if (value := getattr(query, name)) is not None
    ]
    return " and ".join(conditions) or None


def _quoted_text(text: str) -> str:
    escaped_text = text.replace("'", "''")
    return f"'{escaped_text}'"


def user_body(values: Mapping[str, Any]) -> dict[str, Any]:
    """The request fields for a change of a user, except the manager.

    Args:
        values: new value of each named field, None or empty for a field to empty.
    """
    body = {_FIELDS[name]: value for name, value in values.items() if name in _FIELDS}
    if "emails" in values:
        primary, *other_addresses = values["emails"] or (None,)
        body |= {"mail": primary, "otherMails": other_addresses}
    return body | (_phones(values["phones"]) if "phones" in values else {})


def _phones(phones: Sequence[Phone]) -> dict[str, Any]:
    work = [phone.number for phone in phones if phone.kind is PhoneKind.WORK]
    mobile = [phone.number for phone in phones if phone.kind is PhoneKind.MOBILE]
    if max(len(work), len(mobile)) > 1 or len(work) + len(mobile) < len(phones):
        raise sdk.InvalidData(
            "Microsoft Entra stores only one work number and one mobile number for a person.",
            field="phones",
            remedy="Leave the other phone numbers out.",
        )
    return {"businessPhones": work, "mobilePhone": mobile[0] if mobile else None}


def nickname(user_name: str) -> str:
    """The mail nickname that Graph requires: the first part of the user name."""
    local_part = user_name.partition("@")[0]
    return _NOT_IN_NICKNAMES.sub("", local_part)[:_NICKNAME] or "user"


def read_user(ref: MakeRef, response: Response) -> Person:
    """The person in a response about one user."""
    return user_of(ref, sdk.read_answer(response), response)


def read_created(body: Mapping[str, Any], ref: MakeRef, response: Response) -> Person:
    """The person from the response about a new user; fields missing in the response are added.

    Args:
        body: fields of the request.
        ref: makes references.
        response: the response.
    """
    answer = sdk.read_answer(response)
    requested = {name: body[name] for name in SELECT.split(",") if name in body}
    return user_of(ref, sdk.as_answer({**requested, **answer.raw}), response)


def user_of(ref: MakeRef, answer: Answer, response: Response) -> Person:
    """Convert a user of Graph to a person."""
    id_ = sdk.required(answer.text("id"), response, "id")
    fields: dict[str, Any] = {
        name: answer.text(field) for name, field in _FIELDS.items() if name != "active"
    }
    fields["user_name"] = sdk.required(fields["user_name"], response, "userPrincipalName")
    manager = answer.text("manager.id")
    primary = answer.text("mail")
    work = [Phone(number) for number in answer.texts("businessPhones") if number.strip()]
    mobile = answer.text("mobilePhone")
    return Person(
        ref=ref(id_),
        active=answer.flag("accountEnabled"),
        emails=(*([primary] if primary else ()), *answer.texts("otherMails")),
        phones=(*work, *([Phone(mobile, PhoneKind.MOBILE)] if mobile else ())),
        manager=None if manager is None else ref(manager),
        raw=answer.raw,
        **fields,
    )


def group_of(ref: MakeRef, answer: Answer, response: Response) -> Group:
    """Convert a list entry to a group."""
    id_ = sdk.required(answer.text("id"), response, "id")
    return Group(
        ref=ref(id_), name=answer.text("displayName"), email=answer.text("mail"), raw=answer.raw
    )


def member_of(ref: MakeRef, answer: Answer, response: Response) -> Member:
    """Convert a list entry to a member."""
    id_ = sdk.required(answer.text("id"), response, "id")
    kind = _MEMBER_KINDS.get(str(answer.raw.get("@odata.type")), MemberKind.UNKNOWN)
    return Member(ref=ref(id_), kind=kind, raw=answer.raw)


def next_of(ref: MakeRef, answer: Answer, base_url: str, response: Response) -> Ref | None:
    """The reference to the next page: the path and query of the link in Microsoft's response.

    Raises:
        VendorFailed: the link leads to another server.
    """
    link = answer.raw.get("@odata.nextLink")
    if link is None:
        return None
    base = base_url.rstrip("/")
    if not isinstance(link, str) or not link.startswith(f"{base}/"):
        raise sdk.malformed(response, "@odata.nextLink that is a URL at the same server")
    return ref(link.removeprefix(base))


def page_path(after: Ref, path: str) -> str:
    """The path and query of a page.

    Args:
        after: reference of the page.
        path: path that the page must have.

    Raises:
        InvalidData: the reference is not that of a page of this list.
    """
    page, _, query = after.id.partition("?")
    if page == path and query:
        return after.id
    raise sdk.InvalidData(
        "`after` is not the `next` of a page of this list.",
        field="after",
        remedy="Pass the `next` of the previous page.",
    )
