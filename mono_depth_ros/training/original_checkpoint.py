# SPDX-License-Identifier: Apache-2.0
"""Reads checkpoints of the original PackNet release: PackNetSAN01, PackNet01 and PoseNet.

The files are Python pickles. They are read by torch's weights-only unpickler, which is an allow-list: tensors,
containers and plain values, plus the configuration class of the release, read as a plain dictionary. Whatever else a
file asks for is refused by name before it is called. Names and layouts of the weights are in `original_layout`.
"""

import hashlib
import re
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.networks.packnet_san import PACKNET01, PACKNET_SAN01, PackNetSan
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.placeholder import placeholder
from mono_depth_ros.training.checkpoint import ModelMetadata, load_weights
from mono_depth_ros.training.original_layout import packnet_translations, pose_translations, translate

MAX_FILE_BYTES = 4 << 30  # the largest network with its optimizer state has 1.5 GB
WRAPPERS = re.compile(r"^(model\.|module\.)+")
DEPTH_PREFIXES = ("depth_net.", "disp_network.")
POSE_PREFIXES = ("pose_net.", "pose_network.")
CONFIG_CLASS = "yacs.config.CfgNode"  # a dictionary with attributes; it becomes a plain OrderedDict
METRIC_MODELS = ("VelSupModel", "SemiSupModel", "SemiSupCompletionModel")  # trained with speed or with LiDAR


