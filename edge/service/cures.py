"""A reason why the status is degraded in, what to do about it out: the one table of cures."""

from __future__ import annotations

import re
from typing import Final

CURES: Final[tuple[tuple[str, str], ...]] = (
    (
        r"the models are being loaded",
        "Wait: this takes seconds, minutes on a small machine at the first start. If it stays, the service's log says why.",
    ),
    (r"^paused", "Send the command `resume` when images are to be inspected again; they wait meanwhile, and none is lost."),
    (
        r"cannot list the watched folder",
        "Mount the share or create the folder, and let the service's user read and search it. Nothing counts as deleted.",
    ),
    (
        r"share is no longer mounted",
        "Mount the share again. If the folder is to be a local one from now on, restart the service.",
    ),
    (
        r"watch\.must_be_mount",
        "Mount the share on this very folder (`findmnt` shows what is), or set watch.must_be_mount = false.",
    ),
    (
        r"watch\.marker",
        "Mount the share; if it is mounted, put an empty file of this name into it, or correct watch.marker.",
    ),
    (
        r"in the watched folder cannot be looked at",
        "Give the service's user read and search permission below the watched folder; move what has too long a path nearer to"
        " the top. No image there is inspected meanwhile; the others are.",
    ),
    (
        r"no new image for",
        "Look whether the microscope is in use and its export is switched on, and where it writes. If a break is planned, raise"
        " watch.expect_every_h or name working hours in watch.expect_during.",
    ),
    (
        r"the watched folder .* does not answer",
        "Look at the server behind the share and at the network; `ls` in the folder hangs, too. It goes on by itself.",
    ),
    (
        r"^the disk that holds|MiB are free where the state lies",
        "Free some space on the disk of state.folder, or lower state.max_gib. Images wait meanwhile, and nothing is lost.",
    ),
    (
        r"^the clock is .* days",
        "Have a time service set the clock (`timedatectl status` shows it). Images are inspected, and nothing is forgotten.",
    ),
    (
        r"fill state\.max_gib",
        "Bring the broker back (`edge-doctor --config FILE` says what is wrong with it), or raise state.max_gib. Images wait.",
    ),
    (
        r"^the chosen adaptation is not used",
        "Choose another with the command `taught`, or put the file back into `taught/` of the state folder and choose it again."
        " Images are inspected as without one meanwhile, and each inspection says so.",
    ),
    (
        r"^the announced models are not taken",
        "Do what the reason says where the release is made, and announce it again (`edge-models announce`), or withdraw it."
        " Images are inspected with the models in use.",
    ),
    (
        r"^the announced models cannot be fetched yet",
        "See that fleet.source is reached from here and has the whole folder of this release. It is tried again by itself, and"
        " images are inspected with the models in use.",
    ),
    (
        r"^the candidate .* is given up",
        "Drop it with `edge-models drop ID`, and have its makers look at the reason. To try it once more, restart the service."
        " The models in use are not touched by it, and no image waits.",
    ),
    (
        r"^the chosen models are not used",
        "Switch to another release (`edge-models list` shows what is there), or drop the one that was left. Images are"
        " inspected with what was used before.",
    ),
    (
        r"^the inference server at",
        "See that the server runs and is reached from here (`edge-doctor --config FILE`), and that it serves this box's models:"
        " `edge-export triton` writes them. Images wait, or are inspected here, as kserve.away says.",
    ),
    (
        r"^this program makes the journal in",
        "Free as much as the reason says on the disk of state.folder, and start the service again. docs/use/upgrade.md tells"
        " what the copy is for.",
    ),
    (
        r"is damaged",
        "Stop the service, keep a copy of the state folder, and put back a backup or move journal.sqlite3 away to begin anew.",
    ),
    (
        r"is in use by process|was removed or replaced while|vanishes whenever it is locked",
        "See that one service alone uses this state.folder and that nothing removes files in it; then restart it.",
    ),
    (
        r"program writes|install the version that wrote it",
        "Install the release that wrote this state folder, or a newer one; or name another state.folder.",
    ),
    (
        r"on Linux alone",
        "Run the service on Linux; elsewhere a state folder can be viewed, with `edge-review` and `edge-report`.",
    ),
    (
        r"^opcua\.listen ",
        "Free the address (`ss -ltnp` shows who has it) or name another in [opcua]; see that cert_file and key_file can be"
        " read. It is tried again by itself, and inspecting goes on.",
    ),
    (
        r"cannot be used|the state folder|the journal in .* is closed",
        "See that the disk of state.folder works (`dmesg`) and that the service's user may write there; then restart it.",
    ),
    (
        r"^gpu_lost",
        "See what `nvidia-smi` says; after a driver's update restart the machine. Under systemd, docs/use/gpu.md tells what"
        " the unit must be allowed. Images are inspected on the processor meanwhile.",
    ),
    (
        r"another client may use",
        "Stop the other device. If its disk was cloned, give it a device.id of its own and remove its state folder.",
    ),
    (
        r"the broker lets us publish nothing to",
        "Allow the topic in the broker's access rules, for the user of mqtt.username. It is tried again; nothing else waits.",
    ),
    (
        r"more comes in than is answered",
        "Find the client that sends so many commands (the log names what they ask for), and stop it or deny it our topics.",
    ),
    (
        r"^the live page does not run",
        "Do what the reason says: the page is tried again by itself. Inspecting and sending go on meanwhile.",
    ),
    (
        r"does the share or network behind it hang",
        "Look at the server behind it and at the network. Everything else goes on, and what waits comes by itself.",
    ),
    (
        r"^csv\.folder ",
        "Mount or make the folder, let the service's user write there (under systemd also ReadWritePaths=), make room, or close"
        " the table where it is open. All rows wait, and are written by themselves.",
    ),
    (
        r"^webhook\.url ",
        "Do what the reason says at the server or in [webhook]; docs/use/webhook.md tells what each answer means. All verdicts"
        " wait, and are sent by themselves.",
    ),
    (
        r"^channel ",
        "Look at the settings of this format and at the broker's access rules for its topics. Everything else goes on.",
    ),
)
"""Regular expression of the reason, cure; the first that fits counts. The tests find every reason that the code can give."""

UNKNOWN: Final = "The service's log says more."


def cure_of(problem: str) -> str:
    """What to do about a reason of `edge.status/1`; a pointer to the log where the table has no row for it."""
    return next((cure for pattern, cure in CURES if re.search(pattern, problem)), UNKNOWN)
