# SPDX-License-Identifier: Apache-2.0
"""What depth_node costs while nobody listens, while somebody takes depth, and while somebody takes the cloud too.

    . .venv/bin/activate && . install/setup.bash
    python bench/node_load.py [--seconds 8] [--rate 10] [--size 640x384]

Publishes images, calibration and a wall of points at this rate and prints, as a Markdown table, processor time of the
node per second and per depth image (per image received while nobody listens), and the time from publishing an image to
the arrival of its depth (or cloud). Where fewer images come out than in, the machine is too slow for the rate.
"""

import argparse
import array
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from mono_depth_ros.messages.stamps import stamp_ns_of, stamp_parts
from mono_depth_ros.share import model_path, share_path

# A LiDAR where the camera is, turned like a vehicle (x forward).
T_CAMERA_LIDAR = [0.0, 0.0, 0.0, 0.5, -0.5, 0.5, 0.5]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each phase")
    parser.add_argument("--rate", type=float, default=10.0, help="images per second")
    parser.add_argument("--size", default="640x384", help="of the images")
    parser.add_argument("--model", default="street")
    return parser.parse_args()


def processor_s(process_id: int) -> float:
    """Processor time of a process so far, user and system, in seconds (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_node(model: str) -> "subprocess.Popen[bytes]":
    """depth_node of the sourced installation."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    scripts = [Path(prefix) / "lib" / "mono_depth_ros" / "depth_node" for prefix in prefixes if prefix]
    script = next((path for path in scripts if path.is_file()), None)
    if script is None:
        sys.exit("expected a sourced installation: make build && . install/setup.bash")
    command = [sys.executable, str(script), "--ros-args", "-p", f"model:={model_path(model).resolve()}"]
    return subprocess.Popen([*command, "-p", f"extrinsics.T_camera_lidar:={T_CAMERA_LIDAR}"])


class Camera:
    """Publishes the sensors, and notes when.

    Args:
        node: owns the publishers.
        size: width and height.
    """

    def __init__(self, node: Any, size: tuple[int, int]) -> None:
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

        width, height = size
        qos = QoSProfile(depth=5)
        self._publishers = [node.create_publisher(kind, name, qos) for kind, name in (
            (CameraInfo, "camera_info"), (PointCloud2, "points"), (Image, "image"))]  # fmt: skip
        k = [0.8 * width, 0.0, width / 2, 0.0, 0.8 * width, height / 2, 0.0, 0.0, 1.0]
        ramp = np.linspace(0, 255, width).astype(np.uint8)
        picture = np.broadcast_to(ramp[None, :, None], (height, width, 3))
        across, up = np.meshgrid(np.linspace(-8, 8, 500), [-1.0, 0.0, 1.0, 2.0])
        wall = np.stack([np.full(across.size, 12.0), across.ravel(), up.ravel()], axis=1).astype(np.float32)
        self._messages: list[Any] = [
            CameraInfo(height=height, width=width, k=k, p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]),
            PointCloud2(
                height=1, width=len(wall), point_step=12, row_step=12 * len(wall), is_dense=True,
                data=array.array("B", wall.tobytes()),
                fields=[PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")],
            ),
            Image(
                height=height, width=width, encoding="rgb8", step=3 * width, data=array.array("B", picture.tobytes())
            ),
        ]  # fmt: skip
        self.sent_s: dict[int, float] = {}

    def heard(self) -> bool:
        """Whether the node listens."""
        return all(publisher.get_subscription_count() > 0 for publisher in self._publishers)

    def drive(self, seconds: float, rate_hz: float) -> None:
        """Publishes for a while."""
        start_s = time.monotonic()
        for number in range(round(seconds * rate_hz)):
            time.sleep(max(0.0, start_s + number / rate_hz - time.monotonic()))
            stamp_ns = time.time_ns()
            for publisher, message, frame in zip(
                self._publishers, self._messages, ("camera", "lidar", "camera"), strict=True
            ):
                message.header.frame_id = frame
                message.header.stamp.sec, message.header.stamp.nanosec = stamp_parts(stamp_ns)
                publisher.publish(message)
            self.sent_s[stamp_ns] = time.monotonic()


def measure(camera: Camera, process_id: int, options: argparse.Namespace, arrived_s: dict[int, float]) -> str:
    """One phase: processor time and latency, as the end of a row."""
    camera.drive(1.0, options.rate)
    arrived_s.clear()
    before_s, start_s = processor_s(process_id), time.monotonic()
    camera.drive(options.seconds, options.rate)
    used_s, took_s = processor_s(process_id) - before_s, time.monotonic() - start_s
    latency_ms = [1e3 * (at_s - camera.sent_s[stamp_ns]) for stamp_ns, at_s in dict(arrived_s).items()]
    images = round(options.seconds * options.rate)
    latency = "-" if not latency_ms else " / ".join(f"{np.percentile(latency_ms, q):.0f}" for q in (50, 95))
    each_ms = 1e3 * used_s / (len(latency_ms) or images)
    return f"{100 * used_s / took_s:.0f} % | {each_ms:.0f} | {len(latency_ms)}/{images} | {latency} |"


def main() -> None:
    """Measures three phases."""
    options = arguments()
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(share_path("config/fastdds_large_messages.xml")))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image, PointCloud2

    process = start_node(options.model)
    rclpy.init()
    node = rclpy.create_node("load")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin, daemon=True)
    spinner.start()
    width, height = (int(part) for part in options.size.split("x"))
    camera, arrived_s = Camera(node, (width, height)), {}
    try:
        deadline_s = time.monotonic() + 60.0
        while not camera.heard():
            if time.monotonic() > deadline_s:
                sys.exit("waited 60 s for the node's subscriptions")
            time.sleep(0.05)
        sys.stdout.write("| who listens | processor | ms per depth image | out/in | latency, median / 95 % (ms) |\n")
        sys.stdout.write("|---|---|---|---|---|\n")
        for name, kind, topic in (
            ("nobody", None, ""),
            ("depth", Image, "depth/image_rect"),
            ("depth and cloud", PointCloud2, "points_dense"),
        ):
            if kind is not None:
                node.create_subscription(
                    kind, topic, lambda m: arrived_s.__setitem__(stamp_ns_of(m.header.stamp), time.monotonic()), 10
                )
            sys.stdout.write(f"| {name} | {measure(camera, process.pid, options, arrived_s)}\n")
            sys.stdout.flush()
    finally:
        process.terminate()
        process.wait(20)
        executor.shutdown()
        spinner.join(5.0)
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
