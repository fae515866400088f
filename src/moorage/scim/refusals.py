"""Error responses to SCIM requests, each with a status, a SCIM error type, and a sentence."""

from __future__ import annotations

from typing import Any, Final

ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimRefusal(Exception):
    """Raised to refuse a request; the server converts it to an error response.

    Attributes:
        status: HTTP status of the answer.
        word: the error type of SCIM (`scimType`), if there is one.
        detail: sentence for the administrator of the identity provider.
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
        """Return the error as a SCIM document."""
        body = {"schemas": [ERROR], "status": str(self.status), "detail": self.detail}
        return body if self.word is None else {**body, "scimType": self.word}


def invalid_value(detail: str) -> ScimRefusal:
    """Return the error response to an invalid value of an attribute."""
    return ScimRefusal(400, detail, "invalidValue")


def invalid_path(detail: str) -> ScimRefusal:
    """Return the error response to a path that is not the path of an attribute."""
    return ScimRefusal(400, detail, "invalidPath")


def not_found_refusal(what: str) -> ScimRefusal:
    """Return the error response to a request for a missing object."""
    return ScimRefusal(404, f"{what} does not exist.")
