"""A users file in, who may what out: lines of `name:hash:role`, as `edge-dashboard user` writes them.

The hash is scrypt's (RFC 7914), with its cost and salt. Roles contain each other: read, review, command.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge.errors import ConfigError
from edge.whole_file import write_whole

Role = Literal["read", "review", "command"]
ROLES: Final[tuple[Role, ...]] = ("read", "review", "command")
NAME: Final = re.compile(r"[A-Za-z0-9._@-]{1,64}")
COST: Final = 1 << 15
BLOCK, SIDE_BY_SIDE, LENGTH = 8, 1, 32
SHORTEST_PASSWORD: Final = 8
LARGEST_BYTES: Final = 1 << 20
_STRANGER: Final = b"nobody's salt is as good as any"


@dataclass(frozen=True, slots=True)
class User:
    """One line of the file."""

    name: str
    password: str
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this user's role contains another."""
        return ROLES.index(self.role) >= ROLES.index(role)


def load(path: Path) -> dict[str, User]:
    """The users by name. Raises ConfigError with the line that is wrong, and for a file that others may write."""
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o022:
                raise ConfigError(f"web.users_file {path} may be written by others: chmod 600 {path}")
            text = stream.read(LARGEST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"web.users_file {path} cannot be read: {reason}") from error
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        password, _, role = rest.rpartition(":")
        if NAME.fullmatch(name) is None or role not in ROLES or not _parts(password):
            raise ConfigError(f"{path}, line {number}: write `edge-dashboard user {path} NAME ROLE`; lines are name:hash:role")
        if name in users:
            raise ConfigError(f"{path}, line {number}: {name} stands there twice")
        users[name] = User(name, password, role)
    return users


def hashed(password: str) -> str:
    """What stands in the file for a password. Raises ConfigError for a short one."""
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigError(f"a password needs at least {SHORTEST_PASSWORD} characters")
    salt = secrets.token_bytes(16)
    return f"scrypt${COST}${_encoded(salt)}${_encoded(_scrypt(password, salt, COST))}"


def verified(users: Mapping[str, User], name: str, password: str) -> User | None:
    """The user whose password this is. An unknown name takes as long as a wrong password."""
    user = users.get(name)
    cost, salt, wanted = _parts(user.password) if user else (COST, _STRANGER[:16], b"")
    right = hmac.compare_digest(_scrypt(password, salt, cost), wanted)
    return user if right else None


def write(path: Path, users: Mapping[str, User]) -> None:
    """Replace the file, whole or not at all, for its owner alone, so that who reads it stays able to. Raises ConfigError."""
    lines = "".join(f"{user.name}:{user.password}:{user.role}\n" for user in users.values())
    try:
        write_whole(path, lines.encode("ascii"), owner_of=path if path.exists() else None)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def _scrypt(password: str, salt: bytes, cost: int) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")  # JSON may hold what is no UTF-8
    memory = 129 * BLOCK * cost + (1 << 20)
    return hashlib.scrypt(secret, salt=salt, n=cost, r=BLOCK, p=SIDE_BY_SIDE, maxmem=memory, dklen=LENGTH)


def _parts(text: str) -> tuple[int, bytes, bytes]:
    """Cost, salt and hash; an empty tuple's falsehood is what `load` looks for, so a wrong text gives one."""
    found = re.fullmatch(r"scrypt\$(\d{4,7})\$([A-Za-z0-9+/=]{8,64})\$([A-Za-z0-9+/=]{40,64})", text)
    try:
        if found and (cost := int(found[1])) & (cost - 1) == 0 and cost <= 1 << 20:
            return cost, base64.b64decode(found[2], validate=True), base64.b64decode(found[3], validate=True)
    except ValueError:
        pass
    return ()  # type: ignore[return-value]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
