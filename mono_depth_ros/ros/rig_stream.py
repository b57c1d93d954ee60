# SPDX-License-Identifier: Apache-2.0
"""From the images of all cameras of one moment to their depth and one cloud, in one worker thread."""

import dataclasses
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import FrameError
from mono_depth_ros.geometry.camera import Points
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.rig_pipeline import RigPipeline
from mono_depth_ros.messages.sensor_intake import SensorIntake
from mono_depth_ros.perception.point_memory import POINTS, SPARSE_DEPTH
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.rig_cloud import RigView, merge_views
from mono_depth_ros.perception.rig_slots import Placement, RigSlots
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer
from mono_depth_ros.ros.depth_stream import DepthStream, PreparedImage
from mono_depth_ros.ros.extrinsics import TransformSource
from mono_depth_ros.ros.image_worker import ImageCounts, ImageWorker, ReceivedImage
from mono_depth_ros.ros.output_view import Cloud
from mono_depth_ros.ros.problem_log import ProblemLog
from mono_depth_ros.ros.rig_parameters import RigConfig


class CameraDoor:
    """Where one camera's images enter the rig: an ImageTaker without a thread of its own.

    Args:
        camera: its name.
        slots: of the rig.
        worker: of the rig; an image that begins a moment is offered to it.
    """

    def __init__(self, camera: str, slots: RigSlots[ReceivedImage], worker: ImageWorker) -> None:
        self._camera = camera
        self._slots = slots
        self._worker = worker
        self._lock = threading.Lock()
        self._received = self._processed = self._rejected = self._idle = 0

    def start(self) -> None:
        """The rig's worker is started once for all cameras."""

    def stop(self, timeout_s: float) -> bool:  # noqa: ARG002 - as ImageTaker
        """The rig's worker is stopped once for all cameras."""
        return True

    def offer(self, image: ReceivedImage) -> None:
        """Gives the image its place in time; the first of a moment wakes the worker, so does the last."""
        with self._lock:
            self._received += 1
        placement = self._slots.put(self._camera, image.stamp_ns, image)
        if placement is Placement.BEGAN:
            self._worker.offer(ReceivedImage(None, image.stamp_ns, image.arrived_s))
        elif placement is Placement.JOINED:
            self._worker.wake()

    def skip(self) -> None:
        """Counts an image that nobody wants depth of."""
        with self._lock:
            self._received += 1
            self._idle += 1

    def wake(self) -> None:
        """Says that something arrived for which a moment may be held."""
        self._worker.wake()

    def done(self, made: bool) -> None:
        """Counts an image that was worked on."""
        with self._lock:
            self._processed += made
            self._rejected += not made

    def counts(self) -> ImageCounts:
        """The counters now; dropped are those that came late, or were overtaken."""
        dropped = self._slots.dropped()[self._camera]
        with self._lock:
            return ImageCounts(self._received, self._processed, dropped, self._rejected, self._idle)


class PointsForAll:
    """The memory of one camera, whose points go into those of the other cameras too: they are decoded once.

    Args:
        own: of the camera.
        others: of the other cameras.
    """

    def __init__(self, own: SnapshotBuffer, others: Sequence[SnapshotBuffer]) -> None:
        self._others = tuple(others)
        self._own = own
        self.add_camera, self.camera = own.add_camera, own.camera
        self.add_odometry, self.add_twist = own.add_odometry, own.add_twist
        self.set_T_camera_lidar = own.set_T_camera_lidar

    def add_points(
        self,
        stamp_ns: int,
        points_lidar_m: Points,
        lidar_frame: str,
        time_offset_s: npt.NDArray[np.float64] | None = None,
        source: str = POINTS,
    ) -> None:
        """As SnapshotBuffer.add_points; depth images, which are aligned to one camera, stay with that."""
        self._own.add_points(stamp_ns, points_lidar_m, lidar_frame, time_offset_s, source)
        if source != SPARSE_DEPTH:
            for other in self._others:
                other.add_points(stamp_ns, points_lidar_m, lidar_frame, time_offset_s, source)


class RigInput:
    """What DepthInputs fills for one camera of a rig.

    Args:
        rig: of all cameras.
        camera: its name; the first one listens to the points that are for all.
    """

    def __init__(self, rig: "RigStream", camera: str) -> None:
        stream, own_sources = rig.streams[camera], (SPARSE_DEPTH,)
        self.config = stream.config
        if camera != next(iter(rig.streams)):
            sources = tuple(source for source in stream.config.point_sources if source in own_sources)
            self.config = dataclasses.replace(stream.config, point_sources=sources)
        self.buffer, self.worker, self.images = stream.buffer, stream.worker, stream.images
        self.intake, self.qos = stream.intake, stream.qos
        # Of all cameras, as soon as anybody wants that of one.
        self.wanted = rig.wanted


