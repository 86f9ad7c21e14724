"""Candidates for terms, out of whole documents: what a person would tick is there, early, and little else.

The texts are made, as such documents are; they are packed and read as the real ones would be. The first three were in
sight while the numbers were set; `trial` had its list before anything had been found in it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from jiyao import documents
from jiyao.glossary import parse
from jiyao.glossary.harvest import MAX_CANDIDATES, Candidate, harvest
from tests.documents import docx, pdf, pptx

TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "golden" / "terms").iterdir()}

# what a person would tick in each, and what one might: neither wanted nor wrong
WANTED = {
    "deck": (
        "周若彤 陈思远 欧阳明 张工 李总 小王 星河智联 智能工单助手 青禾医疗 远帆物流 海棠零售 BGE-M3 "
        "bge-reranker-v2 top-k BM25 RRF GPT-4o Qwen2.5-72B Llama-3-8B vLLM LangGraph Milvus Faiss 等保三级测评 "
        "灰度发布 向量检索 重排序 私有化部署 令牌桶 字段映射 GitLab"
    ),
    "memo": (
        "沈维钧 顾雨晴 方达铭 刘总 方律师 郭宏图 云杉新能 澜海资本 青松基金 恒拓电子 SPA SHA IPO HKIAC Whitmore "
        "CN114-8823 对赌条款 股权代持 竞业限制 随售权 优先认购权 共管账户 交割先决条件 尽职调查 "
        "拖售权 一票否决权 股权还原 反垄断申报"
    ),
    "notes": (
        "孟嘉怡 罗启明 老郑 Priya AISHELL-4 AliMeeting Whisper-large-v3 Qwen3-ASR CER DER RTF CTC Zipformer "
        "Conformer SpecAugment EEND-EDA TCPGen Okafor pyannote 伪标签 浅融合 上下文偏置 说话人日志 重叠语音 "
        "热词增强 联合训练 int8 闽南语"
    ),
    "plant": (
        "郝建明 林若溪 韩工 孔总监 老涂 MES AGV OEE S7-1500 SAP BOM InfluxDB PPAP SLA MSA CPK Cognex Grafana "
        "Kepware 蓝穹机器人 物料主数据清洗 橘皮缺陷 追溯码 烘房 8D"
    ),
    "trial": (
        "秦知夏 邹景云 裴教授 老庄 瑞岚生物 安衡医药 RL-207 CRO CRA ORR DCR PFS RECIST SAE PD-L1 22C3 TPS IDMC EDC CRF "
        "IWRS NONMEM 肌酐清除率 免疫相关不良事件 期中分析 盲态审核会议 群体药代动力学模型 伦理委员会"
    ),
}
FINE = {
    "deck": "H100 A100 推理成本 检索链路",
    "memo": "创始股东 交易对价 Langford",
    "notes": "误触发",
    "plant": "OPC",
    "trial": "PASS",
}
PHRASES = {  # with spaces in them
    "deck": ["KV Cache"],
    "memo": ["Term Sheet", "Conditions Precedent", "Langford Partners", "Hong Kong"],
    "notes": ["Priya Raman"],
    "plant": ["OPC UA", "OPC DA", "Fleet Manager 3.2"],
    "trial": ["Lena Hoffmann", "Medidata Rave"],
}


def packed(name: str) -> bytes:
    lines = TEXTS[name].splitlines()
    if name == "deck":
        return pptx([(lines[at], lines[at + 1 : at + 7]) for at in range(0, len(lines), 7)])
    if name == "memo":
        return docx(lines)
    return pdf([lines]) if name == "plant" else TEXTS[name].encode()


@pytest.fixture(scope="module")
def found() -> dict[str, list[Candidate]]:
    return {name: harvest([documents.read(packed(name)).text]) for name in WANTED}


@pytest.mark.parametrize("name", list(WANTED))
def test_what_a_person_would_tick_is_found(name: str, found: dict[str, list[Candidate]]) -> None:
    terms = {candidate.term for candidate in found[name]}
    missed = [term for term in WANTED[name].split() if term not in terms]
    assert len(missed) <= len(WANTED[name].split()) // 10, missed


@pytest.mark.parametrize("name", list(WANTED))
def test_little_else_is_found(name: str, found: dict[str, list[Candidate]]) -> None:
    right = {*WANTED[name].split(), *FINE[name].split(), *PHRASES[name]}
    junk = [candidate.term for candidate in found[name] if candidate.term not in right]
    assert len(junk) <= len(found[name]) // 10, junk
    assert not [term for term in junk if term in [candidate.term for candidate in found[name][:15]]]


def test_people_come_first_with_their_kinds_and_examples(found: dict[str, list[Candidate]]) -> None:
    first = found["memo"][0]
    assert first == Candidate("沈维钧", 4, "name", "…）科技有限公司，法定代表人：沈维钧。")
    kinds = {candidate.term: candidate.kind for candidate in found["deck"]}
    assert [kinds[term] for term in ("张工", "vLLM", "Llama-3-8B", "灰度发布")] == [
        "name",
        "latin",
        "mixed",
        "compound",
    ]
    for candidate in (one for some in found.values() for one in some):
        assert candidate.term in candidate.example and len(candidate.example) <= len(candidate.term) + 30
        assert "\n" not in candidate.example and candidate.count >= 1


def test_candidates_are_lines_of_a_terms_file(found: dict[str, list[Candidate]]) -> None:
    for some in found.values():
        terms = [candidate.term for candidate in some]
        assert list(parse("\n".join(terms)).terms) == terms


def test_the_same_in_every_process() -> None:
    code = "import sys; from jiyao.glossary.harvest import harvest; print(harvest([sys.stdin.read()]))"
    runs = {
        subprocess.run(
            [sys.executable, "-X", "utf8", "-c", code], input=TEXTS["deck"].encode(), capture_output=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


# small things


def terms(*lines: str) -> list[str]:
    return [candidate.term for candidate in harvest(lines)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("张工说可以", ["张工"]),
        ("张总结了一下，施工方案由高级工程师和项目经理写", []),
        ("周若彤博士来了", ["周若彤"]),
        ("华东区总监没有来", []),
        ("欧阳老师", ["欧阳老师"]),
        ("小王和老李商量", ["小王", "老李"]),
        ("每小时一次，老师在小区，小段文字", []),
        ("参会人员：王芳、李建国，陈思远", ["王芳", "李建国", "陈思远"]),
        ("负责人：待定", []),
        ("译者约翰·史密斯", ["约翰·史密斯"]),
    ],
)
def test_people(line: str, expected: Sequence[str]) -> None:
    assert sorted(terms(line)) == sorted(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("用 Llama-3-8B 和 GPT-4o", ["Llama-3-8B", "GPT-4o"]),
        ("换成 Llama 3 8B", ["Llama 3 8B"]),
        ("延迟 30ms，占 8GB，2025Q3，v1.2，Q3 完成，OK", []),
        ("The team agreed to work on the next release of the product this week.", []),
        ("The team at Zyntara agreed to work on the GraphQL gateway with Maria Delgado this week.",
         ["GraphQL", "Zyntara", "Maria Delgado"]),
        ("见 https://example.org/Foo-Bar 或写信给 a.b@Example.org，文件是 Report_v2.docx", []),
        ("long-term, well-known, end-to-end 的方案", []),
        ("发 A股 公告，A股 涨了", ["A股"]),
        ("Ｋａｆｋａ 集群", ["Kafka"]),
        ("C++ 和 Node.js", ["C++", "Node.js"]),
    ],
)  # fmt: skip
def test_latin(line: str, expected: Sequence[str]) -> None:
    assert sorted(terms(line)) == sorted(expected)


def test_forms_of_one_term_are_one_candidate() -> None:
    [only] = harvest(["用 BGE-M3", "换 bge-m3", "测 BGE M3", "BGE-M3"])
    assert (only.term, only.count) == ("BGE-M3", 4)


def test_ordinary_meetings_have_few() -> None:
    lines = [
        f"第{n}次会议讨论了项目进展和下一步工作计划，大家提出了很多问题和建议，需要进一步完善方案。" for n in range(30)
    ]
    assert terms(*lines) == []


def test_nothing_at_all() -> None:
    assert harvest([]) == harvest(["", " \n"]) == []


def test_long_texts_take_seconds_and_give_no_more_than_can_be_ticked() -> None:
    text = "\n".join(
        f"{TEXTS['deck']}\n{TEXTS['memo']}\n型号 XK-{n}，由代号 PRJ{n} 的小组负责"
        for n in range(documents.MAX_CHARACTERS // 2100)
    )
    began = time.monotonic()
    assert len(harvest([text])) == MAX_CANDIDATES
    assert time.monotonic() - began < 60  # 3 s on a quiet computer
