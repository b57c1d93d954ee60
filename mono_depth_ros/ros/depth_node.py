# SPDX-License-Identifier: Apache-2.0
"""depth_node: one camera, whatever points and odometry there are, metric depth out. docs/depth_node.md describes it."""

from collections.abc import Sequence

from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, TimeJump
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pose_engine import PoseEngine
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN
from mono_depth_ros.ros.depth_inputs import DepthInputs
from mono_depth_ros.ros.depth_outputs import DepthOutputs
from mono_depth_ros.ros.depth_stream import DepthStream
from mono_depth_ros.ros.diagnostics import Diagnostics, NodeHealth
from mono_depth_ros.ros.diagnostics_publisher import DiagnosticsPublisher
from mono_depth_ros.ros.extrinsics import CameraExtrinsics, GivenTransform, TfTransforms, TransformSource
from mono_depth_ros.ros.node_config import DepthNodeConfig
from mono_depth_ros.ros.parameters import DepthNodeParameters
from mono_depth_ros.ros.problem_log import ProblemLog
from mono_depth_ros.ros.transitions import autostart, logged_transition, spin_until_stopped
from mono_depth_ros.share import model_path

_STOP_TIMEOUT_S = 30.0


class DepthNode(LifecycleNode):  # type: ignore[misc]  # rclpy has no types
    """Lifecycle node around SnapshotBuffer and DepthPipeline.

    Args:
        context: of rclpy; None for the default one.
        namespace: None for that of the command line.
        parameters: values that go before those of the command line.

    Attributes:
        failure: why the latest transition failed, empty if it did not.
    """

    def __init__(
        self,
        context: Context | None = None,
        namespace: str | None = None,
        parameters: Sequence[Parameter] = (),
    ) -> None:
        self.failure = ""
        self._stream: DepthStream | None = None
        self._tf: TfTransforms | None = None
        super().__init__("depth_node", context=context, namespace=namespace, parameter_overrides=list(parameters))
        self._problems = ProblemLog(self.get_logger().warning)
        self._settings = DepthNodeParameters(self, lambda: self._stream is None, self._parameters_changed)
        self._diagnostics = Diagnostics(self.get_fully_qualified_name())
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
        """Reads the parameters, opens the model, advertises the outputs."""
        config = self._settings.config()
        self.get_logger().info(f"opening model {config.model!r} on {', '.join(config.providers)}")
        engine = OnnxEngine(model_path(config.model), config.providers, config.intra_op_threads, config.precision)
        engine.warm_up()
        self.get_logger().info(f"model {engine.contract.name!r} runs on {engine.provider} {engine.provider_note}")
        pose = open_pose_model(config, engine)
        extrinsics = self._make_extrinsics(config)
        self._stream = DepthStream(engine, config, extrinsics, DepthOutputs(self), self._problems, pose)
        return super().on_configure(state)

    @logged_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the worker and listens."""
        outcome = super().on_activate(state)
        stream = self._stream
        if stream is None:
            raise RuntimeError("expected a configured node")
        stream.worker.start()
        stream.inputs = DepthInputs(self, stream, self._problems)
        return outcome

    @logged_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops listening and finishes the image in work."""
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

    def _make_extrinsics(self, config: DepthNodeConfig) -> CameraExtrinsics:
        def source(numbers: Sequence[float]) -> TransformSource:
            if numbers:
                return GivenTransform(numbers)
            if self._tf is None:
                self._tf = TfTransforms(self)
            return self._tf

        points = {
            POINTS: source(config.T_camera_lidar),
            SCAN: source(config.T_camera_scan),
            RANGE: source(config.T_camera_range),
        }
        return CameraExtrinsics(points, source(config.T_base_camera))

    def _stop(self) -> None:
        stream = self._stream
        if stream is None:
            return
        if stream.inputs is not None:
            stream.inputs.destroy()
            stream.inputs = None
        if not stream.worker.stop(_STOP_TIMEOUT_S):
            raise RuntimeError(f"expected the image in work to be done within {_STOP_TIMEOUT_S:g} s")

    def _release(self) -> None:
        self._stop()
        if self._stream is not None:
            self._stream.outputs.destroy()
        self._stream = None

    def _parameters_changed(self) -> None:
        stream = self._stream
        if stream is not None:
            stream.config = self._settings.config()

    def _clock_jumped(self, jump: TimeJump) -> None:
        if self._stream is not None:
            self.get_logger().info(f"clock jumped by {jump.delta.nanoseconds * 1e-9:.3f} s: history forgotten")
            jumped_back = jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE
            self._stream.time_jumped(self.get_clock().now().nanoseconds if jumped_back else None)

    def _publish_diagnostics(self) -> None:
        self._diagnostics_publisher.publish(self._diagnostics.message(self._health()))

    def _health(self) -> NodeHealth:
        stream = self._stream
        lifecycle = self._state_machine.current_state[1]
        unknown = self._settings.unknown
        if stream is None:
            return NodeHealth(lifecycle=lifecycle, failure=self.failure, unknown_parameters=unknown)
        return stream.health(lifecycle, self.failure, unknown)


def open_pose_model(config: DepthNodeConfig, engine: OnnxEngine) -> PoseEngine | None:
    """The pose network, if one is named.

    Raises:
        ConfigError: if it was trained together with another depth model, so that its metres are others.
        ModelContractError: if it cannot be opened.
    """
    if not config.pose_model:
        return None
    pose = PoseEngine(model_path(config.pose_model), config.providers, config.intra_op_threads)
    if pose.contract.depth_model != engine.contract.name:
        raise ConfigError(
            f"pose_model: expected the one of depth model {engine.contract.name!r}, got that of "
            f"{pose.contract.depth_model!r}; its unit of length is another"
        )
    return pose


def main(args: list[str] | None = None) -> int:
    """``ros2 run mono_depth_ros depth_node``."""
    return spin_until_stopped(DepthNode, args)
