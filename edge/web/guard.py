"""What every request passes before anything else, and the headers that every answer gets."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.config import WebSettings
from edge.web.said import JSONResponse

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
LARGEST_BODY_BYTES: Final = 1 << 20
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Guard:
    """An ASGI layer: refuses hosts that are not ours (DNS rebinding), changes from elsewhere (CSRF), and long bodies."""

    def __init__(self, app: ASGIApp, web: WebSettings) -> None:
        self._app = app
        self._proxied = web.behind_proxy
        self._secure = bool(web.cert_file) or web.behind_proxy
        host, port = web.address
        self._hosts = {name.casefold() for name in web.hosts} | LOOPBACK
        if host not in ("0.0.0.0", "::", ""):
            self._hosts.add(host.casefold() if ":" not in host else f"[{host}]")
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                return
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                if self._secure:
                    headers.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        problem = self._problem(scope["method"], Headers(scope=scope))
        if problem is not None:
            status, text = problem
            await JSONResponse({"error": text}, status)(scope, receive, with_headers)
            return
        await self._app(scope, _limited(receive), with_headers)

    def _problem(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, f"this page is not served as {host[:100]!r}: name the host in hosts of [web], or with --host"
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return 405, "only GET, HEAD and POST are understood"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None:
            if origin.casefold() not in (f"http://{host}".casefold(), f"https://{host}".casefold()):
                text = f"the request comes from another page: from {origin[:100]} to {host[:100]}"
                return 403, f"{text}; a proxy must pass the Host header on as it is" if self._proxied else text
        elif site not in (None, "same-origin"):
            return 403, "the request comes from another page"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return 415, "a change is asked for in JSON"
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > LARGEST_BODY_BYTES:
            return 413, f"more than {LARGEST_BODY_BYTES} bytes"
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return name.casefold() in self._hosts


def _limited(receive: Receive) -> Receive:
    """A body without a length is cut off, too."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > LARGEST_BODY_BYTES else message

    return limited
