"""Builds the documentation site: pages of `docs`, generated pages, and a search.

`python -m tools.site [FOLDER]` writes it. Nothing on the site comes from another host. Each page
exists as Markdown too, next to its HTML, and `llms.txt` lists all of them for programs.
"""

from __future__ import annotations

import re
import shutil
import sys
from argparse import ArgumentParser
from functools import cache, partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import yaml

from tools import (
    charts,
    commands,
    configuration,
    diagrams,
    messages,
    presets,
    recorded_runs,
    reference,
    telemetry,
    vendors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
NAVIGATION: Final = DOCS / "navigation.yml"
TAGLINE: Final = "Safe, observable and replaceable calls to other people's services."
_STYLE: Final = Path(__file__).with_name("site.css")
_ICON: Final = Path(__file__).with_name("site_icon.svg")
_SEARCH: Final = Path(__file__).with_name("site_search.js")
_SEARCH_SCRIPTS: Final = ("messages.js", "site_search.js")
_SEARCH_PAGE: Final = """{% extends "!search.html" %}
{% block content %}<h1>Search</h1>{{ super() }}{% endblock %}
"""
_ADMONITION: Final = re.compile(r"^!!! (\w+)\n((?:    .*\n|\n(?=    ))+)", re.MULTILINE)


class SitePage(NamedTuple):
    """A page in the site's navigation.

    Attributes:
        title: its title there.
        path: its path below `docs`.
    """

    title: str
    path: str


class Section(NamedTuple):
    """A section of the site's navigation.

    Attributes:
        title: its title; empty for the whole navigation.
        entries: its pages and the sections inside it, in order.
    """

    title: str
    entries: tuple[SitePage | Section, ...]

    def pages(self) -> Iterator[SitePage]:
        """Yield the pages of this section and its subsections."""
        for entry in self.entries:
            yield from entry.pages() if isinstance(entry, Section) else (entry,)


def navigation() -> Section:
    """Return the whole navigation."""
    return _section("", yaml.safe_load(NAVIGATION.read_text("utf-8")))


def generated_files() -> dict[str, str]:
    """Return all site files generated from code, by path."""
    return {
        **diagrams.pictures(),
        **recorded_runs.pictures(),
        **reference.pages(),
        **messages.pages(),
        "reference/webhook-schemes.md": presets.page(),
        "reference/commands.md": commands.page(),
        "reference/configuration.md": configuration.page(),
        "reference/telemetry.md": telemetry.page(),
        "vendors/index.md": vendors.page(),
    }


def sources() -> dict[str, str]:
    """Return all site files not made by Sphinx, by path."""
    texts = {
        str(path.relative_to(DOCS)): path.read_text("utf-8")
        for ending in ("md", "svg")
        for path in sorted(DOCS.rglob(f"*.{ending}"))
    }
    texts["troubleshooting.md"] = reference.with_error_facts(texts["troubleshooting.md"])
    figures = charts.with_charts(texts["explanation/speed.md"])
    texts |= {"explanation/speed.md": figures.text, **figures.pictures}
    scripts = (messages.search_data(), _SEARCH.read_text("utf-8"))
    static = {
        f"_static/{name}": script for name, script in zip(_SEARCH_SCRIPTS, scripts, strict=True)
    }
    return {**texts, **generated_files(), **static}


def llms_text(whole: Section) -> str:
    """Return the list of all pages for programs to read, in the format llms.txt."""
    lines = ["# moorage", "", f"> {TAGLINE}", ""]
    for entry in whole.entries:
        pages = entry.pages() if isinstance(entry, Section) else (entry,)
        lines += ["", f"## {entry.title}", ""] if isinstance(entry, Section) else []
        lines += [f"- [{page.title}]({page.path})" for page in pages]
    return "\n".join([*lines, ""])


def build(target: Path, texts: Mapping[str, str], whole: Section) -> None:
    """Build a documentation site with Sphinx.

    Args:
        target: the folder of the site; earlier files in it are removed.
        texts: the files of the site, by their paths.
        whole: its navigation, which begins with the first page.

    Raises:
        SystemExit: a page has a wrong link, or another mistake.
    """
    from sphinx.application import Sphinx  # noqa: PLC0415 - only the build needs it
    from sphinx.search import languages  # noqa: PLC0415 - only the build needs it
    from sphinx.search.en import SearchEnglish  # noqa: PLC0415 - only the build needs it
    from sphinx.util.docutils import docutils_namespace  # noqa: PLC0415 - only the build needs it

    # Most words of a page are on other pages too, so this cache saves an eighth of the build's
    # time.
    languages["en"] = type("English", (SearchEnglish,), {"stem": cache(SearchEnglish.stem)})
    shutil.rmtree(target, ignore_errors=True)
    with TemporaryDirectory() as folder, docutils_namespace():
        source = Path(folder, "source")
        for path, text in texts.items():
            page_text = _for_sphinx(text) if path.endswith(".md") else text
            _write(source / path, page_text)
        _write(source / "index.md", _with_contents(_for_sphinx(texts["index.md"]), whole))
        _write(source / "static" / "site.css", _STYLE.read_text("utf-8"))
        _write(source / "templates" / "search.html", _SEARCH_PAGE)
        _write(source / _ICON.name, _ICON.read_text("utf-8"))
        app = Sphinx(
            srcdir=source,
            confdir=None,
            outdir=target,
            doctreedir=Path(folder, "doctrees"),
            buildername="html",
            confoverrides=_SETTINGS,
            status=None,
            warning=sys.stderr,
            warningiserror=True,
        )
        highlighter: Any = getattr(app.builder, "highlighter")  # noqa: B009 - of HTML builders only
        highlighter.get_formatter = cache(highlighter.get_formatter)
        # Runs before the theme's own handler, which has the priority 500.
        app.connect("html-page-context", partial(_with_side_bar, whole), 400)
        app.connect("html-page-context", _with_search)
        app.build()
        if app.statuscode:
            raise SystemExit(app.statuscode)
    for path, text in texts.items():
        _write(target / path, text)
    _write(target / "llms.txt", llms_text(whole))


_SETTINGS: Final[dict[str, Any]] = {
    "project": "moorage",
    "html_title": "moorage",
    "extensions": ["myst_parser", "sphinx_copybutton"],
    "html_theme": "furo",
    "html_favicon": _ICON.name,
    "html_static_path": ["static"],
    "templates_path": ["templates"],
    "html_css_files": ["site.css"],
    "html_copy_source": False,
    "html_show_sphinx": False,
    "html_show_copyright": False,
    "myst_heading_anchors": 4,
    "copybutton_prompt_text": "$ ",
    "copybutton_only_copy_prompt_lines": True,
    "copybutton_exclude": ".linenos, .gp, .go",
    "pygments_style": "a11y-high-contrast-light",
    "highlight_language": "text",
    # An error message is found only in its own spelling.
    "smartquotes": False,
    "suppress_warnings": ["misc.highlighting_failure"],
    "nitpicky": True,
}


def _section(title: str, entries: list[Any]) -> Section:
    """Return a section of the navigation, from its entries in the navigation file."""
    pairs = [pair for entry in entries for pair in entry.items()]
    return Section(
        title,
        tuple(
            SitePage(name, value) if isinstance(value, str) else _section(name, value)
            for name, value in pairs
        ),
    )


def _with_contents(text: str, whole: Section) -> str:
    """Return the first page with a list of all other pages, in order."""
    rows = [page.path.removesuffix(".md") for page in whole.pages()][1:]
    return "\n".join([text, "```{toctree}", ":hidden:", "", *rows, "```", ""])


def _with_side_bar(whole: Section, _: Any, page: str, __: str, context: Any, ___: Any) -> None:
    """Give each page a short side bar; the theme's would list all pages on every page."""
    bar = side_bar(whole, 1, f"{page}.md", context["pathto"])
    context["toctree"] = lambda **_: bar


def _with_search(app: Any, page: str, *_: Any) -> None:
    """Make the search page find error messages, with scripts that run after Sphinx's own."""
    for script in _SEARCH_SCRIPTS if page == "search" else ():
        app.add_js_file(script, loading_method="defer")


def side_bar(section: Section, level: int, path: str, link: Callable[[str], str]) -> str:
    """Return a page's side bar: all sections of the site, and the pages of its own section.

    Args:
        section: the section to draw.
        level: the number of sections around it, and one more.
        path: the path of the page.
        link: returns the URL of a page from this one, without the suffix of its path.
    """
    rows: list[str] = []
    for entry in section.entries:
        if isinstance(entry, SitePage):
            rows.append(_entry(*entry, level, link, is_current=entry.path == path))
            continue
        pages = [*entry.pages()]
        is_open = path in {page.path for page in pages}
        inner_list = side_bar(entry, level + 1, path, link) if is_open else ""
        rows.append(_entry(entry.title, pages[0].path, level, link, inner_list, is_current=is_open))
    return f"<ul>{''.join(rows)}</ul>"


def _entry(
    title: str,
    path: str,
    level: int,
    link: Callable[[str], str],
    inner_list: str = "",
    *,
    is_current: bool,
) -> str:
    url = escape(link(path.removesuffix(".md")))
    current = " current" if is_current else ""
    return (
        f'<li class="toctree-l{level}{current}">'
        f'<a class="reference internal{current}" href="{url}">{escape(title)}</a>{inner_list}</li>'
    )


def _for_sphinx(text: str) -> str:
    """Return a page with its notes in Sphinx's syntax."""

    def note(match: re.Match[str]) -> str:
        body = re.sub(r"^    ", "", match[2], flags=re.MULTILINE)
        return f"```{{{match[1]}}}\n{body}```\n"

    return _ADMONITION.sub(note, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the site in the folder that the command line names."""
    parser = ArgumentParser(prog="python -m tools.site", description="Builds the documentation.")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("build/docs"), help="build/docs by default"
    )
    build(parser.parse_args(arguments).folder, sources(), navigation())


if __name__ == "__main__":
    main()
