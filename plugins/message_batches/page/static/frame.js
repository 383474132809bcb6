// Shared by all pages: Airflow's colours, and links out of the frame that Airflow shows plugin pages in.
"use strict";
(() => {
  const applyTheme = () => {
    let theme = null;
    try {
      theme = localStorage.getItem("theme"); // where Airflow's UI keeps the user's choice
    } catch { /* no storage: the system's choice holds */ }
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  applyTheme();
  window.addEventListener("storage", applyTheme);

  // The frame is sandboxed: it may not lead its parent elsewhere nor open tabs. A link made in the parent may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow]");
    if (!link || window.parent === window) return;
    let outside;
    try {
      outside = window.parent.document;
    } catch {
      return; // framed by a stranger
    }
    event.preventDefault();
    const twin = outside.createElement("a");
    twin.href = link.href;
    const tab = link.target === "_blank" || event.ctrlKey || event.metaKey || event.shiftKey || event.button === 1;
    if (tab) {
      twin.target = "_blank";
      twin.rel = "noopener";
    }
    outside.body.append(twin);
    twin.click();
    twin.remove();
  });
})();
