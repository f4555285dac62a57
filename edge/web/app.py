"""Requests in, pages and JSON out: the routes of the live page."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from edge.config import WebSettings
from edge.errors import EdgeError
from edge.web import files
from edge.web.actions import COMMANDS, Actions
from edge.web.guard import Guard
from edge.web.said import JSONResponse
from edge.web.sessions import LONGEST_S, Session, Sessions, TooOftenError
from edge.web.source import Facts, Source
from edge.web.stream import Stream
from edge.web.users import ROLES, Role, User
from edge.wire.command import checked_fields

log = logging.getLogger(__name__)

COOKIE: Final = "edge_session"
BROWSER: Final = "edge_browser"
"""A cookie that lets nobody in: by it a browser is known that somebody logged in with."""
BROWSER_S: Final = 180 * 86400
MOST_ROWS: Final = 200
Handler = Callable[[Request], Awaitable[Response]]


class RefusedError(Exception):
    """An answer that is none: its status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Page:
    """The handlers, and what they share.

    actions: None where the page only reads.
    """

    def __init__(self, source: Source, sessions: Sessions, actions: Actions | None, web: WebSettings, version: str) -> None:
        self.source, self.sessions, self.actions = source, sessions, actions
        self.secure = bool(web.cert_file) or web.behind_proxy
        self.version = version
        self.files = files.load()
        self.languages = files.languages(self.files)
        self.digest = files.digest(self.files)
        self.stream = Stream(source, self.digest)

    # Files

    async def index(self, request: Request) -> Response:
        """The one page; it asks for everything else."""
        return self._file(request, "index.html")

    async def static(self, request: Request) -> Response:
        """Scripts, styles, words."""
        return self._file(request, request.path_params["path"])

    def _file(self, request: Request, path: str) -> Response:
        file = self.files.get(path)
        if file is None:
            raise RefusedError(404, "there is no such file")
        headers = {"etag": file.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.data, media_type=file.media_type, headers=headers)

    # Who

    async def session(self, request: Request) -> Response:
        """Who is logged in, and what that allows."""
        known = self._known(request)
        user, session = known or (None, None)
        role: Role | None = user.role if user else (None if self.sessions.needed else "read")
        may = list(ROLES[: ROLES.index(role) + 1]) if role else []
        facts = {
            "user": user.name if user else None,
            "role": role,
            "may": may if self.actions else [name for name in may if name == "read"],
            "login": self.sessions.needed,
            "csrf": session.csrf if session else None,
            "mode": self.source.mode,
            "version": self.version,
            "page": self.digest,
            "languages": self.languages,
        }
        return JSONResponse(facts)

    async def login(self, request: Request) -> Response:
        """Name and password for a session."""
        body = await _body(request)
        name, password = body.get("name"), body.get("password")
        if not isinstance(name, str) or not isinstance(password, str) or len(password) > 1000:
            raise RefusedError(400, "a login needs a name and a password")
        if not self.sessions.needed:
            raise RefusedError(400, "nobody logs in here: web.users_file names no users")
        address = request.client.host if request.client else "?"
        try:
            found = await run_in_threadpool(self.sessions.log_in, name, password, address, request.cookies.get(BROWSER))
        except TooOftenError as error:
            return JSONResponse({"error": str(error)}, 429, {"retry-after": str(int(error.wait_s) + 1)})
        if found is None:
            log.warning("a login as %.64r from %s was refused", name, address)
            raise RefusedError(401, "name or password is wrong")
        answer = JSONResponse({"user": found.session.user, "csrf": found.session.csrf})
        self._set_cookie(answer, BROWSER, found.browser, BROWSER_S, "/api/login")
        self._set_cookie(answer, COOKIE, found.token, round(LONGEST_S), "/")
        return answer

    def _set_cookie(self, answer: Response, name: str, value: str, longest_s: int, path: str) -> None:
        """No script reads it, and no other page sends it."""
        answer.set_cookie(name, value, max_age=longest_s, httponly=True, samesite="strict", secure=self.secure, path=path)

    async def logout(self, request: Request) -> Response:
        """Forget the session."""
        self._allowed(request, "read", changes=True)
        self.sessions.log_out(request.cookies.get(COOKIE, ""))
        answer = JSONResponse({})
        answer.delete_cookie(COOKIE, path="/")
        return answer

    def _known(self, request: Request) -> tuple[User, Session] | None:
        return self.sessions.who(request.cookies.get(COOKIE))

    def _allowed(self, request: Request, role: Role, *, changes: bool = False) -> str:
        """The name of who asks. Raises RefusedError."""
        known = self._known(request)
        if known is None:
            if self.sessions.needed:
                raise RefusedError(401, "log in first")
            if role != "read" or changes:
                raise RefusedError(403, "without web.users_file this page only reads: name users there to review and command")
            return ""
        user, session = known
        if not user.may(role):
            raise RefusedError(403, f"{user.name} may {user.role}, and this needs the role {role}")
        if changes and request.headers.get("x-csrf-token") != session.csrf:
            raise RefusedError(403, "the page is out of date: load it again")
        return user.name

    # Reading

    async def fleet(self, request: Request) -> Response:
        """Every microscope."""
        self._allowed(request, "read")
        return JSONResponse(await run_in_threadpool(self.source.fleet))

    async def now(self, request: Request) -> Response:
        """The newest verdict and how the service does."""
        self._allowed(request, "read")
        return JSONResponse(await run_in_threadpool(self.source.now, _device(request)))

    async def rows(self, request: Request) -> Response:
        """Verdicts, the newest first."""
        self._allowed(request, "read")
        asked = request.query_params
        limit = asked.get("limit", "50")
        count = min(MOST_ROWS, max(1, int(limit))) if limit.isdecimal() and len(limit) < 6 else 50
        found = await run_in_threadpool(
            lambda: self.source.rows(
                _device(request),
                before=asked.get("before", ""),
                limit=count,
                doubtful=asked.get("doubtful") == "1",
                search=asked.get("search", "")[:200],
            )
        )
        return JSONResponse(found)

    async def inspection(self, request: Request) -> Response:
        """One verdict whole."""
        self._allowed(request, "read")
        found = await run_in_threadpool(self.source.inspection, _device(request), request.path_params["id"])
        if found is None:
            raise RefusedError(404, "no verdict with this id is known here")
        return JSONResponse(found)

    async def message(self, request: Request) -> Response:
        """The message of a verdict, as a file."""
        self._allowed(request, "read")
        found = await run_in_threadpool(self.source.message, _device(request), request.path_params["id"])
        if found is None:
            raise RefusedError(404, "no verdict with this id is known here")
        headers = {"content-disposition": 'attachment; filename="message.json"', "cache-control": "private, no-store"}
        return Response(found, media_type="application/json", headers=headers)

    async def overlay(self, request: Request) -> Response:
        """The picture that was drawn."""
        self._allowed(request, "read")
        found = await run_in_threadpool(self.source.overlay, _device(request), request.path_params["id"])
        if found is None:
            raise RefusedError(404, "no picture of it is kept")
        return Response(found[0], media_type=found[1], headers={"cache-control": "private, max-age=86400, immutable"})

    async def image(self, request: Request) -> Response:
        """The image itself."""
        self._allowed(request, "read")
        found = await run_in_threadpool(self.source.image, _device(request), request.path_params["id"])
        if found is None:
            raise RefusedError(404, "the image is no longer there as it was inspected")
        return Response(found, media_type="image/png", headers={"cache-control": "private, max-age=86400, immutable"})

    async def timeline(self, request: Request) -> Response:
        """Columns over all verdicts."""
        self._allowed(request, "read")
        return JSONResponse(await run_in_threadpool(self.source.timeline, _device(request)))

    async def problems(self, request: Request) -> Response:
        """What is wrong, and what could not be inspected or sent."""
        self._allowed(request, "read")
        return JSONResponse(await run_in_threadpool(self.source.problems, _device(request)))

    async def events(self, request: Request) -> Response:
        """News as they come."""
        self._allowed(request, "read")
        if self.stream.full:
            raise RefusedError(503, "too many pages are open at once: close some")
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isdecimal() and len(last) < 20 else None
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self.stream.events(after, lambda: self._may_listen(request)), media_type="text/event-stream", headers=headers
        )

    def _may_listen(self, request: Request) -> bool:
        return not self.sessions.needed or self._known(request) is not None

    # Changing

    def _acting(self) -> Actions:
        if self.actions is None:
            raise RefusedError(403, "this page only reads: changes are made on the page of the microscope itself")
        return self.actions

    async def review(self, request: Request) -> Response:
        """Hand a review over."""
        who = self._allowed(request, "review", changes=True)
        return JSONResponse(await run_in_threadpool(self._acting().review, await _body(request), who))

    async def command(self, request: Request) -> Response:
        """Have the service do something."""
        body = await _body(request)
        name, fields = body.get("name"), body.get("fields", {})
        if not isinstance(name, str) or name not in COMMANDS or not isinstance(fields, dict):
            self._allowed(request, "review", changes=True)
            raise RefusedError(400, f"what can be asked for is {', '.join(COMMANDS)}")
        who = self._allowed(request, COMMANDS[name], changes=True)
        acting = self._acting()
        try:
            checked_fields(name, fields)
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        return _done(await run_in_threadpool(acting.command, name, fields, who))

    async def teach_facts(self, request: Request) -> Response:
        """What was taught, and what is used."""
        self._allowed(request, "read")
        if self.actions is None:
            return JSONResponse({"enabled": False})
        return JSONResponse({"enabled": True, **await run_in_threadpool(self.actions.teaching.facts)})

    async def questions(self, request: Request) -> Response:
        """Which images are most worth a review; none where the page only reads."""
        self._allowed(request, "read")
        found = [] if self.actions is None else await run_in_threadpool(self.actions.asking.questions)
        return JSONResponse({"images": found})

    async def teach(self, request: Request) -> Response:
        """Begin to teach; `classes`: of severities, in rising order, where somebody says it."""
        self._allowed(request, "review", changes=True)
        await run_in_threadpool(self._acting().teach, await _body(request))
        return JSONResponse({"running": True})

    async def taught(self, request: Request) -> Response:
        """Take an adaptation into use, or go back."""
        who = self._allowed(request, "command", changes=True)
        acting, body = self._acting(), await _body(request)
        try:
            fields = checked_fields("taught", body)
        except ValueError as error:
            raise RefusedError(400, str(error)) from error
        return _done(await run_in_threadpool(acting.taught, fields["sha256"], who))


