# SPDX-License-Identifier: Apache-2.0
"""depth_node: one camera, whatever points and odometry there are, metric depth out. docs/depth_node.md describes it."""

import dataclasses
from collections.abc import Callable, Sequence

from rclpy.context import Context
from rclpy.parameter import Parameter

from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.intake.extrinsics import CameraExtrinsics
from mono_depth_ros.messages.outputs import ImageCounts
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.ros.conversions import message_image
from mono_depth_ros.ros.depth_camera import DepthCamera
from mono_depth_ros.ros.managed_node import DepthWork, ManagedDepthNode
from mono_depth_ros.ros.transitions import spin_until_stopped
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import DepthStream
from mono_depth_ros.stream.image_worker import ImageWorker, ReceivedImage


class OneCamera(DepthWork):
    """The work of depth_node.

    Attributes:
        camera: the one it has.
    """

    def __init__(self, camera: DepthCamera) -> None:
        self.camera = camera
        self.cameras = {"": camera}
        self.worker = ImageWorker(self._process, self._ready, lambda: camera.stream.config.max_wait_s, camera.crashed)

    def listen(self) -> None:
        """Subscribes everything."""
        self.camera.listen(self.worker, self.camera.stream.config.point_sources, self.camera.wanted)

    def time_jumped(self, back_to_ns: int | None) -> None:
        """Forgets history."""
        self.camera.stream.time_jumped(back_to_ns)

    def counts(self, camera: str = "") -> ImageCounts:  # noqa: ARG002 - the only one
        """What became of the images."""
        return self.worker.counts()

    def _ready(self, image: ReceivedImage) -> bool:
        self.camera.drain()
        return self.camera.stream.ready(image, self.camera.sources())

    def _process(self, image: ReceivedImage) -> bool:
        self.camera.drain()
        output = self.camera.stream.process(image)
        made = isinstance(output.outcome, DepthResult)
        # The worker counts the current image only after it is done.
        counts = self.worker.counts()
        counts = dataclasses.replace(counts, processed=counts.processed + made, rejected=counts.rejected + (not made))
        return self.camera.publish(output, counts)


class DepthNode(ManagedDepthNode):
    """Lifecycle node of one camera.

    Args:
        context: of rclpy; None for the default one.
        namespace: None for that of the command line.
        parameters: values that go before those of the command line.
    """

    def __init__(
        self, context: Context | None = None, namespace: str | None = None, parameters: Sequence[Parameter] = ()
    ) -> None:
        super().__init__("depth_node", context, namespace, parameters)

    def open_work(self, config: DepthNodeConfig, open_model: Callable[[], OnnxEngine]) -> OneCamera:
        """Opens the model and advertises the outputs."""
        engine = open_model()
        points = {
            POINTS: self.source(config.T_camera_lidar),
            SCAN: self.source(config.T_camera_scan),
            RANGE: self.source(config.T_camera_range),
        }
        stream = DepthStream(
            engine,
            config,
            CameraExtrinsics(points, self.source(config.T_base_camera)),
            self.open_pose_model(config, engine),
            message_image,
            self.problems.report,
            image_topic=self.resolve_topic_name("image"),
        )
        return OneCamera(DepthCamera(self, stream, engine, self.problems, transforms=self.transforms))


def main(args: list[str] | None = None) -> int:
    """``ros2 run mono_depth_ros depth_node``."""
    return spin_until_stopped(DepthNode, args)
