"""The queue of recordings: admitted, read into memory, recognised by a worker that may die; the job does not.

In:  files or bytes with options. Out: events, snapshots, transcripts, as they grow.

    service    Jobs: what doors ask for
    texts      what a person does to texts
    incoming   a recording on its way into shared memory
    events     what happens, numbered, and those who listen
    job        what is known of one recording
    views      what others see of a job
    board      all jobs and their texts, under one lock
    runner     the one thread that works through the queue
    crew       the worker: which engine, started, kept, started again
    voices     who speaks, by a child beside the worker
    faults     what to do after a loss: again, smaller, skip, the next engine
    keeping    finished clips to the vault, and what need not be recognised again from it
    pace       speed and time left
    scrubbing  freed text is overwritten

"Recognise again" makes a new version: each clip shows its old text until its new one is there; the old ones stay, and
can be shown again, until the job is removed. Nothing is on the disk unless there is a vault.
"""

from __future__ import annotations

from jiyao.jobs.events import (
    ENDED,
    Advanced,
    Announced,
    Change,
    ClipHeard,
    ClipSkipped,
    EngineLoading,
    EngineReady,
    EngineTrouble,
    Event,
    LinesChanged,
    Listened,
    Listener,
    Missed,
    Noticed,
    Queued,
    Removed,
    State,
    StateChanged,
    TakenOver,
    TellingApart,
    Wiped,
    WorkerRestarted,
)
from jiyao.jobs.incoming import Incoming
from jiyao.jobs.job import ClipView, JobView
from jiyao.jobs.service import Jobs

__all__ = [
    "ENDED",
    "Advanced",
    "Announced",
    "Change",
    "ClipHeard",
    "ClipSkipped",
    "ClipView",
    "EngineLoading",
    "EngineReady",
    "EngineTrouble",
    "Event",
    "Incoming",
    "JobView",
    "Jobs",
    "LinesChanged",
    "Listened",
    "Listener",
    "Missed",
    "Noticed",
    "Queued",
    "Removed",
    "State",
    "StateChanged",
    "TakenOver",
    "TellingApart",
    "Wiped",
    "WorkerRestarted",
]
