"""The CUDA driver and the kernel's lists of hardware in; the first GPU, or in CUDA's words why there is none, out.

What tells two GPUs of one name apart is asked as well: CUDA calls Orin Nano, NX and AGX all "Orin", 8.7.

Makes no context, so it takes no memory of the GPU; needs neither TensorRT nor PyCUDA.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PCI: Final = Path("/sys/bus/pci/devices")
DEVICE_TREE: Final = Path("/proc/device-tree/compatible")
NODES_OF_A_PC: Final = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm")
NODES_OF_A_JETSON: Final = ("/dev/nvmap",)

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
"""CUDA reads it when the process first asks it anything, and then shows these GPUs alone."""
_NVIDIA = "0x10de"
_GPU_CLASSES = ("0x03", "0x12")
"""PCI's display controllers and processing accelerators; NVIDIA also made bridges and sound."""
# CUDA driver API, enum CUdevice_attribute.
_MULTIPROCESSORS, _INTEGRATED, _MAJOR, _MINOR = 16, 18, 75, 76
_MIG = re.compile(r"\bMIG (\S+)")
"""How CUDA names a part of a GPU: "NVIDIA A100-SXM4-40GB MIG 1g.5gb"."""

# CUDA driver API, enum CUresult: the name, what NVIDIA says about it in short, and what to do.
_RESULTS: Final[dict[int, tuple[str, str, str]]] = {
    46: ("CUDA_ERROR_DEVICE_UNAVAILABLE", "the GPU is busy or must not be used", "see who holds it: nvidia-smi"),
    100: ("CUDA_ERROR_NO_DEVICE", "no GPU is seen", "look at nvidia-smi, at the unit's drop-in and at the groups of its user"),
    101: ("CUDA_ERROR_INVALID_DEVICE", "there is no such GPU", "look at CUDA_VISIBLE_DEVICES and nvidia-smi"),
    802: ("CUDA_ERROR_SYSTEM_NOT_READY", "the system is not ready", "see that NVIDIA's fabric manager runs"),
    803: ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "the driver's library and its kernel module differ, as after an update",
          "restart the machine"),
    804: ("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "the driver is too old for this CUDA on this GPU",
          "update the driver, or remove the package cuda-compat"),
    999: ("CUDA_ERROR_UNKNOWN", "often a module or device file of the driver is missing",
          "as root: nvidia-modprobe -c 0 -u; then look at the unit's drop-in"),
}  # fmt: skip
_ELSE: Final = "look at nvidia-smi, and for NVRM and Xid in the kernel's log"


@dataclass(frozen=True, slots=True)
class FirstGpu:
    """name: as CUDA gives it.  compute_capability: such as "8.7".

    multiprocessors, memory_mib: None where the driver does not tell.  mig: the part of a divided GPU, such as "1g.5gb".
    uuid: of the whole GPU, "GPU-…".  integrated: it shares the machine's memory, as on a Jetson.
    """

    name: str
    compute_capability: str
    multiprocessors: int | None = None
    memory_mib: int | None = None
    mig: str | None = None
    uuid: str | None = None
    integrated: bool = False


@dataclass(frozen=True, slots=True)
class NoGpu:
    """code: CUDA's result, None where its library cannot be loaded.  why: the same in words, with the cure."""

    code: int | None
    why: str


def choose(uuid: str) -> None:
    """Let CUDA show this process, and those that it starts, one GPU alone: "GPU-…", or "MIG-…" for a part; "" changes nothing.

    To be called before CUDA is asked anything else.
    """
    if uuid:
        os.environ[VISIBLE] = uuid


