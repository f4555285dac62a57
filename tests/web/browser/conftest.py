"""A real browser before the page that a real daemon serves, with a real broker beside it.

Whatever a test does, the page ends without an error of a script, a breach of its policy, or a request to another machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from edge.web.users import ROLES, User, hashed, write
from tests.fakes.brokers import MOSQUITTO, Mosquitto, eventually, free_port
from tests.service.running_daemon import Service
from tests.web.browser.plain import Plain

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOMS: Final = ("now", "timeline", "review", "problems", "fleet")
PASSWORD: Final = "a long password"
LONG_MS: Final = 600_000
LISTEN: Final = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => window.breaches.push(event.effectiveDirective));
"""


class Seen:
    """One page, and what went wrong in it. wrong: errors of scripts, and requests to other machines."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.wrong: list[str] = []
        page.set_default_timeout(LONG_MS)
        page.add_init_script(LISTEN)
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("request", lambda asked: self._foreign(asked.url))

    def enter(self, role: str, room: str = "now") -> None:
        """Log in as the user of this role, and go to a room."""
        self.page.goto(f"{self.address}#/{room}")
        self.page.fill("#name", role)
        self.page.fill("#password", PASSWORD)
        self.page.click("#login button")
        self.page.wait_for_selector("#login", state="detached")

    def room(self, name: str) -> None:
        """Go to a room as its link does."""
        self.page.click(f"#to-{name}")
        self.page.wait_for_selector(f"#to-{name}[aria-current=page]")

    def text(self, selector: str) -> str:
        """What stands there, empty where nothing does."""
        found = self.page.query_selector(selector)
        return (found.text_content() or "") if found else ""

    def says(self, selector: str, *texts: str) -> None:
        """Wait until all of these stand there."""
        try:
            eventually(lambda: all(text in self.text(selector) for text in texts), 600)
        except pytest.fail.Exception:
            pytest.fail(f"{selector} says {self.text(selector)!r}, not {texts}")

    def _foreign(self, url: str) -> None:
        if not url.startswith((self.address, "blob:", "data:")):
            self.wrong.append(f"to another machine: {url}")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    """Its driver keeps an event loop in this thread, in which no other test could run one: it ends with this folder."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = running.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Any, address: str, *, width: int = 1280, scheme: str = "light") -> Iterator[Seen]:
    """A page in a browser of its own; nothing may have gone wrong in it."""
    size = {"width": width, "height": 844}
    context = chromium.new_context(viewport=size, color_scheme=scheme, locale="en-US")
    try:
        seen = Seen(context.new_page(), address)
        yield seen
        assert seen.page.url == "about:blank" or seen.page.evaluate("() => window.breaches") == []
        assert seen.wrong == []
    finally:
        context.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    with Mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture(scope="session")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    write(path, {role: User(role, hashed(PASSWORD), role) for role in ROLES})
    return path


class Served(Service):
    """A daemon that serves its page. address: what a browser is given.  users_file: its own, which a test may change."""

    def __init__(self, base: Path, broker_port: int, users: Path) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}/"
        self.users_file = base / "users"
        base.mkdir(exist_ok=True)
        shutil.copy(users, self.users_file)
        super().__init__(base, broker_port, web={"listen": f"127.0.0.1:{self.port}", "users_file": str(self.users_file)})

    def __enter__(self) -> Served:
        self.start()
        return self

    def page(self) -> psutil.Process:
        """The process that serves it."""
        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # another child, which has ended meanwhile
                found += [child] if "edge.web" in child.cmdline() else []
        (page,) = found
        return page

    def plain(self, role: str | None = None) -> Plain:
        """HTTP without a browser, logged in where a role is named."""
        client = Plain(self.port)
        if role is not None:
            assert client.log_in(role, PASSWORD).status == 200
        return client


@pytest.fixture
def service(tmp_path: Path, broker: Mosquitto, users: Path) -> Iterator[Served]:
    pytest.importorskip("starlette", reason="starlette is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with Served(tmp_path / "microscope", broker.port, users) as served:
        eventually(lambda: Plain(served.port).answers(), 600, "the page answers")
        yield served


@pytest.fixture
def seen(service: Served, chromium: Any) -> Iterator[Seen]:
    with opened(chromium, service.address) as page:
        yield page


@pytest.fixture(scope="module")
def commander(tmp_path_factory: pytest.TempPathFactory, users: Path) -> Iterator[Plain]:
    """One who may do everything, at a page that the tests of a module share. Its service has no broker to speak to."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with Served(tmp_path_factory.mktemp("shared") / "microscope", free_port(), users) as served:
        eventually(lambda: Plain(served.port).answers(), 600, "the page answers")
        yield served.plain("command")
