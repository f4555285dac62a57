"""The command `edge-dashboard`: the live page of any number of microscopes, from a broker; and the users of live pages."""

from __future__ import annotations

import argparse
import getpass
import logging
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from edge import __version__
from edge.arguments import new_parser
from edge.commands.command_line import DONE, as_command
from edge.config import WebSettings
from edge.errors import ConfigError
from edge.web import users

EXAMPLE = "edge-dashboard --broker mqtts://dashboard@broker:8883 --password-file FILE\n  edge-dashboard user FILE NAME review"


@as_command
def dashboard(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal comes, or change a users file."""
    words = list(sys.argv[1:] if argv is None else argv)
    return change_user(words[1:]) if words[:1] == ["user"] else show(words)


def show(words: Sequence[str]) -> int:
    """Serve the page of a broker."""
    from edge.web.broker_source import BrokerSource
    from edge.web.serve import address_of, serve
    from edge.web.subscriber import broker_of

    args = page_parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    web = settings(args)
    broker = broker_of(
        args.broker,
        password_file=args.password_file,
        ca_file=args.ca_file,
        cert_file=args.cert_file,
        key_file=args.key_file,
        protocol={"5": 5, "3.1.1": 4}[args.protocol],
    )
    with BrokerSource(broker, args.prefix, replay=args.replay) as source:
        says = f"{address_of(web)} shows {args.prefix} at {broker.host}:{broker.port}; end it with Ctrl+C"
        serve(source, web, version=__version__, until=threading.Event(), says=says)
    return DONE


def settings(args: argparse.Namespace) -> WebSettings:
    """Where the page listens, by the rules of [web]. Raises ConfigError."""
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
        text = error.errors()[0]["msg"].removeprefix("Value error, ")
        for name, option in (("cert_file and key_file", "--tls-cert and --tls-key"), ("behind_proxy = true", "--behind-proxy")):
            text = text.replace(name, option)
        raise ConfigError(text.replace("name a users_file", "name a file with --users")) from error


def page_parser() -> argparse.ArgumentParser:
    """What may be said of the page and its broker."""
    parser = new_parser("edge-dashboard", "The live page of any number of microscopes, from a broker. It only reads.", EXAMPLE)
    broker = parser.add_mutually_exclusive_group(required=True)
    broker.add_argument("--broker", metavar="URL", help="mqtt://[USER@]HOST[:PORT], mqtts://, ws:// or wss://")
    broker.add_argument("--broker-ws", dest="broker", metavar="URL", help="the same, for a broker's websocket")
    parser.add_argument("--prefix", default="+/+/sem/+", help="SITE/AREA/sem/ID, + for any (default: %(default)s)")
    parser.add_argument("--password-file", default="", metavar="FILE", help="the broker's password for USER")
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
    first, second = getpass.getpass("password: "), getpass.getpass("again: ")
    if first != second:
        raise ConfigError("the two passwords differ")
    return first
