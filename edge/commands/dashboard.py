"""The command `edge-dashboard`: the live page of any number of microscopes, from a broker; and the users of live pages."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from edge import __version__
from edge.arguments import new_parser
from edge.commands.command_line import DONE, as_command
from edge.config import WebSettings
from edge.errors import ConfigError
from edge.service.systemd import notify
from edge.web import users
from edge.web.broker import PASSWORD, Broker, broker_of

EXAMPLE = "edge-dashboard --broker mqtts://dashboard@broker:8883 --password-file FILE\n  edge-dashboard user FILE NAME review"
log = logging.getLogger(__name__)

OPTIONS: Final = (
    ("cert_file and key_file", "--tls-cert and --tls-key"),
    ("behind_proxy = true", "--behind-proxy"),
    ("name a users_file", "name a file with --users"),
    ("web.users_file", "--users"),
    ("web.cert_file", "--tls-cert"),
    ("web.listen", "--port or --listen"),
    ("listen: there", "--port or --listen: there"),
    ("must be HOST:PORT", "--listen must be HOST:PORT"),
)


@as_command
def dashboard(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal comes, or change a users file."""
    words = list(sys.argv[1:] if argv is None else argv)
    return change_user(words[1:]) if words[:1] == ["user"] else show(words)


def show(words: Sequence[str]) -> int:
    """Serve the page of a broker."""
    from edge.web.broker_source import BrokerSource
    from edge.web.serve import serve

    args = page_parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    web = settings(args)
    broker = broker_from(args)
    if not web.hosts and (web.behind_proxy or web.address[0] in ("0.0.0.0", "::")):
        log.warning("browsers elsewhere are refused: name with --host what they call this page")
    with BrokerSource(broker, args.prefix, replay=args.replay) as source:
        log.info("it shows %s of the broker %s; end it with Ctrl+C", args.prefix, broker.where)
        try:
            serve(source, web, version=__version__, until=threading.Event(), beat=alive)
        except ConfigError as error:
            raise ConfigError(in_options(str(error))) from error
    return DONE


def alive() -> None:
    """Tell systemd, where it waits for it, that the page is served and moves."""
    notify("READY=1", "WATCHDOG=1")


def broker_from(args: argparse.Namespace) -> Broker:
    """The broker, with its password from a file, the environment or the terminal. Raises ConfigError."""
    if args.broker_ws is not None and not args.broker_ws.startswith(("ws://", "wss://")):
        raise ConfigError("the address of a websocket is ws://HOST:PORT/PATH or wss://: see --broker-ws")
    broker = broker_of(
        args.broker if args.broker_ws is None else args.broker_ws,
        password_file=args.password_file,
        secret=None if args.password_file else os.environ.get(PASSWORD) or None,
        ca_file=args.ca_file,
        cert_file=args.cert_file,
        key_file=args.key_file,
        protocol={"5": 5, "3.1.1": 4}[args.protocol],
    )
    if broker.username is None or broker.password() is not None or broker.cert_file or not sys.stdin.isatty():
        return broker
    return replace(broker, secret=asked(f"password of {broker.username} at {broker.where}, empty for none: ") or None)


def settings(args: argparse.Namespace) -> WebSettings:
    """Where the page listens, by the rules of [web]. Raises ConfigError."""
    if not 0 < args.port < 65536:
        raise ConfigError(f"--port: there is no port {args.port}")
    try:
        return WebSettings(
            listen=args.listen or f"127.0.0.1:{args.port}",
            users_file=args.users,
            cert_file=args.tls_cert,
            key_file=args.tls_key,
            behind_proxy=args.behind_proxy,
            hosts=tuple(args.host),
        )
    except ValidationError as error:
        raise ConfigError(in_options(error.errors()[0]["msg"].removeprefix("Value error, "))) from error


def in_options(text: str) -> str:
    """A sentence about settings of [web], with the options that stand for them here."""
    for name, option in OPTIONS:
        text = text.replace(name, option)
    return text


def page_parser() -> argparse.ArgumentParser:
    """What may be said of the page and its broker."""
    parser = new_parser("edge-dashboard", "The live page of any number of microscopes, from a broker. It only reads.", EXAMPLE)
    broker = parser.add_mutually_exclusive_group()
    known = "mqtt://[USER@]HOST[:PORT], mqtts://, ws:// or wss:// (default: %(default)s)"
    broker.add_argument("--broker", metavar="URL", default="mqtt://localhost", help=known)
    broker.add_argument("--broker-ws", metavar="URL", help="the broker's websocket: ws://[USER@]HOST[:PORT][/PATH] or wss://")
    parser.add_argument("--prefix", default="+/+/sem/+", help="SITE/AREA/sem/ID, + for any (default: %(default)s)")
    secret = f"the broker's password for USER; without it {PASSWORD} of the environment, or the terminal is asked"
    parser.add_argument("--password-file", default="", metavar="FILE", help=secret)
    parser.add_argument("--ca-file", default="", metavar="FILE", help="who signed the broker's certificate")
    parser.add_argument("--cert-file", default="", metavar="FILE", help="our certificate, where the broker wants one")
    parser.add_argument("--key-file", default="", metavar="FILE", help="its key")
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5", help="of MQTT (default: %(default)s)")
    parser.add_argument("--replay", action="store_true", help="have microscopes send again what is missing")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=8080, help="on this machine alone (default: %(default)s)")
    where.add_argument("--listen", default="", metavar="HOST:PORT", help="beyond this machine: with TLS or a proxy, and users")
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="a name by which browsers may reach it")
    parser.add_argument("--users", default="", metavar="FILE", help="who may log in: see `edge-dashboard user --help`")
    parser.add_argument("--tls-cert", default="", metavar="FILE", help="the page's certificate")
    parser.add_argument("--tls-key", default="", metavar="FILE", help="its key")
    parser.add_argument("--behind-proxy", action="store_true", help="a proxy on this machine speaks TLS")
    return parser


def change_user(words: Sequence[str]) -> int:
    """Write or remove one line of a users file."""
    parser = new_parser(
        "edge-dashboard user", "Who may see and change what on a live page.", "edge-dashboard user FILE NAME review"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the users file; made where there is none")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("role", metavar="ROLE", nargs="?", choices=users.ROLES, help="read, review or command")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="instead of asking on the terminal")
    parser.add_argument("--remove", action="store_true", help="take the user out")
    args = parser.parse_args(words)
    known = users.load(args.file) if args.file.exists() else {}
    if args.remove:
        if known.pop(args.name, None) is None:
            raise ConfigError(f"{args.file} has no user {args.name!r}")
    else:
        if args.role is None:
            raise ConfigError("a user needs a role: read, review or command")
        if users.NAME.fullmatch(args.name) is None:
            raise ConfigError("a name has 1 to 64 letters, digits and . _ @ -")
        known[args.name] = users.User(args.name, users.hashed(password(args.password_file)), args.role)
    users.write(args.file, known)
    return DONE


def password(file: Path | None) -> str:
    """From a file, or asked for twice. Raises ConfigError."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} cannot be read: {error}") from error
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask for the password: take --password-file")
    first, second = asked("password: "), asked("again: ")
    if first != second:
        raise ConfigError("the two passwords differ")
    return first


def asked(what: str) -> str:
    """What is typed unseen. Raises ConfigError where nothing is."""
    try:
        return getpass.getpass(what)
    except EOFError as error:
        raise ConfigError("no password was typed") from error
