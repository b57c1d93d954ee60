#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What odometry at 200 Hz and transforms at 500 Hz cost depth_node, beside images at 10 Hz.

    . .venv/bin/activate && . install/setup.bash
    python bench/high_rates.py [--against OTHER_CHECKOUT/install] [--seconds 10]

Prints a Markdown table: processor time of the node's process per second, and how many of the images became depth, with
nothing else, with odometry, and with transforms that move (odom -> base_link, and a camera that pans; needs tf2_msgs).
With --against the same of another installation, phase by phase in turn.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node_load import Camera, processor_s

from mono_depth_ros.messages.stamps import stamp_ns_of, stamp_parts
from mono_depth_ros.share import model_path, share_path

ODOMETRY_HZ, TRANSFORMS_HZ, IMAGES_HZ = 200.0, 500.0, 10.0


def start_node(prefix: Path, model: str) -> "subprocess.Popen[bytes]":
    """depth_node of an installation, which is told the places of its sensors by TF only."""
    package = prefix / "mono_depth_ros"
    command = [sys.executable, str(package / "lib" / "mono_depth_ros" / "depth_node"), "--ros-args"]
    command += ["-p", f"model:={model_path(model).resolve()}", "-p", "keep_warm:=true"]
    python = next((package / "lib").glob("python3*/site-packages"))
    path = os.pathsep.join((str(python), os.environ.get("PYTHONPATH", "")))
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)


class Repeated:
    """Calls something at a rate until it is left, in a thread of its own."""

    def __init__(self, rate_hz: float, call: Callable[[], None]) -> None:
        self._period_s, self._call = 1.0 / rate_hz, call
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Repeated":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._over.wait(max(0.0, due_s - time.monotonic())):
            self._call()
            due_s += self._period_s


def odometry_sender(node: Any) -> Callable[[], None]:
    from nav_msgs.msg import Odometry

    publisher = node.create_publisher(Odometry, "odom", 50)
    message = Odometry(child_frame_id="base_link")
    message.header.frame_id, message.pose.pose.orientation.w = "odom", 1.0

    def send() -> None:
        message.header.stamp.sec, message.header.stamp.nanosec = stamp_parts(time.time_ns())
        message.pose.pose.position.x += 0.005
        publisher.publish(message)

    return send


def transform_sender(node: Any) -> Callable[[], None]:
    import math

    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    publisher = node.create_publisher(TFMessage, "/tf", 100)
    frames = [("odom", "base_link"), ("base_link", "camera"), ("base_link", "lidar")]
    entries = [TransformStamped(child_frame_id=child) for _, child in frames]
    for entry, (parent, _) in zip(entries, frames, strict=True):
        entry.header.frame_id, entry.transform.rotation.w = parent, 1.0
    message, count = TFMessage(transforms=entries), [0]

    def send() -> None:
        count[0] += 1
        for entry in entries:
            entry.header.stamp.sec, entry.header.stamp.nanosec = stamp_parts(time.time_ns())
        half = 0.2 * math.sin(count[0] / TRANSFORMS_HZ)
        entries[0].transform.translation.x += 0.002
        entries[1].transform.rotation.z, entries[1].transform.rotation.w = math.sin(half), math.cos(half)
        publisher.publish(message)

    return send


def measure(
    camera: Camera, process: "subprocess.Popen[bytes]", arrived: list[int], seconds: float
) -> tuple[float, int]:
    """Share of a core, and images that became depth."""
    camera.drive(2.0, IMAGES_HZ)
    arrived.clear()
    before_s, start_s = processor_s(process.pid), time.monotonic()
    camera.drive(seconds, IMAGES_HZ)
    return (processor_s(process.pid) - before_s) / (time.monotonic() - start_s), len(arrived)


def main() -> None:
    """Measures phase by phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--install", type=Path, default=Path("install"), help="default: %(default)s")
    parser.add_argument("--against", type=Path, metavar="INSTALL", help="another installation")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase (default: %(default)s)")
    parser.add_argument("--model", default="street")
    options = parser.parse_args()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(share_path("config/fastdds_large_messages.xml")))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("high_rates")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    camera, arrived = Camera(node, (640, 192)), []
    node.create_subscription(Image, "depth/image_rect", lambda m: arrived.append(stamp_ns_of(m.header.stamp)), 10)
    senders: dict[str, tuple[float, Callable[[], None]] | None] = {
        "images alone": None,
        f"odometry at {ODOMETRY_HZ:g} Hz": (ODOMETRY_HZ, odometry_sender(node)),
    }
    try:
        senders[f"/tf at {TRANSFORMS_HZ:g} Hz"] = TRANSFORMS_HZ, transform_sender(node)
    except ImportError:
        sys.stderr.write("tf2_msgs is not installed: without transforms\n")
    installs = {"this": options.install.absolute()}
    installs |= {} if options.against is None else {"against": options.against.absolute()}
    sys.stdout.write("| installation | beside images at 10 Hz | processor | depth images |\n|---|---|---|---|\n")
    images = round(options.seconds * IMAGES_HZ)
    for phase, sender in senders.items():
        for name, prefix in installs.items():
            process = start_node(prefix, options.model)
            try:
                while not camera.heard():
                    time.sleep(0.1)
                if sender is None:
                    share, made = measure(camera, process, arrived, options.seconds)
                else:
                    with Repeated(*sender):
                        share, made = measure(camera, process, arrived, options.seconds)
            finally:
                process.terminate()
                process.wait(20)
            while camera.heard():  # the next node's subscriptions are not those of the one that ended
                time.sleep(0.1)
            sys.stdout.write(f"| {name} | {phase} | {100 * share:.0f} % of a core | {made}/{images} |\n")
            sys.stdout.flush()
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
