"""The validator page, built and served as an authority would, in a real browser."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from linked_cyp.core.settings import PROJECT_ROOT
from linked_cyp_tests.browser_support import DESKTOP

PACKAGES = PROJECT_ROOT / ".npm" / "node_modules"


def packages() -> Path:
    """npm's packages, as ``make validator-page`` fetches them; skips the test without them."""
    if not (PACKAGES / "pyodide").is_dir() or not [*PACKAGES.parent.glob("*wasm32.whl")]:
        pytest.skip("the packages of the validator page are not here: make validator-page")
    return PACKAGES


class _Quiet(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder on a web server of this machine; its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def opened_page(
    started: Any, address: str, width: int = DESKTOP, **context: Any
) -> Iterator[tuple[Any, list[str]]]:
    """The page, ready, and every address that anything in its browser asked for."""
    asked: list[str] = []
    with started.new_context(viewport={"width": width, "height": 800}, **context) as tab:
        tab.on("request", lambda request: asked.append(request.url))
        page = tab.new_page()
        page.goto(address)
        wait(page, "ready")
        yield page, asked


def wait(page: Any, state: str, seconds: int = 120) -> None:
    # by selector: a function would have to be evaluated, which the page's policy forbids
    # a page that could not start says so in its own words
    states = ", ".join(f'body[data-state="{name}"]' for name in ("failed", state))
    page.wait_for_selector(states, timeout=seconds * 1000)


def checked(
    page: Any, files: Sequence[Path], last: Sequence[Path] = (), values: bool = False
) -> dict[str, Any]:
    """What the page finds in files; a sentence under ``error`` when it refuses them."""
    page.locator("#now").set_input_files([str(path) for path in files])
    page.locator("#before").set_input_files([str(path) for path in last])
    page.locator("#values").set_checked(values)
    page.evaluate("delete window.answer")
    page.locator("#check").click()
    wait(page, "done")
    if page.evaluate("document.body.dataset.state") == "failed":
        return {"error": page.locator("#status").inner_text()}
    found: dict[str, Any] = page.evaluate("window.answer")
    return found
