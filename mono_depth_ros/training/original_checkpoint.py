# SPDX-License-Identifier: Apache-2.0
"""Weights of the original PackNet release (PackNetSAN01, PackNet01, PoseNet) for our networks.

The original files are Python pickles. They are read by torch's weights-only unpickler, an allow-list: tensors, containers
and plain values, plus one inert stand-in for the configuration class of the release. Whatever else a file asks for is
refused by name before it is called.
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.networks.packnet_san import PACKNET01, PACKNET_SAN01, PackNetSan
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.training.checkpoint import load_weights
from mono_depth_ros.training.original_layout import packnet_translations, pose_translations, translate

MAX_FILE_BYTES = 4 * 2**30  # the largest original file, with optimizer state, is well below
DEPTH_PREFIXES = ("depth_net.", "disp_network.")
POSE_PREFIXES = ("pose_net.", "pose_network.")


class ConfigNode(dict[str, Any]):
    """Inert stand-in for yacs.config.CfgNode, the configuration class inside original checkpoints."""


@dataclass(frozen=True, slots=True, eq=False)
class OriginalCheckpoint:
    """What is of use in a file of the original release.

    Attributes:
        network: "PackNetSAN01", "PackNet01" or "PoseNet" (a pose network alone).
        depth: the depth network, or None.
        pose: the pose network, or None.
        config: embedded configuration as plain nested dictionaries; empty if there is none.
        epoch: training epoch, if the file says.
        sha256: of the file.
    """

    network: str
    depth: PackNetSan | None
    pose: PoseNet | None
    config: dict[str, Any]
    epoch: int | None
    sha256: str


def read_original_checkpoint(path: str | Path) -> OriginalCheckpoint:
    """Read a .ckpt or .pth.tar file of the original release without running code from it.

    Raises:
        ModelContractError: not such a file, or its tensors do not fit (every misfit is listed).
    """
    path = Path(path)
    contents = read_allow_listed(path)
    tensors = contents.get("state_dict", contents)
    config = plain(contents["config"]) if isinstance(contents.get("config"), dict) else {}
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise ModelContractError(
            f"{path}: expected a dictionary of tensors under 'state_dict', got {sorted(contents)[:9]}"
        )
    depth_tensors, pose_tensors = split_networks(tensors, path)

    network, depth, pose = "PoseNet", None, None
    if depth_tensors:
        network = "PackNetSAN01" if any(key.startswith("mconvs.") for key in depth_tensors) else "PackNet01"
        depth_config = PACKNET_SAN01 if network == "PackNetSAN01" else PACKNET01
        depth = PackNetSan(depth_config)
        weights = translate(depth_tensors, packnet_translations(depth_config), f"{path} ({network})")
        load_weights(depth, weights, f"{path} ({network})")
    if pose_tensors:
        head = pose_tensors.get("pose_pred.bias")
        pose = PoseNet(neighbours=2 if head is None else max(1, head.numel() // 6))
        weights = translate(pose_tensors, pose_translations(pose.neighbours), f"{path} (PoseNet)")
        load_weights(pose, weights, f"{path} (PoseNet)")
    epoch = contents.get("epoch")
    return OriginalCheckpoint(
        network=network,
        depth=None if depth is None else depth.eval(),
        pose=None if pose is None else pose.eval(),
        config=config,
        epoch=epoch if isinstance(epoch, int) else None,
        sha256=file_sha256(path),
    )


def read_allow_listed(path: Path) -> dict[str, Any]:
    """Unpickle a torch file (zip or legacy format) by allow-list. Raises ModelContractError."""
    if not path.is_file():
        raise ModelContractError(f"{path}: expected a regular file")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelContractError(f"{path}: {size} bytes, expected at most {MAX_FILE_BYTES}")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        unpacked = sum(entry.file_size for entry in entries)
        if unpacked > MAX_FILE_BYTES or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ModelContractError(
                f"{path}: a torch file is not compressed; this archive unpacks to {unpacked} bytes"
            )
    try:
        with torch.serialization.safe_globals([(ConfigNode, "yacs.config.CfgNode")]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        reason = next(
            (line for line in str(error).split("\n") if "GLOBAL" in line or "Unsupported" in line), str(error)
        )
        raise ModelContractError(
            f"{path}: refused, the pickle asks for more than tensors, plain values and the configuration of the original "
            f"release, and loading it could run code: {reason.strip()[:300]}"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise ModelContractError(f"{path}: not a torch checkpoint ({type(error).__name__}: {first_line})") from error
    if not isinstance(contents, dict):
        raise ModelContractError(f"{path}: expected a dictionary, got {type(contents).__name__}")
    return contents


def plain(value: Any) -> Any:
    """Nested configuration as plain dictionaries, lists, numbers and strings; anything else becomes its type's name."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return type(value).__name__


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def split_networks(tensors: dict[str, Tensor], path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Depth and pose tensors with their prefixes removed and the dropout rename undone.

    With dropout in the configuration the residual shortcut is called `conv3.0` in the file, without it `conv3`.
    """
    depth: dict[str, Tensor] = {}
    pose: dict[str, Tensor] = {}
    others = []
    for key, tensor in tensors.items():
        for prefixes, group in ((DEPTH_PREFIXES, depth), (POSE_PREFIXES, pose)):
            found = [prefix for prefix in prefixes if f".{key}".find(f".{prefix}") >= 0]
            if found:
                name = key.split(found[0], 1)[1]
                group[name.replace(".conv3.0.", ".conv3.") if group is depth else name] = tensor
                break
        else:
            others.append(key)
    if others and not depth and not pose:  # a bare state_dict of one network
        is_pose = "pose_pred.weight" in tensors
        return (
            ({}, dict(tensors)) if is_pose else ({k.replace(".conv3.0.", ".conv3."): v for k, v in tensors.items()}, {})
        )
    if others:
        raise ModelContractError(f"{path}: tensors of neither a depth nor a pose network: {others}")
    return depth, pose
