"""Images are pulled by a real Docker Engine from a registry, and built from Dockerfiles."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections import Counter
from contextlib import contextmanager
from functools import partial
from http.client import parse_headers
from pathlib import Path
from random import Random
from socket import AF_UNIX
from socket import socket as Socket  # noqa: N812 - a fixture has its name
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    ConnectorManager,
    DockerImages,
    DockerPlatform,
    InvalidData,
    RateLimitExceeded,
    RegistryLogin,
    RetryPolicy,
    RunSpec,
    Secret,
    Service,
    Step,
    StepConnector,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.steps._docker_wire import Engine, message_of
from moorage.adapters.steps.docker import DOCKER, DockerSettings
from moorage.domain.steps.images import IgnoredFiles
from moorage.domain.steps.path_patterns import PathPattern
from tests.steps.docker_harness import IMAGE, engine, is_podman
from tests.steps.registry_harness import BROKEN, THROTTLED, Registry, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@pytest.fixture(scope="module")
def socket() -> Generator[str]:
    """Yield the socket of a Docker Engine."""
    with engine() as path:
        yield path


@pytest.fixture
def shop(socket: str) -> Generator[Registry]:
    """Yield a registry whose image the Engine does not have."""
    with registry(Path(str(shutil.which("busybox")))) as shared_registry:
        yield shared_registry
        for name in (shared_registry.image, f"{shared_registry.server}/erp"):
            Engine(socket).ask("DELETE", f"/images/{name}", 30.0, allowed=frozenset({404}))


def manager(attempts: int = 1) -> ConnectorManager:
    """Return a manager that retries without pauses."""
    retry = RetryPolicy(max_attempts=attempts, base_delay=0.001)
    return ConnectorManager([Service("steps", timeout=120.0, retry=retry)])


def step(image: str) -> Step:
    """Return a step that runs in a container of an image."""
    return Step("rows", ["sh", "-c", "echo rows"], image=image)


@pytest.mark.parametrize("user", [None, "0"])
def test_missing_image_is_pulled_once(user: str | None, socket: str, shop: Registry) -> None:
    """A step pulls an image that the Engine lacks; the next step does not pull it again."""
    connector = StepConnector(DockerPlatform(socket, user=user), manager())

    results = [connector.execute_step(step(shop.image)) for _ in range(2)]

    assert ["rows\n", "rows\n"] == [result.stdout for result in results]
    assert 0 < shop.manifest_requests <= 2


def test_throttled_pull_is_retried(socket: str, shop: Registry) -> None:
    """If the registry throttles a pull, the pull is retried, and the step runs once."""
    shop.faults.extend([THROTTLED, THROTTLED, BROKEN])
    connector = StepConnector(DockerPlatform(socket), manager(attempts=9))

    result = connector.execute_step(step(shop.image))

    assert "rows\n" == result.stdout
    assert not shop.faults


def test_throttled_pull_raises_rate_limit_exceeded(socket: str, shop: Registry) -> None:
    """If the registry keeps throttling, RateLimitExceeded is raised and no container is run."""
    if is_podman(socket):
        pytest.skip("Podman repeats a throttled pull itself, for minutes")
    shop.faults.extend([THROTTLED] * 9)
    platform = DockerPlatform(socket, scope="throttled")

    with pytest.raises(RateLimitExceeded, match="pull rate limit") as excinfo:
        StepConnector(platform, manager()).execute_step(step(shop.image))

    assert excinfo.value.by_vendor
    assert () == tuple(platform.runs(30.0))


def test_registry_that_keeps_failing_raises_vendor_failed(socket: str, shop: Registry) -> None:
    """A registry that keeps failing raises VendorFailed."""
    shop.faults.extend([BROKEN] * 9)

    with pytest.raises(VendorFailed, match="could not be pulled"):
        StepConnector(DockerPlatform(socket), manager()).execute_step(step(shop.image))


@pytest.mark.parametrize("name", ["erp:2", "other"])
def test_unknown_image_is_refused(socket: str, shop: Registry, name: str) -> None:
    """An image or tag that the registry lacks is refused soon, without retries."""
    connector = StepConnector(DockerPlatform(socket), manager(attempts=5))
    start_time = monotonic()

    with pytest.raises(VendorRejected, match="cannot be pulled"):
        connector.execute_step(step(f"{shop.server}/{name}"))

    assert 5 > monotonic() - start_time

    assert shop.manifest_requests <= 2


def test_image_is_not_pulled_if_pull_is_false(socket: str, shop: Registry) -> None:
    """With `pull=False` only images on the Engine are used."""
    connector = StepConnector(DockerPlatform(socket, pull=False), manager())

    with pytest.raises(VendorRejected, match=r"(?i)no such image"):
        connector.execute_step(step(shop.image))

    assert 0 == shop.manifest_requests


def test_private_image_is_pulled_with_the_login_of_its_registry(
    socket: str, shop: Registry
) -> None:
    """A private image is pulled with its registry's login, which no error shows."""
    shop.login = "erp:s3cr3t-of-the-shop"
    wrong_login = RegistryLogin(
        server=shop.server, user="erp", password=Secret("wr0ng-of-the-shop")
    )
    for login in (None, wrong_login):
        with pytest.raises(AuthenticationFailed, match="login") as excinfo:
            DockerPlatform(socket, login=login).start(
                RunSpec(name="private", step=step(shop.image)), 60.0
            )
        assert "wr0ng" not in f"{excinfo.value!r}"
    settings = DockerSettings(
        socket=socket,
        registry=shop.server,
        registry_user="erp",
        registry_password=Secret("s3cr3t-of-the-shop"),
    )
    assert "s3cr3t" not in repr(settings) + repr(settings.login)

    result = StepConnector(DOCKER.build(settings), manager()).execute_step(step(shop.image))

    assert result.is_success


