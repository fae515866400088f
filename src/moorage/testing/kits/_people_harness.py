"""A test environment for a people directory: the vendor, its sandbox and a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.people import NewPerson, PeopleCapability, PersonChanges
from moorage.contracts.ref import Ref
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.kits._sent_requests import nested_values

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from moorage.contracts.people import Person
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import SandboxRequest
    from moorage.testing.sandboxes.people.base import PeopleSandbox

    Refusal = (
        tuple[Response, type[ConnectorError]] | tuple[Response, type[ConnectorError], str | None]
    )

ACCOUNT: Final = "directory"
PASSWORD: Final = "Correct horse 42 battery staple"  # noqa: S105 - of no use elsewhere


@attrs.frozen(kw_only=True)
class PeopleSubject:
    """A people-directory vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox, which tells what the directory keeps; it must accept user names that
            end in @example.com.
        refusals: error responses of the vendor, each with the error that it must raise and, as an
            optional third item, the vendor's code that the error must keep.
        pause: a response by which the vendor asks for a pause, and the seconds of the pause.
        option: an option of a new account in the vendor's own words, and its value.
        secrets: texts that no repr, error, event or log entry may contain, such as a token.
        requests: fields of a new person, each with values that the request must have, by the path
            of their names; None for a name that it must not have.
        answers: responses about an account, each with fields that must be read from it.
    """

    vendor: Vendor
    sandbox: PeopleSandbox
    refusals: tuple[Refusal, ...]
    pause: tuple[Response, float]
    option: tuple[str, Any]
    secrets: tuple[str, ...] = attrs.field(repr=False)
    requests: tuple[tuple[Mapping[str, Any], Mapping[str, Any]], ...] = ()
    answers: tuple[tuple[Response, Mapping[str, Any]], ...] = ()


class Harness(RecordedHarness[PeopleSubject]):
    """A people-directory vendor under test, with its hub, integration log and observer."""

    contract = "people"
    account_name = ACCOUNT
    logs_content = True
    sandbox: PeopleSandbox

    def person(self, name: str = "ada", **fields: Any) -> NewPerson:
        """Return a new person with this user name and these fields."""
        values: dict[str, Any] = {
            "user_name": f"{name}@example.com",
            "given_name": "Ada",
            "family_name": "Lovelace",
            "external_id": f"E-{name}",
        }
        return NewPerson(**values | fields)

    async def create(
        self, name: str = "ada", *, idempotency_key: str | None = None, **fields: Any
    ) -> Person:
        """Create the account of a person."""
        person: Person = await self(
            "create",
            self.person(name, **fields),
            password=PASSWORD,
            idempotency_key=idempotency_key,
        )
        return person

    async def get(self, ref: Ref) -> Person:
        """Return the current state of an account."""
        person: Person = await self("get", ref)
        return person

    @property
    def group(self) -> Ref:
        """The reference of the group that exists at the start."""
        return Ref(self.subject.vendor.name, ACCOUNT, self.sandbox.group)

    def user_names(self) -> list[str]:
        """Return the user names of all accounts in the directory."""
        return [account.user_name for account in self.sandbox.accounts()]

    def writes(self) -> list[SandboxRequest]:
        """Return the requests that changed something."""
        return [request for request in self.sandbox.requests if request.method != "GET"]

    def hidden(self) -> tuple[str, ...]:
        """Return texts that must stay hidden: secrets, the password and names."""
        return (*self.subject.secrets, PASSWORD, "Lovelace")


def calls_by_capability(
    harness: Harness,
) -> Mapping[PeopleCapability, Callable[[], Awaitable[Any]]]:
    """Return, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1")
    return {
        PeopleCapability.GROUPS: lambda: harness("add_member", harness.group, ref),
        PeopleCapability.MANAGER: lambda: harness.create(manager=ref),
        PeopleCapability.TIME_ZONE: lambda: harness.create(time_zone="Europe/London"),
        PeopleCapability.VERSION: lambda: harness(
            "change", ref, PersonChanges(title="Analyst"), version="1"
        ),
    }


def request_values(request: SandboxRequest) -> list[tuple[str, Any]]:
    """Return each value in a request's JSON body, with the path that leads to it."""
    return nested_values("", request.json())
