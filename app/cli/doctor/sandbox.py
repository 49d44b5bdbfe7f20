"""What this machine allows to shut code in with; asked of the kernel, changing nothing."""

import asyncio
import ctypes
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from app.cli.doctor.checks import Check, fine, warning
from app.settings import Settings

SANDBOX = "sandbox"
TIMEOUT_S = 5.0
UNUSED = "no tool of this version runs code"
CURE = (
    "Nothing to do yet: tools that run code, once there are some, will stay off here. They need "
    "Linux with seccomp, and Landlock or user namespaces."
)
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION = 1
_ACTIONS = Path("/proc/sys/kernel/seccomp/actions_avail")
# Namespaces are entered by a process of their own, which ends right after. Some systems allow the
# user namespace and nothing inside it, so a second one is tried within.
_NAMESPACES = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
user, network, mounts, processes = 0x10000000, 0x40000000, 0x00020000, 0x20000000
print(json.dumps(libc.unshare(user) == 0 and libc.unshare(network | mounts | processes) == 0))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """What the kernel offers; `landlock_abi` is 0 without Landlock."""

    namespaces: bool
    landlock_abi: int
    seccomp: bool

    @property
    def level(self) -> str:
        """How well code could be shut in: strong, medium or none."""
        if not self.seccomp or not (self.namespaces or self.landlock_abi):
            return "none"
        return "strong" if self.namespaces and self.landlock_abi else "medium"


async def look_at_sandbox(_: Settings) -> Check:
    """Ask the kernel what it allows this user."""
    if sys.platform != "linux":
        return warning(SANDBOX, f"none on {sys.platform}; {UNUSED}", CURE)
    namespaces, abi, seccomp = await asyncio.gather(
        _enters_namespaces(),
        asyncio.to_thread(_landlock_abi),
        asyncio.to_thread(_has_seccomp),
    )
    return judged(Walls(namespaces=namespaces, landlock_abi=abi, seccomp=seccomp))


def judged(walls: Walls) -> Check:
    """Say which level there could be, and of what it is made."""
    parts = [
        "user namespaces" if walls.namespaces else "no user namespaces",
        f"Landlock ABI {walls.landlock_abi}" if walls.landlock_abi else "no Landlock",
        "seccomp" if walls.seccomp else "no seccomp",
    ]
    found = f"{walls.level} ({', '.join(parts)}); {UNUSED}"
    return warning(SANDBOX, found, CURE) if walls.level == "none" else fine(SANDBOX, found)


async def _enters_namespaces() -> bool:
    try:
        probe = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _NAMESPACES,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
    except OSError:
        return False
    try:
        said, _ = await asyncio.wait_for(probe.communicate(), TIMEOUT_S)
    except TimeoutError:
        probe.kill()
        await probe.wait()
        return False
    try:
        return json.loads(said) is True
    except json.JSONDecodeError:
        return False


def _landlock_abi() -> int:
    """The newest interface that the kernel knows (landlock_create_ruleset, version flag)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    found: int = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    return max(0, found)


def _has_seccomp() -> bool:
    """True when the kernel takes filters."""
    try:
        return "errno" in _ACTIONS.read_text("ascii").split()
    except OSError:
        return False
