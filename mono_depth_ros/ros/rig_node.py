# SPDX-License-Identifier: Apache-2.0
"""rig_node: several cameras in one run of the network, one scale, one cloud. docs/rig.md describes it."""

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, TimeJump
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, quaternion_from_rigid
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.messages.stamps import stamp_parts
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN
from mono_depth_ros.ros.conversions import cloud_message
from mono_depth_ros.ros.depth_inputs import DepthInputs
from mono_depth_ros.ros.depth_node import open_pose_model
from mono_depth_ros.ros.depth_outputs import DepthOutputs
from mono_depth_ros.ros.depth_stream import DepthStream
from mono_depth_ros.ros.diagnostics import Diagnostics, NodeHealth
from mono_depth_ros.ros.diagnostics_publisher import DiagnosticsPublisher
from mono_depth_ros.ros.extrinsics import CameraExtrinsics, GivenTransform, TfTransforms, TransformSource
from mono_depth_ros.ros.output_view import Cloud
from mono_depth_ros.ros.parameters import DepthNodeParameters
from mono_depth_ros.ros.problem_log import ProblemLog
from mono_depth_ros.ros.rig_parameters import RigConfig, RigParameter, read_rig_config
from mono_depth_ros.ros.rig_stream import RigInput, RigStream
from mono_depth_ros.ros.transitions import autostart, logged_transition, spin_until_stopped
from mono_depth_ros.share import model_path

_STOP_TIMEOUT_S = 30.0


