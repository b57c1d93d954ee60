# SPDX-License-Identifier: Apache-2.0
"""A recorded drive through the installed depth_node at the speed of the recording, by a real publisher.

    . .venv/bin/activate && . install/setup.bash
    python bench/node_on_drive.py BAG --image /camera_02/image_raw/compressed --points /lidar/points_4beam --gap 1.5-2.5

Tells how many images came back, in which mode each, whether headers agree, and how far the cloud's points lie from the
depth image unprojected. `--gap` withholds the points for a while. Publishes the recorded bytes as they are.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from mono_depth_ros.datasets.rosbag2 import BagMessage, Rosbag2Reader
from mono_depth_ros.geometry.rigid import RigidTransform, quaternion_from_rigid
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.share import model_path, share_path

LETTERS = "NPC"  # NONE, PREDICTION, COMPLETION


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--image", default="/camera_02/image_raw/compressed", help="raw or compressed image topic")
    parser.add_argument("--points", default="/lidar/points_4beam")
    parser.add_argument("--odom", default="/odom")
    parser.add_argument("--model", default="street_tiny")
    parser.add_argument("--gap", default="", metavar="T0-T1", help="seconds from the start without points")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of the replay")
    return parser.parse_args()


def load(bag: Path, topics: dict[str, str]) -> tuple[list[BagMessage], RigidTransform, RigidTransform]:
    """Messages by stamp, T_camera_lidar and T_base_camera."""
    with Rosbag2Reader(bag) as reader:
        messages = list(reader.messages(list(topics.values())))
        frames = {}
        for message in messages:
            if message.topic not in frames:
                decoded = reader.decode(message)
                frames[message.topic] = decoded
        transforms = reader.static_transforms()
    camera = frames[topics["image"]].header.frame_id
    T_camera_lidar = transforms.lookup(camera, frames[topics["points"]].header.frame_id)
    return messages, T_camera_lidar, transforms.lookup(frames[topics["odom"]].child_frame_id, camera)


class Listener:
    """Keeps what the node publishes, by stamp."""

    def __init__(self, node: Any) -> None:
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        from mono_depth_ros.msg import DepthStatus

        self.kept: dict[str, dict[int, Any]] = {}
        self.changed = threading.Condition()
        kinds = {
            "depth/image_rect": Image,
            "depth/camera_info": CameraInfo,
            "points_dense": PointCloud2,
            "depth_node/status": DepthStatus,
        }
        self.subscriptions = []
        for topic, kind in kinds.items():
            self.kept[topic] = {}
            keep = functools.partial(self.keep, topic)
            self.subscriptions.append(node.create_subscription(kind, topic, keep, QoSProfile(depth=50)))

    def keep(self, topic: str, message: Any) -> None:
        with self.changed:
            self.kept[topic][stamp_ns_of(message.header.stamp)] = message
            self.changed.notify_all()

    def connected(self) -> bool:
        return all(subscription.get_publisher_count() > 0 for subscription in self.subscriptions)


def wait_until(reached: Any, what: str, timeout_s: float = 60.0) -> None:
    """Looks again and again; ends the program with what was waited for."""
    deadline_s = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > deadline_s:
            sys.exit(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.02)


def node_command(options: argparse.Namespace, topics: dict[str, str], poses: dict[str, RigidTransform]) -> list[str]:
    """depth_node of the sourced installation."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    scripts = [Path(prefix) / "lib" / "mono_depth_ros" / "depth_node" for prefix in prefixes if prefix]
    script = next((path for path in scripts if path.is_file()), None)
    if script is None:
        sys.exit("expected a sourced installation: make build && . install/setup.bash")
    compressed = topics["image"].endswith("/compressed")
    parameters = {
        "model": str(model_path(options.model).resolve()),
        "image_transport": "compressed" if compressed else "raw",
        **{
            f"extrinsics.{name}": [*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()]
            for name, T_a_b in poses.items()
        },
    }
    remapped = {**topics, "image": topics["image"].removesuffix("/compressed")}
    command = [sys.executable, str(script), "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    for name, topic in remapped.items():
        command += ["-r", f"{name}:={topic}"]
    return command


def play(node: Any, messages: list[BagMessage], options: argparse.Namespace) -> float:
    """Publishes every message when it is due; returns the moment of the first, by the bag's clock, in ns."""
    import nav_msgs.msg
    import sensor_msgs.msg

    packages = {"sensor_msgs": sensor_msgs.msg, "nav_msgs": nav_msgs.msg}
    publishers = {}
    for message in messages:
        if message.topic not in publishers:
            package, _, name = message.message_type.split("/")
            kind = getattr(packages[package], name)
            publishers[message.topic] = node.create_publisher(kind, message.topic, 10)
    heard = publishers.values()
    wait_until(lambda: all(each.get_subscription_count() > 0 for each in heard), "the node's subscriptions")
    # Each side finds the other for itself, and what is sent to a best-effort subscriber before it has found us is lost.
    time.sleep(1.0)
    gap_s = tuple(float(part) for part in options.gap.split("-")) if options.gap else (0.0, 0.0)
    first_ns, start_s = messages[0].stamp_ns, time.monotonic()
    for message in messages:
        due_s = (message.stamp_ns - first_ns) * 1e-9
        time.sleep(max(0.0, start_s + due_s / options.rate - time.monotonic()))
        if message.topic == options.points and gap_s[0] <= due_s < gap_s[1]:
            continue
        publishers[message.topic].publish(message.raw)
    return first_ns


def report(listener: Listener, images: list[BagMessage], image_header: dict[int, Any]) -> dict[str, Any]:
    """Counts, modes, agreement of headers and of cloud and depth."""
    depths, infos = listener.kept["depth/image_rect"], listener.kept["depth/camera_info"]
    clouds, statuses = listener.kept["points_dense"], listener.kept["depth_node/status"]
    worst_m, headers_equal = 0.0, True
    for stamp_ns, depth in depths.items():
        headers_equal &= depth.header == infos[stamp_ns].header == clouds[stamp_ns].header
        headers_equal &= depth.header.frame_id == image_header[stamp_ns]
        expected = camera_from_info(infos[stamp_ns]).unproject(decode_depth_image(depth))
        cloud = clouds[stamp_ns]
        got = np.frombuffer(cloud.data, "<f4").reshape(cloud.height, cloud.width, 4)[..., :3]
        known = np.isfinite(expected).all(axis=2)
        if not np.array_equal(known, np.isfinite(got).all(axis=2)):
            worst_m = float("inf")
        elif known.any():
            worst_m = max(worst_m, float(np.abs(got[known] - expected[known]).max()))
    last = statuses[max(statuses)] if statuses else None
    latencies_ms = [1e3 * status.latency_s for status in statuses.values()]
    return {
        "images_sent": len(images),
        "depth_images": len(depths),
        "modes": "".join(LETTERS[statuses[m.stamp_ns].mode] if m.stamp_ns in statuses else "-" for m in images),
        "stamps_and_frames_equal": headers_equal,
        "cloud_against_depth_worst_m": worst_m,
        "latency_ms": {f"p{q}": round(float(np.percentile(latencies_ms, q)), 1) for q in (50, 95)},
        "received": last.images_received if last else 0,
        "processed": last.images_processed if last else 0,
        "dropped": last.images_dropped if last else 0,
        "rejected": last.images_rejected if last else 0,
        "model": last.model_name if last else "",
    }


def main() -> None:
    """Plays, waits, tells."""
    options = arguments()
    topics = {"image": options.image, "points": options.points, "odom": options.odom}
    topics["camera_info"] = options.image.removesuffix("/compressed").rsplit("/", 1)[0] + "/camera_info"
    messages, T_camera_lidar, T_base_camera = load(options.bag, topics)
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(share_path("config/fastdds_large_messages.xml")))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    poses = {"T_camera_lidar": T_camera_lidar, "T_base_camera": T_base_camera}
    depth_node = subprocess.Popen(node_command(options, topics, poses))
    rclpy.init()
    robot = rclpy.create_node("recorded_robot")
    listener = Listener(robot)
    executor = SingleThreadedExecutor()
    executor.add_node(robot)
    threading.Thread(target=executor.spin, daemon=True).start()
    try:
        wait_until(listener.connected, "the node's topics")
        images = [message for message in messages if message.topic == options.image]
        play(robot, messages, options)
        with listener.changed:
            statuses = listener.kept["depth_node/status"]
            listener.changed.wait_for(lambda: images[-1].stamp_ns in statuses, 10.0)
            listener.changed.wait_for(lambda: images[-1].stamp_ns in listener.kept["points_dense"], 5.0)
    finally:
        depth_node.terminate()
        depth_node.wait(20)
        executor.shutdown()
        robot.destroy_node()
        rclpy.try_shutdown()
    with Rosbag2Reader(options.bag) as reader:
        headers = {message.stamp_ns: reader.decode(message).header.frame_id for message in images}
    print(json.dumps(report(listener, images, headers), indent=2))


if __name__ == "__main__":
    main()
