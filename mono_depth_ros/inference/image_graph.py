# SPDX-License-Identifier: Apache-2.0
"""A depth network of others behind the dial: it sees the image only, and points are brought in afterwards.

Without points it predicts. With points its depth is aligned to them in inverse depth (alignment.py); what is left at
the points is spread over their surroundings by anchoring.py, as for every model.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.alignment import FARTHEST_M, align_to_points, inverse_of
from mono_depth_ros.inference.contract import METRIC_DEPTH, ImageInput, ModelContract
from mono_depth_ros.inference.engine import Inferred

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class ImageGraph:
    """A graph with one image in and one depth out.

    Args:
        session: of ONNX Runtime.
        contract: with its field ``image``.
        path: to name in an error.

    Raises:
        ModelContractError: if the graph has not the input and output of the contract.
    """

    def __init__(self, session: Any, contract: ModelContract, path: Path) -> None:
        if contract.image is None:
            raise ModelContractError(f"{path}: expected the field image for kind {contract.kind}, got none")
        self._session = session
        self._image = contract.image
        self._metric_depth = contract.kind == METRIC_DEPTH
        self._name = contract.name
        node = _check_signature(session, contract, contract.image, path)
        self._dtype = _FLOATS[node.type]
        self._one_at_a_time = node.shape[0] == 1

    def run(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
        _ground: npt.NDArray[np.float32] | None = None,
    ) -> Inferred:
        """As OnnxEngine.infer_all, for arrays that are as they should be.

        Raises:
            ModelContractError: if the output is no depth image.
        """
        height, width = rgb.shape[1:3]
        tensor = self._normalised(rgb)
        batches = np.split(tensor, len(tensor)) if self._one_at_a_time else [tensor]
        outputs = [
            self._session.run([self._image.output_name], {self._image.input_name: batch})[0] for batch in batches
        ]
        inverses = [self._inverse(one, height, width) for batch in outputs for one in np.asarray(batch, np.float32)]
        valid = points_depth_m > 0
        depths = []
        for index, inverse in enumerate(inverses):
            chosen = valid & (points_bvu[:, 0] == index)
            if chosen.any():
                cells = points_bvu[chosen]
                points = SparseDepth(height, width, cells[:, 1], cells[:, 2], points_depth_m[chosen])
                depths.append(align_to_points(inverse, points))
            else:
                depths.append(inverse_of(inverse))
        return Inferred(np.stack(depths))

    def _normalised(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.floating]:
        """The images as the network wants them."""
        image = self._image
        pixels = rgb if image.channels == "RGB" else rgb[..., ::-1]
        mean, std = np.array(image.mean, np.float32), np.array(image.std, np.float32)
        tensor: npt.NDArray[np.floating] = (pixels.astype(np.float32) * (image.value_range / 255.0) - mean) / std
        if image.layout == "NCHW":
            tensor = tensor.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(tensor, self._dtype)

    def _inverse(self, output: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
        """One output as inverse depth at the size of the image; a relative network's may be negative."""
        flat = output.squeeze()
        if flat.ndim != 2:
            raise ModelContractError(
                f"model {self._name}: expected one depth per pixel from {self._image.output_name}, got an output of "
                f"shape {list(output.shape)} per image; choose another with `mono-depth contract new --output-name`"
            )
        if self._metric_depth:
            # A pixel without depth is far.
            inverse = inverse_of(np.nan_to_num(flat, nan=FARTHEST_M, posinf=FARTHEST_M, neginf=FARTHEST_M))
        else:
            inverse = np.nan_to_num(flat, nan=0.0, posinf=FARTHEST_M, neginf=0.0)
        if inverse.shape != (height, width):
            # In inverse depth, a border between near and far is spread to both sides alike.
            inverse = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(inverse, np.float32)


def _check_signature(session: Any, contract: ModelContract, image: ImageInput, path: Path) -> Any:
    """The graph's input, if it and the output are as the contract says."""
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    problems = []
    node = inputs.get(image.input_name)
    if node is None or len(inputs) != 1:
        problems.append(f"inputs: expected {image.input_name!r} only, got {sorted(inputs)}")
    elif node.type not in _FLOATS or len(node.shape) != 4:
        problems.append(f"input {node.name}: expected {' or '.join(_FLOATS)} of 4 axes, got {node.type} {node.shape}")
    else:
        size = (contract.height_px, contract.width_px)
        expected = (3, *size) if image.layout == "NCHW" else (*size, 3)
        for got, wanted in zip(node.shape[1:], expected, strict=True):
            # A text or nothing is an axis of any size.
            fixed = isinstance(got, int)
            if (fixed and got != wanted) or (fixed and wanted != 3 and image.dynamic_size):
                kind = "any size" if image.dynamic_size else f"{list(expected)}"
                problems.append(f"input {node.name}: expected {kind} ({image.layout}, model.json), got {node.shape}")
                break
    if image.output_name not in outputs:
        problems.append(f"outputs: expected {image.output_name!r}, got {sorted(outputs)}")
    if problems:
        raise ModelContractError(f"{path}: " + "; ".join(problems))
    return node
