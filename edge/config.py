"""One TOML file (and EDGE_SECTION__KEY in the environment) in, checked settings out.

An unknown key or a bad value is refused with its name, the value and what is allowed. Secrets never stand in the
TOML: they come from files that it names, or from systemd credentials.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from edge.backends import table
from edge.backends.server import ServerSettings
from edge.config_fleet import FleetSettings
from edge.config_section import Listen, check_certificates, secret_of
from edge.config_section import Section as _Section
from edge.config_sinks import CsvSettings, OpcUaSettings, WebhookSettings
from edge.errors import ConfigError
from edge.wording import form_of, sentences

if sys.version_info >= (3, 11):
    import tomllib
else:  # JetPack 6 has Python 3.10
    import tomli as tomllib

TopicLevel = Annotated[
    str,
    Field(min_length=1, max_length=64),
    form_of(r"[^/+#\x00-\x1f$][^/+#\x00-\x1f]*", "cannot hold /, +, # or control characters, nor begin with $"),
]

SHIFT: Final = re.compile(
    r"^(?P<first>mon|tue|wed|thu|fri|sat|sun)(-(?P<last>mon|tue|wed|thu|fri|sat|sun))? "
    r"(?P<from>([01]\d|2[0-3]):[0-5]\d)-(?P<to>([01]\d|2[0-3]):[0-5]\d|24:00)$"
)
"""Days of the week and a time of each, as in `mon-fri 06:00-22:00`. One that ends before it begins ends on the next day."""

Shift = Annotated[str, form_of(SHIFT.pattern, "is no time of the week: write it like 'mon-fri 06:00-22:00'")]

EXPOSURE_HOURS = {"h": 1.0, "hr": 1.0, "hrs": 1.0, "hour": 1.0, "hours": 1.0, "d": 24.0, "day": 24.0, "days": 24.0}


class DeviceSettings(_Section):
    """Names used in topics and messages, without `/`, `+`, `#` and control characters; and how true the magnification is.

    scale_factor: true length over the length that the microscope writes.  scale_uncertainty: relative, of a length.
    """

    site: TopicLevel = "plant-1"
    area: TopicLevel = "lab"
    id: TopicLevel = "sem-01"
    scale_factor: float = Field(1.0, ge=0.5, le=2.0)
    scale_uncertainty: float | None = Field(None, ge=0, le=0.5)
    scale_checked: date | None = None


class ExportSettings(_Section):
    """Which exported files are images, and when one counts as finished."""

    folder: Path | None = None
    patterns: tuple[str, ...] = ("*.tif", "*.tiff", "*.png", "*.bmp", "*.jpg", "*.jpeg")
    recursive: bool = True
    existing: Literal["inspect", "ignore"] = "inspect"
    events: Literal["auto", "off"] = "auto"
    rescan_s: float = Field(10.0, gt=0, le=3600)
    settle_s: float = Field(1.0, ge=0, le=600)
    incomplete_s: float = Field(60.0, ge=0, le=86400)
    sidecar_wait_s: float = Field(2.0, ge=0, le=600)
    marker: Annotated[str, form_of(r"[^/\x00-\x1f]*", "must be a file's name alone, without / and control characters")] = Field(
        "", max_length=255
    )
    must_be_mount: bool = False
    expect_every_h: float = Field(0.0, ge=0, le=8760)
    expect_during: tuple[Shift, ...] = ()

    @field_validator("patterns")
    @classmethod
    def _no_folders(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if not patterns:
            raise ValueError("name at least one pattern, such as '*.tif'")
        for pattern in patterns:
            if "/" in pattern or not pattern:
                raise ValueError(f"{pattern!r} must match a file name alone, so it cannot be empty or hold '/'")
        return patterns


class WatchSettings(ExportSettings):
    """The same with the folder, without which nothing can be watched."""

    folder: Path


class SampleSettings(_Section):
    """Regular expressions searched one by one in the path below the watched folder; named groups become fields."""

    patterns: tuple[str, ...] = (
        r"(?i)(?<![a-z])AN[_ -]?(?P<annealing_min>\d+)",
        r"(?i)(?<!\d)(?P<exposure>\d+)[_ -]?(?P<exposure_unit>hours?|hrs?|h|days?|d)(?![a-z])",
    )

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            _compiled(pattern)
        return patterns

    def fields(self, path: str) -> dict[str, Any]:
        """Sample fields found in `path`; annealing_min (float) and exposure_h (float) are always there, None if not found."""
        found: dict[str, Any] = {}
        for pattern in self.patterns:
            if match := re.search(pattern, path):
                found.update({name: value for name, value in match.groupdict().items() if value is not None})
        exposure, unit = found.pop("exposure", None), found.pop("exposure_unit", "h")
        annealing = found.pop("annealing_min", None)
        hours = EXPOSURE_HOURS.get(str(unit).lower())
        return {
            "annealing_min": _number(annealing),
            "exposure_h": None if hours is None or (number := _number(exposure)) is None else number * hours,
            **found,
        }


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern[:200]!r} is no regular expression: {error}") from error


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class ModelSettings(_Section):
    """Which models, on which library. taught: a file of edge-teach, or empty.  device: a GPU's UUID, or the first."""

    segmenter: str = "builtin"
    classifier: str = "builtin"
    regions: str = "builtin"
    backend: str = table.AUTO
    device: str = Field("", pattern=r"^((GPU|MIG)-[0-9A-Fa-f/-]{4,})?$")
    taught: str = ""
    public_key: str = ""

    @field_validator("public_key")
    @classmethod
    def _minisign_key(cls, text: str) -> str:
        if text and not re.fullmatch(r"RW[Q-T][A-Za-z0-9+/]{53}", text):  # "Ed", 8 bytes, 32 bytes
            raise ValueError("give the second line of minisign.pub, 56 characters that begin with RW")
        return text

    @field_validator("backend")
    @classmethod
    def _known(cls, backend: str) -> str:
        if backend not in table.names():
            *most, last = (repr(name) for name in table.names())
            raise ValueError(f"must be {', '.join(most)} or {last}")
        return backend


