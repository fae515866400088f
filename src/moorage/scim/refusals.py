"""Refusals of SCIM requests: the status, SCIM's word for the reason, and a sentence."""

from __future__ import annotations

from typing import Any, Final

ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimRefusal(Exception):
    """Raised by the rules of the server, which answers with it.

    Attributes:
        status: HTTP status of the answer.
        word: SCIM's word for the reason, if it has one.
        detail: sentence for the people who run the identity provider.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        word: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.word, self.headers = status, detail, word, headers

    @property
    def body(self) -> dict[str, Any]:
        """The error as SCIM writes it."""
        body = {"schemas": [ERROR], "status": str(self.status), "detail": self.detail}
        return body if self.word is None else {**body, "scimType": self.word}


def invalid_value(detail: str) -> ScimRefusal:
    """The refusal of a value that an attribute cannot have."""
    return ScimRefusal(400, detail, "invalidValue")


def invalid_path(detail: str) -> ScimRefusal:
    """The refusal of a path that names no attribute."""
    return ScimRefusal(400, detail, "invalidPath")


def not_found(what: str) -> ScimRefusal:
    """The refusal of a request for something that does not exist."""
    return ScimRefusal(404, f"{what} does not exist.")
