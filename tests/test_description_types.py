"""Types in libraries' source code and in schemas are read as API descriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tools import description_types
from tools.description_types import describe_operations, is_package
from tools.descriptions import Description, problems_of, read_description

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY = {
    "types/card.d.ts": """
        import type Owner from './owner';
        /** A card, which nobody { has. */
        export declare class Card extends Base<'card'> implements Other {
            number: string; // the digits
            brand?: Brand | null;
            'expires-at'!: Date;
            readonly owner: Owner;
            private secret: string;
            static create(options: { a: number }): Promise<Card>;
            constructor(number: string);
            pay: (amount: number) => void;
        }
        interface Base<Kind, Id = string> { kind: Kind; id: Id }
        export declare enum Brand { Visa = "visa", Other = 'other' }
        export declare const Level: { readonly Low: "low"; readonly High: "high" };
        export type Level = (typeof Level)[keyof typeof Level];
        type Sign = 1 | -1 | true;
        type Test = string extends number ? boolean : number;
        type Strange<T> = Unknown<T>;
    """,
    "card.json": json.dumps(
        {
            "$schema": "http://json-schema.org/draft-06/schema#",
            "definitions": {
                "Sheet": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {
                        "kind": {"enum": ["sheet", 1]},
                        "parts": {"type": "array", "items": {"$ref": "#/definitions/All.Part"}},
                        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
                        "free": {"pattern": "a+"},
                        "either": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
                    },
                },
                "All.Part": {
                    "allOf": [{"properties": {"id": {"type": "string"}}}],
                    "properties": {"size": {"type": "number"}},
                },
            },
        }
    ),
    "scim.json": json.dumps(
        [
            {
                "name": "Crew Member",
                "attributes": [
                    {"name": "since", "type": "dateTime", "multiValued": False, "required": True},
                    {
                        "name": "mails",
                        "type": "complex",
                        "multiValued": True,
                        "required": False,
                        "subAttributes": [
                            {
                                "name": "primary",
                                "type": "boolean",
                                "multiValued": False,
                                "required": False,
                            }
                        ],
                    },
                ],
            }
        ]
    ),
    "docs/Ship.md": """
# Ship

