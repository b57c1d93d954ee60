# SPDX-License-Identifier: Apache-2.0
"""Entry point of `mono-depth`. Parsers are light; a command imports what it needs when it runs."""

import argparse
import sys
from collections.abc import Sequence

from mono_depth_ros.cli import (
    audit,
    contract,
    demo,
    doctor,
    dropout_curve,
    evaluate,
    export,
    import_checkpoint,
    replay,
    simulate,
    train,
)
from mono_depth_ros.errors import MonoDepthError

_EPILOG = """\
where to start:
  mono-depth demo --out out/demo            a synthetic robot, the ROS 2 node, a report (no data needed)
  mono-depth simulate --out BAG             a synthetic drive as a bag, with perfect truth
  mono-depth replay BAG --out OUT_BAG       depth and clouds for a recorded drive, without ROS
  mono-depth evaluate --data BAG ...        how good the depth is that the node would publish
  mono-depth train RECIPE.yaml              train a network; then `mono-depth export`
  mono-depth audit --model M --data BAG ... which images of a drive teach infinite depth
  mono-depth doctor                         why there is no depth: looks at the running ROS graph
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="mono-depth",
        description="Dense metric depth from a camera and whatever else works right now.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands = (
        demo,
        simulate,
        replay,
        evaluate,
        dropout_curve,
        train,
        audit,
        export,
        import_checkpoint,
        contract,
        doctor,
    )
    for command in commands:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 on success, 1 for an error that the message explains, 2 for a wrong command line, 130 when interrupted.
    """
    args = build_parser().parse_args(argv)
    try:
        exit_code: int = args.run(args)
    except MonoDepthError as error:
        print(f"mono-depth {args.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(
            f"mono-depth {args.command}: the Python package {error.name!r} is not installed; {_install_hint(error)}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"mono-depth {args.command}: interrupted", file=sys.stderr)
        return 130
    return exit_code


def _install_hint(error: ModuleNotFoundError) -> str:
    if error.name in {"torch", "lightning", "onnx", "tensorboard"}:
        return "training and export need `pip install 'mono_depth_ros[cpu,train]'`"
    if error.name in {"rclpy", "mono_depth_ros.msg"}:
        return "this command needs ROS 2 and the built package: `make build && . install/setup.bash`"
    return "see README.md, Install"


if __name__ == "__main__":
    sys.exit(main())
