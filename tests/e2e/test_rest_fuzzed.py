"""REST under schemathesis: requests made of the OpenAPI file, good and bad, by a fixed seed."""

import subprocess
import sys
from pathlib import Path

from tests.e2e.gob_process import TRACEBACK, GobProcess, clean_settings

ROOT = Path(__file__).parents[2]
SEED = 20261122
EXAMPLES = 8
DEADLINE_S = 120


def test_no_request_made_of_the_openapi_file_finds_a_fault(tmp_path: Path):
    with GobProcess(tmp_path / "gob") as gob:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
                *("run", str(ROOT / "docs" / "api" / "openapi.yaml"), "--url", gob.address),
                *("--header", f"Authorization: Bearer {gob.key}", "--no-color"),
                *("--seed", str(SEED), "--max-examples", str(EXAMPLES)),
                "--generation-deterministic",
            ],
            env=clean_settings(tmp_path / "fuzz", {}),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert TRACEBACK not in gob.err
        assert [line for line in gob.lines if line["level"] == "error"] == []
