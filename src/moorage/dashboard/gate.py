"""The login of `moorage dashboard`: by a one-time link, or by name and password."""

from __future__ import annotations

import hmac
import secrets
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.dashboard.layout import bare_document, text_field
from moorage.dashboard.markup import tag
from moorage.dashboard.people import ALL_ACTS, READ_ONLY, Person
from moorage.dashboard.web import BadFormError, cookie, fields_of, html_page, see_other
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.dashboard.web import PageRequest, PageResponse

_COOKIE: Final = "moorage_session"
_SESSION: Final = 12 * 3_600
_FAILURES: Final = 10
"""Wrong passwords in a minute, after which nobody may try another."""
_MINUTE: Final = 60.0
_SHORTEST_PASSWORD: Final = 12
_ROLES: Final = {"view": READ_ONLY, "act": ALL_ACTS}
_PARTS: Final = 3


@attrs.frozen
class Member:
    """A person who logs in with a password."""

    person: Person
    password: Secret


def members_of(text: str) -> list[Member]:
    """Parse the people in a text such as "ann:act:long-password ben:view:another-one".

    Raises:
        ConfigurationError: the text is malformed, or a password is too short.
    """
    members: list[Member] = []
    for word in text.split():
        parts = word.split(":", 2)
        if len(parts) != _PARTS or parts[1] not in _ROLES or not parts[0]:
            raise ConfigurationError(
                "An entry in the list of people who may use the operations page is malformed.",
                path="--people-env",
                remedy="Write name:act:password or name:view:password, with spaces between people.",
            )
        name, role, password = parts
        if len(password) < _SHORTEST_PASSWORD:
            raise ConfigurationError(
                f"The password of {name} is shorter than {_SHORTEST_PASSWORD} characters.",
                path="--people-env",
                remedy="Use a long random password.",
            )
        if any(member.person.is_same(name) for member in members):
            raise ConfigurationError(
                f"Two people have the name {name}.",
                path="--people-env",
                remedy="Give each person a name of their own.",
            )
        members.append(Member(Person(name, _ROLES[role]), Secret(password)))
    if not members:
        raise ConfigurationError(
            "The list of people who may use the operations page is empty.",
            path="--people-env",
            remedy="Write name:act:password or name:view:password, with spaces between people.",
        )
    return members


class Gate:
    """Identifies people by their session.

    Args:
        clock: returns the seconds of a monotonic clock.
        guest: the person of the one-time link; None if people log in.
        members: the people who log in.
        hosts: the accepted Host headers, to prevent DNS rebinding; empty to accept any.
        read_only: True if nobody may act, whatever their role.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        guest: Person | None = None,
        members: Iterable[Member] = (),
        hosts: Iterable[str] = (),
        read_only: bool = False,
    ) -> None:
        self._clock = clock
        self._guest = guest
        self._members = tuple(members)
        self._read_only = read_only
        self._hosts = frozenset(hosts)
        self._lock = ForkSafeLock()
        self._token = secrets.token_urlsafe(32)
        self._sessions: dict[str, tuple[float, Person]] = {}
        self._failures: list[float] = []

    @property
    def token(self) -> str:
        """The token of the one-time link."""
        return self._token

    def identify(self, request: PageRequest) -> Person | PageResponse:
        """Return the person who sends a request, or the response that starts a session."""
        if self._hosts and request.host not in self._hosts:
            return _page(
                "Wrong address", "This page is not served under this host name.", status=421
            )
        person = self._person_of_session(request.cookie(_COOKIE))
        if person is not None:
            return person
        if self._members:
            return self._login(request)
        return self._first_visit(request)

    def _person_of_session(self, session: str) -> Person | None:
        with self._lock.current:
            session_entry = self._sessions.get(session)
            if session_entry is None or self._clock() >= session_entry[0]:
                self._sessions.pop(session, None)
                return None
            return session_entry[1]

    def _begin_session(self, request: PageRequest, person: Person) -> PageResponse:
        session = secrets.token_urlsafe(32)
        with self._lock.current:
            acts = READ_ONLY if self._read_only else person.acts
            session_person = attrs.evolve(person, session=session, acts=acts)
            self._sessions[session] = self._clock() + _SESSION, session_person
        return see_other(
            request.link("/"), cookies=[cookie(request, _COOKIE, session, seconds=_SESSION)]
        )

    def _first_visit(self, request: PageRequest) -> PageResponse:
        """Start a session for the first visitor who opens the one-time link."""
        try:
            token = fields_of(request.query).get("token", "")
        except BadFormError:
            token = ""
        with self._lock.current:
            matches = self._guest is not None and _equals_in_constant_time(token, self._token)
            if matches:
                self._token = secrets.token_urlsafe(32)
        if matches and self._guest is not None:
            return self._begin_session(request, self._guest)
        words = (
            "Open the link that `moorage dashboard` printed. The link works once; start the"
            " command again to get a new one."
        )
        return _page("You are not signed in", words, status=401)

    def _login(self, request: PageRequest) -> PageResponse:
        if request.method != "POST" or request.path != "/login":
            return self._form(request, None, 401)
        attempt_time = self._clock()
        with self._lock.current:
            self._failures = [
                failure_time
                for failure_time in self._failures
                if attempt_time - failure_time < _MINUTE
            ]
            if len(self._failures) >= _FAILURES:
                words = "Too many wrong passwords. Try again in a minute."
                return self._form(request, words, 429)
            # Counted before passwords are compared, so that parallel guesses count too.
            self._failures.append(attempt_time)
        try:
            form = request.form() if request.is_from_our_page() else {}
        except BadFormError:
            form = {}
        name, password = form.get("name", ""), form.get("password", "")
        signed_in_person = None
        for member in self._members:
            password_matches = _equals_in_constant_time(password, member.password.reveal())
            if member.person.is_same(name) and password_matches:
                signed_in_person = member.person
        if signed_in_person is None:
            return self._form(request, "The name or the password is wrong.", 401)
        with self._lock.current, suppress(ValueError):  # after a minute it is gone
            self._failures.remove(attempt_time)
        return self._begin_session(request, signed_in_person)

    def _form(self, request: PageRequest, words: str | None, status: int) -> PageResponse:
        form = tag(
            "form",
            tag("div", text_field("name", "Name", required=True), class_="field"),
            tag(
                "div",
                text_field("password", "Password", kind="password", required=True),
                class_="field",
            ),
            tag("button", "Log in", class_="main"),
            method="post",
            action=request.link("/login"),
        )
        problem = None if words is None else tag("div", words, class_="notice bad", role="alert")
        return html_page(bare_document("Log in", problem, form), status=status)


def _page(title: str, words: str, *, status: int) -> PageResponse:
    return html_page(bare_document(title, tag("p", words)), status=status)


def _equals_in_constant_time(value: str, expected: str) -> bool:
    """Compare two texts in constant time, even if their lengths differ."""
    value_digest, expected_digest = (
        sha256(text.encode("utf-8", "replace")).digest() for text in (value, expected)
    )
    return hmac.compare_digest(value_digest, expected_digest)