def build(source: Source, sessions: Sessions, actions: Actions | None, web: WebSettings, version: str) -> tuple[ASGIApp, Page]:
    """The application with its guard, and the page that it serves."""
    page = Page(source, sessions, actions, web, version)

    @asynccontextmanager
    async def life(_app: Starlette) -> Any:
        page.stream.start()
        yield
        page.stream.stop()
        if page.actions is not None:
            page.actions.teaching.close()

    get, post = ["GET"], ["POST"]
    routes = [
        Route("/", page.index, methods=get),
        Route("/page/{path:path}", page.static, methods=get),
        Route("/api/session", page.session, methods=get),
        Route("/api/login", page.login, methods=post),
        Route("/api/logout", page.logout, methods=post),
        Route("/api/fleet", page.fleet, methods=get),
        Route("/api/now", page.now, methods=get),
        Route("/api/rows", page.rows, methods=get),
        Route("/api/inspection/{id}", page.inspection, methods=get),
        Route("/api/inspection/{id}/message", page.message, methods=get),
        Route("/api/inspection/{id}/overlay", page.overlay, methods=get),
        Route("/api/inspection/{id}/image", page.image, methods=get),
        Route("/api/timeline", page.timeline, methods=get),
        Route("/api/problems", page.problems, methods=get),
        Route("/api/events", page.events, methods=get),
        Route("/api/review", page.review, methods=post),
        Route("/api/command", page.command, methods=post),
        Route("/api/teach", page.teach_facts, methods=get),
        Route("/api/teach", page.teach, methods=post),
        Route("/api/taught", page.taught, methods=post),
        Route("/api/questions", page.questions, methods=get),
    ]
    handlers: dict[Any, Any] = {
        RefusedError: _refused,
        HTTPException: _no_route,
        EdgeError: _failed,
        ClientDisconnect: _too_long,
        Exception: _defect,
    }
    return Guard(Starlette(routes=routes, lifespan=life, exception_handlers=handlers), web), page


def _device(request: Request) -> str:
    return request.query_params.get("device", "")[:1000]


def _done(told: Facts) -> Response:
    """What a command came to. Raises RefusedError with the service's reason where it was not carried out."""
    if not told["ok"]:
        raise RefusedError(409, told["error"] or "the service refused, and gave no reason")
    return JSONResponse(told)


async def _body(request: Request) -> dict[str, Any]:
    """The object of JSON that was sent. Raises RefusedError."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise RefusedError(400, "what was sent is no object of JSON")
    return body


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return JSONResponse({"error": str(error)}, error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = f"this address takes no {request.method}" if error.status_code == 405 else "there is nothing at this address"
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _failed(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


async def _too_long(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "the request is too long, or was cut off"}, 413)


async def _defect(request: Request, error: Exception) -> Response:
    log.error("%s failed: %r", request.url.path, error)
    return JSONResponse({"error": "the page has a defect: its log says more"}, 500)
