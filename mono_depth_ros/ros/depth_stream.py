# SPDX-License-Identifier: Apache-2.0
"""From an image message to the messages of its depth: convert, place the sensors, step, publish."""

import dataclasses
import threading
import time
import traceback
from dataclasses import dataclass

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.messages.sensor_intake import SensorIntake
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.sensor_log import UsedShares
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorReport, SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer
from mono_depth_ros.ros.conversions import StatusFacts, message_image, status_message
from mono_depth_ros.ros.depth_inputs import DepthInputs
from mono_depth_ros.ros.depth_outputs import DepthOutputs
from mono_depth_ros.ros.diagnostics import NodeHealth
from mono_depth_ros.ros.extrinsics import CameraExtrinsics
from mono_depth_ros.ros.image_health import ImageHealth
from mono_depth_ros.ros.image_worker import ImageTaker, ImageWorker, ReceivedImage
from mono_depth_ros.ros.node_config import DepthNodeConfig
from mono_depth_ros.ros.output_view import output_view
from mono_depth_ros.ros.problem_log import ProblemLog
from mono_depth_ros.ros.qos_health import QosHealth

# An image stamp this much before the one before means that time began anew, as when a bag is played in a loop.
_JUMP_BACK_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image with what goes with it, or why nothing does.

    Attributes:
        image: as it was received.
        snapshot: for the pipeline; or why there is none.
        config: of the node at this image.
        started_s, decoded_s: monotonic times.
    """

    image: ReceivedImage
    snapshot: SensorSnapshot | NoSnapshot
    config: DepthNodeConfig
    started_s: float
    decoded_s: float


class DepthStream:
    """The images of one camera, one after another, in the worker's thread: ``prepare``, a pipeline, ``finish``.

    Args:
        engine: the open model.
        config: parameters of the node.
        extrinsics: where the sensors sit.
        outputs: publishes.
        problems: is told of what cannot be used.
        pose: the pose network of the model, for the scale by odometry.

    Attributes:
        config: may be replaced at any time; an image sees one or the other, never a mixture.
        worker: calls ``process`` with the newest image; a rig puts its own in this place, which calls ``prepare`` and
            ``finish``.
        inputs: the subscriptions while the node is active.
        latest: outcome of the latest image.
        reports: health of every input at the latest image, the image's own first.
        transform_problems: what was not known of the sensors' places at the latest image.
    """

    def __init__(
        self,
        engine: OnnxEngine,
        config: DepthNodeConfig,
        extrinsics: CameraExtrinsics,
        outputs: DepthOutputs,
        problems: ProblemLog,
        pose: PoseEstimator | None = None,
    ) -> None:
        self.engine = engine
        self.config = config
        self.outputs = outputs
        self.extrinsics = extrinsics
        self.images = ImageHealth()
        self.buffer = SnapshotBuffer(BufferPolicy(memory=config.memory_policy()))
        self.intake = SensorIntake(self.buffer, config.rectified, config.time_field or None)
        self.qos = QosHealth(problems)
        self.inputs: DepthInputs | None = None
        self.latest: DepthResult | NoSnapshot | None = None
        self.reports: tuple[SensorReport, ...] = ()
        self.transform_problems: tuple[str, ...] = ()
        self._problems = problems
        self._shares = UsedShares()
        self._latest_image_ns: int | None = None
        self._time_jumped = threading.Event()
        self._adjusted_to = config
        self.pipeline = DepthPipeline(
            engine, config.dial_policy(), config.completion_policy(), config.scale_policy(), pose
        )
        self.worker: ImageTaker = ImageWorker(self.process, self.ready, lambda: self.config.max_wait_s, self._crashed)

    def wanted(self) -> bool:
        """Whether depth is to be made: somebody listens, or the node is to be kept warm."""
        return self.config.keep_warm or self.outputs.wanted()

    def time_jumped(self, back_to_ns: int | None = None) -> None:
        """Forgets history, from any thread; the pipeline's is forgotten before the next image.

        Args:
            back_to_ns: where a clock that jumped back is now; what has come of that time already is kept. None keeps
                nothing.
        """
        if back_to_ns is None:
            self.buffer.reset()
        else:
            self.buffer.restart_at(back_to_ns)
        self.images.forget_stamps()
        self._time_jumped.set()

    def ready(self, image: ReceivedImage) -> bool:
        """Whether there is nothing to hold this image for: its camera_info after a change of size, and points."""
        inputs, config = self.inputs, self.config
        if inputs is None:
            return True
        width_px, height_px = getattr(image.message, "width", 0), getattr(image.message, "height", 0)
        if width_px and self.buffer.camera() is not None and not self.buffer.has_camera_for(width_px, height_px):
            return False
        if not self.engine.contract.completes or config.mode == "prediction":
            return True
        sources = inputs.expected_sources()
        return not sources or self.buffer.has_points_near(image.stamp_ns, config.points_tolerance_s, sources)

    def process(self, image: ReceivedImage) -> bool:
        """One image. Returns whether it became depth."""
        prepared = self.prepare(image)
        snapshot = prepared.snapshot
        return self.finish(prepared, snapshot if isinstance(snapshot, NoSnapshot) else self.pipeline.step(snapshot))

    def prepare(self, image: ReceivedImage) -> PreparedImage:
        """Decodes and rectifies an image and asks what was known at its stamp; applies new parameters before."""
        started_s = time.monotonic()
        self._adjust()
        self._reset_after_jump(image.stamp_ns)
        snapshot = self._snapshot(image)
        return PreparedImage(image, snapshot, self._adjusted_to, started_s, time.monotonic())

    def finish(self, prepared: PreparedImage, outcome: DepthResult | NoSnapshot) -> bool:
        """Publishes what became of an image. Returns whether it became depth."""
        image, snapshot = prepared.image, prepared.snapshot
        if isinstance(outcome, NoSnapshot) or isinstance(snapshot, NoSnapshot):
            why = outcome if isinstance(outcome, NoSnapshot) else snapshot
            if isinstance(why, NoSnapshot):
                self.images.image_refused(why.message)
                self._problems.report("image", f"{why.reason}: {why.message}")
                self._publish_status(image, why, ())
            return False
        stepped_s = time.monotonic()
        view = output_view(outcome, snapshot, prepared.config.output_size)
        self.outputs.publish_depth(view, image.message.header, prepared.config, _caption(outcome))
        self.images.image_used()
        before = (
            ("hold", prepared.started_s - image.arrived_s),
            ("decode", prepared.decoded_s - prepared.started_s),
        )
        self._publish_status(image, outcome, (*before, *outcome.stage_s, ("publish", time.monotonic() - stepped_s)))
        return True

    def health(self, lifecycle: str, failure: str, unknown_parameters: tuple[str, ...]) -> NodeHealth:
        """What there is to say on /diagnostics now."""
        latest = self.latest
        reports = (self.images.report(), *self.reports[1:])
        return NodeHealth(
            lifecycle=lifecycle,
            failure=failure,
            reports=reports,
            images_silent_s=self.images.silent_s(),
            counts=self.worker.counts(),
            mode=latest.mode.name if isinstance(latest, DepthResult) else "NONE" if latest else "",
            reason=str(getattr(latest.reason, "value", latest.reason)) if latest else "",
            model_name=self.engine.contract.name,
            provider=self.engine.provider,
            provider_note=self.engine.provider_note,
            transform_problems=self.transform_problems,
            transform_changes=self.extrinsics.changes,
            last_transform_change=self.extrinsics.last_change,
            unknown_parameters=unknown_parameters,
            calibration_reason=latest.calibration.reason if isinstance(latest, DepthResult) else "",
            qos={report.name: self.qos.counts(report.name) for report in reports},
        )

    def _adjust(self) -> None:
        config = self.config
        if config is self._adjusted_to:
            return
        self._adjusted_to = config
        self.pipeline.adjust(config.dial_policy(), config.completion_policy(), config.scale_policy())
        self.buffer.set_memory(config.memory_policy())

    def _snapshot(self, image: ReceivedImage) -> SensorSnapshot | NoSnapshot:
        camera_frame = image.message.header.frame_id
        try:
            image_rgb = self.intake.lens.image(message_image(image.message))
        except MonoDepthError as error:
            return NoSnapshot(image.stamp_ns, "image_unreadable", str(error), ())
        problems = self.extrinsics.update(self.buffer, camera_frame, self.intake.frames, self.intake.base_frame)
        self.transform_problems = tuple(problems)
        for problem in problems:
            self._problems.report("extrinsics", problem)
        return self.buffer.snapshot(image.stamp_ns, camera_frame, image_rgb)

    def _crashed(self, error: Exception) -> None:
        # While ROS shuts down, publishing fails, which is nobody's mistake.
        if not self.outputs.can_publish():
            return
        self.images.image_refused(f"internal_error: {type(error).__name__}: {error}")
        self._problems.report("depth", f"internal_error: {''.join(traceback.format_exception(error))}")

    def _publish_status(
        self, image: ReceivedImage, outcome: DepthResult | NoSnapshot, stage_s: tuple[tuple[str, float], ...]
    ) -> None:
        made = isinstance(outcome, DepthResult)
        # The worker counts the current image only after it is done.
        counts = self.worker.counts()
        counts = dataclasses.replace(counts, processed=counts.processed + made, rejected=counts.rejected + (not made))
        self.reports = self._shares.counted((self.images.report(), *outcome.sensors))
        facts = StatusFacts(
            reports=self.reports,
            qos={report.name: self.qos.counts(report.name) for report in self.reports},
            counts=counts,
            stage_s=stage_s,
            latency_s=time.monotonic() - image.arrived_s,
            model_name=self.engine.contract.name,
            provider=self.engine.provider,
        )
        self.latest = outcome
        self.outputs.publish_status(status_message(outcome, image.message.header, facts))

    def _reset_after_jump(self, stamp_ns: int) -> None:
        # The buffer notices by itself when the stamps of its inputs jump, and may hold points of the new time already.
        jumped = self._latest_image_ns is not None and stamp_ns < self._latest_image_ns - _JUMP_BACK_NS
        self._latest_image_ns = stamp_ns
        if jumped or self._time_jumped.is_set():
            self._time_jumped.clear()
            self.images.forget_stamps()
            self.pipeline.reset()


def _caption(result: DepthResult) -> str:
    """The status in a line, for whoever looks at the preview."""
    metres = f"scale {result.scale.value:.2f} by {result.scale.source.value}" if result.scale.metric else "not metric"
    suspect = "  CALIBRATION?" if result.calibration.suspect else ""
    return f"{result.mode.name}: {result.reason.value}  {result.points_used} points  {metres}{suspect}"
