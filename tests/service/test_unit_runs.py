"""The hardened units, run by a real systemd: what they may do is enough, and they keep what they promise."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from edge.web import users
from tests.fakes.brokers import Listener, Mosquitto, eventually, free_port, needs_mosquitto
from tests.fakes.service_manager import ServiceManager, needs_service_manager
from tests.service.running_daemon import modes, png
from tests.service.test_units import SYSTEMD

pytestmark = [pytest.mark.slow, pytest.mark.broker, needs_mosquitto, needs_service_manager]

CONFIG = """
[watch]
folder = "/srv/sem/export"
rescan_s = 1
[mqtt]
host = "127.0.0.1"
port = {port}
"""
DAEMON = "sem-corrosion-edge.service"
DASHBOARD = "sem-corrosion-dashboard.service"
ENGINE = "sem-corrosion-engine.service"

A_CREDENTIAL = f"""
unit=etc/systemd/system/{DAEMON}.d
mkdir $unit
printf '[Service]\\nLoadCredential=mqtt-password:/etc/sem-corrosion-edge/mqtt-password\\n' > $unit/password.conf
(umask 077; echo secret > etc/sem-corrosion-edge/mqtt-password)
"""

# Nodes without a driver behind them: who may open one hears ENXIO or ENODEV, who may not EPERM.
PLAYED_GPU = r"""
printf 'Character devices:\n 10 misc\n195 nvidia\n195 nvidiactl\n226 drm\n\nBlock devices:\n' > run/devices
mount --bind run/devices proc/devices
mknod -m 666 dev/nvidia0 c 195 0
mknod -m 666 dev/nvmap c 10 250
mknod -m 666 dev/elsewhere c 10 251
printf '#!/bin/sh\n[ -e /dev/nvidiactl ] || mknod -m 666 /dev/nvidiactl c 195 255\n' > usr/bin/nvidia-modprobe
chmod 755 usr/bin/nvidia-modprobe
chroot . groupadd --system --force render
"""
PROBE = r"""
import errno, os, sys
for name in ("nvidia0", "nvidiactl", "nvmap", "elsewhere"):
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDWR))
    except OSError as error:
        print(name, errno.errorcode[error.errno])
