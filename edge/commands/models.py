"""The command `edge-models`: signed models are announced to all boxes; on a box, compared, switched to and rolled back."""

from __future__ import annotations

import argparse
import getpass
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from edge.arguments import new_action, new_parser, whole_number
from edge.commands.command_line import DONE, SOME_FAILED, as_command
from edge.commands.models_compare import compare, summary_of, words
from edge.config import CommandSettings, change, load_for_command
from edge.errors import ConfigError, ModelError
from edge.fleet.fetch import is_whole
from edge.fleet.release import MOST_MANIFEST, SIGNATURE, Release, read_small, release_in, require_ours
from edge.fleet.shelf import Shelf
from edge.inspection.region_severity import RegionJudge
from edge.journal import page_requests
from edge.journal.lock import is_held
from edge.journal.shadowed import Summary
from edge.models.card import load_card
from edge.models.signature import MANIFEST
from edge.mqtt.connection import publish_once
from edge.wire.channel import Publication
from edge.wire.encode import timestamp
from edge.wire.release import encode_release

EXAMPLE: Final = "edge-models announce models-2 --config plant.toml --put /srv/models\n  edge-models switch 4079f8a565441083"
_CHOICES: Final = {
    "switch": "Use a release that lies here checked, from the next image on.",
    "rollback": "Go back from the release in use to what was used before it.",
    "drop": "Forget a candidate, or another release that is not in use.",
}


@as_command
def models(argv: Sequence[str] | None = None) -> int:
    """Announce, list, compare, switch, roll back, drop."""
    arguments = _parser().parse_args(argv)
    settings = load_for_command(Path(arguments.config) if arguments.config else None)
    if arguments.action == "announce":
        if arguments.broker:
            host, _, port = arguments.broker.rpartition(":")
            settings = change(settings, {"mqtt": {"host": host.strip("[]"), "port": int(port)}})
        if arguments.withdraw:
            return withdraw(settings)
        if arguments.folder is None:
            raise ConfigError("name the folder with the release, or --withdraw")
        return announce(arguments.folder, settings, key=arguments.public_key, note=arguments.note, put=arguments.put)
    if arguments.action == "compare":
        state = settings.state.folder
        compare(state, arguments.release, out=arguments.out, csv=arguments.csv, most=arguments.most)
        return DONE
    if arguments.action == "list":
        return show(settings, as_json=arguments.json)
    return choose(settings, arguments.action, getattr(arguments, "release", None))


def announce(folder: Path, settings: CommandSettings, *, key: str, note: str | None, put: Path | None) -> int:
    """Check a release as a box does, and have the broker keep its announcement. put: a folder to copy it to first, by its id.

    Raises ModelError for what no box would take, BrokerError.
    """
    release = checked(folder, key or settings.models.public_key)
    if put is not None:
        _put(release, put)
    try:
        signature = (folder / SIGNATURE).read_text(encoding="utf-8")
        payload = encode_release(release_id=release.id, signature=signature, at=datetime.now(timezone.utc), note=note)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    publish_once(settings.mqtt, Publication(settings.fleet.topic, payload, retain=True))
    print(release.id)
    print(f"edge-models: announced on {settings.fleet.topic}; boxes fetch it from SOURCE/{release.id}/", file=sys.stderr)
    return DONE


def withdraw(settings: CommandSettings) -> int:
    """Have the broker keep no announcement any more; boxes forget the candidate, and go on with what is in use."""
    publish_once(settings.mqtt, Publication(settings.fleet.topic, b"", retain=True))
    print(f"edge-models: nothing is announced on {settings.fleet.topic} any more", file=sys.stderr)
    return DONE


def checked(folder: Path, public_key: str) -> Release:
    """The release in a folder, with signature, hashes and cards looked at. Raises ModelError, ConfigError without a key."""
    if not public_key:
        raise ConfigError("name the key that boxes believe: models.public_key in --config, or --public-key RW…")
    release = release_in(folder)
    manifest = read_small(folder / MANIFEST, MOST_MANIFEST)
    require_ours(manifest, read_small(folder / SIGNATURE, MOST_MANIFEST), public_key, folder / MANIFEST)
    if not is_whole(folder, manifest):
        raise ModelError(f"{folder} has not all files as {MANIFEST} lists them: list and sign them again")
    described(release, public_key)
    return release


def described(release: Release, public_key: str) -> dict[str, dict[str, str]]:
    """Name, version and hash of each model of a release, checked against its card. Raises ModelError."""
    found: dict[str, dict[str, str]] = {}
    for role, path in release.models.items():
        if role == "regions":
            identity = RegionJudge(str(path), public_key).identity
            found[role] = {"name": identity.name, "version": identity.version, "sha256": identity.sha256}
        else:
            card = load_card(path, "segment" if role == "segmenter" else "classify", public_key)
            found[role] = {"name": card.name, "version": card.version, "sha256": card.sha256}
    if not found:
        raise ModelError(f"{release.folder} has no model with a card: nothing of it could be used")
    return found


def _put(release: Release, source: Path) -> None:
    """Copy a release to where boxes fetch it, whole or not at all. Raises ConfigError."""
    place, draft = source / release.id, source / f".{release.id}.tmp"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(release.folder, draft)
        if place.exists():
            shutil.rmtree(place)  # signed anew
        draft.rename(place)
    except OSError as error:
        raise ConfigError(f"{place} cannot be written: {error.strerror or error}") from error


