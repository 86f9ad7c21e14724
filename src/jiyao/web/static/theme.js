// Theme and language before the first paint. A classic script in <head>: a module would come too late and flash.
(() => {
  const stored = (name) => {
    try {
      return localStorage.getItem(name);
    } catch {
      return null; // storage switched off
    }
  };
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const theme = stored("jiyao-theme");
    root.dataset.theme = theme === "light" || theme === "dark" ? theme : dark.matches ? "dark" : "light";
  };
  show();
  dark.addEventListener("change", show);
  window.addEventListener("storage", show);
  const chosen = stored("jiyao-language");
  const chinese = chosen ? chosen === "zh" : !navigator.language || /^zh/i.test(navigator.language);
  root.lang = chinese ? "zh-CN" : "en";
})();
