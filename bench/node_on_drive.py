# SPDX-License-Identifier: Apache-2.0
"""A recorded drive through the installed depth_node at the speed of the recording, by a real publisher.

    . .venv/bin/activate && . install/setup.bash
    python bench/node_on_drive.py BAG --image /camera_02/image_raw/compressed --points /lidar/points_4beam --gap 1.5-2.5
    python bench/node_on_drive.py BAG --params config/depth_node.yaml --rate 0.25 --compare

Tells how many images came back, in which mode each and why, whether headers agree, and how far the cloud's points lie
from the depth image unprojected. `--gap` withholds the points for a while. Publishes the recorded bytes as they are, in
the order of recording. Where the sensors sit is read from the bag and given as parameters.

`--compare` runs `mono-depth replay` on the same bag with the same parameters, and puts what it made beside what the
node published. Play so slowly that no image is dropped: replay drops none.

`--loops 3` plays the drive three times with the stamps it has and with /clock, as `ros2 bag play --loop --clock` does;
the node uses simulated time. Time jumps back between two passes, and each pass has its own counts.
"""

import argparse
import collections
import functools
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import replay_comparison

from mono_depth_ros.cli.node_options import parameters
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader, arrival_order
from mono_depth_ros.geometry.rigid import RigidTransform, quaternion_from_rigid
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.stamps import stamp_ns_of, stamp_parts
from mono_depth_ros.share import share_path

LETTERS = "NPC"  # NONE, PREDICTION, COMPLETION
OUTPUTS = ("depth/image_rect", "depth/camera_info", "points_dense", "depth_node/status")
# A stamp this much before the one before is the first of the next pass.
JUMP_BACK_NS = 1_000_000_000
# As often as `ros2 bag play --clock` does it.
CLOCK_HZ = 40.0
# Between messages of one time of recording, so that they arrive in the order in which they were sent.
SPACING_S = 0.003


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--image", default="/camera_02/image_raw/compressed", help="raw or compressed image topic")
    parser.add_argument("--points", default="/lidar/points_4beam")
    parser.add_argument("--odom", default="/odom")
    parser.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node (YAML)")
    parser.add_argument("--model", help="name or folder; default: that of the parameters")
    parser.add_argument("--gap", default="", metavar="T0-T1", help="seconds from the start without points")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of the replay")
    parser.add_argument("--loops", type=int, default=1, help="passes; more than one: with /clock and simulated time")
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME:=VALUE", help="of the node")
    parser.add_argument("--compare", action="store_true", help="with what `mono-depth replay` makes of the first pass")
    options = parser.parse_args()
    if options.loops < 1:
        parser.error(f"--loops: expected at least 1, got {options.loops}")
    return options


def load(bag: Path, topics: dict[str, str]) -> tuple[list[BagMessage], RigidTransform, RigidTransform]:
    """Messages as recorded, T_camera_lidar and T_base_camera."""
    with Rosbag2Reader(bag) as reader:
        messages = as_recorded(reader, list(topics.values()))
        frames = {}
        for message in messages:
            if message.topic not in frames:
                decoded = reader.decode(message)
                frames[message.topic] = decoded
        transforms = reader.static_transforms()
    camera = frames[topics["image"]].header.frame_id
    T_camera_lidar = transforms.lookup(camera, frames[topics["points"]].header.frame_id)
    return messages, T_camera_lidar, transforms.lookup(frames[topics["odom"]].child_frame_id, camera)


def as_recorded(reader: Rosbag2Reader, topics: Collection[str]) -> list[BagMessage]:
    """Messages in the order of recording; of one time, in the order in which `mono-depth replay` takes them."""
    return sorted(
        reader.messages_as_recorded(topics), key=lambda each: (each.log_stamp_ns, arrival_order(each.message_type))
    )


