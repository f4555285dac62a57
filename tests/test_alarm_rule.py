"""Every example that alarms on a severity also alarms where none could be given: a null must not leave "severe" standing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.wire.home_assistant import ALARM
from tests import ROOT
from tests.wire.examples import abstained, example, segmented_only, summarised

RULE = "severity_index >= 2 or abstained == 1"
KINDS = (".md", ".json", ".yaml", ".yml", ".toml", ".conf", ".js", ".txt")
EXAMPLES = sorted(
    path
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*")]
    if path.suffix in KINDS and path.relative_to(ROOT).parts[1:2] != ("schemas",) and path.name != "asyncapi.json"
)
COMPARED = re.compile(
    r"severity_index\W{0,12}?(>=|>|==?=?)\s*[12]|severity\W{0,12}?(==?=?|=~|eq|is)\s*\W{0,3}severe\b|severity\W{0,4}severe\b"
)
"""A severity as a condition, in any of the languages that these examples are written in."""


def units(path: Path) -> Iterator[str]:
    """What stands together: a paragraph, a row or a block of code of a page; a text of a file of JSON."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        yield from strings(json.loads(text))
    else:
        for block in re.split(r"(```.*?```)|\n\s*\n", text, flags=re.DOTALL):
            rows = block.splitlines() if block and block.lstrip().startswith("|") else [block]
            yield from (row for row in rows if row)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_who_asks_for_severe_asks_for_abstained_too(path: Path) -> None:
    alone = [unit for unit in units(path) if COMPARED.search(unit) and "abstain" not in unit]
    assert alone == []


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.suffix == ".md"], ids=lambda path: str(path.name))
def test_a_page_that_names_the_index_names_the_rule(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert "severity_index" not in text or RULE in text


@pytest.mark.parametrize("name", ["mqtt", "home-assistant", "csv-folder", "webhook", "version-2"])
def test_every_way_out_tells_the_rule(name: str) -> None:
    assert RULE in (ROOT / "docs" / "use" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "rule",
    [
        "severity_index > 1",
        'severity == "severe"',
        "payload.severity === 'severe'",
        '{severity="severe"}',
        '{severity=~"severe"}',
        "value_json.severity_index >= 2",
        'msg["severity_index"] >= 2',
        "to: severe, of sensor severity: 'severe'",
    ],
)
def test_the_test_sees_a_rule_in_any_language(rule: str) -> None:
    assert COMPARED.search(rule)


SUMMARIES = {
    "severe": ({**summarised(example()), "severity": "severe", "severity_index": 2}, True),
    "moderate": (summarised(example()), False),
    "abstained": (summarised(abstained()), True),
    "not run": (summarised(segmented_only()), False),
}


def blocks(language: str) -> list[str]:
    page = (ROOT / "docs" / "use" / "mqtt.md").read_text(encoding="utf-8")
    section = page.partition("## The alarm\n")[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_examples_of_the_page_say_the_same(name: str) -> None:
    summary, expected = SUMMARIES[name]
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["alarm"](summary) is expected
    jinja2 = pytest.importorskip("jinja2")
    said = jinja2.Environment().from_string("{{ " + ALARM + " }}").render(value_json=summary)
    assert said == str(expected)


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_examples_for_jq_and_node_red_say_the_same_where_those_are_installed(name: str) -> None:
    summary, expected = SUMMARIES[name]
    (shell,), (function,) = blocks("sh"), blocks("js")
    jq, node = shutil.which("jq"), shutil.which("node")
    if node:
        code = f"const f = (msg) => {{ {function} }}; console.log(f({{payload: {json.dumps(summary)}}}) !== null)"
        told = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
        assert told.stdout.strip() == str(expected).lower()
    if jq is None:
        pytest.skip("jq is not installed (apt-get install jq)")
    (condition,) = re.findall(r"jq -c '(.*)'", shell)
    told = subprocess.run([jq, "-c", condition], input=json.dumps(summary), capture_output=True, text=True, check=True)
    assert bool(told.stdout.strip()) is expected