class RigStream:
    """The cameras of a rig, moment after moment.

    Args:
        engine: the open model.
        config: of the rig.
        streams: of each camera, by its name; their workers are replaced.
        places: says where a camera is in the base, by its name.
        publish_cloud: takes the merged cloud, with the stamp of the newest image in it.
        cloud_wanted: whether anybody listens to that.
        problems: is told of what cannot be used.

    Attributes:
        worker: calls ``process`` with the newest moment.
        missing: cameras that had no image at the latest moment.
    """

    def __init__(
        self,
        engine: OnnxEngine,
        config: RigConfig,
        streams: Mapping[str, DepthStream],
        places: Mapping[str, TransformSource],
        publish_cloud: Callable[[Cloud, int], None],
        cloud_wanted: Callable[[], bool],
        problems: ProblemLog,
    ) -> None:
        self.config = config
        self.streams = dict(streams)
        self.missing: tuple[str, ...] = ()
        self._places = places
        self._publish_cloud = publish_cloud
        self._cloud_wanted = cloud_wanted
        self._problems = problems
        self._slots: RigSlots[ReceivedImage] = RigSlots(config.slot_policy())
        self._pipeline = RigPipeline(engine, {camera: stream.pipeline for camera, stream in streams.items()})
        self._known: dict[tuple[str, str], RigidTransform] = {}
        self._latest_ns: int | None = None
        self.worker = ImageWorker(self.process, self.ready, lambda: self.config.max_wait_s, self._crashed)
        self._doors = {camera: CameraDoor(camera, self._slots, self.worker) for camera in streams}
        for camera, stream in self.streams.items():
            stream.worker = self._doors[camera]
        self._first, *others = self.streams.values()
        memory = PointsForAll(self._first.buffer, [stream.buffer for stream in others])
        node_config = self._first.config
        self._first.intake = SensorIntake(memory, node_config.rectified, node_config.time_field or None)

    def wanted(self) -> bool:
        """Whether depth is to be made: somebody listens to any camera's, or to the merged cloud."""
        return self._cloud_wanted() or any(stream.wanted() for stream in self.streams.values())

    def time_jumped(self, back_to_ns: int | None = None) -> None:
        """Forgets history, from any thread; as a single camera's does."""
        self._slots.reset()
        for stream in self.streams.values():
            stream.time_jumped(back_to_ns)

    def ready(self, moment: ReceivedImage) -> bool:
        """Whether every camera has its image, and the points that somebody publishes are there."""
        if not self._slots.is_complete(moment.stamp_ns):
            return False
        shared = self._first.inputs.expected_sources() if self._first.inputs is not None else []
        shared = [source for source in shared if source != SPARSE_DEPTH]
        for stream in self.streams.values():
            own = stream.inputs.expected_sources() if stream.inputs is not None else []
            sources = [*shared, *(source for source in own if source == SPARSE_DEPTH)]
            tolerance_s = stream.config.points_tolerance_s
            if sources and not stream.buffer.has_points_near(moment.stamp_ns, tolerance_s, sources):
                return False
        return True

    def process(self, moment: ReceivedImage) -> bool:
        """One moment. Returns whether any camera's image became depth."""
        self._forget_after_jump(moment.stamp_ns)
        images = self._slots.take(moment.stamp_ns)
        self.missing = tuple(camera for camera in self.streams if camera not in images)
        for camera in self.missing:
            self._problems.report("rig", f"no_image: {camera} has none of this moment; the others go on without it")
        for stream in self.streams.values():
            # Where the points come from was told to the first camera only.
            stream.intake.frames |= self._first.intake.frames
        prepared = {camera: self.streams[camera].prepare(image) for camera, image in images.items()}
        known = {camera: one.snapshot for camera, one in prepared.items() if not isinstance(one.snapshot, NoSnapshot)}
        self._pipeline.scale_policy = self._first.config.scale_policy()
        outcomes = self._pipeline.step(known)
        made = False
        for camera, one in prepared.items():
            snapshot = one.snapshot
            done = self.streams[camera].finish(one, snapshot if isinstance(snapshot, NoSnapshot) else outcomes[camera])
            self._doors[camera].done(done)
            made = made or done
        if made and self._cloud_wanted():
            self._merge(prepared, outcomes)
        return made

    def _merge(self, prepared: Mapping[str, PreparedImage], outcomes: Mapping[str, Any]) -> None:
        views, newest_ns, stride = [], 0, 1
        for camera, one in prepared.items():
            result = outcomes.get(camera)
            if not isinstance(result, DepthResult):
                continue
            T_base_camera = self._place(camera, result.camera_frame)
            if T_base_camera is None:
                continue
            views.append(RigView(result.camera, result.depth_m, result.image_rgb, T_base_camera))
            newest_ns, stride = max(newest_ns, result.stamp_ns), one.config.cloud_stride
        if views:
            points_m, colours, _ = merge_views(views, stride, self.config.hidden_share)
            self._publish_cloud((points_m[None], np.ascontiguousarray(colours[None])), newest_ns)

    def _place(self, camera: str, frame: str) -> RigidTransform | None:
        """T_base_camera, asked for until it is known; a camera without is left out of the merged cloud."""
        if (camera, frame) not in self._known:
            try:
                self._known[camera, frame] = self._places[camera].lookup(self.config.base_frame, frame)
            except FrameError as error:
                self._problems.report("extrinsics", str(error))
                return None
        return self._known[camera, frame]

    def _forget_after_jump(self, stamp_ns: int) -> None:
        if self._latest_ns is not None and stamp_ns < self._latest_ns - int(
            self.config.slot_policy().jump_back_s * 1e9
        ):
            self._pipeline.reset()
        self._latest_ns = stamp_ns

    def _crashed(self, error: Exception) -> None:
        # While ROS shuts down, publishing fails, which is nobody's mistake.
        if all(stream.outputs.can_publish() for stream in self.streams.values()):
            self._problems.report("depth", f"internal_error: {''.join(traceback.format_exception(error))}")
