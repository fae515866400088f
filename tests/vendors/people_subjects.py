"""Test subjects of people directories, with values from their documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import (
    AlreadyExists,
    AuthenticationFailed,
    ChangedMeanwhile,
    InvalidRequest,
    RateLimitExceeded,
    Response,
    VendorRejected,
)
from moorage.contracts.people import Phone, PhoneKind
from moorage.contracts.ref import Ref
from moorage.testing.kits.people_conformance import PeopleSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.people.entra import EntraSandbox
from moorage.testing.sandboxes.people.google_workspace import GoogleWorkspaceSandbox
from moorage.testing.sandboxes.people.scim import ScimSandbox
from moorage.vendors.people.entra import Entra
from moorage.vendors.people.google_workspace import GoogleWorkspace
from moorage.vendors.people.scim import Scim

if TYPE_CHECKING:
    from collections.abc import Callable

ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PHONES: Final = (Phone("+49 30 1"), Phone("+49 151 1", PhoneKind.MOBILE))


def scim_error(status: int, scim_type: str | None = None, **headers: str) -> Response:
    """Return an error response in the format of RFC 7644."""
    body: dict[str, Any] = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": str(status),
        "detail": "The request was refused.",
    }
    if scim_type is not None:
        body["scimType"] = scim_type
    return reply(body, status, **headers)


def google_error(status: int, reason: str, **headers: str) -> Response:
    """Return an error response in Google's format."""
    entry = {"domain": "global", "reason": reason, "message": "Refused."}
    error = {"code": status, "message": "Refused.", "errors": [entry]}
    return reply({"error": error}, status, **headers)


def graph_error(status: int, code: str, *details: str, **headers: str) -> Response:
    """Return an error response in the format of Microsoft Graph."""
    error: dict[str, Any] = {"code": code, "message": "Refused.", "innerError": {}}
    if details:
        error["details"] = [{"code": detail, "target": "mail"} for detail in details]
    return reply({"error": error}, status, **headers)


def scim() -> PeopleSubject:
    """Return a SCIM test subject with a new sandbox."""
    return _scim(ScimSandbox())


def scim_without_patch() -> PeopleSubject:
    """Return a SCIM test subject whose server cannot change parts of a resource."""
    return _scim(ScimSandbox(patch=False))


def _scim(sandbox: ScimSandbox) -> PeopleSubject:
    return PeopleSubject(
        vendor=Scim(credentials=sandbox.token, base_url=sandbox.base_url),
        sandbox=sandbox,
        refusals=(
            (scim_error(400, "invalidValue"), InvalidRequest, "invalidValue"),
            (scim_error(401), AuthenticationFailed, None),
            (scim_error(403), AuthenticationFailed),
            (scim_error(404), VendorRejected),
            (scim_error(409, "uniqueness"), AlreadyExists, "uniqueness"),
            (scim_error(400, "uniqueness"), AlreadyExists, "uniqueness"),
            (scim_error(409), AlreadyExists),
            (Response(409), VendorRejected),
            (Response(409, {"Content-Type": "text/html"}, b"<p>Conflict</p>"), VendorRejected),
            (scim_error(412), ChangedMeanwhile),
            (scim_error(413), InvalidRequest),
            (scim_error(429), RateLimitExceeded),
        ),
        pause=(scim_error(429, Retry_After="7"), 7.0),
        option=("nickName", "Countess"),
        secrets=(sandbox.token,),
        requests=(
            (
                {
                    "display_name": "Ada",
                    "emails": ["a@example.com", "b@example.com"],
                    "phones": PHONES,
                    "title": "Analyst",
                    "department": "R&D",
                    "language": "en",
                    "time_zone": "Europe/London",
                },
                {
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
                    "userName": "n0@example.com",
                    "name": {"givenName": "Ada", "familyName": "Lovelace"},
                    "displayName": "Ada",
                    "emails": [
                        {"type": "work", "value": "a@example.com", "primary": True},
                        {"type": "work", "value": "b@example.com", "primary": False},
                    ],
                    "phoneNumbers": [
                        {"value": "+49 30 1", "type": "work"},
                        {"value": "+49 151 1", "type": "mobile"},
                    ],
                    "title": "Analyst",
                    "active": True,
                    "externalId": "E-n0",
                    "preferredLanguage": "en",
                    "timezone": "Europe/London",
                    ENTERPRISE: {"department": "R&D"},
                },
            ),
            (
                {"active": False},
                {
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                    "active": False,
                    "emails": None,
                    ENTERPRISE: None,
                },
            ),
        ),
        answers=(
            (
                reply(
                    {
                        "id": "42",
                        "userName": "bjensen",
                        "active": "False",
                        "emails": [
                            {"value": "home@example.com"},
                            {"value": "work@example.com", "primary": True},
                            {"type": "home"},
                        ],
                        "phoneNumbers": [{"value": "1", "type": "fax"}, {"value": " "}],
                        ENTERPRISE: {"manager": {"value": "7"}},
                        "meta": {"version": 'W/"a1"'},
                    },
                    ETag='W/"other"',
                ),
                {
                    "ref": Ref("scim", "directory", "42"),
                    "user_name": "bjensen",
                    "active": False,
                    "emails": ("work@example.com", "home@example.com"),
                    "phones": (Phone("1", PhoneKind.OTHER),),
                    "manager": Ref("scim", "directory", "7"),
                    "version": 'W/"a1"',
                },
            ),
            (
                reply({"id": "42", "userName": "b"}, ETag='W/"e"'),
                {"active": None, "emails": (), "manager": None, "version": 'W/"e"'},
            ),
        ),
    )


