"""People named in Chinese texts.

By a title behind the name (张工, 周若彤博士), by 小 or 老 before it, by a word for their part before it (负责人：…), or
by being repeated where the dictionary knows no such word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate

from jiyao.glossary import words
from jiyao.glossary.corpus import Tagged, frequency, tagged
from jiyao.glossary.words import HAN

_TWO = "欧阳|上官|司马|诸葛|司徒|东方|皇甫|尉迟|公孙|慕容|令狐|端木|夏侯|轩辕|长孙|宇文|南宫"
# in the order of their frequency (Ministry of Public Security, 2020), without those that are common words first of all
_ONE = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆"
    "范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫雷龙史陶贺毛段郝顾龚邵万覃武钱戴严莫孔向常汤康易乔赖樊殷施洪翁倪俞章鲁葛柯"
    "毕聂齐庞詹岳裴左祝路焦阮申柴耿牛兰关霍纪舒柳卓欧温蓝靳季翟安梅骆尚游辛管蒙柏温米包司凌甘涂丘卜解应庄桂苗尤鲍娄滕牟席阎芦裘祁喻鞠佟邬晏匡缪屈祖胥卞冉岑"
)
_SURNAME = f"(?:{_TWO}|[{_ONE}])"
_TITLES = (
    "总经理|副经理|副总|工程师|董事长|副主任|总监|总裁|董事|经理|老师|博士|教授|主任|律师|法官|院长|校长|部长|处长|科长"
    "|局长|书记|主管|医生|大夫|同学|先生|女士|师傅|老板|工|总|哥|姐"
)
_NO_GIVEN = frozenset("工总哥姐的了和与及等在是为将对把被让请由跟向从到说")  # parts of speech, not of names
_TITLED = re.compile(f"({_SURNAME})([{HAN}]{{0,2}}?)({_TITLES})(?!事务所)")
_FAMILIAR = re.compile(f"[小老阿](?![段万向常易方白金石毛牛包])[{_ONE}]")  # 小段 is a paragraph
_ROLES = (
    "负责人|联系人|主持人|主持|记录人|记录|汇报人|汇报|发言人|参会人员|参会人|参会|与会人员|出席人员|出席|列席|缺席|项目经理|产品经理|"
    "编写人|编写|作者|审核人|审核|审批|撰写|校对|讲者|主讲|主讲人|导师|组长|成员|申请人|被申请人|原告|被告|法定代表人|代理人|委托代理人|"
    "承办律师|经办律师|见证人|证人|签字|经办人|执行人|责任人|对接人|抄送|Owner|owner"
)
_ROLE = re.compile(rf"(?:{_ROLES})[ \u3000]*[：:\t|][ \u3000]*([^\n]{{1,120}})")
_BETWEEN = re.compile(r"[、，,；;/\s|]+|(?<=.)[和与及](?=.)")
_FULL_NAME = re.compile(f"({_SURNAME}[{HAN}]{{1,2}}?)(?:{_TITLES})?(?:[（(].*)?")
_FOREIGN = re.compile(f"[{HAN}]{{1,6}}(?:[·•][{HAN}]{{1,6}})+")
_ORDINARY = 300  # in the 60 million of jieba's dictionary: a word so frequent is no name, whatever stands before it


def by_role(text: str) -> Iterator[str]:
    """Names listed behind a word for what people do."""
    for match in _ROLE.finditer(text):
        for piece in _BETWEEN.split(match[1].strip(" 。.")):
            name = _FULL_NAME.fullmatch(piece)
            if name is None or _is_ordinary(name[1]):
                break
            yield name[1]


def by_title(line: str) -> Iterator[str]:
    """A surname with its title, or the full name before a title."""
    starts, ends = frozenset[int](), frozenset[int]()
    for match in _TITLED.finditer(line):
        starts = starts or _starts(tagged(line, guess=True))  # guesses: 岳律师 is none in 衡岳律师
        ends = ends or frozenset(words.cuts(line))
        surname, given, title = match.groups()
        # in 总结 and 工程 the title is none; in 施工 and 高级 the name is none
        if match.start() not in starts or match.end() not in ends:
            continue
        if given:
            name = surname + given
            if not (_NO_GIVEN & set(given)) and _is_name(name):
                yield name
        elif not words.is_han_word(surname + title) or title in ("经理", "老师", "博士", "教授", "律师"):
            yield surname + title


def by_familiarity(line: str) -> Iterator[str]:
    """小张, 老李: where they stand as a word of their own."""
    if _FAMILIAR.search(line):
        edges = frozenset(words.cuts(line))
        for match in _FAMILIAR.finditer(line):
            if {match.start(), match.end()} <= edges and frequency(match.group()) < _ORDINARY:
                yield match.group()


def called(text: str, outright: bool) -> Iterator[str]:
    """What a person may be called whose name begins this text: 小张, 张工, 周若彤博士; a full name alone only where it
    can be nothing else: `outright`, or no dictionary knows it."""
    if familiar := _FAMILIAR.match(text):
        yield familiar.group()
    if (titled := _TITLED.match(text)) and not _NO_GIVEN & set(titled[2]):
        yield titled.group()
    for length in (3, 2, 4):
        name = text[:length]
        if re.fullmatch(f"{_SURNAME}[{HAN}]{{1,2}}", name) and not _NO_GIVEN & set(name[1:]):
            if (outright and not _is_ordinary(name)) or _is_name(name):
                yield name


def foreign(line: str) -> Iterator[str]:
    """约翰·史密斯, without the words before it."""
    for match in _FOREIGN.finditer(line):
        first, dot, rest = match.group().replace("•", "·").partition("·")
        name = ""
        for word, tag in reversed(tagged(first, guess=True)):
            if name and len(word) > 1 and tag not in ("nr", "nrt", "nrfg", "ns"):
                break
            name = word + name
        yield name + dot + rest


def repeated(lines: Sequence[Tagged], least: int) -> dict[str, int]:
    """Full names that jieba takes for one word by the shape of it, at least so often, and how often."""
    found = Counter(word for line in lines for word, tag in line if len(word) in (2, 3) and _looks_named(word, tag))
    return {name: count for name, count in found.items() if count >= least}


def _starts(line: Tagged) -> frozenset[int]:
    return frozenset(accumulate((len(word) for word, _ in line), initial=0))


def _looks_named(word: str, tag: str) -> bool:
    if re.match(_SURNAME, word) is None or _NO_GIVEN & set(word[1:]):
        return False
    if words.is_han_word(word):
        return tag == "nr" and len(word) == 3 and frequency(word) < _ORDINARY
    return (tag == "nr" or len(word) == 3) and _is_name(word)


def _is_name(word: str) -> bool:
    """No word but a name, and none hidden in it: 华东区 has 华东."""
    if words.is_han_word(word):
        return frequency(word) < _ORDINARY and tagged(word)[0][1] == "nr"
    return len(words.cuts(word)) == len(word) + 1 or re.match(_TWO, word) is not None


def _is_ordinary(name: str) -> bool:
    return frequency(name) >= _ORDINARY
