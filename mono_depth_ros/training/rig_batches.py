# SPDX-License-Identifier: Apache-2.0
"""Moments of a rig as training batches: the clips of all cameras one after another, and how they see each other."""

from dataclasses import replace

import numpy as np
import torch

from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.training.batches import Batch, RigTensors, order_of
from mono_depth_ros.training.clip_batches import MIRROR, ClipRecipe, clip_sample, stacked_clips
from mono_depth_ros.training.rig_clips import RigClips


def rig_batch_at(source: RigClips, recipe: ClipRecipe, cameras: int, positions: range) -> Batch:
    """The moments at some positions of the endless stream of images; their number is a multiple of the cameras.

    A moment is mirrored as a whole, the rig with it: then the left camera is a right one, and each still sees the
    others from where it is.
    """
    wanted = range(positions.start // cameras, positions.stop // cameras)
    chosen = order_of(len(source.moments), recipe.seed, wanted)
    samples, mounts, neighbours, visible = [], [], [], []
    for number, (position, index) in enumerate(zip(wanted, chosen, strict=True)):
        moment = source.moments[index]
        geometry = source.geometry_of(moment, cameras)
        flips = np.random.default_rng([recipe.seed, 17, position]).uniform() < recipe.augmentation.flip
        own = replace(recipe, augmentation=replace(recipe.augmentation, flip=float(flips)))
        for camera, clip in enumerate(moment):
            rng = np.random.default_rng([recipe.seed, 13, position * cameras + camera])
            samples.append(clip_sample(rng, source.clips, clip, own))
        T = geometry.T_rig_camera
        mounts.append(MIRROR @ T @ MIRROR if flips else T)
        first = number * cameras
        neighbours.append(np.where(geometry.neighbours < 0, -1, geometry.neighbours + first))
        visible.append(geometry.visible[:, :, ::-1] if flips else geometry.visible)
    T_rig_camera = np.concatenate(mounts)
    others = np.concatenate(neighbours)
    T_other_camera = np.stack(
        [
            [invert_rigid(T_rig_camera[max(other, 0)]) @ T_rig_camera[i] for other in others[i]]
            for i in range(len(others))
        ]
    )
    batch = stacked_clips(samples)
    assert batch.clips is not None
    rig = RigTensors(
        cameras=cameras,
        T_rig_camera=torch.from_numpy(T_rig_camera.astype(np.float32)),
        others=torch.from_numpy(others),
        T_other_camera=torch.from_numpy(T_other_camera.astype(np.float32)),
        visible=torch.from_numpy(np.ascontiguousarray(np.concatenate(visible))[:, None]),
    )
    return replace(batch, clips=replace(batch.clips, rig=rig))
