# SPDX-License-Identifier: ISC
"""Messages in many languages and charsets, the same for each seed, with what a reader sees in them; and the search
that needs no index: all texts of all messages, folded, one after the other."""

import base64
import functools
import quopri
import random
import re
import unicodedata

KOREAN = ("회의 일정 안내 드립니다 가나다 각각 나 을 참석 여부 회신 부탁 감사합니다 서울 보고서 첨부 확인 사업 계획 내일 오전 "
          "프로젝트 진행 상황 공유 예산 검토 요청 담당자 변경 값 꽃 닭 힘").split()
JAPANESE = "会議 のお知らせ 東京 カタカナ ひらがな 資料 確認 お願いします 明日 表示 能力 報告書 予定 です".split()
CHINESE = "会议 通知 北京 安排 如下 报告 明天 请 确认 参加 附件 项目".split()
TRADITIONAL = "會議 通知 台北 許功蓋 如下 報告 明天 請 確認 附件 專案".split()
ARABIC = "اجتماع يوم الاثنين تقرير في المدينة مرحبا شكرا المشروع غدا".split()
RUSSIAN = "Встреча завтра УТРОМ в Москве отчёт и я Проект бюджет".split()
GERMAN = "Grüße über Straße Ärger ÀÉÎ ñandú Größe façade naïve Übung".split()
ENGLISH = "meeting agenda Monday report a I invoice project budget the and x Zürich-free 42 re fwd".split()
COMBINED = [unicodedata.normalize("NFD", w) for w in ["Étude", "vượt", "Việt", "회의", "한글", "Ångström", "naïve", "が", "パ"]]
MIXED = KOREAN[:6] + ENGLISH[:6] + ["😀", "ﬁn", "fin", "ΣΑΣ", "ας", "Ǆ", "ǆ", "①", "STRASSE", "straße", "Ｆｕｌｌ", "full", "ﾊﾝｶｸ", "ハンカク",
                                    "ﾊﾟ", "パ", "ıİ", "ſee", "Åå\u212b", "㎏", "ㅎㅏㄴ", "ㄳ", "\u00a0", "Ⅷ", "𝐀𝐛", "ᾳᾼ", "ŉ"] + COMBINED[:3]

# label, Python's codec, transfer encoding, words
KINDS = [
    ("euc-kr", "euc_kr", "base64", KOREAN),
    ("ks_c_5601-1987", "cp949", "8bit", KOREAN),
    ("utf-8", "utf-8", "base64", KOREAN + ENGLISH),
    ("utf-8", "utf-8", "quoted-printable", MIXED),
    ("utf-8", "utf-8", "8bit", COMBINED + ENGLISH),
    ("iso-2022-jp", "iso2022_jp", "7bit", JAPANESE),
    ("shift_jis", "shift_jis", "base64", JAPANESE),
    ("gb2312", "gb2312", "base64", CHINESE),
    ("big5", "big5", "quoted-printable", TRADITIONAL),
    ("windows-1256", "cp1256", "quoted-printable", ARABIC),
    ("koi8-r", "koi8_r", "8bit", RUSSIAN),
    ("iso-8859-1", "latin_1", "quoted-printable", GERMAN),
    ("us-ascii", "ascii", "7bit", [w for w in ENGLISH if w.isascii()]),
]


JAMO = re.compile("[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?|[\uac00-\ud7a3][\u11a8-\u11c2]")


@functools.lru_cache(None)
def fold_one(c):
    """What a character becomes under i;unicode-casemap (RFC 5051 2), syllables of Hangul being left whole."""
    if "\uac00" <= c <= "\ud7a3":
        return c
    # One that has more than one character as its title case has none in UnicodeData.txt.
    title = c.title() if len(c.title()) == 1 else c
    parts = [p for p in unicodedata.decomposition(title).split() if not p.startswith("<")]
    return "".join(map(decompose, (chr(int(p, 16)) for p in parts))) if parts else title


def decompose(c):
    if "\uac00" <= c <= "\ud7a3":
        return c
    parts = [p for p in unicodedata.decomposition(c).split() if not p.startswith("<")]
    return "".join(map(decompose, (chr(int(p, 16)) for p in parts))) if parts else c


def fold(text):
    """As SEARCH compares (RFC 5255 4.2)."""
    return JAMO.sub(lambda m: unicodedata.normalize("NFC", m.group()), "".join(map(fold_one, text)))


class Message:
    """octets, and what is in them: fields as (name, value), texts of bodies, names and headers of parts."""

    def __init__(self):
        self.octets, self.fields, self.bodies, self.extras = b"", [], [], []
        self.date = None

    def finish(self):
        self.header = fold("".join(f"{name}: {value}\r\n" for name, value in self.fields))
        self.by_name = {}
        for name, value in self.fields:
            self.by_name.setdefault(name.lower(), []).append(fold(value))
        self.bodies = [fold(b) for b in self.bodies]
        self.extras = [fold(e) for e in self.extras]
        return self

    def matches(self, key, text):
        """key: BODY, TEXT, or a field's name; text as folded."""
        if key == "BODY":
            return any(text in b for b in self.bodies)
        if key == "TEXT":
            return text in self.header or any(text in t for t in self.bodies + self.extras)
        return any(text in v for v in self.by_name.get(key.lower(), ()))


