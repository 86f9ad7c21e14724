// The probe of bench.desk, in every page before its own scripts. Moments are ms since 1970.

window.bench = (() => {
  const now = () => performance.timeOrigin + performance.now();
  const painted = () => new Promise((resolve) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(now());
    channel.port2.postMessage(0);
  }));
  // a moment at which `found()` is true after a change of the document: [seen, painted]
  const first = (found) => new Promise((resolve) => {
    const look = () => {
      if (!found()) return false;
      const seen = now();
      painted().then((at) => resolve([seen, at]));
      return true;
    };
    if (look()) return;
    const watch = new MutationObserver(() => look() && watch.disconnect());
    watch.observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
  });
  const hasText = () => Boolean(document.querySelector(".jt-line .jt-text")?.textContent);
  // when each line's element first holds text, by id, or its text changes
  const lines = new Map();
  const followLines = () => new MutationObserver((records) => {
    const at = now();
    for (const { target, addedNodes } of records) {
      const roots = [...addedNodes].filter((node) => node.nodeType === 1);
      const line = (target.nodeType === 1 ? target : target.parentElement)?.closest?.(".jt-line");
      for (const each of [line, ...roots.flatMap((root) => [root, ...root.querySelectorAll(".jt-line")])]) {
        if (each?.dataset?.id && !lines.has(each.dataset.id)) lines.set(each.dataset.id, at);
      }
    }
  }).observe(document, { childList: true, subtree: true, characterData: true });
  const tasks = [];
  new PerformanceObserver((list) => {
    tasks.push(...list.getEntries().map((entry) => entry.duration));
  }).observe({ type: "longtask" });
  let deltas = null;
  const startFrames = () => {
    deltas = [];
    tasks.length = 0;
    let last = performance.now();
    const step = () => {
      if (!deltas) return;
      const at = performance.now();
      deltas.push(at - last);
      last = at;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  };
  const stopFrames = () => {
    const found = { deltas, tasks: [...tasks] };
    deltas = null;
    return found;
  };
  const keys = [];
  addEventListener("keydown", (event) => {
    const pressed = event.timeStamp;
    painted().then((at) => keys.push(at - performance.timeOrigin - pressed));
  }, true);
  // 1970 by the system's clock, against the page's own: the page's runs on from when it was opened
  const skew = () => {
    let least = Infinity;
    for (const until = performance.now() + 30; performance.now() < until;) least = Math.min(least, now() - Date.now());
    return least;
  };
  const arrived = (path) => {
    const entry = performance.getEntriesByType("resource").filter((each) => each.name.endsWith(path)).at(-1);
    if (!entry) return null;
    const { requestStart, responseEnd, decodedBodySize } = entry;
    return { at: performance.timeOrigin + responseEnd, took: responseEnd - requestStart, bytes: decodedBodySize };
  };
  return { now, painted, first, hasText, lines, followLines, startFrames, stopFrames, keys, skew, arrived };
})();
