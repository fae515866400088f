"""Conversion of a SCIM server's responses to values of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.people import Group, Member, MemberKind, Person, Phone
from moorage.vendors.people._common import phone_kind
from moorage.vendors.people._scim_content import ENTERPRISE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Answer, ConnectorError, MakeRef, Request, Response

_UNIQUENESS: Final = "uniqueness"
_CONFLICT: Final = 409
_STATUSES: Final[Mapping[int, type[Any]]] = {
    **dict.fromkeys((400, 413, 415, 422), sdk.InvalidRequest),
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    412: sdk.ChangedMeanwhile,
    429: sdk.RateLimitExceeded,
}
_MEMBER_KINDS: Final = {"User": MemberKind.PERSON, "Group": MemberKind.GROUP}


def classify(request: Request, response: Response) -> ConnectorError | None:
    """Return the error for an error response, by its status and `scimType`."""
    status = response.status
    if status < 400 or status >= 500 or status == 408:
        return None
    answer = sdk.error_answer(response)
    code = answer.text("scimType")
    kind = _STATUSES.get(status, sdk.VendorRejected)
    if code == _UNIQUENESS:
        kind = sdk.AlreadyExists
    elif status == _CONFLICT and answer.text("detail"):
        is_conditional = request.headers.get("If-Match") is not None
        kind = sdk.ChangedMeanwhile if is_conditional else sdk.AlreadyExists
    words = sdk.masked_words(answer.text("detail"))
    return sdk.refusal(
        kind, "The SCIM server", response, code, words, otherwise=code or f"HTTP {status}"
    )


@attrs.frozen
class ServerSupport:
    """The optional protocol features that a server announces.

    Attributes:
        patch: True if the server can change parts of a resource.
        versions: True if the server compares versions of a resource.
    """

    patch: bool
    versions: bool


def read_support(response: Response) -> ServerSupport:
    """The optional protocol features in a server's ServiceProviderConfig."""
    answer = sdk.read_answer(response)
    return ServerSupport(
        patch=answer.flag("patch.supported") is not False,
        versions=answer.flag("etag.supported") is True,
    )


def version_of(answer: Answer, response: Response | None = None) -> str | None:
    """A resource's version in the format of If-Match; None without a version."""
    header = None if response is None else response.headers.get("ETag")
    return answer.text("meta.version") or header


def read_person(ref: MakeRef, response: Response) -> Person:
    """The person in a response about one account."""
    answer = sdk.read_answer(response)
    return person_of(ref, answer, response)


def person_of(ref: MakeRef, answer: Answer, response: Response, *, listed: bool = False) -> Person:
    """Convert a SCIM resource to a person.

    Args:
        ref: makes references.
        answer: the resource.
        response: the response with the resource.
        listed: True if the response is a list, whose ETag is not the version of the resource.
    """
    id_ = sdk.required(answer.text("id"), response, "id")
    enterprise = sdk.as_answer(answer.raw.get(ENTERPRISE))
    manager = enterprise.text("manager.value")
    addresses = [item for item in answer.objects("emails") if item.text("value")]
    addresses.sort(key=lambda item: item.flag("primary") is not True)
    return Person(
        ref=ref(id_),
        user_name=sdk.required(answer.text("userName"), response, "userName"),
        active=answer.flag("active"),
        given_name=answer.text("name.givenName"),
        family_name=answer.text("name.familyName"),
        display_name=answer.text("displayName"),
        emails=tuple(str(item.text("value")) for item in addresses),
        phones=tuple(
            Phone(number, phone_kind(item.text("type")))
            for item in answer.objects("phoneNumbers")
            if (number := item.text("value")) and number.strip()
        ),
        title=answer.text("title"),
        department=enterprise.text("department"),
        manager=None if manager is None else ref(manager),
        external_id=answer.text("externalId"),
        language=answer.text("preferredLanguage"),
        time_zone=answer.text("timezone"),
        version=version_of(answer, None if listed else response),
        raw=answer.raw,
    )


def group_of(ref: MakeRef, answer: Answer, response: Response) -> Group:
    """Convert a SCIM resource to a group."""
    id_ = sdk.required(answer.text("id"), response, "id")
    return Group(ref=ref(id_), name=answer.text("displayName"), raw=answer.raw)


def read_members(ref: MakeRef, response: Response) -> tuple[Member, ...]:
    """The members in a response about a group."""
    answer = sdk.read_answer(response)
    sdk.required(answer.text("id"), response, "id")
    return tuple(
        Member(
            ref=ref(id_),
            kind=_MEMBER_KINDS.get(item.text("type") or "", MemberKind.UNKNOWN),
            raw=item.raw,
        )
        for item in answer.objects("members")
        if (id_ := item.text("value")) is not None
    )


def next_start(response: Response, start: int) -> tuple[list[Answer], int | None]:
    """The resources on a page, and the next page's start index; None after the last page.

    Args:
        response: the response.
        start: index of the first resource that was requested, from 1 on.
    """
    answer = sdk.read_answer(response)
    total = sdk.required(answer.integer("totalResults"), response, "totalResults")
    # RFC 7644 requires the list unless there are no resources at all.
    is_listed = total > 0 or "Resources" in answer.raw
    resources = sdk.required_objects(answer, "Resources", response) if is_listed else []
    next_index = start + len(resources)
    return resources, next_index if resources and next_index <= total else None
