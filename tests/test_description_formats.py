"""Descriptions in the formats of Google, Amazon, Azure and OData are read as OpenAPI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.test_descriptions import TEXT, sent_exchange
from tools.description_csdl import read_csdl
from tools.description_formats import as_openapi, pattern_of
from tools.descriptions import Description, problems_of, request_problems, target_of

DISCOVERY: Any = {
    "kind": "discovery#restDescription",
    "version": "v1",
    "revision": "20260101",
    "rootUrl": "https://files.example/",
    "servicePath": "files/v1/",
    "parameters": {"fields": {"location": "query", "type": "string"}},
    "schemas": {
        "File": {
            "id": "File",
            "type": "object",
            "properties": {
                "name": {
                    "type": "string",
                    "description": "Its name.",
                    "annotations": {"required": ["files.insert"]},
                },
                "parent": {"$ref": "File"},
                "labels": {"type": "object", "additionalProperties": {"type": "any"}},
            },
        }
    },
    "resources": {
        "files": {
            "methods": {
                "insert": {
                    "id": "files.insert",
                    "path": "b/{bucket}/o",
                    "httpMethod": "POST",
                    "parameters": {
                        "kinds": {"location": "query", "type": "string", "repeated": True}
                    },
                    "request": {"$ref": "File"},
                    "response": {"$ref": "File"},
                    "mediaUpload": {"protocols": {"simple": {"path": "/upload/b/{bucket}/o"}}},
                }
            },
            "resources": {
                "old": {
                    "methods": {
                        "get": {
                            "id": "files.old.get",
                            "path": "{+name}",
                            "flatPath": "o/{nameId}",
                            "httpMethod": "GET",
                            "response": {"$ref": "File"},
                            "supportsMediaDownload": True,
                        }
                    }
                }
            },
        }
    },
}
MODEL: Any = {
    "metadata": {"apiVersion": "2026-01-01", "protocol": "rest-xml"},
    "operations": {
        "PutFile": {
            "http": {"method": "PUT", "requestUri": "/{Bucket}/{Key+}"},
            "input": {"shape": "PutRequest"},
        },
        "CopyFile": {
            "http": {"method": "PUT", "requestUri": "/{Bucket}/{Key+}"},
            "input": {"shape": "CopyRequest"},
            "output": {"shape": "CopyOutput"},
        },
        "PutPart": {
            "http": {"method": "PUT", "requestUri": "/{Bucket}/{Key+}"},
            "input": {"shape": "PartRequest"},
        },
        "ListFiles": {
            "http": {"method": "GET", "requestUri": "/{Bucket}?list"},
            "output": {"shape": "ListOutput"},
        },
    },
    "shapes": {
        "Text": {"type": "string"},
        "Stream": {"type": "blob"},
        "Time": {"type": "timestamp"},
        "Count": {"type": "integer"},
        "Class": {"type": "string", "enum": ["COLD", "HOT"]},
        "Tags": {"type": "map", "key": {"shape": "Text"}, "value": {"shape": "Text"}},
        "PutRequest": {
            "type": "structure",
            "payload": "Body",
            "members": {
                "Body": {"shape": "Stream"},
                "Class": {"shape": "Class", "location": "header", "locationName": "x-amz-class"},
                "Until": {"shape": "Time", "location": "header", "locationName": "x-amz-until"},
            },
        },
        "CopyRequest": {
            "type": "structure",
            "required": ["Source"],
            "members": {
                "Source": {"shape": "Text", "location": "header", "locationName": "x-amz-source"}
            },
        },
        "CopyOutput": {
            "type": "structure",
            "payload": "Result",
            "members": {"Result": {"shape": "CopyResult"}},
        },
        "CopyResult": {"type": "structure", "members": {"ETag": {"shape": "Text"}}},
        "PartRequest": {
            "type": "structure",
            "required": ["Part"],
            "members": {
                "Part": {"shape": "Count", "location": "querystring", "locationName": "part"}
            },
        },
        "ListOutput": {
            "type": "structure",
            "required": ["Files"],
            "members": {
                "Files": {"shape": "Files", "locationName": "File"},
                "Owners": {"shape": "Owners"},
                "Tags": {"shape": "Tags"},
            },
        },
        "Files": {"type": "list", "flattened": True, "member": {"shape": "CopyResult"}},
        "Owners": {"type": "list", "member": {"shape": "Text"}},
    },
}
AZURE: Any = {
    "paths": {},
    "parameters": {
        "Comp": {
            "name": "comp",
            "in": "query",
            "required": True,
            "type": "string",
            "enum": ["list"],
        }
    },
    "x-ms-paths": {
        "/{container}?comp=list&flat": {
            "parameters": [{"$ref": "#/parameters/Comp"}],
            "get": {"responses": {}},
        },
        "/{container}/{blob}?BlockBlob": {
            "put": {
                "parameters": [{"name": "x-ms-type", "in": "header", "required": True}],
                "responses": {},
            }
        },
        "/{container}/{blob}?comp=copy": {
            "put": {
                "parameters": [{"name": "x-ms-source", "in": "header", "required": True}],
                "responses": {},
            }
        },
    },
}
CSDL = """<edmx:Edmx xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="acme.graph" Alias="graph" xmlns="http://docs.oasis-open.org/odata/ns/edm">
  <EnumType Name="color"><Member Name="red" /><Member Name="blue" /></EnumType>
  <EnumType Name="days" IsFlags="true"><Member Name="monday" /></EnumType>
  <ComplexType Name="time"><Property Name="at" Type="Edm.String" Nullable="false" /></ComplexType>
  <EntityType Name="entity" Abstract="true"><Property Name="id" Type="Edm.String" /></EntityType>
  <EntityType Name="user" BaseType="graph.entity">
    <Property Name="age" Type="Edm.Int32" />
    <Property Name="names" Type="Collection(Edm.String)" />
    <NavigationProperty Name="events" Type="Collection(graph.event)" />
  </EntityType>
  <EntityType Name="event" BaseType="graph.entity">
    <Property Name="start" Type="graph.time" />
    <Property Name="color" Type="graph.color" />
    <Property Name="days" Type="graph.days" />
  </EntityType>
  <Function Name="delta" IsBound="true">
    <Parameter Name="binding" Type="Collection(graph.event)" />
    <ReturnType Type="Collection(graph.event)" />
  </Function>
  <Action Name="getFree" IsBound="true">
    <Parameter Name="binding" Type="graph.user" />
    <Parameter Name="until" Type="Edm.String" />
    <ReturnType Type="graph.event" />
  </Action>
  <Action Name="free"><Parameter Name="until" Type="Edm.String" /></Action>
  <Action Name="drop" IsBound="true"><Parameter Name="binding" Type="graph.event" /></Action>
  <EntityContainer Name="Service"><EntitySet Name="users" EntityType="acme.graph.user" />
  </EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"""


def templates(description: Description, method: str, target: str) -> list[str]:
    """Return the path templates of the described operations that match a request."""
    return [operation.template for operation in description.operations(method, target)]


def body_of(description: Description, method: str, target: str) -> Any:
    """Return the schema of an operation's JSON request."""
    (operation,) = description.operations(method, target)
    return operation.parts["requestBody"]["content"]["application/json"]["schema"]


