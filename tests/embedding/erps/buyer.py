"""A simulated browser with links, forms and cookies that records every page."""

from __future__ import annotations

from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urljoin, urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.define
class Form:
    """A form on a web page.

    Attributes:
        action: the URL that it is sent to.
        fields: the values that it sends unless they are changed, such as hidden fields.
        choices: for each field, the value of each choice by the text beside it.
    """

    action: str
    fields: dict[str, str] = attrs.field(factory=dict)
    choices: dict[str, dict[str, str]] = attrs.field(factory=dict)

    def filled(self, **chosen: str) -> dict[str, str]:
        """Return the form's fields with these options chosen."""
        values = {
            name: next(value for text, value in self.choices[name].items() if word in text)
            for name, word in chosen.items()
        }
        return {**self.fields, **values}


@attrs.define
class Page:
    """A web page that a server has sent.

    Attributes:
        status, url, source: status, URL and HTML of the response.
        text: the visible text.
        forms: its forms, by the URL that each is sent to.
        refers: the URLs of the resources that the page loads.
    """

    status: int
    url: str
    source: str
    text: str = ""
    forms: dict[str, Form] = attrs.field(factory=dict)
    refers: list[str] = attrs.field(factory=list)

    def form(self, ending: str) -> Form:
        """Return the form whose action ends with this path."""
        return next(form for action, form in self.forms.items() if action.endswith(ending))


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.form: Form | None = None
        self.choice: tuple[str, str] | None = None
        self.words: list[str] = []
        self.label_texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        result = {name: value or "" for name, value in attrs}
        if tag in {"link", "script", "img", "iframe"}:
            self.page.refers.append(result.get("href") or result.get("src") or "")
        if tag == "form":
            action = urljoin(self.page.url, result.get("action", ""))
            self.form = self.page.forms[action] = Form(action)
        if self.form is None:
            return
        if tag == "input" and result.get("type") == "radio":
            self.choice = result["name"], result["value"]
            self.label_texts = []
        elif tag == "input":
            self.form.fields[result["name"]] = result.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "label" and self.form is not None and self.choice is not None:
            name, value = self.choice
            self.form.choices.setdefault(name, {})[" ".join("".join(self.label_texts).split())] = (
                value
            )
            self.choice = None
        elif tag == "form":
            self.form = None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        self.label_texts.append(data)


class Buyer:
    """A browser without JavaScript, which several threads may use, like tabs.

    Attributes:
        seen: every page that it has loaded.
    """

    def __init__(self, url: str, cookies: Mapping[str, str] | None = None) -> None:
        self.url = url
        self.cookies = dict(cookies or {})
        self.seen: list[Page] = []

    def get(self, path: str) -> Page:
        """Follow a link to a page."""
        return self._ask("GET", urljoin(self.url, path), None)

    def post(self, form: Form, values: Mapping[str, str] | None = None) -> Page:
        """Send a form and follow its redirect."""
        return self._ask("POST", form.action, urlencode(values or form.fields))

    def pay(self, invoice: str, payment_method: str) -> Page:
        """Open an invoice and pay it."""
        form = self.get(invoice).form("/pay")
        return self.post(form, form.filled(means=payment_method))

    def _ask(self, method: str, url: str, body: str | None) -> Page:
        while True:
            status, headers, source = self._exchange(method, url, body)
            location = headers.get("Location")
            if location is None:
                break
            method, url, body = "GET", urljoin(url, location), None
        page = Page(status, url, source)
        reader = _Reader(page)
        reader.feed(source)
        page.text = " ".join(" ".join(reader.words).split())
        self.seen.append(page)
        return page

    def _exchange(
        self, method: str, url: str, body: str | None
    ) -> tuple[int, Mapping[str, str], str]:
        place = urlsplit(url)
        connection = HTTPConnection(place.netloc, timeout=240)
        headers = {"Connection": "close"}
        is_custom = place.netloc == urlsplit(self.url).netloc
        if is_custom and self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={text}" for name, text in self.cookies.items())
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        path = f"{place.path or '/'}{'?' if place.query else ''}{place.query}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []) if is_custom else []:
                name, _, text = cookie.partition(";")[0].partition("=")
                self.cookies[name] = text
            return answer.status, dict(answer.headers), answer.read().decode(errors="replace")
        finally:
            connection.close()
