"""The values that describe a step: its command, files, limits and secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import chain
from math import inf
from typing import Any, ClassVar, Final, Self, TypeVar

import attrs

from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.sensitive import MASK
from moorage.domain.values.durations import if_given, is_seconds, is_wait, plain_seconds
from moorage.domain.values.frozen_values import evolve, field, frozen, optional
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import brief_repr, is_encodable, with_article
from moorage.errors import InvalidData

T = TypeVar("T")

_TYPE: Final = late_pattern(r"[a-z][a-z0-9-]{0,62}")
_NAME: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9 _./:-]{0,99}")
_VARIABLE: Final = late_pattern(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_IMAGE: Final = late_pattern(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")
_DIGEST: Final = late_pattern(r".+@sha256:[0-9a-f]{64}")

LONGEST_CACHE: Final = 30 * 86_400.0
"""The longest time in seconds for which the result of a step can be reused."""

_LONGEST_ARGUMENT: Final = 131_071
_LONGEST_COMMAND: Final = 1_500_000
"""The largest numbers of bytes of an argument or variable, and of all, with which a program starts.

That is Linux's limit of an argument, and three quarters of its usual limit of all.
"""

LARGEST_WORKSPACE: Final = 16 * 1024 * 1024
"""The largest number of bytes of all files that a step is given, or that are collected."""


class ConnectorType(str):
    """The type of a step connector, such as "local" or "docker"; other names are custom types.

    Attributes:
        LOCAL: a process on this machine.
        DOCKER: a container of a Docker Engine.
        SSH: a process on another machine.
        KUBERNETES: a Job of a Kubernetes cluster.
        GITHUB: a run of a GitHub Actions workflow.
        GITLAB: a pipeline of GitLab.
        ECS: a task of Amazon ECS.
        CLOUD_RUN: a job of Google Cloud Run.
        AZURE_CONTAINERS: a group of Azure Container Instances.
        MOCK: no program at all; results are scripted for tests.
    """

    __slots__ = ()

    LOCAL: ClassVar[ConnectorType]
    DOCKER: ClassVar[ConnectorType]
    SSH: ClassVar[ConnectorType]
    KUBERNETES: ClassVar[ConnectorType]
    GITHUB: ClassVar[ConnectorType]
    GITLAB: ClassVar[ConnectorType]
    ECS: ClassVar[ConnectorType]
    CLOUD_RUN: ClassVar[ConnectorType]
    AZURE_CONTAINERS: ClassVar[ConnectorType]
    MOCK: ClassVar[ConnectorType]

    def __new__(cls, name: str) -> Self:
        """Create a type from its name."""
        if not isinstance(name, str) or _TYPE.fullmatch(name) is None:
            raise InvalidData(
                f"{str(name)[:80]!r} is not a valid type of step connectors.",
                field="type",
                remedy="Use lower-case letters, digits and hyphens, such as 'local' or"
                " 'my-cluster'.",
            )
        return super().__new__(cls, name)


ConnectorType.LOCAL = ConnectorType("local")
ConnectorType.DOCKER = ConnectorType("docker")
ConnectorType.SSH = ConnectorType("ssh")
ConnectorType.KUBERNETES = ConnectorType("kubernetes")
ConnectorType.GITHUB = ConnectorType("github")
ConnectorType.GITLAB = ConnectorType("gitlab")
ConnectorType.ECS = ConnectorType("ecs")
ConnectorType.CLOUD_RUN = ConnectorType("cloud-run")
ConnectorType.AZURE_CONTAINERS = ConnectorType("azure-containers")
ConnectorType.MOCK = ConnectorType("mock")


def _is_text(value: object) -> bool:
    """Return whether a value can be a program's argument or environment variable."""
    return isinstance(value, str) and "\0" not in value and is_encodable(value)


def _command(value: Any) -> tuple[str, ...]:
    if isinstance(value, (str, bytes)):
        raise InvalidData(
            "The command of a step is a string instead of a list.",
            field="command",
            remedy="Pass the program and its arguments as a list, such as ['make', 'test']."
            " No shell splits the command.",
        )
    parts = tuple(value)
    if not parts or not all(map(_is_text, parts)):
        raise InvalidData(
            "The command of a step has no program, or contains a part that is not a string.",
            field="command",
            remedy="Pass a list of strings without NUL characters and lone surrogates, with the"
            " program first.",
        )
    if max(len(part.encode()) for part in parts) > _LONGEST_ARGUMENT:
        raise InvalidData(
            f"An argument of a step's command has more than {_LONGEST_ARGUMENT:,} bytes.",
            field="command",
            remedy="Pass the content of the argument in a file of the workspace.",
        )
    if not parts[0]:
        raise InvalidData(
            "The program in a step's command has an empty name.",
            field="command",
            remedy="Put the name of the program first.",
        )
    return parts


