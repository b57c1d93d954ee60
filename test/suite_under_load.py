#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the suite several times in a row while other processes keep cores busy; a line per run, exit 1 if any failed.

. install/setup.bash && python test/suite_under_load.py --runs 5 [-- pytest arguments]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_CLOSING = re.compile(r"^=*\s*(.*\b\d+ (?:passed|failed|errors?|skipped)\b.* in .*?)\s*=*$", re.MULTILINE)
_BUSY = "while True: pass"


def closing_line(output: str) -> str:
    """The line with which pytest ends."""
    found = _CLOSING.findall(output)
    return found[-1] if found else "pytest did not come to its end"


def main() -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--busy", type=int, default=2, help="processes that keep a core busy (default: %(default)s)")
    parser.add_argument("--log", type=Path, default=ROOT / "out" / "suite_under_load", help="default: %(default)s")
    parser.add_argument("arguments", nargs="*", help="of pytest, after --")
    options = parser.parse_args()
    options.log.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "ROS_PYTHON_CHECK_FIELDS": "1"}
    # Not `python -m pytest`: it would find mono_depth_ros in the source tree, without its messages.
    command = ["pytest", *(options.arguments or ["test"])]
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(options.busy)]
    failed = 0
    try:
        for number in range(1, options.runs + 1):
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            log = options.log / f"run_{number}.log"
            log.write_text(done.stdout, encoding="utf-8")
            failed += done.returncode != 0
            when = time.strftime("%H:%M")
            print(f"run {number}, {when}: {closing_line(done.stdout)}; exit {done.returncode}, {log}", flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
