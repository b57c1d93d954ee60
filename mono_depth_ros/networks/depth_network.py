# SPDX-License-Identifier: Apache-2.0
"""Which depth network a configuration describes, and what all of them have in common."""

from typing import Any, TypeAlias

from torch import Tensor

from mono_depth_ros.networks.lite_san import Decoded, LiteSan, LiteSanConfig
from mono_depth_ros.networks.packnet_san import PackNetSan, PackNetSanConfig

DepthNetwork: TypeAlias = PackNetSan | LiteSan
DepthNetworkConfig: TypeAlias = PackNetSanConfig | LiteSanConfig

PACKNET = "packnet"  # value of `encoder` for a PackNetSan, and the default


def config_type(values: dict[str, Any]) -> type[PackNetSanConfig] | type[LiteSanConfig]:
    """The class of a configuration from its dictionary: by `encoder`, which a PackNetSan's may leave out."""
    return PackNetSanConfig if values.get("encoder", PACKNET) == PACKNET else LiteSanConfig


def config_from_dict(values: dict[str, Any]) -> DepthNetworkConfig:
    """A configuration from its dictionary. Raises ConfigError for unknown keys and values that cannot be."""
    rest = {key: value for key, value in values.items() if key != "encoder" or value != PACKNET}
    return config_type(values).from_dict(rest)


def new_network(config: DepthNetworkConfig) -> DepthNetwork:
    """The network of a configuration, with random weights."""
    return PackNetSan(config) if isinstance(config, PackNetSanConfig) else LiteSan(config)


def inv_depths_of(decoded: tuple[Tensor, ...] | Decoded) -> tuple[Tensor, ...]:
    """The inverse depths in what a network's `decode` gives, finest first."""
    return decoded.inv_depths if isinstance(decoded, Decoded) else decoded


def predict(network: DepthNetwork, rgb: Tensor) -> Tensor:
    """Inverse depth [B, 1, H, W] of images alone, network units."""
    return inv_depths_of(network.decode(network.encode(rgb)))[0]  # type: ignore[arg-type]
