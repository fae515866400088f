"""JSON Schema with jsonschema-rs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jsonschema_rs import RegexOptions, Registry, ValidationError, validator_for

from moorage.domain.schemas.json_checks_by_depth import depth_limit, depth_of
from moorage.domain.schemas.json_documents import json_schema
from moorage.domain.schemas.json_rules_per_value import rules_per_value
from moorage.domain.values.json_text import decode_json, encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.schemas.schema import CompleteSchema

_MOST_RULES: Final = 10_000
"""The largest number of parts of a schema that may apply to one value."""


class JsonSchemaCodec:
    """Decodes and encodes JSON, and validates it against one JSON Schema.

    A value is refused if it is nested so deeply that the schema would check one part of it more
    than 100,000 times. Nothing is fetched: a schema can refer to its registered references only.
    The keyword `format` is not checked. The time for a pattern grows only in proportion to the
    text.

    Args:
        schema: the schema.

    Raises:
        InvalidData: the schema is not a JSON Schema, uses a part that cannot be found or compiled,
            or checks one value with more than 10,000 rules.
    """

    def __init__(self, schema: CompleteSchema, *_: object) -> None:
        document = json_schema(schema.schema.text)
        part_schemas = [(name, json_schema(part.text)) for name, part in schema.parts]
        if rules_per_value([("", document), *part_schemas]) > _MOST_RULES:
            raise InvalidData(
                f"The JSON Schema applies more than {_MOST_RULES:,} rules to a single value.",
                field="schema",
                remedy="Reduce the references between parts of the schema that apply to the"
                " same value.",
            )
        self._depth_limit = depth_limit([("", document), *part_schemas])
        try:
            self._validator = validator_for(
                document,
                validate_formats=False,
                retriever=_refuse_reference,
                registry=Registry(part_schemas, retriever=_refuse_reference)
                if part_schemas
                else None,
                pattern_options=RegexOptions(),
            )
        except Exception as error:  # noqa: BLE001 - jsonschema-rs raises errors of several kinds
            message = str(getattr(error, "message", error)).splitlines()[0]
        else:
            return
        raise InvalidData(
            f"The JSON Schema cannot be used: {message[:300]}.",
            field="schema",
            remedy="Correct the schema, or register the schemas that it refers to as its"
            " references.",
        )

    def decode(self, data: bytes, /) -> Any:
        """Return the value of a JSON string, if it is valid.

        Raises:
            InvalidData: the bytes are not JSON, or do not match the schema.
        """
        try:
            value = decode_json(data)
        except (ValueError, RecursionError):
            pass
        else:
            self._check(value, "payload")
            return value
        raise InvalidData(
            "The payload of a record is not JSON.",
            field="payload",
            remedy="Correct the producer, or decode with the schema that the producer uses.",
        )

    def encode(self, value: Any, /) -> bytes:
        """Return a value as JSON, if it is valid.

        Raises:
            InvalidData: the value cannot be written as JSON, or does not match the schema.
        """
        data = encode_json(value)
        self._check(value, "value")
        return data

    def _check(self, value: Any, field: str) -> None:
        limit = self._depth_limit
        if limit is not None and depth_of(value) > limit:
            raise InvalidData(
                f"The value of a record is nested more than {limit} levels deep, and its JSON"
                " Schema would check the same nested values too often.",
                field=field,
                remedy="Change the schema so that fewer of its parts apply the same rules to"
                " the same property.",
            )
        try:
            self._validator.validate(value)
        except ValidationError as error:
            steps = "".join(f"[{step!r}]" for step in error.instance_path)
            rule = str(error.schema_path[-1]) if error.schema_path else "false"
            place = f" at {steps[:200]}" if steps else ""
            problem = f"breaks the rule {rule[:80]!r} of its JSON Schema{place}"
        except (ValueError, RecursionError):
            problem = "contains values that JSON does not support"
        else:
            return
        raise InvalidData(
            f"The value of a record {problem}.",
            field=field,
            remedy="Correct the producer, or use the schema that the producer uses.",
        )


def _refuse_reference(uri: str) -> Any:
    raise LookupError(uri)


CODEC: Final = JsonSchemaCodec
