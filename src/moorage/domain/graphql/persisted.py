"""Persisted GraphQL documents: a request sends a hash or an id instead of the document."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from moorage.domain.graphql.answers import UNKNOWN_DOCUMENT
from moorage.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.graphql.documents import GraphQLDocument
    from moorage.errors import ConnectorError

_DOCUMENT_ID: Final = "documentId"


@attrs.frozen
class PersistedDocuments:
    """The setting for the way in which requests name persisted documents: by hash or by id.

    Attributes:
        is_automatic: True if the service learns a document from the first request that has its
            text.
        ids: the ids of registered documents by the names of their operations.
        field: the member of a request that contains the id.
    """

    is_automatic: bool
    ids: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    field: str = _DOCUMENT_ID

    @classmethod
    def automatic(cls) -> Self:
        """Return the setting for automatic persisted queries: a hash first, the text if unknown.

        A request contains the SHA-256 of its document. If the service does not know it, the same
        attempt sends the text too.
        """
        return cls(is_automatic=True)

    @classmethod
    def registered(cls, ids: Mapping[str, str] | None = None, *, field: str = _DOCUMENT_ID) -> Self:
        """Return the setting for documents registered before; requests never contain their text.

        Args:
            ids: the ids by the names of operations, from the tool that registered the documents.
                Other documents have the id "sha256:" with their hash.
            field: the member of a request that contains the id, such as "documentId" or "id".
        """
        return cls(is_automatic=False, ids=dict(ids or {}), field=field)

    def members(self, document: GraphQLDocument) -> dict[str, Any]:
        """Return the fields of a GraphQL request that identify a persisted document."""
        code = sha256(document.text.encode()).hexdigest()
        if self.is_automatic:
            return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": code}}}
        return {self.field: self.ids.get(document.name or "", f"sha256:{code}")}


def is_unknown_document(error: ConnectorError) -> bool:
    """Return whether a service refused a request because it does not know the document."""
    return isinstance(error, InvalidRequest) and error.vendor_code in UNKNOWN_DOCUMENT
