"""A real HTTP server on loopback that keeps what is posted, and answers as it is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple


class Post(NamedTuple):
    """One request: its headers in small letters, and its body."""

    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class Answer(NamedTuple):
    """What the server says."""

    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012  (never changed)
    body: bytes = b"ok"


class PostServer:
    """Takes posts; use it as a context manager. `answers` are used up one by one, then all is well."""

    def __init__(self, *answers: Answer) -> None:
        """Not started yet."""
        self.posts: list[Post] = []
        self._answers = list(answers)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.posts.append(Post({name.lower(): value for name, value in self.headers.items()}, body))
                answer = owner._answers.pop(0) if owner._answers else Answer()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def __enter__(self) -> "PostServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
