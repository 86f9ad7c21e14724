"""Every kind of recording that this PyAV can write is read back right; what is wrong with one is said plainly."""

from __future__ import annotations

import gc
import io
import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from jiyao.audio import Decoder, PcmBuffer, Recording, decode
from jiyao.errors import AudioError
from jiyao.timeline import SAMPLE_RATE, Span
from tests.recordings import KINDS, can_write, loudness, made, pictures_only, pitch, shared, tone, wav

ROOT = Path(__file__).resolve().parents[1]
ENDLESS = ("mpegts", "ac3")  # streams of packets: a cut between two of them leaves no trace
LATE_INDEX = ("m4a-aac", "m4a-alac", "mov", "mp4-video", "3gp-amr")


def kind(name: str, **changes: Any) -> bytes:
    if not can_write(KINDS[name].get("codec", "pcm_s16le")):
        pytest.skip(f"this PyAV cannot write {name}")
    return made(**{**KINDS[name], **changes})


def warned(recording: Recording) -> list[str]:
    return [note.key for note in recording.notes if note.warning]


def refusal(source: bytes, max_duration_s: float = 12 * 3600) -> str:
    with pytest.raises(AudioError) as refused:
        decode(source, max_duration_s)
    return refused.value.key


# --- what can be read ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_its_length_pitch_and_loudness(name: str) -> None:
    recording = decode(kind(name, seconds=3.0))
    assert recording.pcm.dtype == np.int16 and recording.pcm.ndim == 1
    assert abs(recording.duration_ms - 3_000) <= (130 if name == "wav-adpcm" else 60)  # ADPCM comes in large blocks
    assert pitch(recording.pcm[SAMPLE_RATE // 2 : -SAMPLE_RATE // 2]) == pytest.approx(440, abs=1)
    assert loudness(recording.pcm[SAMPLE_RATE // 2 : -SAMPLE_RATE // 2]) == pytest.approx(0.283, rel=0.16)
    assert warned(recording) == []
    said = {note.key: note.parameters for note in recording.notes}
    rate, layout = KINDS[name].get("rate", 44_100), KINDS[name].get("layout", "stereo")
    assert said.get("audio.resampled") == (None if rate == SAMPLE_RATE else {"rate": rate})
    assert said.get("audio.downmixed") == {"mono": None, "stereo": {"channels": 2}, "5.1": {"channels": 6}}[layout]


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8, 9, 16])
def test_any_number_of_channels_without_a_named_layout(channels: int) -> None:
    ones = (tone(1.0, SAMPLE_RATE, channels).T * 32767).astype(np.int16)
    recording = decode(wav(ones if channels > 1 else ones[:, 0]))
    assert recording.duration_ms == 1_000
    assert pitch(recording.pcm) == pytest.approx(440, abs=1)
    assert loudness(recording.pcm) == pytest.approx(0.283, rel=0.02)


@pytest.mark.parametrize("dtype", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le"])
def test_sound_on_one_side_is_heard_and_sides_that_cancel_are_mended(dtype: str) -> None:
    [left] = tone(1.0)
    for right, level in ((left, 0.283), (0 * left, 0.141), (-left, 0.283), (-0.8 * left, 0.255)):
        both = np.stack([left, right.astype(np.float32)])
        assert loudness(decode(made(codec=dtype, signal=both)).pcm) == pytest.approx(level, rel=0.03), right[:4]


@pytest.mark.parametrize("seconds", [0.0625, 29.99, 30.0, 30.01, 60.0])
def test_no_sample_is_lost_where_blocks_meet(seconds: float) -> None:
    rng = np.random.default_rng(7)
    pcm = rng.integers(-20_000, 20_000, round(seconds * SAMPLE_RATE), np.int16)
    assert np.array_equal(decode(wav(pcm)).pcm, pcm)


def test_the_name_does_not_matter_and_a_file_is_as_good_as_bytes(tmp_path: Path) -> None:
    source = kind("m4a-aac")
    path = tmp_path / "会议 录音.mp3"
    path.write_bytes(source)
    with path.open("rb") as file:
        file.read(100)  # where it stands does not matter either
        from_file = decode(file)
        assert not file.closed
    assert np.array_equal(from_file.pcm, decode(source).pcm)


def test_a_stretch_is_a_fresh_float_copy() -> None:
    recording = Recording(np.array([0, 16384, -32768, 5], np.int16))
    stretch = recording.samples(Span(1, 3))
    assert stretch.dtype == np.float32 and stretch.tolist() == [0.5, -1.0]
    stretch[0] = 9
    assert recording.pcm.tolist() == [0, 16384, -32768, 5]


@pytest.mark.parametrize("expected", [0, 10, 100_000, 40_000_000])
def test_the_buffer_keeps_everything_whatever_was_announced(expected: int) -> None:
    buffer, blocks = PcmBuffer(expected), [np.arange(n, dtype=np.int16) for n in (1, 0, 90_000, 17_000_000, 7)]
    for block in blocks:
        buffer.append(block)
    assert np.array_equal(buffer.pcm(), np.concatenate(blocks))
    buffer.append(blocks[0])
    assert np.array_equal(buffer.pcm(), np.concatenate([*blocks, blocks[0]]))


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_sound_that_sets_in_late_gets_silence_before_it(container: str) -> None:
    recording = decode(made(container, "aac", video=True, late_s=1.5, seconds=3.0))
    assert recording.duration_ms == pytest.approx(4_500, abs=60)
    assert loudness(recording.pcm[: int(1.4 * SAMPLE_RATE)]) == 0.0
    assert loudness(recording.pcm[int(1.6 * SAMPLE_RATE) :]) > 0.25
    assert warned(recording) == []


def _without_packets(source: bytes, container: str, start_s: float, end_s: float) -> bytes:
    """The recording without the sound packets between the two times, all others keeping their stamps."""
    file = io.BytesIO()
    with av.open(io.BytesIO(source), mode="r") as given, av.open(file, "w", format=container) as output:
        stream = output.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            if packet.pts is None or start_s < float(packet.pts * packet.time_base) < end_s:
                continue
            packet.stream = stream
            output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_a_muted_stretch_that_was_never_sent_stays_in_the_clock(container: str) -> None:
    """Meeting servers send nothing while a microphone is muted; only the time stamps tell."""
    source = made(container, "aac", seconds=6.0, rate=48_000)
    recording = decode(_without_packets(source, container, 2.0, 4.0))
    assert recording.duration_ms == pytest.approx(6_000, abs=80)
    assert loudness(recording.pcm[int(2.2 * SAMPLE_RATE) : int(3.8 * SAMPLE_RATE)]) == 0.0
    assert pitch(recording.pcm[int(4.2 * SAMPLE_RATE) :]) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("name", ["mp3", "aac", "mpegts", "amr", "ogg-opus", "ogg-vorbis"])
def test_recordings_joined_end_to_end_are_read_to_the_end(name: str) -> None:
    other = (
        {"rate": 22_050, "layout": "mono"} if name in ("mp3", "aac", "mpegts") else {}
    )  # rate and channels may change
    recording = decode(kind(name, seconds=3.0) + kind(name, seconds=3.0, hz=880, **other))
    assert recording.duration_ms == pytest.approx(6_000, abs=120)
    assert pitch(recording.pcm[8_000:40_000]) == pytest.approx(440, abs=1)
    assert pitch(recording.pcm[-40_000:-8_000]) == pytest.approx(880, abs=1)


def test_an_ogg_whose_channels_change_is_read_so_far_and_that_is_said() -> None:
    """FFmpeg 8 does not go on behind the change ("patches welcome")."""
    recording = decode(kind("ogg-opus", seconds=3.0) + kind("ogg-opus", seconds=3.0, layout="stereo"))
    assert recording.duration_ms >= 2_990
    assert recording.duration_ms >= 5_900 or warned(recording) == ["audio.damaged"]


# --- what is broken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in KINDS if name not in LATE_INDEX])
def test_a_recording_cut_off_gives_what_is_there_and_says_so(name: str) -> None:
    whole = kind(name, seconds=8.0)
    recording = decode(whole[: len(whole) * 6 // 10])
    assert 3_900 <= recording.duration_ms <= 5_100
    assert pitch(recording.pcm[8_000:48_000]) == pytest.approx(440, abs=1)
    assert bool(warned(recording)) == (name not in ENDLESS)


@pytest.mark.parametrize("name", LATE_INDEX)
def test_an_mp4_without_its_index_was_never_finished(name: str) -> None:
    whole = kind(name, seconds=8.0)
    assert refusal(whole[: len(whole) * 6 // 10]) == "audio.unfinished"


def test_an_mp4_with_its_index_in_front_can_be_cut_off() -> None:
    whole = kind("m4a-aac", seconds=8.0, container_options={"moov_size": "20000"})
    recording = decode(whole[: len(whole) * 6 // 10])
    assert 4_200 <= recording.duration_ms <= 5_000
    assert "audio.cut_off" in warned(recording)


def test_a_wav_is_measured_by_its_own_header_wherever_that_stands() -> None:
    whole = wav(np.ones(10 * SAMPLE_RATE, np.int16))
    for extra in (b"", b"JUNK\x03\0\0\0abc\0", b"bext" + (8).to_bytes(4, "little") + b"data\xff\xff\xff\x00"):
        broadcast = whole[:12] + extra + whole[12:]  # recorders put chunks of their own in front
        assert warned(decode(broadcast)) == []
        assert warned(decode(broadcast[:200_000])) == ["audio.cut_off"]


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_leaves_its_length_open(size: int) -> None:
    pcm = np.arange(SAMPLE_RATE * 2, dtype=np.int16)
    whole = bytearray(wav(pcm))
    whole[40:44] = size.to_bytes(4, "little")
    recording = decode(bytes(whole), max_duration_s=60)
    assert warned(recording) == []
    assert np.array_equal(recording.pcm, pcm if size else recording.pcm)


def test_a_wav_that_promises_days_is_read_as_far_as_it_goes() -> None:
    whole = bytearray(wav(np.ones(SAMPLE_RATE * 2, np.int16)))
    whole[40:44] = (0x70000000).to_bytes(4, "little")  # 16 hours
    recording = decode(bytes(whole))
    assert (recording.duration_ms, warned(recording)) == (2_000, ["audio.cut_off"])


def test_an_mp3_behind_a_large_picture_still_tells_its_length() -> None:
    whole = kind("mp3", seconds=8.0)
    assert whole[:3] == b"ID3"
    size = 600_000
    tag = b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    bare = whole[10 + sum(byte << shift for byte, shift in zip(whole[6:10], (21, 14, 7, 0), strict=True)) :]
    assert warned(decode(tag + bare)) == []
    assert warned(decode(tag + bare[: len(bare) // 2])) == ["audio.cut_off"]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        (b"", "audio.empty"),
        (wav(np.zeros(0, np.int16)), "audio.empty"),
        ("会议纪要\n第一项……\n".encode() * 50, "audio.not_audio"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "audio.not_audio"),
        (b"%PDF-1.7\n" + bytes(500), "audio.not_audio"),
        (b"PK\x03\x04" + bytes(500), "audio.not_audio"),
        (bytes(10_000), "audio.not_audio"),
        (wav(np.ones(50_000, np.int16), 1), "audio.rate"),
        (wav(np.ones(5, np.int16), 3_999), "audio.rate"),
        (wav(np.ones(5, np.int16), 2_000_000), "audio.rate"),
    ],
)
def test_what_is_no_recording_is_refused_in_plain_words(source: bytes, key: str) -> None:
    assert refusal(source) == key


def test_pictures_without_sound_are_refused() -> None:
    assert refusal(pictures_only()) == "audio.no_track"


def test_protected_files_are_refused() -> None:
    m4a = kind("m4a-aac")
    place = m4a.index(b"stsd")
    assert m4a[place + 16 : place + 20] == b"mp4a"
    for tag in (b"enca", b"drms", b"aavd"):
        assert refusal(m4a[: place + 16] + tag + m4a[place + 20 :]) == "audio.protected"
    wma = kind("wma")
    place = 30  # behind the header object's own fields: another object
    encryption = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + (24).to_bytes(8, "little")
    assert refusal(wma[:place] + encryption + wma[place:]) == "audio.protected"


def test_a_track_in_an_unknown_coding_is_refused() -> None:
    m4a = kind("m4a-alac")
    place = m4a.index(b"stsd")
    assert m4a[place + 16 : place + 20] == b"alac"
    for tag in (b"????", b"\xff?!q"):
        assert refusal(m4a[: place + 16] + tag + m4a[place + 20 :]) == "audio.unknown_codec"


def test_of_several_tracks_the_first_is_used_and_that_is_said() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        streams: list[Any] = [output.add_stream("flac", rate=SAMPLE_RATE, layout="mono") for _ in range(2)]
        for stream, hz in zip(streams, (440, 880), strict=True):
            frame = av.AudioFrame.from_ndarray(tone(2.0, SAMPLE_RATE, hz=hz), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, 0
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    recording = decode(file.getvalue())
    assert pitch(recording.pcm) == pytest.approx(440, abs=1)
    assert warned(recording) == ["audio.several_tracks"]


# --- limits ----------------------------------------------------------------------------------------------------------


def test_longer_than_the_limit_is_refused_before_and_while_decoding() -> None:
    announced, silent = kind("flac", seconds=20.0), kind("aac", seconds=20.0)
    for source in (announced, silent):
        assert refusal(source, max_duration_s=10) == "audio.too_long"
        assert decode(source, max_duration_s=30).duration_ms == pytest.approx(20_000, abs=60)
    header_of_days = bytearray(announced)
    header_of_days[21:26] = bytes([announced[21] | 0x0F, 0xFF, 0xFF, 0xFF, 0xFF])  # FLAC: 36 bits of samples
    assert refusal(bytes(header_of_days)) == "audio.too_long"


CHILD = """
import json, sys
from pathlib import Path
import psutil
from jiyao.audio import decode
from jiyao.errors import AudioError

source = Path(sys.argv[1]).read_bytes()
here = psutil.Process()
before = here.memory_info().rss
try:
    recording = decode(source, float(sys.argv[2]))
    outcome, pcm_bytes = "read", recording.pcm.nbytes
except AudioError as refused:
    outcome, pcm_bytes = refused.key, 0
peak = before
if sys.platform == "linux":
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
elif sys.platform == "win32":
    peak = here.memory_info().peak_wset
print(json.dumps({"outcome": outcome, "pcm": pcm_bytes, "grown": peak - before}))
"""


def measured(path: Path, max_duration_s: float) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", CHILD, str(path), str(max_duration_s)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def repeated(name: str, hours: float, **changes: Any) -> bytes:
    """Hours of sound in a moment: a minute is encoded, its packets are written again and again."""
    if not can_write(KINDS[name].get("codec", "pcm_s16le")):
        pytest.skip(f"this PyAV cannot write {name}")
    minute = made(**{**KINDS[name], "seconds": 60.0, **changes})
    file = io.BytesIO()
    with av.open(io.BytesIO(minute), mode="r") as given:
        source = given.streams.audio[0]
        assert source.time_base is not None
        packets = [bytes(packet) for packet in given.demux(source) if packet.size]
        with av.open(file, "w", format=KINDS[name]["container"]) as output:
            stream = output.add_stream_from_template(source)
            length = 60 / len(packets)
            for number in range(round(hours * 60) * len(packets)):
                packet = av.Packet(packets[number % len(packets)])
                packet.stream, packet.time_base = stream, source.time_base
                packet.pts = packet.dts = round(number * length / float(source.time_base))
                output.mux(packet)
    return file.getvalue()


@pytest.mark.parametrize("name", ["mp3", "aac", "ogg-opus"])
def test_an_hour_needs_its_pcm_and_little_more(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hour"
    path.write_bytes(repeated(name, 1.0, layout="mono", **({} if name == "ogg-opus" else {"bit_rate": 32_000})))
    found = measured(path, 12 * 3600)
    assert found["outcome"] == "read"
    assert found["pcm"] == pytest.approx(3600 * SAMPLE_RATE * 2, rel=0.01)
    assert found["grown"] <= found["pcm"] + path.stat().st_size + 60e6


@pytest.mark.parametrize(("name", "hours"), [("flac", 6.0), ("ogg-opus", 6.0)])
def test_a_small_file_that_unpacks_to_hours_is_stopped_at_the_limit(name: str, hours: float, tmp_path: Path) -> None:
    silence = np.zeros((1, 60 * 48_000), np.float32)
    bomb = repeated(name, hours, layout="mono", rate=48_000, signal=silence)
    if name == "flac":  # its header stays silent
        bomb = bomb[:21] + bytes([bomb[21] & 0xF0, 0, 0, 0, 0]) + bomb[26:]
    path = tmp_path / "bomb"
    path.write_bytes(bomb)
    found = measured(path, 600)
    assert found["outcome"] == "audio.too_long"
    assert found["grown"] <= 600 * SAMPLE_RATE * 2 + len(bomb) + 60e6


# --- nothing is reached for ------------------------------------------------------------------------------------------

PLAYLISTS: dict[str, Callable[[str, str], str]] = {
    "hls": lambda url, _: f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "hls-file": lambda _, path: f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{path}\n#EXT-X-ENDLIST\n",
    "concat": lambda url, path: f"ffconcat version 1.0\nfile '{path}'\nfile '{url}/a.mp3'\n",
    "sdp": lambda url, _: "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": lambda url, _: (
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{url}/</BaseURL>'
        "<Period><AdaptationSet><Representation/></AdaptationSet></Period></MPD>"
    ),
    "smil": lambda url, _: f"<smil><body><audio src='{url}/a.mp3'/></body></smil>",
    "m3u": lambda url, _: f"{url}/a.mp3\n",
    "ram": lambda url, _: f"rtsp://{url[7:]}/a.rm\n",
}

TRACED = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append((event, str(args))) if event in ("open", "socket.connect") else None)
from jiyao.audio import decode
from jiyao.errors import AudioError
source = open(sys.argv[1], "rb").read()
del opened[:]
try:
    decode(source)
    print("read")
except AudioError as refused:
    print(refused.key)
print([entry for entry in opened if sys.argv[2] in entry[1] or entry[0] == "socket.connect"])
"""


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_in_disguise_reaches_for_nothing(name: str, tmp_path: Path) -> None:
    bait = tmp_path / "bait.wav"
    if hasattr(os, "mkfifo"):
        os.mkfifo(bait)  # whoever opens it waits for ever
    path = tmp_path / "meeting.mp3"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        path.write_text(PLAYLISTS[name](f"http://127.0.0.1:{listening.getsockname()[1]}", str(bait)))
        command = [sys.executable, "-c", TRACED, str(path), "bait"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
        assert ended.stdout.splitlines() == ["audio.not_audio", "[]"], ended.stderr
        with pytest.raises(TimeoutError):
            listening.accept()


def test_the_guard_is_what_keeps_playlists_out(tmp_path: Path) -> None:
    """Without it the same bytes do reach for the address: the test above sees what it is meant to see."""
    path = tmp_path / "meeting.m3u8"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        path.write_text(PLAYLISTS["hls"](f"http://127.0.0.1:{listening.getsockname()[1]}", ""))
        allowed = {"protocol_whitelist": "file,http,tcp", "extension_picky": "0"}
        code = f"import av; av.open({str(path)!r}, options={allowed!r})"
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as child:
            caller, _ = listening.accept()
            caller.close()
            child.kill()


# --- tidiness --------------------------------------------------------------------------------------------------------


def test_a_generator_left_half_way_closes_what_it_opened() -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        file = io.BytesIO(wav(np.ones(100 * SAMPLE_RATE, np.int16)))
        decoder = Decoder(file)
        blocks = iter(decoder)
        assert len(next(blocks))
        blocks.close()  # type: ignore[attr-defined]
        del blocks, decoder
        gc.collect()
    assert said == []
    assert not file.closed and decode(file).duration_ms == 100_000


def test_a_refused_file_stays_open_for_its_owner_and_can_be_read_again() -> None:
    file = io.BytesIO(wav(np.ones(SAMPLE_RATE, np.int16)))
    for _ in range(2):
        with pytest.raises(AudioError):
            decode(file, max_duration_s=0.5)
    assert decode(file).duration_ms == 1_000
    assert not file.closed


def test_a_decoder_says_what_to_expect() -> None:
    decoder = Decoder(kind("flac", seconds=20.0))
    assert decoder.claimed_s == pytest.approx(20.0)
    assert decoder.expected_samples >= 20 * SAMPLE_RATE
    assert Decoder(kind("aac")).claimed_s is None
    assert Decoder(kind("aac")).expected_samples == 0
    lying = bytearray(kind("flac", seconds=1.0))
    lying[22:26] = (16_000 * 3600 * 11).to_bytes(4, "big")
    assert Decoder(bytes(lying)).expected_samples <= len(lying) * 64  # a lie buys no memory


# --- recordings outside the project ----------------------------------------------------------------------------------

VARIANTS = {
    "dev_standup_44k_stereo.mp3": (103_410, []),
    "dev_standup_48k_stereo.m4a": (103_410, []),
    "dev_standup.opus": (103_410, []),
    "dev_standup_vorbis.ogg": (103_410, []),
    "dev_standup_8k_mulaw.wav": (103_410, []),
    "dev_standup_8k.amr": (103_410, []),
    "dev_standup_96k_24bit_first5s.wav": (5_000, []),
    "dev_standup_video.mp4": (103_410, []),
    "dev_standup_mediarecorder.webm": (103_410, []),
    "dev_standup_truncated60.mp3": (62_000, ["audio.cut_off"]),
    "dev_standup_header_overclaims_first10s.wav": (10_000, ["audio.cut_off"]),
    "silence_3s.wav": (3_000, []),
    "short_0.2s.wav": (200, []),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_made_variants_are_what_their_index_says(name: str) -> None:
    with shared(f"synth/variants/{name}").open("rb") as file:
        recording = decode(file)
    length_ms, warnings_expected = VARIANTS[name]
    assert recording.duration_ms == pytest.approx(length_ms, abs=60)
    assert warned(recording) == warnings_expected
    if length_ms == 103_410:
        with shared("synth/dev_standup.flac").open("rb") as file:
            assert _lag_ms(recording, decode(file)) <= 30


def _lag_ms(one: Recording, other: Recording) -> float:
    """By how much the loudness of one recording comes before or after that of another, looked for up to a second."""
    step = SAMPLE_RATE // 100

    def envelope(recording: Recording) -> np.ndarray[Any, np.dtype[np.float64]]:
        whole = recording.pcm[: 103 * SAMPLE_RATE].astype(np.float64).reshape(-1, step)
        loud = np.log1p(np.abs(whole).mean(axis=1))
        return np.asarray(loud - loud.mean())

    a, b = envelope(one), envelope(other)
    scores = [float(np.dot(a[100 + lag : len(a) - 100 + lag], b[100:-100])) for lag in range(-100, 101)]
    return abs(int(np.argmax(scores)) - 100) * 10.0


def test_made_files_that_are_no_recordings() -> None:
    assert refusal(shared("synth/variants/zero_byte.wav").read_bytes()) == "audio.empty"
    assert refusal(shared("synth/variants/text_renamed.mp3").read_bytes()) == "audio.not_audio"
