"""A secret that somebody pasted as a name is not shown in the messages about a configuration."""

from __future__ import annotations

import json
import random
import string
from typing import TYPE_CHECKING, Any, Final

import pytest

import moorage
from moorage import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_RANDOM: Final = random.Random(7)


def _letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_RANDOM.choices(alphabet, k=count))


SECRETS: Final = {
    "stripe": f"sk_live_{_letters(40)}",
    "sendgrid": f"SG.{_letters(22)}.{_letters(43)}",
    "hexadecimal": _letters(32, "0123456789abcdef"),
    "aws": _letters(40, string.ascii_letters),
    "token": f"eyJhbGciOiJIUzI1NiJ9.{_letters(60)}.{_letters(43)}",
}
PLACES: Final[dict[str, Any]] = {
    "setting": lambda name: {name: "x"},
    "vendor": lambda name: {"vendors": {name: {"credentials": "x"}}},
    "option": lambda name: {"vendors": {"stripe": {name: "x"}}},
    "service": lambda name: {"services": {name: {"timeouts": 1}}},
    "tenant": lambda name: {"tenants": {name: {"x": 1}}},
    "tenant's table": lambda name: {"tenants": {"acme": {name: 1}}},
    "connector": lambda name: {"connectors": {name: {"x": 1}}},
    "referred connector": lambda name: {
        "pipelines": {"orders": {"source": {"connector": name, "topic": "orders"}}}
    },
    "platform": lambda name: {"platforms": {name: {"x": 1}}},
}


def _message(path: Path, tree: Any) -> str:
    path.write_text(json.dumps({"version": 1} | tree), "utf-8")
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(path)
    problems = [str(problem) for problem in excinfo.value.problems]
    return "\n".join([str(excinfo.value), repr(excinfo.value), *problems])


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_pasted_secret_is_not_shown(tmp_path: Path, place: str, secret: str) -> None:
    """The message about a setting with a secret as its name shows at most how the secret begins."""
    shown_text = _message(tmp_path / "erp.json", PLACES[place](SECRETS[secret]))
    parts = SECRETS[secret].replace(".", "_").split("_")
    assert [] == [part for part in parts if len(part) >= 16 and part[:5] in shown_text]


@pytest.mark.parametrize(
    "name",
    [
        "idempotency_across_all_regions",
        "InternationalShopOfAcme2024",
        "550e8400-e29b-41d4-a716-446655440000",
        "acme-fr-2024-production-warehouse-17",
    ],
)
def test_long_name_is_shown(tmp_path: Path, name: str) -> None:
    """A long name of words and numbers is shown in full, and so is a UUID."""
    assert name in _message(tmp_path / "erp.json", {"services": {name: {"x": 1}}})


def test_line_of_a_pasted_secret_is_shown(tmp_path: Path) -> None:
    """The message names the line of a secret, because its name does not help to find it."""
    path = tmp_path / "moorage.toml"
    path.write_text(f'version = 1\n[vendors.stripe]\n{SECRETS["hexadecimal"]} = "x"\n', "utf-8")
    with pytest.raises(ConfigurationError) as excinfo:
        moorage.open(path)
    assert 3 in {problem.line for problem in excinfo.value.problems}
