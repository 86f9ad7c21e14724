"""Cleaning, off by default: int16 PCM → int16 PCM of the same length, every sample at its place.

denoise    noise taken out of voices (GTCRN)
loudness   quiet recordings made louder (EBU R128), true peaks kept below full scale

Recognition hears the original: all three denoisers that were compared made it worse (LOG.md). What is denoised is for
the ear, and for a second pair of ears of the VAD: where either the original or the denoised recording has speech, there
is speech. Loudness is for everything that comes after it, denoising included: a quiet voice is taken for noise.
"""

from __future__ import annotations

from jiyao.cleaning.denoise import Denoiser
from jiyao.cleaning.loudness import Loudness, amplify, gain_for, measure

DENOISER = "gtcrn"
"""Its name in the catalogue of weights."""

__all__ = ["DENOISER", "Denoiser", "Loudness", "amplify", "gain_for", "measure"]
