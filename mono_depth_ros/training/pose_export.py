# SPDX-License-Identifier: Apache-2.0
"""Turns the pose network of a checkpoint into a model of kind "pose": two images in, the motion between them out.

Like the depth model it is compared with torch before it is written; see `inference.pose_engine` for the contract.
"""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.inference.contract import MODEL_FILE, sha256_hex
from mono_depth_ros.inference.pose_engine import VECTOR_OUTPUT, PoseContract, PoseEngine, save_pose_contract
from mono_depth_ros.networks.depth_network import DepthNetwork, predict
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.networks.two_stream_pose_net import TwoStreamPoseNet
from mono_depth_ros.objectives.pose import pose_matrix
from mono_depth_ros.training.checkpoint import Checkpoint
from mono_depth_ros.training.export import OPSET
from mono_depth_ros.training.parity import example_input
from mono_depth_ros.training.whole_folder import whole_folder

PAIRS_COMPARED = 4
ABSOLUTE_LIMIT = 1e-5  # of translation in network units, and of entries of the rotation
RELATIVE_LIMIT = 1e-4


@dataclass(frozen=True, slots=True)
class PoseExportReport:
    """What was written.

    Attributes:
        contract: of the model.
        onnx_bytes: size of model.onnx.
        error: largest difference of an entry of T_previous_current between ONNX Runtime and torch.
        longest: longest translation that was compared, in the unit of the depth model.
    """

    contract: PoseContract
    onnx_bytes: int
    error: float
    longest: float


class PoseGraph(nn.Module):
    """A pose network as the robot calls it. One of two streams brings the depth network that it looks through."""

    def __init__(self, pose: PoseNet | TwoStreamPoseNet, depth: DepthNetwork | None) -> None:
        super().__init__()
        self.pose = pose
        self.depth = depth if isinstance(pose, TwoStreamPoseNet) else None

    def forward(self, rgb_previous: Tensor, rgb_current: Tensor) -> Tensor:
        """The current image is the target, the one before its context.

        Args:
            rgb_previous, rgb_current: uint8 [B, H, W, 3].

        Returns:
            float32 [B, 6]: translation and Euler angles of T_previous_current.
        """
        previous, current = (rgb.permute(0, 3, 1, 2).to(torch.float32) / 255.0 for rgb in (rgb_previous, rgb_current))
        poses: Tensor
        if self.depth is None:
            poses = self.pose(current, (previous,))
        else:
            near, before = (predict(self.depth, image) for image in (current, previous))
            poses = self.pose(current, previous[:, None], near, before[:, None])
        return poses[:, 0]


def can_export_pose(checkpoint: Checkpoint) -> bool:
    """Whether there is a pose network that works on two images."""
    if checkpoint.pose is None:
        return False
    return checkpoint.pose.config.get("kind") == "two_stream" or checkpoint.pose.config.get("neighbours") == 1


def export_pose(checkpoint: Checkpoint, out_dir: str | Path) -> PoseExportReport:
    """Write model.onnx and model.json of the pose network; nothing is left in `out_dir` on failure.

    The size is that of training: a pose network at another size would see other motions.

    Args:
        checkpoint: with a pose network for pairs of images.
        out_dir: folder of the model; an older one is replaced.

    Raises:
        ModelContractError: there is no such network, or the graph does not agree with torch.
    """
    if not can_export_pose(checkpoint):
        got = "none" if checkpoint.pose is None else checkpoint.pose.config
        raise ModelContractError(
            f"checkpoint {checkpoint.metadata.name}: expected a pose network for two images, got {got}; "
            "train with pose.source=pair or two_stream"
        )
    metadata = checkpoint.metadata
    depth = None if checkpoint.depth is None else checkpoint.depth_network()
    graph = PoseGraph(checkpoint.pose_network(), depth).eval()
    content = _onnx_of(graph, metadata.height_px, metadata.width_px)
    contract = PoseContract(
        name=f"{metadata.name}_pose",
        height_px=metadata.height_px,
        width_px=metadata.width_px,
        depth_model=metadata.name,
        onnx_sha256=sha256_hex(content),
        licence=metadata.licence,
        training_data=metadata.training_data,
        recipe=metadata.recipe,
        git_commit=metadata.git_commit,
    )
    with whole_folder(Path(out_dir)) as trial_dir:
        (trial_dir / MODEL_FILE).write_bytes(content)
        save_pose_contract(contract, trial_dir)
        error, longest = _compared(graph, PoseEngine(trial_dir))
    return PoseExportReport(contract, len(content), error, longest)


def _onnx_of(graph: PoseGraph, height: int, width: int) -> bytes:
    """Serialized ONNX graph with dynamic batch size."""
    previous, current = _pair(np.random.default_rng(0), height, width)
    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # height and width are fixed on purpose; the tracer warns about each use
        torch.onnx.export(
            graph,
            (torch.from_numpy(previous), torch.from_numpy(current)),
            stream,
            dynamo=False,
            opset_version=OPSET,
            input_names=["rgb_previous", "rgb_current"],
            output_names=[VECTOR_OUTPUT],
            dynamic_axes={name: {0: "B"} for name in ("rgb_previous", "rgb_current", VECTOR_OUTPUT)},
        )
    return stream.getvalue()


def _compared(graph: PoseGraph, engine: PoseEngine) -> tuple[float, float]:
    """Largest difference of an entry of T_previous_current, and the longest translation. Raises ModelContractError."""
    rng = np.random.default_rng(1)
    contract = engine.contract
    error = longest = 0.0
    for _ in range(PAIRS_COMPARED):
        previous, current = _pair(rng, contract.height_px, contract.width_px)
        with torch.no_grad():
            vector = graph(torch.from_numpy(previous), torch.from_numpy(current))
            expected = pose_matrix(vector)[0].numpy().astype(np.float64)
        difference = np.abs(engine.infer(previous[0], current[0]) - expected)
        length = float(np.linalg.norm(expected[:3, 3]))
        if not (difference <= ABSOLUTE_LIMIT + RELATIVE_LIMIT * max(1.0, length)).all():
            raise ModelContractError(
                f"export of {contract.name}: ONNX Runtime differs from torch by {difference.max():.3g} in a motion of "
                f"{length:.3g}; expected at most {ABSOLUTE_LIMIT} + {RELATIVE_LIMIT} * length"
            )
        error, longest = max(error, float(difference.max())), max(longest, length)
    return error, longest


def _pair(rng: np.random.Generator, height: int, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two smooth random images, uint8 [1, H, W, 3]; the second is the first a few pixels further."""
    rgb, _, _ = example_input(rng, (1, height, width), 0)
    return rgb, np.roll(rgb, (int(rng.integers(-2, 3)), int(rng.integers(1, 6))), axis=(1, 2))
