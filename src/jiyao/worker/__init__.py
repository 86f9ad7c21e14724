"""The child processes that hear and read: media and documents are parsed, speech is recognised there, and nowhere else.

    messages   what travels over the pipe, both ways
    parent     Worker: starts the child, asks it, notices when it is lost
    reading    a document's text, by a child that lives for it alone; `reader` is that child's side
    diarizing  who speaks when, by a child beside the worker; `diarizer` is that child's side
    spawning   how a child is started
    entry      the child's first steps: tied to its parent's life, sealed; imports nothing heavy before
    child      the service itself: load, listen, recognise

Import from the submodules. This file imports nothing: it is imported before the child is sealed, and numpy starts
threads.
"""
