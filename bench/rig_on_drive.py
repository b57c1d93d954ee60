# SPDX-License-Identifier: Apache-2.0
"""A recording of several cameras through the installed rig_node at the speed of the recording, by a real publisher.

    . .venv/bin/activate && . install/setup.bash
    python bench/rig_on_drive.py BAG --cameras camera_front,camera_rear --image image_raw

Tells for each camera how many images came back, in which mode, by which scale, and the error against
`/truth/CAMERA/depth` or, if the bag has none, against the points of `--truth-points`; and for the merged cloud how many
points it has, and how many pixels of a camera hold a point of their own and one of another camera on the same surface.
The network and the cloud of several cameras take their time: a `--rate` below 1 plays slower.
"""

import argparse
import collections
import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from node_on_drive import Player, as_recorded, wait_until

from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.evaluation.metrics import depth_metrics
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, quaternion_from_rigid, transform_points
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.point_clouds import decode_xyz
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.share import model_path, share_path

LETTERS = "NPC"  # NONE, PREDICTION, COMPLETION
OUTPUTS = ("depth/image_rect", "depth/camera_info", "status")
# Nearer than this a simulated camera is inside of something, where a share of the depth says nothing; how much of the
# truth that is, is told beside the error.
TRUTH_M = (1.0, 80.0)
# Depths of two cameras within this share of each other are of one surface.
SAME_SURFACE = 0.05


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--cameras", required=True, help="names, with commas between")
    parser.add_argument("--image", default="image_raw", help="topic below each name, raw or compressed")
    parser.add_argument("--points", default="/lidar/points")
    parser.add_argument("--truth-points", default="", help="topic of dense points, where there is no /truth")
    parser.add_argument("--odom", default="/odom")
    parser.add_argument("--model", default="street")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of the replay")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    return parser.parse_args()


