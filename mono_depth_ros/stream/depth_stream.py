# SPDX-License-Identifier: Apache-2.0
"""One camera from messages to depth: what the node does with a robot's messages, and replay with a bag's."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import Engine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.intake.extrinsics import CameraExtrinsics
from mono_depth_ros.intake.sensor_intake import IMAGE, SensorIntake
from mono_depth_ros.messages.image_bits import ImageBits
from mono_depth_ros.messages.images import decode_any_image
from mono_depth_ros.messages.outputs import ImageCounts, QosCounts, StatusFacts
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.sensor_log import UsedShares
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorReport, SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer
from mono_depth_ros.stream.cloud import Cloud, result_cloud
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.image_health import ImageHealth
from mono_depth_ros.stream.image_worker import ReceivedImage
from mono_depth_ros.stream.output_view import OutputView, output_view

# An image stamp this much before the one before means that time began anew, as when a bag is played in a loop.
_JUMP_BACK_NS = 1_000_000_000


def _unheard(source: str, problem: str) -> None:
    """Where nobody wants to be told; the status counts all the same."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image with what goes with it, or why nothing does.

    Attributes:
        image: as it was received.
        snapshot: for the pipeline; or why there is none.
        config: of the node at this image.
        stage_s: durations so far: (name, seconds).
    """

    image: ReceivedImage
    snapshot: SensorSnapshot | NoSnapshot
    config: DepthNodeConfig
    stage_s: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class StreamOutput:
    """What became of an image.

    Attributes:
        prepared: the image and what went with it.
        outcome: its depth, or why there is none.
        view: depth at the size that is asked for; None without depth, or where it is withheld.
        reports: health of every input at this image, the image's own first.
    """

    prepared: PreparedImage
    outcome: DepthResult | NoSnapshot
    view: OutputView | None
    reports: tuple[SensorReport, ...]

    def cloud(self) -> Cloud | None:
        """The cloud of the depth, made now; None without depth, or where it is withheld."""
        result, snapshot = self.outcome, self.prepared.snapshot
        if self.view is None or isinstance(result, NoSnapshot) or isinstance(snapshot, NoSnapshot):
            return None
        return result_cloud(result, self.prepared.config.cloud_policy(), snapshot.T_base_camera)

    def facts(
        self, engine: Engine, counts: ImageCounts, qos: dict[str, QosCounts], publish_s: float = 0.0
    ) -> StatusFacts:
        """What the status says beside the outcome.

        Args:
            engine: what runs.
            counts: of the images, this one included.
            qos: events by input.
            publish_s: time that went into the other messages.
        """
        stage_s: tuple[tuple[str, float], ...] = ()
        if isinstance(self.outcome, DepthResult):
            stage_s = (*self.prepared.stage_s, *self.outcome.stage_s, ("publish", publish_s))
        return StatusFacts(
            reports=self.reports,
            counts=counts,
            stage_s=stage_s,
            latency_s=time.monotonic() - self.prepared.image.arrived_s,
            model_name=engine.contract.name,
            provider=getattr(engine, "provider", ""),
            qos=qos,
        )


class DepthStream:
    """The images of one camera, one after another: ``prepare``, a pipeline, ``finish``.

    Messages may be received in one thread while an image is processed in another.

    Args:
        engine: the open model.
        config: parameters of the node.
        extrinsics: where the sensors sit.
        pose: the pose network of the model, for the scale by odometry.
        decode: pixels of an image message, uint8 [H, W, 3] RGB.
        report: is told (source, problem) of what cannot be used, each time.
        followers: streams of other cameras, which get this one's points too.
        image_topic: of the images, whose name may say that they are rectified.

    Attributes:
        config: may be replaced at any time; an image sees one or the other, never a mixture.
        latest: outcome of the latest image.
        reports: health of every input at the latest image, the image's own first.
    """

    def __init__(
        self,
        engine: OnnxEngine | Engine,
        config: DepthNodeConfig,
        extrinsics: CameraExtrinsics,
        pose: PoseEstimator | None = None,
        decode: Callable[[Any, ImageBits], RgbImage] = decode_any_image,
        report: Callable[[str, str], object] = _unheard,
        followers: Sequence["DepthStream"] = (),
        image_topic: str = "",
    ) -> None:
        self.engine = engine
        self.config = config
        self.images = ImageHealth()
        self.buffer = SnapshotBuffer(BufferPolicy(memory=config.memory_policy()))
        intakes: list[SensorIntake] = [stream.intake for stream in followers]
        self.intake: SensorIntake = SensorIntake(
            self.buffer, extrinsics, config.intake_policy(image_topic), decode, intakes
        )
        self.pipeline = DepthPipeline(
            engine,
            config.dial_policy(),
            config.completion_policy(),
            config.scale_policy(),
            pose,
            config.ground_policy(),
        )
        self.latest: DepthResult | NoSnapshot | None = None
        self.reports: tuple[SensorReport, ...] = ()
        self._report = report
        self._shares = UsedShares()
        self._latest_image_ns: int | None = None
        self._time_jumped = threading.Event()
        self._adjusted_to = config

    def receive(self, sensor: str, msg: Any) -> str:
        """Takes a message of any sensor but the camera itself; see `SensorIntake.put`. Returns why not."""
        problem = self.intake.put(sensor, msg)
        if problem:
            self._report(sensor, problem)
        return problem

    def image_arrived(self, stamp_ns: int) -> None:
        """Counts an image, which may be processed later or never."""
        self.images.image_arrived(stamp_ns)
        self.intake.image_arrived(stamp_ns)

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

    def ready(self, image: ReceivedImage, sources: Sequence[str]) -> bool:
        """Whether there is nothing to hold this image for: camera_info of its size, what moves, and points.

        Args:
            image: as received.
            sources: of points that send messages at present.
        """
        width_px, height_px = getattr(image.message, "width", 0), getattr(image.message, "height", 0)
        if self.buffer.camera() is None or (width_px and not self.buffer.has_camera_for(width_px, height_px)):
            return False
        if not self.intake.knows_places_at(image.stamp_ns, str(image.message.header.frame_id)):
            return False
        return self.has_points_for(image.stamp_ns, sources)

    def has_points_for(self, stamp_ns: int, sources: Sequence[str]) -> bool:
        """Whether no points of these sources are worth waiting for."""
        config = self.config
        if not sources or not self.engine.contract.completes or config.mode == "prediction":
            return True
        return self.buffer.has_points_near(stamp_ns, config.points_tolerance_s, sources)

    def process(self, image: ReceivedImage) -> StreamOutput:
        """One image."""
        prepared = self.prepare(image)
        snapshot = prepared.snapshot
        return self.finish(prepared, snapshot if isinstance(snapshot, NoSnapshot) else self.pipeline.step(snapshot))

    def prepare(self, image: ReceivedImage) -> PreparedImage:
        """Decodes and rectifies an image and asks what was known at its stamp; applies new parameters before."""
        started_s = time.monotonic()
        self._adjust()
        self._reset_after_jump(image.stamp_ns)
        snapshot = self.intake.snapshot_of(image.message)
        for problem in self.intake.transform_problems:
            self._report("extrinsics", problem)
        for sensor, warning in self.intake.warnings():
            self._report(sensor, warning)
        stages = (("hold", started_s - image.arrived_s), ("decode", time.monotonic() - started_s))
        return PreparedImage(image, snapshot, self._adjusted_to, stages)

    def finish(self, prepared: PreparedImage, outcome: DepthResult | NoSnapshot) -> StreamOutput:
        """What there is to be published of an image."""
        view, snapshot = None, prepared.snapshot
        if isinstance(snapshot, NoSnapshot):
            outcome = snapshot
        if isinstance(outcome, NoSnapshot):
            self.images.image_refused(outcome.message)
            self._report(IMAGE, f"{outcome.reason}: {outcome.message}")
        elif isinstance(snapshot, SensorSnapshot):
            if not prepared.config.withholds(outcome.mode):
                view = output_view(outcome, snapshot, prepared.config.output_size)
            self.images.image_used()
        self.reports = self._shares.counted((self.images.report(), *outcome.sensors))
        self.latest = outcome
        return StreamOutput(prepared, outcome, view, self.reports)

    def _adjust(self) -> None:
        config = self.config
        if config is self._adjusted_to:
            return
        self._adjusted_to = config
        self.pipeline.adjust(
            config.dial_policy(), config.completion_policy(), config.scale_policy(), config.ground_policy()
        )
        self.buffer.set_memory(config.memory_policy())

    def _reset_after_jump(self, stamp_ns: int) -> None:
        # The buffer notices by itself when the stamps of its inputs jump, and may hold points of the new time already.
        jumped = self._latest_image_ns is not None and stamp_ns < self._latest_image_ns - _JUMP_BACK_NS
        self._latest_image_ns = stamp_ns
        if jumped or self._time_jumped.is_set():
            self._time_jumped.clear()
            self.images.forget_stamps()
            self.pipeline.reset()


def caption(result: DepthResult) -> str:
    """The status in a line, for whoever looks at the preview."""
    metres = f"scale {result.scale.value:.2f} by {result.scale.source.value}" if result.scale.metric else "not metric"
    suspect = "  CALIBRATION?" if result.calibration.suspect else ""
    return f"{result.mode.name}: {result.reason.value}  {result.points_used} points  {metres}{suspect}"
