"""The picture of an answer in README.md: `python tools/readme_picture.py RAVDESS`, a copy of that corpus.

The demo's clips of each actor, in the order neutral, happy, angry, sad, one after the other with pauses of .7 s, as one
recording; `docs/answer.png` is what `serotone predict recording.wav --timeline --plot docs/answer.png` draws of it.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from serotone import audio
from serotone.cli import app
from serotone.cli.demo_clips import find_clips

ORDER = ("neutral", "happy", "angry", "sad")
PAUSE_SECONDS = 0.7
RATE = 16000
OUT = Path(__file__).parent.parent / "docs" / "answer.png"


def main() -> None:
    """Join the clips, print what they are, and let the command line draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ravdess", type=Path, help="a copy of RAVDESS")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    clips = sorted(find_clips(given.ravdess), key=lambda clip: (clip.actor, ORDER.index(clip.emotion)))
    pieces, start = [], 0.0
    for clip in clips:
        assert clip.path is not None
        samples = audio.read(clip.path, sample_rate=RATE).samples
        print(f"{start:6.1f} s  {clip.speaker}: {clip.emotion}")
        pieces += [samples, np.zeros(round(PAUSE_SECONDS * RATE), np.float32)]
        start += len(samples) / RATE + PAUSE_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "recording.wav"
        soundfile.write(recording, np.concatenate(pieces), RATE)
        app(["predict", str(recording), "--timeline", "--plot", str(given.out)])


if __name__ == "__main__":
    main()
