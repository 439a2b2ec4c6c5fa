"""Small copies of every corpus under its own names, with its traps, made of short tones."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serotone.corpora import Utterance, read_corpus
from serotone.errors import SerotoneWarning

STRAY = b"\x00\x05\x16\x07"  # how the ._ files of another file system begin


def put(path: Path, *, seconds: float = 0.25, frequency: float = 440.0, rate: int = 16000) -> Path:
    """A tone at a path, in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, tone, rate)
    return path


def emodb_tree(root: Path) -> Path:
    for number, stem in enumerate(("03a01Fa", "08b02Wc", "16a07Ld", "12a05Ea")):
        put(root / "wav" / f"{stem}.wav", frequency=200 + number)
    (root / "wav" / "._03a01Fa.wav").write_bytes(b"\x00\x05\x16\x07")
    (root / "wav" / "erkennung.txt").write_text("stray")
    (root / "lablaut").mkdir()
    return root


def ravdess_tree(root: Path) -> Path:
    put(root / "Actor_01" / "03-01-06-01-02-01-01.wav")
    put(root / "Actor_01" / "03-01-02-02-01-02-01.flac", frequency=300)
    put(root / "Actor_12" / "03-01-08-01-01-01-12.wav", frequency=500)
    put(root / "Actor_12" / "03-02-05-01-01-01-12.wav", frequency=600)  # song
    (root / "Actor_12" / "01-01-05-01-01-01-12.mp4").write_bytes(b"video")
    (root / "Actor_12" / "._03-01-08-01-01-01-12.wav").write_bytes(b"stray")
    return root


