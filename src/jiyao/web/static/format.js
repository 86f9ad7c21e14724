// Numbers as people read them. In: ms, bytes, ratios. Out: strings in the current language.

import { language, say } from "./say.js";

const MINUTE = 60_000;

/** 3723000 → "1:02:03", 123000 → "2:03". */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const rest = String(seconds % 60).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

/** 3723000 → "1小时2分3秒" / "1 h 2 min 3 s". */
export function spoken(ms) {
  const all = Math.max(0, Math.floor(ms / 1000)); // as `clock` does: the player shows the same length
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  if (hours) return say("desk.length_hours", { hours, minutes, seconds });
  return minutes ? say("desk.length_minutes", { minutes, seconds }) : say("desk.length_seconds", { seconds });
}

/** What is left, no more exact than it is known: "不到 1 分钟", "约 12 分钟", "约 1 小时 20 分". */
export function roughly(ms) {
  if (ms < MINUTE) return say("desk.left_moment");
  if (ms < 10 * MINUTE) return say("desk.left_minutes", { minutes: Math.ceil(ms / MINUTE) });
  const minutes = Math.ceil(ms / MINUTE / 5) * 5;
  if (minutes < 60) return say("desk.left_minutes", { minutes });
  return say("desk.left_hours", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** Done of total in one unit, so that the two compare at a glance. */
export function doneOf(doneMs, totalMs) {
  if (totalMs < 2 * MINUTE) {
    return say("desk.done_seconds", { done: Math.floor(doneMs / 1000), total: Math.round(totalMs / 1000) });
  }
  const minutes = (ms) => (ms < 10 * MINUTE ? decimal(ms / MINUTE, 1) : decimal(ms / MINUTE, 0));
  return say("desk.done_minutes", { done: minutes(doneMs), total: minutes(totalMs) });
}

export function decimal(number, digits) {
  return number.toLocaleString(language() === "zh" ? "zh-CN" : "en", {
    minimumFractionDigits: 0,
    maximumFractionDigits: digits,
  });
}

/** 1564928088 → "1.6 GB". Decimal units, as shops and download pages count. */
export function bytes(count) {
  if (count >= 1e9) return `${decimal(count / 1e9, 1)} GB`;
  if (count >= 1e6) return `${decimal(count / 1e6, count < 1e7 ? 1 : 0)} MB`;
  return count ? `${decimal(count / 1e3, 0)} KB` : "0 MB";
}

/** How fast, against real time. Slower than real time is said as what a minute costs. */
export function pace(speed) {
  if (speed >= 1) return say("desk.speed_times", { times: decimal(speed, speed < 10 ? 1 : 0) });
  return say("desk.speed_slow", { minutes: decimal(1 / speed, 1) });
}

export function day(ms) {
  return new Date(ms).toLocaleString(language() === "zh" ? "zh-CN" : "en", {
    dateStyle: "medium",
    timeStyle: "short",
  });
}

