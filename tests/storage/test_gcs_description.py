"""Requests to Google Cloud Storage match Google's own API description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from moorage.contracts.storage import ByteRange, PutOptions
from moorage.testing.sandboxes.storage._gcs_documents import related_parts
from moorage.testing.sandboxes.storage._s3_store import Spool
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from tests.storage.gcs_harnesses import over_gcs
from tests.storage.harnesses import bytes_of
from tests.support.openapi import Json, problems

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import SandboxRequest

STEP = 262_144
TEXT: Json = {"type": "string"}
OBJECT: Json = {
    "type": "object",
    "properties": {
        **dict.fromkeys(
            (
                "cacheControl",
                "contentDisposition",
                "contentLanguage",
                "contentType",
                "customTime",
                "md5Hash",
                "name",
                "storageClass",
            ),
            TEXT,
        ),
        "metadata": {"type": "object", "additionalProperties": TEXT},
    },
}
CONDITIONS = "ifGenerationMatch ifGenerationNotMatch"


def method(path: str, verb: str, query: str, body: str | None = None) -> Json:
    """Return an API method in the form of Google's description."""
    query_parameters: Json = {name: {} for name in query.split()}
    method_description: Json = {"path": path, "httpMethod": verb, "parameters": query_parameters}
    return method_description if body is None else {**method_description, "request": {"$ref": body}}


OBJECT_PATH = "b/{bucket}/o/{object}"
COPY = "b/{sourceBucket}/o/{sourceObject}/rewriteTo/b/{destinationBucket}/o/{destinationObject}"
EXCERPT: Json = {
    "servicePath": "storage/v1/",
    "parameters": {"alt": {}, "uploadType": {}},
    "schemas": {"Object": OBJECT},
    "resources": {
        "objects": {
            "methods": {
                "insert": {
                    **method(
                        "b/{bucket}/o",
                        "POST",
                        f"{CONDITIONS} kmsKeyName name predefinedAcl",
                        "Object",
                    ),
                    "mediaUpload": {
                        "protocols": {"simple": {"path": "/upload/storage/v1/b/{bucket}/o"}}
                    },
                },
                "get": method(OBJECT_PATH, "GET", f"{CONDITIONS} generation"),
                "delete": method(OBJECT_PATH, "DELETE", f"{CONDITIONS} generation"),
                "list": method("b/{bucket}/o", "GET", "delimiter maxResults pageToken prefix"),
                "rewrite": method(
                    COPY,
                    "POST",
                    f"{CONDITIONS} destinationKmsKeyName destinationPredefinedAcl rewriteToken",
                    "Object",
                ),
            }
        }
    },
}
"""What Google says of objects, as far as we ask for it."""


def as_openapi(message: Json) -> Json:
    """Return Google's description converted to OpenAPI, with query parameters beside the body."""
    paths: Json = {}
    for method in message["resources"]["objects"]["methods"].values():
        body = {"$ref": f"#/schemas/{method['request']['$ref']}"} if "request" in method else {}
        fields = {**method["parameters"], **message["parameters"]}
        query = {
            name: {"enum": field["enum"]} if "enum" in field else {}
            for name, field in fields.items()
        }
        query["alt"] = {"enum": ["json", "media"]}
        schema = {
            "type": "object",
            "properties": {"query": {"type": "object", "properties": query}, "body": body},
        }
        uploads = method.get("mediaUpload", {}).get("protocols", {}).values()
        places = [
            f"/{message['servicePath']}{method['path']}",
            *(upload["path"] for upload in uploads),
        ]
        for path in places:
            paths.setdefault(path, {})[method["httpMethod"].lower()] = {
                "requestBody": {"content": {"application/json": {"schema": schema}}}
            }
    return {"paths": paths, "schemas": message["schemas"]}


def resource_in_request(sandbox: GcsSandbox, request: SandboxRequest) -> Json:
    """Return the object's properties that a request contains, or None."""
    if request.headers.get("content-type", "").startswith("multipart/related"):
        spooled = Spool(sandbox.folder)
        spooled.write(request.body)
        spooled.close()
        return json.loads(related_parts(request, spooled)[0])
    return request.json() if request.body and request.method == "POST" else {}


def test_all_kinds_of_requests_match_the_description() -> None:
    """Google's description has each parameter and field of the requests, with the same type."""
    message = as_openapi(EXCERPT)
    sandbox = GcsSandbox()
    options = PutOptions(
        content_type="application/pdf",
        content_disposition="attachment",
        content_language="de",
        cache_control="max-age=60",
        metadata={"invoice": "2041"},
        visibility="private",
        storage_class="NEARLINE",
        encryption="projects/p/locations/l/keyRings/r/cryptoKeys/k",
        if_none_match="*",
        extra={"gcs": {"customTime": "2031-05-06T00:00:00Z"}},
    )
    with over_gcs(sandbox) as hub:
        files = hub.storage()
        info = files.upload("a/b", b"%PDF", options)
        files.upload("long", bytes_of(2 * STEP), options, part_size=STEP)
        files.download("a/b", range=ByteRange(1, 2), version=info.version).read_all()
        files.download("a/b", if_match=info.etag).read_all()
        files.download("a/b", if_none_match=info.etag).read_all()
        files.head("a/b", version=info.version)
        files.list("a", delimiter="/", limit=5)
        files.copy("a/b", "c", options)
        files.copy("a/b", "d")
        files.delete("a/b", version=info.version)
    sessions = [request for request in sandbox.requests if "upload_id" in dict(request.query)]
    results = [
        problem
        for request in sandbox.requests
        if request not in sessions
        for problem in problems(
            message,
            request.method,
            request.path,
            {"query": dict(request.query), "body": resource_in_request(sandbox, request)},
        )
    ]
    sandbox.close()

    assert 2 == len(sessions)
    assert [] == results
