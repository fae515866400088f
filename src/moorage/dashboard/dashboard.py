"""The operations page as a function of request and person, independent of a server."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from moorage.dashboard.acts import ACTS, ActContext, checked_reason
from moorage.dashboard.layout import button, document, hidden_fields, text_field
from moorage.dashboard.markup import join_nodes, tag
from moorage.dashboard.pages import PAGES, PageContext
from moorage.dashboard.reading import INBOX, OUTBOX, Reader
from moorage.dashboard.tokens import Notice, Tokens
from moorage.dashboard.web import (
    BadFormError,
    PageRequest,
    PageResponse,
    cookie,
    fields_of,
    html_page,
    see_other,
)
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError, ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.dashboard.acts import Act
    from moorage.dashboard.markup import Node
    from moorage.dashboard.people import Person
    from moorage.hub.hub import Hub
    from moorage.hub.inbox import WebhookInbox
    from moorage.hub.outbox import Outbox
    from moorage.ports.integration_log import IntegrationLogger
    from moorage.ports.metrics import Metrics

_ACTS: Final = "/acts/"
_COOKIE: Final = "moorage_notice"
_NOTICE_LIFE: Final = 60
_LEAST_SECRET: Final = 16


class Dashboard:
    """The pages and actions of an installation.

    The hub's audit trail records each action before it is performed, with the person and the
    reason, and each denied action. An action that cannot be recorded is not performed.

    Args:
        hub: a synchronous hub on the shared store.
        secret: a string of at least 16 characters that protects forms; all processes that serve the
            page must have the same secret.
        outbox: the outbox to show.
        inbox: the inbox to show.
        log: the integration log to show.
        metrics: the store of call figures, such as `hub.metrics`, for charts and service levels.
        four_eyes: True if a second person must confirm how a payment is closed.
        name: the name of the installation, as pages show it.
    """

    def __init__(
        self,
        hub: Hub,
        *,
        secret: Secret | str,
        outbox: Outbox | None = None,
        inbox: WebhookInbox | None = None,
        log: IntegrationLogger | None = None,
        metrics: Metrics | None = None,
        four_eyes: bool = True,
        name: str = "moorage",
    ) -> None:
        secret = secret if isinstance(secret, Secret) else Secret(secret)
        if len(secret.reveal()) < _LEAST_SECRET:
            raise ConfigurationError(
                f"The secret of the operations page is shorter than {_LEAST_SECRET} characters.",
                path="secret",
                remedy="Give a long random text, the same in every process.",
            )
        if outbox is not None:
            outbox = outbox.with_audit(hub.audit)
        boxes = {OUTBOX: outbox, INBOX: inbox}
        self._reader = Reader(
            hub,
            {key: box for key, box in boxes.items() if box is not None},
            log,
            metrics,
        )
        self._tokens = Tokens(secret)
        self._four_eyes = four_eyes
        self._audit = hub.audit
        self._name = name

    def respond(self, request: PageRequest, person: Person) -> PageResponse:
        """Return the response to a request of an identified person.

        Args:
            request: the request.
            person: the person.
        """
        if request.path.startswith(_ACTS):
            return self._act(request, person)
        build = PAGES.get(request.path)
        if build is None:
            return self._problem(request, person, 404, "There is no such page.")
        if request.method not in {"GET", "HEAD"}:
            return self._not_allowed_response(request, person, "GET, HEAD")
        try:
            fields = fields_of(request.query)
            page = build(PageContext(request, fields, person, self._reader, self._four_eyes))
        except BadFormError:
            return self._problem(request, person, 400, "The address of this page is malformed.")
        except InvalidData as error:
            return self._problem(request, person, 404, str(error))
        except ConnectorError as error:
            return self._problem(request, person, 503, str(error))
        return self._page(request, person, page.title, *page.content)

    # --- acts ---------------------------------------------------------------------------

    def _act(self, request: PageRequest, person: Person) -> PageResponse:
        """Show the confirmation page of an action (GET), or perform the action (POST)."""
        act = ACTS.get(request.path.removeprefix(_ACTS))
        if act is None:
            return self._problem(request, person, 404, "There is no such action.")
        if request.method not in {"GET", "HEAD", "POST"}:
            return self._not_allowed_response(request, person, "GET, HEAD, POST")
        is_post = request.method == "POST"
        try:
            form = request.form() if is_post else fields_of(request.query)
            values = act.values(form)
        except BadFormError:
            return self._problem(
                request, person, 400, "The form is malformed. Load the page again."
            )
        except InvalidData as error:
            return self._problem(request, person, 400, str(error))
        act_context = ActContext(
            reader=self._reader,
            person=person,
            values=values,
            reason=form.get("reason", "").strip(),
            four_eyes=self._four_eyes,
        )
        if not person.may(act.group(values)):
            words = "You may read this page, but you have no permission for this action."
            if is_post:
                self._deny(act, act_context)
            return self._problem(request, person, 403, words)
        if not is_post:
            return self._confirmation(request, act, act_context)
        token = form.get("token", "")
        if not (
            request.is_from_our_page() and self._tokens.accepts_form(person, token, self._seconds())
        ):
            words = "This form does not come from this page, or it is too old. Load the page again."
            self._deny(act, act_context)
            return self._problem(request, person, 403, words)
        return self._perform(request, act, act_context, form)

    def _perform(
        self, request: PageRequest, act: Act, context: ActContext, form: Mapping[str, str]
    ) -> PageResponse:
        """Perform an action, and redirect the person to a page with its result."""
        path, names = act.back
        return_link = request.link(path, **{name: context.get(name) for name in names})
        try:
            checked_reason(act, form)
            notice = Notice(good=True, text=act.perform(context))
            list_path = act.ends(context)
            return_link = return_link if list_path is None else request.link(list_path)
        except ConnectorError as error:
            notice = Notice(good=False, text=f"Not done. {error}")
        value = self._tokens.notice(context.person, notice)
        return see_other(
            return_link, cookies=[cookie(request, _COOKIE, value, seconds=_NOTICE_LIFE)]
        )

    def _confirmation(self, request: PageRequest, act: Act, context: ActContext) -> PageResponse:
        """Return the page that asks for confirmation, without changing anything."""
        person = context.person
        try:
            explanation = act.explain(context)
            question_field = None
            if act.asks is not None:
                name, label_of = act.asks
                question_field = tag("div", text_field(name, label_of(context)), class_="field")
        except (InvalidData, ConfigurationError) as error:
            return self._problem(request, person, 404, str(error))
        except ConnectorError as error:
            return self._problem(request, person, 503, str(error))
        reason_attribute = "required" if act.needs_reason else "optional"
        label = f"Reason ({reason_attribute}), for those who read the record later"
        reason = text_field("reason", label, required=act.needs_reason)
        path, names = act.back
        token = self._tokens.form(person, self._seconds())
        form = tag(
            "form",
            hidden_fields({**context.values, "token": token}),
            question_field,
            tag("div", reason, class_="field"),
            tag(
                "div",
                tag("button", act.button, class_="main"),
                button(request, "Cancel", path, **{key: context.get(key) for key in names}),
                class_="acts",
            ),
            method="post",
            action=request.link(f"{_ACTS}{act.name}"),
        )
        return self._page(request, person, act.title, tag("section", tag("p", explanation), form))

    def _deny(self, act: Act, context: ActContext) -> None:
        """Record a denied action, if the audit trail is available."""
        if self._audit is None:
            return
        values = {name: value for name, value in context.values.items() if name != "stamp"}
        with suppress(ConnectorError):
            self._audit.record(
                f"{act.name.replace('-', '.', 1)}.denied",
                ", ".join(f"{name} {value}" for name, value in values.items()) or "nothing",
                actor=context.person.name,
                reason=context.reason,
            )

    # --- frames -------------------------------------------------------------------------

    def _page(
        self,
        request: PageRequest,
        person: Person,
        title: str,
        *content: Node,
        status: int = 200,
    ) -> PageResponse:
        """Return a page with the notice about the last action, if any."""
        value = request.cookie(_COOKIE)
        notice = self._tokens.read_notice(person, value) if value else None
        page = document(request, person, title, join_nodes(content), notice=notice, name=self._name)
        cookies = [cookie(request, _COOKIE, "", seconds=0)] if value else []
        return html_page(page, status=status, cookies=cookies)

    def _problem(
        self, request: PageRequest, person: Person, status: int, words: str
    ) -> PageResponse:
        back_link = tag("p", tag("a", "Go to the first page", href=request.link("/")))
        return self._page(
            request,
            person,
            _TITLES[status],
            tag("section", tag("p", words), back_link),
            status=status,
        )

    def _not_allowed_response(
        self, request: PageRequest, person: Person, methods: str
    ) -> PageResponse:
        response = self._problem(
            request, person, 405, f"This page accepts only these methods: {methods}."
        )
        return PageResponse(
            status=405, headers=(*response.headers, ("Allow", methods)), body=response.body
        )

    def _seconds(self) -> int:
        return int(self._reader.now().timestamp())


_TITLES: Final = {
    400: "This request is malformed",
    403: "You may not do this",
    404: "Not found",
    405: "This page does not accept this request",
    503: "The page cannot be shown now",
}
