# SPDX-License-Identifier: Apache-2.0
"""rig_node: several cameras in one run of the network, one scale, one cloud. docs/rig.md describes it."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.context import Context
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, quaternion_from_rigid
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.intake.extrinsics import CameraExtrinsics, TransformSource
from mono_depth_ros.messages.outputs import ImageCounts
from mono_depth_ros.messages.point_clouds import organized_cloud_fields
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN, SPARSE_DEPTH
from mono_depth_ros.ros.conversions import MESSAGES, message_image
from mono_depth_ros.ros.depth_camera import DepthCamera
from mono_depth_ros.ros.managed_node import DepthWork, ManagedDepthNode
from mono_depth_ros.ros.transitions import spin_until_stopped
from mono_depth_ros.stream.cloud import Cloud
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import DepthStream, StreamOutput
from mono_depth_ros.stream.rig_config import RigConfig, RigParameter, read_rig_config
from mono_depth_ros.stream.rig_stream import RigStream


class Rig(DepthWork):
    """The work of rig_node.

    Args:
        node: owns the publisher of the merged cloud.
        engine: the open model.
        config: of the rig.
        cameras: by their names; the first one listens to the points that are for all.
        places: where each camera is in the base.
    """

    def __init__(
        self,
        node: "RigNode",
        engine: OnnxEngine,
        config: RigConfig,
        cameras: Mapping[str, DepthCamera],
        places: Mapping[str, TransformSource],
    ) -> None:
        self.cameras = cameras
        self._node, self._config = node, config
        self._cloud: LifecyclePublisher = node.create_lifecycle_publisher(
            PointCloud2, "points_dense", QoSProfile(depth=5)
        )
        self.stream = RigStream(
            engine,
            config,
            {name: camera.stream for name, camera in cameras.items()},
            places,
            self._publish,
            self._publish_cloud,
            self._cloud_is_wanted,
            self._sources,
            self._crashed,
            node.problems.report,
        )
        self.worker = self.stream.worker

    def listen(self) -> None:
        """Subscribes everything; the robot's other sensors once, for all cameras."""
        first = next(iter(self.cameras))
        for name, camera in self.cameras.items():
            sources = camera.stream.config.point_sources
            if name != first:
                sources = tuple(source for source in sources if source == SPARSE_DEPTH)
            camera.listen(self.stream.doors[name], sources, self._wanted)

    def time_jumped(self, back_to_ns: int | None) -> None:
        """Forgets history, the shared scale with it."""
        self.stream.time_jumped(back_to_ns)

    def counts(self, camera: str) -> ImageCounts:
        """What became of a camera's images."""
        return self.stream.doors[camera].counts()

    def destroy(self) -> None:
        """Ends the publishers."""
        super().destroy()
        self._node.destroy_lifecycle_publisher(self._cloud)

    def _wanted(self) -> bool:
        """Whether somebody listens to any camera's depth, or to the merged cloud."""
        return self._cloud_is_wanted() or any(camera.wanted() for camera in self.cameras.values())

    def _cloud_is_wanted(self) -> bool:
        return bool(self._cloud.get_subscription_count() > 0)

    def _sources(self, camera: str) -> list[str]:
        """Sources of points that somebody publishes now; asked before every moment, which takes what waits."""
        self.cameras[camera].drain()
        return self.cameras[camera].sources()

    def _publish(self, camera: str, output: StreamOutput) -> None:
        self.cameras[camera].publish(output, self.counts(camera))

    def _publish_cloud(self, cloud: Cloud, stamp_ns: int) -> None:
        header = MESSAGES.header(stamp_ns, self._config.base_frame)
        self._cloud.publish(MESSAGES.cloud(header, organized_cloud_fields(*cloud)))

    def _crashed(self, error: Exception) -> None:
        # While ROS shuts down, publishing fails, which is nobody's mistake.
        if self._node.context.ok():
            self._node.problems.report("depth", f"internal_error: {''.join(traceback.format_exception(error))}")


class RigNode(ManagedDepthNode):
    """Lifecycle node around one RigStream; its parameters are those of depth_node and of RigConfig.

    Args:
        context: of rclpy; None for the default one.
        namespace: None for that of the command line.
        parameters: values that go before those of the command line.
    """

    def __init__(
        self, context: Context | None = None, namespace: str | None = None, parameters: Sequence[Parameter] = ()
    ) -> None:
        super().__init__("rig_node", context, namespace, parameters)
        self.add_on_set_parameters_callback(self._rig_settable)

    def open_work(self, config: DepthNodeConfig, open_model: Callable[[], OnnxEngine]) -> Rig:
        """Opens the model once and advertises the outputs of every camera."""
        rig = read_rig_config(self._read)
        engine = open_model()
        pose = self.open_pose_model(config, engine)
        places = {name: self._place_source(rig.place(name)) for name in rig.cameras}
        streams: dict[str, DepthStream] = {}
        # The first camera's stream is made last: its points go into the others.
        for name in reversed(rig.cameras):
            first = name == rig.cameras[0]
            streams[name] = DepthStream(
                engine,
                config,
                CameraExtrinsics(self._point_places(name, rig), places[name]),
                pose,
                message_image,
                self.problems.report,
                tuple(streams.values()) if first else (),
                self.resolve_topic_name(f"{name}/image"),
            )
        cameras = {
            name: DepthCamera(self, streams[name], engine, self.problems, f"{name}/", self.transforms)
            for name in rig.cameras
        }
        return Rig(self, engine, rig, cameras, places)

    def _read(self, parameter: RigParameter) -> Any:
        """A parameter of the rig, declared when it is asked for first."""
        if not self.has_parameter(parameter.name):
            # The limits in words: a range would make rclpy refuse before the reading can say what is expected.
            limits = "" if parameter.limits is None else "{:g} to {:g}".format(*parameter.limits)
            descriptor = ParameterDescriptor(
                description=parameter.description, additional_constraints=limits, dynamic_typing=True
            )
            self.declare_parameter(parameter.name, parameter.default, descriptor)
        return self.get_parameter(parameter.name).value

    def _rig_settable(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuses what a configured rig would not notice."""
        late = [parameter.name for parameter in parameters if parameter.name.startswith("rig.")]
        if late and self.work is not None:
            name = self.get_fully_qualified_name()
            reason = f"{', '.join(late)}: only while the node is unconfigured (ros2 lifecycle set {name} cleanup)"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _place_source(self, T_a_b: RigidTransform | None) -> TransformSource:
        return self.source(() if T_a_b is None else [*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()])

    def _point_places(self, camera: str, rig: RigConfig) -> dict[str, TransformSource]:
        T_base_camera, T_base_lidar = rig.place(camera), rig.T_base_lidar
        T_camera_lidar = None
        if T_base_camera is not None and T_base_lidar is not None:
            T_camera_lidar = invert_rigid(T_base_camera) @ T_base_lidar
        return {POINTS: self._place_source(T_camera_lidar), SCAN: self.source(()), RANGE: self.source(())}


def main(args: list[str] | None = None) -> int:
    """``ros2 run mono_depth_ros rig_node``."""
    return spin_until_stopped(RigNode, args)
