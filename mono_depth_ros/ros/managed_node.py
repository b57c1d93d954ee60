# SPDX-License-Identifier: Apache-2.0
"""The life of depth_node and rig_node: parameters, model, transitions, clock, diagnostics; what differs is the work."""

import abc
from collections.abc import Callable, Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, TimeJump
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pose_engine import PoseEngine, open_pose_model
from mono_depth_ros.intake.extrinsics import TransformSource, given_transform
from mono_depth_ros.messages.outputs import ImageCounts
from mono_depth_ros.ros.depth_camera import DepthCamera
from mono_depth_ros.ros.diagnostics import Diagnostics, NodeHealth
from mono_depth_ros.ros.parameters import DepthNodeParameters
from mono_depth_ros.ros.tf_transforms import TfTransforms
from mono_depth_ros.ros.transitions import answer_bad_requests, autostart, logged_transition
from mono_depth_ros.share import model_path
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.image_worker import ImageWorker
from mono_depth_ros.stream.problem_log import ProblemLog

_STOP_TIMEOUT_S = 30.0


class DepthWork(abc.ABC):
    """What a configured node does.

    Attributes:
        cameras: by their names; the only camera of depth_node has none.
        worker: works on the newest image, or moment of a rig.
    """

    cameras: Mapping[str, DepthCamera]
    worker: ImageWorker

    @abc.abstractmethod
    def listen(self) -> None:
        """Subscribes everything."""

    @abc.abstractmethod
    def time_jumped(self, back_to_ns: int | None) -> None:
        """Forgets history; see `DepthStream.time_jumped`."""

    @abc.abstractmethod
    def counts(self, camera: str) -> ImageCounts:
        """What became of a camera's images."""

    def destroy(self) -> None:
        """Ends the publishers."""
        for camera in self.cameras.values():
            camera.destroy()


class ManagedDepthNode(LifecycleNode, abc.ABC):  # type: ignore[misc]  # rclpy has no types
    """Lifecycle node around the work that `open_work` makes.

    Args:
        name: of the node.
        context: of rclpy; None for the default one.
        namespace: None for that of the command line.
        parameters: values that go before those of the command line.

    Attributes:
        failure: why the latest transition failed, empty if it did not.
        work: while the node is configured.
    """

    def __init__(
        self, name: str, context: Context | None, namespace: str | None, parameters: Sequence[Parameter]
    ) -> None:
        self.failure = ""
        self.work: DepthWork | None = None
        self._tf: TfTransforms | None = None
        super().__init__(name, context=context, namespace=namespace, parameter_overrides=list(parameters))
        answer_bad_requests(self)
        self.problems = ProblemLog(self.get_logger().warning)
        self.settings = DepthNodeParameters(self, lambda: self.work is None, self._parameters_changed)
        self._diagnostics: dict[str, Diagnostics] = {}
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # Steady time, so that a paused bag does not stop the diagnostics.
        self._diagnostics_timer = self.create_timer(
            self.get_parameter("diagnostics.period_s").value,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._clock_jumped)

    @abc.abstractmethod
    def open_work(self, config: DepthNodeConfig, open_model: Callable[[], OnnxEngine]) -> DepthWork:
        """Everything that the node needs to run.

        Args:
            config: the parameters.
            open_model: opens the model; called once the parameters are known to be good.
        """

    def autostart(self) -> bool:
        """Configures and activates, if the parameter ``autostart`` says so; returns whether the node is active."""
        return autostart(self)

    def open_pose_model(self, config: DepthNodeConfig, engine: OnnxEngine) -> PoseEngine | None:
        """The pose network that the parameters name, if they do."""
        folder = model_path(config.pose_model) if config.pose_model else None
        return open_pose_model(folder, engine, config.providers, config.intra_op_threads)

    def source(self, numbers: Sequence[float]) -> TransformSource:
        """Where a sensor sits: x, y, z, qx, qy, qz, qw of a parameter, or TF where there are none."""
        if numbers:
            return given_transform(numbers)
        return self.transforms

    @property
    def transforms(self) -> TfTransforms:
        """TF, listened to from the first time on that it is asked for."""
        if self._tf is None:
            self._tf = TfTransforms(self)
        return self._tf

    @logged_transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Reads the parameters, opens the model, advertises the outputs."""
        config = self.settings.config()
        self.work = self.open_work(config, lambda: self._open_model(config))
        return super().on_configure(state)

    @logged_transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts the worker and listens."""
        outcome = super().on_activate(state)
        if self.work is None:
            raise RuntimeError("expected a configured node")
        self.work.worker.start()
        self.work.listen()
        return outcome

    @logged_transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops listening and finishes what is in work."""
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

    def _open_model(self, config: DepthNodeConfig) -> OnnxEngine:
        self.get_logger().info(f"opening model {config.model!r} on {', '.join(config.providers)}")
        engine = OnnxEngine(model_path(config.model), config.providers, config.intra_op_threads, config.precision)
        engine.warm_up()
        self.get_logger().info(f"model {engine.contract.name!r} runs on {engine.provider} {engine.provider_note}")
        return engine

    def _stop(self) -> None:
        work = self.work
        if work is None:
            return
        for camera in work.cameras.values():
            camera.stop_listening()
        if not work.worker.stop(_STOP_TIMEOUT_S):
            raise RuntimeError(f"expected the image in work to be done within {_STOP_TIMEOUT_S:g} s")

    def _release(self) -> None:
        self._stop()
        work, self.work = self.work, None
        if work is not None:
            work.destroy()

    def _parameters_changed(self) -> None:
        if self.work is not None:
            config = self.settings.config()
            for camera in self.work.cameras.values():
                camera.stream.config = config

    def _clock_jumped(self, jump: TimeJump) -> None:
        if self.work is not None:
            self.get_logger().info(f"clock jumped by {jump.delta.nanoseconds * 1e-9:.3f} s: history forgotten")
            jumped_back = jump.clock_change == ClockChange.ROS_TIME_NO_CHANGE
            self.work.time_jumped(self.get_clock().now().nanoseconds if jumped_back else None)

    def _publish_diagnostics(self) -> None:
        """A line per camera and input: "rig_node: front image"."""
        node = NodeHealth(
            lifecycle=self._state_machine.current_state[1],
            failure=self.failure,
            unknown_parameters=self.settings.unknown,
        )
        work = self.work
        cameras = dict.fromkeys(self._diagnostics or ("",)) if work is None else work.cameras
        for name, camera in cameras.items():
            health = node if work is None or camera is None else camera.health(node, work.counts(name))
            full_name = self.get_fully_qualified_name()
            message = self._diagnostics.setdefault(name, Diagnostics(full_name)).message(health)
            if name:
                for line in message.status:
                    line.name = line.name.replace(": ", f": {name} ", 1)
            message.header.stamp = self.get_clock().now().to_msg()
            self._diagnostics_publisher.publish(message)
