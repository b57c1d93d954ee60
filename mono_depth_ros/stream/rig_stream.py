# SPDX-License-Identifier: Apache-2.0
"""From the images of all cameras of one moment to their depth and one cloud, in one worker thread."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from mono_depth_ros.errors import FrameError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.inference.network_image import Engine
from mono_depth_ros.inference.rig_pipeline import RigPipeline
from mono_depth_ros.intake.extrinsics import TransformSource
from mono_depth_ros.messages.outputs import ImageCounts
from mono_depth_ros.perception.point_memory import SPARSE_DEPTH
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.rig_cloud import RigView, merge_views
from mono_depth_ros.perception.rig_slots import Placement, RigSlots
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.stream.cloud import Cloud, CloudPolicy, cloud_depth
from mono_depth_ros.stream.depth_stream import DepthStream, StreamOutput
from mono_depth_ros.stream.image_worker import ImageWorker, ReceivedImage
from mono_depth_ros.stream.rig_config import RigConfig


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


class RigStream:
    """The cameras of a rig, moment after moment.

    Args:
        engine: the open model.
        config: of the rig.
        streams: of each camera, by its name; the points that the first one receives have to reach the others too
            (`followers` of its stream).
        places: says where a camera is in the base, by its name.
        publish: takes what became of a camera's image.
        publish_cloud: takes the merged cloud, with the stamp of the newest image in it.
        cloud_wanted: whether anybody listens to that.
        sources: of points that send messages at present, by camera; those of the first camera are for all.
        crashed: is told of an exception that the work on a moment let through.
        report: is told (source, problem) of what cannot be used.

    Attributes:
        doors: where the images of each camera go.
        worker: calls ``process`` with the newest moment.
        missing: cameras that had no image at the latest moment.
    """

    def __init__(
        self,
        engine: Engine,
        config: RigConfig,
        streams: Mapping[str, DepthStream],
        places: Mapping[str, TransformSource],
        publish: Callable[[str, StreamOutput], object],
        publish_cloud: Callable[[Cloud, int], object],
        cloud_wanted: Callable[[], bool],
        sources: Callable[[str], list[str]],
        crashed: Callable[[Exception], None],
        report: Callable[[str, str], object],
    ) -> None:
        self.config = config
        self.streams = dict(streams)
        self.missing: tuple[str, ...] = ()
        self._places = places
        self._publish, self._publish_cloud = publish, publish_cloud
        self._cloud_wanted = cloud_wanted
        self._sources = sources
        self._report = report
        self._slots: RigSlots[ReceivedImage] = RigSlots(config.slot_policy())
        self._pipeline = RigPipeline(engine, {camera: stream.pipeline for camera, stream in streams.items()})
        self._known: dict[tuple[str, str], RigidTransform] = {}
        self._latest_ns: int | None = None
        self._time_jumped = threading.Event()
        self.worker = ImageWorker(self.process, self.ready, lambda: self.config.max_wait_s, crashed)
        self.doors = {camera: CameraDoor(camera, self._slots, self.worker) for camera in streams}
        self._first = next(iter(self.streams.values()))

    def time_jumped(self, back_to_ns: int | None = None) -> None:
        """Forgets history, from any thread; as a single camera's does. So is the scale that the cameras share."""
        self._slots.reset()
        for stream in self.streams.values():
            stream.time_jumped(back_to_ns)
        self._time_jumped.set()

    def ready(self, moment: ReceivedImage) -> bool:
        """Whether every camera has its image, and the points that somebody publishes are there."""
        if not self._slots.is_complete(moment.stamp_ns):
            return False
        shared = [source for source in self._sources(next(iter(self.streams))) if source != SPARSE_DEPTH]
        return all(
            stream.has_points_for(
                moment.stamp_ns, [*shared, *(source for source in self._sources(camera) if source == SPARSE_DEPTH)]
            )
            for camera, stream in self.streams.items()
        )

    def process(self, moment: ReceivedImage) -> bool:
        """One moment. Returns whether any camera's image became depth."""
        self._forget_after_jump(moment.stamp_ns)
        images = self._slots.take(moment.stamp_ns)
        self.missing = tuple(camera for camera in self.streams if camera not in images)
        for camera in self.missing:
            self._report("rig", f"no_image: {camera} has none of this moment; the others go on without it")
        prepared = {camera: self.streams[camera].prepare(image) for camera, image in images.items()}
        known = {camera: one.snapshot for camera, one in prepared.items() if not isinstance(one.snapshot, NoSnapshot)}
        self._pipeline.scale_policy = self._first.config.scale_policy()
        outcomes = self._pipeline.step(known)
        made, outputs = False, {}
        for camera, one in prepared.items():
            snapshot = one.snapshot
            outcome = snapshot if isinstance(snapshot, NoSnapshot) else outcomes[camera]
            output = outputs[camera] = self.streams[camera].finish(one, outcome)
            done = isinstance(output.outcome, DepthResult)
            self.doors[camera].done(done)
            self._publish(camera, output)
            made = made or done
        if made and self._cloud_wanted():
            self._merge(outputs)
        return made

    def _merge(self, outputs: Mapping[str, StreamOutput]) -> None:
        """The cloud of all cameras whose depth is published and whose place is known."""
        views, modes, newest_ns, policy = [], [], 0, CloudPolicy()
        for camera, output in outputs.items():
            result = output.outcome
            if output.view is None or not isinstance(result, DepthResult):
                continue
            T_base_camera = self._place(camera, result.camera_frame, result.stamp_ns)
            if T_base_camera is None:
                continue
            policy = output.prepared.config.cloud_policy()
            depth_m = cloud_depth(result, policy, T_base_camera)
            views.append(RigView(result.camera, depth_m, result.image_rgb, T_base_camera, result.sigma_m))
            modes.append(int(result.mode))
            newest_ns = max(newest_ns, result.stamp_ns)
        if views:
            merged = merge_views(views, policy.stride, self.config.hidden_share)
            cloud = Cloud(merged.points_m[None], np.ascontiguousarray(merged.image_rgb[None]))
            if policy.marked:
                cloud = cloud._replace(sigma_m=merged.sigma_m[None], mode=np.array(modes, np.uint8)[merged.view][None])
            self._publish_cloud(cloud, newest_ns)

    def _place(self, camera: str, frame: str, stamp_ns: int) -> RigidTransform | None:
        """T_base_camera, asked for until it is known, always if it moves; a camera without is left out of the cloud."""
        places, base = self._places[camera], self.config.base_frame
        try:
            moves = places.known_until_ns(base, frame) is not None
            if moves or (camera, frame) not in self._known:
                self._known[camera, frame] = places.lookup(base, frame, stamp_ns if moves else None)
        except FrameError as error:
            self._report("extrinsics", str(error))
        return self._known.get((camera, frame))

    def _forget_after_jump(self, stamp_ns: int) -> None:
        jump_back_ns = int(self.config.slot_policy().jump_back_s * 1e9)
        jumped = self._latest_ns is not None and stamp_ns < self._latest_ns - jump_back_ns
        if jumped or self._time_jumped.is_set():
            self._time_jumped.clear()
            self._pipeline.reset()
        self._latest_ns = stamp_ns
