"""What the way before the model costs: decoding, voice detection, cutting; ours against the plain ways, in one run.

    python -m bench.stations [FILE] [--hours 1] [--runs 2]

    ours       pipeline.listen: PyAV + silero, side by side, in blocks
    baseline   the ffmpeg program decoding into a pipe, silero reading it frame by frame (512 samples a call, same ONNX)
    batched    PyAV decoding everything, then faster-whisper's get_speech_timestamps

Each way runs in a process of its own, in turn with the others; the best of the runs counts. Memory is the peak of
resident memory above a bare interpreter (for the baseline without the ffmpeg process). Without a FILE the sample
recording is repeated to an MP3 (44.1 kHz stereo) of that many hours.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "samples" / "review.flac"
FRAME, CONTEXT = 512, 64


def vad_model() -> Path:
    from jiyao import settings, weights

    home = settings.load().home
    return weights.locate("silero-vad-v6", home) / weights.find_model("silero-vad-v6").files[0].path


def ours(path: Path) -> dict[str, object]:
    from jiyao.pipeline import Options, listen

    with path.open("rb") as file:
        found = listen(file, vad_model(), Options())
    clips = [clip for part in found.parts for clip in part.clips]
    return {"seconds": len(found.recording.pcm) / 16_000, "speech_s": sum(clip.duration_s for clip in clips)}


def baseline(path: Path) -> dict[str, object]:
    import numpy as np
    import onnxruntime

    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-f", "s16le", "-ac", "1", "-ar", "16000", "-"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(str(vad_model()), options, providers=["CPUExecutionProvider"])
    h = c = np.zeros((1, 1, 128), np.float32)
    context, pieces, loud = np.zeros((1, CONTEXT), np.float32), [], 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdout
        while len(piece := ffmpeg.stdout.read(FRAME * 2)) == FRAME * 2:
            pieces.append(piece)
            frame = np.frombuffer(piece, np.int16)[None].astype(np.float32) / np.float32(32768)
            heard, h, c = session.run(None, {"input": np.concatenate((context, frame), axis=1), "h": h, "c": c})
            context = frame[:, -CONTEXT:]
            loud += bool(heard.item() >= 0.5)
    pcm = b"".join(pieces)
    return {"seconds": len(pcm) / 32_000, "speech_s": loud * FRAME / 16_000}


def batched(path: Path) -> dict[str, object]:
    import av
    import numpy as np
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float32) / 32768
    spans = get_speech_timestamps(samples, VadOptions(max_speech_duration_s=28))
    return {"seconds": len(samples) / 16_000, "speech_s": sum(span["end"] - span["start"] for span in spans) / 16_000}


def bare(path: Path) -> dict[str, object]:
    return {}


WAYS: dict[str, Callable[[Path], dict[str, object]]] = {"ours": ours, "baseline": baseline, "batched": batched}


def in_child(way: str, path: Path) -> None:
    """What a child process does: one way, measured, as one line of JSON."""
    started = time.perf_counter()
    found = {"bare": bare, **WAYS}[way](path)
    wall_s, spent = time.perf_counter() - started, os.times()
    cpu_s = spent.user + spent.system + spent.children_user + spent.children_system
    sys.stdout.write(json.dumps({**found, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset / 2**20)
    if sys.platform == "linux":  # of this program alone; what getrusage counts begins before exec
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 2**10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(way: str, path: Path) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(Path(__file__).resolve()), "--child", way, str(path)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment).stdout
    )
    return found


def make_recording(path: Path, hours: float) -> None:
    """The sample, encoded once, its packets again and again. MP3, 44.1 kHz stereo, 128 kbit/s."""
    import av

    encoded = io.BytesIO()
    with av.open(str(SAMPLE)) as given, av.open(encoded, "w", format="mp3") as minute:
        stream: Any = minute.add_stream("libmp3lame", rate=44_100, layout="stereo")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=44_100)
        for frame in given.decode(audio=0):
            for resampled in resampler.resample(frame):
                minute.mux(stream.encode(resampled))
        minute.mux(stream.encode(None))
    encoded.seek(0)
    with av.open(encoded, mode="r") as minute_again, av.open(str(path), "w", format="mp3") as output:
        source = minute_again.streams.audio[0]
        assert source.time_base is not None
        packets = [bytes(packet) for packet in minute_again.demux(source) if packet.size]
        stream = output.add_stream_from_template(source)
        for number in range(round(hours * 3600 * 44_100 / 1152)):
            packet = av.Packet(packets[number % len(packets)])
            packet.stream, packet.time_base = stream, source.time_base
            packet.pts = packet.dts = round(number * 1152 / 44_100 / float(source.time_base))
            output.mux(packet)


def report(path: Path, runs: int) -> None:
    ways = [way for way in WAYS if way != "baseline" or shutil.which("ffmpeg")]
    bare_mb = measure("bare", path)["peak_mb"]
    best: dict[str, dict[str, Any]] = {}
    for _ in range(runs):
        for way in ways:
            found = measure(way, path)
            kept = best.setdefault(way, found)
            for key, better in (("wall_s", min), ("cpu_s", min), ("peak_mb", max)):
                kept[key] = better(kept[key], found[key])
    print(f"{path.name}: {best['ours']['seconds'] / 60:.1f} min; best of {runs}; bare interpreter {bare_mb:.0f} MB\n")
    print(
        f"{'':10}{'seconds':>9}{'x real time':>13}{'ours / it':>11}{'CPU s':>8}{'peak MB above':>15}{'speech min':>12}"
    )
    for way, found in best.items():
        speed, share = found["seconds"] / found["wall_s"], best["ours"]["wall_s"] / found["wall_s"]
        print(
            f"{way:10}{found['wall_s']:9.2f}{speed:13.0f}{share:11.2f}{found['cpu_s']:8.1f}"
            f"{found['peak_mb'] - bare_mb:15.0f}{found['speech_s'] / 60:12.1f}"
        )
    if "baseline" not in best:
        print("\nno ffmpeg on the PATH: no baseline")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--child", choices=["bare", *WAYS], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        in_child(given.child, given.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = given.file
        if path is None:
            path = Path(folder) / "sample.mp3"
            make_recording(path, given.hours)
        report(path, given.runs)


if __name__ == "__main__":
    main()
