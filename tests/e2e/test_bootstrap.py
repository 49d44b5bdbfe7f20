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
    """A project of tiny packages, nothing installed."""
    return project_in(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose server is installed; its tests leave that as it is."""
    project = project_in(tmp_path_factory.mktemp("installed"))
    done = bootstrap(project, "runtime")
    assert done.returncode == 0, done.stderr
    return project


def project_in(tmp_path: Path) -> Path:
    """A folder, with a name that needs quoting, whose locks name one or two tiny packages."""
    root = tmp_path / "a project's folder"
    (root / "ops" / "lock").mkdir(parents=True)
    shutil.copy(ROOT / "ops" / "bootstrap.sh", root / "ops")
    (tmp_path / "wheels").mkdir()
    tiny = pinned(tiny_wheel(tmp_path / "wheels", "gob_tiny"))
    further = pinned(tiny_wheel(tmp_path / "wheels", "gob_further"))
    for name, lock in (("runtime", tiny), ("dev", tiny), ("providers", tiny + further)):
        (root / "ops" / "lock" / f"{name}.txt").write_text(f"# {name}\n{lock}")
    (root / "app").mkdir()
    (root / "app" / "__init__.py").write_text("")
    (root / "app" / "__main__.py").write_text("import sys; print('ours', *sys.argv[1:])")
    return root


def tiny_wheel(folder: Path, name: str) -> Path:
    """A package of one line, so that installing needs no network."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    meta = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "SIZE = 1\n")
        archive.writestr(f"{meta}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        tag = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{meta}/WHEEL", tag)
        names = (f"{name}.py", f"{meta}/METADATA", f"{meta}/WHEEL", f"{meta}/RECORD")
        archive.writestr(f"{meta}/RECORD", "".join(f"{each},,\n" for each in names))
    return wheel


def pinned(wheel: Path) -> str:
    """The wheel's lines in a lock."""
    name = wheel.name.partition("-")[0].replace("_", "-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}==1.0 \\\n    --hash=sha256:{digest}\n"


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


def has_further(project: Path) -> bool:
    """Tell whether the package that only `providers` names is there."""
    asked = subprocess.run(
        [str(project / ".venv" / "bin" / "python"), "-c", "import gob_further"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return asked.returncode == 0


def test_providers_come_on_top_and_are_kept_up_to_date(installed: Path):
    lock = installed / "ops" / "lock" / "providers.txt"
    good = lock.read_text()
    lock.write_text(good + ABSENT)

    failed = bootstrap(installed, "providers")
    base = bootstrap(installed, "runtime")

    assert failed.returncode == 1
    assert "ops/lock/providers.txt is not offered" in failed.stderr
    assert (base.returncode, base.stderr) == (0, "")
    assert not has_further(installed)

    lock.write_text(good)
    added = bootstrap(installed, "providers")
    lock.write_text(f"# newer\n{good}")
    updated = bootstrap(installed, "runtime")
    again = bootstrap(installed, "runtime")

    assert added.returncode == 0, added.stderr
    assert has_further(installed)
    assert "ops/lock/providers.txt" in updated.stderr
    assert "ops/lock/runtime.txt" not in added.stderr + updated.stderr
    assert (again.returncode, again.stderr) == (0, "")


def test_the_command_runs_ours_from_any_folder(installed: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "app").mkdir(parents=True)
    (elsewhere / "app" / "__main__.py").write_text("print('theirs')")

    said = subprocess.run(
        [str(installed / ".venv" / "bin" / "gob"), "one", "two words"],
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

    assert (refused.returncode, refused.stderr) == (
        1,
        "Say what to install: runtime, dev or providers.\n",
    )
