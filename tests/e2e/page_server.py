"""A web server for pages, as a frontend has one of its own: another origin than the API."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the name it overrides
        """Say nothing."""


class PageServer:
    """Serves a folder on a free port of loopback; a context manager."""

    def __init__(self, folder: Path) -> None:
        answer = functools.partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.origin = f"http://localhost:{self._server.server_port}"
        self.other_origin = f"http://127.0.0.1:{self._server.server_port}"
        """The same files; to a browser another site."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
