"""Where terms come from: lists, documents, named sets that are kept; in both shells; and axe-core at all of it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser import axe, drop, person, wait_done
from tests.desk_server import Server, cut, serving

# the browser's own line about a file that is refused
_REFUSED = re.compile(
    r"Failed to load resource: the server responded with a status of 400 \(Bad Request\).*/api/terms/"
)
_NO_KEY_STORE = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
_LOOKS = (("zh", "light", 1280), ("en", "dark", 390))


@pytest.fixture(scope="module")
def server(starter_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a vault of its own, that a passphrase opens."""
    home = tmp_path_factory.mktemp("home")
    (home / "models").symlink_to(starter_home / "models", target_is_directory=True)
    with serving(home, environment=_NO_KEY_STORE) as one:
        yield one


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    """A document as an office writes it."""
    import docx

    file = tmp_path / "方案评审.docx"
    document = docx.Document()
    document.add_heading("智能客服二期方案")
    document.add_paragraph("项目负责人：王晓雯。架构评审：张建国。")
    for _ in range(3):
        document.add_paragraph("离线评测使用 Llama-3-8B，线上使用 ClickHouse 保存日志，由王晓雯负责灰度发布。")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text = "向量模型"
    table.rows[0].cells[1].text = "BGE-M3"
    document.save(str(file))
    return file


def set_terms(server: Server, terms: str) -> None:
    with server.client() as client:
        client.put("/api/settings", json={"terms": terms}).raise_for_status()


def terms_of(server: Server) -> list[str]:
    found: str = server.get("/api/settings")["terms"]
    return found.splitlines()


def box(page: Page) -> Locator:
    """The box of terms in the panel, which is opened for it."""
    if page.locator("#jy-panel").is_hidden():
        page.locator("[aria-controls=jy-panel]").click()
    return page.locator("jiyao-terms")


def candidate(dialog: Locator, term: str) -> Locator:
    return dialog.get_by_role("listitem").filter(has=dialog.page.locator(".jy-extract-term", has_text=term)).first


def toast(page: Page, text: str) -> Locator:
    return page.locator(".jy-toast").filter(has_text=text)


def test_a_list_in_gbk_is_merged_into_the_box(server: Server, browser: Browser, tmp_path: Path) -> None:
    set_terms(server, "张公→张工\n召回率")
    listed = tmp_path / "术语.csv"
    listed.write_bytes("张公,张工\n现流,限流\n召回率\n灰度发布\n".encode("gbk"))
    with person(browser, server, _REFUSED) as someone:
        page = someone.open()
        with page.expect_file_chooser() as chooser:
            box(page).get_by_role("button", name="导入").click()
        chooser.value.set_files(str(listed))
        expect(toast(page, "读到 4 条，新加入 2 条")).to_be_visible()
        assert terms_of(server) == ["张公→张工", "召回率", "现流→限流", "灰度发布"]
        expect(box(page).get_by_role("textbox", name="术语表")).to_have_value(
            "张公→张工\n召回率\n现流→限流\n灰度发布\n"
        )
        expect(box(page)).to_contain_text("已启用 4 条")
        toast(page, "读到 4 条").get_by_role("button", name="撤销").click()
        expect(box(page)).to_contain_text("已启用 2 条")
        # what is no list says so, and what to do
        (tmp_path / "图.csv").write_bytes(bytes(range(256)) * 8)
        with page.expect_file_chooser() as chooser:
            box(page).get_by_role("button", name="导入").click()
        chooser.value.set_files(str(tmp_path / "图.csv"))
        expect(page.locator(".jy-toast.bad p").nth(1)).to_be_visible()
        assert terms_of(server) == ["张公→张工", "召回率"]