def _texts(value: Mapping[str, str]) -> dict[str, str]:
    return dict(value)


def _secrets(value: Mapping[str, Secret | str]) -> dict[str, Secret | str]:
    return dict(value)


def _shown_secrets(secrets: Mapping[str, Secret | str]) -> str:
    """Return secrets for display; text that is not a reference is hidden, as it may be a secret."""
    return repr(
        {
            name: value if isinstance(value, Secret) or "://" in value else MASK
            for name, value in secrets.items()
        }
    )


def _is_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise InvalidData(
            f"{str(value)[:80]!r} is not a valid name of a step.",
            field=attribute.name,
            remedy="Use up to 100 letters, digits, spaces and the characters _ . / : -",
        )


def _are_variables(_: object, attribute: attrs.Attribute[Any], value: Mapping[Any, Any]) -> None:
    for name, content in value.items():
        if not isinstance(name, str) or _VARIABLE.fullmatch(name) is None:
            raise InvalidData(
                f"{str(name)[:80]!r} is not a valid name of a variable.",
                field=attribute.name,
                remedy="Use letters, digits and underscores, and begin with a letter.",
            )
        is_text = _is_text(content)
        if attribute.name == "secrets":
            is_text = isinstance(content, Secret) or (is_text and bool(content))
        if not is_text:
            raise InvalidData(
                f"The value of {name} is not a string, or contains NUL characters or lone"
                " surrogates.",
                field=f"{attribute.name}.{name}",
                remedy="Pass a string. For a secret, pass a Secret or a reference such as"
                " 'secret://env/NAME'.",
            )
        if isinstance(content, str) and len(f"{name}={content}".encode()) > _LONGEST_ARGUMENT:
            raise InvalidData(
                f"The variable {name} has more than {_LONGEST_ARGUMENT:,} bytes, including its"
                " name.",
                field=f"{attribute.name}.{name}",
                remedy="Pass the value in a file of the workspace.",
            )


def checked_image(image: object, field: str = "image") -> str:
    """Return the name of an image, after checking that it is valid.

    Raises:
        InvalidData: no image can have this name.
    """
    if not isinstance(image, str) or _IMAGE.fullmatch(image) is None:
        raise InvalidData(
            f"{str(image)[:80]!r} is not a valid name of an image.",
            field=field,
            remedy="Write a name such as 'python:3.13' or 'registry.example/erp@sha256:…'.",
        )
    return image


