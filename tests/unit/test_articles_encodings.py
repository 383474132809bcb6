"""Texts that are not UTF-8: what is guessed reads them letter by letter, and what comes later too."""

from __future__ import annotations

from pathlib import Path

import pytest
from upath import UPath

from nightpress.articles.reader import iter_articles
from nightpress.articles.text_encoding import detect_encoding
from nightpress.errors import InputError

# fmt: off
TEXTS = {
    "German": ("Die Straße ist frei, die Züge fahren wieder über die Brücke, ärgerlich für Jürgen, schön.",
               "cp1252 latin-1 iso8859-15 mac_roman"),
    "French": ("Le café, fermé depuis l'été, a rouvert; la fête dérange déjà près de l'église.", "cp1252 latin-1"),
    "Spanish": ("El niño comió en la mañana, después salió al jardín con su abuelo y su tío.", "cp1252 iso8859-15"),
    "Turkish": ("Şiddetli yağış İstanbul'da yaşamı olumsuz etkiledi, ulaşım güçlükle sağlanıyor.", "cp1254 iso8859-9"),
    "Polish": ("Zażółć gęślą jaźń, wczoraj padał śnieg, dziś świeci słońce.", "cp1250 iso8859-2"),
    "Czech": ("Příliš žluťoučký kůň úpěl ďábelské ódy, včera sněžilo.", "cp1250 iso8859-2"),
    "Russian": ("Вчера весь день шёл дождь, сегодня светит солнце.", "cp1251 koi8-r iso8859-5 cp866"),
    "Greek": ("Χθες έβρεχε όλη μέρα, σήμερα έχει ήλιο.", "cp1253 iso8859-7"),
    "Hebrew": ("אתמול ירד גשם כל היום, היום זורחת השמש", "cp1255"),
    "Thai": ("เมื่อวานฝนตกทั้งวัน วันนี้แดดออก", "cp874"),
    "Korean": ("어제는 하루 종일 비가 왔고 오늘은 해가 났다.", "cp949 euc-kr"),
    "Japanese": ("昨日は一日中雨が降り、今日は晴れた。", "cp932 euc-jp shift_jis"),
    "Chinese": ("昨天下了一整天的雨，今天出太阳了。", "gb18030 gbk gb2312"),
    "Traditional Chinese": ("昨天下了一整天的雨，今天出太陽了。", "big5"),
}
# fmt: on


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(text, name) for text, names in TEXTS.values() for name in names.split()],
    ids=lambda value: value if value.isascii() and len(value) < 12 else "",
)
def test_a_guess_reads_what_was_written(text: str, encoding: str) -> None:
    for times in (1, 30):
        data = f"{text}\n".encode(encoding) * times
        found = detect_encoding(data, whole=True, file="a.txt")
        assert data.decode(found.name) == f"{text}\n" * times
        assert "guess" in found.doubt


@pytest.mark.parametrize(
    ("text", "later", "encoding"),
    [
        (
            "Die Straße ist frei, die Züge fahren wieder über die Brücke. ",
            "Es kostet 3 € – „viel“.",
            "cp1252",
        ),
        ("Le café, fermé depuis l'été, a rouvert; la fête dérange. ", "L’œuvre coûte 3 €.", "cp1252"),
        ("昨天下了一整天的雨，今天出太阳了。", "镕喆堃", "gb18030"),
        ("昨日は一日中雨が降り、今日は晴れた。", "髙橋さんは①番", "cp932"),
    ],
)
def test_what_the_sample_did_not_show_is_read_too(
    text: str, later: str, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'id,content\n1,"{text * 12_000}"\n2,"{later}"\n', encoding=encoding)
    assert path.stat().st_size > 256 * 1024
    found = [row.content for row in iter_articles(UPath(path)) if hasattr(row, "content")]
    assert found == [text * 12_000, later]


@pytest.mark.parametrize("times", [1, 30])
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café naïve “quoted” – déjà vu €5", "cp1252"),
        ("The café’s naïve “owner” said déjà vu – €5. ", "cp1252"),
        ("café naïve déjà vu üöä", "cp850"),
        ("café naïve déjà vu üöä", "mac_roman"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy; žába čte", "cp1250"),
    ],
)
def test_no_guess_puts_letters_of_another_alphabet_into_words(text: str, encoding: str, times: int) -> None:
    data = f"{text}\n".encode(encoding) * times
    try:
        found = detect_encoding(data, whole=True, file="a.csv")
    except InputError as error:
        assert "encoding=" in str(error)
    else:
        assert data.decode(found.name) == f"{text}\n" * times


@pytest.mark.parametrize("times", [1, 30])
def test_english_with_typographic_quotes_only_is_cp1252(times: int) -> None:
    text = "It’s what he said – “don’t” and “won’t”… They’re here.\n" * times
    found = detect_encoding(text.encode("cp1252"), whole=True, file="a.txt")
    assert (found.name, "guess" in found.doubt) == ("cp1252", True)


def test_a_refused_guess_is_named_in_the_message() -> None:
    text = (
        "ה-iPhone. השתמשו בGoogle ובFacebook ולTwitter, מYouTube לInstagram. הWhatsApp שלי לא עובד היום בבית."
    )
    with pytest.raises(InputError, match="may be windows-1255 or cp1252"):
        detect_encoding(text.encode("cp1255"), whole=True, file="a.txt")