def google_workspace() -> PeopleSubject:
    """Return a test subject of Google Workspace with a new sandbox."""
    sandbox = GoogleWorkspaceSandbox()
    key = sandbox.key_file()
    return PeopleSubject(
        vendor=GoogleWorkspace(credentials=key, administrator=sandbox.administrator),
        sandbox=sandbox,
        refusals=(
            (google_error(400, "invalid"), InvalidRequest, "invalid"),
            (google_error(403, "forbidden"), AuthenticationFailed, "forbidden"),
            (google_error(403, "quotaExceeded"), RateLimitExceeded, "quotaExceeded"),
            (google_error(404, "notFound"), VendorRejected, "notFound"),
            (google_error(409, "duplicate"), AlreadyExists, "duplicate"),
            (Response(409), VendorRejected),
            (Response(409, {"Content-Type": "text/html"}, b"<p>Conflict</p>"), VendorRejected),
            (google_error(412, "conditionNotMet"), ChangedMeanwhile, "conditionNotMet"),
            (google_error(429, "rateLimitExceeded"), RateLimitExceeded),
        ),
        pause=(google_error(429, "rateLimitExceeded", Retry_After="7"), 7.0),
        option=("orgUnitPath", "/Sales"),
        secrets=("ya29.directory-1",),
        requests=(
            (
                {
                    "display_name": "Ada",
                    "emails": ["n0@example.com", "b@example.com"],
                    "phones": PHONES,
                    "title": "Analyst",
                    "department": "R&D",
                    "language": "en",
                },
                {
                    "primaryEmail": "n0@example.com",
                    "name": {"givenName": "Ada", "familyName": "Lovelace", "displayName": "Ada"},
                    "suspended": False,
                    "changePasswordAtNextLogin": True,
                    "emails": [{"type": "work", "address": "b@example.com"}],
                    "phones": [
                        {"value": "+49 30 1", "type": "work"},
                        {"value": "+49 151 1", "type": "mobile"},
                    ],
                    "organizations": [
                        {
                            "primary": True,
                            "type": "work",
                            "title": "Analyst",
                            "department": "R&D",
                        }
                    ],
                    "externalIds": [{"value": "E-n0", "type": "organization"}],
                    "languages": [{"languageCode": "en", "preference": "preferred"}],
                },
            ),
            ({"active": False}, {"suspended": True, "organizations": None, "relations": None}),
        ),
        answers=(
            (
                reply(
                    {
                        "id": "42",
                        "primaryEmail": "b@example.com",
                        "suspended": True,
                        "name": {"fullName": "Barbara Jensen"},
                        "emails": [{"address": "B@example.com"}, {"address": "c@example.com"}],
                        "phones": [{"value": "1", "type": "work_fax"}],
                        "organizations": [
                            {"title": "No", "department": "No"},
                            {"title": "Guide", "department": "Tours", "primary": True},
                        ],
                        "relations": [
                            {"type": "assistant", "value": "x@example.com"},
                            {"type": "manager", "value": "m@example.com"},
                        ],
                        "externalIds": [
                            {"type": "account", "value": "9"},
                            {"type": "organization", "value": "701984"},
                        ],
                        "languages": [
                            {"languageCode": "en"},
                            {"languageCode": "de", "preference": "preferred"},
                        ],
                    }
                ),
                {
                    "ref": Ref("google_workspace", "directory", "42"),
                    "active": False,
                    "display_name": "Barbara Jensen",
                    "emails": ("b@example.com", "c@example.com"),
                    "phones": (Phone("1", PhoneKind.OTHER),),
                    "title": "Guide",
                    "department": "Tours",
                    "manager": Ref("google_workspace", "directory", "m@example.com"),
                    "external_id": "701984",
                    "language": "de",
                    "version": None,
                },
            ),
            (reply({"id": "42", "primaryEmail": "b@example.com"}), {"active": None, "title": None}),
        ),
    )