"""


def test_the_hardened_daemon_inspects_what_its_group_may_read_and_keeps_its_state_to_itself(tmp_path: Path) -> None:
    passwords, login = tmp_path / "users", {"username": "sem-01", "password": "secret"}
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), *login.values()], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}")
    config = CONFIG.format(port=broker.port) + 'username = "sem-01"\npassword_file = "mqtt-password"\n'
    with (
        broker,
        Listener(broker.port, **login) as dashboard,
        ServiceManager(tmp_path / "systemd", config, A_CREDENTIAL) as manager,
    ):
        manager.run("systemctl", "start", DAEMON)  # Type=notify: it returns when the daemon has said READY=1
        folder = manager.root / "srv/sem/export"
        put(folder / "first.png", 1)
        eventually(lambda: inspected(dashboard, "first.png"), 120, "first.png")

        manager.run("mkdir", "/srv/sem/export/late")
        options = f"mode=2750,gid={folder.stat().st_gid}"
        manager.run("mount", "-t", "tmpfs", "-o", options, "late", "/srv/sem/export/late")
        put(folder / "late" / "second.png", 2)
        eventually(lambda: inspected(dashboard, "second.png"), 120, "an image on a share that was mounted after the start")

        names = [f"{number}.png" for number in range(8)]
        for name in names:
            put(folder / name, 3)
        eventually(lambda: inspected(dashboard, names[0]), 120, names[0])
        manager.run("systemctl", "kill", "-s", "KILL", DAEMON)
        eventually(lambda: all(inspected(dashboard, name) for name in names), 120, "also what a kill interrupted, in a child")

        state = manager.root / "var/lib/sem-corrosion-edge"
        assert not {name: oct(mode) for name, mode in modes(state).items() if mode & 0o077}
        manager.run("systemctl", "stop", DAEMON)
        assert "Result=success" in manager.run("systemctl", "show", "-p", "Result", DAEMON)
        assert manager.journal(DAEMON).count("Traceback") == 0


def opened(manager: ServiceManager, unit: str, drop_in: str, more: str = "") -> dict[str, str]:
    """What opening each device says in `unit` with a drop-in of ours."""
    folder = manager.root / f"etc/systemd/system/{unit}.d"
    folder.mkdir(exist_ok=True)
    (folder / "gpu.conf").write_text((SYSTEMD / drop_in).read_text())
    command = f"ExecStart=\nExecStart={sys.executable} /opt/probe.py"
    (folder / "probe.conf").write_text(
        f"[Service]\nType=oneshot\nRestart=no\nStandardOutput=truncate:/run/said\n{command}\n{more}\n"
    )
    probe = manager.root / "opt/probe.py"
    probe.write_text(PROBE)
    probe.chmod(0o644)  # the unit's user reads it, whatever the umask here
    manager.run("systemctl", "daemon-reload")
    manager.run("systemctl", "start", unit)
    return dict(line.split() for line in (manager.root / "run/said").read_text().splitlines())


def test_each_gpu_drop_in_opens_its_devices_in_both_units_and_no_others(tmp_path: Path) -> None:
    with ServiceManager(tmp_path / "systemd", CONFIG.format(port=1883), PLAYED_GPU) as manager:
        shut = opened(manager, DAEMON, "gpu-pc.conf", "ProtectClock=yes\nDeviceAllow=")
        if shut["nvidia0"] != "EPERM":
            pytest.skip("systemd cannot restrict devices in a namespace of this machine: it needs root with BPF")
        for unit in (DAEMON, ENGINE):
            assert opened(manager, unit, "gpu-pc.conf") == {
                "nvidia0": "ENXIO", "nvidiactl": "ENXIO", "nvmap": "EPERM", "elsewhere": "EPERM"
            }  # fmt: skip
            on_jetson = opened(manager, unit, "gpu-jetson.conf")
            assert on_jetson["nvmap"] in ("ENXIO", "ENODEV")
            assert on_jetson["elsewhere"] == "EPERM"


OPTIONS = (
    "--broker mqtt://dashboard@127.0.0.1:{broker} --password-file broker-password --listen 127.0.0.1:{port}"
    " --users /etc/sem-corrosion-dashboard/users --tls-cert /etc/sem-corrosion-dashboard/page.crt"
    " --tls-key /etc/sem-corrosion-dashboard/page.key"
)
A_DASHBOARD = """
own=etc/sem-corrosion-dashboard
unit=etc/systemd/system/{dashboard}.d
systemd-sysusers --root=$PWD {units}/sem-corrosion-dashboard.sysusers
mkdir $own $unit
cp {folder}/page.crt {folder}/page.key {folder}/users $own/
chmod 644 $own/page.crt
echo 'OPTIONS="{options}"' > $own/options
printf '[Service]\\nLoadCredential=broker-password:/etc/sem-corrosion-dashboard/broker-password\\n' > $unit/password.conf
(umask 077; echo secret > $own/broker-password)
chroot . chown sem-corrosion-dashboard /$own/page.key
chroot . systemd-tmpfiles --create - < {units}/sem-corrosion-dashboard.tmpfiles
"""


def test_the_hardened_dashboard_logs_in_with_a_credential_and_shows_its_page_to_who_logs_in(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    trustme = pytest.importorskip("trustme")
    passwords, port = tmp_path / "passwords", free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "dashboard", "secret"], check=True, capture_output=True)
    passwords.chmod(0o644)
    authority = trustme.CA()
    issued, context = authority.issue_cert("127.0.0.1"), ssl.create_default_context()
    authority.configure_trust(context)
    issued.private_key_pem.write_to_path(str(tmp_path / "page.key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "page.crt"))
    users.write(tmp_path / "users", {"ann": users.User("ann", users.hashed("long enough"), "read")})
    broker = Mosquitto(tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}")
    options = OPTIONS.format(broker=broker.port, port=port)
    prepare = A_DASHBOARD.format(dashboard=DASHBOARD, units=SYSTEMD, folder=tmp_path, options=options)

    def asked(path: str, body: str | None = None) -> int:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"https://127.0.0.1:{port}{path}", body and body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    with broker, ServiceManager(tmp_path / "systemd", CONFIG.format(port=broker.port), prepare) as manager:
        manager.run("systemctl", "start", DASHBOARD)  # Type=notify: it returns when the page is served
        eventually(lambda: "connected to the broker" in manager.journal(DASHBOARD), 120, "the broker takes the credential")
        assert asked("/") == 200
        assert asked("/api/fleet") == 401
        assert asked("/api/login", '{"name": "ann", "password": "long enough"}') == 200
        manager.run("systemctl", "stop", DASHBOARD)
        assert "Result=success" in manager.run("systemctl", "show", "-p", "Result", DASHBOARD)
        log = manager.journal(DASHBOARD)
        assert "Traceback" not in log
        assert "secret" not in log
        (manager.root / "etc/sem-corrosion-dashboard/options").write_text('OPTIONS="--prefix nonsense"\n')
        manager.run("systemctl", "start", DASHBOARD, check=False)
        eventually(
            lambda: "Result=exit-code" in manager.run("systemctl", "show", "-p", "Result", DASHBOARD), 120, "it stays down"
        )
        assert "ActiveState=failed" in manager.run("systemctl", "show", "-p", "ActiveState", DASHBOARD)


def put(path: Path, seed: int) -> None:
    """A file that its owner and the folder's group may read."""
    path.write_bytes(png(seed))
    path.chmod(0o640)
    os.chown(path, 65534, path.parent.stat().st_gid)


