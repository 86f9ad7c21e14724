"""Compounds of Chinese words that a text repeats and that ordinary Chinese does not have: 灰度发布, 尽职调查.

Stretches of two to five words of jieba's that look like a noun phrase (Justeson and Katz, Natural Language Engineering
1995), held together more than chance does: pointwise mutual information at the weakest cut (Church and Hanks,
Computational Linguistics 1990), in varied surroundings: branching entropy on both sides (Jin and Tanaka-Ishii, ACL
2006), no mere piece of a longer one (in the spirit of the C-value: Frantzi, Ananiadou and Mima, IJDL 2000), and said
far more often than the dictionary's corpus lets one expect. Rare words of the dictionary count as well.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from jiyao.glossary.corpus import Tagged, frequency, surprise_bits
from jiyao.text import is_han

_LEAST_LETTERS, _MOST_LETTERS, _MOST_WORDS = 2, 10, 5
_LEAST_PMI = 3.0  # bits; in a short text all that there can be
_LEAST_BITS = 22.5  # how much more often than ordinary Chinese, by the words' own frequencies
_LEAST_ENTROPY = 0.5  # bits: two different neighbours, or the edge of a line
_RARE = 40  # in the corpus: a word of the dictionary that few texts have
_OFTEN = 500  # in the corpus: with a part of speech that ties, a word that does
_PIECE_SHARE = 0.67  # of a longer compound's occurrences

_NOUNS = ("n", "vn", "an", "j", "l", "i", "nr", "ns", "nt", "nz", "ng", "nrt", "k", "x", "s")
# words that tie others together, and no part of a term
_TIES = frozenset("u uj ul uz ug ud uv p c d r m q t f y e o w".split())
_TYING = frozenset(
    "的了是在和与及或就都而且也又还我你他她它们这那此其该各某每之以于为被把将让使由从向到给并则即若如但可会要应须所很更最已仅只再均系称"
)
# they tie too, but beside another single character they may begin or end a word that jieba does not know: 对赌, 等保
_MAY_TIE = frozenset("能对等随上中下前后内外不无有按经据因至同")
_SUFFIXES = (
    "率器库度性化端层链池量值表网图券款案所院局部组法权税费金期卡机板线站车船站点群集团群类型态流域源页键栈树书函章证"
)
# words of every meeting: with one another they make no term, and these verbs neither begin nor end one
_GENERIC_VERBS = frozenset(
    "完成 进行 需要 推进 落实 讨论 确认 提供 提出 支持 负责 参与 使用 增加 减少 提高 提升 降低 包括 存在 发现 "
    "得到 达到 超过 低于 高于 表明 表示 认为 采用 选择 开始 结束 继续 保持 避免 导致 明确 准备 应当 可以 必须 "
    "能够 约定 规定 根据 按照 依据 形成 建立 跟进 要求 建议 希望 充满 没有 成为 属于 分别 共同".split()
)
_GENERIC = _GENERIC_VERBS | frozenset(
    "项目 工作 进展 问题 情况 计划 方案 公司 时间 内容 方面 部分 阶段 目标 结果 需求 团队 部门 会议 本周 下周 "
    "上周 本月 下月 今天 明天 目前 当前 主要 重点 重要 关键 相关 下一步 优化 调整 改进 处理 解决 分析 研究 设计 "
    "开发 实现 建设 管理 服务 系统 平台 模块 功能 数据 信息 材料 文件 资料 文档 报告 表 说明 意见 事项 安排 汇报 "
    "总结 风险 影响 原因 措施 效果 质量 成本 费用 金额 数量 比例 标准 规则 流程 步骤 方法 方式 能力 水平 经验 "
    "人员 用户 客户 双方 一方 对方 各方 版本 整体 全部 其他 以上 以下 之间 之后 之前 期间 范围 程度 基础 环境 "
    "资源 条件 过程 结论 背景 概述 附件 附录 日期 地点 主题 记录 本次 上次 下次 每周 每月 测试 验证 上线 发布 "
    "实验 指标 技术 业务 产品 市场 一致 组织 沟通 协调 更新 修改 补充 检查 评估 对比 比较 应用 运行 操作 新 旧 大 "
    "小 好 多 少 高 低 人 个 次 对应 合理 有效 及时 正式 初步 最终 具体 一般 一次 二期 一期 责任人 负责人 我方 "
    "我们 他们 节点 周期 状态 类别 类型 名称 编号 备注 序号 单位 作者 样本 任务 线上 线下 内部 外部 现场 上午 "
    "下午 晚上 结构 模式 机制 策略 体系 架构".split()
)


@dataclass
class _Stretch:
    """What is known of one stretch of words."""

    words: tuple[str, ...]
    count: int = 0
    left: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    is_phrase: bool = False
    is_led: bool = False  # by a verb of its own: 收购云杉新能

    @property
    def text(self) -> str:
        return "".join(self.words)


def compounds(lines: Sequence[Tagged], least: int) -> list[tuple[str, int, float]]:
    """(compound, how often, how telling: bits above the least) for all that occur at least so often."""
    counts: Counter[str] = Counter(word for line in lines for word, _ in line if _is_word(word))
    total = counts.total() or 1
    found = [stretch for stretch in _stretches(lines, counts, least).values() if stretch.count >= least]
    by_words = {stretch.words: stretch.count for stretch in found} | {(word,): n for word, n in counts.items()}
    telling: list[tuple[_Stretch, float]] = []
    for stretch in found:
        bits = _bits(stretch, total)
        if stretch.is_phrase and bits >= _LEAST_BITS and _holds(stretch, by_words, total) and _is_free(stretch):
            telling.append((stretch, bits - _LEAST_BITS))
    kept = _without_pieces(telling)
    rare = [
        (word, n, surprise_bits(word) + math.log2(n) - _LEAST_BITS)
        for word, n in counts.items()
        if n >= least + (len(word) == 2)
        and len(word) >= _LEAST_LETTERS
        and 0 < frequency(word) <= _RARE
        and word not in _GENERIC
    ]
    tags = {word: tag for line in lines for word, tag in line}
    return kept + [(word, n, bits) for word, n, bits in rare if tags[word] in _NOUNS or tags[word] == "v"]


def _stretches(lines: Sequence[Tagged], counts: Counter[str], least: int) -> dict[tuple[str, ...], _Stretch]:
    found: dict[tuple[str, ...], _Stretch] = {}
    for line in lines:
        for start in range(len(line)):
            letters = 0
            for end in range(start + 1, min(len(line), start + _MOST_WORDS) + 1):
                word = line[end - 1][0]
                letters += len(word)
                if letters > _MOST_LETTERS or not _is_word(word) or counts[word] < least:
                    break
                if end - start < 2:
                    continue
                key = tuple(word for word, _ in line[start:end])
                stretch = found.get(key)
                if stretch is None:
                    stretch = found[key] = _Stretch(
                        key, is_phrase=_is_phrase(line[start:end]), is_led=line[start][1] == "v"
                    )
                stretch.count += 1
                stretch.left[_neighbour(line, start - 1, stretch.count)] += 1
                stretch.right[_neighbour(line, end, stretch.count)] += 1
    return found


def _neighbour(line: Tagged, place: int, count: int) -> str:
    """The word there. An edge of the line, a mark, 的 and the like bind nothing: they count as another each time."""
    word = line[place][0] if 0 <= place < len(line) else ""
    return word if word and _is_word(word) and word not in _TYING else f"{word}{count}"


def _is_word(word: str) -> bool:
    return all(map(is_han, word))


def _is_phrase(stretch: Tagged) -> bool:
    """Ends as a noun does, holds nothing but nouns, verbs and adjectives, and says something."""
    (first, _), (last, last_tag) = stretch[0], stretch[-1]
    if all(word in _GENERIC for word, _ in stretch) or {first, last} & _GENERIC_VERBS:
        return False
    singles = [len(word) == 1 for word, _ in stretch]
    unknown = singles[-2] and singles[-1]  # two single characters on end: what jieba does not know
    if not (last_tag in _NOUNS or last in _SUFFIXES or unknown or (last_tag in ("v", "a") and len(last) > 1)):
        return False
    if stretch[0][1] in ("m", "q") or (stretch[0][1] == "v" and singles[0] and not singles[1]):  # 套书, 接订单接口
        return False
    for place, (word, tag) in enumerate(stretch):
        beside = singles[max(0, place - 1) : place] + singles[place + 1 : place + 2]
        if word in _TYING or (word in _MAY_TIE and not any(beside)):
            return False
        if tag in _TIES and not singles[place] and frequency(word) > _OFTEN:
            return False
    return True


def _bits(stretch: _Stretch, total: int) -> float:
    """Pointwise: log2 of the share here over the share that the words' own frequencies let expect."""
    expected = sum(surprise_bits(word) for word in stretch.words)
    return math.log2(stretch.count / total) + min(expected, 60.0)


