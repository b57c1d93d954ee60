# SPDX-License-Identifier: Apache-2.0
"""One run of the network for all cameras of a rig, against one run for each: time, and what they give.

    python bench/rig_batch.py                       # the shipped model, 6 synthetic cameras
    python bench/rig_batch.py --model DIR --cameras 3 --repeat 20

Times are medians of runs that alternate, so that a busy machine disturbs both alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.inference.rig_pipeline import RigPipeline
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.rig_cloud import RigView, merge_views
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorSnapshot
from mono_depth_ros.share import model_path


def render(cameras: int, width_px: int, height_px: int) -> tuple[dict[str, SensorSnapshot], list[np.ndarray]]:
    """What the cameras of a rig of six know at one moment, and where they sit."""
    plan = SimulationPlan(seed=11, seconds=0.1, width_px=width_px, height_px=height_px, samples=1, rig="rig6")
    frame = plan.drive().frame(0)
    assert frame.lidar is not None
    snapshots, places = {}, []
    for view in frame.views[:cameras]:
        T_camera_lidar = invert_rigid(view.T_base_camera) @ frame.lidar.T_base_lidar
        points = transform_points(T_camera_lidar, frame.lidar.points_lidar)
        snapshots[view.name] = SensorSnapshot(
            0, view.name, view.image_rgb, view.camera, points, 0.0, None, None, (), T_base_camera=view.T_base_camera
        )
        places.append(view.T_base_camera)
    return snapshots, places


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    started_s = time.perf_counter()
    work()
    return (time.perf_counter() - started_s) * 1e3


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="street", help="shipped model or a folder (default: %(default)s)")
    parser.add_argument("--provider", default="CPUExecutionProvider", help="of ONNX Runtime (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0: one per core")
    parser.add_argument("--cameras", type=int, default=6, choices=range(1, 7), metavar="N", help="1 to 6")
    parser.add_argument("--repeat", type=int, default=10, help="runs of each (default: %(default)s)")
    parser.add_argument("--size", default="640x192", metavar="WxH", help="of the images (default: %(default)s)")
    args = parser.parse_args()
    width_px, height_px = (int(side) for side in args.size.split("x"))
    snapshots, places = render(args.cameras, width_px, height_px)
    engine = OnnxEngine(model_path(args.model), (args.provider,), args.threads)
    alone = {camera: DepthPipeline(engine) for camera in snapshots}
    rig = RigPipeline(engine, {camera: DepthPipeline(engine) for camera in snapshots})
    results: dict[str, DepthResult | NoSnapshot] = {}
    single: dict[str, DepthResult | NoSnapshot] = {}

    def one_by_one() -> None:
        single.update({camera: alone[camera].step(snapshot) for camera, snapshot in snapshots.items()})

    def together() -> None:
        results.update(rig.step(snapshots))

    one_by_one()
    together()
    times = [(timed(one_by_one), timed(together)) for _ in range(args.repeat)]
    single_ms, batch_ms = (statistics.median(column) for column in zip(*times, strict=True))
    network = [
        (sum(dict(_made(one).stage_s)["network"] for one in single.values()), dict(_made(one).stage_s)["network"])
        for one in results.values()
    ]
    print(f"{args.cameras} cameras of {args.size}, model {engine.contract.name} at {engine.contract.width_px}x"
          f"{engine.contract.height_px} on {engine.provider}, {args.repeat} runs of each")  # fmt: skip
    print(
        f"| {args.cameras} single runs | one batch of {args.cameras} | batch / single | network only: single | batch |"
    )
    print("|---|---|---|---|---|")
    print(
        f"| {single_ms:.0f} ms | {batch_ms:.0f} ms | {batch_ms / single_ms:.2f} | {network[0][0] * 1e3:.0f} ms | "
        f"{network[-1][1] * 1e3:.0f} ms |"
    )
    largest = max(
        float(np.nanmax(np.abs(_made(results[camera]).depth_m / _made(single[camera]).depth_m - 1.0)))
        for camera in snapshots
    )
    print(f"largest relative difference of depth: {largest:.1e}")
    views = [
        RigView(_made(one).camera, _made(one).depth_m, _made(one).image_rgb, place)
        for one, place in zip(results.values(), places, strict=True)
    ]
    merge_ms = statistics.median(timed(lambda: merge_views(views)) for _ in range(min(args.repeat, 5)))
    every = sum(int(np.isfinite(view.depth_m).sum()) for view in views)
    print(f"merged cloud: {len(merge_views(views)[0])} of {every} points, {merge_ms:.0f} ms")


def _made(outcome: DepthResult | NoSnapshot) -> DepthResult:
    if isinstance(outcome, NoSnapshot):
        raise SystemExit(f"no depth: {outcome.message}")
    return outcome


if __name__ == "__main__":
    main()