def test_terms_out_of_a_document(server: Server, browser: Browser, plans: Path, tmp_path: Path) -> None:
    set_terms(server, "BGE-M3\n")
    with person(browser, server, _REFUSED) as someone:
        page = someone.open()
        box(page).get_by_role("button", name="从资料提取").click()
        dialog = page.get_by_role("dialog", name="从资料提取")
        with page.expect_file_chooser() as chooser:
            dialog.get_by_role("button", name="选择资料").click()
        chooser.value.set_files(str(plans))
        expect(candidate(dialog, "Llama-3-8B").get_by_role("checkbox")).to_be_checked()
        expect(candidate(dialog, "灰度").get_by_role("checkbox")).not_to_be_checked()
        expect(dialog).to_contain_text("另有 1 个已在术语表里")
        name = candidate(dialog, "王晓雯")
        expect(name).to_contain_text(re.compile(r"名称\s*\d 次"))
        # none, a filter, all of what it leaves
        dialog.get_by_role("button", name="全不选").click()
        expect(dialog.get_by_role("button", name="加入术语表")).to_be_disabled()
        dialog.get_by_role("searchbox", name="筛选").fill("ｌｌａｍａ")  # full-width is the same
        expect(dialog.locator("li:visible")).to_have_count(1)
        dialog.get_by_role("button", name="全选", exact=True).click()
        dialog.get_by_role("searchbox", name="筛选").fill("")
        name.get_by_role("checkbox").check()
        dialog.get_by_role("button", name="加入术语表（2 个）").click()
        expect(dialog).to_be_hidden()
        expect(toast(page, "已加入 2 个术语")).to_be_visible()
        assert sorted(terms_of(server)) == ["BGE-M3", "Llama-3-8B", "王晓雯"]
        # a document dropped onto the page is no recording that fails; a broken one says what is wrong with it
        broken = tmp_path / "坏.docx"
        broken.write_bytes(b"PK\x03\x04" + bytes(200))
        drop(page, [broken, plans])
        expect(dialog.locator(".jy-note.bad")).to_contain_text("坏.docx")
        expect(dialog.locator(".jy-note.bad p").nth(1)).to_be_visible()
        expect(candidate(dialog, "ClickHouse")).to_be_visible()
        assert server.jobs() == [] and page.locator(".jy-uploads li").count() == 0
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()


def test_sets_are_kept_once_keeping_is_on(server: Server, browser: Browser) -> None:
    set_terms(server, "张公→张工\n召回率\n")
    with person(browser, server) as someone:
        page = someone.open()
        box(page).get_by_role("button", name="术语集").click()
        dialog = page.get_by_role("dialog", name="术语集")
        expect(dialog).to_contain_text("需要先打开“保存”")
        dialog.get_by_role("switch", name="加密保存文字").click()
        asked = page.get_by_role("dialog", name="加密保存的口令")
        asked.get_by_label("口令", exact=True).fill("correct horse")
        asked.get_by_label("再输一次").fill("correct horse")
        asked.get_by_role("button", name="设定并开启").click()
        expect(dialog).to_contain_text("还没有保存过术语集")
        dialog.get_by_role("textbox", name="把现在的 2 条术语存为").fill("支付/周会")
        page.keyboard.press("Enter")
        row = dialog.get_by_role("listitem").filter(has_text="支付／周会")
        expect(row).to_contain_text("2 条")
        page.keyboard.press("Escape")
        # another set of the same name replaces it, if that is meant
        set_terms(server, "Kafka\n召回率\n")
        box(page).get_by_role("button", name="术语集").click()
        dialog.get_by_role("textbox").fill("支付／周会")
        page.keyboard.press("Enter")
        page.get_by_role("dialog", name="替换这个术语集？").get_by_role("button", name="取消").click()
        # added to what is there, instead of what is there
        row.get_by_role("button", name="载入").click()
        page.get_by_role("menuitem", name="加到现在的术语表").click()
        expect(dialog).to_be_hidden()
        expect(toast(page, "已加入“支付／周会”，新增 1 条")).to_be_visible()
        assert terms_of(server) == ["Kafka", "召回率", "张公→张工"]
        box(page).get_by_role("button", name="术语集").click()
        row.get_by_role("button", name="载入").click()
        page.get_by_role("menuitem", name="替换现在的术语表").click()
        expect(toast(page, "已换成“支付／周会”")).to_be_visible()
        assert terms_of(server) == ["张公→张工", "召回率"]
        box(page).get_by_role("button", name="术语集").click()
        row.get_by_role("button", name="删除").click()
        page.get_by_role("dialog", name="删除这个术语集？").get_by_role("button", name="删除").click()
        expect(row).to_have_count(0)
        assert terms_of(server) == ["张公→张工", "召回率"]


def test_streamlits_sidebar_opens_the_same(server: Server, browser: Browser) -> None:
    set_terms(server, "召回率\n")
    with person(browser, server) as someone:
        page = someone.open(server.link)
        page.get_by_role("button", name="导入、提取和术语集…").click()
        dialog = page.get_by_role("dialog", name="术语表")
        expect(dialog.get_by_role("textbox", name="术语表")).to_have_value("召回率\n")
        dialog.get_by_role("textbox", name="术语表").fill("召回率\n限流\n")
        expect(dialog).to_contain_text("已启用 2 条")
        for tool in ("导入", "从资料提取", "术语集"):
            expect(dialog.get_by_role("button", name=tool)).to_be_visible()
        axe(page, "streamlit, terms", within="jiyao-desk")
        page.keyboard.press("Escape")
        expect(page.locator("[data-testid=stSidebar]").get_by_role("textbox", name="术语表")).to_have_value(
            "召回率\n限流\n"
        )


