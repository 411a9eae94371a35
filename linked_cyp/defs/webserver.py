"""Dagster's webserver for one machine: it answers its own pages only, and reading changes nothing.

The webserver asks nobody for a password, so whatever a browser on this machine sends to it is
obeyed, also what a page from elsewhere makes the browser send: a picture whose address is
``/graphql?query=mutation…`` was enough to wipe assets or start runs. Requests that name another
host, or come from another origin, are refused, and so is any query in an address.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import dagster_webserver.app
from dagster_webserver.cli import dagster_webserver as serve
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HOST = "127.0.0.1"
NAMES = (HOST, "localhost", "[::1]")
DAEMON = (
    "from importlib.metadata import entry_points as found;"
    "from linked_cyp.core.processes import end_with_parent; end_with_parent();"
    "[program] = found(group='console_scripts', name='dagster-daemon'); program.load()()"
)


class OwnPagesOnly:
    """Middleware that lets through only what this server's own pages ask, on one port."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in NAMES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope) if scope["type"] in ("http", "websocket") else None
        if problem is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse(f"refused: {problem}\n", 403)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": problem})

    def _problem(self, scope: Scope) -> str | None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        if headers.get(b"host", b"").decode("latin-1").lower() not in self.hosts:
            return "it names another host"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() not in {
            f"http://{host}" for host in self.hosts
        }:
            return "it comes from another origin"
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return "it comes from another site"
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["path"].rstrip("/").endswith("/graphql") and "query" in asked:
            return "a query is sent, not written into an address"
        return None


def guard(port: int) -> None:
    """Put the guard before everything that the webserver serves from here on."""

    class Guarded(DagsterWebserver):
        def build_middleware(self) -> list[Middleware]:
            return [Middleware(OwnPagesOnly, port=port), *super().build_middleware()]

    dagster_webserver.app.DagsterWebserver = Guarded  # type: ignore[misc]


def main(arguments: Sequence[str]) -> None:
    """Serve one workspace, with the daemon unless it is only to be looked at.

    Args:
        arguments: the port, the workspace file, and perhaps ``--read-only``.
    """
    port, workspace, *options = arguments
    guard(int(port))
    daemon = None
    if "--read-only" not in options:
        command = [sys.executable, "-c", DAEMON, "run", "--workspace", workspace]
        daemon = subprocess.Popen(command)
    try:
        serve(["--host", HOST, "--port", port, "--workspace", workspace, *options])
    finally:
        if daemon is not None:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
