"""Any recording a person may have → int16 PCM, mono, 16 kHz, in memory.

In:  bytes or a seekable binary file: WAV, MP3, FLAC, M4A/AAC, OGG, WebM, MP4/MOV, WMA, AMR, AIFF, … of any rate,
     width and channel count. The name does not matter, the content decides.
Out: blocks of `Pcm` while decoding (bounded memory), or one `Recording`; and notes on what was noticed.
Knows nothing of: speech, models, files on disk.

    recording  the values: Recording, Note, and the buffer that PCM grows in
    headers    containers and what they promise: which are opened, how long they say they are, where they break off
    mixing     frames of any rate and layout → mono at 16 kHz
    decoder    the loop: packets, frames, gaps, damage

Decoding is PyAV's (FFmpeg's libraries inside the wheel).
"""

from jiyao.audio.decoder import Decoder, decode
from jiyao.audio.recording import Note, PcmBuffer, Recording

__all__ = ["Decoder", "Note", "PcmBuffer", "Recording", "decode"]
