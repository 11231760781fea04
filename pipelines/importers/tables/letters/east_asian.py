"""Tells the encodings of Japan, Korea and China apart by the letters that a decoding gives."""

import re
import unicodedata
from typing import NamedTuple

# Letters that are frequent in texts and shops of a language. What is decoded by the encoding of
# another language has letters of the same blocks, but hardly these.
HANGUL = """
이다는의에을를가은하고로한지사기서자도인나어그시리과해아대수정부전일들주장보라스상무만제구여적조성소원국계
공동안게모세비신거우생학미있했것및등면관중경용실물연개문화선방체강발회유노트드크레마바타카파오형색량컵간할입출
빨검흰노란파란책상의자식품용품가방신발바지치마머리우유빵물병커피차잔접시주방침대베개이불장난감선물세트행사
냉밥솥청소녹샴푸운동화원피스케이블충폰컴퓨터텀블러매트양말속옷티셔츠향초약쌀김면소스칼팬냄비컬러블랙화이트레드
"""
SIMPLIFIED = """
的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行
所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实日者意无力与长
把机十民第公此已工使情明性知全三又关点正业外将两高间由问最重并物手应向头文体美相见利二等产或新制身果加西
月话合回特代内信表化老给世位次度门常先海通教原东声提立及比水名真处入口条平系气活更别打女变四电数安少太量
建做接场件管市直金指保形便空白光放式色路品类清带男红黄蓝绿黑包鞋衣裤裙杯茶米油盐糖牛奶粉食级套装款童厚棉克
马勺碗盘锅床灯桌椅箱袋帽表饼果肉鱼鸡蛋酒纸笔书玩具车洗护肤香巾毛笔夏季冬春秋
饭煲吸尘器羽绒咖啡连高跟螺丝刀发浴垫跑步宝壳充线耳蓝牙保温钢儿童婴脑键鼠屏显眼镜首饰戒项链内裙袜冰箱扇调净化
"""
TRADITIONAL = """
的一是不了人我在有他這為之大來以個中上們到說國和地也子時道出而要於就下得可你年生自會那後能對著事其裡所去行
過家十用發天如然作方成者多日都三小軍二無同麼經法當起與好看學進種將還分此心前面又定見只主沒公從知全兩長想
實現使明性已正高關點開問很重新物力外工間意被文美相體機平動理電色紅黃藍綠黑白馬克杯湯匙包鞋衣褲裙茶米油鹽糖
牛奶粉食品級套裝款男女童棉碗盤鍋床燈桌椅箱袋帽錶餅果肉魚雞蛋酒紙筆書玩具車洗護膚香巾毛夏季冬春秋
飯煲吸塵器羽絨咖啡連跟螺絲刀髮浴墊跑步寶殼充線耳藍牙保溫鋼兒嬰腦鍵鼠屏顯眼鏡首飾戒項鍊內襪冰扇調淨精
"""
KANA = "".join(map(chr, (*range(0x3041, 0x3097), *range(0x30A1, 0x30FD))))
KANA_LETTERS = frozenset(KANA)
SMALL = frozenset(bytes([code]) for code in b"abcdefghijklmnopqrstuvwxyz")
MOST_SMALL = 0.6  # of the letters whose second byte is that of a small Latin one
SURE = 0.6  # of the score of a text all of whose letters are frequent
LEAST = 0.35  # where no encoding of single bytes is plausible
AHEAD = 0.1  # of the next best, for a text to be believed


class Language(NamedTuple):
    """The letters of a language: those that are frequent, and the block of the others."""

    frequent: frozenset[str]
    block: str  # the beginning of the names that Unicode gives to letters


KOREAN = Language(frozenset(HANGUL), "HANGUL SYLLABLE")
LANGUAGES = {
    "shift_jis": Language(frozenset(KANA), "CJK UNIFIED"),
    "euc_jp": Language(frozenset(KANA), "CJK UNIFIED"),
    "cp949": KOREAN,
    "gb18030": Language(frozenset(SIMPLIFIED) | frozenset(TRADITIONAL), "CJK UNIFIED"),
    "big5": Language(frozenset(TRADITIONAL), "CJK UNIFIED"),
}
# The standard that sorts letters by how usual they are, and the last lead byte of the usual ones:
# GB 2312 level 1, Big5 level 1, JIS X 0208 level 1.
USUAL = {
    "gb18030": ("gb2312", 0xD7),
    "big5": ("big5", 0xC6),
    "shift_jis": ("euc_jp", 0xCF),
    "euc_jp": ("euc_jp", 0xCF),
}
RUN = re.compile(r"(?P<before>(?<=[A-Za-z]))?[^\x00-\x7f]+(?P<after>(?=[a-z]))?")
SIGNS = frozenset("®©™×°") | frozenset(map(chr, range(128)))  # which no language tells
ASCII_SECOND = ("shift_jis", "big5")
CODECS = {"shift_jis": "cp932", "big5": "cp950"}  # the same with the letters of Windows


def east_asian(sample: bytes, least: float, *, in_runs: bool) -> str:
    """Return the encoding of a text in Japanese, Korean or Chinese; "" where none is plausible.

    Each decoding is scored by its letters, from 0 to 1; the best must have `least`, and be ahead
    of the next one. Where bytes beyond ASCII do not stand `in_runs`, only encodings count whose
    second byte may be of ASCII.
    """
    names = LANGUAGES if in_runs else ASCII_SECOND
    scores = dict.fromkeys(LANGUAGES, 0.0) | {name: _score(name, sample) for name in names}
    first, second = sorted(scores, key=lambda name: -scores[name])[:2]
    ahead = scores[first] - scores[second] >= AHEAD
    return first if scores[first] >= least and ahead else ""


def _score(name: str, sample: bytes) -> float:
    """Return the share of letters that are frequent; the block's others count half or less."""
    codec = CODECS.get(name, name)
    try:
        text = sample.decode(codec)
    except UnicodeDecodeError:
        return 0.0
    letters = [c for c in text if _counts(c)]
    if not letters:
        return 0.0
    if name == "euc_jp" and KANA_LETTERS.isdisjoint(letters):
        return 0.0  # as rare as the same bytes are frequent for a text in Chinese
    small = sum(letter.encode(codec)[1:] in SMALL for letter in letters)
    if small > MOST_SMALL * len(letters):
        return 0.0  # accents before small letters: one in six letters is written so
    language = LANGUAGES[name]
    worth = sum(_worth_of_run(run, language, name) for run in RUN.finditer(text))
    return max(worth / len(letters), 0.0)


def _counts(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LCS" and letter not in SIGNS


def _worth_of_run(run: re.Match[str], language: Language, name: str) -> float:
    """Return what some letters that stand together are worth; one alone is worth nothing.

    Within a Latin word, with its letters on both sides, they are letters of another encoding.
    """
    letters = [c for c in run[0] if _counts(c)]
    if run["before"] is not None and run["after"] is not None:
        return -1.0 * len(letters)
    worth = sum(_worth(letter, language, name) for letter in letters)
    return worth if len(letters) > 1 else min(worth, 0.0)


def _worth(letter: str, language: Language, name: str) -> float:
    if letter in language.frequent:
        return 1.0
    if not unicodedata.name(letter, "").startswith(language.block) or letter >= "\uf900":
        return -1.0
    return 0.5 if _is_usual(letter, name) else 0.3


def _is_usual(letter: str, name: str) -> bool:
    """Return whether a standard has a letter among its usual ones."""
    if name not in USUAL:
        return True  # of Hangul all are
    codec, last = USUAL[name]
    try:
        return letter.encode(codec)[0] <= last
    except UnicodeEncodeError:
        return False
