"""jiyao 纪要: meeting recordings become editable, sourced minutes on the user's own computer.

The data's way, from the ground up (README shows the same list; a test keeps the two equal):
timeline, messages, errors, text, settings, weights; audio, segmentation, recognition, engines, guards, glossary,
transcript, exports, pipeline; console, cli. A module imports only from rows above its own.
"""

__version__ = "0.1.0"