def entra() -> PeopleSubject:
    """Return a test subject of Microsoft Entra with a new sandbox."""
    sandbox = EntraSandbox()
    return PeopleSubject(
        vendor=Entra(
            directory=sandbox.directory,
            client_id=sandbox.client_id,
            client_secret=sandbox.client_secret,
        ),
        sandbox=sandbox,
        refusals=(
            (graph_error(400, "Request_BadRequest"), InvalidRequest, "Request_BadRequest"),
            (graph_error(400, "Request_BadRequest", "ObjectConflict"), AlreadyExists),
            (graph_error(400, "Request_BadRequest", "ConflictingObjects"), AlreadyExists),
            (graph_error(403, "Authorization_RequestDenied"), AuthenticationFailed),
            (graph_error(404, "Request_ResourceNotFound"), VendorRejected),
            (graph_error(409, "Conflict"), AlreadyExists),
            (Response(409), VendorRejected),
            (Response(409, {"Content-Type": "text/html"}, b"<p>Conflict</p>"), VendorRejected),
            (graph_error(412, "PreconditionFailed"), ChangedMeanwhile),
            (graph_error(429, "TooManyRequests"), RateLimitExceeded, "TooManyRequests"),
        ),
        pause=(graph_error(429, "TooManyRequests", Retry_After="7"), 7.0),
        option=("usageLocation", "DE"),
        secrets=(sandbox.client_secret,),
        requests=(
            (
                {
                    "display_name": "Countess",
                    "emails": ["a@example.com", "b@example.com"],
                    "phones": PHONES,
                    "title": "Analyst",
                    "department": "R&D",
                    "language": "en",
                },
                {
                    "userPrincipalName": "n0@example.com",
                    "mailNickname": "n0",
                    "displayName": "Countess",
                    "givenName": "Ada",
                    "surname": "Lovelace",
                    "accountEnabled": True,
                    "passwordProfile.forceChangePasswordNextSignIn": True,
                    "mail": "a@example.com",
                    "otherMails": ["b@example.com"],
                    "businessPhones": ["+49 30 1"],
                    "mobilePhone": "+49 151 1",
                    "jobTitle": "Analyst",
                    "department": "R&D",
                    "employeeId": "E-n0",
                    "preferredLanguage": "en",
                },
            ),
            (
                {"active": False},
                {"accountEnabled": False, "displayName": "Ada Lovelace", "mail": None},
            ),
        ),
        answers=(
            (
                reply(
                    {
                        "id": "42",
                        "userPrincipalName": "b@example.com",
                        "accountEnabled": False,
                        "mail": "b@example.com",
                        "otherMails": ["c@example.com"],
                        "businessPhones": ["1", " "],
                        "mobilePhone": "2",
                        "surname": "Jensen",
                        "jobTitle": "Guide",
                        "employeeId": "701984",
                        "manager": {"id": "7"},
                    }
                ),
                {
                    "ref": Ref("entra", "directory", "42"),
                    "active": False,
                    "emails": ("b@example.com", "c@example.com"),
                    "phones": (Phone("1"), Phone("2", PhoneKind.MOBILE)),
                    "family_name": "Jensen",
                    "title": "Guide",
                    "external_id": "701984",
                    "manager": Ref("entra", "directory", "7"),
                    "version": None,
                },
            ),
            (reply({"id": "42", "userPrincipalName": "b"}), {"active": None, "manager": None}),
        ),
    )


SUBJECTS: Final[list[Callable[[], PeopleSubject]]] = [
    entra,
    google_workspace,
    scim,
    scim_without_patch,
]
