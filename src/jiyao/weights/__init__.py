"""Model weights: what exists (weights.toml), where it stands on this computer, how it gets there.

A model is right when its bytes match; where they came from does not matter. `locate` is what engines call: it never
touches the network and never returns a folder that an interruption or an edit left behind. `fetch` is the only code
of jiyao allowed on the network; it runs in a process of its own, never while audio is loaded (DESIGN section 3).

    catalogue   weights.toml as values: Model, ModelFile, the kinds of Source
    store       folders, manifest, locate, status, remove
    prepared    things made once from fetched weights; verify over both
    transfer    HTTP: reachability, resumable downloads
    packages    what comes inside an archive or a Python package
    fetching    sources in turn, one lock a model, atomic installation
"""

from jiyao.weights.catalogue import (
    ArchiveSource,
    FileSource,
    InstalledSource,
    Job,
    ManualSource,
    Model,
    ModelFile,
    PackageSource,
    Source,
    catalogue,
    find_model,
    parse_catalogue,
)
from jiyao.weights.fetching import FetchProgress, fetch, reachable
from jiyao.weights.prepared import prepare, prepared, verify
from jiyao.weights.store import FileCheck, Status, Verdict, is_present, locate, remove, status
from jiyao.weights.transfer import Limits

__all__ = [
    "ArchiveSource",
    "FetchProgress",
    "FileCheck",
    "FileSource",
    "InstalledSource",
    "Job",
    "Limits",
    "ManualSource",
    "Model",
    "ModelFile",
    "PackageSource",
    "Source",
    "Status",
    "Verdict",
    "catalogue",
    "fetch",
    "find_model",
    "is_present",
    "locate",
    "parse_catalogue",
    "prepare",
    "prepared",
    "reachable",
    "remove",
    "status",
    "verify",
]
