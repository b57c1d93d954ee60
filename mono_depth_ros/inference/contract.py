# SPDX-License-Identifier: Apache-2.0
"""The contract of a model: what model.json promises about model.onnx."""

import dataclasses
import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ModelContractError

SCHEMA_VERSION = 1
MODEL_FILE = "model.onnx"
CONTRACT_FILE = "model.json"
MAX_SIDE_PX = 8192
MAX_CONTRACT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelContract:
    """Everything the run time must know about an exported network.

    Attributes:
        schema_version: of this file, 1.
        name: of the model.
        kind: ``dial`` (the graph of docs/data_flow.md).
        network: configuration of the network, as the exporter wrote it; for people and for re-export.
        height_px, width_px: network resolution, what ``rgb`` must have.
        min_depth_m, max_depth_m: range of trustworthy output; beyond it the depth is unknown.
        metric: whether a prediction without points is in metres.
        trained_fx_px: focal length, at network resolution, to which training was normalised; None without.
        completes: whether the graph makes use of points.
        training_data, recipe, git_commit, licence: where it comes from and what one may do with it.
        onnx_sha256: of model.onnx, lower-case hex.
        accuracy: measured numbers, by benchmark.

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
    kind: str = "dial"
    schema_version: int = SCHEMA_VERSION

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
    try:
        if path.stat().st_size > MAX_CONTRACT_BYTES:
            raise ModelContractError(f"{path}: expected at most {MAX_CONTRACT_BYTES} bytes; this is not a contract")
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelContractError(
            f"{path}: expected a JSON contract, got: {error}; `mono-depth export` writes one"
        ) from None
    if not isinstance(fields, dict):
        raise ModelContractError(f"{path}: expected a JSON object, got {type(fields).__name__}")
    known = {field.name: field for field in dataclasses.fields(ModelContract)}
    required = {name for name, field in known.items() if field.default is dataclasses.MISSING}
    problems = [f"unknown field {name!r}" for name in sorted(set(fields) - set(known))]
    problems += [f"missing field {name!r}" for name in sorted(required - set(fields))]
    if problems:
        raise ModelContractError(f"{path}: " + "; ".join(problems))
    try:
        return ModelContract(**fields)
    except ModelContractError as error:
        raise ModelContractError(f"{path}: {error}") from None


def save_contract(contract: ModelContract, model_dir: Path) -> None:
    """Writes ``model_dir/model.json`` whole or not at all."""
    path = model_dir / CONTRACT_FILE
    beside = path.with_suffix(".json.partial")
    beside.write_text(json.dumps(dataclasses.asdict(contract), indent=2) + "\n", encoding="utf-8")
    os.replace(beside, path)


def sha256_hex(content: bytes) -> str:
    """Lower-case hex digest, as ``onnx_sha256`` holds it."""
    return hashlib.sha256(content).hexdigest()


def _type_problems(contract: ModelContract) -> list[str]:
    text = ("name", "kind", "training_data", "recipe", "git_commit", "onnx_sha256", "licence")
    whole = ("schema_version", "height_px", "width_px")
    number = ("min_depth_m", "max_depth_m") + (() if contract.trained_fx_px is None else ("trained_fx_px",))
    mapping = ("network", "accuracy")
    expected: list[tuple[tuple[str, ...], tuple[type, ...], str]] = [
        (text, (str,), "text"),
        (whole, (int,), "a whole number"),
        (number, (int, float), "a number"),
        (("metric", "completes"), (bool,), "true or false"),
        (mapping, (dict,), "an object"),
    ]
    problems = []
    for names, types, words in expected:
        for name in names:
            value = getattr(contract, name)
            # bool is an int to Python; a contract that says `"height_px": true` is still wrong.
            if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
                problems.append(f"{name}: expected {words}, got {value!r}")
    return problems


def _value_problems(contract: ModelContract) -> list[str]:
    problems = []
    if contract.schema_version != SCHEMA_VERSION:
        problems.append(f"schema_version: expected {SCHEMA_VERSION}, got {contract.schema_version}; export it again")
    if contract.kind != "dial":
        problems.append(f"kind: expected 'dial', got {contract.kind!r}")
    for name in ("height_px", "width_px"):
        if not 1 <= getattr(contract, name) <= MAX_SIDE_PX:
            problems.append(f"{name}: expected 1..{MAX_SIDE_PX}, got {getattr(contract, name)}")
    if not 0 < contract.min_depth_m < contract.max_depth_m < math.inf:
        problems.append(
            f"depth limits: expected 0 < min_depth_m < max_depth_m, got {contract.min_depth_m}, {contract.max_depth_m}"
        )
    if contract.trained_fx_px is not None and not 0 < contract.trained_fx_px < math.inf:
        problems.append(f"trained_fx_px: expected > 0 or null, got {contract.trained_fx_px}")
    if len(contract.onnx_sha256) != 64 or set(contract.onnx_sha256) - set("0123456789abcdef"):
        problems.append(f"onnx_sha256: expected 64 lower-case hex digits, got {contract.onnx_sha256!r}")
    return problems
