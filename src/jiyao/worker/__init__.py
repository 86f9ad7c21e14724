"""The child process that hears: media parsing, voice detection, engines and aligners run there, and nowhere else.

    messages   what travels over the pipe, both ways
    parent     Worker: starts the child, asks it, notices when it is lost
    entry      the child's first steps: tied to its parent's life, sealed; imports nothing heavy before
    child      the service itself: load, listen, recognise

Import from the submodules. This file imports nothing: it is imported before the child is sealed, and numpy starts
threads.
"""