class Pass:
    """What the node published in one pass of the drive: topic -> stamp -> message, and when its depth arrived."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[int, Any]] = {topic: {} for topic in OUTPUTS}
        self.arrived_s: dict[int, float] = {}


class Listener:
    """Keeps what the node publishes, by pass and stamp; where the stamps of a topic jump back, a pass begins."""

    def __init__(self, node: Any, loops: int) -> None:
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        from mono_depth_ros.msg import DepthStatus

        self.passes = [Pass() for _ in range(loops)]
        self.changed = threading.Condition()
        self._number = dict.fromkeys(OUTPUTS, 0)
        self._latest_ns = dict.fromkeys(OUTPUTS, 0)
        self.subscriptions = []
        for topic, kind in zip(OUTPUTS, (Image, CameraInfo, PointCloud2, DepthStatus), strict=True):
            keep = functools.partial(self.keep, topic)
            self.subscriptions.append(node.create_subscription(kind, topic, keep, QoSProfile(depth=50)))

    def keep(self, topic: str, message: Any) -> None:
        now_s, stamp_ns = time.monotonic(), stamp_ns_of(message.header.stamp)
        with self.changed:
            if stamp_ns < self._latest_ns[topic] - JUMP_BACK_NS:
                self._number[topic] = min(self._number[topic] + 1, len(self.passes) - 1)
            self._latest_ns[topic] = stamp_ns
            current = self.passes[self._number[topic]]
            current.kept[topic][stamp_ns] = message
            if topic == OUTPUTS[0]:
                current.arrived_s[stamp_ns] = now_s
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


def shared_parameters(options: argparse.Namespace, poses: Mapping[str, RigidTransform]) -> list[str]:
    """NAME:=VALUE of every parameter, beside those of the file, that the node and replay are given alike."""
    transport = "compressed" if options.image.endswith("/compressed") else "raw"
    # What replay takes from the name of the image topic is a parameter of the node.
    rectified = parameters(options.params, options.parameter).get("rectified", True)
    values = {"image_transport": transport, "rectified": str(rectified).lower()}
    if options.model is not None:
        values["model"] = options.model
    for name, T_a_b in poses.items():
        numbers = [*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()]
        values[f"extrinsics.{name}"] = f"[{', '.join(map(str, numbers))}]"
    return [*(f"{name}:={value}" for name, value in values.items()), *options.parameter]


def node_command(options: argparse.Namespace, topics: dict[str, str], given: list[str]) -> list[str]:
    """depth_node of the sourced installation."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    scripts = [Path(prefix) / "lib" / "mono_depth_ros" / "depth_node" for prefix in prefixes if prefix]
    script = next((path for path in scripts if path.is_file()), None)
    if script is None:
        sys.exit("expected a sourced installation: make build && . install/setup.bash")
    command = [sys.executable, str(script), "--ros-args"]
    if options.params is not None:
        command += ["--params-file", str(options.params)]
    for text in [f"use_sim_time:={str(options.loops > 1).lower()}", *given]:
        command += ["-p", text]
    for name, topic in {**topics, "image": topics["image"].removesuffix("/compressed")}.items():
        command += ["-r", f"{name}:={topic}"]
    return command


def replay_options(options: argparse.Namespace, topics: dict[str, str], given: list[str]) -> list[str]:
    """Of `mono-depth replay`, which make it do the same."""
    words = [] if options.params is None else ["--params", str(options.params)]
    for text in given:
        words += ["--param", text]
    for name, topic in topics.items():
        words += ["--remap", f"{name}:={topic}"]
    return words + (["--drop", f"{options.points}:{options.gap}"] if options.gap else [])


class Player:
    """Publishes the drive.

    Args:
        node: owns the publishers.
        messages: of the drive, as recorded.
        options: of the command line.
    """

    def __init__(self, node: Any, messages: list[BagMessage], options: argparse.Namespace) -> None:
        import nav_msgs.msg
        import sensor_msgs.msg
        from rosgraph_msgs.msg import Clock

        packages = {"sensor_msgs": sensor_msgs.msg, "nav_msgs": nav_msgs.msg}
        self._messages, self._options = messages, options
        self._publishers: dict[str, Any] = {}
        for message in messages:
            if message.topic not in self._publishers:
                package, _, name = message.message_type.split("/")
                kind = getattr(packages[package], name)
                self._publishers[message.topic] = node.create_publisher(kind, message.topic, 10)
        self._clock: Any = node.create_publisher(Clock, "/clock", 10) if options.loops > 1 else None
        self._clock_message = Clock()
        heard = [*self._publishers.values(), *([] if self._clock is None else [self._clock])]
        wait_until(lambda: all(each.get_subscription_count() > 0 for each in heard), "the node's subscriptions")
        # Each side finds the other for itself, and what is sent to a best-effort subscriber before it has found us is
        # lost.
        time.sleep(1.0)

    def play(self) -> float:
        """One pass, every message when it is due; returns when the first image was sent (monotonic, s)."""
        options, first_ns, start_s = self._options, self._messages[0].log_stamp_ns, time.monotonic()
        gap_s = tuple(float(part) for part in options.gap.split("-")) if options.gap else (0.0, 0.0)
        # The clock has a beat of its own: after a jump it comes later than the first messages of the new pass.
        first_image_s, next_tick_s, sent_s = 0.0, start_s + 0.5 / CLOCK_HZ, start_s
        for message in self._messages:
            due_s = (message.log_stamp_ns - first_ns) * 1e-9
            at_s = max(start_s + due_s / options.rate, sent_s + SPACING_S)
            while self._clock is not None and next_tick_s <= at_s:
                time.sleep(max(0.0, next_tick_s - time.monotonic()))
                self._tick(first_ns + round((next_tick_s - start_s) * options.rate * 1e9))
                next_tick_s += 1.0 / CLOCK_HZ
            time.sleep(max(0.0, at_s - time.monotonic()))
            if message.topic == options.points and gap_s[0] <= due_s < gap_s[1]:
                continue
            if message.topic == options.image and not first_image_s:
                first_image_s = time.monotonic()
            self._publishers[message.topic].publish(message.raw)
            sent_s = time.monotonic()
        return first_image_s

    def _tick(self, stamp_ns: int) -> None:
        self._clock_message.clock.sec, self._clock_message.clock.nanosec = stamp_parts(stamp_ns)
        self._clock.publish(self._clock_message)


