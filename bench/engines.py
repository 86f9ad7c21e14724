"""How fast the Qwen3-ASR engines are and what memory they take: true 0.6B shapes, random weights, one run.

    python -m bench.engines [--device cuda|cpu] [--rows plain,int8,qwen-cpu] [--runs 1] [--quick] [--markdown]

Speed does not depend on what the weights are, only on shapes and on how many tokens are written; so a checkpoint of the
true shape is filled with random numbers once (bf16, 1.6 GB in a temporary folder, or kept with --folder), and every
answer has the length that speech has: 3.6 tokens a second (research/qwen.md 1.3), end marks suppressed.

CPU, clips of 30 s              CUDA, 240 clips of 15 s
    plain     transformers' generate in float32, one clip (on CUDA in bf16, a few of the clips)
    int8      the same after torch's dynamic quantisation of every Linear
    qwen-cpu  our engine, 8 clips together
    sherpa    sherpa-onnx int8 with its real weights on real speech, where they are here
                                    batch     generate with as many clips together as ours takes
    ours      engines/qwen_torch.py (on a CPU only when asked for)

Everything counts: features, encoder, prefill, decoding. Each row runs in a process of its own, so that its peak of
memory is its own; loading and one short clip go before the clock starts. With --runs rows take turns, the best counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.stations import SAMPLE, _peak_mb
from jiyao.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
TOKENS_PER_S = 3.6
ROWS = {"cpu": ("plain", "int8", "qwen-cpu", "sherpa"), "cuda": ("plain", "batch", "ours")}
NAMES = {
    "plain": "transformers generate, batch 1",
    "batch": "transformers generate, batch {clips_together}",
    "int8": "torch dynamic int8, batch 1",
    "qwen-cpu": "qwen-cpu, 8 clips (one first, then up to 8 together)",
    "sherpa": "sherpa-onnx int8, real speech",
    "ours": "qwen-torch",
}


@dataclass(frozen=True)
class Plan:
    """What every row is given: `clips` of `seconds`, `tokens` to write for each; `together`: clips of a large batch."""

    folder: str
    device: str
    clips: int
    seconds: float
    tokens: int
    together: int
    plain_clips: int
    threads: int

    @property
    def dtype(self) -> str:
        return "bfloat16" if self.device == "cuda" else "float32"


@dataclass
class Measured:
    """One row's result. `floor_share`: of the time that reading the weights from memory takes at the least."""

    audio_s: float
    wall_s: float
    tokens: int
    first_s: float
    together: int = 1
    peak_mb: float = 0.0
    device_mb: float | None = None
    floor_share: float | None = None
    note: str = ""


def plan_of(given: argparse.Namespace, folder: Path) -> Plan:
    cuda = given.device == "cuda"
    seconds = 2.0 if given.tiny else 15.0 if cuda else 30.0
    clips = 9 if given.tiny else 240 if cuda else 8
    tokens = round(TOKENS_PER_S * seconds)
    return Plan(
        folder=str(folder),
        device=given.device,
        clips=clips,
        seconds=seconds,
        tokens=max(4, tokens // 4) if given.quick else tokens,
        together=min(clips, 64 if cuda else 8),
        plain_clips=8 if cuda and not given.tiny else 1,
        threads=Settings(threads=given.threads).cores,
    )


# the checkpoint


def write_checkpoint(folder: Path, layers: int | None = None) -> None:
    """Every tensor of the 0.6B shape, drawn as a fresh model's are, and the tokenizer. Complete or absent.

    `layers`: so many in either network instead of 18 and 28; all matrices keep their true shapes.
    """
    import torch
    from safetensors.torch import save_file
    from tests.qwen_toys import write_tokenizer

    from jiyao.engines.qwen.checkpoint import AudioShape, Shape, TextShape

    audio = AudioShape(896, layers or 18, 14, 3584, 1024, 128, 480, 50, 800)
    text = TextShape(151_936, 1024, layers or 28, 16, 8, 128, 3072, 1e6, 1e-6, True)
    random = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in Shape(audio, text).tensors().items():
        values = torch.empty(shape, dtype=torch.bfloat16)
        is_scale = name.endswith("weight") and ("norm" in name or "ln_post" in name)
        tensors[name] = values.fill_(1.0) if is_scale else values.normal_(0.0, 0.02, generator=random)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(_config(audio, text)), encoding="utf-8")


