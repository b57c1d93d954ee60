# SPDX-License-Identifier: Apache-2.0
"""How well a network that gives relative inverse depth only completes under our dial.

    python bench/stand_in_network.py BAG --points /lidar/points_4beam --truth /lidar/points

The stand-in is a model of ours without its points, its inverse depth times 0.37 plus 0.02 1/m: what it lacks against
the model itself is metres, and knowing the points. It is written as ONNX with a contract and run as any other model.

    python bench/stand_in_network.py --keep out/stand_in
    python bench/node_on_drive.py BAG --model out/stand_in --rate 0.25 --gap 0-1000

`--keep` leaves the stand-in there, for depth_node or `mono-depth replay`; a BAG may be given too.
"""

import argparse
import tempfile
from pathlib import Path

import onnx
from lidar_memory import WorseBag, dense_truth, published, scored
from onnx import TensorProto, helper

from mono_depth_ros.evaluation.metrics import mean_metrics
from mono_depth_ros.inference.contract import (
    RELATIVE_INVERSE_DEPTH,
    ImageInput,
    load_contract,
    save_contract,
    sha256_hex,
)
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.perception.scale import ScaleSource
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.share import model_path

SCALE, OFFSET = 0.37, 0.02


def write_stand_in(model_dir: Path, out: Path) -> Path:
    """A folder with the stand-in of a dial model."""
    contract = load_contract(model_dir)
    model = onnx.load(str(model_dir / "model.onnx"))
    graph = model.graph
    size = (contract.height_px, contract.width_px)
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["B", 3, *size]))
    graph.initializer.extend(
        [
            helper.make_tensor("points_bvu", TensorProto.INT64, [0, 3], []),
            helper.make_tensor("points_depth_m", TensorProto.FLOAT, [0], []),
            helper.make_tensor("stand_in_full", TensorProto.FLOAT, [], [255.0]),
            helper.make_tensor("stand_in_scale", TensorProto.FLOAT, [], [SCALE]),
            helper.make_tensor("stand_in_offset", TensorProto.FLOAT, [], [OFFSET]),
        ]
    )
    before = [
        helper.make_node("Mul", ["image", "stand_in_full"], ["stand_in_wide"]),
        helper.make_node("Round", ["stand_in_wide"], ["stand_in_round"]),
        helper.make_node("Transpose", ["stand_in_round"], ["stand_in_last"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["stand_in_last"], ["rgb"], to=TensorProto.UINT8),
    ]
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.node.extend(
        [
            helper.make_node("Reciprocal", ["depth_m"], ["stand_in_inverse"]),
            helper.make_node("Mul", ["stand_in_inverse", "stand_in_scale"], ["stand_in_scaled"]),
            helper.make_node("Add", ["stand_in_scaled", "stand_in_offset"], ["disparity"]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("disparity", TensorProto.FLOAT, ["B", *size]))
    content = model.SerializeToString()
    out.mkdir(parents=True)
    (out / "model.onnx").write_bytes(content)
    fields = {name: getattr(contract, name) for name in contract.__dataclass_fields__}
    fields.update(
        name="stand_in", kind=RELATIVE_INVERSE_DEPTH, metric=False, trained_fx_px=None, onnx_sha256=sha256_hex(content),
        image=ImageInput("image", "disparity", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    )  # fmt: skip
    save_contract(type(contract)(**fields), out)
    return out


def table(args: argparse.Namespace, stand_in: Path) -> None:
    """Prints a row per model, with and without points."""
    own, truth = model_path(args.model), dense_truth(args.bag, args.truth, args.points)
    print(f"{'way':34} AbsRel  RMSE m  images  reasons")
    height_only = {"scale.order": [ScaleSource.HEIGHT.value]}
    for name, directory, lost, parameters in (
        ("own model, with points", own, 0.0, {}),
        ("own model, without points", own, 1.0, {}),
        ("stand-in, with points", stand_in, 0.0, {}),
        ("stand-in, without points", stand_in, 1.0, {}),
        ("the same, camera's height only", stand_in, 1.0, height_only),
    ):
        found, reasons = [], set()
        with WorseBag(args.bag, args.points, lost) as bag:
            for output in published(bag, args.points, OnnxEngine(directory), {"lidar.memory_s": 0.0} | parameters):
                result = output.outcome
                if isinstance(result, NoSnapshot):
                    reasons.add(f"NONE: {result.reason}")
                    continue
                reasons.add(f"{result.mode.name}: {result.reason.value}, scale by {result.scale.source.value}")
                if result.stamp_ns in truth:
                    found.append(scored(result.depth_m, truth[result.stamp_ns]))
        mean = mean_metrics(found) if found else None
        numbers = "   -       -  " if mean is None else f"{mean.abs_rel:.3f}   {mean.rmse:5.2f}"
        print(f"{name:34} {numbers}   {len(found):4d}    {'; '.join(sorted(reasons))}", flush=True)


def main() -> None:
    """Writes the stand-in and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, nargs="?")
    parser.add_argument("--points", help="topic of the sparse cloud")
    parser.add_argument("--truth", help="topic of the dense cloud")
    parser.add_argument("--model", default="street")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for the stand-in; must not exist")
    args = parser.parse_args()
    if args.bag is None and args.keep is None:
        parser.error("expected a BAG, --keep DIR, or both")
    if args.bag is not None and (args.points is None or args.truth is None):
        parser.error("BAG: expected --points and --truth with it")
    if args.keep is not None and args.keep.exists():
        parser.error(f"--keep {args.keep}: expected a folder that does not exist yet")
    with tempfile.TemporaryDirectory() as folder:
        stand_in = write_stand_in(model_path(args.model), args.keep or Path(folder) / "stand_in")
        if args.bag is not None:
            table(args, stand_in)


if __name__ == "__main__":
    main()
