"""The documentation: every page has its place, every public name is in the reference, and links lead somewhere."""

import html.parser
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import urllib.parse

import pytest
from helpers.settings import ROOT

import jaxaug as ja

DOCS = ROOT / "docs"
PUBLIC = [name for name in ja.__all__ if importlib.util.find_spec(f"jaxaug.{name}")]


def places_of(package, name):
    """The anchors that a name may have: where it is public, or where it is defined if a module has the same name."""
    found = getattr(importlib.import_module(package), name)
    home, own = getattr(found, "__module__", ""), getattr(found, "__qualname__", name)
    return {f"{package}.{name}"} | ({f"{home}.{own}"} if home.endswith(f".{own}") else set())


def test_every_page_is_in_the_navigation():
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages == set(re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))


@pytest.mark.parametrize("package", PUBLIC)
def test_the_reference_has_every_package(package):
    """And, in words of its own, each function that hides behind a module of its name."""
    text = (DOCS / "api" / f"{package}.md").read_text()
    told = set(re.findall(r"^::: (\S+)$", text, re.M))
    assert f"jaxaug.{package}" in told
    for name in importlib.import_module(f"jaxaug.{package}").__all__:
        if importlib.util.find_spec(f"jaxaug.{package}.{name}"):
            assert f"jaxaug.{package}.{name}.{name}" in told, name


@pytest.mark.parametrize("page", [*DOCS.rglob("*.md"), ROOT / "README.md"], ids=lambda page: page.name)
def test_relative_links_lead_to_a_file(page):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"`[^`]*`", "", page.read_text())):
        if not urllib.parse.urlsplit(link).scheme:
            assert (page.parent / link).exists(), link
            assert DOCS not in page.parents or DOCS in (page.parent / link).resolve().parents, f"{link} is not in docs"


class Page(html.parser.HTMLParser):
    """What a built page can be linked to by, and what it links to."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = set(), []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.add(attributes.get("id"))
        self.links += filter(None, (attributes.get("href"), attributes.get("src")))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """file -> Page of the site, built in strict mode without a warning."""
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("needs the extra docs")
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    (folder / "jaxaug").symlink_to(ROOT / "jaxaug")
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(DOCS), os.environ.get("PYTHONPATH", "")])},
    )
    said = built.stdout + built.stderr
    assert built.returncode == 0, said
    assert not re.search(r"warning|griffe", said, re.I), said
    return {path: Page(path) for path in (folder / "site").rglob("*.html") if path.name != "404.html"}


@pytest.mark.slow
def test_every_public_name_is_on_its_page(site):
    for package, name in [("jaxaug", "jaxaug"), *((f"jaxaug.{name}", name) for name in PUBLIC)]:
        (page,) = [page for path, page in site.items() if path.parts[-2:] == ("api", f"{name}.html")]
        for public in importlib.import_module(package).__all__:
            if public not in PUBLIC and public != "__version__":
                assert places_of(package, public) & page.anchors, f"{package}.{public}"


@pytest.mark.slow
def test_links_and_anchors_of_the_site(site):
    for path, page in site.items():
        for link in map(urllib.parse.urlsplit, page.links):
            if link.scheme:
                continue
            target = (path.parent / urllib.parse.unquote(link.path)).resolve() if link.path else path
            assert target.is_file(), (path.name, link.geturl())
            if link.fragment and target in site:
                assert urllib.parse.unquote(link.fragment) in site[target].anchors, (path.name, link.geturl())


@pytest.mark.slow
def test_formulas_are_drawn(site):
    (text,) = [path.read_text() for path in site if path.name == "equations.html"]
    assert text.count("<math ") > 30
    assert not re.search(r"\$[^<$\n]+\$|\\frac", text)