def _config(audio: Any, text: Any) -> dict[str, Any]:
    import transformers

    config: Any = transformers.Qwen3ASRConfig
    made = config(
        architectures=["Qwen3ASRForConditionalGeneration"],
        dtype="bfloat16",
        audio_config={
            "model_type": "qwen3_asr_encoder",
            "d_model": audio.d_model,
            "encoder_layers": audio.layers,
            "encoder_attention_heads": audio.heads,
            "encoder_ffn_dim": audio.ffn,
            "output_dim": audio.output_dim,
            "downsample_hidden_size": audio.conv_channels,
        },
        text_config={
            "model_type": "qwen3",
            "vocab_size": text.vocab,
            "hidden_size": text.hidden,
            "intermediate_size": text.ffn,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "num_key_value_heads": text.kv_heads,
            "head_dim": text.head_dim,
            "rms_norm_eps": text.rms_eps,
            "max_position_embeddings": 65_536,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_theta": text.rope_theta, "rope_type": "default"},
        },
    )
    found: dict[str, Any] = made.to_dict()
    return found


# what is measured; each runs in a child


def noise(plan: Plan, count: int) -> list[Any]:
    """Clips of noise-like sound: what they say does not matter, how long they are does."""
    import numpy as np

    from jiyao.recognition import Clip
    from jiyao.timeline import SAMPLE_RATE, Span

    random, size = np.random.default_rng(0), round(plan.seconds * SAMPLE_RATE)
    samples = (random.normal(0, 0.1, size).astype(np.float32) for _ in range(count))
    return [Clip(values, Span(i * size, (i + 1) * size)) for i, values in enumerate(samples)]


def plain(plan: Plan, together: int = 1, quantised: bool = False) -> Measured:
    """transformers as its documentation uses it: feature extractor, model, generate."""
    import torch
    import transformers

    library: Any = transformers
    torch.set_num_threads(plan.threads)
    model = library.Qwen3ASRForConditionalGeneration.from_pretrained(
        plan.folder, dtype=getattr(torch, plan.dtype), local_files_only=True
    ).eval()
    model = model.to(plan.device)
    if quantised:
        quantization: Any = torch.ao.quantization
        model = quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    ask = _generation(plan, model)
    count = plan.clips if together > 1 else plan.plain_clips
    sounds = [clip.samples for clip in noise(plan, count)]
    ask([sounds[0][:16_000]], 4)

    def answers() -> Iterator[int]:
        for start in range(0, count, together):
            group = sounds[start : start + together]
            ask(group, plan.tokens)
            yield len(group)

    return _timed(plan, count, together, answers())


def _generation(plan: Plan, model: Any) -> Callable[[Sequence[Any], int], None]:
    import torch
    import transformers

    from jiyao.engines.qwen.prompt import EOS_IDS, QwenTokenizer
    from jiyao.recognition import Hints

    library: Any = transformers
    tokenizer, extractor = QwenTokenizer.from_folder(Path(plan.folder)), library.Qwen3ASRFeatureExtractor()

    def ask(sounds: Sequence[Any], tokens: int) -> None:
        found = extractor(list(sounds), sampling_rate=16_000, padding="longest", return_attention_mask=True)
        mask = found["attention_mask"]
        full, rest = divmod(int(mask[0].sum()), 100)
        n_tokens = 13 * full + -(-rest // 8)
        ids = torch.tensor([tokenizer.prompt_ids(Hints(), n_tokens)] * len(sounds), device=plan.device)
        answer = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            input_features=found["input_features"].to(plan.device, getattr(torch, plan.dtype)),
            input_features_mask=mask.to(plan.device),
            min_new_tokens=tokens,
            max_new_tokens=tokens,
            do_sample=False,
            eos_token_id=list(EOS_IDS),
            pad_token_id=EOS_IDS[1],
        )
        assert answer[:, ids.shape[1] :].cpu().shape[1] == tokens

    return ask


def batch(plan: Plan) -> Measured:
    return plain(plan, plan.together)


def int8(plan: Plan) -> Measured:
    return plain(plan, quantised=True)


def ours(plan: Plan) -> Measured:
    import torch

    from jiyao.engines import qwen_torch

    torch.set_num_threads(plan.threads)
    engine = qwen_torch.open_folder(Path(plan.folder), "random", plan.device, None, fixed_tokens=plan.tokens)
    measured = _recognised(plan, engine)
    if plan.device == "cuda":
        measured.floor_share = _floor_share(plan, engine)
    return measured


def qwen_cpu(plan: Plan) -> Measured:
    """OUR CPU ENGINE, written elsewhere: `open_folder(checkpoint, int8 folder, threads)`, answers of fixed length."""
    engines: Any = import_module("jiyao.engines.qwen_cpu")
    engine = engines.open_folder(Path(plan.folder), _graphs(plan), plan.threads, fixed_tokens=plan.tokens)
    return _recognised(plan, engine)


