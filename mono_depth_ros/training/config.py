# SPDX-License-Identifier: Apache-2.0
"""Training recipes: frozen dataclasses with every default, YAML over them, and all mistakes reported at once."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mono_depth_ros.datasets.synthetic_dataset import SyntheticConfig
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.packnet_san import PackNetSanConfig
from mono_depth_ros.objectives.supervised import SupervisedWeights
from mono_depth_ros.training.augmentation import Augmentation
from mono_depth_ros.training.point_patterns import PointPatterns

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW with warm-up and a cosine to `final_rate`, gradient clipping, and an average of the weights.

    Attributes:
        rate, final_rate: highest and last learning rate.
        warm_up_steps: linear rise from 0.
        weight_decay: of AdamW.
        clip_norm: largest gradient norm.
        average_decay: of the exponential moving average of the weights that is validated and exported.
        freeze_norm_at: share of the run after which the sparse branch's running statistics stay as they are, so that
            the weights settle on what they will meet at run time.
    """

    rate: float = 8e-4
    final_rate: float = 1e-5
    warm_up_steps: int = 200
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    average_decay: float = 0.998
    freeze_norm_at: float = 0.85


@dataclass(frozen=True, slots=True)
class Objectives:
    """Weights of the loss: prediction and completion, the given points, and the features' consistency."""

    prediction: SupervisedWeights = field(default_factory=lambda: SupervisedWeights(silog_lambda=0.7))
    completion: SupervisedWeights = field(default_factory=SupervisedWeights)
    prediction_weight: float = 0.5
    completion_weight: float = 1.0
    points_weight: float = 0.5
    consistency_weight: float = 0.05
    chaos_prediction: float = 0.3


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run.

    Attributes:
        name: of the model.
        seed: of weights, order of images and augmentation.
        batch_size: images per step.
        max_steps: length of the run in steps.
        max_minutes: length of the run in minutes of training, whichever ends first; null for steps alone (only then
            is a resumed run equal, bit for bit, to one that was not interrupted).
        checkpoint_minutes, validate_minutes: how often.
        validate_images: how many.
        precision: of lightning.fabric: "32-true" or "bf16-mixed".
        accelerator: of lightning.fabric: "auto", "cpu", "cuda".
        threads: of torch on the CPU; 0 leaves torch's choice.
        render_workers: processes that render the images.
        trained_fx_px: focal length at network resolution that depths are normalised to.
        max_depth_m: farther is sky.
        data, network, augmentation, points, objectives, optimiser: see their classes.
    """

    name: str = "unnamed"
    seed: int = 0
    batch_size: int = 4
    max_steps: int = 10_000
    max_minutes: float | None = None
    checkpoint_minutes: float = 4.0
    validate_minutes: float = 8.0
    validate_images: int = 48
    precision: str = "32-true"
    accelerator: str = "auto"
    threads: int = 0
    render_workers: int = 2
    trained_fx_px: float = 185.0
    max_depth_m: float = 100.0
    data: SyntheticConfig = field(default_factory=SyntheticConfig)
    network: PackNetSanConfig = field(default_factory=PackNetSanConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    points: PointPatterns = field(default_factory=PointPatterns)
    objectives: Objectives = field(default_factory=Objectives)
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        problems = [
            f"{name}: expected more than 0, got {getattr(self, name)}"
            for name in (
                "batch_size",
                "max_steps",
                "checkpoint_minutes",
                "validate_minutes",
                "trained_fx_px",
                "max_depth_m",
            )
            if not getattr(self, name) > 0
        ]
        if self.max_minutes is not None and not self.max_minutes > 0:
            problems.append(f"max_minutes: expected more than 0 or null, got {self.max_minutes}")
        if self.data.width_px % 32 or self.data.height_px % 32:
            size = f"{self.data.width_px}x{self.data.height_px}"
            problems.append(f"data: expected width and height in multiples of 32, got {size}")
        if problems:
            raise ConfigError("; ".join(problems))


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A recipe from a YAML file.

    Args:
        path: YAML mapping over TrainConfig's fields.
        overrides: "key=value" or "section.key=value", values in YAML; they win over the file.

    Raises:
        ConfigError: every problem of file and overrides in one message.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: expected a readable YAML file, got: {error}") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of recipe fields, got {type(values).__name__}")
    problems: list[str] = []
    for override in overrides:
        _override(values, override, problems)
    config = _build(TrainConfig, values, "", problems)
    if problems or config is None:
        raise ConfigError(f"{path}: " + "; ".join(problems))
    return config


def _override(values: dict[str, Any], override: str, problems: list[str]) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        problems.append(f"override {override!r}: expected key=value")
        return
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            problems.append(f"override {override!r}: {section} is not a section")
            return
    try:
        values[name] = yaml.safe_load(text)
    except yaml.YAMLError:
        problems.append(f"override {override!r}: the value is not YAML")


def _build(cls: type[T], values: dict[str, Any], prefix: str, problems: list[str]) -> T | None:
    """An instance of a config dataclass, or None with `problems` extended."""
    hints = typing.get_type_hints(cls)
    names = [entry.name for entry in dataclasses.fields(cls)]  # type: ignore[arg-type]
    before = len(problems)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            near = get_close_matches(str(key), names, 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(names)}"
            problems.append(f"{prefix}{key}: unknown{hint}")
        elif dataclasses.is_dataclass(hints[key]):
            if isinstance(value, dict):
                arguments[key] = _build(hints[key], value, f"{prefix}{key}.", problems)
            else:
                problems.append(f"{prefix}{key}: expected a section, got {value!r}")
        else:
            try:
                arguments[key] = _convert(hints[key], value)
            except (TypeError, ValueError):
                problems.append(f"{prefix}{key}: expected {_spell(hints[key])}, got {value!r}")
    if len(problems) > before:
        return None
    try:
        return cls(**arguments)
    except ConfigError as error:
        problems.append(f"{prefix.rstrip('.')}: {error}" if prefix else str(error))
        return None


def _convert(hint: Any, value: Any) -> Any:
    """A YAML value as the field's type. Raises TypeError or ValueError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value)
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise TypeError
        return tuple(_convert(arguments[0], item) for item in value)
    if hint is bool:
        if not isinstance(value, bool):
            raise TypeError
        return value
    if isinstance(value, bool):
        raise TypeError
    if hint is float and isinstance(value, (int, float, str)):
        return float(value)  # YAML reads 1e-4 as text
    if hint in (int, str) and isinstance(value, hint):
        return value
    raise TypeError


def _spell(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")