def test_login_of_another_registry_is_not_sent(shop: Registry) -> None:
    """A login is sent only to its own registry; images without a registry are at Docker Hub."""
    login = RegistryLogin(server="docker.io", user="erp", password=Secret("p"))

    assert {} == login.pull_header(shop.image)
    assert {"X-Registry-Auth"} == set(login.pull_header("python:3.13"))
    assert {} == login.pull_header("localhost/erp")
    assert {} == login.pull_header("Registry/erp")
    assert {"X-Registry-Auth"} == set(login.pull_header("index.docker.io/erp/shop"))


def test_login_without_a_user_is_refused() -> None:
    """A password without a user is refused when the settings are read."""
    assert DockerSettings().login is None
    with pytest.raises(ConfigurationError, match="registry_user"):
        DockerSettings(registry="erp.example", registry_password=Secret("p"))


def test_image_can_be_pulled_before_steps_need_it(socket: str, shop: Registry) -> None:
    """An image can be pulled before steps need it, with the protections of a service."""
    images = DockerImages(socket)

    pulled = manager().perform("steps", images.pull(shop.image))

    assert shop.image == pulled["image"]
    assert pulled["id"].startswith("sha256:")
    result = StepConnector(DockerPlatform(socket, pull=False), manager()).execute_step(
        step(shop.image)
    )
    assert result.is_success