def response_of(description: Description, method: str, target: str, status: str = "2XX") -> Any:
    """Return the schema of an operation's JSON or XML response."""
    (operation,) = description.operations(method, target)
    return next(iter(operation.parts["responses"][status]["content"].values()))["schema"]


def test_openapi_description_is_not_changed() -> None:
    """A description that is already in OpenAPI's form is not changed."""
    root: Any = {"paths": {"/a": {}}}

    assert root is as_openapi(root)


def test_discovery_document_describes_paths_and_uploads() -> None:
    """A method in a Google discovery document has two paths: its own path and one for uploads."""
    description = Description(as_openapi(DISCOVERY))

    assert ["/b/{bucket}/o"] == templates(description, "POST", "/files/v1/b/acme/o")
    assert ["/upload/b/{bucket}/o"] == templates(description, "POST", "/upload/b/acme/o")
    assert ["/o/{nameId}"] == templates(description, "GET", "/files/v1/o/a.txt?fields=name")
    assert [] == templates(description, "GET", "/files/v1/b/acme/o")
    assert "v1, revision 20260101" == description.root["info"]["version"]


def test_discovery_document_describes_bodies() -> None:
    """In a discovery document, annotations list the methods that require a field."""
    description = Description(as_openapi(DISCOVERY))
    schema = body_of(description, "POST", "/files/v1/b/acme/o")
    document = {"name": "a", "parent": {"labels": {"x": 1}}}

    assert [] == problems_of(description, schema, document, "writeOnly")
    assert ["body has no name."] == problems_of(description, schema, {}, "writeOnly")
    assert ["body.parent.name is no string."] == problems_of(
        description, schema, {"name": "a", "parent": {"name": 1}}, "writeOnly"
    )