## Properties
Name | Type | Description | Notes
------------ | ------------- | ------------- | -------------
**flag** | [**FlagEnum**](#FlagEnum) | Its flag, red | or blue |
**crew** | [**List&lt;Sailor&gt;**](Sailor.md) | Its crew |  [optional]
**holds** | **Map&lt;String, Integer&gt;** | Its holds |  [optional]
**built** | [**Date**](Date.md) | Its age |  [optional]
**note** | **Object** | A note |  [optional]


<a name="FlagEnum"></a>
## Enum: FlagEnum
Name | Value
---- | -----
RED | &quot;red&quot;
BLUE | &quot;blue&quot;
""",
    "docs/mail.apib": """
# Group Mails
+ Nothing else

## Mail Object [/v1/mails]
+ Data Structure
    + id: `m1` (string, required) - Its id
    + state (enum) - Its state
        + `sent`
        + Not Sent
    + from (enum, required)
        + (string)
        + (object)
            + name (string) - A name (of one)
    + tags (array[object], required) - Its tags
    + count = `1` (number, optional) ... Its number
    + more (unheard of)
+ Data Structure: Part Object
    + data (object)

### Search Mails [GET /v1/mails{?limit}]

+ Parameters
    + limit = `10` (optional, number) - The most
    + order (optional, enum)

        + Values
            + `up`
            + `down`
    + ids (list)

+ Response 200 (application/json)

        {"results": [{"id": "1"}, {"size": 1.5}], "next": null, "first": true}

+ Response 200 - Another (application/json)
    + Body

            {"results": [], "total": 1}

+ Response 202

        { not JSON }

+ Response 400

        {"error": "a"}
""",
    "docs/Sailor.md": "# Sailor\n\n## Properties\n**name** | **String** | It |  [optional]\n",
    "README.md": "# About\n\n## Installation\n",
    "LICENCE.md": "No title.",
    "tsconfig.json": '{"strict": true, /* always */}',
    "package.json": json.dumps({"version": "1"}),
    "types/made.d.ts": """
        export interface Made { schemas: {
            Cat: { mother?: Made["schemas"]["Cat"]; friend: Made["schemas"]["Card"] };
            Card: { name: string };
        } }
        type Schemas = Made["schemas"];
    """,
    "types/owner.d.ts": """
        export default interface Owner { firstName: string; cards?: Card[]; homeTown: Town }
        declare namespace Places { interface Place { lat: number } type Town = { at: Place } }
        type Town = Places.Town;
        interface Note { text: string }
    """,
    "other/note.d.ts": "interface Note { count: number }",
}
WORD = {"type": "string"}


def schema_of(expression: str) -> tuple[Description, Any]:
    """Return the description made from a TypeScript type, and the type's schema within it."""
    root = describe_operations(
        LIBRARY, f'interface Operations {{ "GET /a": {{ answer: {expression} }} }}'
    )
    answer = root["paths"]["/a"]["get"]["responses"]["2XX"]["content"]["*/*"]["schema"]
    return Description(root), answer


CARD = {"kind": "card", "id": "1", "number": "2", "expires-at": "", "owner": {}, "pay": 1}


@pytest.mark.parametrize(
    "expression, value, problems",
    [
        ("Card", CARD, []),
        ("Card", {**CARD, "kind": "cat"}, ["body.kind cannot be 'cat'."]),
        ("Card", {**CARD, "brand": "visum"}, ["body.brand cannot be 'visum'."]),
        ("Card", {**CARD, "secret": ""}, ["body.secret is not known."]),
        ("Card", {**CARD, "create": ""}, ["body.create is not known."]),
        (
            "Card",
            {"owner": {"cards": [{"number": 1}]}},
            ["body.owner.cards[0].number is no string."],
        ),
        ("Owner", {"homeTown": {"at": {"lat": ""}}}, ["body.homeTown.at.lat is no number."]),
        ("SnakeCase<Owner>", {"first_name": 1}, ["body.first_name is no string."]),
        ("SnakeCase<Owner>", {"home_town": {"at": {"lat": 1}}, "cards": [{"owner": 1}]}, []),
        ("Level", "medium", ["body cannot be 'medium'."]),
        ("Sign", 2, ["body cannot be 2."]),
        ("Test", "anything", []),
        ("Pick<Card, 'number' | 'id'>", {"brand": "visa"}, ["body.brand is not known."]),
        ("Omit<Card, 'number'>", {"number": "2"}, ["body.number is not known."]),
        ("Card['brand']", "visum", ["body cannot be 'visum'."]),
        ("Record<string, Array<number>>", {"a": ["b"]}, ["body.a[0] is no number."]),
        ("{ [key: string]: Brand }", {"a": "b"}, ["body.a cannot be 'b'."]),
        (
            "{ [K in 'a' | 'b']?: number }",
            {"a": "", "c": 1},
            ["body.a is no number.", "body.c is not known."],
        ),
        ("(Card | string)[]", [1, "a"], ["body[0] is no string."]),
        ("`${Brand}`", "visum", ["body cannot be 'visum'."]),
        ("`a-${string}`", 1, ["body is no string."]),
        ("import('other/note').Note", {"text": ""}, ["body.text is not known."]),
        ("MailObject.Attributes", {"id": "1", "state": "Not Sent", "tags": [1], "more": 1}, []),
        ("MailObject.Attributes", {"state": "lost"}, ["body.state cannot be 'lost'."]),
        ("MailObject.Attributes", {"from": "a", "count": ""}, ["body.count is no number."]),
        ("MailObject.Attributes", {"from": {"name": 1}}, ["body.from.name is no string."]),
        ("MailObject.PartObject", {"data": 1}, ["body.data is no object."]),
        ("SearchMails.Parameters", {"limit": "", "ids": "a"}, ["body.limit is no number."]),
        ("SearchMails.Parameters", {"order": "left"}, ["body.order cannot be 'left'."]),
        ("SearchMails.Answer", {"next": 1, "first": 1}, ["body.first is no boolean."]),
        ("SearchMails.Answer", {"results": [{"id": 1}]}, ["body.results[0].id is no string."]),
        ("SearchMails.Answer", {"results": [{"age": 1}]}, ["body.results[0].age is not known."]),
        (
            "SearchMails.Answer",
            {"total": "", "error": ""},
            ["body.total is no number.", "body.error is not known."],
        ),
        ("Ship", {"flag": "green"}, ["body.flag cannot be 'green'."]),
        (
            "Ship",
            {"crew": [{"name": 1}, {"age": 1}]},
            ["body.crew[0].name is no string.", "body.crew[1].age is not known."],
        ),
        ("Ship", {"holds": {"a": ""}, "note": 1}, ["body.holds.a is no number."]),
        ("Ship", {"built": 1}, ["body.built is no string."]),
        ("Sheet", {"kind": "cat"}, ["body.kind cannot be 'cat'."]),
        ("Sheet", {"parts": [{"id": 1, "size": 1}]}, ["body.parts[0].id is no string."]),
        ("Sheet", {"parts": [{"name": 1}]}, ["body.parts[0].name is not known."]),
        ("Sheet", {"more": {"a": "b"}, "free": 1}, ["body.more.a is no number."]),
        ("Sheet", {"either": None, "kind": 1}, []),
        ("Sheet", {"either": "a"}, ["body.either is no boolean."]),
        ("CrewMember", {"since": 1}, ["body.since is no string."]),
        (
            "CrewMember",
            {"mails": [{"primary": True}, {"first": 1}]},
            ["body.mails[1].first is not known."],
        ),
        ("Made['schemas']['Cat']", {"mother": {"mother": 1}}, ["body.mother.mother is no object."]),
        ("Made['schemas']['Cat']", {"friend": {"name": 1}}, ["body.friend.name is no string."]),
        ("Schemas['Cat']", {"name": ""}, ["body.name is not known."]),
        ("Made['schemas']['Card']", {"name": 1}, ["body.name is no string."]),
        ("Strange<Card> & { a: string }", {"a": 1}, ["body.a is no string."]),
    ],
)
def test_type_is_read(expression: str, value: Any, problems: list[str]) -> None:
    """A response is checked against its TypeScript type, except that fields may be missing."""
    description, schema = schema_of(expression)

    assert problems == problems_of(description, schema, value, "readOnly")


@pytest.mark.parametrize(
    "expression, problems",
    [
        ("Pick<Owner, 'homeTown'>", ["body has no homeTown."]),
        ("Sheet", ["body has no kind."]),
        ("Ship", ["body has no flag."]),
        ("MailObject.Attributes", ["body has no id.", "body has no from.", "body has no tags."]),
        ("CrewMember", ["body has no since."]),
        ("Partial<Owner>", []),
        ("{ [K in keyof Owner]: Owner[K] }", ["body has no firstName.", "body has no homeTown."]),
        ("SnakeCase<Owner>", ["body has no first_name.", "body has no home_town."]),
    ],
)
def test_missing_fields_of_requests_are_problems(expression: str, problems: list[str]) -> None:
    """A request must have all fields that its type requires; a response may lack them."""
    description, schema = schema_of(expression)

    assert problems == problems_of(description, schema, {}, "writeOnly")
    assert [] == problems_of(description, schema, {}, "readOnly")


def test_fields_of_mapped_types_are_optional_on_all_levels() -> None:
    """A recursive mapped type also applies to lists, unions and recursive types."""
    library = {
        **LIBRARY,
        "deep.d.ts": "type Deep<T> = { [P in keyof T]?: Deep<T[P]> }",
        "use.d.ts": "interface Use { owners: Owner[]; town: Town | string }",
    }
    root = describe_operations(library, 'interface Operations { "POST /a": { body: Deep<Use> } }')
    schema = root["paths"]["/a"]["post"]["requestBody"]["content"]["*/*"]["schema"]
    value = {"owners": [{"cards": [{"owner": {}}], "firstName": 1}], "town": {"at": {}}}

    assert ["body.owners[0].firstName is no string."] == problems_of(
        Description(root), schema, value, "writeOnly"
    )


def test_operations_use_declared_types() -> None:
    """An operation with a misspelt type raises an error, as it would otherwise allow any value."""
    with pytest.raises(LookupError, match="No file declares Crad"):
        schema_of("Crad[]")


def test_package_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package is described with the vendor's operations and its own version and licence."""
    package = tmp_path / "acme" / "acme-node"
    (package / "node_modules").mkdir(parents=True)
    (package / "node_modules" / "other.d.ts").write_text("type Id = number;", "utf-8")
    (package / "index.d.ts").write_text("type Id = string; type Page = { limit?: Id };", "utf-8")
    text = json.dumps({"version": "1.2", "license": "MIT"})
    (package / "package.json").write_text(text, "utf-8")
    operations = (
        'interface Operations { "GET /ids": { query: Page; answer: Id[] }; "PUT /ids": {} }'
    )
    (tmp_path / "acme.d.ts").write_text(operations, "utf-8")
    monkeypatch.setattr(description_types, "OPERATIONS", tmp_path)
    root = read_description(package)

    assert {"version": "1.2", "license": {"name": "MIT"}} == root["info"]
    assert {"Id": WORD}.items() <= root["components"]["schemas"].items()
    assert [{"in": "query", "name": "limit", "required": False}] == [
        {name: part for name, part in parameter.items() if name != "schema"}
        for parameter in root["paths"]["/ids"]["get"]["parameters"]
    ]
    assert {"parameters": [], "responses": {"2XX": {}}} == root["paths"]["/ids"]["put"]


@pytest.mark.parametrize(
    "licence, name", [("<license>\n<name>Apache 2.0</name></license>", "Apache 2.0"), ("", None)]
)
def test_project_of_maven_is_read(
    licence: str, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Maven project is described with the version and licence in its `pom.xml`."""
    package = tmp_path / "acme" / "acme-java"
    (package / "docs").mkdir(parents=True)
    (package / "docs" / "Sailor.md").write_text(LIBRARY["docs/Sailor.md"], "utf-8")
    project = f"<project><version>1.2</version>{licence}</project>"
    (package / "pom.xml").write_text(project, "utf-8")
    operations = 'interface Operations { "GET /sailor": { answer: Sailor } }'
    (tmp_path / "acme.d.ts").write_text(operations, "utf-8")
    monkeypatch.setattr(description_types, "OPERATIONS", tmp_path)

    assert is_package(package)
    root = read_description(package)
    assert {"version": "1.2", "license": {"name": name}} == root["info"]
    assert WORD == root["components"]["schemas"]["Sailor"]["properties"]["name"]