def show(settings: CommandSettings, *, as_json: bool) -> int:
    """Print the releases of this box. Raises ModelError where it cannot be read which is which."""
    shelf = Shelf(settings.state.folder)
    now = shelf.standing()
    rows = []
    for release_id in shelf.releases():
        names = ("active", "previous", "candidate")
        row: dict[str, Any] = {"id": release_id, "is": [name for name in names if getattr(now, name) == release_id]}
        try:
            release = shelf.get(release_id)
            row |= {"signed_at": timestamp(datetime.fromtimestamp(release.signed_at, timezone.utc)), "problem": None}
            row["models"] = described(release, settings.models.public_key)
        except (ModelError, OverflowError, ValueError, OSError) as error:
            row |= {"signed_at": None, "models": {}, "problem": str(error)}
        summary = summary_of(settings.state.folder, release_id)
        row["shadow"] = None if summary is None else asdict(summary)
        rows.append(row)
    if as_json:
        told = now.model_dump(by_alias=True, include={"active", "previous", "can_go_back", "candidate", "why_back"})
        print(json.dumps({"schema": "edge.models/1", **told, "releases": rows}))
        return DONE
    for row in rows:
        print(_line(row))
        if row["shadow"] is not None:
            print(f"{'':66}{words(Summary(**row['shadow']))}")
    if now.active is None:
        print("in use: the models of the configuration")
    if now.can_go_back and now.previous is None:
        print("a rollback goes back to the models of the configuration")
    if now.why_back:
        print(f"not used: {now.why_back}")
    if not settings.fleet.source:
        print("edge-models: fleet.source is empty, so none of these is used", file=sys.stderr)
    return SOME_FAILED if any(row["problem"] for row in rows) else DONE


def _line(row: Mapping[str, Any]) -> str:
    words = {"active": "in use", "previous": "before", "candidate": "candidate"}
    what = ", ".join(words[name] for name in row["is"]) or "kept"
    about = row["problem"] or "; ".join(f"{role} {one['name']} {one['version']}" for role, one in row["models"].items())
    return f"{row['id']}  {what:<9}  {about}"


def choose(settings: CommandSettings, action: str, typed: str | None) -> int:
    """Have the service carry out a choice; where it does not run, make it, and it counts from its next start.

    typed: the beginning of an id, None for a rollback from what is in use. Raises ConfigError, ModelError, StateError.
    """
    if not settings.fleet.source:
        raise ConfigError("fleet.source in the configuration is empty, so the models are those of the configuration")
    shelf = Shelf(settings.state.folder)
    try:
        release_id = shelf.full_id(typed) if typed else shelf.standing().active
        if release_id is None:
            raise ConfigError("there is nothing to go back from: the models of the configuration are in use")
        if is_held(settings.state.folder):
            fields = {"action": action, "release": release_id}
            told = page_requests.ask(settings.state.folder, "models", fields, getpass.getuser())
            if not told.ok:
                print(f"edge-models: {told.error}", file=sys.stderr)
                return SOME_FAILED
            active = (told.result or {}).get("active")
        else:
            if action == "switch":
                described(shelf.get(release_id), settings.models.public_key)
                shelf.get(release_id).in_place_of(settings)
            active = getattr(shelf, action)(release_id).active
            print("edge-models: the service does not run; this counts from its next start", file=sys.stderr)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    print(f"in use: {active or 'the models of the configuration'}")
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = new_parser(
        "edge-models", "Signed models for one or many boxes: announced, looked at, switched to, rolled back.", EXAMPLE
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="{announce,list,compare,switch,rollback,drop}")
    announcing = new_action(
        actions,
        "announce",
        "Check a signed folder of models, and have the broker tell all boxes of it.",
        "edge-models announce models-2",
    )
    announcing.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help=f"models, cards, {MANIFEST}, {SIGNATURE}")
    announcing.add_argument("--withdraw", action="store_true", help="announce nothing any more")
    announcing.add_argument(
        "--put", type=Path, metavar="DIR", help="copy the release into DIR first, in a folder named by its id"
    )
    announcing.add_argument("--note", metavar="TEXT", help="what is new, for people")
    announcing.add_argument("--public-key", default="", metavar="RW…", help="the key that boxes believe (models.public_key)")
    announcing.add_argument("--broker", type=_address, metavar="HOST:PORT", help="in place of that of the configuration")
    listing = new_action(actions, "list", "Print the releases of this box, and which is in use.", "edge-models list --json")
    listing.add_argument("--json", action="store_true", help="one line of JSON: edge.models/1")
    comparing = new_action(
        actions,
        "compare",
        "Print what a candidate says otherwise than the models in use, image by image.",
        "edge-models compare --out changes.html",
    )
    comparing.add_argument("--release", metavar="ID", help="of the release, or how it begins (the candidate)")
    comparing.add_argument("--out", type=Path, metavar="FILE.html", help="a page with the images that changed most")
    comparing.add_argument("--csv", type=Path, metavar="FILE", help="every image that changed")
    comparing.add_argument("--most", type=whole_number, default=50, metavar="N", help="images on the page (%(default)s)")
    for name, about in _CHOICES.items():
        choice = new_action(actions, name, about, f"edge-models {name}{'' if name == 'rollback' else ' 4079f8a565441083'}")
        if name != "rollback":
            choice.add_argument("release", metavar="ID", help="of the release, or how it begins, as `list` shows it")
    return parser


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text
