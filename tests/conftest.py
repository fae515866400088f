"""Hypothesis profiles and the pytest plugin that all tests use."""

import atexit
import functools
import gc
import importlib
import importlib.util
import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.support.compiled_modules import compile_modules, uncompiled_modules
from tests.support.drawn_cases import DRAWS, Draw, chosen_cases, chosen_long_cases, long_tests
from tests.support.shared_modules import (
    SharedModules,
    collects_share,
    is_collected,
    long_modules,
)

# Hypothesis would parse every module of the repository in each worker, to draw their constants as
# examples. That takes a fifth of the collection, and there is no setting to turn it off.
_providers: Any = importlib.import_module("hypothesis.internal.conjecture.providers")
_providers.is_local_module_file = lambda _path: False

# A slow or busy machine does not break a property, so examples have no deadline, and drawing them
# may take long. Local runs, and runs with other interpreters and older dependencies, try a fifth of
# the usual examples: they draw new examples every time, and a mistake breaks most examples.
settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=20
)
# The same examples on every run, so that a failed build fails again on the next try.
settings.register_profile("brief", settings.get_profile("default"), derandomize=True)
# The thorough search for counter-examples that a release must pass.
settings.register_profile("ci", settings.get_profile("brief"), max_examples=100, print_blob=True)
# The first half of that search, which each change must pass. Further examples would be the same
# every time, and local runs draw other ones.
settings.register_profile("half", settings.get_profile("ci"), max_examples=50)
# A mutant only has to be detected; its smallest counter-example is not needed.
settings.register_profile(
    "mutants",
    settings.get_profile("ci"),
    print_blob=False,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "brief" if os.environ.get("CI") else "default")
)

# Background processes of a shell ignore Ctrl-C, and so do their children, but some tests interrupt
# processes that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A default TLS context reads all authorities of the machine, which takes 30 ms each time. No test
# trusts any of them, so a single unused authority replaces them.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "authority.pem")


def _memory_folder() -> Path | None:
    """Return a folder in memory for temporary files, or None if memory is scarce.

    A commit of SQLite waits for its disk, and tests make tens of thousands of commits.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder below is this user's alone
    if not memory.is_dir():
        return None
    space = os.statvfs(memory)
    if space.f_bavail * space.f_frsize < 4 * 1024**3 or space.f_flag & os.ST_NOEXEC:
        return None
    folder = memory / f"moorage-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        return None
    # If root starts a server, it runs as another user, who must reach the folder below this one.
    folder.chmod(0o711)
    return folder


# Processes that tests start, and test workers, inherit both variables.
if "TMPDIR" not in os.environ and (_folder := _memory_folder()) is not None:
    os.environ["TMPDIR"] = str(_folder)
    tempfile.tempdir = None
# No data of a test must survive a crash, so PostgreSQL need not wait for its disk.
os.environ.setdefault("PGOPTIONS", "-c synchronous_commit=off")

# If a program moves money and names no store, its keys are in a file; that must not be in this
# user's home.
os.environ["MOORAGE_STATE_DIRECTORY"] = tempfile.mkdtemp(prefix="moorage-state-")
atexit.register(shutil.rmtree, os.environ["MOORAGE_STATE_DIRECTORY"], ignore_errors=True)

# Loaded here instead of from its entry point (which pyproject.toml disables), because coverage runs
# by now and sees the lines that run at the plugin's import.
pytest_plugins = (
    ["moorage.testing.pytest_plugin"]
    if importlib.util.find_spec("moorage")
    and importlib.util.find_spec("moorage.testing")
    and importlib.util.find_spec("moorage.testing.pytest_plugin")
    else []
)

# Folders of other packages, which have their own tests.
collect_ignore_glob = ["packages/*"]


# Collected objects stay until the end, so the garbage collector need not look at them.
gc.disable()


def _is_whole_run(config: pytest.Config) -> bool:
    testpaths: list[str] = config.getini("testpaths")
    return config.args == testpaths


def _sharing_worker(config: pytest.Config) -> tuple[int, int] | None:
    """Return this worker's number and the number of workers, if several share the test run."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if not (workers and _is_whole_run(config)):
        return None
    return int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")), workers


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore the test modules that other workers collect, if several workers run all tests."""
    is_module = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    if not is_module or (sharing := _sharing_worker(config)) is None:
        return None
    module = collection_path.relative_to(config.rootpath).as_posix()
    return None if is_collected(module, *sharing) else True


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Turn coverage off while a worker collects only modules that other workers collect too.

    Lines that run on import are covered there, and to import under the tracer takes twice as long.
    """
    tracers = sys.gettrace(), threading.gettrace()
    sharing = _sharing_worker(session.config)
    if tracers[0] is None or sharing is None or collects_share(*sharing):
        return (yield)
    _set_tracers(None, None)
    try:
        return (yield)
    finally:
        _set_tracers(*tracers)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[object]) -> None:
    """Compile the modules that all workers will collect, if most of them are not compiled."""
    modules = [*long_modules()]
    uncompiled = uncompiled_modules(config.rootpath, modules)
    if _is_whole_run(config) and len(specs) > 1 and 2 * len(uncompiled) > len(modules):
        compile_modules(config.rootpath, uncompiled)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> SharedModules | None:
    """If workers have collected different modules, return a scheduler for them."""
    if not _is_whole_run(config):
        return None
    session: Any = config.pluginmanager.get_plugin("session")

    def show_total(number: int) -> None:
        session.testscollected = number

    workers: Any = config.getoption("tx")
    return SharedModules(len(workers), show_total)