def context(folder: Path, dockerfile: str, **files: str) -> Path:
    """Return a folder with a Dockerfile and the given files; `_` in their names stands for `/`."""
    (folder / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        path = folder / name.replace("_", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_image_is_built_and_runs(socket: str, tmp_path: Path) -> None:
    """An image is built from a Dockerfile and its context; steps see its files and arguments."""
    folder = context(
        tmp_path,
        f"FROM {IMAGE}\nARG MONTH\nENV MONTH=$MONTH\nCOPY . /erp/\nRUN echo built for $MONTH\n",
        data_rows="12\n",
        data_secret="hidden\n",
    )
    (folder / ".dockerignore").write_text("# secrets stay here\n**/secret\n")
    lines: list[str] = []
    build = DockerImages(socket).build(
        folder, "localhost/built:1", arguments={"MONTH": "2030-01"}, log=lines.append
    )

    built, second_result = (manager().perform("steps", build) for _ in range(2))

    assert built == second_result
    assert "built for 2030-01" in lines
    result = StepConnector(DockerPlatform(socket), manager()).execute_step(
        Step("show", ["sh", "-c", "cat /erp/data/*; echo $MONTH"], image="localhost/built:1")
    )
    assert "12\n2030-01\n" == result.stdout


@pytest.mark.parametrize(
    "error", [OSError(28, "disk full"), TimeoutError("too slow"), KeyError("a")]
)
def test_error_of_a_log_ends_the_build_unchanged(
    socket: str, tmp_path: Path, error: Exception
) -> None:
    """An error that the user's log function raises is not converted, even a connection error."""
    folder = context(tmp_path, f"FROM {IMAGE}\nRUN echo built\n")

    def raise_error(line: str) -> None:
        raise error

    build = DockerImages(socket).build(folder, "localhost/unlogged:1", log=raise_error)

    with pytest.raises(type(error)) as excinfo:
        manager(attempts=5).perform("steps", build)

    assert error is excinfo.value


def test_build_may_name_its_dockerfile_and_last_stage(socket: str, tmp_path: Path) -> None:
    """A build can use a Dockerfile with another name, and stop at one of its stages."""
    context(tmp_path, "FROM nothing\n")
    stages = f"FROM {IMAGE} AS first\nENV STAGE=1\nFROM {IMAGE}\nRUN false\n"
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/erp").write_text(stages)
    build = DockerImages(socket).build(
        tmp_path, "localhost/stage", dockerfile="docker/erp", target="first"
    )

    assert "localhost/stage:latest" == manager().perform("steps", build)["image"]


def test_build_pulls_its_private_base_image_with_the_login(
    socket: str, shop: Registry, tmp_path: Path
) -> None:
    """A build pulls its private base image with the login, and retries if throttled."""
    if is_podman(socket):
        pytest.skip("Podman repeats a throttled pull itself, for minutes")
    shop.login = "erp:s3cr3t-of-the-shop"
    login = RegistryLogin(server=shop.server, user="erp", password=Secret("s3cr3t-of-the-shop"))
    folder = context(tmp_path, f"FROM {shop.image}\n")
    build = DockerImages(socket, login=login).build(folder, "localhost/base:1", pull=True)
    shop.faults.extend([THROTTLED] * 9)
    with pytest.raises(RateLimitExceeded):
        manager().perform("steps", build)
    shop.faults.clear()

    assert manager().perform("steps", build)["id"]


@pytest.mark.parametrize(
    "dockerfile, words",
    [
        (f"FROM {IMAGE}\nRUN sh -c 'exit 3'\n", "returned a non-zero code: 3|exit status 3"),
        ("FRM x\n", "(?i)unknown instruction|no FROM statement"),
        ("FROM localhost:1/nothing\n", "connection refused"),
    ],
)
def test_failed_build_is_refused(socket: str, tmp_path: Path, dockerfile: str, words: str) -> None:
    """A failed build is refused with the Engine's message, and is not retried."""
    build = DockerImages(socket).build(context(tmp_path, dockerfile), "localhost/bad:1")

    with pytest.raises(VendorRejected, match=words):
        manager(attempts=5).perform("steps", build)


@pytest.mark.parametrize("work", ["sleep 60", "while :; do echo busy; sleep 0.01; done"])
def test_build_beyond_the_timeout_of_its_service_is_cut_off(
    socket: str, tmp_path: Path, work: str
) -> None:
    """A build that exceeds its service's timeout is cut off, with or without output."""
    folder = context(tmp_path, f"FROM {IMAGE}\nRUN {work}\n")
    build = DockerImages(socket).build(folder, "localhost/slow:1")

    with pytest.raises(AttemptTimeout):
        build.act(1.0)


def test_build_with_wrong_options_is_refused_before_it_begins(tmp_path: Path) -> None:
    """A non-text argument and a wrong name, path or folder are refused before the build."""
    images, secret = DockerImages("/nowhere"), Secret("p")
    wrong_secrets: Any = {"TOKEN": secret}
    for image in (
        lambda: images.build(tmp_path, "x", arguments=wrong_secrets),
        lambda: images.build(tmp_path, "X y"),
        lambda: images.build(tmp_path, "x", dockerfile="../Dockerfile"),
        lambda: images.pull("X y"),
        lambda: images.build(tmp_path / "none", "x").act(1.0),
    ):
        with pytest.raises(InvalidData):
            image()


@pytest.mark.parametrize(
    "lines, ignored, others",
    [
        ("# a comment\n\n.\n!\n", [], ["# a comment", "a"]),
        ("*.log", ["a.log"], ["logs/a.log", "a.logs"]),
        ("**/*.log", ["a.log", "logs/deep/a.log"], ["a.txt"]),
        ("/.git/", [".git", ".git/config"], ["a/.git", ".gitignore"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("**\n!keep/*.txt", ["a", "keep/a.md"], ["keep/a.txt"]),
        ("docs\n!docs/index.md\ndocs/index.md", ["docs/index.md"], []),
        ("!a\na", ["a"], ["b"]),
        ("t?p", ["tmp", "tap/x"], ["top1", "tp", "t/p"]),
        ("[ab]1\n[^x-z]2", ["a1", "b1", "a2"], ["c1", "x2"]),
        ("[\\]a-c]1", ["]1", "a1", "b1"], ["[1", "d1", "-1"]),
        ("a**b", ["ab", "a/b", "ax/b", "a/x/b", "a/b/c"], ["axb", "a/xb", "bab"]),
        ("a**b*", ["ab", "abc", "a/bc"], ["axb"]),
        ("**b", ["b", "ab", "a/b", "a/xb"], ["a/bx"]),
        ("**b?", ["bx", "a/bx"], ["abx", "a/b"]),
        ("a/x**", ["a/x", "a/xy", "a/x/y"], ["a/y"]),
        ("a**/b*c", ["ax/y/bcc", "a/bc", "abc/x"], ["bc", "a/bx", "a/b/c"]),
        ("**/**/x\n***y", ["x", "a/x", "a/b/x/z", "y", "a/by"], ["ax", "a/xx", "yx"]),
        ("\\*.txt", ["*.txt"], ["a.txt"]),
        ("\ufeffa.b", ["a.b"], ["axb"]),
        ("*", ["a", ".env"], ["Dockerfile", ".dockerignore"]),
        ("a/../.env\n./b//c/", [".env", "b/c"], ["a", "b"]),
        ("../x\n! /y/\n/\n", [], ["x", "y", "a"]),
        ("a\x0bb\r\nc", ["a\x0bb", "c"], ["a", "b"]),
    ],
)
def test_last_pattern_that_matches_path_or_one_of_its_folders_decides(
    lines: str, ignored: list[str], others: list[str]
) -> None:
    """Of the patterns that match a path or one of its folders, the last decides, as in Docker."""
    rules = IgnoredFiles.of(lines, {"Dockerfile", ".dockerignore"})

    assert ignored == [path for path in [*ignored, *others] if rules.ignores(path)]


def test_error_names_the_invalid_pattern() -> None:
    """The error for an invalid pattern contains it; a pattern longer than any path is refused."""
    with pytest.raises(InvalidData, match=r"\[z-a\]"):
        IgnoredFiles.of("a\n[z-a]\n", ())
    with pytest.raises(InvalidData, match="4,096 characters"):
        IgnoredFiles.of("a" * 4_097, ())


@pytest.mark.parametrize(
    "pattern, path",
    [
        ("**/" * 40 + "x", "a/" * 60 + "b"),
        ("a*" * 60 + "b", "a" * 250),
        ("*" * 200 + "b", "a" * 250),
        ("**a" * 60 + "b", "a" * 250),
        ("[a-z]*" * 60 + "1", "a" * 250),
    ],
)
def test_pattern_is_matched_in_linear_time_despite_many_wildcards(pattern: str, path: str) -> None:
    """Matching costs time linear in path and pattern, however many wildcards there are."""
    tests = Counter[str]()
    compiled = PathPattern(pattern)
    compiled._places = [  # noqa: SLF001 - counts each comparison
        place._replace(
            accepts_next=partial(count_word, tests, place.accepts_next),
            accepts_again=partial(count_word, tests, place.accepts_again),
        )
        for place in compiled._places  # noqa: SLF001 - counts each comparison
    ]

    assert not compiled.matches(path)
    assert tests.total() <= 4 * len(path) * len(pattern)


def count_word(tests: Counter[str], test: Callable[[str], bool], char: str) -> bool:
    """Count that a character was tested, and return the test's result."""
    tests[char] += 1
    return test(char)


def test_pattern_caches_a_limited_number_of_steps() -> None:
    """A pattern caches a limited number of matching steps, and matches correctly beyond that."""
    pattern = PathPattern("*a" + "?" * 13 + "b")
    rng = Random(7)
    paths = ["".join(rng.choices("ab", k=60)) for _ in range(200)]
    expected = [path[-15] + path[-1] == "ab" for path in paths]

    assert expected == [pattern.matches(path) for path in paths]
    assert {True, False} == set(expected)


def test_context_that_cannot_be_packed_in_time_is_not_sent(tmp_path: Path) -> None:
    """A context that cannot be packed within the time limit is not sent."""
    build = DockerImages("/nowhere").build(context(tmp_path, "FROM x\n"), "x")

    with pytest.raises(AttemptTimeout, match="packed in time"):
        build.act(0.0)


def test_arguments_of_wrong_types_are_refused(tmp_path: Path) -> None:
    """A folder, stage, argument, socket or login of a wrong type is refused at once."""
    images: Any = DockerImages("/nowhere")
    kind: Any = DockerImages
    cases: list[tuple[str, Callable[[], object]]] = [
        ("folder", lambda: images.build(None, "x")),
        ("folder", lambda: images.build("a\0b", "x").act(1.0)),
        ("target", lambda: images.build(tmp_path, "x", target=3)),
        ("target", lambda: images.build(tmp_path, "x", target="\ud800")),
        ("arguments", lambda: images.build(tmp_path, "x", arguments=["A"])),
        ("arguments", lambda: images.build(tmp_path, "x", arguments={1: "a"})),
        ("arguments", lambda: images.build(tmp_path, "x", arguments={"A": "\ud800"})),
        ("socket", lambda: kind(3)),
        ("login", lambda: kind(login="erp:p")),
    ]
    for field, refused_value in cases:
        with pytest.raises(InvalidData) as excinfo:
            refused_value()
        assert field == excinfo.value.field


@pytest.mark.parametrize("server", ["https://erp.example", "erp.example/", "a b", ""])
def test_login_server_that_cannot_begin_an_image_name_is_refused(server: str) -> None:
    """A login server that cannot begin an image name is refused, since it would never be used."""
    with pytest.raises(ConfigurationError, match="address of a registry server"):
        RegistryLogin(server=server, user="erp", password="p")


@pytest.mark.parametrize("server", ["docker.io", "localhost:5000", "[::1]:5000", "a-b.example"])
def test_login_server_is_a_host_with_or_without_a_port(server: str) -> None:
    """A login server is a host name or address, with or without a port."""
    login = RegistryLogin(server=server, user="erp", password=Secret("s3cr3t-of-erp"))

    assert {"X-Registry-Auth"} == set(login.pull_header(f"{server}/erp"))


@pytest.mark.parametrize(
    "body", [b"", b"7", b"[]", b"{}", b'{"Id":7}', b"[" * 100_000, b"\xff", b'{"Id":']
)
def test_unreadable_description_of_an_image_raises_error(tmp_path: Path, body: bytes) -> None:
    """An Engine that describes a pulled image in an unexpected form raises an error."""
    with (
        answer_requests(f"{tmp_path}/s", b"", body),
        pytest.raises(VendorFailed, match="id of x:latest"),
    ):
        DockerImages(f"{tmp_path}/s").pull("x").act(9.0)


def test_deeply_nested_progress_raises_error(tmp_path: Path) -> None:
    """Too deeply nested progress or error messages of the Engine raise an error."""
    pull = DockerImages(f"{tmp_path}/s").pull("x")
    with (
        answer_requests(f"{tmp_path}/s", b"[" * 100_000),
        pytest.raises(VendorFailed, match="ends within a line"),
    ):
        pull.act(9.0)
    assert "[" * 200 == message_of(b"[" * 100_000)


@pytest.mark.parametrize("operation", ["pull", "build"])
def test_login_in_a_message_is_masked(tmp_path: Path, operation: str) -> None:
    """An Engine message that repeats the login shows neither the password nor its header."""
    login = RegistryLogin(server="erp.example", user="erp", password=Secret("s3cr3t-of-erp"))
    headers = {**login.pull_header("erp.example/x"), **login.build_header()}
    line = json.dumps({"error": f"s3cr3t-of-erp {' '.join(headers.values())} refused"})
    images = DockerImages(f"{tmp_path}/s", login=login)
    folder = context(tmp_path, "FROM x\n")
    operation_ = images.pull("erp.example/x") if operation == "pull" else images.build(folder, "x")

    with answer_requests(f"{tmp_path}/s", line.encode()), pytest.raises(ConnectorError) as excinfo:
        operation_.act(9.0)

    message = str(excinfo.value)
    assert "refused" in message
    assert "s3cr3t" not in message
    assert b64encode(b"s3cr3t-of-erp").decode()[4:-4] not in message
    assert not [header for header in headers.values() if header[20:50] in message]


@contextmanager
def answer_requests(path: str, *bodies: bytes) -> Generator[None]:
    """Handle requests at a Unix socket, each with the next response body."""

    def answer() -> None:
        for body in bodies:
            client, _ = server.accept()
            with client, client.makefile("rb") as request:
                request.readline()
                headers = parse_headers(request)
                request.read(int(headers.get("Content-Length", "0")))
                client.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    with Socket(AF_UNIX) as server:
        server.bind(path)
        server.listen()
        thread = Thread(target=answer)
        thread.start()
        yield
        thread.join()
