"""Types of TypeScript libraries are read as API descriptions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tools import description_types
from tools.description_types import described
from tools.descriptions import Description, problems_of, read

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
    """Return a description, and the schema in it of a type in terms of the library's types."""
    root = described(LIBRARY, f'interface Operations {{ "GET /a": {{ answer: {expression} }} }}')
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
        ("Unknown<Card> & { a: string }", {"a": 1}, ["body.a is no string."]),
    ],
)
def test_type_is_read(expression: str, value: Any, problems: list[str]) -> None:
    """A value of an answer has the problems that TypeScript would find, but for missing fields."""
    description, schema = schema_of(expression)

    assert problems == problems_of(description, schema, value, "readOnly")


@pytest.mark.parametrize(
    "expression, problems",
    [
        ("Pick<Owner, 'homeTown'>", ["body has no homeTown."]),
        ("Partial<Owner>", []),
        ("{ [K in keyof Owner]: Owner[K] }", ["body has no firstName.", "body has no homeTown."]),
        ("SnakeCase<Owner>", ["body has no first_name.", "body has no home_town."]),
    ],
)
def test_missing_fields_of_requests_are_problems(expression: str, problems: list[str]) -> None:
    """Fields of a request are required as the type says, and those of an answer are not."""
    description, schema = schema_of(expression)

    assert problems == problems_of(description, schema, {}, "writeOnly")
    assert [] == problems_of(description, schema, {}, "readOnly")


def test_fields_of_mapped_types_are_optional_on_all_levels() -> None:
    """A mapped type that names itself reaches lists, choices and types that contain themselves."""
    library = {
        **LIBRARY,
        "deep.d.ts": "type Deep<T> = { [P in keyof T]?: Deep<T[P]> }",
        "use.d.ts": "interface Use { owners: Owner[]; town: Town | string }",
    }
    root = described(library, 'interface Operations { "POST /a": { body: Deep<Use> } }')
    schema = root["paths"]["/a"]["post"]["requestBody"]["content"]["*/*"]["schema"]
    value = {"owners": [{"cards": [{"owner": {}}], "firstName": 1}], "town": {"at": {}}}

    assert ["body.owners[0].firstName is no string."] == problems_of(
        Description(root), schema, value, "writeOnly"
    )


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
    root = read(package)

    assert {"version": "1.2", "license": {"name": "MIT"}} == root["info"]
    assert {"Id": WORD}.items() <= root["components"]["schemas"].items()
    assert [{"in": "query", "name": "limit", "required": False}] == [
        {name: part for name, part in parameter.items() if name != "schema"}
        for parameter in root["paths"]["/ids"]["get"]["parameters"]
    ]
    assert {"parameters": [], "responses": {"2XX": {}}} == root["paths"]["/ids"]["put"]
