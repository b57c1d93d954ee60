# SPDX-License-Identifier: Apache-2.0
"""`ros2 run mono_depth_ros synthetic_robot`: renders a drive, then publishes it until it is told to stop."""

import os
import signal
import sys

from mono_depth_ros.errors import MonoDepthError

# Name and default of every parameter; failures are lines of `failures_from_words`.
DEFAULTS: dict[str, object] = {
    "world": "street",
    "seed": 7,
    "seconds": 8.0,
    "rate_hz": 5.0,
    "width_px": 640,
    "height_px": 192,
    "lidar_beams": 4,
    "failures": ["lidar 2-4", "odom 5-6"],
}


def main(args: list[str] | None = None) -> int:
    """0 when interrupted, 1 for parameters that cannot be."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from mono_depth_ros.datasets.rendered.simulation import SimulationPlan, rendered_frames
    from mono_depth_ros.ros.robot.robot_node import SyntheticRobotNode, failures_from_words

    # An exception in place of rclpy's own handlers: it also ends the rendering, at once.
    rclpy.init(args=args if args is not None else sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = SyntheticRobotNode()
    logger = node.get_logger()
    try:
        values = {name: node.declare_parameter(name, default).value for name, default in DEFAULTS.items()}
        failures = failures_from_words(values["failures"])
        plan = SimulationPlan(
            seed=values["seed"],
            seconds=values["seconds"],
            rate_hz=values["rate_hz"],
            width_px=values["width_px"],
            height_px=values["height_px"],
            lidar_beams=values["lidar_beams"],
            samples=1,
            world=values["world"],
            sensors=("lidar", "odom"),
        )
        workers = max(1, min(4, (os.cpu_count() or 2) - 1))
        logger.info(f"rendering {plan.frames} images of {plan.width_px}x{plan.height_px}")
        frames = []
        for frame in rendered_frames(plan, workers):
            frames.append(frame)
            if len(frames) % 10 == 0:
                logger.info(f"rendered {len(frames)} of {plan.frames}")
        node.place_sensors(frames[0])
        logger.info(f"driving; failures: {', '.join(values['failures']) or 'none'}")
        node.drive(frames, plan.rate_hz, failures, rclpy.ok)
    except MonoDepthError as error:
        logger.error(str(error))
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
