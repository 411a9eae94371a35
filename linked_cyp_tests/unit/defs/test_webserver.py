"""The UI's webserver obeys its own pages, and nothing that another page makes a browser send."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from linked_cyp.core.settings import PROJECT_ROOT

WORKSPACE = "load_from:\n  - python_file: {}\n"
DEFINITIONS = "import dagster as dg\n@dg.asset\ndef a(): ...\ndefs = dg.Definitions([a])\n"
WIPE = 'mutation{wipeAssets(assetPartitionRanges:[{assetKey:{path:["a"]}}]){__typename}}'
ASK = json.dumps({"query": "{version}"}).encode()
CHANGE = json.dumps({"query": WIPE}).encode()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The real server, on a workspace of one asset."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (home / "assets.py").write_text(DEFINITIONS)
    (home / "workspace.yaml").write_text(WORKSPACE.format(home / "assets.py"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "linked_cyp.defs.webserver", str(number), home / "workspace.yaml"],
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(PROJECT_ROOT)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=(home / "server.log").open("w"),
    )
    try:
        wait_for(number, server, home / "server.log")
        yield number
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            if status(port, "/server_info") == 200:
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


def status(port: int, path: str, body: bytes | None = None, **headers: str) -> int:
    return answer(port, path, body, **headers)[0]


def answer(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    given |= {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, given)
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_its_own_pages_are_answered_and_may_change(port: int) -> None:
    own = f"http://127.0.0.1:{port}"
    assert status(port, "/graphql", ASK, Origin=own) == 200
    assert status(port, "/graphql", ASK) == 200
    code, text = answer(port, "/graphql", CHANGE, Origin=own, Sec_Fetch_Site="same-origin")
    assert (code, "AssetWipeSuccess" in text) == (200, True)


@pytest.mark.parametrize("method", [None, b"{}"])
def test_a_query_in_an_address_changes_nothing(port: int, method: bytes | None) -> None:
    address = f"/graphql?query={urllib.parse.quote(WIPE)}"
    code, text = answer(port, address, method)
    assert code == 403
    assert "Wipe" not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:3000"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_foreign_host_or_origin_is_refused(port: int, headers: dict[str, str]) -> None:
    assert status(port, "/graphql", CHANGE, **headers) == 403
    assert status(port, "/server_info", **headers) == 403


@pytest.mark.parametrize(
    ("origin", "opens"), [("http://127.0.0.1:{port}", True), ("https://evil.example", False)]
)
def test_a_foreign_page_opens_no_socket(port: int, origin: str, opens: bool) -> None:
    lines = [
        "GET /graphql HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: graphql-ws",
        f"Origin: {origin.format(port=port)}",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        line.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert (b" 101 " in line.recv(100)) == opens
