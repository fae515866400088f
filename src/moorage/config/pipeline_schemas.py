"""The transforms that decode and encode records of a configured pipeline by schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.ports.schemas import SchemaRegistry

_FORMATS: Final = ("confluent", "plain")


@frozen(kw_only=True)
class SchemaRegistryOptions:
    """The registry of the schemas of a pipeline's records.

    Attributes:
        service: the service whose base URL is the API of a registry that is compatible with
            Confluent's.
        folder: a folder with a subfolder for each subject. File names in it, such as 3@1017.avsc,
            contain the version and the id of a schema.
    """

    service: str | None = None
    folder: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse a registry with both a service and a folder, or with neither."""
        if (self.service is None) == (self.folder is None):
            raise ConfigurationError(
                "The schema registry must be either a service or a folder.",
                path="service",
                remedy="Set service to the name of a service under [services], or set folder.",
            )


@frozen(kw_only=True)
class SchemaTransformOptions:
    """A transform that decodes or encodes records by their schemas.

    Attributes:
        decode: decodes records: confluent if they name their schema themselves, or plain.
        encode: encodes records: confluent to put the id of the schema before the data, or plain.
        subject: the subject with the schema. For decode = confluent it is the Avro schema of the
            decoded values; by default the schema of each record.
        version: the version of the subject; by default the latest when the pipeline first needs it.
        message: the full name of the Protobuf message; by default the first message of the schema.
    """

    decode: str | None = field(default=None, metadata={"choices": _FORMATS})
    encode: str | None = field(default=None, metadata={"choices": _FORMATS})
    subject: str | None = None
    version: int | None = None
    message: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse wrong settings, and a transform that sets both or neither of decode and encode."""
        if (self.decode is None) == (self.encode is None):
            raise ConfigurationError(
                "A schema transform must either decode or encode.",
                path="decode",
                remedy='Set decode = "confluent" or encode = "confluent".',
            )
        if self.encode is not None and self.subject is None:
            raise ConfigurationError(
                "A transform that encodes records needs the subject of a schema.",
                path="subject",
                remedy="Set subject, such as orders-value.",
            )
        self.build(None)

    def build(self, registry: Any) -> Any:
        """Return the transform, which gets its schemas from this registry.

        Raises:
            ConfigurationError: a setting is wrong.
        """
        from moorage.pipelines.schemas import SchemaDecoder, SchemaEncoder  # noqa: PLC0415 - few pipelines need it

        options: dict[str, Any] = {"version": self.version, "message": self.message}
        if self.decode is not None:
            return SchemaDecoder(registry, self.decode, subject=self.subject, **options)
        return SchemaEncoder(registry, str(self.subject), str(self.encode), **options)


def schema_registry(options: SchemaRegistryOptions, manager: Any, path: str) -> SchemaRegistry:
    """Return the schema registry of a pipeline.

    Args:
        options: the options of the registry.
        manager: the manager that performs its requests.
        path: the path of the options in the configuration.

    Raises:
        ConfigurationError: the folder cannot be read.
    """
    if options.service is not None:
        from moorage.adapters.schemas.confluent import ConfluentSchemaRegistry  # noqa: PLC0415 - few pipelines need it

        return ConfluentSchemaRegistry(manager, options.service)
    from moorage.adapters.schemas.memory import FolderSchemaRegistry  # noqa: PLC0415 - few pipelines need it

    try:
        return FolderSchemaRegistry(str(options.folder))
    except ConfigurationError as error:
        error.path = f"{path}.folder"
        raise
