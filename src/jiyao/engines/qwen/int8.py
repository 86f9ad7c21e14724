"""A checkpoint made ready for the CPU once: its networks as int8 graphs on disk. `weights.prepared` keeps the result.

In:  a Qwen3-ASR or forced aligner folder of either layout. Out: encoder.xml/.bin and decoder.xml/.bin.
Half the checkpoint's size, and loaded in a second instead of being converted for a minute at every start. The token
embeddings stay in the checkpoint: a clip needs a few hundred of its 151,936 rows.
"""

from __future__ import annotations

from pathlib import Path

from jiyao.engines.qwen import graph
from jiyao.engines.qwen.checkpoint import Checkpoint
from jiyao.engines.qwen.openvino_runtime import import_openvino

KIND = "openvino-int8"
VERSION = 1
"""Of the recipe: raised whenever `graph` changes what is computed; what was made before is then made anew."""

ENCODER, DECODER = "encoder.xml", "decoder.xml"


def build(checkpoint_folder: Path, target: Path) -> None:
    """Write the graphs into `target`. Peak memory about 2 GB for 0.6B. Raises EngineError when the folder is no such
    checkpoint, OSError when the disk is full."""
    openvino = import_openvino()
    checkpoint = Checkpoint.open(checkpoint_folder)
    text = graph.aligner if checkpoint.shape.num_labels else graph.decoder
    for make, name in ((graph.encoder, ENCODER), (text, DECODER)):
        model = make(checkpoint.shape, checkpoint.tensor)
        # compress_to_fp16 would round what is not int8: biases, norms and scales, for next to nothing
        openvino.save_model(model, target / name, compress_to_fp16=False)
        _require_whole(target / name)


def _require_whole(path: Path) -> None:
    """OpenVINO writes through C++ streams and says nothing of a full disk: the graph must be readable again."""
    openvino = import_openvino()
    try:
        openvino.Core().read_model(path)
    except RuntimeError as cause:
        raise OSError(28, f"{path.name} was not written whole") from cause
