# SPDX-License-Identifier: Apache-2.0
"""Several cameras in one run of the network, each dialled by its own points, with one factor to metres for all."""

from collections.abc import Mapping

from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.network_image import Engine, FitToNetwork, NetworkDepth, infer_batch
from mono_depth_ros.inference.pipeline import DepthPipeline, ImageInWork
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.rig_scale import SharedScale, share_scale
from mono_depth_ros.perception.scale import DEFAULT_SCALE_POLICY, ScaleEstimate, ScalePolicy
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorSnapshot

Question = tuple[FitToNetwork, SparseDepth | None]


class RigPipeline:
    """Depth for the cameras of a rig, moment after moment.

    Args:
        engine: runs the network; the one of all pipelines.
        pipelines: of each camera, by its name, with a dial and a memory of its own.
        scale_policy: what makes predictions metric; the one of all pipelines.

    Attributes:
        scale_policy: may be replaced between two moments.
    """

    def __init__(
        self,
        engine: Engine,
        pipelines: Mapping[str, DepthPipeline],
        scale_policy: ScalePolicy = DEFAULT_SCALE_POLICY,
    ) -> None:
        self.scale_policy = scale_policy
        self._engine = engine
        self._pipelines = dict(pipelines)
        self._shared = SharedScale()

    def reset(self) -> None:
        """Forgets the past, of the cameras too; for a clock that jumped."""
        self._shared = SharedScale()
        for pipeline in self._pipelines.values():
            pipeline.reset()

    def step(self, snapshots: Mapping[str, SensorSnapshot]) -> dict[str, DepthResult | NoSnapshot]:
        """The images of one moment in, their depth out; cameras without an image are left out.

        The network is run once, for all of them, or once for each size that it is asked for.
        """
        outcomes: dict[str, DepthResult | NoSnapshot] = {}
        works: dict[str, ImageInWork] = {}
        for camera, snapshot in snapshots.items():
            work = self._pipelines[camera].begin(snapshot)
            if isinstance(work, NoSnapshot):
                outcomes[camera] = work
            else:
                works[camera] = work
        answers = self._ask({camera: _questions(work) for camera, work in works.items()})
        said: dict[str, NetworkDepth] = {}
        estimates: list[ScaleEstimate] = []
        for camera, work in works.items():
            work.clock.lap("network")
            answer = answers[camera]
            predicted_m = answer[1].depth_m if work.wants_prediction else None
            depth_m, estimate = self._pipelines[camera].measure(work, answer[0].depth_m, predicted_m)
            said[camera] = answer[0]._replace(depth_m=depth_m)
            estimates.append(estimate)
            work.clock.lap("scale")
        stamp_ns = max((work.snapshot.stamp_ns for work in works.values()), default=0)
        self._shared, shared = share_scale(self._shared, estimates, stamp_ns, self.scale_policy)
        for camera, work in works.items():
            outcomes[camera] = self._pipelines[camera].end(work, said[camera], shared)
        return {camera: outcomes[camera] for camera in snapshots}

    def _ask(self, questions: Mapping[str, list[Question]]) -> dict[str, list[NetworkDepth]]:
        """What the network gives for each question; those of one size go through it together."""
        sizes: dict[tuple[int, ...], list[tuple[str, Question]]] = {}
        for camera, asked in questions.items():
            for question in asked:
                sizes.setdefault(question[0].image_rgb.shape, []).append((camera, question))
        answers: dict[str, list[NetworkDepth]] = {camera: [] for camera in questions}
        for batch in sizes.values():
            given = infer_batch(self._engine, [question for _, question in batch])
            for (camera, _), answer in zip(batch, given, strict=True):
                answers[camera].append(answer)
        return answers


def _questions(work: ImageInWork) -> list[Question]:
    """The image with its points, and once more without them if a prediction is wanted beside the completion."""
    return [(work.fit, work.used), (work.fit, None)] if work.wants_prediction else [(work.fit, work.used)]
