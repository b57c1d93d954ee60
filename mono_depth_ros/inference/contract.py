# SPDX-License-Identifier: Apache-2.0
"""The contract of a model: what model.json promises about model.onnx."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.whole_file import write_whole

SCHEMA_VERSION = 1
MODEL_FILE = "model.onnx"
CONTRACT_FILE = "model.json"
MAX_SIDE_PX = 8192
MAX_CONTRACT_BYTES = 1 << 20
DIAL, METRIC_DEPTH, RELATIVE_INVERSE_DEPTH = "dial", "metric_depth", "relative_inverse_depth"
KINDS = (DIAL, METRIC_DEPTH, RELATIVE_INVERSE_DEPTH)
LAYOUTS, CHANNELS, VALUE_RANGES = ("NCHW", "NHWC"), ("RGB", "BGR"), (1.0, 255.0)


@dataclass(frozen=True, slots=True)
class ImageInput:
    """How a network that is not a dial graph wants its image: ``(rgb / 255 * value_range - mean) / std``.

    Attributes:
        input_name, output_name: of the graph.
        mean, std: three numbers, one per channel in the order of ``channels``, in units of ``value_range``.
        value_range: what white is before mean and std: 1 or 255.
        channels: RGB or BGR.
        layout: NCHW or NHWC.
        size_multiple: both sides of the image have to be multiples of this.
        dynamic_size: whether the graph takes any such size; then an image keeps its ratio of sides, at about the
            number of pixels of the contract's size.

    Raises:
        ModelContractError: with every field that cannot be, all at once.
    """

    input_name: str
    output_name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    value_range: float = 1.0
    channels: str = "RGB"
    layout: str = "NCHW"
    size_multiple: int = 1
    dynamic_size: bool = False

    def __post_init__(self) -> None:
        problems = [
            f"image.{name}: expected three finite numbers, got {getattr(self, name)!r}"
            for name in ("mean", "std")
            if not _three_numbers(getattr(self, name))
        ]
        if not problems and min(self.std) <= 0:
            problems.append(f"image.std: expected numbers > 0, got {list(self.std)}")
        for name, choices in (("channels", CHANNELS), ("layout", LAYOUTS), ("value_range", VALUE_RANGES)):
            if getattr(self, name) not in choices:
                problems.append(f"image.{name}: expected one of {list(choices)}, got {getattr(self, name)!r}")
        for name in ("input_name", "output_name"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                problems.append(f"image.{name}: expected a name of the graph, got {getattr(self, name)!r}")
        if type(self.size_multiple) is not int or not 1 <= self.size_multiple <= 1024:
            problems.append(f"image.size_multiple: expected a whole number in 1..1024, got {self.size_multiple!r}")
        if type(self.dynamic_size) is not bool:
            problems.append(f"image.dynamic_size: expected true or false, got {self.dynamic_size!r}")
        if problems:
            raise ModelContractError("model contract: " + "; ".join(problems))


@dataclass(frozen=True, slots=True)
class ModelContract:
    """Everything the run time must know about an exported network.

    Attributes:
        schema_version: of this file, 1.
        name: of the model.
        kind: ``dial`` (the graph of docs/data_flow.md), or a network of others (docs/other_networks.md) that gives
            ``metric_depth`` or ``relative_inverse_depth``, the latter up to an unknown factor and offset.
        network: configuration of the network, as the exporter wrote it; for people and for re-export.
        height_px, width_px: network resolution, what ``rgb`` must have (about, if ``image.dynamic_size``).
        min_depth_m, max_depth_m: range of trustworthy output; beyond it the depth is unknown.
        metric: whether a prediction without points is in metres.
        trained_fx_px: focal length, at network resolution, to which training was normalised; None without.
        completes: whether the graph makes use of points.
        training_data, recipe, git_commit, licence: where it comes from and what one may do with it.
        onnx_sha256: of model.onnx, lower-case hex.
        accuracy: measured numbers, by benchmark.
        image: how the graph wants its image; None for a dial graph, which takes it as it is.
        size_step_px: of a dial graph of any size: both sides of its image have to be multiples of it, and an image
            keeps its ratio of sides at about the number of pixels of the contract's size; 0 for a graph of one size.
        takes_ground: whether a dial graph has an input for the plane of the ground.
        tells_sigma: whether a dial graph tells the spread of its depth, and where the sky is.
        sigma_factor: what the spread is multiplied by so that 68.3 % of the errors lie within one sigma, as measured;
            the graph itself gives the standard deviation of a Laplace distribution.

    Raises:
        ModelContractError: with every field that cannot be, all at once.
    """

    name: str
    network: dict[str, Any]
    height_px: int
    width_px: int
    min_depth_m: float
    max_depth_m: float
    metric: bool
    trained_fx_px: float | None
    completes: bool
    training_data: str
    recipe: str
    git_commit: str
    onnx_sha256: str
    licence: str
    accuracy: dict[str, Any]
    kind: str = DIAL
    schema_version: int = SCHEMA_VERSION
    image: ImageInput | None = None
    size_step_px: int = 0
    takes_ground: bool = False
    tells_sigma: bool = False
    sigma_factor: float = 1.0

    @property
    def free_size_step_px(self) -> int:
        """Of what both sides of the image have to be multiples, where they are not given; 0 for a graph of one size."""
        if self.image is not None:
            return self.image.size_multiple if self.image.dynamic_size else 0
        return self.size_step_px

    def __post_init__(self) -> None:
        problems = [*_type_problems(self)] or [*_value_problems(self)]
        if problems:
            raise ModelContractError("model contract: " + "; ".join(problems))


def load_contract(model_dir: Path) -> ModelContract:
    """Reads ``model_dir/model.json``.

    Raises:
        ModelContractError: if it is missing, not JSON, or holds other than the fields of ModelContract.
    """
    path = model_dir / CONTRACT_FILE
    fields = read_json_object(path)
    problems = field_problems(ModelContract, fields)
    image = fields.get("image")
    if isinstance(image, dict):
        problems += [f"image: {problem}" for problem in field_problems(ImageInput, image)]
    if problems:
        raise ModelContractError(f"{path}: " + "; ".join(problems))
    try:
        if isinstance(image, dict):
            lists: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in image.items()
            }
            fields = {**fields, "image": ImageInput(**lists)}
        return ModelContract(**fields)
    except ModelContractError as error:
        raise ModelContractError(f"{path}: {error}") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The fields of a contract's file.

    Raises:
        ModelContractError: if it is missing, too large, or not a JSON object.
    """
    try:
        if path.stat().st_size > MAX_CONTRACT_BYTES:
            raise ModelContractError(f"{path}: expected at most {MAX_CONTRACT_BYTES} bytes; this is not a contract")
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelContractError(
            f"{path}: expected a JSON contract, got: {error}; `mono-depth export` writes one, and `mono-depth contract "
            "new` one for a network of others"
        ) from None
    if not isinstance(fields, dict):
        raise ModelContractError(f"{path}: expected a JSON object, got {type(fields).__name__}")
    return fields