def _graphs(plan: Plan) -> Path:
    return Path(plan.folder) / "int8"


def convert(plan: Plan) -> Measured:
    """Before `qwen-cpu`, once and in a process of its own: a user's computer does this after fetching, too."""
    if not _graphs(plan).exists():
        unfinished = _graphs(plan).with_suffix(".part")
        unfinished.mkdir(exist_ok=True)
        recipe: Any = import_module("jiyao.engines.qwen.int8")
        recipe.build(Path(plan.folder), unfinished)
        unfinished.rename(_graphs(plan))
    return Measured(0, 0, 0, 0)


def sherpa(plan: Plan) -> Measured:
    """Its own weights are real, so it hears real speech and writes as many tokens as that has."""
    from jiyao import audio, settings, weights
    from jiyao.engines.qwen import sherpa as engine_module
    from jiyao.engines.qwen.prompt import QwenTokenizer
    from jiyao.recognition import Clip, Hints
    from jiyao.timeline import SAMPLE_RATE, Span

    home = settings.load().home
    if not weights.is_present(engine_module.MODEL, home):
        return Measured(0, 0, 0, 0, note=f"its weights ({engine_module.MODEL}) are not on this computer")
    folder = weights.locate(engine_module.MODEL, home)
    engine = engine_module.open_folder(folder, "pinned", plan.threads)
    recording, size = audio.decode(SAMPLE.read_bytes()), round(plan.seconds * SAMPLE_RATE)
    spans = [Span(start, start + size) for start in range(0, len(recording.pcm) - size, size)]
    clips = [Clip(recording.samples(span), span) for span in spans]
    list(engine.recognize([Clip(clips[0].samples[:16_000], Span(0, 16_000))], Hints()))
    began = time.perf_counter()
    texts, first_s = [], 0.0
    for _, heard in engine.recognize(clips, Hints()):
        first_s = first_s or time.perf_counter() - began
        texts.append(heard.text)
    wall_s = time.perf_counter() - began
    tokenizer = QwenTokenizer.from_folder(folder / "tokenizer")
    tokens = sum(len(tokenizer._encode(text)) for text in texts)
    return Measured(len(clips) * plan.seconds, wall_s, tokens, first_s)


def _recognised(plan: Plan, engine: Any) -> Measured:
    from jiyao.recognition import Clip, Hints
    from jiyao.timeline import Span

    clips = noise(plan, plan.clips)
    short = Clip(clips[0].samples[:16_000], Span(0, 16_000))
    list(engine.recognize([short], Hints()))
    return _timed(plan, plan.clips, plan.together, (1 for _ in engine.recognize(clips, Hints())))


def _timed(plan: Plan, count: int, together: int, answers: Iterator[int]) -> Measured:
    """`answers` does the work and says after each piece how many clips it was."""
    began, first_s, done = time.perf_counter(), 0.0, 0
    for clips in answers:
        first_s = first_s or time.perf_counter() - began
        done += clips
    wall_s = time.perf_counter() - began
    assert done == count
    return Measured(count * plan.seconds, wall_s, count * plan.tokens, first_s, together)


def _floor_share(plan: Plan, engine: Any) -> float:
    """A step cannot be faster than the weights are read once: that time (from the measured speed of a copy) by the
    time of a step of a full batch. Keys and values are read too and not counted."""
    import torch

    from jiyao.recognition import Hints

    block = torch.empty((2, 1 << 30), dtype=torch.uint8, device=plan.device)
    copy_s = _device_s(lambda: block[0].copy_(block[1])) / block.numel()  # each byte is read or written once
    language_model = engine._loaded.model.model.language_model  # tied: the output matrix is in it
    weights_s = copy_s * int(sum(weight.numel() * weight.itemsize for weight in language_model.parameters()))
    samples = [clip.samples for clip in noise(plan, plan.together)]
    count = engine._loaded.audio.token_count(samples[0])
    prompts = [engine._tokenizer.prompt_ids(Hints(), count)] * len(samples)
    embeddings, lengths = engine._loaded.embed(prompts, samples), [len(ids) for ids in prompts]

    def decode(tokens: int) -> float:
        budgets = [tokens] * len(samples)
        return _device_s(lambda: engine._decoder.decode(embeddings, lengths, budgets, endless=True))

    steps = max(2, plan.tokens) - 1
    return float(weights_s * steps / max(1e-9, decode(steps + 1) - decode(1)))


def _device_s(work: Callable[[], object]) -> float:
    import torch

    work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / 3