class Generator:
    def __init__(self, seed, lines=(1, 8)):
        self.random = random.Random(seed)
        self.lines = lines
        self.count = 0

    def words(self, pool, most=9):
        return " ".join(self.random.choice(pool) for _ in range(self.random.randint(1, most)))

    def text(self, pool):
        return "".join(self.words(pool) + "\r\n" for _ in range(self.random.randint(*self.lines)))

    def encoded_word(self, text, label, codec):
        """Words short enough for RFC 2047; a charset with states is whole in each."""
        if text.isascii():
            return text
        parts = []
        for word in self.split(text, 9):
            octets = word.encode(codec)
            if label == "iso-8859-1":
                q = "".join(chr(c) if chr(c).isalnum() and c < 128 else f"={c:02X}" for c in octets)
                parts.append(f"=?{label}?Q?{q}?=")
            else:
                parts.append(f"=?{label}?B?{base64.b64encode(octets).decode()}?=")
        return "\r\n ".join(parts)

    @staticmethod
    def split(text, n):
        return [text[i:i + n] for i in range(0, len(text), n)]

    def part(self, message, kind):
        label, codec, transfer, pool = kind
        text = self.text(pool)
        octets = text.encode(codec)
        message.bodies.append(text)
        if transfer == "base64":
            octets = base64.encodebytes(octets).replace(b"\n", b"\r\n")
        elif transfer == "quoted-printable":
            octets = quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        fields = [("Content-Type", f"text/plain; charset={label}"), ("Content-Transfer-Encoding", transfer)]
        return fields, octets

    def message(self):
        m, i = Message(), self.count
        self.count += 1
        kind = self.random.choice(KINDS)
        subject_kind = kind if kind[2] != "8bit" or kind[1] == "utf-8" else KINDS[0]
        label, codec, _, pool = subject_kind
        subject = self.words(pool, 5)
        name = self.words(pool, 2)
        sender = f"user{self.random.randint(1, 40)}@example{self.random.randint(1, 5)}.test"
        m.date = 1 + self.random.randrange(28)
        visible = [
            ("From", f"{self.encoded_word(name, label, codec)} <{sender}>", f"{name} <{sender}>"),
            ("To", "user1@example.test", None),
            ("Subject", self.encoded_word(subject, label, codec), subject),
            ("Date", f"{m.date} Nov 2026 {i % 24:02}:{i % 60:02}:00 +0900", None),
            ("Message-ID", f"<{i}@polyglot.test>", None),
            ("MIME-Version", "1.0", None),
        ]
        if i % 11 == 0:
            visible.append(("X-Rare", "Seldom Seen", None))
        if i % 4:
            fields, body = self.part(m, kind)
        else:
            fields, body = self.multipart(m, kind)
        visible += [(n, v, None) for n, v in fields]
        header = "".join(f"{n}: {raw}\r\n" for n, raw, _ in visible)
        m.fields = [(n, decoded if decoded is not None else raw) for n, raw, decoded in visible]
        m.octets = header.encode() + b"\r\n" + body
        return m.finish()

    def multipart(self, m, kind):
        mark = f"=-{self.count}-mark"
        body = b""
        for n, one in enumerate([kind, self.random.choice(KINDS)]):
            fields, octets = self.part(m, one)
            # The line end before the boundary belongs to it.
            m.bodies[-1] = m.bodies[-1][:-2] if one[2] != "base64" else m.bodies[-1]
            if one[2] == "base64":
                octets += b"\r\n"
            if n == 1:
                name = f"{self.random.choice(ENGLISH)}-{self.count}.txt"
                fields.append(("Content-Disposition", f"attachment; filename={name}"))
                m.extras.append(name)
            header = "".join(f"{k}: {v}\r\n" for k, v in fields)
            m.extras.append(header)
            body += f"--{mark}\r\n{header}\r\n".encode() + octets
        return [("Content-Type", f"multipart/mixed; boundary=\"{mark}\"")], body + f"--{mark}--\r\n".encode()


class Asker:
    """Keys for messages: words of one to six characters, mostly out of one of them, and some of none."""

    def __init__(self, seed, messages):
        self.random = random.Random(seed)
        self.messages = messages

    def text(self):
        r = self.random
        if r.random() < 0.08:
            return r.choice(["없는말", "zzqx", "힣", "ж", "q", "ۓ", "回回"])
        m = r.choice(self.messages)
        source = r.choice(m.bodies + [v for _, v in m.fields][:3])
        n = r.randint(1, 6)
        at = r.randrange(max(len(source) - n, 1))
        return source[at:at + n].split("\r")[0].split("\n")[0].strip() or "a"

    def key(self):
        r = self.random
        return r.choice(["BODY", "BODY", "BODY", "TEXT", "TEXT", "SUBJECT", "FROM", "X-Rare", "Content-Type"]), self.text()

    def expected(self, key, text):
        text = fold(text)
        return [n for n, m in enumerate(self.messages, 1) if m.matches(key, text)]
