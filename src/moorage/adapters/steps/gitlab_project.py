"""Repeatable operations of a GitLab project: releases, statuses and pull mirrors."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.adapters.steps._git_host_answers import NOT_FOUND, reading_answer
from moorage.adapters.steps._git_host_checks import (
    checked_asset,
    checked_commit,
    checked_tag,
)
from moorage.adapters.steps.gitlab import gitlab_api
from moorage.adapters.steps.platform_operation import PlatformOperation
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.errors import AlreadyExists, VendorRejected

if TYPE_CHECKING:
    from moorage.adapters.steps.gitlab import GitLabSettings

_MISSING_STATUSES: Final = frozenset({NOT_FOUND})
_CONFLICT: Final = frozenset({409})
_REFUSED_CHANGE: Final = re.compile(r"Cannot transition status via :\w+ from :(\w+)")


@with_careful_constructor
class GitLabProject:
    """The repeatable operations of a GitLab project, such as releases.

    Args:
        settings: the project and the token, as for `GitLabPlatform`.
    """

    def __init__(self, settings: GitLabSettings) -> None:
        self._api = gitlab_api(settings)
        self._root = f"/projects/{quote(settings.project, safe='')}"

    def release(
        self, tag: str, *, name: str | None = None, notes: str = "", ref: str | None = None
    ) -> PlatformOperation:
        """Return the operation that publishes a release, unless the tag has one.

        A release that exists is left unchanged.

        Args:
            tag: the release's tag.
            name: the release's name; by default the tag.
            notes: the release's text.
            ref: the commit or branch that a new tag leads to.
        """
        body = {"tag_name": checked_tag(tag), "name": name or tag, "description": notes}
        if ref is not None:
            body["ref"] = ref
        return self._operation("release", partial(self._release, body))

    def upload(
        self, tag: str, name: str, content: bytes, *, package: str = "release"
    ) -> PlatformOperation:
        """Return the operation that adds a file to a release, as a link to a generic package.

        Args:
            tag: the tag of the release, which is the version of the package too.
            name: the name of the file.
            content: the file's bytes.
            package: the name of the package.
        """
        version = checked_asset(tag)
        send_authorised = partial(
            self._upload, version, checked_asset(name), content, checked_asset(package)
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
            state: "pending", "running", "success", "failed", "canceled" or "skipped". GitLab
                refuses some changes, such as from "running" to "pending" or "skipped".
            context: the name of the reporter, such as "erp/import".
            description: a short text.
            url: the address of a page with details.
        """
        body = {"state": state, "name": context, "description": description[:255]}
        if url is not None:
            body["target_url"] = url
        path = f"{self._root}/statuses/{checked_commit(commit)}"
        return self._operation("status", partial(self._status, path, body))

    def pull_mirror(self) -> PlatformOperation:
        """Return the operation that starts the project's pull mirror."""
        return self._operation("pull_mirror", self._start_mirror)

    def mirror_state(self) -> PlatformOperation:
        """Return the operation that reads the state of the project's pull mirror."""
        return self._operation("mirror_state", self._mirror_state, safe=True)

    def _operation(self, name: str, act: Any, *, safe: bool = False) -> PlatformOperation:
        act = reading_answer(act, "GitLab")
        return PlatformOperation(name=f"gitlab.{name}", system="gitlab", act=act, safe=safe)

    def _release(self, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        path = f"{self._root}/releases"
        answer = self._api.ask("POST", path, timeout, body=body, allowed=_CONFLICT)
        if answer.status in _CONFLICT:
            place = f"{path}/{quote(body['tag_name'], safe='')}"
            answer = self._api.ask("GET", place, timeout)
        release = answer.json()
        return {"tag": release["tag_name"], "name": release["name"]}

    def _upload(
        self, tag: str, name: str, content: bytes, package: str, timeout: float
    ) -> dict[str, Any]:
        links = f"{self._root}/releases/{tag}/assets/links"
        place = f"{self._root}/packages/generic/{package}/{tag}/{name}"
        entries = [link for page in self._api.pages(links, timeout) for link in page]
        link = next((entry for entry in entries if entry["name"] == name), None)
        package_file = self._api.download(place, timeout, allowed=_MISSING_STATUSES)
        if package_file.status == NOT_FOUND:
            headers = {"Content-Type": "application/octet-stream"}
            self._api.ask("PUT", place, timeout, body=content, headers=headers)
        elif package_file.data != content:
            raise AlreadyExists(
                f"The package {package} {tag} has another file named {name}.",
                remedy="Give the file another name, or delete the old one.",
            )
        if link is None:
            body = {"name": name, "url": f"{self._api.url}{place}", "link_type": "package"}
            link = self._api.ask("POST", links, timeout, body=body).json()
        return {"id": link["id"], "name": link["name"], "url": link["url"]}

    def _status(self, path: str, body: dict[str, Any], timeout: float) -> dict[str, Any]:
        try:
            status = self._api.ask("POST", path, timeout, body=body).json()
        except VendorRejected as error:
            # GitLab refuses to report the same state twice, and some transitions, such as running
            # to pending.
            current_state = _REFUSED_CHANGE.match(error.vendor_message or "")
            if current_state is None or current_state[1] != body["state"]:
                raise
            return {"state": body["state"], "context": body["name"]}
        return {"state": status["status"], "context": body["name"]}

    def _start_mirror(self, timeout: float) -> dict[str, Any]:
        self._api.ask("POST", f"{self._root}/mirror/pull", timeout)
        return {"started": True}

    def _mirror_state(self, timeout: float) -> dict[str, Any]:
        state = self._api.ask("GET", f"{self._root}/mirror/pull", timeout).json()
        return {"status": state["update_status"], "error": state["last_error"]}
