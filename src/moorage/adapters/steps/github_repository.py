"""Repeatable operations of a GitHub repository: releases, statuses and checks."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.adapters.steps._git_host_answers import NOT_FOUND, reading_answer
from moorage.adapters.steps._git_host_checks import (
    checked_asset,
    checked_commit,
    checked_tag,
)
from moorage.adapters.steps.github_settings import github_api
from moorage.adapters.steps.platform_operation import PlatformOperation
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import AlreadyExists, InvalidRequest, VendorRejected

if TYPE_CHECKING:
    from moorage.adapters.steps.github_settings import GitHubSettings

_PUBLIC_API: Final = "https://api.github.com"
_UPLOADS: Final = "https://uploads.github.com"
_MISSING_STATUSES: Final = frozenset({NOT_FOUND})


@with_careful_constructor
class GitHubRepository:
    """The repeatable operations of a GitHub repository, such as releases.

    Args:
        settings: the repository and the credential, as for `GitHubPlatform`.
    """

    def __init__(self, settings: GitHubSettings) -> None:
        self._api = github_api(settings)
        self._uploads = (_UPLOADS,) if settings.api == _PUBLIC_API else ()
        self._root = f"/repos/{settings.repository}"

    def release(
        self,
        tag: str,
        *,
        name: str | None = None,
        notes: str = "",
        commit: str | None = None,
        is_prerelease: bool = False,
    ) -> PlatformOperation:
        """Return the operation that publishes a release, unless the tag has one.

        A release that exists is left unchanged.

        Args:
            tag: the release's tag, which is created if it does not exist.
            name: the release's name; by default the tag.
            notes: the release's text.
            commit: the commit or branch that a new tag leads to.
            is_prerelease: whether it is not a full release.
        """
        body: dict[str, Any] = {
            "tag_name": checked_tag(tag),
            "name": name or tag,
            "body": notes,
            "prerelease": is_prerelease,
        }
        if commit is not None:
            body["target_commitish"] = commit
        return self._operation("release", partial(self._release, body))

    def upload(
        self, tag: str, name: str, content: bytes, *, media_type: str = "application/octet-stream"
    ) -> PlatformOperation:
        """Return the operation that adds a file to a release.

        The same file is uploaded once. An incomplete earlier upload is replaced.

        Args:
            tag: the tag of the release.
            name: the name of the file.
            content: the file's bytes.
            media_type: the file's media type.
        """
        send_authorised = partial(
            self._upload, checked_tag(tag), checked_asset(name), content, media_type
        )
        return self._operation("upload", send_authorised)

    def status(
        self,
        commit: str,
        state: str,
        *,
        context: str,
        description: str = "",
        url: str | None = None,
    ) -> PlatformOperation:
        """Return the operation that sets a commit's status, such as "success".

        Args:
            commit: the commit.
            state: "error", "failure", "pending" or "success".
            context: the name of the reporter, such as "erp/import"; the last report of a context
                counts.
            description: a short text.
            url: the address of a page with details.
        """
        body = {"state": state, "context": context, "description": description[:140]}
        if url is not None:
            body["target_url"] = url
        path = f"{self._root}/statuses/{checked_commit(commit)}"
        return self._operation("status", partial(self._status, path, body))

    def check(
        self,
        commit: str,
        name: str,
        *,
        key: str,
        conclusion: str | None = None,
        title: str = "",
        summary: str = "",
    ) -> PlatformOperation:
        """Return the operation that creates a check of a commit, or updates the check with its key.

        Only an app may do this.

        Args:
            commit: the commit.
            name: the name of the check.
            key: identifies the check among those of its name.
            conclusion: the check's conclusion, such as "success"; None while the check is running.
            title: the title of its report.
            summary: the text of its report.
        """
        body: dict[str, Any] = {
            "name": name,
            "head_sha": checked_commit(commit),
            "external_id": key,
            "status": "in_progress" if conclusion is None else "completed",
        }
        if conclusion is not None:
            body["conclusion"] = conclusion
        if title or summary:
            body["output"] = {"title": title or name, "summary": summary}
        return self._operation("check", partial(self._check, body))

    def _operation(self, name: str, act: Any) -> PlatformOperation:
        act = reading_answer(act, "GitHub")
        return PlatformOperation(name=f"github.{name}", system="github", act=act)

    def _release(self, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        release = self._release_of_tag(body["tag_name"], timeout)
        if release is None:
            refusal = None
            try:
                path = f"{self._root}/releases"
                release = self._api.ask("POST", path, timeout, body=body).json()
            except InvalidRequest as error:
                # Another process may have created it first.
                refusal = error
                release = self._release_of_tag(body["tag_name"], timeout)
            if refusal is not None and release is None:
                raise refusal
        return _release_fields(release)

    def _release_of_tag(self, tag: str, timeout: float) -> dict[str, Any] | None:
        path = f"{self._root}/releases/tags/{quote(tag)}"
        answer = self._api.ask("GET", path, timeout, allowed=_MISSING_STATUSES)
        release: dict[str, Any] | None = None
        if answer.status != NOT_FOUND:
            release = answer.json()
        return release

    def _upload(
        self, tag: str, name: str, content: bytes, media_type: str, timeout: float
    ) -> dict[str, Any]:
        release = self._release_of_tag(tag, timeout)
        if release is None:
            raise VendorRejected(
                f"GitHub has no release {tag}.",
                status=NOT_FOUND,
                remedy="Publish the release before its files.",
            )
        digest = f"sha256:{sha256(content).hexdigest()}"
        for page in self._api.pages(f"{self._root}/releases/{release['id']}/assets", timeout):
            for asset in page:
                if asset["name"] != name:
                    continue
                if asset["state"] != "uploaded":
                    path = f"{self._root}/releases/assets/{asset['id']}"
                    self._api.ask("DELETE", path, timeout, allowed=_MISSING_STATUSES)
                elif asset["digest"] in {digest, None} and asset["size"] == len(content):
                    return _file(asset)
                else:
                    raise AlreadyExists(
                        f"The release {tag} has another file named {name}.",
                        remedy="Give the file another name, or delete the old one.",
                    )
        url: str = release["upload_url"]
        answer = self._api.ask(
            "POST",
            url.partition("{")[0],
            timeout,
            query={"name": name},
            body=content,
            headers={"Content-Type": media_type},
            further_origins=self._uploads,
        )
        return _file(answer.json())

    def _status(self, path: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        status = self._api.ask("POST", path, timeout, body=body).json()
        return {"id": status["id"], "state": status["state"], "context": status["context"]}

    def _check(self, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        path = f"{self._root}/commits/{body['head_sha']}/check-runs"
        for page in self._api.pages(path, timeout, query={"check_name": body["name"]}):
            for check in page["check_runs"]:
                if check["external_id"] == body["external_id"]:
                    place = f"{self._root}/check-runs/{check['id']}"
                    change = {name: value for name, value in body.items() if name != "head_sha"}
                    return _check_fields(self._api.ask("PATCH", place, timeout, body=change).json())
        return _check_fields(
            self._api.ask("POST", f"{self._root}/check-runs", timeout, body=body).json()
        )


def _release_fields(release: dict[str, Any] | None) -> dict[str, Any]:
    assert release is not None  # noqa: S101 - raised before
    return {"id": release["id"], "tag": release["tag_name"], "url": release["html_url"]}


def _file(asset: dict[str, Any]) -> dict[str, Any]:
    return {"id": asset["id"], "name": asset["name"], "url": asset["browser_download_url"]}


def _check_fields(check: dict[str, Any]) -> dict[str, Any]:
    return {"id": check["id"], "status": check["status"], "conclusion": check["conclusion"]}
