"""The readers of single corpora: layouts, irregular names, and the names of complete copies."""

import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from corpus_trees import (
    MELD_HEAD,
    by_id,
    cafe_tree,
    casia_by_emotion_tree,
    casia_tree,
    crema_d_tree,
    emovo_tree,
    esd_tree,
    meld_tree,
    put,
    ravdess_tree,
    read,
    savee_tree,
    shemo_tree,
    subesco_tree,
    tess_tree,
    urdu_tree,
)
from serotone.corpora import CORPORA, check_corpus, read_corpus
from serotone.errors import CorpusError, SerotoneWarning

# Complete copies: the names that each corpus documents, as empty files; a warning fails the test ------------------


def casia_names() -> Iterator[str]:
    speakers = ("liuchanhg", "wangzhe", "zhaoquanyin", "ZhaoZuoxiang")
    emotions = ("angry", "fear", "happy", "neutral", "sad", "surprise")
    yield from (f"{s}/{e}/{n}.wav" for s, e, n in product(speakers, emotions, range(201, 251)))


def crema_d_names() -> Iterator[str]:
    sentences = ("DFA", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI", "IOM")
    shown = ("ANG", "DIS", "FEA", "HAP", "SAD")
    takes = [
        *product(sentences, (*shown, "NEU"), ["XX"]),
        ("IEO", "NEU", "XX"),
        *product(["IEO"], shown, ("LO", "MD", "HI")),
    ]
    absent = {f"{1001 + n}_DFA_{emotion}_XX" for emotion in shown for n in range(3)}
    absent |= {f"{1001 + n}_DFA_NEU_XX" for n in range(5)}  # the original lacks twenty takes
    for actor, take in product(range(1001, 1092), takes):
        if (stem := f"{actor}_{'_'.join(take)}") not in absent:
            yield f"AudioWAV/{stem}.wav"


def savee_names() -> Iterator[str]:
    for speaker, code in product(("DC", "JE", "JK", "KL"), ("a", "d", "f", "h", "n", "sa", "su")):
        yield from (f"AudioData/{speaker}/{code}{n:02d}.wav" for n in range(1, 31 if code == "n" else 16))


def tess_names() -> Iterator[str]:
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    words = ["bite", *(f"w{a}{b}" for a, b in product("abcdefghij", "abcdefghijklmnopqrst"))][:200]
    for speaker, word, emotion in product(("OAF", "YAF"), words, emotions):
        slip = (speaker, word, emotion) == ("OAF", "bite", "neutral")
        yield f"{speaker}_{emotion}/{'OA' if slip else speaker}_{word}_{emotion}.wav"


def emovo_names() -> Iterator[str]:
    emotions = ("dis", "gio", "neu", "pau", "rab", "sor", "tri")
    sentences = [f"{kind}{n}" for kind, count in (("b", 3), ("l", 4), ("n", 5), ("d", 2)) for n in range(1, count + 1)]
    for emotion, speaker, sentence in product(emotions, ("f1", "f2", "f3", "m1", "m2", "m3"), sentences):
        yield f"{speaker}/{emotion}-{speaker}-{sentence}.wav"


def esd_names() -> Iterator[str]:
    emotions = ("Neutral", "Angry", "Happy", "Sad", "Surprise")
    for speaker, (block, emotion), text in product(range(1, 21), enumerate(emotions), range(1, 351)):
        yield f"{speaker:04d}/{emotion}/{speaker:04d}_{350 * block + text:06d}.wav"


URDU_SPEAKERS = {  # clips of each, as the names of the original have them
    "Angry": "SM1 22, SM2 28, SM3 2, SM4 48",
    "Happy": "SF1 12, SF2 2, SF3 2, SF4 4, SF5 4, SF6 14, SF7 6, SF8 2, SM17 2, SM18 2, SM19 2, SM3 2, SM5 8, SM6 10,"
    " SM7 28",
    "Neutral": "SF9 4, SM20 10, SM21 4, SM22 2, SM3 8, SM5 72",
    "Sad": "SF10 2, SF11 4, SM23 6, SM24 38, SM25 40, SM26 2, SM27 4, SM6 4",
}


def urdu_names() -> Iterator[str]:
    for folder, speakers in URDU_SPEAKERS.items():
        clips = [entry.split() for entry in speakers.split(", ")]
        files = [f"{speaker}_F{n}" for speaker, count in clips for n in range(1, int(count) + 1)]
        yield from (f"{folder}/{file}_{folder[0]}0{n}.wav" for n, file in enumerate(files, start=1))


def shemo_names() -> Iterator[str]:
    speakers = [*(f"F{n:02d}" for n in range(1, 32)), *(f"M{n:02d}" for n in range(1, 57))]
    counts = {"A": 1059, "F": 38, "H": 201, "N": 1028, "S": 449, "W": 225}
    for letter, n in ((letter, n) for letter, count in counts.items() for n in range(count)):
        speaker = speakers[n % 87]
        yield f"{'female' if speaker[0] == 'F' else 'male'}/{speaker}{letter}{n // 87 + 1:02d}.wav"


def subesco_names() -> Iterator[str]:
    emotions = ("ANGRY", "DISGUST", "FEAR", "HAPPY", "NEUTRAL", "SAD", "SURPRISE")
    for gender, n, sentence, emotion, take in product("FM", range(1, 11), range(1, 11), emotions, range(1, 6)):
        slip = (gender, n, sentence, emotion, take) == ("F", 2, 2, "SURPRISE", 3)
        yield f"{gender}_{n:02d}_NAME_S_{sentence}_{emotion}_{take}{']' if slip else ''}.wav"


def cafe_names() -> Iterator[str]:
    folders = ("Colère", "Dégoût", "Joie", "Peur", "Surprise", "Tristesse")
    for actor, sentence in product(range(1, 13), range(1, 7)):
        yield f"Neutre/{actor:02d}-N-{sentence}.wav"
        for folder, (level, name) in product(folders, enumerate(("Faible", "Fort"), start=1)):
            yield f"{folder}/{name}/{actor:02d}-{folder[0]}-{level}-{sentence}.wav"


@pytest.mark.parametrize(
    ("name", "names", "total"),
    [
        ("casia", casia_names, 1200),
        ("savee", savee_names, 480),
        ("tess", tess_names, 2800),
        ("emovo", emovo_names, 588),
        ("esd", esd_names, 35000),
        ("urdu", urdu_names, 400),
        ("shemo", shemo_names, 3000),
        ("subesco", subesco_names, 7000),
        ("cafe", cafe_names, 936),
    ],
)
def test_a_complete_copy_is_exactly_official(
    name: str, names: Callable[[], Iterator[str]], total: int, tmp_path: Path
) -> None:
    paths = [tmp_path / path for path in names()]
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        path.touch()
    assert len(read_corpus(name, tmp_path)) == total


def test_a_complete_crema_d_is_exactly_official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sexes = "".join(f"{actor},30,{'Female' if actor % 2 else 'Male'},,\n" for actor in range(1001, 1092))
    put(tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav")
    (tmp_path / "VideoDemographics.csv").write_text(f"ActorID,Age,Sex,Race,Ethnicity\n{sexes}")
    paths = [tmp_path / path for path in crema_d_names()]  # making so many files would take longer than reading them
    monkeypatch.setattr("serotone.corpora.crema_d.audio_files", lambda folder: paths)
    assert len(read_corpus("crema-d", tmp_path)) == 7442


MELD_COUNTS = {  # anger, disgust, fear, joy, neutral, sadness, surprise, as the authors' page has them
    "train": (1109, 271, 268, 1743, 4710, 683, 1205),
    "dev": (153, 22, 40, 163, 470, 111, 150),
    "test": (345, 68, 50, 402, 1256, 208, 281),
}


def whole_meld(root: Path) -> Path:
    """Tables and empty clips of all 13,708 utterances, ten to a dialogue."""
    emotions = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
    folders = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for split, counts in MELD_COUNTS.items():
        (root / folders[split]).mkdir()
        said = [emotion for emotion, count in zip(emotions, counts, strict=True) for _ in range(count)]
        rows = [f"{n},Hi.,Ross,{emotion},neutral,{n // 10},{n % 10},1,1,a,b\n" for n, emotion in enumerate(said)]
        (root / f"{split}_sent_emo.csv").write_text(MELD_HEAD + "".join(rows))
        for n in range(len(rows)):
            (root / folders[split] / f"dia{n // 10}_utt{n % 10}.mp4").touch()
    return root


def test_a_complete_meld_is_exactly_official_but_for_the_clip_that_the_original_lacks(tmp_path: Path) -> None:
    root = whole_meld(tmp_path)
    assert len(read_corpus("meld", root)) == 13708
    (root / "dev_splits_complete" / "dia110_utt7.mp4").unlink()
    with pytest.warns(SerotoneWarning) as caught:
        assert len(read_corpus("meld", root)) == 13707
    missing, gap = [str(w.message) for w in caught]
    assert missing == "meld: left out 1 row (dev/dia110_utt7) without a clip"
    assert "13707 of 13708 utterances; surprised: 1635 of 1636" in gap


# RAVDESS -----------------------------------------------------------------------------------------------------------


def test_ravdess_with_and_without_folders_of_actors(tmp_path: Path) -> None:
    root = ravdess_tree(tmp_path)
    before = [(u.id, u.speaker, u.emotion) for u in read("ravdess", root)]
    assert len(before) == 3
    for path in sorted(root.glob("*/0*")):
        path.rename(root / path.name)  # song and video, too
    assert [(u.id, u.speaker, u.emotion) for u in read("ravdess", root)] == before


# CASIA -------------------------------------------------------------------------------------------------------------


def test_casia_in_both_layouts_is_the_same_corpus(tmp_path: Path) -> None:
    by_speaker = read("casia", casia_tree(tmp_path / "a"))
    by_emotion = read("casia", casia_by_emotion_tree(tmp_path / "b"))
    said = [(u.id, u.speaker, u.emotion, u.sentence, u.gender) for u in by_speaker]
    assert said == [
        ("ZhaoZuoxiang/fear/233", "ZhaoZuoxiang", "fearful", "233", None),
        ("liuchanhg/angry/201", "liuchanhg", "angry", "201", None),
        ("wangzhe/surprise/250", "wangzhe", "surprised", "250", None),
    ]
    assert [(u.id, u.speaker, u.emotion, u.sentence, u.gender) for u in by_emotion] == said


def test_casia_names_what_is_strange_inside_its_folders_only(tmp_path: Path) -> None:
    root = casia_tree(tmp_path)
    assert len(CORPORA["casia"].read(root)) == 3  # strays outside the folders are no warning
    put(root / "wangzhe" / "surprise" / "251.wav")
    with pytest.warns(SerotoneWarning, match=re.escape("left out 1 audio file (251.wav)")):
        assert len(CORPORA["casia"].read(root)) == 3


def test_casia_by_emotion_believes_no_contradiction(tmp_path: Path) -> None:
    root = casia_by_emotion_tree(tmp_path)
    put(root / "angry" / "202-happy-wangzhe.wav")
    with pytest.warns(SerotoneWarning, match="202-happy-wangzhe"):
        assert len(CORPORA["casia"].read(root)) == 3


# CREMA-D ----------------------------------------------------------------------------------------------------------


def test_crema_d_levels_and_genders(tmp_path: Path) -> None:
    found = by_id(read("crema-d", crema_d_tree(tmp_path)))
    assert {name: (u.emotion, u.gender, u.sentence, u.intensity) for name, u in found.items()} == {
        "1001_IEO_ANG_HI": ("angry", "male", "IEO", "high"),
        "1001_IEO_ANG_LO": ("angry", "male", "IEO", "low"),
        "1002_DFA_NEU_XX": ("neutral", "female", "DFA", None),
        "1002_IEO_FEA_MD": ("fearful", "female", "IEO", "medium"),
        "1076_MTI_SAD_X": ("sad", None, "MTI", None),
    }
    assert {u.path.suffix for u in found.values()} == {".wav"}  # AudioMP3 lies beside it


def test_crema_d_names_actors_without_gender(tmp_path: Path) -> None:
    root = crema_d_tree(tmp_path)
    with pytest.warns(SerotoneWarning, match=re.escape("lacks 1 actor (1076)")):
        CORPORA["crema-d"].read(root)
    (root / "VideoDemographics.csv").unlink()
    with pytest.warns(SerotoneWarning, match=re.escape("lacks 3 actors (1001, 1002, 1076)")):
        CORPORA["crema-d"].read(root / "AudioWAV")


def test_crema_d_with_a_foreign_table_is_an_error(tmp_path: Path) -> None:
    root = crema_d_tree(tmp_path)
    (root / "VideoDemographics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CorpusError, match="expected the columns ActorID and Sex"):
        CORPORA["crema-d"].read(root)
    (root / "VideoDemographics.csv").write_bytes(b"ActorID,Sex,Ethnicity\n1001,Male,p\xe9re\n")
    with pytest.raises(CorpusError, match=r"VideoDemographics\.csv: not text in UTF-8: .*; restore the corpus' own"):
        CORPORA["crema-d"].read(root)


def test_crema_d_with_a_folder_for_each_actor(tmp_path: Path) -> None:
    root = crema_d_tree(tmp_path)
    before = {u.id: u.gender for u in read("crema-d", root)}
    for path in sorted((root / "AudioWAV").iterdir()):
        (root / path.name[:4]).mkdir(exist_ok=True)
        path.rename(root / path.name[:4] / path.name)
    (root / "AudioMP3").rename(root / "other")
    assert {u.id: u.gender for u in read("crema-d", root)} == before


# SAVEE, TESS, EMOVO ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["inside", "flat", "below"])
def test_savee_in_each_layout(layout: str, tmp_path: Path) -> None:
    if layout == "flat":
        for stem in ("DC_a01", "DC_sa03", "JE_su15", "KL_n30"):
            put(tmp_path / f"{stem}.wav")
    else:
        savee_tree(tmp_path / "AudioData" if layout == "below" else tmp_path)
    found = CORPORA["savee"].read(tmp_path)
    assert [(u.id, u.emotion, u.speaker, u.sentence, u.gender) for u in found] == [
        ("DC_a01", "angry", "DC", "a01", "male"),
        ("DC_sa03", "sad", "DC", "sa03", "male"),
        ("JE_su15", "surprised", "JE", "su15", "male"),
        ("KL_n30", "neutral", "KL", "n30", "male"),
    ]


@pytest.mark.parametrize("folder", ["as it is", "one", "speaker", "emotion"])
def test_tess_in_each_layout(folder: str, tmp_path: Path) -> None:
    root = tess_tree(tmp_path)
    for path in sorted(root.glob("*/*.wav")) if folder != "as it is" else []:
        speaker, _, emotion = path.stem.split("_")
        inside = root / {"one": "", "speaker": speaker, "emotion": emotion}[folder]
        inside.mkdir(exist_ok=True)
        path.rename(inside / path.name)
    found = CORPORA["tess"].read(root)
    assert [(u.id, u.emotion, u.speaker, u.sentence) for u in found] == [
        ("OAF_back_angry", "angry", "OAF", "back"),
        ("OAF_bite_neutral", "neutral", "OAF", "bite"),
        ("YAF_back_ps", "surprised", "YAF", "back"),
        ("YAF_neat_fear", "fearful", "YAF", "neat"),
    ]
    assert {u.gender for u in found} == {"female"}


def test_tess_aiff_under_the_name_of_wav_is_decoded(tmp_path: Path) -> None:
    root = tess_tree(tmp_path)
    assert (root / "YAF_fear" / "YAF_neat_fear.wav").read_bytes().startswith(b"FORM")
    report = check_corpus("tess", root)
    assert report.unreadable == ()
    assert report.seconds["YAF_neat_fear"] == pytest.approx(6100 / 24414, abs=1e-4)


def test_emovo_names(tmp_path: Path) -> None:
    found = CORPORA["emovo"].read(emovo_tree(tmp_path))
    assert [(u.id, u.emotion, u.speaker, u.gender, u.sentence) for u in found] == [
        ("dis-f1-b1", "disgusted", "f1", "female", "b1"),
        ("gio-f1-l4", "happy", "f1", "female", "l4"),
        ("rab-m3-n5", "angry", "m3", "male", "n5"),
        ("tri-m3-d2", "sad", "m3", "male", "d2"),
    ]


# ESD, URDU, ShEMO, SUBESCO, CaFE ----------------------------------------------------------------------------------


def test_esd_texts_languages_and_splits(tmp_path: Path) -> None:
    found = CORPORA["esd"].read(esd_tree(tmp_path))
    assert [(u.id, u.emotion, u.speaker, u.gender, u.sentence) for u in found] == [
        ("0001_000001", "neutral", "0001", "female", "zh-001"),
        ("0001_000701", "happy", "0001", "female", "zh-001"),  # the same text in another emotion
        ("0015_000355", "angry", "0015", "female", "en-005"),
        ("0020_001401", "surprised", "0020", "male", "en-001"),
        ("0020_001402", "surprised", "0020", "male", "en-002"),
        ("0020_001750", "surprised", "0020", "male", "en-350"),
    ]


def test_esd_believes_no_file_in_the_folder_of_another_speaker(tmp_path: Path) -> None:
    root = esd_tree(tmp_path)
    put(root / "0015" / "Angry" / "0016_000356.wav")
    with pytest.warns(SerotoneWarning, match="0016_000356"):
        assert len(CORPORA["esd"].read(root)) == 6


def test_urdu_with_and_without_folders_of_speakers(tmp_path: Path) -> None:
    found = CORPORA["urdu"].read(urdu_tree(tmp_path))
    assert [(u.id, u.emotion, u.speaker, u.gender) for u in found] == [
        ("SF1_F1_H01", "happy", "SF1", "female"),
        ("SM1_F10_A010", "angry", "SM1", "male"),
        ("SM6_F4_S0100", "sad", "SM6", "male"),
    ]


def test_shemo_with_and_without_folders_of_genders(tmp_path: Path) -> None:
    found = CORPORA["shemo"].read(shemo_tree(tmp_path))
    assert [(u.id, u.emotion, u.speaker, u.gender) for u in found] == [
        ("F01A02", "angry", "F01", "female"),
        ("F01F01", "fearful", "F01", "female"),
        ("M56W01", "surprised", "M56", "male"),
    ]
    for path in sorted(tmp_path.glob("*male/*.wav")):
        path.rename(tmp_path / path.name)
    assert [u.id for u in CORPORA["shemo"].read(tmp_path)] == [u.id for u in found]


def test_subesco_speakers_of_one_number_are_two_people(tmp_path: Path) -> None:
    found = CORPORA["subesco"].read(subesco_tree(tmp_path))
    assert [(u.id, u.emotion, u.speaker, u.gender, u.sentence) for u in found] == [
        ("F_01_OISHI_S_10_ANGRY_1", "angry", "F_01", "female", "10"),
        ("F_02_MONIKA_S_2_SURPRISE_3", "surprised", "F_02", "female", "2"),
        ("M_01_BASHIR_S_4_HAPPY_5", "happy", "M_01", "male", "4"),
    ]


def test_cafe_is_told_by_the_names_of_files(tmp_path: Path) -> None:
    root = cafe_tree(tmp_path)
    put(root / "Neutre" / "02-N-0-4.wav")  # so named elsewhere
    put(root / "Joie" / "02-J-4.wav")  # no intensity
    with pytest.warns(SerotoneWarning, match=re.escape("left out 1 audio file (02-J-4.wav)")):
        found = CORPORA["cafe"].read(root)
    assert [(u.id, u.emotion, u.speaker, u.gender, u.sentence, u.intensity) for u in found] == [
        ("01-C-1-1", "angry", "01", "male", "1", "low"),
        ("02-N-0-4", "neutral", "02", "female", "4", None),
        ("02-N-3", "neutral", "02", "female", "3", None),
        ("12-C-2-6", "angry", "12", "female", "6", "high"),
    ]


# MELD --------------------------------------------------------------------------------------------------------------


def test_meld_keys_on_the_split(tmp_path: Path) -> None:
    found = read("meld", meld_tree(tmp_path))
    assert [(u.id, u.session, u.speaker, u.emotion, u.path.parent.name) for u in found] == [
        ("dev/dia0_utt0", "dev", "Ross", "neutral", "dev_splits_complete"),
        ("test/dia0_utt0", "test", "Rachel", "surprised", "output_repeated_splits_test"),
        ("train/dia0_utt0", "train", "Ross", "angry", "train_splits"),
        ("train/dia0_utt1", "train", "Rachel", "happy", "train_splits"),
    ]


def test_meld_names_rows_without_a_clip(tmp_path: Path) -> None:
    with pytest.warns(SerotoneWarning) as caught:
        CORPORA["meld"].read(meld_tree(tmp_path))
    assert [str(w.message) for w in caught] == ["meld: left out 1 row (dev/dia0_utt1) without a clip"]


def test_meld_with_a_folder_for_each_split(tmp_path: Path) -> None:
    root = meld_tree(tmp_path)
    before = [u.id for u in read("meld", root)]
    for split, folder in (("train", "train_splits"), ("test", "output_repeated_splits_test")):
        (root / split).mkdir()
        (root / folder).rename(root / split / folder)
        (root / f"{split}_sent_emo.csv").rename(root / split / f"{split}_sent_emo.csv")
    assert [u.id for u in read("meld", root)] == before


def test_meld_takes_video_and_prefers_its_sound(tmp_path: Path) -> None:
    root = meld_tree(tmp_path)
    (root / "train_splits" / "dia0_utt1.wav").rename(root / "train_splits" / "dia0_utt1.mp4")  # nothing is decoded
    (root / "train_splits" / "dia0_utt0.wav").rename(root / "train_splits" / "dia0_utt0.mp4")
    put(root / "train_wav" / "dia0_utt0.wav")
    found = by_id(read("meld", root))
    assert found["train/dia0_utt1"].path.suffix == ".mp4"
    assert found["train/dia0_utt0"].path == root / "train_wav" / "dia0_utt0.wav"


def test_meld_without_a_table_or_clips(tmp_path: Path) -> None:
    root = meld_tree(tmp_path)
    (root / "test_sent_emo.csv").unlink()
    with pytest.warns(SerotoneWarning) as caught:
        assert {u.session for u in CORPORA["meld"].read(root)} == {"train", "dev"}
    assert any("no test_sent_emo.csv" in str(w.message) for w in caught)
    for path in root.rglob("*.wav"):
        path.unlink()
    with pytest.raises(CorpusError, match="none of the clips exists"):
        read("meld", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "expected the columns Speaker, Emotion, Dialogue_ID, Utterance_ID, got"),
        (f"{MELD_HEAD}1,Hi.,Ross,bored,neutral,0,0,1,1,a,b\n", "line 2: emotion 'bored' of speaker 'Ross'"),
        (f"{MELD_HEAD}1,Hi.,,joy,neutral,0,0,1,1,a,b\n", "line 2: emotion 'joy' of speaker ''"),
    ],
)
def test_meld_with_a_foreign_table_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    root = meld_tree(tmp_path)
    (root / "dev_sent_emo.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        read("meld", root)


def test_meld_check_counts_rows_and_clips_of_each_split(tmp_path: Path) -> None:
    counts = check_corpus("meld", meld_tree(tmp_path)).to_dict()["counts"]
    assert counts["rows"]["dev"] == {"found": 2, "expected": 1109}
    assert counts["clips"]["dev"] == {"found": 1, "expected": 1109}
    assert counts["clips"]["train"] == {"found": 2, "expected": 9989}