def _holds(stretch: _Stretch, counts: dict[tuple[str, ...], int], total: int) -> bool:
    parts = stretch.words
    least = min(_LEAST_PMI, math.log2(total / stretch.count))
    for cut in range(1, len(parts)):
        left, right = counts.get(parts[:cut]), counts.get(parts[cut:])
        if left and right and math.log2(stretch.count * total / (left * right)) < least:
            return False
    return True


def _is_free(stretch: _Stretch) -> bool:
    return min(_entropy(stretch.left), _entropy(stretch.right)) >= _LEAST_ENTROPY


def _entropy(neighbours: Counter[str]) -> float:
    total = neighbours.total()
    return -sum(n / total * math.log2(n / total) for n in neighbours.values())


def _without_pieces(found: list[tuple[_Stretch, float]]) -> list[tuple[str, int, float]]:
    """Without pieces that mostly stand in longer ones, and without ordinary words round a term."""
    inside: defaultdict[tuple[str, ...], int] = defaultdict(int)
    kept: list[tuple[str, int, float]] = []
    by_words = {stretch.words: stretch.count for stretch, _ in found}
    for stretch, bits in sorted(found, key=lambda one: -len(one[0].words)):
        wordy = any(
            part in by_words and all(word in _GENERIC for word in rest) for part, rest in _splits(stretch.words)
        )
        led = stretch.is_led and len(stretch.words[0]) > 1 and stretch.words[1:] in by_words
        if wordy or led or inside[stretch.words] > _PIECE_SHARE * stretch.count:
            continue
        kept.append((stretch.text, stretch.count, bits))
        for part, _ in _splits(stretch.words):
            inside[part] += stretch.count
    return kept


def _splits(words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Every piece of at least two words, and what is round it."""
    for start in range(len(words)):
        for end in range(start + 2, len(words) + 1):
            if end - start < len(words):
                yield words[start:end], words[:start] + words[end:]
