"""Plain HTTP with any header and any body."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """status, headers in lower case, body: of JSON where it is any, else bytes."""

    status: int
    headers: dict[str, str]
    body: Any


class Plain:
    """One that keeps its cookie and its token."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = self.csrf = ""

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str | None) -> Answer:
        """headers: with `_` for `-`; None leaves one out that would be sent."""
        sent: dict[str, str | None] = {
            "host": f"127.0.0.1:{self.port}",
            "cookie": self.cookie or None,
            "content-length": str(len(body)) if method == "POST" else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        if told.get("content-type", "").startswith("application/json"):
            return Answer(answer.status, told, json.loads(data))
        return Answer(answer.status, told, data)

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask("GET", path, b"", **headers)

    def post(self, path: str, body: Any = None, **headers: str | None) -> Answer:
        """As the page itself does, with its token; `body` as JSON, or as these bytes."""
        usual: dict[str, str | None] = {"content_type": "application/json", "x_csrf_token": self.csrf or None}
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        usual.update(headers)
        return self.ask("POST", path, data, **usual)

    def log_in(self, name: str, password: str) -> Answer:
        answer = self.post("/api/login", {"name": name, "password": password})
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.csrf = answer.body["csrf"]
        return answer

    def answers(self) -> bool:
        """Whether anybody listens."""
        try:
            return self.get("/api/session").status == 200
        except (OSError, http.client.HTTPException):
            return False
