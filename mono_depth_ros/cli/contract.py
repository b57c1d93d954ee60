# SPDX-License-Identifier: Apache-2.0
"""`mono-depth contract new`: model.json for a depth network of others, so that it runs under the dial."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.whole_file import whole_file

if TYPE_CHECKING:
    from mono_depth_ros.inference.engine import GraphSignature

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_MAX_SIDE_WITHOUT_WORD = 518

_EPILOG = """\
kinds:
  metric_depth             the graph gives metres (metres at a focal length of --trained-fx-px, if that is given)
  relative_inverse_depth   the graph gives inverse depth up to a factor and an offset; points, odometry or the
                           camera's height bring the metres

An image becomes (rgb / 255 * value_range - mean) / std. On a terminal, what is needed and not given is asked for.
docs/other_networks.md names public networks with their values and licences.

examples:
  mono-depth contract new depth_anything_v2.onnx --out models/da2 --kind relative_inverse_depth --size-multiple 14 \\
      --licence Apache-2.0
  mono-depth contract new metric3d.onnx --out models/metric3d --kind metric_depth --value-range 255 \\
      --mean 123.675 116.28 103.53 --std 58.395 57.12 57.375 --trained-fx-px 1000 --licence BSD-2-Clause
  mono-depth contract new models/mine/model.onnx --kind metric_depth --mean 0 0 0 --std 1 1 1 --max-depth-m 20 \\
      --licence none
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "contract",
        help="model.json for a depth network of others",
        description="Makes a depth network from elsewhere, as an ONNX file, a model of ours.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser(
        "new", help="write a new contract", epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    new.add_argument("onnx", type=Path, metavar="MODEL.onnx", help="the network, weights inside")
    new.add_argument("--out", type=Path, metavar="DIR", help="folder for model.onnx (a copy) and model.json; default: "
                     "the folder of MODEL.onnx, which then has to be called model.onnx")  # fmt: skip
    new.add_argument("--kind", choices=("metric_depth", "relative_inverse_depth"), help="what the output is")
    new.add_argument("--mean", type=float, nargs=3, metavar="M", help="per channel; default: ImageNet's")
    new.add_argument("--std", type=float, nargs=3, metavar="S", help="per channel; default: ImageNet's")
    new.add_argument("--value-range", type=float, choices=(1.0, 255.0), default=1.0, help="white (default: 1)")
    new.add_argument("--channels", choices=("RGB", "BGR"), default="RGB", help="order (default: RGB)")
    new.add_argument("--layout", choices=("NCHW", "NHWC"), help="of the input; default: as the graph's shape says")
    new.add_argument("--size-multiple", type=int, default=1, metavar="N", help="both sides are multiples of this")
    new.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="of the input, where the graph takes any")
    new.add_argument("--trained-fx-px", type=float, metavar="FX", help="metres are for this focal length")
    new.add_argument("--min-depth-m", type=float, default=0.1, metavar="Z", help="nearer is unknown (default: 0.1)")
    new.add_argument("--max-depth-m", type=float, default=80.0, metavar="Z", help="farther is unknown (default: 80)")
    new.add_argument("--input-name", metavar="NAME", help="default: the graph's only input")
    new.add_argument("--output-name", metavar="NAME", help="default: the graph's only output")
    new.add_argument("--name", help="of the model; default: the file's")
    new.add_argument("--licence", help="of the weights, for whoever runs them")
    new.add_argument("--training-data", default="unknown", help="for people (default: unknown)")
    new.add_argument("--predict-only", action="store_true", help="never align to points")
    new.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the contract, runs the model once, prints what it gave; returns the exit code."""
    from mono_depth_ros.inference.contract import CONTRACT_FILE, MODEL_FILE, save_contract
    from mono_depth_ros.inference.engine import MAX_MODEL_BYTES, OnnxEngine, graph_signature

    directory = args.out or args.onnx.parent
    if args.out is None and args.onnx.name != MODEL_FILE:
        raise ConfigError(f"{args.onnx}: expected a file called {MODEL_FILE}, or --out DIR to copy it to")
    if (directory / CONTRACT_FILE).exists():
        raise ConfigError(f"{directory / CONTRACT_FILE}: expected no contract yet, got one; remove it first")
    if args.out is not None and (args.out / MODEL_FILE).exists() and not args.onnx.samefile(args.out / MODEL_FILE):
        raise ConfigError(f"{args.out / MODEL_FILE}: expected no model there yet, got one; choose another --out")
    if not args.onnx.is_file() or args.onnx.stat().st_size > MAX_MODEL_BYTES:
        raise ConfigError(f"{args.onnx}: expected an ONNX file of at most {MAX_MODEL_BYTES} bytes")
    contract = _contract(args, graph_signature(args.onnx))
    directory.mkdir(parents=True, exist_ok=True)
    _copy(args.onnx, directory / MODEL_FILE)
    save_contract(contract, directory)
    try:
        engine = OnnxEngine(directory)
        engine.warm_up()
    except Exception:
        # A contract that its model does not keep helps nobody.
        (directory / CONTRACT_FILE).unlink()
        raise
    print(f"{directory / CONTRACT_FILE}: {contract.kind}, {contract.height_px}x{contract.width_px}, runs on "
          f"{engine.provider}; try: mono-depth replay BAG --model {directory} --out OUT_BAG")  # fmt: skip
    return 0


def _contract(args: argparse.Namespace, signature: "GraphSignature") -> Any:
    """The contract from flags, the graph, and answers on a terminal."""
    from mono_depth_ros.inference.contract import METRIC_DEPTH, ImageInput, ModelContract, sha256_hex

    kind = args.kind or _ask("--kind", "metric_depth or relative_inverse_depth")
    licence = args.licence or _ask("--licence", "licence of the weights, such as Apache-2.0 or CC-BY-NC-4.0")
    shape = signature.input_shape(args.input_name)
    layout = args.layout or ("NHWC" if shape[3] == 3 and shape[1] != 3 else "NCHW")
    height, width = _size(args, shape[2:] if layout == "NCHW" else shape[1:3])
    image = ImageInput(
        input_name=args.input_name or signature.only_input(),
        output_name=args.output_name or signature.only_output(),
        mean=tuple(args.mean or _scaled(_IMAGENET[0], args.value_range)),
        std=tuple(args.std or _scaled(_IMAGENET[1], args.value_range)),
        value_range=args.value_range,
        channels=args.channels,
        layout=layout,
        size_multiple=args.size_multiple,
        dynamic_size=not all(isinstance(side, int) for side in (shape[2:] if layout == "NCHW" else shape[1:3])),
    )
    return ModelContract(
        name=args.name or (args.onnx.absolute().parent.name if args.onnx.stem == "model" else args.onnx.stem),
        network={},
        height_px=height,
        width_px=width,
        min_depth_m=args.min_depth_m,
        max_depth_m=args.max_depth_m,
        metric=kind == METRIC_DEPTH,
        trained_fx_px=args.trained_fx_px,
        completes=not args.predict_only,
        training_data=args.training_data,
        recipe="not ours",
        git_commit="",
        onnx_sha256=sha256_hex(args.onnx.read_bytes()),
        licence=licence,
        accuracy={},
        kind=kind,
        image=image,
    )


def _size(args: argparse.Namespace, sides: list[Any]) -> tuple[int, int]:
    """Height and width: the graph's own, else --size, else a square of the usual size."""
    fixed = [side for side in sides if isinstance(side, int)]
    if len(fixed) == 2:
        if args.size is not None and list(args.size) != fixed:
            raise ConfigError(f"--size: expected {fixed[0]} {fixed[1]}, the only size of this graph, got {args.size}")
        return fixed[0], fixed[1]
    if args.size is not None:
        return args.size[0], args.size[1]
    side = max(args.size_multiple, _MAX_SIDE_WITHOUT_WORD // args.size_multiple * args.size_multiple)
    return side, side


def _scaled(values: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(round(value * factor, 6) for value in values)


def _ask(flag: str, what: str) -> str:
    """An answer from the terminal.

    Raises:
        ConfigError: there is no terminal, or no answer.
    """
    if not sys.stdin.isatty():
        raise ConfigError(f"{flag}: expected {what}, got nothing, and there is no terminal to ask")
    answer = input(f"{flag} ({what}): ").strip()
    if not answer:
        raise ConfigError(f"{flag}: expected {what}, got nothing")
    return answer


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all; nothing where both are one file."""
    if target.exists() and source.samefile(target):
        return
    with whole_file(target) as beside:
        shutil.copyfile(source, beside)