class RigNode(LifecycleNode):  # type: ignore[misc]  # rclpy has no types
    """Lifecycle node around one RigPipeline; its parameters are those of depth_node and of RigConfig.

    Args:
        context: of rclpy; None for the default one.
        namespace: None for that of the command line.
        parameters: values that go before those of the command line.

    Attributes:
        failure: why the latest transition failed, empty if it did not.
    """

    def __init__(
        self, context: Context | None = None, namespace: str | None = None, parameters: Sequence[Parameter] = ()
    ) -> None:
        self.failure = ""
        self._stream: RigStream | None = None
        self._tf: TfTransforms | None = None
        self._cloud: LifecyclePublisher | None = None
        super().__init__("rig_node", context=context, namespace=namespace, parameter_overrides=list(parameters))
        self._problems = ProblemLog(self.get_logger().warning)
        self._settings = DepthNodeParameters(self, lambda: self._stream is None, self._parameters_changed)
        self.add_on_set_parameters_callback(self._rig_settable)
        self._diagnostics: dict[str, Diagnostics] = {}
        self._diagnostics_publisher = DiagnosticsPublisher(self)
        # Steady time, so that a paused bag does not stop the diagnostics.
        self._diagnostics_timer = self.create_timer(
            self.get_parameter("diagnostics.period_s").value,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._clock_jumped)

    def autostart(self) -> bool:
        """Configures and activates, if the parameter ``autostart`` says so; returns whether the node is active."""
        return autostart(self)

    @logged_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Reads the parameters, opens the model once, advertises the outputs of every camera."""
        config, rig = self._settings.config(), read_rig_config(self._read)
        self.get_logger().info(f"opening model {config.model!r} for {', '.join(rig.cameras)}")
        engine = OnnxEngine(model_path(config.model), config.providers, config.intra_op_threads, config.precision)
        engine.warm_up()
        self.get_logger().info(f"model {engine.contract.name!r} runs on {engine.provider} {engine.provider_note}")
        pose = open_pose_model(config, engine)
        places = {camera: self._source(rig.place(camera)) for camera in rig.cameras}
        streams = {
            camera: DepthStream(
                engine,
                config,
                CameraExtrinsics(self._point_places(camera, rig), places[camera]),
                DepthOutputs(self, f"{camera}/"),
                self._problems,
                pose,
            )
            for camera in rig.cameras
        }
        self._cloud = self.create_lifecycle_publisher(PointCloud2, "points_dense", QoSProfile(depth=5))
        self._stream = RigStream(
            engine, rig, streams, places, self._publish_cloud, self._cloud_is_wanted, self._problems
        )
        return super().on_configure(state)

    @logged_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the worker and listens."""
        outcome = super().on_activate(state)
        rig = self._stream
        if rig is None:
            raise RuntimeError("expected a configured node")
        rig.worker.start()
        for camera, stream in rig.streams.items():
            stream.inputs = DepthInputs(self, RigInput(rig, camera), self._problems, f"{camera}/")
        return outcome

    @logged_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops listening and finishes the moment in work."""
        self._stop()
        return super().on_deactivate(state)

    @logged_transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of the model and the outputs; every parameter can be set again."""
        self._release()
        return super().on_cleanup(state)

    @logged_transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends work from any state."""
        self._release()
        return super().on_shutdown(state)

    @logged_transition
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured after a transition went wrong; ``failure`` keeps the reason."""
        self._release()
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Ends the worker before that is gone which it publishes with."""
        self._stop()
        self._jump_handle.unregister()
        super().destroy_node()

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
        if late and self._stream is not None:
            name = self.get_fully_qualified_name()
            reason = f"{', '.join(late)}: only while the node is unconfigured (ros2 lifecycle set {name} cleanup)"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _source(self, T_a_b: RigidTransform | None) -> TransformSource:
        if T_a_b is not None:
            return GivenTransform([*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()])
        if self._tf is None:
            self._tf = TfTransforms(self)
        return self._tf

    def _point_places(self, camera: str, rig: RigConfig) -> dict[str, TransformSource]:
        T_base_camera = rig.place(camera)
        if rig.T_base_lidar is None or T_base_camera is None:
            return {source: self._source(None) for source in (POINTS, SCAN, RANGE)}
        lidar = self._source(invert_rigid(T_base_camera) @ rig.T_base_lidar)
        return {POINTS: lidar, SCAN: self._source(None), RANGE: self._source(None)}

    def _cloud_is_wanted(self) -> bool:
        return self._cloud is not None and self._cloud.get_subscription_count() > 0

    def _publish_cloud(self, cloud: Cloud, stamp_ns: int) -> None:
        if self._cloud is None or self._stream is None:
            return
        header = Header(frame_id=self._stream.config.base_frame)
        header.stamp.sec, header.stamp.nanosec = stamp_parts(stamp_ns)
        self._cloud.publish(cloud_message(cloud, header))

    def _stop(self) -> None:
        rig = self._stream
        if rig is None:
            return
        for stream in rig.streams.values():
            if stream.inputs is not None:
                stream.inputs.destroy()
                stream.inputs = None
        if not rig.worker.stop(_STOP_TIMEOUT_S):
            raise RuntimeError(f"expected the moment in work to be done within {_STOP_TIMEOUT_S:g} s")

    def _release(self) -> None:
        self._stop()
        rig, self._stream = self._stream, None
        if rig is not None:
            for stream in rig.streams.values():
                stream.outputs.destroy()
        if self._cloud is not None:
            self.destroy_lifecycle_publisher(self._cloud)
            self._cloud = None

    def _parameters_changed(self) -> None:
        if self._stream is not None:
            config = self._settings.config()
            for stream in self._stream.streams.values():
                stream.config = config

    def _clock_jumped(self, jump: TimeJump) -> None:
        if self._stream is not None:
            self.get_logger().info(f"clock jumped by {jump.delta.nanoseconds * 1e-9:.3f} s: history forgotten")
            jumped_back = jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE
            self._stream.time_jumped(self.get_clock().now().nanoseconds if jumped_back else None)

    def _publish_diagnostics(self) -> None:
        """A line per camera and input: "rig_node: front image"."""
        lifecycle, unknown = self._state_machine.current_state[1], self._settings.unknown
        name, rig = self.get_fully_qualified_name(), self._stream
        if rig is None:
            health = {"": NodeHealth(lifecycle=lifecycle, failure=self.failure, unknown_parameters=unknown)}
        else:
            health = {
                f"{camera} ": stream.health(lifecycle, self.failure, unknown) for camera, stream in rig.streams.items()
            }
        for camera, one in health.items():
            message = self._diagnostics.setdefault(camera, Diagnostics(name)).message(one)
            for line in message.status:
                line.name = line.name.replace(": ", f": {camera}", 1)
            self._diagnostics_publisher.publish(message)


def main(args: list[str] | None = None) -> int:
    """``ros2 run mono_depth_ros rig_node``."""
    return spin_until_stopped(RigNode, args)