class InspectSettings(_Section):
    """What is done with each image."""

    stages: Literal["both", "segment", "classify"] = "both"
    confidence: float = Field(0.3, gt=0, lt=1)
    iou: float = Field(0.7, gt=0, lt=1)
    tile: Literal["auto", "off"] = "auto"
    max_regions: int = Field(2000, ge=1, le=20000)
    min_diameter_px: float = Field(0.0, ge=0, le=1e6, allow_inf_nan=False)
    min_diameter_um: float = Field(0.0, ge=0, le=1e6, allow_inf_nan=False)
    region_crops: int = Field(32, ge=0, le=1024)
    max_megapixels: float = Field(300.0, gt=0, le=4000)
    max_file_mib: float = Field(1024.0, gt=0, le=16384)
    max_memory_mib: float | None = Field(None, ge=64)
    pixel_size_nm: float | None = Field(None, gt=0, allow_inf_nan=False)


class LimitSettings(_Section):
    """From which measures on a field of view has a severity; any one is enough, and 0 is not looked at.

    area_fraction: of the image.  density_per_mm2: regions per mm², by the counting frame.  largest_um: equivalent diameter of
    the largest region, in µm.  class_ (`class` in the file): only this class is measured; empty for all together.
    """

    area_fraction: float = Field(0.0, ge=0, le=1, allow_inf_nan=False)
    density_per_mm2: float = Field(0.0, ge=0, le=1e15, allow_inf_nan=False)
    largest_um: float = Field(0.0, ge=0, le=1e9, allow_inf_nan=False)
    class_: str = Field("", alias="class", max_length=200)

    def given(self) -> dict[str, float]:
        """The limits that are looked at, by the name of their measure."""
        return {name: limit for name in LIMITED if (limit := getattr(self, name))}


LIMITED: Final = ("area_fraction", "density_per_mm2", "largest_um")
"""What a limit can be set for."""


class SeveritySettings(_Section):
    """What a field's severity follows from: the network, or the plant's own limits on what is measured."""

    rule: Literal["model", "limits"] = "model"
    moderate: LimitSettings = LimitSettings()
    severe: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _in_order(self) -> SeveritySettings:
        moderate, severe = self.moderate.given(), self.severe.given()
        if self.rule == "limits" and not moderate and not severe:
            raise ValueError('rule = "limits" needs a limit above 0 in moderate or severe, such as { area_fraction = 0.02 }')
        if self.severe.class_ not in ("", self.moderate.class_):
            return self  # of two classes, one may be worse than the other; all together are at least what one of them is
        for name, limit in severe.items():
            if limit < moderate.get(name, 0.0):
                raise ValueError(
                    f"severe.{name} {limit:g} is below moderate.{name} {moderate[name]:g}, so nothing could be moderate: "
                    f"raise it, or lower the other"
                )
        return self


