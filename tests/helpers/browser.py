"""Headless Chromium for pages in files: `apt-get install chromium`, or `playwright install chromium`."""

import contextlib
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def chromium():
    """A browser of playwright's; the test is skipped, with the reason, where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[test]'")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"needs Chromium, apt-get install chromium: {str(error).splitlines()[0]}")
        with contextlib.closing(browser):
            yield browser


@contextlib.contextmanager
def opened(browser, path, width=1200):
    """A page of a file; when it is left, nothing may have gone wrong in it and nothing been fetched."""
    with contextlib.closing(browser.new_context(viewport={"width": width, "height": 800})) as context:
        page = context.new_page()
        wrong, fetched = [], []
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto(path.resolve().as_uri())
        yield page
        assert not wrong
        assert {url for url in fetched if not url.startswith(("data:", "blob:"))} == {path.resolve().as_uri()}


def layout_of(page):
    """What a look at a page would find wrong: pictures that do not show, by how much it is wider than the window."""
    return page.evaluate(
        """() => ({
          lost: [...document.images].filter((one) => !one.complete || !one.naturalWidth).map((one) => one.alt),
          wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        })"""
    )
