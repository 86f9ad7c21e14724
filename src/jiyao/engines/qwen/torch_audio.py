"""Sound to vectors in torch: log-mel features on the device, and Qwen3-ASR's audio encoder over many clips at once.

In:  clips' samples. Out: the audio vectors of all clips, one after the other, as the language model takes them.
From: transformers' models/qwen3_asr (Apache-2.0), whose modules do the arithmetic and whose results the tests compare.
      Two things are done another way. Each clip's features are its own (a padded batch would mirror silence into its
      last frames), and the windows of attention are stacked, not looped over: 18 calls a batch, not 18 a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from jiyao.timeline import SAMPLE_RATE, Samples

Tensor = Any  # torch is not installed everywhere: its types would differ between computers

MIN_SAMPLES = SAMPLE_RATE // 2  # shorter clips are padded with silence, or they come back empty (MODEL.md)
_FFT, _HOP = 400, 160
_CONV_CHUNKS = 96  # seconds that pass the convolutions together
CONV_BYTES = _CONV_CHUNKS * 3_500_000  # what they take meanwhile, for each byte of the dtype (measured, 0.6B)


class AudioEncoder:
    """log-mel, encoder and projector of one loaded model (`Qwen3ASRModel`: the part that both heads share)."""

    def __init__(self, model: Any) -> None:
        import torch
        import transformers

        extractor: Any = transformers.Qwen3ASRFeatureExtractor
        self._tower, self._projector = model.audio_tower, model.multi_modal_projector
        weight = self._tower.conv_out.weight
        self._device, self._dtype = weight.device, weight.dtype
        # Apple's FFT lacks what torch.stft needs on some versions; features cost little anywhere
        self._mel_device = torch.device("cpu") if self._device.type == "mps" else self._device
        self._filters = torch.from_numpy(extractor().mel_filters).to(self._mel_device, torch.float32).T
        self._hann = torch.hann_window(_FFT, device=self._mel_device)
        self._chunk = 2 * int(self._tower.n_window)  # frames that the convolutions see together: a second
        self._chunk_tokens = _after_convolutions(self._chunk)
        self._window_chunks = int(self._tower.n_window_infer) // self._chunk  # chunks that see each other: 8

    def token_count(self, samples: Samples) -> int:
        """How many vectors a clip becomes: 13 a second."""
        full, rest = divmod(max(len(samples), MIN_SAMPLES) // _HOP, self._chunk)
        return full * self._chunk_tokens + _after_convolutions(rest)

    def encode(self, clips: Sequence[Samples]) -> Tensor:
        """float [all tokens, hidden] in the model's dtype, clip after clip as `token_count` says."""
        import torch

        with torch.inference_mode():
            features = [self.log_mel(samples) for samples in clips]
            hidden, mask = self._windows(features)
            for layer in self._tower.layers:
                hidden = _layer(layer, hidden, mask)
            # [windows, tokens, width] → only what is sound, in order
            return self._projector(self._tower.ln_post(hidden[mask[:, 0, 0]]))

    def log_mel(self, samples: Samples) -> Tensor:
        """float32 [128, frames], 100 frames a second; at least half a second of them."""
        import torch

        wave = torch.zeros(max(len(samples), MIN_SAMPLES), dtype=torch.float32)
        wave[: len(samples)] = torch.from_numpy(samples)
        spectrum = torch.stft(wave.to(self._mel_device), _FFT, _HOP, window=self._hann, return_complex=True)
        mel = (self._filters @ spectrum[:, :-1].abs().square()).clamp(min=1e-10).log10()
        return (torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0

    def _windows(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Convolved sound in windows [windows, tokens, width], and which of it is sound: bool [windows, 1, 1, tokens].

        A clip begins a window of its own; all its chunks but the last are full, so a window's sound is its beginning.
        """
        import torch

        places: list[int] = []  # of each chunk, counted in chunks of the windows
        tokens: list[int] = []  # in each window
        for mel in features:
            n_chunks = -(-mel.shape[1] // self._chunk)
            places += range(len(tokens) * self._window_chunks, len(tokens) * self._window_chunks + n_chunks)
            tokens += self._tokens_by_window(mel.shape[1])
        width = self._tower.conv_out.out_features
        laid = torch.zeros(
            (len(tokens) * self._window_chunks, self._chunk_tokens, width), dtype=self._dtype, device=self._device
        )
        laid[torch.tensor(places, device=self._device)] = torch.cat(list(self._convolved(features)))
        window = self._window_chunks * self._chunk_tokens
        mask = torch.arange(window, device=self._device) < torch.tensor(tokens, device=self._device)[:, None]
        return laid.view(len(tokens), window, width), mask[:, None, None]

    def _tokens_by_window(self, frames: int) -> list[int]:
        full, rest = divmod(frames, self._chunk)
        left = full * self._chunk_tokens + _after_convolutions(rest)
        window = self._window_chunks * self._chunk_tokens
        return [min(window, left - start) for start in range(0, left, window)]

    def _convolved(self, features: Sequence[Tensor]) -> Iterator[Tensor]:
        """[chunks, tokens, width] in groups of bounded size; positions count anew in each chunk."""
        import torch
        from torch.nn.functional import gelu, pad

        tower = self._tower
        # [mels, frames] → [chunks, mels, frames of a chunk]
        padded = [pad(mel, (0, -mel.shape[1] % self._chunk)) for mel in features]
        cut = [mel.reshape(len(mel), -1, self._chunk).transpose(0, 1) for mel in padded]
        chunks: Tensor = torch.cat(cut).to(self._device, self._dtype)
        for group in chunks.split(_CONV_CHUNKS):
            x = group[:, None]
            for convolution in (tower.conv2d1, tower.conv2d2, tower.conv2d3):
                x = gelu(convolution(x))
            x = tower.conv_out(x.permute(0, 3, 1, 2).flatten(2))
            yield x + tower.positional_embedding.positional_embedding[: x.shape[1]].to(x.dtype)


def _layer(layer: Any, hidden: Tensor, mask: Tensor) -> Tensor:
    """One encoder layer over [windows, tokens, width]; `mask` bool [windows, 1, 1, tokens]: what may be looked at."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    attention = layer.self_attn
    x = layer.self_attn_layer_norm(hidden)
    query, key, value = (
        project(x).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    x = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=attention.scaling)
    hidden = hidden + attention.out_proj(x.transpose(1, 2).flatten(2))
    x = layer.activation_fn(layer.fc1(layer.final_layer_norm(hidden)))
    hidden = hidden + layer.fc2(x)
    if hidden.dtype == torch.float16:  # as the reference does
        limit = torch.finfo(hidden.dtype).max - 1000
        hidden = hidden.clamp(-limit, limit)
    return hidden


def _after_convolutions(frames: int) -> int:
    """Frames left by three convolutions of stride 2."""
    for _ in range(3):
        frames = (frames + 1) // 2
    return frames