@dataclass(frozen=True, slots=True, eq=False)
class OriginalCheckpoint:
    """What is of use in a file of the original release.

    Attributes:
        network: "PackNetSAN01", "PackNet01" or "PoseNet" (a pose network alone).
        depth: the depth network with its weights, eval mode, or None.
        pose: the pose network with its weights, eval mode, or None.
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
    if not isinstance(tensors, dict) or not tensors or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise ModelContractError(
            f"{path}: expected a dictionary of tensors, alone or under 'state_dict', got entries {list(contents)[:9]}"
        )
    depth_tensors, pose_tensors = split_networks(tensors, path)
    network = "PoseNet"
    depth, pose = None, None
    if depth_tensors:
        is_san = any(key.startswith("mconvs.") for key in depth_tensors)
        network, config = ("PackNetSAN01", PACKNET_SAN01) if is_san else ("PackNet01", PACKNET01)
        depth = PackNetSan(config).eval()
        name = f"{path} ({network})"
        load_weights(depth, translate(depth_tensors, packnet_translations(config), name), name)
    if pose_tensors:
        head = pose_tensors.get("pose_pred.bias")
        pose = PoseNet(neighbours=2 if head is None else max(1, head.numel() // 6)).eval()
        name = f"{path} (PoseNet)"
        load_weights(pose, translate(pose_tensors, pose_translations(pose.neighbours), name), name)
    config_node, epoch = contents.get("config"), contents.get("epoch")
    return OriginalCheckpoint(
        network=network,
        depth=depth,
        pose=pose,
        config=as_plain(config_node) if isinstance(config_node, dict) else {},
        epoch=epoch if isinstance(epoch, int) else None,
        sha256=file_sha256(path),
    )


def read_allow_listed(path: Path) -> dict[str, Any]:
    """Unpickle a torch file (zip or legacy format) by allow-list.

    Raises:
        ModelContractError: not a torch file, or one that asks for anything else than tensors and plain values.
        ConfigError: torch is too old to do this safely.
    """
    check_file(path)
    if torch.__version__ < (2, 7):  # an unpickler up to 2.5 could be tricked; one up to 2.6 cannot rename a class
        raise ConfigError(f"reading original checkpoints needs torch 2.7 or newer, got {torch.__version__}")
    try:
        with torch.serialization.safe_globals([(OrderedDict, CONFIG_CLASS)]):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        if asked is None:
            detail = str(error).rsplit("error:", 1)[-1].strip().split("\n")[0][:300]
            raise ModelContractError(
                f"{path}: not a torch checkpoint, or one with unusual contents: {detail}"
            ) from error
        raise ModelContractError(
            f"{path}: refused. Expected tensors, plain values and the configuration of the original release, got "
            f"something else that could run code when loaded: it asks for {asked[1]}"
        ) from error
    except Exception as error:  # a damaged pickle makes torch fail in many ways; all of them mean "not a checkpoint"
        first_line = str(error).strip().split("\n")[0][:300]
        raise ModelContractError(f"{path}: not a torch checkpoint ({type(error).__name__}: {first_line})") from error
    if not isinstance(contents, dict):
        raise ModelContractError(f"{path}: expected a dictionary, got {type(contents).__name__}")
    return contents


def check_file(path: Path) -> None:
    """Refuse what cannot be a checkpoint before it is read: no file, too large, an archive that unpacks to more."""
    if not path.is_file():
        raise ModelContractError(f"{path}: expected a file, found {'a folder' if path.is_dir() else 'nothing'}")
    if what := placeholder(path):
        raise ModelContractError(f"{path}: expected a checkpoint, got {what}")
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise ModelContractError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {size}")
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > size or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelContractError(
            f"{path}: expected a torch file, an archive without compression, got {size} bytes that unpack to {unpacked}"
        )


def as_plain(value: Any) -> Any:
    """Nested configuration as dictionaries, lists, numbers and strings; anything else becomes the name of its type."""
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
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
    """Depth and pose tensors under their names in the network classes.

    Prefixes are those of the .ckpt files (`model.depth_net.`), of the older .pth.tar files (`disp_network.`), or none
    (the state of one network). With dropout in its configuration a network calls the residual shortcut `conv3.0`,
    without it `conv3`; the first is renamed.

    Raises:
        ModelContractError: tensors that belong to neither network.
    """
    depth: dict[str, Tensor] = {}
    pose: dict[str, Tensor] = {}
    bare: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = WRAPPERS.sub("", str(key))
        if name.startswith(DEPTH_PREFIXES):
            depth[name.split(".", 1)[1]] = tensor
        elif name.startswith(POSE_PREFIXES):
            pose[name.split(".", 1)[1]] = tensor
        else:
            bare[name] = tensor
    if bare and (depth or pose):
        raise ModelContractError(f"{path}: tensors of neither a depth nor a pose network: {sorted(bare)}")
    if "pose_pred.weight" in bare:
        pose = bare
    elif bare:
        depth = bare
    return {re.sub(r"\.conv3\.0\.(weight|bias)$", r".conv3.\1", key): value for key, value in depth.items()}, pose


def describe(
    original: OriginalCheckpoint,
    path: Path,
    name: str,
    size_px: tuple[int, int] | None = None,
    metric: bool | None = None,
    trained_fx_px: float | None = None,
) -> ModelMetadata:
    """Metadata of our checkpoint for an original one.

    Args:
        original: what was read.
        path: where it was read from; only the file name is kept.
        name: name for the model.
        size_px: height and width, where the embedded configuration is wrong or silent.
        metric: whether the depth is in metres, where the embedded configuration is wrong or silent.
        trained_fx_px: focal length of the training camera at that size, where known; the file does not tell.

    Raises:
        ModelContractError: nobody says at which size the network was trained.
    """
    model = section(original.config, "model")
    params = section(model, "params")
    augmentation = section(section(original.config, "datasets"), "augmentation")
    size_px = size_px or embedded_size(augmentation)
    if size_px is None:
        raise ModelContractError(
            f"{path}: the embedded configuration does not tell the image size; pass it as --height and --width "
            "(docs/original_checkpoints.md lists the official files)"
        )
    model_name = model.get("name")
    if metric is None:
        metric = original.network == "PackNetSAN01" if not model_name else model_name in METRIC_MODELS
    max_depth_m = params.get("max_depth")
    train = section(section(original.config, "datasets"), "train")
    return ModelMetadata(
        name=name,
        height_px=size_px[0],
        width_px=size_px[1],
        min_depth_m=PACKNET_SAN01.min_depth_m,
        max_depth_m=float(max_depth_m) if isinstance(max_depth_m, int | float) and max_depth_m > 0 else 200.0,
        metric=metric,
        trained_fx_px=trained_fx_px,
        training_data=f"as embedded in the original checkpoint: {train.get('dataset') or 'unknown'}",
        recipe=f"imported from {path.name}",
        git_commit="",
        licence="as stated by whoever published the checkpoint; the original code is MIT",
        source={
            "file": path.name,
            "sha256": original.sha256,
            "network": original.network,
            "epoch": original.epoch,
            "model": {
                key: model.get(key) for key in ("name", "params", "loss", "depth_net", "pose_net") if key in model
            },
            "augmentation": augmentation,
        },
    )


def section(config: dict[str, Any], key: str) -> dict[str, Any]:
    """A nested part of a configuration, empty where there is none."""
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def embedded_size(augmentation: dict[str, Any]) -> tuple[int, int] | None:
    """Height and width from `image_shape`, or from crop borders of the form (-height, 0, 0.5, width)."""
    shape = augmentation.get("image_shape")
    if isinstance(shape, list) and len(shape) == 2:
        return int(shape[0]), int(shape[1])
    for key in ("crop_train_borders", "crop_eval_borders"):
        borders = augmentation.get(key)
        if isinstance(borders, list) and len(borders) == 4 and borders[0] < -1 and borders[3] > 1:
            return -int(borders[0]), int(borders[3])
    return None
