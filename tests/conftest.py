"""What every test shares: Hypothesis profiles, and our own pytest plugin."""

import gc
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, Phase, settings

# A slow or busy machine is not a failing property, so nothing here has a deadline, and examples may
# take their time to be drawn.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples on every run: a red build is red again on the next try.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
# What another interpreter or older dependencies break, they break for most examples.
settings.register_profile(
    "brief", settings.get_profile("default"), derandomize=True, max_examples=20
)
# A mutant only has to be noticed; nobody reads its smallest counter-example.
settings.register_profile(
    "mutants",
    settings.get_profile("default"),
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default")
)

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts: some tests
# interrupt what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A default TLS context reads all the authorities of the machine, which takes 30 ms each time. No
# test trusts any of them, so one authority that signs nothing stands for all.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "authority.pem")

# What moves money without naming a store keeps its keys in a file: not in this user's home.
os.environ["MOORAGE_STATE_DIRECTORY"] = mkdtemp(prefix="moorage-state-")

# Loaded here, not from its entry point (pyproject.toml disables that), because
# coverage is running by now and sees the plugin's import-time lines.
pytest_plugins = (
    ["moorage.testing.pytest_plugin"]
    if importlib.util.find_spec("moorage")
    and importlib.util.find_spec("moorage.testing")
    and importlib.util.find_spec("moorage.testing.pytest_plugin")
    else []
)

# Packages of others, which bring their own tests.
collect_ignore_glob = ["packages/*"]


def pytest_collection_finish() -> None:
    """Keep what was collected out of every later garbage collection: it stays until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test marked `untraced` without coverage, which would take three times as long."""
    if item.get_closest_marker("untraced") is None:
        return (yield)
    trace, threads = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        threading.settrace(threads)
        sys.settrace(trace)
