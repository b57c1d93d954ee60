#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is done to a completion after the network: ways side by side.

    python bench/completion.py                                  rendered streets that neither training nor card has seen
    python bench/completion.py --images 3 --beams 4 64          a quick look
    python bench/completion.py --images 20 --protocol plain --data 'bag:DRIVE?points=/few&gt_points=/dense'

The network runs once per image; every way is then applied to the same depth. Printed are AbsRel and RMSE, means over
the images, of the pixels that no input point hit, and the time that it takes. The constants are chosen on the rendered
streets; recorded drives are what the choice is judged on.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.errors import DataError, MonoDepthError
from mono_depth_ros.evaluation.method_depths import NetworkDepths, run_network
from mono_depth_ros.evaluation.protocol_steps import resampled, score_depth
from mono_depth_ros.evaluation.protocols import Protocol, named_protocol
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY, AnchorPolicy
from mono_depth_ros.inference.completion import (
    DEFAULT_COMPLETION_POLICY,
    NETWORK_ALONE,
    CompletionPolicy,
    through_points,
)
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.guided_fill import DEFAULT_FILL_POLICY, FillPolicy
from mono_depth_ros.share import model_path

STREET_SEEDS = (911, 912, 913, 914)
Run = tuple[NetworkDepths, DepthMap, PinholeCamera]  # the truth with the input pixels taken out, and its grid


def policies() -> dict[str, CompletionPolicy]:
    """What is compared."""
    anchor, fill = DEFAULT_ANCHOR_POLICY, DEFAULT_FILL_POLICY

    def anchored(policy: AnchorPolicy) -> CompletionPolicy:
        return CompletionPolicy(policy, None)

    def doubting(factor: float) -> AnchorPolicy:
        return replace(anchor, passes=tuple(replace(p, doubt_points=factor * p.doubt_points) for p in anchor.passes))

    def filled(policy: FillPolicy) -> CompletionPolicy:
        return CompletionPolicy(anchor, policy)

    return {
        "network alone": NETWORK_ALONE,
        "anchored": anchored(anchor),
        "anchored, more doubt (x 3)": anchored(doubting(3.0)),
        "anchored, without the two widest passes": anchored(replace(anchor, passes=anchor.passes[-2:])),
        "anchored, finer across depth (0.1)": anchored(replace(anchor, log_depth_reach=0.1)),
        "fill, not anchored": CompletionPolicy(None, fill),
        "default: anchored and fill": DEFAULT_COMPLETION_POLICY,
        "fill with a share of 0.3": filled(replace(fill, share=0.3)),
        "fill with a share of 0.6": filled(replace(fill, share=0.6)),
        "fill of half the reach": filled(replace(fill, reach=0.5 * fill.reach)),
        "fill of twice the reach": filled(replace(fill, reach=2.0 * fill.reach)),
        "fill with softer edges (0.1)": filled(replace(fill, edge=0.1)),
    }


def network_runs(engine: OnnxEngine, url: str, protocol: Protocol, images: int) -> list[Run]:
    """What the network gave for some images of a data set, and the truth with the input pixels taken out."""
    samples = open_dataset(url)
    if isinstance(samples, Sequence):  # a rendered drive renders what is asked for
        chosen = [samples[int(at)] for at in np.linspace(0, len(samples) - 1, images).round()]
    else:
        chosen = list(islice(samples, images))
    found = []
    for sample in chosen:
        if sample.truth_depth_m is None or sample.truth_camera is None or sample.points_camera_m is None:
            raise DataError(f"{url}: expected truth and points, got neither or one")
        truth_m = np.array(sample.truth_depth_m)
        given = project_points(sample.points_camera_m, sample.truth_camera)
        truth_m[given.rows, given.cols] = np.nan
        found.append((run_network(sample, engine, protocol), truth_m, sample.truth_camera))
    return found


def scored(policy: CompletionPolicy, runs: Sequence[Run], protocol: Protocol) -> tuple[float, float, float]:
    """Mean AbsRel, mean RMSE in metres, and median milliseconds of what comes after the network."""
    metrics, times_s = [], []
    for network, truth_m, camera in runs:
        if network.completed_m is None or network.given is None:
            raise DataError("points: expected some in view of every image, got none")
        began_s = time.perf_counter()
        depth_m = through_points(network.completed_m, network.fit.image_rgb, network.given, policy)
        times_s.append(time.perf_counter() - began_s)
        metrics.append(score_depth(resampled(depth_m, network.fit.camera, camera), truth_m, protocol))
    errors = [(one.abs_rel, one.rmse) for one in metrics]
    return (*(float(value) for value in np.mean(errors, axis=0)), 1e3 * float(np.median(times_s)))


def main() -> int:
    """Runs and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="street", help="folder or name (default: %(default)s)")
    parser.add_argument("--images", type=int, default=6, help="of each street or data set (default: %(default)s)")
    parser.add_argument(
        "--beams", type=int, nargs="+", default=[4, 16, 64], help="of the streets; default: %(default)s"
    )
    parser.add_argument(
        "--data", action="append", metavar="URL", help="data set in place of the streets; again for more"
    )
    parser.add_argument("--protocol", default="synthetic", help="default: %(default)s")
    options = parser.parse_args()
    model = Path(options.model)
    streets = {
        f"{beams} beams": [f"synthetic:street?seed={seed}&seconds=3&lidar_beams={beams}" for seed in STREET_SEEDS]
        for beams in options.beams
    }
    columns = {"data": options.data} if options.data else streets
    try:
        protocol = named_protocol(options.protocol)
        engine = OnnxEngine(model if model.is_dir() else model_path(options.model))
        runs = {
            name: [run for url in urls for run in network_runs(engine, url, protocol, options.images)]
            for name, urls in columns.items()
        }
        print(f"{engine.contract.name}, {engine.contract.width_px}x{engine.contract.height_px}\n")
        print(
            "| AbsRel / RMSE m |" + "".join(f" {name} |" for name in runs) + " ms |\n|---|" + "---|" * (len(runs) + 1)
        )
        for name, policy in policies().items():
            cells = [scored(policy, of_column, protocol) for of_column in runs.values()]
            values = "".join(f" {abs_rel:.4f} / {rmse:.2f} |" for abs_rel, rmse, _ in cells)
            print(f"| {name} |{values} {max(ms for _, _, ms in cells):.0f} |", flush=True)
    except MonoDepthError as error:
        print(f"completion.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
