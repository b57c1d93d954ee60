#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Constants of anchoring for a model's weights, chosen on rendered streets that neither training nor the card has seen.

    python bench/anchoring.py --model models/street
    python bench/anchoring.py --images 3 --beams 4 64          a quick look

The network runs once per image and number of beams; every policy is then applied to the same depth. Printed is the mean
AbsRel of the pixels between the input points, and the time that anchoring takes. Recorded drives have no say here:
they are what the choice is judged on (bench/model_card.py).
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError, MonoDepthError
from mono_depth_ros.evaluation.method_depths import NetworkDepths, run_network
from mono_depth_ros.evaluation.protocols import named_protocol
from mono_depth_ros.evaluation.scoring import resampled, score_depth
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY, AnchorPolicy, anchor_to_points
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.share import model_path

STREET_SEEDS = (911, 912, 913, 914)
PROTOCOL = named_protocol("synthetic")


def policies() -> dict[str, AnchorPolicy | None]:
    """What is compared; None leaves the network alone."""
    default = DEFAULT_ANCHOR_POLICY

    def doubting(policy: AnchorPolicy, factor: float) -> AnchorPolicy:
        return replace(policy, passes=tuple(replace(p, doubt_points=factor * p.doubt_points) for p in policy.passes))

    narrow = replace(default, passes=default.passes[-3:])
    narrowest = replace(default, passes=default.passes[-2:])
    return {
        "network alone": None,
        "default": default,
        "more doubt (x 3)": doubting(default, 3.0),
        "more doubt (x 10)": doubting(default, 10.0),
        "without the two widest": narrow,
        "without the two widest, more doubt (x 3)": doubting(narrow, 3.0),
        "the two narrowest": narrowest,
        "the two narrowest, more doubt (x 3)": doubting(narrowest, 3.0),
        "finer across depth (0.1)": replace(default, log_depth_reach=0.1),
        "without the two widest, finer across depth (0.1)": replace(narrow, log_depth_reach=0.1),
    }


def network_runs(engine: OnnxEngine, beams: int, images: int) -> list[tuple[NetworkDepths, DepthMap, PinholeCamera]]:
    """What the network gave for some images of every street, and the truth with the input pixels taken out."""
    found = []
    for seed in STREET_SEEDS:
        url = f"synthetic:street?seed={seed}&seconds=3&beams={beams}"
        samples = cast(Sequence[DepthSample], open_dataset(url))  # a drive renders what is asked for
        for index in np.linspace(0, len(samples) - 1, images).round().astype(int):
            sample = samples[int(index)]
            if sample.truth_depth_m is None or sample.truth_camera is None or sample.points_camera_m is None:
                raise DataError(f"street {seed}: expected truth and points, got neither or one")
            truth_m = np.array(sample.truth_depth_m)
            given = project_points(sample.points_camera_m, sample.truth_camera)
            truth_m[given.rows, given.cols] = np.nan
            found.append((run_network(sample, engine, PROTOCOL), truth_m, sample.truth_camera))
    return found


def scored(policy: AnchorPolicy | None, runs: Sequence[tuple[NetworkDepths, DepthMap, PinholeCamera]]) -> list[float]:
    """Mean AbsRel, and median milliseconds of anchoring."""
    errors, times_s = [], []
    for network, truth_m, camera in runs:
        if network.completed_m is None or network.given is None:
            raise DataError("points: expected some in view of every image, got none")
        began_s = time.perf_counter()
        depth_m = (
            network.completed_m if policy is None else anchor_to_points(network.completed_m, network.given, policy)
        )
        times_s.append(time.perf_counter() - began_s)
        errors.append(score_depth(resampled(depth_m, network.fit.camera, camera), truth_m, PROTOCOL).abs_rel)
    return [float(np.mean(errors)), 1e3 * float(np.median(times_s))]


def main() -> int:
    """Runs and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="street", help="folder or name (default: %(default)s)")
    parser.add_argument("--images", type=int, default=6, help="of each street (default: %(default)s)")
    parser.add_argument("--beams", type=int, nargs="+", default=[4, 16, 64], help="default: %(default)s")
    options = parser.parse_args()
    model = Path(options.model)
    try:
        engine = OnnxEngine(model if model.is_dir() else model_path(options.model))
        runs = {beams: network_runs(engine, beams, options.images) for beams in options.beams}
        print(f"{engine.contract.name}, {engine.contract.width_px}x{engine.contract.height_px}\n")
        print("| policy |" + "".join(f" {beams} beams |" for beams in runs) + " ms |\n|---|" + "---|" * (len(runs) + 1))
        for name, policy in policies().items():
            cells = [scored(policy, of_beams) for of_beams in runs.values()]
            values = "".join(f" {error:.4f} |" for error, _ in cells)
            print(f"| {name} |{values} {max(ms for _, ms in cells):.0f} |", flush=True)
    except MonoDepthError as error:
        print(f"anchoring.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
