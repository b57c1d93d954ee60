# SPDX-License-Identifier: Apache-2.0
"""`mono-depth export`: a checkpoint becomes a model for the robot, compared with torch before it is written."""

import argparse
from pathlib import Path

_DESCRIPTION = """\
Write OUT/model.onnx (one graph for prediction and completion, any number of points) and OUT/model.json (its contract),
after running the graph in ONNX Runtime on several inputs and comparing every pixel with torch. If they differ by more
than 1 mm + 1e-4 * depth, nothing is written. A checkpoint with a pose network for two images (pose.source: pair or
two_stream) also gives OUT/pose, a model of kind pose for the scale by odometry.
"""

_EPILOG = """\
examples:
  mono-depth export out/train/street/last.ckpt --out models/street
  mono-depth export models/packnet_san_kitti/checkpoint.pt --out models/packnet_san_small --height 192 --width 640
  mono-depth export checkpoint.pt --out models/small_file --weights fp16     half the size, computed in float32

The robot then takes the folder: ros2 launch mono_depth_ros depth.launch.py model:=OUT [pose_model:=OUT/pose]
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command line of this command."""
    parser = subparsers.add_parser(
        "export",
        help="checkpoint -> model.onnx + model.json, compared with torch",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt of `mono-depth train` or `import-checkpoint`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model, for example models/NAME")
    parser.add_argument("--height", type=int, help="rows of the network, a multiple of 32 (default: as trained)")
    parser.add_argument("--width", type=int, help="columns of the network, a multiple of 32 (default: as trained)")
    parser.add_argument(
        "--weights",
        choices=("fp32", "fp16"),
        default="fp32",
        help="fp16 halves the file by rounding the weights; the arithmetic stays float32 (default: %(default)s)",
    )
    parser.add_argument(
        "--sigma-factor",
        type=float,
        default=1.0,
        metavar="F",
        help="what the told sigma is multiplied by so that 68 %% of the errors are within it, as `mono-depth evaluate` "
        "says of this model without it (default: %(default)s)",
    )
    parser.add_argument("--pose", type=Path, metavar="DIR", help="folder of the pose model (default: OUT/pose)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export one checkpoint and print the comparison."""
    from mono_depth_ros.errors import ConfigError
    from mono_depth_ros.training.checkpoint import load_checkpoint
    from mono_depth_ros.training.export import export_model
    from mono_depth_ros.training.pose_export import can_export_pose, export_pose

    if (args.height is None) != (args.width is None):
        raise ConfigError("--height and --width: expected both or neither")
    size_px = None if args.height is None else (args.height, args.width)
    checkpoint = load_checkpoint(args.checkpoint)
    report = export_model(checkpoint, args.out, size_px, args.weights, args.sigma_factor)
    contract = report.contract
    print(f"{'torch against ONNX Runtime':<32} {'largest error':>14} {'relative':>9} {'depth':>18}")
    for case in report.parity:
        low, high = case.depth_range_m
        error = f"{1e3 * case.error_m:>11.4f} mm {case.relative_error:>9.1e}"
        print(f"{case.name:<32} {error} {low:>8.2f} ..{high:>6.0f} m")
    print(
        f"{args.out}/model.onnx: {report.onnx_bytes / 1e6:.1f} MB, {contract.height_px}x{contract.width_px}, "
        f"{'prediction and completion' if contract.completes else 'prediction only'}, "
        f"{'metric' if contract.metric else 'no common scale'}"
    )
    if args.pose is not None or can_export_pose(checkpoint):
        folder = args.pose or args.out / "pose"
        pose = export_pose(checkpoint, folder)
        print(
            f"{folder}/model.onnx: {pose.onnx_bytes / 1e6:.1f} MB, motion between two images, "
            f"largest difference to torch {pose.error:.1e} in motions up to {pose.longest:.2g}"
        )
    return 0
