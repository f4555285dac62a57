"""What docs/use/webhook.md tells a receiver to do."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.config_sinks import WebhookSettings
from edge.sinks.webhook import headers_of
from tests import ROOT


def receiver() -> Callable[[str, dict[str, str], bytes], bool]:
    page = (ROOT / "docs" / "use" / "webhook.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    genuine: Callable[[str, dict[str, str], bytes], bool] = names["genuine"]
    return genuine


def test_the_pages_receiver_believes_what_we_send_and_nothing_else(tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    (tmp_path / "secret").write_text(secret)
    webhook = WebhookSettings(url="http://h/", secret_file=str(tmp_path / "secret"))
    genuine, now = receiver(), int(time.time())
    headers = headers_of(webhook, "0b7a4d1c", b"{}", now)
    assert genuine(secret, headers, b"{}")
    assert not genuine(secret, headers, b"{ }")
    assert not genuine("whsec_" + base64.b64encode(b"j" * 32).decode(), headers, b"{}")
    assert not genuine(secret, headers_of(webhook, "0b7a4d1c", b"{}", now - 3600), b"{}")