def first_gpu() -> FirstGpu | NoGpu:
    """The first GPU that CUDA shows, asked of the driver itself."""
    try:
        driver: Any = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return NoGpu(None, f"the CUDA driver cannot be loaded ({error}): install NVIDIA's driver, then restart the service")
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    calls: dict[str, Callable[[], int]] = {
        "cuInit": lambda: driver.cuInit(0),
        "cuDeviceGet": lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
        "cuDeviceGetName": lambda: driver.cuDeviceGetName(name, len(name), device),
        "cuDeviceGetAttribute": lambda: (
            driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
            or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
        ),
    }
    for call, ask in calls.items():
        if result := ask():
            return NoGpu(result, f"{call} says {in_words(result)}{closed_nodes()}{_hidden(result)}")
    named = name.value.decode(errors="replace")
    part = _MIG.search(named)
    return FirstGpu(
        named,
        f"{major.value}.{minor.value}",
        multiprocessors=_attribute(driver, device, _MULTIPROCESSORS) or None,
        memory_mib=_memory_mib(driver, device),
        mig=part[1] if part else None,
        uuid=_uuid(driver, device),
        integrated=bool(_attribute(driver, device, _INTEGRATED)),
    )


def _attribute(driver: Any, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    return 0 if driver.cuDeviceGetAttribute(ctypes.byref(value), which, device) else value.value


def _memory_mib(driver: Any, device: ctypes.c_int) -> int | None:
    size = ctypes.c_size_t()
    ask = getattr(driver, "cuDeviceTotalMem_v2", None)
    failed = ask is None or ask(ctypes.byref(size), device)
    return None if failed else (size.value >> 20) or None


def _uuid(driver: Any, device: ctypes.c_int) -> str | None:
    """Of the whole GPU: its second version gives a part's own, which is another whenever the GPU is divided anew."""
    octets = (ctypes.c_ubyte * 16)()
    ask = getattr(driver, "cuDeviceGetUuid", None)
    if ask is None or ask(ctypes.byref(octets), device) or not any(octets):
        return None
    return f"GPU-{uuid.UUID(bytes=bytes(octets))}"


def _hidden(result: int) -> str:
    """A further clause where a choice of GPUs may hide them all."""
    chosen = os.environ.get(VISIBLE)
    return f"; only {chosen!r} was to be shown ([models] device, {VISIBLE}): nvidia-smi -L" if result == 100 and chosen else ""


def free_mib() -> int | None:
    """Free memory of the GPU whose context the calling thread has; None where it has none."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    try:
        driver: Any = ctypes.CDLL("libcuda.so.1")
        failed = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    except (OSError, AttributeError):
        return None
    return None if failed else free.value >> 20


def in_words(result: int) -> str:
    """One of CUDA's results with its name, what it means and what to try."""
    name, meaning, cure = _RESULTS.get(result, ("an error of CUDA", "see cuda.h, enum CUresult", _ELSE))
    return f"{name} ({result}), {meaning}: {cure}, then restart the service"


def hardware() -> str | None:
    """NVIDIA hardware that the kernel sees, driver or not; None where there is none."""
    try:
        compatible = DEVICE_TREE.read_bytes().split(b"\0")
    except OSError:
        compatible = []
    for one in compatible:
        if one.startswith(b"nvidia,tegra"):
            return f"a Jetson ({one.decode(errors='replace')})"
    for entry in sorted(PCI.glob("*")):
        if _text(entry / "vendor") == _NVIDIA and _text(entry / "class", _GPU_CLASSES[0]).startswith(_GPU_CLASSES):
            return f"an NVIDIA GPU (PCI {entry.name})"
    return None


def closed_nodes() -> str:
    """What is wrong with the driver's device files, as a further clause; empty where nothing is, or no hardware is seen."""
    seen = hardware()
    if seen is None:
        return ""
    wrong = []
    for node in NODES_OF_A_JETSON if seen.startswith("a Jetson") else NODES_OF_A_PC:
        try:
            os.close(os.open(node, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError as error:
            reasons = {errno.ENOENT: "is missing", errno.EACCES: "is closed to this user", errno.EPERM: "is closed by the unit"}
            wrong.append(f"{node} {reasons.get(error.errno or 0, error.strerror)}")
    return f"; {', '.join(wrong)}" if wrong else ""


def _text(path: Path, otherwise: str = "") -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip().lower()
    except OSError:
        return otherwise