def inspected(listener: Listener, name: str) -> bool:
    return any(message.body["image"]["name"] == name for message in listener.on("/inspection"))


# mount(8) calls this for Type=cifs. The PC is off as long as it has no folder; the credentials must be root's alone.
PLAYED_SHARE = r"""
cat > usr/sbin/mount.cifs <<'SCRIPT'
#!/bin/sh
echo "$@" >> /run/mounted
case "$*" in *credentials=/etc/sem-corrosion-edge/share.cred*) ;; *) exit 1;; esac
[ -d /srv/pc ] || { echo 'mount error(112): Host is down' >&2; exit 32; }
exec mount --bind -o ro /srv/pc "$2"
SCRIPT
chmod 755 usr/sbin/mount.cifs
[ ! -e /dev/autofs ] || cp -a /dev/autofs dev/
rm -rf srv/sem; mkdir -p etc/systemd/system/sem-corrosion-edge.service.d
cp {units}/srv-sem-export.mount {units}/srv-sem-export.automount etc/systemd/system/
cp {units}/share.conf etc/systemd/system/sem-corrosion-edge.service.d/
"""


@pytest.mark.skipif(not Path("/dev/autofs").exists(), reason="systemd in a namespace needs autofs to mount by looking")
def test_the_hardened_daemon_mounts_a_share_by_looking_and_outlives_a_pc_that_is_off(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    config = CONFIG.format(port=broker.port).replace("[mqtt]", "must_be_mount = true\nsettle_s = 0.5\n[mqtt]")
    prepare = PLAYED_SHARE.replace("{units}", str(SYSTEMD))
    with broker, Listener(broker.port) as dashboard, ServiceManager(tmp_path / "systemd", config, prepare) as manager:
        manager.run("systemctl", "start", DAEMON)  # the PC is off
        mounted = manager.root / "run/mounted"
        eventually(lambda: mounted.exists() and len(mounted.read_text().splitlines()) > 12, 180, "attempts, more than a burst")
        assert states(dashboard)[-1] == "degraded"

        switch_on(manager, "first.png", 1)
        eventually(lambda: inspected(dashboard, "first.png"), 120, "an image of a PC that was switched on")
        eventually(lambda: states(dashboard)[-1] == "online", 120, "online")

        manager.run("rm", "-r", "/srv/pc")
        manager.run("systemctl", "stop", "srv-sem-export.mount")
        eventually(lambda: states(dashboard)[-1] == "degraded", 120, "degraded")
        switch_on(manager, "second.png", 2)
        eventually(lambda: inspected(dashboard, "second.png"), 120, "an image after it was off")
        assert "ActiveState=active" in manager.run("systemctl", "show", "-p", "ActiveState", "srv-sem-export.automount")
        assert manager.journal(DAEMON).count("Traceback") == 0


def switch_on(manager: ServiceManager, name: str, seed: int) -> None:
    """The PC serves a folder with one image."""
    (manager.root / "srv/new").mkdir()
    (manager.root / "srv/new" / name).write_bytes(png(seed))
    (manager.root / "srv/new" / name).chmod(0o444)
    (manager.root / "srv/new").chmod(0o755)
    manager.run("mv", "/srv/new", "/srv/pc")


def states(listener: Listener) -> list[str]:
    return [message.body["state"] for message in listener.on("/status")]