def field_problems(contract_type: type, fields: dict[str, Any]) -> list[str]:
    """Names that a dataclass does not have, and those that it needs and are not there."""
    known = {field.name: field for field in dataclasses.fields(contract_type)}
    required = {name for name, field in known.items() if field.default is dataclasses.MISSING}
    problems = [f"unknown field {name!r}" for name in sorted(set(fields) - set(known))]
    return problems + [f"missing field {name!r}" for name in sorted(required - set(fields))]


def save_contract(contract: ModelContract, model_dir: Path) -> None:
    """Writes ``model_dir/model.json`` whole or not at all."""
    fields = dataclasses.asdict(contract)
    if contract.image is None:
        del fields["image"]
    if not contract.size_step_px:  # so that earlier versions of this package still read what they can run
        for name in ("size_step_px", "takes_ground", "tells_sigma", "sigma_factor"):
            del fields[name]
    write_whole(model_dir / CONTRACT_FILE, json.dumps(fields, indent=2) + "\n")


def sha256_hex(content: bytes) -> str:
    """Lower-case hex digest, as ``onnx_sha256`` holds it."""
    return hashlib.sha256(content).hexdigest()


def _three_numbers(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and all(isinstance(number, (int, float)) and math.isfinite(number) for number in value)
    )


def _type_problems(contract: ModelContract) -> list[str]:
    text = ("name", "kind", "training_data", "recipe", "git_commit", "onnx_sha256", "licence")
    whole = ("schema_version", "height_px", "width_px", "size_step_px")
    number = ("min_depth_m", "max_depth_m", "sigma_factor") + (
        () if contract.trained_fx_px is None else ("trained_fx_px",)
    )
    mapping = ("network", "accuracy")
    expected: list[tuple[tuple[str, ...], tuple[type, ...], str]] = [
        (text, (str,), "text"),
        (whole, (int,), "a whole number"),
        (number, (int, float), "a number"),
        (("metric", "completes", "takes_ground", "tells_sigma"), (bool,), "true or false"),
        (mapping, (dict,), "an object"),
    ]
    problems = []
    for names, types, words in expected:
        for name in names:
            value = getattr(contract, name)
            # bool is an int to Python; a contract that says `"height_px": true` is still wrong.
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                problems.append(f"{name}: expected {words}, got {value!r}")
    if contract.image is not None and not isinstance(contract.image, ImageInput):
        problems.append(f"image: expected an object, got {contract.image!r}")
    return problems


