#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the network alone takes per image, models and arithmetic side by side.

    python bench/engine_speed.py --model street street_full
    python bench/engine_speed.py --model street_full --provider OpenVINOExecutionProvider --precision float32 bfloat16

The variants take turns, so that other work on the machine meets all of them alike; the median of each counts. Random
images and points: the time does not depend on what they show. What the node adds: bench/node_on_drive.py.
"""

import argparse
import sys
import time

import numpy as np

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.inference.engine import PRECISIONS, OnnxEngine
from mono_depth_ros.share import model_path

POINTS = 1500  # of a 4-beam scan in view


def engine_inputs(engine: OnnxEngine, points: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One image, and points at different pixels of it."""
    rng = np.random.default_rng(0)
    height, width = engine.contract.height_px, engine.contract.width_px
    rgb = rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    cells = rng.permutation(height * width)[:points]
    bvu = np.stack([np.zeros_like(cells), cells // width, cells % width], axis=1)
    return rgb, bvu, rng.uniform(2.0, 60.0, points).astype(np.float32)


def main() -> int:
    """Measures and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["street", "street_full"], help="default: %(default)s")
    parser.add_argument("--provider", default="CPUExecutionProvider", help="default: %(default)s")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=[PRECISIONS[0]])
    parser.add_argument("--rounds", type=int, default=30, help="default: %(default)s")
    options = parser.parse_args()
    try:
        engines = {
            (name, precision): OnnxEngine(model_path(name), (options.provider,), precision=precision)
            for name in options.model
            for precision in options.precision
        }
        times_s: dict[tuple[str, str, int], list[float]] = {}
        for number in range(options.rounds + 3):
            for (name, precision), engine in engines.items():
                for points in (0, POINTS):
                    arrays = engine_inputs(engine, points)
                    began_s = time.perf_counter()
                    engine.infer(*arrays)
                    if number >= 3:  # the first ones allocate
                        times_s.setdefault((name, precision, points), []).append(time.perf_counter() - began_s)
    except MonoDepthError as error:
        print(f"engine_speed.py: {error}", file=sys.stderr)
        return 1
    print("| model | size | provider, arithmetic | prediction, ms | completion, ms |\n|---|---|---|---|---|")
    for (name, precision), engine in engines.items():
        medians = [1e3 * float(np.median(times_s[name, precision, points])) for points in (0, POINTS)]
        size = f"{engine.contract.width_px}x{engine.contract.height_px}"
        print(f"| {name} | {size} | {engine.provider}, {engine.precision} | {medians[0]:.0f} | {medians[1]:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