# for everybody


@contextlib.contextmanager
def onlookers(browser: Browser, server: Server) -> Iterator[list[Page]]:
    with contextlib.ExitStack() as ends:
        pages = []
        for language, scheme, width in _LOOKS:
            size = {"width": width, "height": 800}
            someone = ends.enter_context(
                person(
                    browser,
                    server,
                    _REFUSED,
                    language=language,
                    color_scheme=scheme,
                    viewport=size,
                    has_touch=width < 800,
                )
            )
            pages.append(someone.open())
        yield pages


def look(pages: list[Page], moment: str) -> None:
    """In both looks, and each in the other's colours."""
    for page, (language, scheme, width) in zip(pages, _LOOKS, strict=True):
        for shown in (scheme, "dark" if scheme == "light" else "light"):
            page.emulate_media(color_scheme="dark" if shown == "dark" else "light")
            axe(page, f"{moment} [{language} {shown} {width}]")
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")


def test_axe_at_proposals_and_the_record(server: Server, browser: Browser, tmp_path: Path) -> None:
    server.empty()
    set_terms(server, "")  # with these terms it would mishear less
    job = server.upload(cut(0, 58, tmp_path / "评审会.wav"))
    assert server.over(job)["state"] == "done"
    set_terms(server, "智能客服\n张工\n召回率\nElasticsearch\n")
    with onlookers(browser, server) as pages:
        for page in pages:
            wait_done(page)
            page.wait_for_function("() => CSS.highlights.get('jiyao-proposed')?.size >= 3")
        look(pages, "marks")
        doubted = next(line["id"] for line in server.lines(job) if line["proposals"])
        for page in pages:
            page.locator(f'.jt-line[data-id="{doubted}"]').focus()
            page.keyboard.press("Shift+F10")
            page.get_by_role("menuitem").filter(has_text="→").first.click()
            expect(page.locator(".jt-pop")).to_be_visible()
        look(pages, "popover")
        for page in pages:
            page.keyboard.press("Escape")
            page.locator(".jy-review").click()
            expect(page.locator(".jt-least")).to_be_visible()
        look(pages, "review")
        pages[0].keyboard.press("Enter")
        for page in pages:
            page.locator(".jt-view[data-view=record]").click()
            expect(page.locator(".jt-review [role=option]")).to_have_count(1)
        look(pages, "record")
        pages[0].locator(".jt-acts button").nth(1).click()
        for page in pages:
            expect(page.locator(".jt-review-none")).to_be_visible()
        look(pages, "empty record")
        for page in pages:
            page.keyboard.press("Escape")
            page.evaluate(
                """() => document.querySelector("jiyao-transcript").learned.offer(
                    { before: "张公", after: "张工", places: 3 })"""
            )
            expect(page.locator(".jy-toast-actions button")).to_have_count(2)
        look(pages, "offer")


def test_axe_at_documents_and_sets(server: Server, browser: Browser, plans: Path, tmp_path: Path) -> None:
    set_terms(server, "召回率\n")
    server.post("/api/keep", {"on": True, "passphrase": "correct horse"})
    with server.client() as client:
        client.put("/api/terms/sets/周会", json={"terms": "召回率"}).raise_for_status()
    broken = tmp_path / "坏.docx"
    broken.write_bytes(b"PK\x03\x04" + bytes(200))
    with onlookers(browser, server) as pages:
        for page in pages:
            box(page).get_by_role("button").nth(1).click()
            expect(page.locator(".jy-extract")).to_be_visible()
        look(pages, "extract, empty")
        for page in pages:
            page.locator(".jy-extract input[type=file]").set_input_files([str(broken), str(plans)])
            expect(page.locator(".jy-extract li").first).to_be_visible()
            expect(page.locator(".jy-extract .jy-note.bad")).to_be_visible()
        look(pages, "extract, candidates")
        for page in pages:
            page.keyboard.press("Escape")
            box(page).get_by_role("button").nth(2).click()
            expect(page.locator(".jy-sets li")).to_have_count(1)
        look(pages, "sets")
        server.post("/api/keep", {"on": False})
        for page in pages:
            page.keyboard.press("Escape")
            box(page).get_by_role("button").nth(2).click()
            expect(page.locator(".jy-sets-closed")).to_be_visible()
        look(pages, "sets, keeping off")