def report(heard: Pass, images: list[BagMessage], image_header: dict[int, str], first_image_s: float) -> dict[str, Any]:
    """Counts, modes, speed, agreement of headers and of cloud and depth, of one pass."""
    depths, infos, clouds, statuses = (heard.kept[topic] for topic in OUTPUTS)
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
    latencies_ms = [1e3 * status.latency_s for status in statuses.values()]
    arrived_s = sorted(heard.arrived_s.values())
    rate_hz = (len(arrived_s) - 1) / (arrived_s[-1] - arrived_s[0]) if len(arrived_s) > 1 else 0.0
    whys = collections.Counter(
        f"{('NONE', 'PREDICTION', 'COMPLETION')[status.mode]}: {status.reason}, scale by {status.scale_source}"
        for status in statuses.values()
    )
    return {
        "images_sent": len(images),
        "depth_images": len(depths),
        "modes": "".join(LETTERS[statuses[m.stamp_ns].mode] if m.stamp_ns in statuses else "-" for m in images),
        "reasons": dict(sorted(whys.items())),
        "output_rate_hz": round(rate_hz, 2),
        "first_image_to_first_depth_s": round(arrived_s[0] - first_image_s, 3) if arrived_s else None,
        "latency_ms": {f"p{q}": round(float(np.percentile(latencies_ms, q)), 1) for q in (50, 95)} if statuses else {},
        "stamps_and_frames_equal": headers_equal,
        "cloud_against_depth_worst_m": worst_m,
    }


def totals(last: Any) -> dict[str, Any]:
    """The node's own counts in its last status; empty if none came."""
    if last is None:
        return {}
    counts = {name: getattr(last, f"images_{name}") for name in ("received", "processed", "dropped", "rejected")}
    return {**counts, "model": last.model_name}


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
    given = shared_parameters(options, poses)
    depth_node = subprocess.Popen(node_command(options, topics, given))
    rclpy.init()
    robot = rclpy.create_node("recorded_robot")
    listener = Listener(robot, options.loops)
    executor = SingleThreadedExecutor()
    executor.add_node(robot)
    threading.Thread(target=executor.spin, daemon=True).start()
    images = [message for message in messages if message.topic == options.image]
    last = listener.passes[-1]
    try:
        wait_until(listener.connected, "the node's topics")
        player = Player(robot, messages, options)
        first_image_s = [player.play() for _ in range(options.loops)]
        with listener.changed:
            listener.changed.wait_for(lambda: images[-1].stamp_ns in last.kept["depth_node/status"], 10.0)
            # Without depth there is no cloud to wait for.
            if last.kept["points_dense"]:
                listener.changed.wait_for(lambda: images[-1].stamp_ns in last.kept["points_dense"], 5.0)
    finally:
        depth_node.terminate()
        depth_node.wait(20)
        executor.shutdown()
        robot.destroy_node()
        rclpy.try_shutdown()
    with Rosbag2Reader(options.bag) as reader:
        headers = {message.stamp_ns: reader.decode(message).header.frame_id for message in images}
    reports = [
        report(heard, images, headers, sent_s) for heard, sent_s in zip(listener.passes, first_image_s, strict=True)
    ]
    statuses = last.kept["depth_node/status"]
    rates_hz = [each["output_rate_hz"] for each in reports]
    summary = totals(statuses[max(statuses)] if statuses else None)
    summary["output_rates_hz"] = rates_hz
    print(json.dumps({"passes": reports, **summary}, indent=2))
    if options.compare:
        for text in given:
            print(f"--param {shlex.quote(text)}")
        first = listener.passes[0].kept
        replayed = replay_comparison.replay(options.bag, replay_options(options, topics, given))
        print("\n" + replay_comparison.table((first[OUTPUTS[0]], first[OUTPUTS[3]]), replayed))


if __name__ == "__main__":
    main()
