"""The operations page in a Django project, for staff members.

Add it at any path: `path("operations/", include("moorage_django.dashboard"))`. Staff with the
permission to view calls may read; the permissions to change calls, webhooks, deferred calls and
credentials let them act.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.urls import path, re_path
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from moorage.dashboard import Dashboard, Group, PageRequest, Person
from moorage.dashboard.web import LARGEST_BODY, complete_body
from moorage_django.runtime import process
from moorage_django.settings import project_settings

if TYPE_CHECKING:
    from django.http import HttpRequest

app_name = "moorage_dashboard"

_GROUPS: Final = {
    "moorage_django.change_call": (Group.CIRCUITS, Group.LIMITS, Group.PAYMENTS),
    "moorage_django.change_deferred": (Group.OUTBOX,),
    "moorage_django.change_webhook": (Group.INBOX,),
    "moorage_django.change_credential": (Group.CREDENTIALS,),
}
_HEADERS: Final = ("cookie", "origin", "sec-fetch-site")


@csrf_exempt  # the page has its own tokens, bound to the session
@never_cache
@transaction.non_atomic_requests
def page(request: HttpRequest, page: str = "") -> HttpResponse:
    """Show a page, or perform an action."""
    user: Any = request.user
    if not user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not (user.is_active and user.is_staff and user.has_perm("moorage_django.view_call")):
        raise PermissionDenied
    process.flush()
    response = _dashboard().respond(_request(request, page), _person_of(request, user))
    answer = HttpResponse(response.body, status=response.status)
    del answer["Content-Type"]
    for name, value in response.headers:
        if name == "Set-Cookie":
            answer.cookies.load(value)
        else:
            answer[name] = value
    return answer


def _dashboard() -> Dashboard:
    return Dashboard(
        process.hub(),
        secret=f"moorage operations page {settings.SECRET_KEY}",
        outbox=process.outbox(),
        inbox=process.inbox(),
        log=process.log(),
        metrics=process.hub().metrics,
        four_eyes=project_settings().four_eyes,
    )


def _request(request: HttpRequest, page: str) -> PageRequest:
    full_path = request.path_info
    root = (
        request.path[: len(request.path) - len(page) - 1] if full_path.endswith(f"/{page}") else ""
    )
    body = complete_body(request.read(LARGEST_BODY + 1), request.META.get("CONTENT_LENGTH") or "")
    return PageRequest(
        method=request.method or "GET",
        root=root,
        path=f"/{page}",
        query=request.META.get("QUERY_STRING", ""),
        body=body,
        content_type=request.META.get("CONTENT_TYPE", ""),
        host=request.META.get("HTTP_HOST", ""),
        headers={name: request.headers[name] for name in _HEADERS if name in request.headers},
        secure=request.is_secure(),
    )


def _person_of(request: HttpRequest, user: Any) -> Person:
    acts = [
        group
        for permission, groups in _GROUPS.items()
        if user.has_perm(permission)
        for group in groups
    ]
    session = f"{user.pk} {request.session.session_key} {user.get_session_auth_hash()}"
    return Person(user.get_username(), acts, session)


urlpatterns = [
    path("", page, name="dashboard"),
    re_path(r"^(?P<page>.+)$", page, name="page"),
]
