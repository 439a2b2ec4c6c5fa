"""Make the clips of this folder again: `python examples/make.py`.

Eight synthetic speakers, 100 to 107, none of whom the shipped bundle heard in training, one clip each. Which emotion
and sentence a speaker says follows from the number alone; nothing was picked by how it is recognised.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from serotone.corpora import synthetic
from serotone.corpora.voice import EMOTIONS

FIRST_SPEAKER = 100
CLIPS = 8


def main() -> None:
    """Write the eight clips beside this file."""
    here = Path(__file__).parent
    with TemporaryDirectory() as folder:
        for number in range(CLIPS):
            speaker, emotion = FIRST_SPEAKER + number, EMOTIONS[number % len(EMOTIONS)]
            synthetic.make(Path(folder), speakers=1, first_speaker=speaker, seed=0, sentences=2)
            name = f"syn{speaker}_{emotion}_01.wav"
            (here / name).write_bytes((Path(folder) / name).read_bytes())


if __name__ == "__main__":
    main()
