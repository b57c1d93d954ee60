# SPDX-License-Identifier: Apache-2.0
"""How far LiDAR points lie from true depth at a speed: as they came, carried as a whole, carried one by one.

    python bench/motion_compensation.py [--speed-mps 12] [--delay-s 0.05]

A rolling LiDAR of 10 Hz on synthetic streets; each image is taken some time after the stamp of its scan. Odometry is
true, at 50 Hz, and ends at the image or before it.
"""

import argparse
from dataclasses import replace

import numpy as np

from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.geometry.sparse_depth import cells_of_points
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.robot import LIDAR, SyntheticDrive

ODOMETRY_HZ = 50.0
# name, with times per point, odometry ends so long before the image (None: no odometry)
WAYS = (
    ("as they came", False, None),
    ("carried as a whole", False, 0.0),
    ("carried one by one", True, 0.0),
    ("the same, odometry 0.1 s late", True, 0.1),
)


def fast_drive(seed: int, speed_mps: float) -> SyntheticDrive:
    """A street at another speed."""
    plan = SimulationPlan(seed, seconds=6.0, width_px=640, height_px=192, lidar_beams=16)
    course = plan.course()
    middle = float(np.linalg.norm(course.velocity(1.0)[0]))
    faster = Course(course.world, lambda time_s: course.T_world_base(time_s * speed_mps / middle), speed_mps)
    return SyntheticDrive(faster, replace(plan.robot()), seed, plan.rate_hz)


def errors_of(drive: SyntheticDrive, delay_s: float) -> list[np.ndarray]:
    """Relative errors of the points in view, for each way."""
    mount = drive.sensors.cameras[0]
    found = []
    index = 10
    frame_s = index / drive.rate_hz
    scan = drive.frame(index).lidar
    image_s = frame_s + delay_s
    T_world_camera = drive.T_world_sensor(mount.name, image_s)
    truth_m = render(drive.course.world, mount.camera, T_world_camera, image_s, 1).depth_m
    if scan is None:
        return []
    for _, per_point, late_s in WAYS:
        buffer = SnapshotBuffer(BufferPolicy())
        buffer.add_camera(0, mount.camera)
        T_base_camera = drive.mounts()[mount.name]
        buffer.set_T_base_camera(T_base_camera)
        buffer.set_T_camera_lidar(LIDAR, invert_rigid(T_base_camera) @ scan.T_base_lidar)
        if late_s is not None:
            for step in range(int((frame_s - 0.5) * ODOMETRY_HZ), int((image_s - late_s) * ODOMETRY_HZ) + 1):
                time_s = step / ODOMETRY_HZ
                buffer.add_odometry(round(time_s * 1e9), drive.course.T_world_base(time_s), drive.course.cruise_mps)
        offsets_s = scan.time_s.astype(np.float64) if per_point else None
        buffer.add_points(round(frame_s * 1e9), scan.points_lidar, LIDAR, offsets_s)
        image = np.zeros((mount.camera.height_px, mount.camera.width_px, 3), np.uint8)
        snapshot = buffer.snapshot(round(image_s * 1e9), mount.name, image)
        if not isinstance(snapshot, SensorSnapshot) or snapshot.points_camera_m is None:
            return []
        points = snapshot.points_camera_m
        at, rows, cols = cells_of_points(points, mount.camera)
        with np.errstate(invalid="ignore"):
            error = points[at, 2] / truth_m[rows, cols] - 1.0
        found.append(error[np.isfinite(error)])
    return found


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speed-mps", type=float, default=12.0)
    parser.add_argument("--delay-s", type=float, default=0.05)
    parser.add_argument("--drives", type=int, default=4)
    args = parser.parse_args()
    drives = [errors_of(fast_drive(seed, args.speed_mps), args.delay_s) for seed in range(args.drives)]
    print(f"{args.speed_mps:g} m/s, image {args.delay_s:g} s after the scan's stamp, {len(drives)} streets")
    print(f"{'points':32} median |error|   mean   beyond 5 %")
    for number, (name, _, _) in enumerate(WAYS):
        error = np.abs(np.concatenate([found[number] for found in drives if found]))
        print(f"{name:32} {np.median(error):11.2%}   {error.mean():6.2%}   {(error > 0.05).mean():6.2%}")


if __name__ == "__main__":
    main()