MEASURES: dict[str, Callable[[Plan], Measured]] = {
    "plain": plain,
    "batch": batch,
    "int8": int8,
    "qwen-cpu": qwen_cpu,
    "sherpa": sherpa,
    "ours": ours,
}
BEFORE = {"qwen-cpu": "convert"}


def in_child(row: str, plan: Plan) -> None:
    import warnings

    warnings.simplefilter("ignore")  # of the libraries compared with; ours are tested elsewhere
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    found = convert(plan) if row == "convert" else MEASURES[row](plan)
    found.peak_mb = _peak_mb()
    if plan.device == "cuda" and "torch" in sys.modules:
        found.device_mb = sys.modules["torch"].cuda.max_memory_reserved() / 2**20
    sys.stdout.write("\n" + json.dumps(asdict(found)))


# the table


def measure(row: str, plan: Plan) -> Measured:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    command = [sys.executable, "-m", "bench.engines", "--child", row, json.dumps(asdict(plan))]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, cwd=ROOT, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return Measured(0, 0, 0, 0, plan.together, note=f"failed: {reason[0]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def better(one: Measured | None, other: Measured) -> Measured:
    if one is None or not one.wall_s:
        return other
    return min((m for m in (one, other) if m.wall_s), key=lambda m: m.wall_s / m.audio_s)


def cells(row: str, found: Measured, baseline: Measured | None) -> list[str]:
    name = NAMES[row].format(clips_together=found.together)
    if not found.wall_s:
        return [name, found.note]
    rtf = found.wall_s / found.audio_s
    times = baseline.wall_s / baseline.audio_s / rtf if baseline and baseline.wall_s else None
    optional = (
        (times, "{:.2f}"),
        (found.device_mb, "{:.0f}"),
        (found.floor_share, "{:.0%}"),
    )
    speed, device, share = ("–" if value is None else form.format(value) for value, form in optional)
    return [
        name,
        f"{found.audio_s:.0f}",
        f"{found.wall_s:.2f}",
        f"{rtf:.4f}",
        f"{found.tokens / found.wall_s:.1f}",
        f"{found.first_s:.2f}",
        f"{found.peak_mb:.0f}",
        device,
        speed,
        share,
    ]


HEAD = ["", "audio s", "wall s", "RTF", "tokens/s", "first text s", "peak MB", "GPU MB", "x plain", "of floor"]


def table(rows: Sequence[Sequence[str]], markdown: bool) -> str:
    if markdown:
        lines = [HEAD, ["---"] * len(HEAD), *([*row, *[""] * (len(HEAD) - len(row))] for row in rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    measured = [HEAD, *(row for row in rows if len(row) == len(HEAD))]
    widths = [max(len(row[column]) for row in measured) for column in range(len(HEAD))]
    text = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in measured]
    return "\n".join([*text, *(f"{row[0]}: {row[1]}" for row in rows if len(row) == 2)])


def report(given: argparse.Namespace, plan: Plan) -> None:
    rows = given.rows.split(",") if given.rows else list(ROWS[given.device])
    best: dict[str, Measured] = {}
    for row in rows:
        if row in BEFORE:
            measure(BEFORE[row], plan)
    for _ in range(given.runs):
        for row in rows:
            best[row] = better(best.get(row), measure(row, plan))
    shape = "tiny shape" if given.tiny else "0.6B, random weights"
    print(
        f"{shape}; {plan.device}, {plan.threads} threads; clips of {plan.seconds:.0f} s, {plan.tokens} tokens each; "
        f"best of {given.runs}\n"
    )
    print(table([cells(row, best[row], best.get("plain")) for row in rows], given.markdown))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(ROWS), help="default: cuda where there is one")
    parser.add_argument("--rows", default="", help=f"of {', '.join(MEASURES)}")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="default: all cores this process may use")
    parser.add_argument("--folder", type=Path, help="keep the checkpoint here, and use it when it is there")
    parser.add_argument("--quick", action="store_true", help="a quarter of the tokens")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and short clips: does the bench itself work?")
    parser.add_argument("--markdown", action="store_true", help="the table as LOG.md has it")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(filter(None, given.rows.split(","))) - set(MEASURES):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    return given


def main() -> None:
    given = arguments()
    if given.child:
        in_child(given.child[0], Plan(**json.loads(given.child[1])))
        return
    if given.device is None:
        import torch

        given.device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary) / "checkpoint"
        if not (folder / "config.json").exists():
            if given.tiny:
                from tests.qwen_toys import tiny_checkpoint

                tiny_checkpoint(folder)
            else:
                write_checkpoint(folder)
        report(given, plan_of(given, folder))


if __name__ == "__main__":
    main()
