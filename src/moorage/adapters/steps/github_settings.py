"""The settings of a GitHub repository, for its steps and other operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.adapters.steps._git_host_wire import GitHostApi, in_seconds
from moorage.adapters.steps._github_access import AppAccess, bearer
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.adapters.steps._git_host_wire import Access
    from moorage.domain.secrets.secret import Secret

_REPOSITORY: Final = late_pattern(r"[A-Za-z0-9_-]{1,100}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")
_SCOPE: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_CLAIMS: Final = late_pattern(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
_HEADERS: Final = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
}


@checked_options
@attrs.frozen(kw_only=True)
class GitHubSettings:
    """Steps that run as GitHub Actions workflows.

    Attributes:
        repository: the owner and the name of the repository, such as "acme/erp".
        ref: the branch or the tag whose workflows run, unless a step names another branch or tag.
        token: a token with the rights `actions: write` and `contents: write`, and `checks: read`
            for exit codes.
        app_id: the client id of a GitHub app, instead of a token.
        installation_id: the number of the app's installation.
        private_key: the private key of the app, in PEM.
        api: the URL of the API; of a GitHub Enterprise Server, it ends with /api/v3.
        ca_file: a file with further certificate authorities to trust.
        scope: a name for the runs of this program; other runs are left alone.
        claims: the namespace of the refs with which runs are claimed.
        run_input: the input of the workflows that gets the name of the run.
        minutes_input: the input that gets the time limit in minutes; by default no input gets it.
        requests_run_number: whether GitHub is asked for the number of the run; old servers refuse
            that.
        pace: shortest time in seconds between two requests for the state of a run.
        lost_after: seconds after which a run that has not appeared is lost.
    """

    repository: str
    ref: str = "main"
    token: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    app_id: str | None = None
    installation_id: int | None = None
    private_key: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    api: str = "https://api.github.com"
    ca_file: str | None = None
    scope: str = "default"
    claims: str = "tags/moorage"
    run_input: str = "moorage"
    minutes_input: str | None = None
    requests_run_number: bool = True
    pace: float = attrs.field(default=5.0, validator=in_seconds(0))
    lost_after: float = attrs.field(default=120.0, validator=in_seconds(1))

    def __attrs_post_init__(self) -> None:
        """Check the names, and that there is exactly one credential."""
        for name, pattern in (
            ("repository", _REPOSITORY),
            ("scope", _SCOPE),
            ("claims", _CLAIMS),
        ):
            value: str = getattr(self, name)
            if pattern.fullmatch(value) is None:
                raise ConfigurationError(
                    f"{value[:80]!r} cannot be the {name} of a GitHub platform.",
                    path=name,
                    remedy="Use letters, digits and hyphens. Write the repository as 'acme/erp'.",
                )
        app = (self.app_id, self.installation_id, self.private_key)
        is_app = None not in app
        is_mixed = any(part is not None for part in app) and (not is_app or bool(self.token))
        if is_mixed or not (is_app or self.token):
            raise ConfigurationError(
                "A GitHub platform needs a token, or app_id, installation_id and private_key.",
                path="token",
                remedy="Give either the token or all three settings of the app.",
            )

    @property
    def access(self) -> Access:
        """The credential for GitHub's API."""
        if self.token:
            return bearer(self.token)
        assert self.app_id is not None  # noqa: S101 - checked above
        assert self.installation_id is not None  # noqa: S101 - checked above
        assert self.private_key is not None  # noqa: S101 - checked above
        name = self.repository.partition("/")[2]
        return AppAccess(self.app_id, self.installation_id, self.private_key, name)


def github_api(settings: GitHubSettings) -> GitHostApi:
    """Return the GitHub API for these settings."""
    return GitHostApi("GitHub", settings.api, settings.access, settings.ca_file, _HEADERS)