class Recording:
    """What a bag has, and where its sensors sit."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.cameras: list[str] = options.cameras.split(",")
        self.images = {camera: f"/{camera}/{options.image}" for camera in self.cameras}
        infos = [f"/{camera}/camera_info" for camera in self.cameras]
        truths = [f"/truth/{camera}/depth" for camera in self.cameras] + [options.truth_points]
        played = [*self.images.values(), *infos, options.points, options.odom]
        with Rosbag2Reader(options.bag) as reader:
            messages = as_recorded(reader, [*played, *(topic for topic in truths if topic in reader.types)])
            self.played = [message for message in messages if message.topic in played]
            self.truths: dict[str, dict[int, Any]] = collections.defaultdict(dict)
            frames: dict[str, Any] = {}
            for message in messages:
                if message.topic in truths:
                    self.truths[message.topic][message.stamp_ns] = reader.decode(message)
                if message.topic not in frames:
                    frames[message.topic] = reader.decode(message)
            transforms = reader.static_transforms()
        self.base_frame: str = frames[options.odom].child_frame_id
        self.T_base_lidar = transforms.lookup(self.base_frame, frames[options.points].header.frame_id)
        self.T_base_camera = {
            camera: transforms.lookup(self.base_frame, frames[topic].header.frame_id)
            for camera, topic in self.images.items()
        }

    def sent(self, camera: str) -> list[BagMessage]:
        """The camera's images."""
        return [message for message in self.played if message.topic == self.images[camera]]

    def truth_m(self, camera: str, stamp_ns: int, model: PinholeCamera, dense: str) -> Any:
        """Depth [h, w] of the size of ``model``, NaN where unknown; None if the bag has none of this image."""
        image = self.truths[f"/truth/{camera}/depth"].get(stamp_ns)
        if image is not None:
            truth_m = decode_depth_image(image)
            rows = np.arange(model.height_px) * truth_m.shape[0] // model.height_px
            return truth_m[rows][:, np.arange(model.width_px) * truth_m.shape[1] // model.width_px]
        if not self.truths[dense]:
            return None
        nearest = min(self.truths[dense], key=lambda other_ns: abs(other_ns - stamp_ns))
        T_camera_lidar = invert_rigid(self.T_base_camera[camera]) @ self.T_base_lidar
        points_m = transform_points(T_camera_lidar, decode_xyz(self.truths[dense][nearest]))
        truth_m = np.full((model.height_px, model.width_px), np.inf, np.float32)
        rows, cols, seen = pixels_of(points_m, model)
        np.minimum.at(truth_m, (rows, cols), points_m[seen, 2])
        truth_m[np.isinf(truth_m)] = np.nan
        return truth_m


def pixels_of(points_m: Any, model: PinholeCamera) -> tuple[Any, Any, Any]:
    """Row and column of the points [N, 3] that a camera sees, and which these are."""
    seen = np.flatnonzero(points_m[:, 2] > 0.05)
    x, y, z = points_m[seen].T
    cols, rows = np.rint(model.fx_px * x / z + model.cx_px), np.rint(model.fy_px * y / z + model.cy_px)
    inside = (cols >= 0) & (cols < model.width_px) & (rows >= 0) & (rows < model.height_px)
    return rows[inside].astype(int), cols[inside].astype(int), seen[inside]


def node_command(options: argparse.Namespace, recording: Recording) -> list[str]:
    """rig_node of the sourced installation."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    scripts = [Path(prefix) / "lib" / "mono_depth_ros" / "rig_node" for prefix in prefixes if prefix]
    script = next((path for path in scripts if path.is_file()), None)
    if script is None:
        sys.exit("expected a sourced installation: make build && . install/setup.bash")
    places = {f"T_base_camera.{camera}": T_a_b for camera, T_a_b in recording.T_base_camera.items()}
    parameters = {
        "model": str(model_path(options.model).resolve()),
        "image_transport": "compressed" if options.image.endswith("/compressed") else "raw",
        "rig.cameras": f"[{options.cameras}]",
        "rig.base_frame": recording.base_frame,
        **{f"rig.{name}": numbers(T) for name, T in {"T_base_lidar": recording.T_base_lidar, **places}.items()},
    }
    command = [
        sys.executable,
        str(script),
        "--ros-args",
        "-r",
        f"points:={options.points}",
        "-r",
        f"odom:={options.odom}",
    ]
    for camera, topic in recording.images.items():
        command += ["-r", f"{camera}/image:={topic.removesuffix('/compressed')}"]
    for text in [*(f"{name}:={value}" for name, value in parameters.items()), *options.parameter]:
        command += ["-p", text]
    return command


def numbers(T_a_b: RigidTransform) -> list[float]:
    """As the node's parameters take it."""
    return [*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()]


class Listener:
    """Keeps what the node publishes, by topic and stamp."""

    def __init__(self, node: Any, cameras: list[str]) -> None:
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        from mono_depth_ros.msg import DepthStatus

        self.kept: dict[str, dict[int, Any]] = collections.defaultdict(dict)
        kinds: dict[str, Any] = {"points_dense": PointCloud2}
        for camera in cameras:
            kinds |= {f"{camera}/depth/image_rect": Image, f"{camera}/depth/camera_info": CameraInfo}
            kinds[f"rig_node/{camera}/status"] = DepthStatus
        self._subscriptions = [
            node.create_subscription(kind, topic, lambda m, t=topic: self._keep(t, m), QoSProfile(depth=50))
            for topic, kind in kinds.items()
        ]

    def _keep(self, topic: str, message: Any) -> None:
        self.kept[topic][stamp_ns_of(message.header.stamp)] = message

    def connected(self) -> bool:
        return all(each.get_publisher_count() > 0 for each in self._subscriptions)


def camera_report(camera: str, recording: Recording, kept: dict[str, dict[int, Any]], dense: str) -> dict[str, Any]:
    """Counts, modes, scale and error of one camera."""
    depths, infos = kept[f"{camera}/depth/image_rect"], kept[f"{camera}/depth/camera_info"]
    statuses, sent = kept[f"rig_node/{camera}/status"], recording.sent(camera)
    errors, scored, too_near, known = [], 0, 0, 0
    for stamp_ns, depth in depths.items():
        depth_m = decode_depth_image(depth)
        truth_m = recording.truth_m(camera, stamp_ns, camera_from_info(infos[stamp_ns]), dense)
        if truth_m is None:
            continue
        both = np.isfinite(depth_m) & (truth_m >= TRUTH_M[0]) & (truth_m < TRUTH_M[1])
        known, too_near = known + int((truth_m > 0).sum()), too_near + int((truth_m < TRUTH_M[0]).sum())
        if both.any():
            scored += int(both.sum())
            errors.append(depth_metrics(depth_m[both], truth_m[both]).abs_rel)
    latest = statuses[max(statuses)] if statuses else None
    return {
        "images_sent": len(sent),
        "depth_images": len(depths),
        "modes": "".join(LETTERS[statuses[m.stamp_ns].mode] if m.stamp_ns in statuses else "-" for m in sent),
        "reasons": dict(collections.Counter(status.reason for status in statuses.values())),
        "points_used": round(float(np.mean([status.points_used for status in statuses.values()])), 1)
        if statuses
        else 0,
        "scale": None if latest is None else [round(latest.scale_value, 4), latest.scale_source],
        "dropped": None if latest is None else latest.images_dropped,
        "latency_p50_ms": round(1e3 * float(np.median([s.latency_s for s in statuses.values()])), 1)
        if statuses
        else None,
        "abs_rel": round(float(np.mean(errors)), 4) if errors else None,
        "abs_rel_median_of_images": round(float(np.median(errors)), 4) if errors else None,
        "abs_rel_of_images": [round(error, 3) for error in errors],
        "images_scored": len(errors),
        "pixels_scored_mean": scored // max(len(errors), 1),
        "truth_too_near_share": round(too_near / max(known, 1), 4),
    }


def cloud_report(recording: Recording, kept: dict[str, dict[int, Any]]) -> dict[str, Any]:
    """Size, frame, and double points of the merged clouds whose stamp every camera has."""
    points, pixels, doubles, frames = 0, 0, 0, set()
    clouds = kept["points_dense"]
    shared = [stamp for stamp in clouds if all(stamp in kept[f"{c}/depth/image_rect"] for c in recording.cameras)]
    for stamp_ns in shared:
        cloud_m = decode_xyz(clouds[stamp_ns])
        frames.add(clouds[stamp_ns].header.frame_id)
        points += len(cloud_m)
        for camera in recording.cameras:
            depth_m = decode_depth_image(kept[f"{camera}/depth/image_rect"][stamp_ns])
            model = camera_from_info(kept[f"{camera}/depth/camera_info"][stamp_ns])
            in_camera_m = transform_points(invert_rigid(recording.T_base_camera[camera]), cloud_m)
            rows, cols, seen = pixels_of(in_camera_m, model)
            own_m = model.unproject(depth_m)[rows, cols]
            own = np.linalg.norm(in_camera_m[seen] - own_m, axis=1) < 1e-3 * own_m[:, 2]
            foreign = ~own & (np.abs(in_camera_m[seen, 2] - own_m[:, 2]) < SAME_SURFACE * own_m[:, 2])
            has_own, has_foreign = np.zeros(depth_m.shape, bool), np.zeros(depth_m.shape, bool)
            has_own[rows[own], cols[own]], has_foreign[rows[foreign], cols[foreign]] = True, True
            doubles += int((has_own & has_foreign).sum())
            pixels += int(np.isfinite(depth_m).sum())
    count = max(len(shared), 1)
    return {
        "clouds": len(clouds),
        "of_all_cameras": len(shared),
        "frames": sorted(frames),
        "points_mean": points // count,
        "depth_pixels_mean": pixels // count,
        "double_points_mean": round(doubles / count, 1),
    }


def scales_differ(recording: Recording, kept: dict[str, dict[int, Any]]) -> float:
    """Largest difference of two cameras' scale at one stamp, as a share; 0 where all have one."""
    by_stamp = collections.defaultdict(list)
    for camera in recording.cameras:
        for stamp_ns, status in kept[f"rig_node/{camera}/status"].items():
            if np.isfinite(status.scale_value):
                by_stamp[stamp_ns].append(status.scale_value)
    pairs = itertools.chain.from_iterable(itertools.combinations(values, 2) for values in by_stamp.values())
    return max((abs(a / b - 1.0) for a, b in pairs), default=0.0)


def main() -> None:
    """Plays, waits, tells."""
    options = arguments()
    recording = Recording(options)
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(share_path("config/fastdds_large_messages.xml")))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    rig_node = subprocess.Popen(node_command(options, recording))
    rclpy.init()
    robot = rclpy.create_node("recorded_robot")
    listener = Listener(robot, recording.cameras)
    executor = SingleThreadedExecutor()
    executor.add_node(robot)
    threading.Thread(target=executor.spin, daemon=True).start()
    # What Player asks for beside the rate: no gap in the points, one pass.
    playing = argparse.Namespace(
        rate=options.rate, gap="", loops=1, points=options.points, image=recording.images[recording.cameras[0]]
    )
    try:
        wait_until(listener.connected, "the node's topics")
        Player(robot, recording.played, playing).play()
        threading.Event().wait(5.0)
    finally:
        rig_node.terminate()
        rig_node.wait(20)
        executor.shutdown()
        robot.destroy_node()
        rclpy.try_shutdown()
    cameras = {
        camera: camera_report(camera, recording, listener.kept, options.truth_points) for camera in recording.cameras
    }
    summary = {
        "cameras": cameras,
        "scales_differ_by": scales_differ(recording, listener.kept),
        "cloud": cloud_report(recording, listener.kept),
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
