/* What scrolls sideways can be reached by keyboard and has a name; the theme's own controls get the names they lack. */
(function () {
  "use strict";

  const SCROLLING = "pre, figure, figure > .output, .cell_output > .output, .pst-scrollable-table-container, article table, .math, mjx-container, dt.sig";

  function name(box) {
    const caption = box.closest("figure")?.querySelector(".caption-text, .caption-number");
    return caption ? caption.textContent.trim() : box.closest(".math") ? "Formula" : "Table";
  }

  function reach() {
    for (const box of document.querySelectorAll(SCROLLING)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls) {
        box.tabIndex = 0;
        if (/^(div|span|mjx-container)$/.test(box.localName)) box.setAttribute("role", "group");
        if (!/^(pre|dt)$/.test(box.localName)) box.setAttribute("aria-label", name(box));
      } else if (box.getAttribute("tabindex") === "0") {
        for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
      }
    }
  }

  /* Whoever speaks to a browser says what is seen: the label of a control begins with what it shows. */
  function nameControls() {
    for (const summary of document.querySelectorAll("summary:has(.toctree-toggle)")) {
      summary.setAttribute("aria-label", `Sections of ${summary.closest("li").querySelector("a").textContent}`);
    }
    for (const button of document.querySelectorAll(".search-button-field")) button.removeAttribute("aria-label");
    for (const button of document.querySelectorAll(".theme-switch-button")) {
      button.setAttribute("aria-label", "Light Dark System Settings (colour mode)");
    }
    const home = document.querySelector(".sidebar-primary-items__start");
    home?.setAttribute("role", "navigation");
    home?.setAttribute("aria-label", "Book");
  }

  addEventListener("DOMContentLoaded", reach);
  addEventListener("load", () => {
    nameControls();
    Promise.resolve(window.MathJax?.startup?.promise).then(reach);
  });
  addEventListener("resize", reach);
})();
