# SPDX-License-Identifier: Apache-2.0
"""Prints the largest difference of our networks from the original ones, per case.

Needs the stored outputs of the original networks (environment variable MONO_DEPTH_SHARED, or ../shared) and torch:
    python bench/conformance_errors.py
"""

import itertools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "fixtures")]

import conformance  # noqa: E402  found through the path above


def main() -> int:
    """Print the table; 1 when a case exceeds its limit or there is nothing to compare with."""
    folder = conformance.conformance_folder()
    if folder is None:
        print("stored outputs of the original networks are not here: set MONO_DEPTH_SHARED", file=sys.stderr)
        return 1
    print(f"{'case':<36} {'largest error':>14} {'limit':>8}")
    failures = 0
    cases = (conformance.packnet_san_cases, conformance.packnet01_cases, conformance.pose_net_cases)
    for case in itertools.chain.from_iterable(make(folder) for make in cases):
        verdict = "" if case.error <= case.limit else "  EXCEEDED"
        failures += bool(verdict)
        print(f"{case.name:<36} {case.error:>14.2e} {case.limit:>8.0e}{verdict}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