def test_discovery_document_describes_queries_and_downloads() -> None:
    """Discovery documents describe repeated parameters, upload types and downloads of any type."""
    description = Description(as_openapi(DISCOVERY))
    (upload,) = description.operations("POST", "/upload/b/acme/o")
    (download,) = description.operations("GET", "/files/v1/o/a.txt")
    schemas = {part["name"]: part["schema"] for part in upload.parts["parameters"]}

    assert {
        "fields": TEXT,
        "kinds": {"type": "array", "items": TEXT},
        "uploadType": {},
    } == schemas
    assert {"application/json", "*/*"} == set(download.parts["responses"]["2XX"]["content"])


def test_operations_with_same_path_have_labels() -> None:
    """Operations with one path get distinct labels; a required query parameter is in the path."""
    description = Description(as_openapi(MODEL))

    assert ["/{Key+}#PutFile", "/{Key+}#CopyFile"] == templates(description, "PUT", "/a/b.txt")
    assert ["/{Key+}?part#PutPart"] == templates(description, "PUT", "/a/b.txt?part=1")
    assert ["/?list#ListFiles"] == templates(description, "GET", "/?list")
    assert [] == templates(description, "GET", "/")


def test_service_model_describes_headers() -> None:
    """Headers are checked against the service model; a time in a header has the type text."""
    description = Description(as_openapi(MODEL))
    put, copy = description.operations("PUT", "/a.txt")
    headers = {"x-amz-class": "WARM", "x-amz-until": "2026", "x-amz-other": "1", "x-amz-date": "2"}
    exchange = sent_exchange(b"text", "text/plain", headers)

    assert [
        "headers.x-amz-class cannot be 'WARM'.",
        "The header x-amz-other is not known.",
    ] == request_problems(description, put, exchange)
    assert "The headers have no x-amz-source." in request_problems(description, copy, exchange)


def test_service_model_describes_xml() -> None:
    """In XML, lists have repeated or wrapped elements, and one member may be the whole body."""
    description = Description(as_openapi(MODEL))
    schema = description.resolved(response_of(description, "GET", "/?list", "200"))
    _, copy = description.operations("PUT", "/a.txt")

    assert ["File"] == schema["required"]
    assert {"type": "array", "items": {"$ref": "#/components/schemas/CopyResult"}} == (
        description.resolved(schema["properties"]["File"])
    )
    assert {"wrapped": True} == description.resolved(schema["properties"]["Owners"])["xml"]
    assert "object" == description.resolved(schema["properties"]["Tags"])["type"]
    assert {"application/xml": {"schema": {"$ref": "#/components/schemas/CopyResult"}}} == (
        copy.parts["responses"]["200"]["content"]
    )


def test_time_in_json_is_a_number() -> None:
    """If a service model uses JSON, a time in a body is a number."""
    model = {**MODEL, "metadata": {"apiVersion": "1", "protocol": "rest-json"}}

    assert {"type": "number"} == as_openapi(model)["components"]["schemas"]["Time"]


QUERY_MODEL: Any = {
    "metadata": {"apiVersion": "2010", "protocol": "query"},
    "operations": {
        "Send": {
            "name": "Send",
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": "SendInput"},
            "output": {"shape": "SendOutput", "resultWrapper": "SendResult"},
        },
        "Stop": {"name": "Stop", "http": {"method": "POST", "requestUri": "/"}},
    },
    "shapes": {
        "Text": {"type": "string"},
        "Texts": {"type": "list", "member": {"shape": "Text"}},
        "Tags": {
            "type": "map",
            "key": {"shape": "Text", "locationName": "Name"},
            "value": {"shape": "Text"},
        },
        "SendInput": {
            "type": "structure",
            "required": ["To"],
            "members": {
                "To": {"shape": "Text"},
                "Lines": {"shape": "Texts"},
                "Tags": {"shape": "Tags"},
            },
        },
        "SendOutput": {"type": "structure", "members": {"Id": {"shape": "Text"}}},
    },
}


