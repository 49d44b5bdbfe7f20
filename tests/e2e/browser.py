"""A real Chromium without a window, driven over its own pipe: no library, no port.

with Browser(find_chromium()) as browser:
    page = browser.open("http://localhost:5173")
    page.evaluate("document.title")
"""

import base64
import fcntl
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.server_processes import ServerMissing, _die_with_parent

DEADLINE_S = 60
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-pipe",
    "--window-size=1280,900",
)
_LOWEST_FD = 10
_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
    " os.execv(sys.argv[3], sys.argv[3:])"
)


class PageFailed(Exception):
    """A page threw, or did not get there in time; carries what it said."""


def find_chromium() -> Path:
    """The browser's program. Raises ServerMissing."""
    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    raise ServerMissing(
        "No Chromium found; install one (on Debian and Ubuntu: apt install chromium)."
    )


class Browser:
    """One browser with a profile of its own; a context manager that leaves nothing behind."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._profile = tempfile.mkdtemp(prefix="gob-chromium-")
        self._count = 0
        self._rest = b""
        self.complaints: list[str] = []
        self._loads: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._process, self._to, self._from = _start(self._program, self._profile)
        self._readable = selectors.DefaultSelector()
        self._readable.register(self._from, selectors.EVENT_READ)
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(DEADLINE_S)
        self._readable.close()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, address: str) -> "Page":
        """Open an address in a tab of its own, with storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget", {"url": "about:blank", "browserContextId": context}
        )["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(self, session["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.go(address)
        return page

    def call(
        self, method: str, parameters: Mapping[str, Any] | None = None, session: str | None = None
    ) -> Any:
        """Have the browser do something and return what it answers."""
        self._count += 1
        number = self._count
        order = {"id": number, "method": method, "params": parameters or {}}
        if session is not None:
            order["sessionId"] = session
        os.write(self._to, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + DEADLINE_S
        while True:
            said = self._next(deadline, method)
            if said.get("id") == number:
                if "error" in said:
                    raise PageFailed(f"{method}: {said['error']['message']}")
                return said["result"]
            self._note(said)

    def reload(self, session: str) -> None:
        """Load a tab again and come back when it is there."""
        before = self._loads[session]
        self.call("Page.reload", session=session)
        deadline = time.monotonic() + DEADLINE_S
        while self._loads[session] == before:
            self._note(self._next(deadline, "Page.reload"))

    def _next(self, deadline: float, what: str) -> Any:
        """The next message on the pipe."""
        while b"\0" not in self._rest:
            rest_s = deadline - time.monotonic()
            if rest_s <= 0 or not self._readable.select(rest_s):
                raise PageFailed(f"{what} took longer than {DEADLINE_S} s. {self.complaints}")
            part = os.read(self._from, 1 << 16)
            if not part:
                raise PageFailed(f"The browser ended during {what}.")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, said: Mapping[str, Any]) -> None:
        """Keep what pages complain about, and how often they were loaded."""
        told = said.get("params", {})
        if said.get("method") == "Page.loadEventFired":
            self._loads[said["sessionId"]] += 1
        elif said.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif said.get("method") == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")


class Page:
    """A tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser = browser
        self._session = session

    def call(self, method: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Have the browser do something with this tab."""
        return self.browser.call(method, parameters, self._session)

    def go(self, address: str) -> None:
        """Load an address and come back when it is there."""
        told = self.call("Page.navigate", {"url": address})
        if "errorText" in told:
            raise PageFailed(f"{address}: {told['errorText']}")
        self.wait_for("document.readyState === 'complete'")

    def reload(self) -> None:
        """Load the same address again, with the same storage."""
        self.browser.reload(self._session)

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript, wait for its promise, and return the value. Raises PageFailed."""
        answer = self.call(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True},
        )
        if "exceptionDetails" in answer:
            raise PageFailed(str(answer["result"].get("description", answer["exceptionDetails"])))
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> Any:
        """Come back with the condition's value once it holds in the page."""
        return self.evaluate(
            "new Promise((found) => { const look = () => {"
            f" const value = ({condition}); value ? found(value) : setTimeout(look, 20);"
            " }; look(); })"
        )

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def fill(self, selector: str, value: str) -> None:
        """Write into a field."""
        self.evaluate(
            f"document.querySelector({json.dumps(selector)}).value = {json.dumps(value)}; null"
        )

    def click(self, selector: str) -> None:
        """Press a button, once it can be pressed."""
        button = f"document.querySelector({json.dumps(selector)})"
        self.wait_for(f"{button}?.checkVisibility() && !{button}.disabled")
        self.evaluate(f"{button}.click()")

    def picture(self) -> bytes:
        """A PNG of what is seen."""
        return base64.b64decode(self.call("Page.captureScreenshot", {"format": "png"})["data"])


def _start(program: Path, profile: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start the browser; it reads orders from its descriptor 3 and answers on 4."""
    own = f"--user-data-dir={profile}"
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # Out of the way of 3 and 4, which the launcher is about to set.
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_FD) for fd in (theirs_in, theirs_out)]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCH, *map(str, high), program, *FLAGS, own],
        pass_fds=high,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent(signal.SIGKILL),  # noqa: PLW1509 it only asks the kernel
    )
    for fd in (theirs_in, theirs_out, *high):
        os.close(fd)
    return process, ours_out, ours_in
