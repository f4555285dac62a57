"""What every section of the configuration is alike: strict, frozen, no unknown key; addresses, certificates, secrets in files.

Below all rooms.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from edge.certificates import CertificateFiles
from edge.errors import ConfigError
from edge.wording import as_annotated, form_of

_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]?\d{1,4})"
Listen = Annotated[
    str,
    form_of(
        rf"|(\[[0-9a-fA-F:]+\]|[^:\s\[\]]+):{_PORT}", "must be HOST:PORT, such as localhost:8080, or empty; ports end at 65535"
    ),
]


class Section(BaseModel):
    """One table of the TOML."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """A value as TOML has it in the form that its field wants; nothing else is converted, so "yes" is no `true`.

        No path, name or topic can hold U+0000; who opened such a path would get a ValueError far from here.
        """
        if any("\0" in text for text in (value if isinstance(value, list | tuple) else (value,)) if isinstance(text, str)):
            raise ValueError("the character U+0000 cannot stand here")
        return as_annotated(value, cls.model_fields[info.field_name or ""].annotation)


def check_certificates(section: CertificateFiles, encrypted: bool, without: str) -> None:
    """Raises ValueError for a certificate without its key, and where nothing is encrypted for want of `without`."""
    if section.cert_file and not section.key_file:
        raise ValueError("cert_file needs key_file beside it")
    if (section.ca_file or section.cert_file) and not encrypted:
        raise ValueError(f"ca_file and cert_file have no effect without {without}")


def secret_of(key: str, file: str) -> str:
    """The secret, read now, so that a rotated one is taken at the next use. key: the setting that names the file.

    A relative name is looked for in systemd's credentials folder first. Raises ConfigError when it cannot be read.
    """
    path = Path(file)
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if not path.is_absolute() and credentials:
        path = Path(credentials) / path
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} {path} cannot be read: {error}") from error
