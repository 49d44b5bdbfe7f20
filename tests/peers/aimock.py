"""aimock, a server of model wires that others wrote: what it says is not what we read into a page.

Its fixtures, faults and journal are set and asked over HTTP; see its README in `node_modules`.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.server_processes import Server, ServerMissing

PROGRAM = Path(__file__).parent / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"


class Aimock(Server):
    """The process; it speaks all wires on one port."""

    ready = "listening on"

    def __init__(self) -> None:
        super().__init__()
        node = shutil.which("node")
        if node is None or not PROGRAM.is_file():
            raise ServerMissing("aimock is not installed; `make peers` does it and runs the tests.")
        self._node = node
        self._http = httpx.Client(base_url=self.url, timeout=10.0, trust_env=False)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Loopback only; it begins with nothing to say."""
        nothing = self.folder / "fixtures.json"
        nothing.write_text('{"fixtures": []}')
        return [self._node, str(PROGRAM), "--port", str(self.port), "--fixtures", str(nothing)]

    def close(self) -> None:
        """End it, and the connection that steers it."""
        self._http.close()
        super().close()

    def answer(self, to: str, response: Mapping[str, Any], **more: Any) -> None:
        """Answer a message that holds `to`; `more` are conditions and faults of the fixture."""
        conditions = {"userMessage": to, **more.pop("match", {})}
        self._post("fixtures", {"fixtures": [{"match": conditions, "response": response, **more}]})

    def forget(self) -> None:
        """Drop fixtures, faults and the journal."""
        self._post("reset", {})

    def requests(self) -> list[Mapping[str, Any]]:
        """Requests for answers so far, as it read them."""
        asked = self._http.get("/__aimock/journal").raise_for_status().json()
        return [entry for entry in asked if not entry["path"].startswith("/__aimock")]

    def _post(self, what: str, body: Mapping[str, Any]) -> None:
        self._http.post(f"/__aimock/{what}", json=body).raise_for_status()