def nemo_tree(root: Path) -> Path:
    for stem in ("WR0_anger_1", "WR0_happiness_12", "EB0_sadness_3"):
        put(root / "samples" / f"{stem}.wav")
    head = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
    rows = [
        'WR0_anger_1.wav\tanger\tOn rzekł: "Nie.\ton\t        WR0\tmale\t23',  # an unbalanced quote
        "EB0_sadness_3.wav\tsadness\tTak.\ttak\t        EB0\tfemale\t27",
    ]
    (root / "data.tsv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return root


def manifest_file(root: Path) -> Path:
    put(root / "a" / "one.wav")
    put(root / "b" / "two.flac")
    (root / "clips.csv").write_text(
        "Path,emotion,SPEAKER,gender,sentence,note\na/one.wav,Joy,ann,f,s1,x\nb/two.flac,anger,bob,male,,\n"
    )
    return root / "clips.csv"


def folders_tree(root: Path) -> Path:
    put(root / "Anger" / "ann" / "1.wav")
    put(root / "Anger" / "bob" / "1.wav")
    put(root / "pleasant-surprise" / "ann" / "2.flac")
    (root / "docs").mkdir()
    (root / "readme.txt").write_text("stray")
    return root


def synthetic_tree(root: Path) -> Path:
    for stem in ("syn00_angry_00", "syn01_sad_12"):
        put(root / f"{stem}.wav")
    return root


def evaluation(turns: Sequence[tuple[str, str]]) -> str:
    """An evaluation file of IEMOCAP with a bracketed line for each turn and label, and the raters' lines below it."""
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for number, (turn, label) in enumerate(turns):
        lines += [
            f"[{number + 0.29:.4f} - {number + 0.95:.4f}]\t{turn}\t{label}\t[2.5000, 2.5000, 2.5000]",
            "C-E2:\tNeutral;\t()",
            "C-E3:\tNeutral; Other;\t(disbelief)",
            "C-F2:\tNeutral;\t([ang])",
            "A-E3:\tval 3; act 2; dom  2;\t()",
            "A-F1:\tval 3; act 2; dom   ;\t()",
            "",
        ]
    return "\n".join(lines)


IEMOCAP = {
    "Ses01F_impro01": [("F000", "neu"), ("F001", "xxx"), ("M000", "fru"), ("M001", "neu")],
    "Ses01M_impro07": [("F000", "exc"), ("M000", "hap"), ("M001", "xxx")],
    "Ses01F_script02_2": [("M000", "ang"), ("F000", "oth")],
    "Ses03M_impro05a": [("M000", "sad"), ("F000", "sur")],
    "Ses03M_impro05b": [("M000", "sad"), ("F000", "fea")],
    "Ses05M_script01_1b": [("M000", "hap"), ("F000", "exc"), ("F001", "dis")],
}
"""Dialog -> turns and labels of the small IEMOCAP; ``Ses03M_impro05b_M000`` has no sound."""


def iemocap_tree(root: Path) -> Path:
    for dialog, turns in IEMOCAP.items():
        session = root / f"Session{dialog[4]}"
        named = [(f"{dialog}_{token}", label) for token, label in turns]
        folder = session / "dialog" / "EmoEvaluation"
        folder.mkdir(parents=True, exist_ok=True)
        text = evaluation(named).replace("\n", "\r\n" if dialog == "Ses01M_impro07" else "\n")
        (folder / f"{dialog}.txt").write_bytes(text.encode() + b"C-E4:\tOther;\t(p\xe9nible)\n")  # not UTF-8
        (folder / f"._{dialog}.txt").write_bytes(STRAY)
        for sheet in ("Attribute", "Categorical", "Self-evaluation"):  # the same names, other labels
            (folder / sheet).mkdir(exist_ok=True)
            (folder / sheet / f"{dialog}.txt").write_text(evaluation([(turn, "sad") for turn, _ in named]))
        wav = session / "sentences" / "wav" / dialog
        for number, (turn, _) in enumerate(named):
            if turn != "Ses03M_impro05b_M000":
                put(wav / f"{turn}.wav", frequency=200 + 10 * number)
        (wav / f"._{dialog}_F000.wav").write_bytes(STRAY)
        (session / "dialog" / "transcriptions").mkdir(exist_ok=True)
        (session / "dialog" / "transcriptions" / f"{dialog}.txt").write_text(
            f"{dialog}_F000 [000.2900-000.9500]: Excuse me.\n"
        )
        put(session / "dialog" / "wav" / f"{dialog}.wav")  # the whole dialog
    put(root / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_MXX0.wav")
    return root


def casia_tree(root: Path) -> Path:
    put(root / "liuchanhg" / "angry" / "201.wav")
    put(root / "wangzhe" / "surprise" / "250.wav", frequency=300)
    put(root / "ZhaoZuoxiang" / "fear" / "233.wav", frequency=500)
    put(root / "sample.wav")
    put(root / "demo" / "angry" / "201.wav")
    (root / "wangzhe" / "labels.txt").write_text("stray")
    (root / "wangzhe" / "surprise" / "._250.wav").write_bytes(STRAY)
    return root


def casia_by_emotion_tree(root: Path) -> Path:
    put(root / "angry" / "201-angry-liuchanhg.wav")
    put(root / "surprise" / "250-surprise-wangzhe.wav", frequency=300)
    put(root / "fear" / "233-fear-zhaozuoxiang.wav", frequency=500)
    return root


def crema_d_tree(root: Path) -> Path:
    for stem in ("1001_IEO_ANG_HI", "1001_IEO_ANG_LO", "1002_DFA_NEU_XX", "1076_MTI_SAD_X", "1002_IEO_FEA_MD"):
        put(root / "AudioWAV" / f"{stem}.wav")
    put(root / "AudioMP3" / "1001_IEO_ANG_HI.mp3")
    (root / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n1002,21,Female,Caucasian,Not Hispanic\n"
    )
    return root


def savee_tree(root: Path) -> Path:
    for path in ("DC/a01", "DC/sa03", "JE/su15", "KL/n30"):
        put(root / f"{path}.wav", rate=44100)
    (root / "Info.txt").write_text("stray")
    (root / "notes").mkdir()
    return root


def tess_tree(root: Path) -> Path:
    put(root / "OAF_angry" / "OAF_back_angry.wav")
    put(root / "OAF_neutral" / "OA_bite_neutral.wav", frequency=300)
    put(root / "YAF_pleasant_surprised" / "YAF_back_ps.wav", frequency=500)
    (root / "notes").mkdir()
    tone = 0.3 * np.sin(2 * np.pi * 350 * np.arange(6100) / 24414)
    (root / "YAF_fear").mkdir()
    with (root / "YAF_fear" / "YAF_neat_fear.wav").open("wb") as file:
        soundfile.write(file, tone, 24414, format="AIFF")
    return root


def emovo_tree(root: Path) -> Path:
    for path in ("f1/dis-f1-b1", "f1/gio-f1-l4", "m3/rab-m3-n5", "m3/tri-m3-d2"):
        put(root / f"{path}.wav")
    (root / "Documents").mkdir()
    (root / "Documents" / "paper.pdf").write_bytes(b"stray")
    return root


def esd_tree(root: Path) -> Path:
    put(root / "0001" / "Neutral" / "0001_000001.wav")
    put(root / "0001" / "Happy" / "0001_000701.wav", frequency=300)
    put(root / "0015" / "Angry" / "0015_000355.wav", frequency=350)
    for split, number in (("train", 1402), ("evaluation", 1401), ("test", 1750)):
        put(root / "0020" / "Surprise" / split / f"0020_{number:06d}.wav", frequency=number)
    (root / "0015" / "0015.txt").write_text("0015_000355\tThe text.\tAngry\n")
    return root


MELD_HEAD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"


def meld_tree(root: Path) -> Path:
    """Clips as .wav, as the tests decode them; ``dev/dia0_utt1`` is missing."""
    tables = {
        "train": [
            '1,"Oh, no!",Ross,anger,negative,0,0',
            "2,I’m fine,Rachel ,joy,positive,0,1",
        ],
        "dev": ["1,What?,Ross,neutral,neutral,0,0", "2,Hi.,Waiter,fear,negative,0,1"],
        "test": ["1,Hey.,Rachel,Surprise,positive,0,0"],
    }
    for split, rows in tables.items():
        lines = "".join(f'{row},3,19,"00:14:38,127","00:14:40,378"\n' for row in rows)
        (root / f"{split}_sent_emo.csv").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{split}_sent_emo.csv").write_bytes(
            (MELD_HEAD + lines).encode("cp1252")
        )  # not UTF-8, as some rows of the original
    put(root / "train_splits" / "dia0_utt0.wav")
    put(root / "train_splits" / "dia0_utt1.wav", frequency=300)
    put(root / "dev_splits_complete" / "dia0_utt0.wav", frequency=350)
    put(root / "output_repeated_splits_test" / "dia0_utt0.wav", frequency=400)
    put(root / "output_repeated_splits_test" / "final_videos_testdia0_utt0.wav")
    put(root / "output_repeated_splits_test" / "dia9_utt9.wav")
    (root / "output_repeated_splits_test" / "._dia0_utt0.wav").write_bytes(STRAY)
    return root


def urdu_tree(root: Path) -> Path:
    put(root / "Angry" / "SM1_F10_A010.wav")
    put(root / "Happy" / "SF1_F1_H01.wav", frequency=300)
    put(root / "Sad" / "SM6" / "SM6_F4_S0100.wav", frequency=500)
    (root / "README.md").write_text("stray")
    return root


def shemo_tree(root: Path) -> Path:
    put(root / "female" / "F01A02.wav")
    put(root / "female" / "F01F01.wav", frequency=300)
    put(root / "male" / "M56W01.wav", frequency=350)
    (root / "female" / "._F01A02.wav").write_bytes(STRAY)
    (root / "transcript").mkdir()
    (root / "transcript" / "F01A02.ort").write_text("stray")
    return root


def subesco_tree(root: Path) -> Path:
    for stem in ("F_01_OISHI_S_10_ANGRY_1", "M_01_BASHIR_S_4_HAPPY_5", "F_02_MONIKA_S_2_SURPRISE_3]"):
        put(root / f"{stem}.wav")
    (root / "Metadata.txt").write_text("stray")
    return root


def cafe_tree(root: Path) -> Path:
    put(root / "Col\u0160re" / "Faible" / "01-C-1-1.wav")  # as some unpack the folder of colère
    put(root / "Col\u0160re" / "Fort" / "12-C-2-6.wav", frequency=300)
    put(root / "Neutre" / "02-N-3.wav", frequency=350)
    (root / "Readme.txt").write_text("stray")
    return root


AUDFORMAT_HEADER = """\
name: small
source: made for the tests
usage: unrestricted
languages: [eng]
schemes:
  emotion:
    dtype: str
    labels: [anger, happiness, no_agreement]
  speaker:
    dtype: str
    labels:
      ann: {gender: female}
      bob: {gender: male}
  transcription:
    dtype: str
    labels: {a01: The cloth is on the fridge.}
tables:
  emotion:
    type: segmented
    columns:
      emotion: {scheme_id: emotion}
  files:
    type: filewise
    columns:
      speaker: {scheme_id: speaker}
      transcription: {scheme_id: transcription}
"""


def audformat_tree(root: Path) -> Path:
    """A database written by hand; tests that need one are skipped where the library is not installed."""
    pytest.importorskip("audformat", reason="audformat is not installed: pip install 'serotone[audformat]'")
    put(root / "wav" / "one.wav", seconds=3)
    put(root / "wav" / "two.wav")
    (root / "db.yaml").write_text(AUDFORMAT_HEADER)
    (root / "db.emotion.csv").write_text(
        "file,start,end,emotion\n"
        "wav/one.wav,0 days 00:00:00,0 days 00:00:01.500000,anger\n"
        "wav/one.wav,0 days 00:00:01.500000,0 days 00:00:02.250000,happiness\n"
        "wav/one.wav,0 days 00:00:02.250000,0 days 00:00:03,no_agreement\n"
        "wav/two.wav,0 days 00:00:00,,happiness\n"
    )
    (root / "db.files.csv").write_text("file,speaker,transcription\nwav/one.wav,ann,a01\nwav/two.wav,bob,\n")
    return root


TREES: dict[str, Callable[[Path], Path]] = {
    "emodb": emodb_tree,
    "ravdess": ravdess_tree,
    "nemo": nemo_tree,
    "iemocap": iemocap_tree,
    "casia": casia_tree,
    "crema-d": crema_d_tree,
    "savee": savee_tree,
    "tess": tess_tree,
    "emovo": emovo_tree,
    "esd": esd_tree,
    "meld": meld_tree,
    "urdu": urdu_tree,
    "shemo": shemo_tree,
    "subesco": subesco_tree,
    "cafe": cafe_tree,
    "audformat": audformat_tree,
    "manifest": manifest_file,
    "folders": folders_tree,
    "synthetic": synthetic_tree,
}


def read(name: str, root: Path) -> list[Utterance]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SerotoneWarning)
        return read_corpus(name, root)


def by_id(utterances: list[Utterance]) -> dict[str, Utterance]:
    return {u.id: u for u in utterances}