def test_form_names_the_operation_of_an_older_service() -> None:
    """A form's action chooses among operations at one path, which may have no input or result."""
    description = Description(as_openapi(QUERY_MODEL))

    assert ["/?Action=Stop#Stop"] == templates(description, "POST", "/?Action=Stop")
    (stop,) = description.operations("POST", "/?Action=Stop")
    form = {"Action": "Stop", "Version": "2010", "To": ""}
    body = stop.parts["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert ["body.To is not known."] == problems_of(description, body, form, "writeOnly")
    response = response_of(description, "POST", "/?Action=Stop", "200")
    assert ["body has no ResponseMetadata."] == problems_of(description, response, {}, "readOnly")


@pytest.mark.parametrize(
    "form, problems",
    [
        ("Action=Send&Version=2010&To=a&Lines.member.1=b&Lines.member.2=c", []),
        ("Action=Send&Version=2010&To=a&Tags.entry.1.Name=b&Tags.entry.1.value=c", []),
        ("Action=Send&Version=2010&To=a&Tags.entry.1.Key=b", ["body.Tags.entry[0].Key"]),
        ("Action=Send&Version=2010&To=a&Tags.item.1.Name=b", ["body.Tags.item"]),
        ("Action=Send&Version=2010&To=a&Line.member.1=b", ["body.Line.member.1"]),
    ],
)
def test_lists_and_tables_of_a_form_are_numbered(form: str, problems: list[str]) -> None:
    """A dotted name in a form leads to a nested field; a name that leads to none is a problem."""
    description = Description(as_openapi(QUERY_MODEL))
    (operation,) = description.operations("POST", "/?Action=Send")
    exchange = sent_exchange(form.encode(), "application/x-www-form-urlencoded")

    assert "/orders?Action=Send" == target_of(exchange)
    assert [f"{name} is not known." for name in problems] == request_problems(
        description, operation, exchange
    )


def test_azure_paths_need_what_their_operations_require() -> None:
    """Azure operations with the same path are told apart by their query and required parameters."""
    description = Description(as_openapi(AZURE))

    assert ["/{container}?comp=list#comp=list&flat"] == templates(
        description, "GET", "/files?comp=list&prefix=a"
    )
    assert [] == templates(description, "GET", "/files?comp=acl")
    assert ["/{container}/{blob}#BlockBlob", "/{container}/{blob}#comp=copy"] == templates(
        description, "PUT", "/files/a.txt"
    )


def test_pattern_of_a_path() -> None:
    """A path parameter matches no slash, unless its name ends with a plus sign."""
    assert r"/v1\.0/[^/]+/.+" == pattern_of("/v1.0/{a}/{b+}")


def test_odata_describes_paths() -> None:
    """OData's properties, references, functions and actions are described as paths."""
    description = Description(read_csdl(CSDL))
    user = "/users/{acme.graph.user-id}"

    assert ["/users"] == templates(description, "POST", "/v1.0/users")
    assert [user] == templates(description, "PATCH", "/v1.0/users/ada")
    assert [f"{user}/events"] == templates(description, "GET", "/v1.0/users/ada/events")
    assert f"{user}/events/delta" in templates(description, "GET", "/v1.0/users/ada/events/delta")
    assert [f"{user}/getFree"] == templates(description, "POST", "/v1.0/users/ada/getFree")
    assert [f"{user}/events/$ref"] == templates(description, "POST", "/v1.0/users/ada/events/$ref")
    assert [] == templates(description, "POST", "/v1.0/users/ada/free")


def test_odata_describes_bodies() -> None:
    """OData values have the properties of their base types, may be null, and have annotations."""
    description = Description(read_csdl(CSDL))
    schema = body_of(description, "POST", "/v1.0/users/ada/events")
    document = {
        "id": "1",
        "start": {"at": "2026"},
        "color": None,
        "days": "monday",
        "@odata.etag": "W",
    }
    wrong_values = {"start": {"at": None}, "color": "green", "end": 1}

    assert [] == problems_of(description, schema, document, "writeOnly")
    assert [
        "body.start.at is no string.",
        "body.color cannot be 'green'.",
        "body.end is not known.",
    ] == problems_of(description, schema, wrong_values, "writeOnly")


def test_odata_describes_results() -> None:
    """OData collections have their items in `value`; an action's parameters are its request."""
    description = Description(read_csdl(CSDL))
    users = response_of(description, "GET", "/v1.0/users")
    page = {"value": [{"age": 1, "names": ["Ada"]}], "@odata.nextLink": "https://a.example"}
    parameters = body_of(description, "POST", "/v1.0/users/ada/getFree")

    assert [] == problems_of(description, users, page, "readOnly")
    assert ["body has no value."] == problems_of(description, users, {}, "readOnly")
    assert ["body.value[0].age is no integer."] == problems_of(
        description, users, {"value": [{"age": "1"}]}, "readOnly"
    )
    assert [] == problems_of(description, parameters, {"until": "2027"}, "writeOnly")
