"""Registries on this machine: in memory, and in a folder of files."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moorage.adapters.schemas.codecs import codec_of
from moorage.adapters.schemas.complete import complete_schema
from moorage.domain.schemas.evolution import Compatibility, compatibility_of, incompatibilities
from moorage.domain.schemas.schema import (
    CompleteSchema,
    Schema,
    SchemaFormat,
    SchemaVersion,
    checked_number,
    checked_subject,
)
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    SchemaIncompatible,
    SchemaNotFound,
    UnsupportedByVendor,
)

if TYPE_CHECKING:
    from os import PathLike

_FORMATS_BY_ENDING: Final = {
    ".avsc": SchemaFormat.AVRO,
    ".json": SchemaFormat.JSON,
    ".protoset": SchemaFormat.PROTOBUF,
}
_NAME: Final = late_pattern(r"([1-9]\d{0,9})(?:@([1-9]\d{0,9}))?")


class MemorySchemaRegistry:
    """A schema registry in memory, which checks new versions with moorage's own rules.

    Args:
        compatibility: the compatibility mode of each subject, such as "backward".

    Raises:
        ConfigurationError: there is no such compatibility mode.
    """

    def __init__(self, compatibility: Compatibility | str = Compatibility.BACKWARD) -> None:
        self._compatibility = compatibility_of(compatibility)
        self._subjects: dict[str, dict[int, SchemaVersion]] = {}
        self._schemas: dict[int, Schema] = {}

    async def schema(self, id: int, /) -> Schema:
        """Return the schema with an id.

        Raises:
            SchemaNotFound: no schema has this id.
        """
        if checked_number(id, "id") in self._schemas:
            return self._schemas[id]
        raise SchemaNotFound(f"The registry has no schema with the id {id}.")

    async def version(self, subject: str, version: int | None = None, /) -> SchemaVersion:
        """Return one version of a subject's schema; by default the latest.

        Raises:
            SchemaNotFound: the subject or the version does not exist.
        """
        versions = self._subjects.get(checked_subject(subject), {})
        number = max(versions, default=1) if version is None else checked_number(version, "version")
        if number in versions:
            return versions[number]
        raise SchemaNotFound(f"The registry has no version {number} of the subject {subject!r}.")

    async def register(self, subject: str, schema: Schema, /) -> int:
        """Register a schema as the next version of a subject, and return its id.

        Raises:
            InvalidData: the text is not a schema.
            SchemaIncompatible: the schema would break the subject's compatibility mode.
        """
        equal_version = self._equal_version(subject, schema)
        if equal_version is not None and equal_version.id is not None:
            return equal_version.id
        resolved_schema = await complete_schema(self, schema)
        codec_of(resolved_schema)
        problems = await self._problems(subject, resolved_schema)
        if problems:
            raise SchemaIncompatible(
                f"The new schema of the subject {subject!r} is not compatible: {problems[0]}"
            )
        equal_numbers = (number for number, other in self._schemas.items() if other == schema)
        id = next(equal_numbers, max(self._schemas, default=0) + 1)
        number = max(self._subjects.get(subject, {}), default=0) + 1
        self._add(SchemaVersion(subject=subject, version=number, id=id, schema=schema))
        return id

    async def check(self, subject: str, schema: Schema, /) -> tuple[str, ...]:
        """Return the reasons why a schema cannot be the next version of a subject.

        Raises:
            InvalidData: the text is not a schema.
        """
        resolved_schema = await complete_schema(self, schema)
        codec_of(resolved_schema)
        return await self._problems(checked_subject(subject), resolved_schema)

    async def _problems(self, subject: str, new: CompleteSchema) -> tuple[str, ...]:
        versions = self._subjects.get(subject, {})
        earlier_schemas = [
            await complete_schema(self, versions[n].schema) for n in sorted(versions)
        ]
        return tuple(map(str, incompatibilities(self._compatibility, new, earlier_schemas)))

    def _equal_version(self, subject: str, schema: Schema) -> SchemaVersion | None:
        versions = self._subjects.get(checked_subject(subject), {}).values()
        return next((version for version in versions if version.schema == schema), None)

    def _add(self, version: SchemaVersion) -> None:
        self._subjects.setdefault(version.subject, {})[version.version] = version
        if version.id is not None:
            self._schemas[version.id] = version.schema


class FolderSchemaRegistry(MemorySchemaRegistry):
    """The schemas in a folder: a subfolder per subject, and a file per version.

    The name of a file is its version and the id, such as `orders-value/3@1017.avsc`. The id may be
    left out where records do not name their schemas. Files end with `.avsc` for Avro, `.json` for
    JSON Schema, and `.protoset` for Protobuf. The folder is read once.

    Args:
        folder: the folder.
        compatibility: the compatibility mode of each subject, for `check`.

    Raises:
        ConfigurationError: a file cannot be read, has a wrong name, or has the id of another file.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        compatibility: Compatibility | str = Compatibility.BACKWARD,
    ) -> None:
        super().__init__(compatibility)
        try:
            paths = sorted(path for path in Path(folder).glob("*/*") if path.is_file())
            for path in paths:
                self._read(path)
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or "is not UTF-8, or has an invalid name"
        else:
            if paths:
                return
            problem = "does not contain folders with files"
        raise ConfigurationError(
            f"The folder of schemas {Path(folder).name!r} cannot be read: {problem}.",
            path="folder",
            remedy="Pass a folder that contains a folder for each subject.",
        )

    async def register(self, subject: str, schema: Schema, /) -> int:
        """Return the id of a schema in the folder; refuse a new schema.

        Raises:
            UnsupportedByVendor: the folder has no such schema, or no id for it.
        """
        equal_version = self._equal_version(subject, schema)
        if equal_version is not None and equal_version.id is not None:
            return equal_version.id
        raise UnsupportedByVendor(
            "Running programs cannot register new schemas in a folder of schemas.",
            remedy="Add a file with the next version to the subject's folder.",
        )

    def _read(self, path: Path) -> None:
        match = _NAME.fullmatch(path.stem)
        kind = _FORMATS_BY_ENDING.get(path.suffix)
        if match is None or kind is None:
            raise ConfigurationError(
                f"The name of the file {path.name[:80]!r} of the subject {path.parent.name!r}"
                " is not a valid name of a schema file.",
                path="folder",
                remedy="Name the file by its version and id, such as 3@1017.avsc, .json or"
                " .protoset.",
            )
        text = _text_of(path, kind)
        try:
            version = SchemaVersion(
                subject=checked_subject(path.parent.name),
                version=checked_number(int(match[1]), "version"),
                id=None if match[2] is None else checked_number(int(match[2]), "id"),
                schema=Schema(text, kind),
            )
        except ConnectorError as error:
            problem = error.message
        else:
            other = None if version.id is None else self._schemas.get(version.id)
            is_taken = version.version in self._subjects.get(version.subject, {})
            if not is_taken and other in (None, version.schema):
                self._add(version)
                return
            problem = "Another file has the same version or the same id."
        raise ConfigurationError(
            f"The schema file {path.name!r} of the subject {path.parent.name!r} cannot be"
            f" used: {problem}",
            path="folder",
            remedy="Correct the file or its name.",
        )


def schema_of_file(file: str | PathLike[str]) -> Schema:
    """Return the schema in a file; the file's extension determines the format.

    Raises:
        ConfigurationError: the file cannot be read, or has another ending.
        InvalidData: the file is empty or too long.
    """
    path = Path(file)
    kind = _FORMATS_BY_ENDING.get(path.suffix)
    if kind is None:
        raise ConfigurationError(
            f"The file {path.name[:80]!r} does not have the extension of a schema format.",
            path="file",
            remedy="Use a file with the extension .avsc, .json or .protoset.",
        )
    try:
        text = _text_of(path, kind)
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "is not UTF-8, or has an invalid name"
    else:
        return Schema(text, kind)
    raise ConfigurationError(
        f"The file {path.name[:80]!r} cannot be read: {problem}.",
        path="file",
        remedy="Pass the path of a schema file.",
    )


def _text_of(path: Path, kind: SchemaFormat) -> str:
    """Return a schema's text; compiled descriptors become Base64."""
    if kind is SchemaFormat.PROTOBUF:
        return b64encode(path.read_bytes()).decode()
    return path.read_text("utf-8")
