"""Docker images, pulled from a registry or built from a Dockerfile."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.adapters.steps._docker_wire import Engine, message_of, progress
from moorage.adapters.steps.platform_operation import PlatformOperation
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.steps.images import (
    IgnoredFiles,
    PullFailure,
    RegistryLogin,
    with_tag,
    without_login,
)
from moorage.domain.steps.step import checked_image, checked_path
from moorage.domain.values.text import is_encodable
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    InvalidData,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterator
    from typing import IO, NoReturn

    from moorage.errors import ConnectorError

SOCKET: Final = "/var/run/docker.sock"
"""The usual Unix socket of a Docker Engine."""

_FIRST_ERROR_STATUS: Final = 400
_BAD_REQUEST: Final = 400
_LARGEST_MESSAGE: Final = 64 * 1024
_SHOWN_CHARACTERS: Final = 500
_IGNORE_FILE: Final = ".dockerignore"


@with_careful_constructor
class DockerImages:
    """Pulls and builds images with a Docker Engine.

    Args:
        socket: the Engine's Unix socket.
        login: the login to the registry from which images are pulled.

    Raises:
        InvalidData: the socket is not a string, or the login is not a `RegistryLogin`.
    """

    def __init__(self, socket: str = SOCKET, *, login: RegistryLogin | None = None) -> None:
        _check(isinstance(socket, str), "socket", "Give the path of the Engine's socket.")
        _check(isinstance(login, RegistryLogin | None), "login", "Give a RegistryLogin.")
        self._engine = Engine(socket)
        self._login = login

    def pull(self, image: str) -> PlatformOperation:
        """Return the operation that pulls an image; only changed layers are transferred.

        The result has the `image`, and the image's `id`.

        Args:
            image: the name of the image; the default tag is `latest`.
        """
        send_authorised = partial(pull_image, self._engine, checked_image(image), self._login)
        return PlatformOperation(name="docker.pull", system="docker", act=send_authorised)

    def build(
        self,
        folder: str | os.PathLike[str],
        image: str,
        *,
        dockerfile: str = "Dockerfile",
        arguments: Mapping[str, str] | None = None,
        target: str | None = None,
        pull: bool = False,
        log: Callable[[str], object] | None = None,
    ) -> PlatformOperation:
        """Return the operation that builds an image from a Dockerfile and its context.

        The result has the `image`, and the image's `id`. The files that the `.dockerignore` of the
        context names are not sent to the Engine. A repeat makes the same image from the Engine's
        cache.

        Args:
            folder: the folder that is the context.
            image: the name of the image; the default tag is `latest`.
            dockerfile: the path of the Dockerfile inside the folder.
            arguments: the values of build arguments. The history of the image shows them, so none
                may be secret.
            target: the stage of the Dockerfile at which the build ends; by default the last.
            pull: whether base images are pulled even if the Engine has them.
            log: called with each line of the build's output. An error that it raises ends the
                build, and is raised unchanged.

        Raises:
            InvalidData: an argument is of a wrong type, or the Dockerfile is outside the folder.
        """
        _check(isinstance(folder, (str, os.PathLike)), "folder", "Give the path of a folder.")
        _check(target is None or _is_text(target), "target", "Give the name of a stage.")
        is_table = isinstance(arguments, Mapping | None)
        _check(is_table, "arguments", "Give a dictionary of strings.")
        values = dict(arguments or {})
        if not all(map(_is_text, chain(values, values.values()))):
            raise InvalidData(
                "A build argument is not a string.",
                field="arguments",
                remedy="Give strings, and no secrets: the history of an image shows its arguments.",
            )
        query = {
            "t": with_tag(checked_image(image)),
            "dockerfile": checked_path(dockerfile, "dockerfile"),
            "buildargs": json.dumps(values),
            "forcerm": "1",
            **({"target": target} if target else {}),
            **({"pull": "1"} if pull else {}),
        }
        send_authorised = partial(self._build, Path(folder), query, log)
        return PlatformOperation(name="docker.build", system="docker", act=send_authorised)

    def _build(
        self,
        folder: Path,
        query: Mapping[str, str],
        log: Callable[[str], object] | None,
        timeout: float,
    ) -> dict[str, Any]:
        until = monotonic() + timeout
        headers = dict[str, str]() if self._login is None else self._login.build_header()
        with TemporaryFile() as archive:
            _pack(folder, query["dockerfile"], archive, until)
            headers = {**headers, "Content-Length": str(archive.tell())}
            archive.seek(0)
            with self._engine.answer(
                "POST", "/build", timeout, query=query, body=archive, headers=headers
            ) as answer:
                id = _built_image_id(answer, until, query["t"], self._login, log)
        # Raised outside the exchange, which would treat an OSError as a broken connection.
        if isinstance(id, Exception):
            raise id
        return {"image": query["t"], "id": id}


def _check(is_right: bool, field: str, remedy: str) -> None:  # noqa: FBT001 - a condition
    if not is_right:
        raise InvalidData(
            f"The {field} of an image has the wrong type.", field=field, remedy=remedy
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_encodable(value)


def pull_image(
    engine: Engine, image: str, login: RegistryLogin | None, timeout: float
) -> dict[str, Any]:
    """Pull an image, and return its name and id.

    Raises:
        RateLimitExceeded: the registry allows no further pulls for now.
        AuthenticationFailed: the registry refuses the login.
        VendorRejected: there is no such image, or its name is not valid.
        VendorFailed: the registry cannot be reached, or has failed.
        ConnectionFailed: the Engine cannot be reached.
    """
    until, name = monotonic() + timeout, with_tag(image)
    headers = dict[str, str]() if login is None else login.pull_header(image)
    with engine.answer(
        "POST", "/images/create", timeout, query={"fromImage": name}, headers=headers
    ) as answer:
        for line in _lines(answer, until):
            if "error" in line:
                raise _failed_pull(name, answer.status, without_login(str(line["error"]), login))
    _, content = engine.ask("GET", f"/images/{name}/json", timeout)
    return {"image": name, "id": _id_of(content, name)}


def _id_of(content: bytes, image: str) -> str:
    """Return the id in an image's description."""
    try:
        id = json.loads(content)["Id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        id = None
    if not isinstance(id, str):
        raise VendorFailed(
            f"The Docker Engine did not return the id of {image}.",
            remedy="Check that the socket is that of a Docker Engine.",
        )
    return id


def _lines(answer: http.client.HTTPResponse, until: float) -> Iterator[dict[str, Any]]:
    """Yield the progress of a pull or build until a deadline; an `error` line raises an error."""
    is_refused = answer.status >= _FIRST_ERROR_STATUS
    refusal = ({"error": message_of(answer.read(_LARGEST_MESSAGE))} for _ in range(is_refused))
    for line in chain(refusal, progress(answer)):
        yield line
        if monotonic() >= until:
            raise AttemptTimeout(
                "The Docker Engine did not finish the work on an image in time.",
                remedy="Give the service a longer timeout, or pull the image beforehand.",
            )


def _failed_pull(image: str, status: int, message: str) -> ConnectorError:
    """Return the error for a failed pull; a failed pull changes nothing."""
    failure = PullFailure.of(message)
    excerpt = message[:_SHOWN_CHARACTERS]
    if failure.is_throttled:
        return RateLimitExceeded(
            f"The registry refuses further pulls of {image} for now: {excerpt}",
            by_vendor=True,
            vendor_message=excerpt,
            remedy="Try again later, or give the login of an account that may pull more often.",
        )
    if failure.needs_login:
        return AuthenticationFailed(
            f"The registry requires a login for the image {image}: {excerpt}",
            vendor_message=excerpt,
            remedy="Give a `login` that may pull the image.",
        )
    if failure.is_absent or status == _BAD_REQUEST:
        return VendorRejected(
            f"The image {image} cannot be pulled: {excerpt}",
            vendor_message=excerpt,
            remedy="Check the name of the image, and give a `login` if it is private.",
        )
    return VendorFailed(
        f"The image {image} could not be pulled: {excerpt}",
        vendor_message=excerpt,
        remedy="Check that this machine reaches the registry.",
    )


def _built_image_id(
    answer: http.client.HTTPResponse,
    until: float,
    image: str,
    login: RegistryLogin | None,
    log: Callable[[str], object] | None,
) -> str | Exception:
    """Read a build's progress, and return the id of the image.

    Returns:
        The id of the image, or the error that the log raised.
    """
    id = ""
    for line in _lines(answer, until):
        if "error" in line:
            raise _failed_build(image, without_login(str(line["error"]), login)[:_SHOWN_CHARACTERS])
        if log is not None and line.get("stream"):
            try:
                for text in str(line["stream"]).splitlines():
                    log(text)
            except Exception as error:  # noqa: BLE001 - raised by the caller
                return error
        details: Any = line.get("aux")
        if isinstance(details, dict):
            id = str(cast("dict[str, Any]", details).get("ID") or id)
    if not id:
        raise VendorFailed(
            f"The Docker Engine ended the build of {image} without an image.",
            remedy="Look at the log of the Engine, and build again.",
        )
    return id


def _failed_build(image: str, message: str) -> ConnectorError:
    if PullFailure.of(message).is_throttled:
        return _failed_pull(image, _FIRST_ERROR_STATUS, message)
    return VendorRejected(
        f"The image {image} cannot be built: {message}",
        vendor_message=message,
        remedy="Correct the Dockerfile; the lines before the failure are in `log`.",
    )


def _pack(folder: Path, dockerfile: str, file: IO[bytes], until: float) -> None:
    """Write the archive of a build context to a file."""
    try:
        ignore = folder / _IGNORE_FILE
        text = ignore.read_text("utf-8", "replace") if ignore.is_file() else ""
        rules = IgnoredFiles.of(text, {dockerfile, _IGNORE_FILE})
        with tarfile.open(fileobj=file, mode="w") as archive:
            for path, name in _context(folder):
                if monotonic() >= until:
                    raise AttemptTimeout(
                        "The context of the image could not be packed in time.",
                        remedy="Leave files out with a .dockerignore file, or set a longer"
                        " timeout.",
                    )
                if not rules.ignores(name):
                    archive.add(path, name, recursive=False, filter=_owned_by_root)
    except (OSError, ValueError) as error:
        raise InvalidData(
            f"The context of the image cannot be read ({type(error).__name__}).",
            field="folder",
            remedy="Give a folder whose files this program may read.",
        ) from None


def _context(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield everything in a folder as path and relative name, in a fixed order."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = f"{place}/{name}"
            yield path, Path(path).relative_to(folder).as_posix()


def _raise(error: OSError) -> NoReturn:
    raise error


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
