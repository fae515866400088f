"""Configurations in which one value at a time is replaced by a meaningless one."""

from __future__ import annotations

import copy
import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import moorage
from moorage import ConfigurationError
from moorage.config import read_configuration
from tests.config.broken import SID

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE_FOLDER = str(Path(moorage.__file__).parent)
PLANTED = "sk_live_51H8x0tXx"
FULL_CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "state": {"url": f"redis://us:{PLANTED}@127.0.0.1/0"},
    "safety": {"dry_run": True, "recipients": ["example.com"]},
    "secrets": {"ours": {"kind": "env", "prefix": "OURS_"}},
    "sms": [{"vendor": ["twilio"], "countries": ["de"], "prefer": "cost"}],
    "email": {"vendor": "smtp"},
    "vendors": {
        "twilio": {
            "account_sid": SID,
            "credentials": PLANTED,
            "webhook_secrets": [PLANTED],
            "timeout": 5,
            "limits": [{"rate": 5, "per": "minute"}],
            "retry": {"preset": "none"},
            "circuit": {"failures": 3},
            "headers": {"X-A": PLANTED},
        },
        "smtp": {"host": "mail.example.com", "username": "us", "credentials": PLANTED},
    },
    "services": {"vat": {"base_url": "https://vat.example", "credentials": PLANTED}},
    "tenants": {"acme": {"sms": {"vendor": "twilio"}}},
    "environments": {"production": {"safety": {"live": True}}},
}


def paths_in(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return every path in a configuration."""
    yield at
    if isinstance(tree, dict):
        for name, branch in tree.items():
            yield from paths_in(branch, (*at, name))
    elif isinstance(tree, list):
        for number, branch in enumerate(tree):
            yield from paths_in(branch, (*at, number))


PLACES = list(paths_in(FULL_CONFIGURATION))
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.binary(),
        st.just(PLANTED),
        st.just(f"secret://{PLANTED}"),
        st.just(f"https://us:{PLANTED}@a.example"),
        st.sampled_from(["secret://env/PLANTED", "${PLANTED}", "a ${PLANTED}", "${", "secret://x"]),
        st.builds(object),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=5,
)


@pytest.fixture(autouse=True)
def _plant_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a secret into the environment."""
    monkeypatch.setenv("PLANTED", PLANTED)


def with_junk(place: tuple[Any, ...], junk: Any) -> Any:
    """Return the configuration with the value at one path replaced by a meaningless one."""
    if not place:
        return junk
    whole_configuration = copy.deepcopy(FULL_CONFIGURATION)
    table: Any = whole_configuration
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = junk
    return whole_configuration


@given(st.sampled_from(PLACES), JUNK, st.sampled_from([None, "production", "nowhere"]))
def test_any_value_at_any_path_loads_or_raises_configuration_error(
    place: tuple[Any, ...], junk: Any, environment: str | None
) -> None:
    """A configuration with any value at any path loads, or raises an error without secrets."""
    assert PLANTED == os.environ["PLANTED"]
    source = with_junk(place, junk)
    refused_error: ConfigurationError | None = None
    try:
        text = repr(read_configuration(source, environment).warnings)
    except ConfigurationError as error:
        text, refused_error = f"{error}{error!r}{error.problems}", error
    assert PLANTED not in text
    if refused_error is not None:
        trace = traceback.TracebackException.from_exception(refused_error, capture_locals=True)
        own_locals = [
            frame.locals for frame in trace.stack if frame.filename.startswith(PACKAGE_FOLDER)
        ]
        assert PLANTED not in str(own_locals)
