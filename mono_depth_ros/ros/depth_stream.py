# SPDX-License-Identifier: Apache-2.0
"""From an image message to the messages of its depth: convert, place the sensors, step, publish."""

import dataclasses
import threading
import time
import traceback

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.perception.dial import DialPolicy
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer
from mono_depth_ros.ros.conversions import StatusFacts, message_image, status_message
from mono_depth_ros.ros.depth_inputs import DepthInputs
from mono_depth_ros.ros.depth_outputs import DepthOutputs
from mono_depth_ros.ros.extrinsics import CameraExtrinsics
from mono_depth_ros.ros.image_health import ImageHealth
from mono_depth_ros.ros.image_worker import ImageWorker, ReceivedImage
from mono_depth_ros.ros.output_view import output_view
from mono_depth_ros.ros.parameters import DepthNodeConfig
from mono_depth_ros.ros.problem_log import ProblemLog

# An image stamp this much before the one before means that time began anew, as when a bag is played in a loop.
_JUMP_BACK_NS = 1_000_000_000


class DepthStream:
    """The images of one camera, one after another, in the worker's thread.

    Args:
        engine: the open model.
        config: parameters of the node.
        extrinsics: where the sensors sit.
        outputs: publishes.
        problems: is told of what cannot be used.

    Attributes:
        config: may be replaced at any time; an image sees one or the other, never a mixture.
        worker: calls ``process`` with the newest image.
        inputs: the subscriptions while the node is active.
        latest: outcome of the latest image.
        missing_transforms: what was not known of the sensors' places at the latest image.
    """

    def __init__(
        self,
        engine: OnnxEngine,
        config: DepthNodeConfig,
        extrinsics: CameraExtrinsics,
        outputs: DepthOutputs,
        problems: ProblemLog,
    ) -> None:
        self.engine = engine
        self.config = config
        self.outputs = outputs
        self.images = ImageHealth()
        self.buffer = SnapshotBuffer()
        self.inputs: DepthInputs | None = None
        self.latest: DepthResult | NoSnapshot | None = None
        self.missing_transforms: tuple[str, ...] = ()
        self._extrinsics = extrinsics
        self._problems = problems
        self._latest_image_ns: int | None = None
        self._time_jumped = threading.Event()
        policy = DialPolicy(
            config.max_points_age_s, config.resume_points_age_s, config.min_points, config.resume_points
        )
        self._pipeline = DepthPipeline(engine, policy, DEFAULT_ANCHOR_POLICY if config.anchor else None)
        self.worker = ImageWorker(self.process, self.ready, lambda: self.config.max_wait_s, self._crashed)

    def time_jumped(self) -> None:
        """Forgets history, from any thread; the pipeline's is forgotten before the next image."""
        self.buffer.reset()
        self.images.forget_stamps()
        self._time_jumped.set()

    def ready(self, image: ReceivedImage) -> bool:
        """Whether there is nothing to hold this image for."""
        inputs = self.inputs
        if inputs is None or not self.engine.contract.completes or not inputs.points_expected():
            return True
        return self.buffer.has_points_near(image.stamp_ns, self.config.points_tolerance_s)

    def process(self, image: ReceivedImage) -> bool:
        """One image. Returns whether it became depth."""
        config, header = self.config, image.message.header
        started_s = time.monotonic()
        self._reset_after_jump(image.stamp_ns)
        try:
            image_rgb = message_image(image.message)
        except MonoDepthError as error:
            return self._refuse(image, NoSnapshot(image.stamp_ns, "image_unreadable", str(error), ()))
        self._place_sensors(header.frame_id)
        snapshot = self.buffer.snapshot(image.stamp_ns, header.frame_id, image_rgb)
        if isinstance(snapshot, NoSnapshot):
            return self._refuse(image, snapshot)
        decoded_s = time.monotonic()
        result = self._pipeline.step(snapshot)
        if isinstance(result, NoSnapshot):
            return self._refuse(image, result)
        stepped_s = time.monotonic()
        self.outputs.publish_depth(output_view(result, snapshot, config.output_size), header, config)
        self.images.image_used()
        before = (("hold", started_s - image.arrived_s), ("decode", decoded_s - started_s))
        self._publish_status(image, result, (*before, *result.stage_s, ("publish", time.monotonic() - stepped_s)))
        return True

    def _crashed(self, error: Exception) -> None:
        # While ROS shuts down, publishing fails, which is nobody's mistake.
        if not self.outputs.can_publish():
            return
        self.images.image_refused(f"internal_error: {type(error).__name__}: {error}")
        self._problems.report("depth", f"internal_error: {''.join(traceback.format_exception(error))}")

    def _refuse(self, image: ReceivedImage, why: NoSnapshot) -> bool:
        self.images.image_refused(why.message)
        self._problems.report("image", f"{why.reason}: {why.message}")
        self._publish_status(image, why, ())
        return False

    def _publish_status(
        self, image: ReceivedImage, outcome: DepthResult | NoSnapshot, stage_s: tuple[tuple[str, float], ...]
    ) -> None:
        made = isinstance(outcome, DepthResult)
        # The worker counts the current image only after it is done.
        counts = self.worker.counts()
        counts = dataclasses.replace(counts, processed=counts.processed + made, rejected=counts.rejected + (not made))
        facts = StatusFacts(
            image_report=self.images.report(),
            counts=counts,
            stage_s=stage_s,
            latency_s=time.monotonic() - image.arrived_s,
            model_name=self.engine.contract.name,
            provider=self.engine.provider,
        )
        self.latest = outcome
        self.outputs.publish_status(status_message(outcome, image.message.header, facts))

    def _place_sensors(self, camera_frame: str) -> None:
        inputs = self.inputs
        if inputs is None:
            return
        missing = self._extrinsics.update(self.buffer, camera_frame, inputs.lidar_frames, inputs.base_frame)
        self.missing_transforms = tuple(missing)
        for problem in missing:
            self._problems.report("extrinsics", problem)

    def _reset_after_jump(self, stamp_ns: int) -> None:
        # The buffer notices by itself when the stamps of its inputs jump, and may hold points of the new time already.
        jumped = self._latest_image_ns is not None and stamp_ns < self._latest_image_ns - _JUMP_BACK_NS
        self._latest_image_ns = stamp_ns
        if jumped or self._time_jumped.is_set():
            self._time_jumped.clear()
            self.images.forget_stamps()
            self._pipeline.reset()
