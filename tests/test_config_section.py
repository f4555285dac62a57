"""What every section of the configuration is alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.config_section import Section, check_certificates, secret_of
from edge.errors import ConfigError


class Example(Section):
    number: int = 1
    names: tuple[str, ...] = ()


def test_values_are_taken_as_toml_writes_them_and_nothing_is_converted() -> None:
    assert Example.model_validate({"names": ["a"]}).names == ("a",)
    for wrong in ({"number": "1"}, {"names": ["a\0b"]}, {"other": 1}):
        with pytest.raises(ValidationError):
            Example.model_validate(wrong)


def test_a_secret_is_read_anew_and_looked_for_among_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("one\n")
    assert secret_of("x.token_file", str(tmp_path / "token")) == "one"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "token").write_text("two\r\n")
    assert secret_of("x.token_file", "token") == "two"
    with pytest.raises(ConfigError, match=r"x\.token_file .*missing cannot be read"):
        secret_of("x.token_file", "missing")


class Encrypted(Section):
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


def test_a_certificate_needs_its_key_and_an_encrypted_connection() -> None:
    check_certificates(Encrypted(), False, "tls = true")
    check_certificates(Encrypted(ca_file="a", cert_file="b", key_file="c"), True, "tls = true")
    with pytest.raises(ValueError, match="needs key_file"):
        check_certificates(Encrypted(cert_file="b"), True, "tls = true")
    for one in (Encrypted(ca_file="a"), Encrypted(cert_file="b", key_file="c")):
        with pytest.raises(ValueError, match="no effect without tls = true"):
            check_certificates(one, False, "tls = true")