def _value_problems(contract: ModelContract) -> list[str]:
    problems = []
    if contract.schema_version != SCHEMA_VERSION:
        problems.append(f"schema_version: expected {SCHEMA_VERSION}, got {contract.schema_version}; export it again")
    if contract.kind not in KINDS:
        problems.append(f"kind: expected one of {', '.join(KINDS)}, got {contract.kind!r}")
    elif (contract.kind == DIAL) != (contract.image is None):
        expected = "no field image" if contract.kind == DIAL else "the field image"
        problems.append(f"image: expected {expected} for kind {contract.kind}")
    if contract.kind == RELATIVE_INVERSE_DEPTH and contract.metric:
        problems.append("metric: expected false for kind relative_inverse_depth, got true")
    for name in ("height_px", "width_px"):
        if not 1 <= getattr(contract, name) <= MAX_SIDE_PX:
            problems.append(f"{name}: expected 1..{MAX_SIDE_PX}, got {getattr(contract, name)}")
    if not 0 < contract.min_depth_m < contract.max_depth_m < math.inf:
        problems.append(
            f"depth limits: expected 0 < min_depth_m < max_depth_m, got {contract.min_depth_m}, {contract.max_depth_m}"
        )
    image = contract.image
    if image is not None and (contract.height_px % image.size_multiple or contract.width_px % image.size_multiple):
        problems.append(
            f"size: expected multiples of {image.size_multiple} (image.size_multiple), got {contract.height_px}x"
            f"{contract.width_px}"
        )
    step = contract.size_step_px
    if not 0 <= step <= 1024 or (step and (contract.height_px % step or contract.width_px % step)):
        problems.append(
            f"size_step_px: expected 0..1024 and a divisor of {contract.height_px} and {contract.width_px}, got {step}"
        )
    if contract.kind != DIAL and (step or contract.takes_ground or contract.tells_sigma):
        problems.append(f"size_step_px, takes_ground, tells_sigma: expected none of them for kind {contract.kind}")
    if not 0 < contract.sigma_factor < math.inf:
        problems.append(f"sigma_factor: expected > 0, got {contract.sigma_factor}")
    if contract.trained_fx_px is not None and not 0 < contract.trained_fx_px < math.inf:
        problems.append(f"trained_fx_px: expected > 0 or null, got {contract.trained_fx_px}")
    if len(contract.onnx_sha256) != 64 or set(contract.onnx_sha256) - set("0123456789abcdef"):
        problems.append(f"onnx_sha256: expected 64 lower-case hex digits, got {contract.onnx_sha256!r}")
    return problems
