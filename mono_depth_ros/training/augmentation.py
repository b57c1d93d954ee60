# SPDX-License-Identifier: Apache-2.0
"""What training does to images so that a model cannot rely on their colours."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Float32 = npt.NDArray[np.float32]
_KERNEL_SIDES = (1, 3, 5, 7)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Probabilities and ranges; sigmas are of the natural log of a factor.

    Attributes:
        flip: mirrored left to right.
        channel_shuffle, grey: colour channels permuted; colour dropped.
        gain_sigma, gamma_sigma, contrast_sigma, channel_gain_sigma: strength of brightness changes.
        blur, noise_sigma: share of blurred images; largest sigma of added noise.
        random_convolution: share of images with colours and texture of a random small convolution, mixed with
            the image (Xu et al., Robust and Generalizable Visual Representation Learning via Random Convolutions, ICLR
            2021): shapes stay, what surfaces look like does not.
        empty: images nearly without content, from which only points tell depth.
        rescale: images whose depth and points are scaled by a common factor in completion, so that layout lies and
            points are right.
        rescale_sigma: of that factor.
    """

    flip: float = 0.5
    channel_shuffle: float = 0.3
    grey: float = 0.15
    gain_sigma: float = 0.25
    gamma_sigma: float = 0.2
    contrast_sigma: float = 0.35
    channel_gain_sigma: float = 0.08
    blur: float = 0.2
    noise_sigma: float = 0.04
    random_convolution: float = 0.0
    empty: float = 0.13
    rescale: float = 0.2
    rescale_sigma: float = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One draw of what is done to an image; the images of a clip share it, as one camera took them.

    Attributes:
        order: int64 [3], which colour channel comes first.
        grey: whether colour is dropped.
        contrast, gamma: factor about the image's mean, exponent.
        gains: float32 [3], of the channels.
        blur_px: sigma, 0 for none.
        noise: sigma.
        kernel: float32 [3, k, k, 3], output channel, rows, columns, input channel, of a random convolution; None for
            none.
        mixed: share of the original in what that gives.
    """

    order: npt.NDArray[np.int64]
    grey: bool
    contrast: float
    gamma: float
    gains: Float32
    blur_px: float
    noise: float
    kernel: Float32 | None = None
    mixed: float = 0.0


def random_look(rng: Rng, augmentation: Augmentation) -> Look:
    """A look drawn from the ranges."""
    shuffled = rng.uniform() < augmentation.channel_shuffle
    order = rng.permutation(3) if shuffled else np.arange(3)
    grey = bool(rng.uniform() < augmentation.grey)
    gain, contrast, gamma = (
        float(np.exp(rng.normal(0.0, sigma)))
        for sigma in (augmentation.gain_sigma, augmentation.contrast_sigma, augmentation.gamma_sigma)
    )
    gains = np.float32(gain) * np.exp(rng.normal(0.0, augmentation.channel_gain_sigma, 3)).astype(np.float32)
    blur_px = float(rng.uniform(0.3, 1.5)) if rng.uniform() < augmentation.blur else 0.0
    noise = float(rng.uniform(0.0, augmentation.noise_sigma))
    kernel, mixed = None, 0.0
    if augmentation.random_convolution and rng.uniform() < augmentation.random_convolution:
        side = int(rng.choice(_KERNEL_SIDES))
        kernel = rng.normal(0.0, 1.0, (3, side, side, 3)).astype(np.float32)
        mixed = float(rng.uniform())
    return Look(order, grey, contrast, gamma, gains, blur_px, noise, kernel, mixed)


def augment_image(rng: Rng, image_rgb: npt.NDArray[np.uint8], look: Look) -> Float32:
    """Photometric augmentation.

    Args:
        rng: source of the noise.
        image_rgb: uint8 [H, W, 3].
        look: what to do.

    Returns:
        float32 [H, W, 3], 0..1, on the 8-bit steps that a real image has.
    """
    image = image_rgb[..., look.order].astype(np.float32) * np.float32(1.0 / 255.0)
    if look.kernel is not None:
        image = np.float32(look.mixed) * image + np.float32(1.0 - look.mixed) * _convolved(image, look.kernel)
    if look.grey:
        image = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    middle = np.float32(image.mean())
    image = ((image - middle) * np.float32(look.contrast) + middle) * look.gains
    image = np.clip(image, 0.0, 1.0) ** np.float32(look.gamma)
    if look.blur_px:
        image = cv2.GaussianBlur(image, (0, 0), sigmaX=look.blur_px)
    if look.noise:
        image = image + rng.standard_normal(image.shape, dtype=np.float32) * np.float32(look.noise)
    return np.asarray(np.round(np.clip(image, 0.0, 1.0) * 255.0) / 255.0, dtype=np.float32)


def _convolved(image: Float32, kernel: Float32) -> Float32:
    """The image [H, W, 3] convolved with [3, k, k, 3], every channel with the mean and spread that it had."""
    made = np.stack([sum(cv2.filter2D(image[..., i], -1, of[..., i]) for i in range(3)) for of in kernel], axis=-1)
    mean, spread = (of(image, axis=(0, 1)) for of in (np.mean, np.std))
    centred = made - made.mean(axis=(0, 1))
    return np.asarray(np.clip(mean + centred * (spread / (made.std(axis=(0, 1)) + 1e-6)), 0.0, 1.0), np.float32)


def empty_image(rng: Rng, image: Float32) -> Float32:
    """The same image with next to no content: a flat colour, a faint ghost of the image, noise; float32 [H, W, 3]."""
    flat = np.broadcast_to(rng.uniform(0.0, 1.0, 3).astype(np.float32), image.shape)
    ghost = np.float32(rng.choice([0.0, 0.02, 0.08]))
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.0, 0.1))
    return np.asarray(np.clip(flat + ghost * (image - image.mean()) + grain, 0.0, 1.0), dtype=np.float32)