def pytest_collection_finish() -> None:
    """Exclude collected tests from garbage collection, since they stay in memory until the end."""
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that limits how many cases of each test are run."""
    parser.addoption(
        "--cases",
        choices=("all", *DRAWS),
        default="all",
        help="try all cases of each test (the default); or draw some of the many; or those, and a"
        " third of the long tests (few); or one case of each test, and a ninth of the long ones",
    )


def _draw_of_run(config: pytest.Config) -> tuple[Draw, int] | None:
    """Return the random draw set by `--cases`, with its seed, or None if all cases run.

    In CI the seed of the draw is always the same.
    """
    draw = DRAWS.get(str(config.getoption("cases")))
    if draw is None:
        return None
    return draw, 0 if os.environ.get("CI") else config.getoption("randomly_seed", 0) or 0


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Keep only the cases of a test that `--cases` chooses, before pytest creates the items."""
    yield
    if (drawn := _draw_of_run(metafunc.config)) is None:
        return
    draw, seed = drawn
    calls: list[Any] = metafunc._calls  # noqa: SLF001 - nothing public drops cases before pytest makes items of them
    test = metafunc.definition.nodeid
    by_id = {f"{test}[{call.id}]": call for call in calls}
    chosen = chosen_cases(by_id, seed, draw, is_long=test in long_tests(draw.lists))
    calls[:] = [call for case, call in by_id.items() if case in chosen]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the cases of long tests that `--cases` does not choose.

    This hook runs first, so that pytest and its plugins order only the chosen cases. If a run of
    some tests would have no case of the long ones among them, it has all of these.
    """
    if (drawn := _draw_of_run(config)) is None:
        return
    draw, seed = drawn
    is_long = long_tests(draw.lists).__contains__
    long_items = [item.nodeid for item in items if is_long(item.nodeid.partition("[")[0])]
    chosen = chosen_long_cases(long_items, seed, draw)
    if not chosen and not _is_whole_run(config):
        return
    excluded = set(long_items).difference(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in excluded])
    items[:] = [item for item in items if item.nodeid not in excluded]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start four workers more than there are cores, because long tests mostly wait."""
    return (os.cpu_count() or 1) + 4


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Note the processor time before a test, for its report."""
    item.stash[_BEGIN] = _processor_seconds()
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Add the processor time of a test and of its processes to a report of `--junitxml`."""
    try:
        return (yield)
    finally:
        spent = _processor_seconds() - item.stash[_BEGIN]
        item.user_properties.append(("processor_seconds", f"{spent:.3f}"))


_BEGIN: Final = pytest.StashKey[float]()


def _processor_seconds() -> float:
    """Return the processor time that this process and its ended children have taken."""
    return sum(os.times()[:4])


# With coverage, only each fifth example of a property runs, because the others repeat the same
# lines.
TRACED_SHARE = 5


def _set_tracers(trace: Any, thread_trace: Any) -> None:
    """Set the trace functions of this thread, and of threads that it starts."""
    threading.settrace(thread_trace)
    sys.settrace(trace)


def _traced_in_every_fifth_example(
    run_example: Callable[..., object], tracers: tuple[Any, Any]
) -> Callable[..., object]:
    """Return a Hypothesis property's test function that traces coverage in every fifth example."""
    examples = itertools.count()

    @functools.wraps(run_example)
    def run(*arguments: object, **options: object) -> object:
        if next(examples) % TRACED_SHARE:
            return run_example(*arguments, **options)
        _set_tracers(*tracers)
        try:
            return run_example(*arguments, **options)
        finally:
            _set_tracers(None, None)

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run tests that only repeat covered code without coverage, which would slow them down.

    These are tests marked `untraced`, and four of five examples of a Hypothesis property.
    """
    tracers = sys.gettrace(), threading.gettrace()
    handle: Any = getattr(getattr(item, "obj", None), "hypothesis", None)
    untraced = item.get_closest_marker("untraced") is not None
    if tracers[0] is None or (handle is None and not untraced):
        return (yield)
    _set_tracers(None, None)
    if untraced:
        handle = None
    run_example: Any = None if handle is None else handle.inner_test
    if handle is not None:
        handle.inner_test = _traced_in_every_fifth_example(run_example, tracers)
    try:
        return (yield)
    finally:
        if handle is not None:
            handle.inner_test = run_example
        _set_tracers(*tracers)
