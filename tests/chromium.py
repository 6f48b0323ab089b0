"""Headless Chromium, driven through Debian's chromedriver (W3C WebDriver), and a static server for its pages."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

SECONDS = 120  # for the driver to come up, or a script to end
ISOLATED = {  # headers of a page that may use threads
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


class Chromium:
    """A browser with one page; methods raise AssertionError with the driver's words.

    Whatever is not on this machine is asked of a proxy, which refuses it: `elsewhere` has its addresses.
    """

    def __init__(self, port: int, proxy: str, elsewhere: list[str]) -> None:
        self.elsewhere = elsewhere
        self._root = f"http://127.0.0.1:{port}/session"
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": [*FLAGS, f"--proxy-server={proxy}"]},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "timeouts": {"script": 1000 * SECONDS},
        }
        answer = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/{answer['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        kind = {"content-type": "application/json"}
        asked = urllib.request.Request(self._root + path, data, kind, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *given: Any) -> Any:
        """The result of the body of an asynchronous JavaScript function of `args`, what is given as an array."""
        body = (
            "const [args, done] = arguments;"
            f"const found = (async () => {{ {script} }})();"
            "found.then((value) => done({ value }), (error) => done({ error: `${error}` }));"
        )
        found = self._ask("POST", "/execute/async", {"script": body, "args": [list(given)]})
        assert "error" not in found, found["error"]
        return found.get("value")

    def type(self, selector: str, text: str) -> None:
        """Press the keys of a text, in a field that is emptied first."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        element = f"/element/{next(iter(found.values()))}"
        self._ask("POST", f"{element}/clear", {})
        self._ask("POST", f"{element}/value", {"text": text})

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)

    def look(self, width: int, height: int, scheme: str) -> bytes:
        """A PNG of the page, at a size and in a colour scheme, light or dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.command("Emulation.setEmulatedMedia", {"features": [feature]})
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """A command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def said(self) -> list[str]:
        """What was written to the console since the last call."""
        return [f"{one['level']}: {one['message']}" for one in self._log("browser")]

    def requested(self) -> list[str]:
        """The URLs that the page and its workers asked for since the last call."""
        events = [json.loads(one["message"])["message"] for one in self._log("performance")]
        sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def _log(self, kind: str) -> Any:
        return self._ask("POST", "/se/log", {"type": kind})

    def close(self) -> None:
        self._ask("DELETE", "")


@contextlib.contextmanager
def chromium() -> Iterator[Chromium]:
    """A browser of its own profile; the test is skipped where Chromium or its driver is not installed."""
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed; make system-deps")
    elsewhere: list[str] = []
    with _serving(_proxy(elsewhere)) as proxy, tempfile.TemporaryFile("w+") as log:
        command = ["chromedriver", "--port=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as driver:
            try:
                browser = Chromium(_port(driver), proxy, elsewhere)
                yield browser
                browser.close()
            finally:
                driver.terminate()


def _port(driver: subprocess.Popen[str]) -> int:
    """The port that the driver chose, from what it prints."""
    assert driver.stdout is not None
    for line in driver.stdout:
        if "started successfully on port" in line:
            return int(line.rstrip().rstrip(".").rpartition(" ")[2])
    raise AssertionError("chromedriver did not start")


class _Recorder(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: what is asked for is noted."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, headers: Mapping[str, str], **named: Any) -> None:
        self._more = headers
        super().__init__(*arguments, **named)

    def end_headers(self) -> None:
        for name, value in self._more.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: tests print what went wrong."""


def _proxy(elsewhere: list[str]) -> type[_Recorder]:
    """A proxy that notes what it is asked for, and refuses."""

    class Proxy(_Recorder):
        def refuse(self) -> None:
            elsewhere.append(self.path)
            self.send_error(502)

        do_GET = do_POST = do_CONNECT = do_HEAD = do_OPTIONS = refuse

    return Proxy


@contextlib.contextmanager
def served(folder: Path, headers: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """A static server for a folder, on a free port of 127.0.0.1; its URL. `headers` go with every answer."""
    with _serving(functools.partial(_Quiet, directory=str(folder), headers=headers)) as url:
        yield url


@contextlib.contextmanager
def _serving(handler: Any) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
