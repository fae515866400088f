"""The documents by which a SCIM server describes itself (RFC 7643, sections 5 to 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_list, is_object
from moorage.scim.attributes import ATTRIBUTES, CORE, ENTERPRISE, REQUIRED
from moorage.scim.filters import is_exact
from moorage.scim.port import ScimKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGEST_PAGE: Final = 200
LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:"


def list_page(items: Sequence[Mapping[str, Any]], total: int, start: int) -> dict[str, Any]:
    """Return a SCIM document with one page of a list; `start` counts from 1."""
    return {
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(items),
        "Resources": list(items),
    }


def provider_configuration() -> dict[str, Any]:
    """Return the description of the features that the server supports."""
    return {
        "schemas": [f"{_SCHEMA}ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": LARGEST_PAGE},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token in the header Authorization.",
                "primary": True,
            }
        ],
    }


def resource_types() -> list[dict[str, Any]]:
    """Return the descriptions of the kinds of resources."""
    return [
        {
            "schemas": [f"{_SCHEMA}ResourceType"],
            "id": kind.value,
            "name": kind.value,
            "endpoint": f"/{kind}s",
            "schema": CORE[kind],
            "schemaExtensions": [{"schema": ENTERPRISE, "required": False}]
            if ENTERPRISE in ATTRIBUTES[kind]
            else [],
        }
        for kind in ScimKind
    ]


def schemas() -> list[dict[str, Any]]:
    """Return the descriptions of all attributes of people, groups and the extension."""
    core = [_schema(CORE[kind], kind.value, ATTRIBUTES[kind], REQUIRED[kind]) for kind in ScimKind]
    extension = ATTRIBUTES[ScimKind.USER][ENTERPRISE]
    return [*core, _schema(ENTERPRISE, "EnterpriseUser", extension, None)]


def _schema(
    id: str, name: str, attributes: Mapping[str, Any], required: str | None
) -> dict[str, Any]:
    return {
        "schemas": [f"{_SCHEMA}Schema"],
        "id": id,
        "name": name,
        "attributes": [
            _attribute(attribute, shape, is_required=attribute == required)
            for attribute, shape in attributes.items()
            if not attribute.startswith("urn:")
        ],
    }


def _attribute(
    name: str, shape: Any, *, parent: str | None = None, is_required: bool = False
) -> dict[str, Any]:
    parts = shape[0] if is_list(shape) else shape
    is_secret = name == "password"
    attribute: dict[str, Any] = {
        "name": name,
        "type": "complex" if is_object(parts) else parts,
        "multiValued": is_list(shape),
        "required": is_required,
        "caseExact": is_exact((name,) if parent is None else (parent, name)),
        "mutability": "writeOnly" if is_secret else "readWrite",
        "returned": "never" if is_secret else "default",
        "uniqueness": "server" if name == "userName" else "none",
    }
    if is_object(parts):
        attribute["subAttributes"] = [
            _attribute(part, kind, parent=name) for part, kind in parts.items()
        ]
    return attribute