def _is_image(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        checked_image(value, attribute.name)


def checked_path(path: object, field: str) -> str:
    """Return a relative path of a file in a step's workspace, after checking that it is valid.

    Raises:
        InvalidData: the path is absolute, leads outside, or is not a string.
    """
    parts = path.split("/") if isinstance(path, str) else []
    if not parts or not _is_text(path) or any(part in {"", ".", ".."} for part in parts):
        raise InvalidData(
            f"{str(path)[:80]!r} is not a valid path in a workspace.",
            field=field,
            remedy="Pass a relative path without '.' and '..', such as 'reports/total.csv'.",
        )
    return "/".join(parts)


def _paths_with_values(value: Mapping[str, T], field: str) -> dict[str, T]:
    """Return the values by their checked paths."""
    if not isinstance(value, Mapping):
        raise InvalidData(
            f"The {field} of a workspace are {with_article(type(value).__name__)}, not a mapping.",
            field=field,
            remedy="Pass a mapping whose keys are relative paths, such as 'reports/total.csv'.",
        )
    return {checked_path(path, field): item for path, item in value.items()}


def _files(value: Mapping[str, bytes]) -> dict[str, bytes]:
    files = _paths_with_values(value, "files")
    if not all(isinstance(content, bytes) for content in files.values()):
        raise InvalidData(
            "The content of a file of the workspace is not bytes.",
            field="files",
            remedy="Encode texts, for example with text.encode().",
        )
    if sum(map(len, files.values())) > LARGEST_WORKSPACE:
        raise InvalidData(
            f"The files of a workspace have more than {LARGEST_WORKSPACE:,} bytes.",
            field="files",
            remedy="Let the step fetch large files itself.",
        )
    return files


def _keys(value: Mapping[str, str], field: str) -> dict[str, str]:
    keys = _paths_with_values(value, field)
    if not all(isinstance(key, str) and key and is_encodable(key) for key in keys.values()):
        raise InvalidData(
            "A file of a workspace has a key that is not a string.",
            field=field,
            remedy="Pass the key of the file in the storage, such as 'reports/2030-01.csv'.",
        )
    return keys


def _input_keys(value: Mapping[str, str]) -> dict[str, str]:
    return _keys(value, "inputs")


def _output_keys(value: Mapping[str, str]) -> dict[str, str]:
    return _keys(value, "outputs")


def _paths(value: Iterable[str]) -> tuple[str, ...]:
    paths = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return tuple(checked_path(path, "collect") for path in paths)


def _is_age(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is None:
        return
    is_seconds(_, attribute, value)
    if value > LONGEST_CACHE:
        raise InvalidData(
            f"The result of a step cannot be reused for {value:g} seconds.",
            field=attribute.name,
            remedy=f"Set at most {LONGEST_CACHE:.0f} seconds (30 days).",
        )


@frozen(kw_only=True)
class Workspace:
    """The files that a step finds in its working directory, and the files that it leaves there.

    Attributes:
        files: the contents of files, by their relative paths.
        collect: the relative paths of files that become part of the result. A file that is missing
            or too large is left out.
        inputs: the keys of files in the storage, by their relative paths. They are read when the
            step starts.
        outputs: the keys under which files that the step leaves are stored, by their relative
            paths. Only a success is stored; after another end they are part of the result.
    """

    files: Mapping[str, bytes] = field(
        factory=dict[str, bytes], converter=_files, repr=lambda files: f"{len(files)} files"
    )
    collect: tuple[str, ...] = field(default=(), converter=_paths)
    inputs: Mapping[str, str] = field(factory=dict[str, str], converter=_input_keys)
    outputs: Mapping[str, str] = field(factory=dict[str, str], converter=_output_keys)

    def __attrs_post_init__(self) -> None:
        """Refuse a file that is given twice."""
        repeated_paths = sorted(set(self.files) & set(self.inputs))
        if repeated_paths:
            raise InvalidData(
                f"The file {repeated_paths[0]!r} has both a content and a key.",
                field=f"inputs.{repeated_paths[0]}",
                remedy="Pass the file once.",
            )

    @property
    def gives_files(self) -> bool:
        """True if the step is given any file."""
        return bool(self.files or self.inputs)

    @property
    def takes_files(self) -> bool:
        """True if any file that the step produces is read afterwards."""
        return bool(self.collect or self.outputs)

    @property
    def needs_storage(self) -> bool:
        """True if any file is read from the file storage or stored there."""
        return bool(self.inputs or self.outputs)

    def with_those_of(self, other: Workspace) -> Workspace:
        """Return the workspace with the inputs and outputs of another workspace added."""
        inputs = {path: key for path, key in other.inputs.items() if path not in self.files}
        return evolve(
            self,
            collect=tuple(dict.fromkeys([*self.collect, *other.collect])),
            inputs={**inputs, **self.inputs},
            outputs={**other.outputs, **self.outputs},
        )


def _is_amount(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 < value < inf:
        raise InvalidData(
            f"{brief_repr(value)} is not a valid amount of a resource.",
            field=attribute.name,
            remedy="Set a finite number above zero, or None for the platform's limit.",
        )


@frozen(kw_only=True)
class Resources:
    """The limits on the resources of a step; None means the platform's default.

    Attributes:
        cpus: the number of processors, such as 0.5.
        memory: bytes of memory.
        processes: the number of processes and threads.
    """

    cpus: float | None = field(default=None, validator=if_given(_is_amount))
    memory: int | None = field(default=None, validator=if_given(_is_amount))
    processes: int | None = field(default=None, validator=if_given(_is_amount))


@with_careful_constructor
@frozen
class Step:
    """A command that runs elsewhere: in a process, a container or a job.

    Attributes:
        name: the name of the step for people, such as "build the report".
        command: the program and its arguments. No shell reads them.
        image: the image of the container; None for a process.
        type: the type of connector that runs it; by default it follows from the image.
        environment: the environment variables. The step has no other variables, except PATH and
            those of its image.
        secrets: secrets by name, each a `Secret` or a reference such as "secret://env/TOKEN". The
            step finds each in a file whose path is in the variable NAME_FILE. No secret may be part
            of the command or of the environment, because platforms show these.
        workspace: the files of its working directory.
        resources: the limits of its resources.
        timeout: seconds after which the platform ends it.
        grace: seconds between the request to end and the kill.
        pinned: whether the image must be named by its digest, so that nobody can replace it.
        cache: the seconds for which the result of an equal, successful step is reused in place of a
            run: at most 30 days. By default it always runs. The step must have an image that is
                named by its digest, or no image, and its secrets must be references.
    """

    name: str = field(validator=_is_name)
    command: tuple[str, ...] = field(converter=_command)
    image: str | None = field(kw_only=True, default=None, validator=_is_image)
    type: ConnectorType | None = field(
        kw_only=True, default=None, converter=optional(ConnectorType)
    )
    environment: Mapping[str, str] = field(
        kw_only=True, factory=dict[str, str], converter=_texts, validator=_are_variables
    )
    secrets: Mapping[str, Secret | str] = field(
        kw_only=True,
        factory=dict[str, "Secret | str"],
        converter=_secrets,
        validator=_are_variables,
        repr=_shown_secrets,
    )
    workspace: Workspace = field(
        kw_only=True, factory=Workspace, validator=attrs.validators.instance_of(Workspace)
    )
    resources: Resources = field(
        kw_only=True, factory=Resources, validator=attrs.validators.instance_of(Resources)
    )
    timeout: float = field(
        kw_only=True, default=300.0, converter=plain_seconds, validator=is_seconds
    )
    grace: float = field(kw_only=True, default=10.0, converter=plain_seconds, validator=is_wait)
    pinned: bool = field(default=False, kw_only=True)
    cache: float | None = field(
        kw_only=True,
        default=None,
        converter=optional(plain_seconds),
        validator=_is_age,
    )

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory fields of a step."""
        if self.pinned and (self.image is None or _DIGEST.fullmatch(self.image) is None):
            raise InvalidData(
                "A pinned step must name its image by a digest.",
                field="image",
                remedy="Write an image such as 'registry.example/erp@sha256:…', or remove"
                " `pinned`.",
            )
        if self.cache is not None:
            self._check_cache()
        texts = (*self.command, *chain.from_iterable(self.environment.items()))
        if sum(len(text.encode()) for text in texts) > _LONGEST_COMMAND:
            raise InvalidData(
                f"The command and the environment of a step have more than {_LONGEST_COMMAND:,}"
                " bytes.",
                field="command",
                remedy="Pass large values in files of the workspace.",
            )
        names = sorted({f"{name}_FILE" for name in self.secrets} & set(self.environment))
        if names:
            raise InvalidData(
                f"The variable {names[0]} is reserved for the file of a secret, so it cannot"
                " be set.",
                field=f"environment.{names[0]}",
                remedy="Rename the variable or the secret.",
            )

    def _check_cache(self) -> None:
        if self.image is not None and _DIGEST.fullmatch(self.image) is None:
            raise InvalidData(
                "The image of a cached step must be named by its digest, because other names"
                " can change.",
                field="image",
                remedy="Write an image such as 'registry.example/erp@sha256:…', or remove `cache`.",
            )
        if self.workspace.needs_storage:
            raise InvalidData(
                "A cached step has files in the storage, but these files can change.",
                field="workspace",
                remedy="Pass the contents of the files, and collect them. Alternatively,"
                " remove `cache`.",
            )
        values = sorted(name for name, value in self.secrets.items() if isinstance(value, Secret))
        if values:
            raise InvalidData(
                f"The secret {values[0]} of a cached step is passed as a value.",
                field=f"secrets.{values[0]}",
                remedy="Pass a reference such as 'secret://env/TOKEN', or remove `cache`.",
            )

    @property
    def fingerprint(self) -> str:
        """A digest of all values that affect the step; of a secret, only name and reference."""
        files = {
            path: sha256(content).hexdigest() for path, content in self.workspace.files.items()
        }
        references = {
            name: secret if isinstance(secret, str) else None
            for name, secret in self.secrets.items()
        }
        fields = [
            *(self.name, self.command, self.image, self.type, dict(self.environment), references),
            *(files, self.workspace.collect, attrs.astuple(self.resources), self.timeout),
        ]
        if self.workspace.needs_storage:
            fields += [dict(self.workspace.inputs), dict(self.workspace.outputs)]
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def run_name(service: str, tenant: str | None, key: str) -> str:
    """Return the name of the run for an idempotency key; every platform accepts this name."""
    parts = json.dumps([service, tenant, key])
    return f"moorage-{sha256(parts.encode()).hexdigest()[:32]}"


def check_no_secret_shown(step: Step, secrets: Mapping[str, Secret]) -> None:
    """Refuse a step whose command or environment contains the value of one of its secrets."""
    texts = [*step.command, *step.environment.values(), step.name, step.image or ""]
    for name, secret in secrets.items():
        # A short value may occur by chance.
        is_shown = len(secret.reveal_bytes()) >= 4 and any(
            secret.reveal_bytes() in text.encode("utf-8", "surrogatepass") for text in texts
        )
        if is_shown:
            raise InvalidData(
                f"The step's command or environment contains the value of the secret {name},"
                " but platforms show the command and the environment.",
                field=f"secrets.{name}",
                remedy=f"Let the step read the secret from the file in the variable {name}_FILE.",
            )
