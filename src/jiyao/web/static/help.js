// The list of keys. In: `?`. Out: a dialog.

import { frame, openDialog } from "./dialog.js";
import { el } from "./dom.js";
import { say } from "./say.js";

const MAC = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform ?? "");
const CTRL = MAC ? "⌘" : "Ctrl";

const keys = () => [
  [say("desk.keys_play"), [
    [["Space", "K"], say("desk.key_toggle")],
    [["←", "→"], say("desk.key_step5")],
    [["J", "L"], say("desk.key_step10")],
  ]],
  [say("desk.keys_text"), [
    [[`${CTRL}+F`], say("desk.key_find")],
    [[`${CTRL}+H`], say("desk.key_replace")],
    [[`${CTRL}+Z`], say("desk.key_undo")],
    [[`${CTRL}+Shift+Z`, `${CTRL}+Y`], say("desk.key_redo")],
  ]],
  [say("lines.review"), [
    [["↑", "↓"], say("termsdesk.key_walk")],
    [["Enter"], say("termsdesk.key_accept")],
    [["Space"], say("termsdesk.key_decline")],
    [["E"], say("lines.menu_edit")],
  ]],
  [say("desk.keys_rest"), [
    [[`${CTRL}+S`], say("desk.key_export")],
    [["Esc"], say("desk.key_close")],
    [["?"], say("desk.key_help")],
  ]],
];

export function openHelp() {
  const body = keys().map(([title, rows]) =>
    el("section.jy-keys", null, el("h3", null, title),
      el("dl", null, rows.flatMap(([names, text]) => [
        el("dt", null, names.map((name) => el("kbd", null, name))),
        el("dd", null, text),
      ]))));
  return openDialog(frame({ title: say("desk.keys_title"), body: [...body, el("p.jy-muted.jy-small", null, say("desk.keys_fields"))] }));
}