class StateSettings(_Section):
    """Where the journal and the pictures live and how long."""

    folder: Path = Path("/var/lib/sem-corrosion-edge")
    keep_days: float = Field(90.0, gt=0)
    max_gib: float = Field(20.0, gt=0)


TopicFilter = Annotated[
    str,
    Field(min_length=1, max_length=1000),
    form_of(
        r"((\+|[^+#/\x00-\x1f]*)/)*(\+|#|[^+#/\x00-\x1f]*)",
        "must be a topic filter: + for one level, # for all that follow, as in answers/+/sem or answers/#",
    ),
]
"""As MQTT 5.0, 4.7.1 has it: + stands for one level, # for all that follow."""


class MqttSettings(_Section):
    """The broker. host: empty where there is none."""

    host: str = "localhost"
    port: int = Field(1883, ge=1, le=65535)
    protocol: Literal[5, 311] = 5
    username: str = ""
    password_file: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: Annotated[str, form_of(r"[^+#\x00-\x1f]*", "cannot hold +, # or control characters")] = ""
    response_topics: tuple[TopicFilter, ...] = ()
    overlay: bool = True
    home_assistant: bool = False
    sparkplug: bool = False
    sparkplug_group: TopicLevel | None = None
    sparkplug_node: TopicLevel | None = None
    sparkplug_device: TopicLevel | None = None
    sparkplug_host: TopicLevel | None = None

    @model_validator(mode="after")
    def _possible(self) -> MqttSettings:
        check_certificates(self, self.tls, "tls = true")
        if self.password_file and not self.username:
            raise ValueError("password_file needs username beside it")
        if (self.home_assistant or self.sparkplug) and not self.host:
            raise ValueError("home_assistant and sparkplug need a broker: name its host")
        return self

    def password(self) -> str | None:
        """The password, read now, so that a rotated one is taken at the next connect.

        A relative `password_file` is looked for in systemd's credentials folder first.
        Raises ConfigError when the file cannot be read.
        """
        return secret_of("mqtt.password_file", self.password_file) if self.password_file else None


class WebSettings(_Section):
    """The live page. listen: HOST:PORT, empty for none."""

    listen: Listen = ""
    users_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    behind_proxy: bool = False
    hosts: tuple[str, ...] = ()
    publish_reviewer: bool = False

    @model_validator(mode="after")
    def _safe(self) -> WebSettings:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")
        beyond = bool(self.listen) and (self.behind_proxy or not self.loopback)
        if beyond and not (self.cert_file or self.behind_proxy):
            raise ValueError("beyond loopback a page needs cert_file and key_file, or behind_proxy = true")
        if beyond and not self.users_file:
            raise ValueError("beyond loopback reading needs a login: name a users_file (`edge-dashboard user` writes it)")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        return host_and_port(self.listen)

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        host, _ = self.address
        return host in ("localhost", "::1") or re.fullmatch(r"127\.\d+\.\d+\.\d+", host) is not None


class MetricsSettings(_Section):
    """What Prometheus scrapes. prometheus: HOST:PORT, empty for none."""

    prometheus: Listen = ""


class InspectionSettings(_Section):
    """What an inspection depends on, and nothing else: enough for a pipeline, without a folder or a broker."""

    device: DeviceSettings = DeviceSettings()
    sample: SampleSettings = SampleSettings()
    models: ModelSettings = ModelSettings()
    kserve: ServerSettings = ServerSettings()
    inspect: InspectSettings = InspectSettings()
    severity: SeveritySettings = SeveritySettings()

    @model_validator(mode="after")
    def _measured(self) -> InspectionSettings:
        if self.severity.rule == "limits" and self.inspect.stages == "classify":
            raise ValueError(
                'severity.rule = "limits" follows from what stage 1 measures, and inspect.stages = "classify" leaves it out: '
                'take "both" or "segment"'
            )
        return self

    def inspection_sha256(self) -> str:
        """Hash of the settings that can change a verdict, so that two inspections can be compared."""
        scale = {"scale_factor", "scale_uncertainty"}
        whole = dict.fromkeys(("inspect", "models", "sample", "severity"), True)
        relevant = self.model_dump(mode="json", include={**whole, "device": scale})
        for key in ("public_key", "device"):  # who may make models and where they run, not what they answer
            del relevant["models"][key]
        return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


