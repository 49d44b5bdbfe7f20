"""Installing says what is wrong in one sentence, and does nothing when it was done."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ABSENT = f"gob-absent-package==1.0 \\\n    --hash=sha256:{'0' * 64}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder, with a name that needs quoting, whose locks name one tiny package."""
    root = tmp_path / "a project's folder"
    (root / "ops" / "lock").mkdir(parents=True)
    shutil.copy(ROOT / "ops" / "bootstrap.sh", root / "ops")
    digest = hashlib.sha256(tiny_wheel(tmp_path / "wheels").read_bytes()).hexdigest()
    for name in ("runtime", "dev"):
        lock = f"# {name}\ngob-tiny==1.0 \\\n    --hash=sha256:{digest}\n"
        (root / "ops" / "lock" / f"{name}.txt").write_text(lock)
    (root / "app").mkdir()
    (root / "app" / "__init__.py").write_text("")
    (root / "app" / "__main__.py").write_text("import sys; print('ours', *sys.argv[1:])")
    return root


def tiny_wheel(folder: Path) -> Path:
    """A package of one line, so that installing needs no network."""
    folder.mkdir()
    wheel = folder / "gob_tiny-1.0-py3-none-any.whl"
    meta = "gob_tiny-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gob_tiny.py", "SIZE = 1\n")
        archive.writestr(
            f"{meta}/METADATA", "Metadata-Version: 2.1\nName: gob-tiny\nVersion: 1.0\n"
        )
        tag = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{meta}/WHEEL", tag)
        names = ("gob_tiny.py", f"{meta}/METADATA", f"{meta}/WHEEL", f"{meta}/RECORD")
        archive.writestr(f"{meta}/RECORD", "".join(f"{name},,\n" for name in names))
    return wheel


def bootstrap(
    project: Path, want: str, settings: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the script as make does, without a package index."""
    return subprocess.run(
        ["/bin/sh", str(project / "ops" / "bootstrap.sh"), want],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": (project.parent / "wheels").as_uri(),
            **(settings or {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_installing_twice_does_nothing_the_second_time(project: Path):
    first = bootstrap(project, "dev")
    second = bootstrap(project, "dev")
    less = bootstrap(project, "runtime")

    assert first.returncode == 0, first.stderr
    assert first.stderr.endswith("Installed.\n")
    assert (second.returncode, second.stderr) == (0, "")
    assert (less.returncode, less.stderr) == (0, "")


def test_the_command_runs_ours_from_any_folder(project: Path, tmp_path: Path):
    bootstrap(project, "runtime")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "app").mkdir(parents=True)
    (elsewhere / "app" / "__main__.py").write_text("print('theirs')")

    said = subprocess.run(
        [str(project / ".venv" / "bin" / "gob"), "one", "two words"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert said.stdout == "ours one two words\n"


def test_a_lock_that_changed_is_installed_and_a_failure_is_tried_again(project: Path):
    bootstrap(project, "dev")
    (project / "ops" / "lock" / "dev.txt").write_text(ABSENT)
    offline = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:1/simple"}

    failed = bootstrap(project, "dev", offline)
    again = bootstrap(project, "dev", offline)

    sentence = (
        "The package index cannot be reached; check the network and run the same command again "
        "(what pip said: .venv/install.log).\n"
    )
    assert failed.returncode == again.returncode == 1
    assert failed.stderr.endswith(sentence)
    assert again.stderr.endswith(sentence)
    assert "Traceback" not in failed.stderr


def test_a_python_that_is_too_old_is_named(project: Path, tmp_path: Path):
    old = script(tmp_path / "python-old", "exit 1")

    refused = bootstrap(project, "runtime", {"PYTHON": old})

    assert refused.returncode == 1
    assert refused.stderr == f"PYTHON={old} is older than Python 3.11; give a newer one.\n"
    assert not (project / ".venv").exists()


def test_a_machine_with_only_an_old_python_is_told(project: Path, tmp_path: Path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "cksum", "cat"):
        (tools / name).symlink_to(str(shutil.which(name)))
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        script(tools / name, '[ "$1" = --version ] && echo "Python 3.9.1" && exit 0; exit 1')

    refused = bootstrap(project, "runtime", {"PATH": str(tools), "PYTHON": ""})

    assert refused.returncode == 1
    assert refused.stderr == (
        "GOB needs Python 3.11 or newer and found only Python 3.9.1; install a newer one "
        "or say PYTHON=/path/to/python3 make ...\n"
    )


@pytest.mark.parametrize(
    ("problem", "start"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full;"),
        ("OSError: [Errno 30] Read-only file system", "Files in "),
        ("ensurepip is not available", "{python} cannot make a virtual environment;"),
    ],
)
def test_a_venv_that_cannot_be_made_is_explained(
    project: Path, tmp_path: Path, problem: str, start: str
):
    python = script(
        tmp_path / "python", f'case $1 in -m) echo "{problem}" >&2; exit 1;; esac; exit 0'
    )

    refused = bootstrap(project, "runtime", {"PYTHON": python})

    assert refused.returncode == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith(start.format(python=python))
    assert not (project / ".venv").exists()


def test_an_unknown_set_is_refused(project: Path):
    refused = bootstrap(project, "everything")

    assert (refused.returncode, refused.stderr) == (1, "Say what to install: runtime or dev.\n")
