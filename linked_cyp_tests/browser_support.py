"""Pages as people meet them: a real browser, and axe-core asked what is in their way.

Chromium comes with the operating system (Debian: ``apt-get install chromium``); without one the
tests that need it skip and say so. axe-core is bundled with ``axe-playwright-python``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE = 360
DESKTOP = 1280
# Quiet and offline: no start-up look-ups; the sandbox needs rights that containers lack.
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
# axe leaves the rule that came with WCAG 2.2 (2.5.8 Target Size) out unless asked.
_RULES = {"rules": {"target-size": {"enabled": True}}}


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium driven by Playwright; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: pages cannot be looked at")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(started: Any, path: Path, width: int = DESKTOP, **context: Any) -> Iterator[Any]:
    """A file open in a browser, ``width`` CSS pixels wide."""
    # axe is put into the page by script, which a page's own policy forbids
    with started.new_context(
        viewport={"width": width, "height": 800}, bypass_csp=True, **context
    ) as tab:
        page = tab.new_page()
        page.goto(path.absolute().as_uri())
        yield page


def violations(page: Any) -> list[str]:
    """What axe-core finds on an open page: every rule it has, one line per rule and place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=_RULES).response["violations"]
    return [f"{rule['id']}: {node['target']}" for rule in found for node in rule["nodes"]]


def overflows(page: Any) -> bool:
    """Whether the page must be scrolled sideways (WCAG 2.2, 1.4.10 Reflow)."""
    return bool(
        page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    )
