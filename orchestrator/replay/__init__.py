"""Recordings of a service: what came from outside, written down, and run again at once."""

from orchestrator.replay.codec import RecordingError, decode, encode
from orchestrator.replay.file import RecordingReader
from orchestrator.replay.index import RunRecord
from orchestrator.replay.outside import outside
from orchestrator.replay.play import Player, Replay
from orchestrator.replay.record import ENDING, Recording

__all__ = [
    "ENDING",
    "Player",
    "Recording",
    "RecordingError",
    "RecordingReader",
    "Replay",
    "RunRecord",
    "decode",
    "encode",
    "outside",
]