class CommandSettings(InspectionSettings):
    """All settings, for a command that is told which files to inspect: a folder to watch may be missing."""

    watch: ExportSettings = ExportSettings()
    state: StateSettings = StateSettings()
    mqtt: MqttSettings = MqttSettings()
    csv: CsvSettings = CsvSettings()
    webhook: WebhookSettings = WebhookSettings()
    metrics: MetricsSettings = MetricsSettings()
    opcua: OpcUaSettings = OpcUaSettings()
    web: WebSettings = WebSettings()
    fleet: FleetSettings = FleetSettings()

    @model_validator(mode="after")
    def _signed(self) -> CommandSettings:
        if self.fleet.source and not self.models.public_key:
            raise ValueError("fleet.source takes signed models alone: set models.public_key to the key that signs them")
        return self

    @model_validator(mode="after")
    def _apart(self) -> CommandSettings:
        if self.watch.folder is None:
            return self
        watched, state = self.watch.folder.absolute(), self.state.folder.absolute()
        if watched == state or watched in state.parents:
            raise ValueError(f"state.folder {state} must not lie in watch.folder {watched}: its pictures would be inspected")
        return self


class Settings(CommandSettings):
    """All settings of the daemon; `load` makes them from a file."""

    watch: WatchSettings

    @property
    def topic_prefix(self) -> str:
        """`mqtt.prefix`, or `<site>/<area>/sem/<id>`."""
        return self.mqtt.prefix.strip("/") or f"{self.device.site}/{self.device.area}/sem/{self.device.id}"


def host_and_port(listen: str) -> tuple[str, int]:
    """Of what stands behind `listen =`: a name or an address without brackets, and a port."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


AnySettings = TypeVar("AnySettings", bound=InspectionSettings)


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the daemon's settings from a TOML file, overridden by EDGE_SECTION__KEY variables.

    Raises ConfigError naming every wrong key at once.
    """
    return parse(_read_toml(path), environment, origin=str(path))


def load_for_command(path: Path | None, environment: Mapping[str, str] = os.environ) -> CommandSettings:
    """As `load` for a command that watches nothing; without a file, the defaults and the environment."""
    raw, origin = ({}, "settings") if path is None else (_read_toml(path), str(path))
    return _validate(CommandSettings, _overridden(raw, environment), origin)


def parse(raw: Mapping[str, Any], environment: Mapping[str, str] = os.environ, origin: str = "settings") -> Settings:
    """The daemon's settings from parsed TOML and the environment. Raises ConfigError naming every wrong key at once."""
    return _validate(Settings, _overridden(raw, environment), origin)


def change(settings: AnySettings, sections: Mapping[str, Mapping[str, Any]]) -> AnySettings:
    """The settings with other values, by section and key; None changes nothing. Raises ConfigError."""
    raw = settings.model_dump(by_alias=True)
    for section, values in sections.items():
        raw[section].update({key: value for key, value in values.items() if value is not None})
    return _validate(type(settings), raw, "arguments")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}; name the TOML file with its path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no TOML: it is no text in UTF-8") from error
    except (ValueError, RecursionError) as error:  # tomllib lets those of endless digits and of nested brackets through
        raise ConfigError(f"{path} is no valid TOML: {error}") from error
    return raw


def _overridden(raw: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Parsed TOML, with what EDGE_SECTION__KEY variables say instead."""
    merged: dict[str, Any] = {key: dict(value) if isinstance(value, Mapping) else value for key, value in raw.items()}
    for name, text in environment.items():
        section, separator, key = name.removeprefix("EDGE_").lower().partition("__")
        if not name.startswith("EDGE_") or not separator:
            continue
        keys = merged.setdefault(section, {})
        if isinstance(keys, dict):
            keys[key] = _environment_value(text, section, key)
    return merged


def _validate(form: type[AnySettings], raw: Mapping[str, Any], origin: str) -> AnySettings:
    """Raises ConfigError naming every wrong key at once."""
    try:
        return form.model_validate(raw)
    except ValidationError as error:
        problems = "\n".join(f"  {problem}" for problem in sentences(error, "settings", Settings))
        raise ConfigError(f"{origin}:\n{problems}") from error


def _environment_value(text: str, section: str, key: str) -> Any:
    """TOML value if it parses as one (true, 5, 1.5, ["a"]), else the text itself; a name of digits stays a name."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
    fields = getattr(CommandSettings.model_fields.get(section), "annotation", None)
    field = getattr(fields, "model_fields", {}).get(key)
    return text if field is not None and field.annotation in (str, Path, Path | None) and not isinstance(value, str) else value
