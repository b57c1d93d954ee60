# SPDX-License-Identifier: Apache-2.0
"""One camera of a node: its stream with its topics on both sides, and what /diagnostics says of it."""

import dataclasses
import time
import traceback
from collections.abc import Callable

from rclpy.lifecycle import LifecycleNode

from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.intake.sensor_intake import PoseSamples
from mono_depth_ros.messages.outputs import ImageCounts
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.ros.conversions import MESSAGES
from mono_depth_ros.ros.depth_inputs import DepthInputs
from mono_depth_ros.ros.depth_outputs import DepthOutputs
from mono_depth_ros.ros.diagnostics import NodeHealth
from mono_depth_ros.ros.qos_health import QosHealth
from mono_depth_ros.stream.depth_stream import DepthStream, StreamOutput, caption
from mono_depth_ros.stream.image_worker import ImageTaker
from mono_depth_ros.stream.problem_log import ProblemLog


class DepthCamera:
    """From configuration to clean-up.

    Args:
        node: owns the publishers and subscriptions.
        stream: of this camera.
        engine: what its depth is made by.
        problems: is told of what goes wrong.
        prefix: before the names of the camera's topics, such as "front/".
        transforms: tell the motion where nobody publishes odometry; None if they are not asked.
    """

    def __init__(
        self,
        node: LifecycleNode,
        stream: DepthStream,
        engine: OnnxEngine,
        problems: ProblemLog,
        prefix: str = "",
        transforms: PoseSamples | None = None,
    ) -> None:
        self._transforms = transforms
        self.stream = stream
        self.outputs = DepthOutputs(node, prefix)
        self.inputs: DepthInputs | None = None
        self.qos = QosHealth(problems)
        self._node, self._engine, self._problems, self._prefix = node, engine, problems, prefix

    def wanted(self) -> bool:
        """Whether depth is to be made: somebody listens, or the node is to be kept warm."""
        return self.stream.config.keep_warm or self.outputs.wanted()

    def listen(self, taker: ImageTaker, sources: tuple[str, ...], wanted: Callable[[], bool]) -> None:
        """Subscribes the camera's topics and the named sources of points; images go to the taker while wanted."""
        self.inputs = DepthInputs(self._node, self, taker, sources, wanted, self._prefix, self._transforms)

    def drain(self) -> None:
        """Takes what waits in the middleware until an image needs it; from the worker's thread."""
        inputs = self.inputs
        if inputs is not None:
            inputs.drain()

    def stop_listening(self) -> None:
        """Ends the subscriptions."""
        if self.inputs is not None:
            self.inputs.destroy()
            self.inputs = None

    def sources(self) -> list[str]:
        """Sources of points that somebody publishes now."""
        return [] if self.inputs is None else self.inputs.expected_sources()

    def publish(self, output: StreamOutput, counts: ImageCounts) -> bool:
        """Publishes what became of an image. Returns whether it is depth.

        Args:
            output: of the stream.
            counts: of the images, this one included.
        """
        started_s, header = time.monotonic(), output.prepared.image.message.header
        made = isinstance(output.outcome, DepthResult)
        if output.view is not None and isinstance(output.outcome, DepthResult):
            self.outputs.publish_depth(output, output.view, header, caption(output.outcome))
        qos = {report.name: self.qos.counts(report.name) for report in output.reports}
        facts = output.facts(self._engine, counts, qos, time.monotonic() - started_s)
        self.outputs.publish_status(MESSAGES.status(header, output.outcome, facts))
        return made

    def crashed(self, error: Exception) -> None:
        """Tells of an exception that the work on an image let through; the next image is worked on all the same."""
        # While ROS shuts down, publishing fails, which is nobody's mistake.
        if self.outputs.can_publish():
            self.stream.images.image_refused(f"internal_error: {type(error).__name__}: {error}")
            self._problems.report("depth", f"internal_error: {''.join(traceback.format_exception(error))}")

    def health(self, node: NodeHealth, counts: ImageCounts) -> NodeHealth:
        """What there is to say on /diagnostics now, beside what is known of the node."""
        self.drain()  # what comes while no image does is counted too
        stream, latest = self.stream, self.stream.latest
        image, share = stream.images.report(), stream.reports[0].used_share if stream.reports else 0.0
        reports = (dataclasses.replace(image, used_share=share), *stream.reports[1:])
        extrinsics = stream.intake.extrinsics
        return dataclasses.replace(
            node,
            reports=reports,
            images_silent_s=stream.images.silent_s(),
            counts=counts,
            mode=latest.mode.name if isinstance(latest, DepthResult) else "NONE" if latest else "",
            reason=str(getattr(latest.reason, "value", latest.reason)) if latest else "",
            model_name=self._engine.contract.name,
            provider=self._engine.provider,
            provider_note=self._engine.provider_note,
            transform_problems=stream.intake.transform_problems,
            transform_changes=extrinsics.changes,
            last_transform_change=extrinsics.last_change,
            calibration_reason=latest.calibration.reason if isinstance(latest, DepthResult) else "",
            qos={report.name: self.qos.counts(report.name) for report in reports},
        )

    def destroy(self) -> None:
        """Ends the publishers."""
        self.outputs.destroy()
