"""Make the clips of this folder again: `python examples/make.py`.

Eight synthetic speakers, 100 to 107, none of whom the shipped bundle heard in training, one clip each. Which emotion
and sentence a speaker says follows from the number alone; nothing was picked by how it is recognised.
"""

from pathlib import Path

from serotone.corpora import synthetic

if __name__ == "__main__":
    synthetic.make_examples(Path(__file__).parent)
