"use strict";
// Everything works without this script, except live progress; it adds keys, the theme, and parts that are loaded when
// they are opened. Texts are inserted as pages that the viewer has escaped, never put together here.
(() => {
  const root = document.documentElement;
  const find = (selector, from = document) => from.querySelector(selector);
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Theme: what the system says, until somebody chooses.
  const button = find("#theme");
  const dark = () => root.dataset.theme === "dark" ||
    (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const label = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(dark()));
  };
  if (["dark", "light"].includes(stored())) root.dataset.theme = stored();
  const change = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private window */ }
    label();
  };
  button.addEventListener("click", change);
  label();

  const help = find("#help");
  find("#keys").addEventListener("click", () => help.showModal());

  // Parts that are loaded when they are opened.
  const load = async (address) => {
    const answer = await fetch(address);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`the viewer answered ${answer.status}`);
    return text;
  };
  document.addEventListener("toggle", async (event) => {
    const part = event.target;
    if (!part.open || !part.dataset.src) return;
    const address = part.dataset.src + "?part=1";
    delete part.dataset.src;
    const place = document.createElement("div");
    all(":scope > :not(summary)", part).forEach((old) => old.remove());
    part.append(place);
    try {
      place.innerHTML = await load(address);
    } catch (error) {
      place.textContent = String(error.message);
    }
  }, true);

  // Copying is fetching the whole text, which the page may have cut.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a.copy");
    if (!link || !navigator.clipboard) return;
    event.preventDefault();
    const words = link.textContent;
    try {
      await navigator.clipboard.writeText(await load(link.href));
      link.textContent = "copied";
    } catch {
      location.href = link.href;
    }
    setTimeout(() => { link.textContent = words; }, 1500);
  });

  // The rows that follow, when the last one comes into sight.
  const rows = find("#rows");
  const more = async (link) => {
    const row = link.closest("tr");
    if (row.dataset.loading) return;
    row.dataset.loading = "1";
    try {
      const text = await load(link.dataset.more + "&part=1");
      row.insertAdjacentHTML("afterend", text);
      row.remove();
      watch();
    } catch {
      delete row.dataset.loading;
    }
  };
  const sight = "IntersectionObserver" in window
    ? new IntersectionObserver((seen) => seen.filter((one) => one.isIntersecting).forEach((one) => more(one.target)),
                               { rootMargin: "800px" })
    : null;
  const watch = () => { if (rows && sight) all("a[data-more]", rows).forEach((link) => sight.observe(link)); };
  watch();

  // Keys.
  const go = (selector) => { const link = find(selector); if (link) link.click(); };
  const move = (by) => {
    const places = rows ? all("a.open", rows) : all(".step");
    if (!places.length) return;
    const at = places.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
    const next = places[Math.max(0, Math.min(places.length - 1, at < 0 ? 0 : at + by))];
    next.focus();
    next.scrollIntoView({ block: rows ? "nearest" : "start" });
  };
  const unfold = () => {
    const here = document.activeElement.closest(".step") || find(".step");
    if (!here) return;
    const parts = all("details.reasons, details.calls, details.reasons details", here);
    const open = !parts.some((part) => part.open);
    parts.forEach((part) => { part.open = open; });
  };
  const keys = {
    j: () => move(1), k: () => move(-1), n: () => go("#next"), p: () => go("#previous"), f: () => go("#failure"),
    b: () => go("a.beside"), u: () => go("#up"), t: change, o: unfold, "?": () => help.showModal(),
    "/": () => { const box = find("#search"); if (box) box.focus(); else go("#up"); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  // Live.
  const address = document.body.dataset.live;
  if (address) {
    const source = new EventSource(address);
    const shown = Number(find("[data-fact=total]")?.textContent ?? 0);
    source.addEventListener("progress", (event) => {
      const said = JSON.parse(event.data);
      if (said.error) { find("#live").textContent = said.error; return; }
      const facts = { ...said, ...said.results, state: said.running ? "running" : "stopped" };
      for (const place of all("[data-fact]")) {
        const text = facts[place.dataset.fact];
        if (text !== undefined && text !== null) place.textContent = String(text);
      }
      const bar = find("progress");
      if (bar) bar.value = said.total;
      if (said.total > shown || !said.running) document.body.dataset.news = "1";
      if (!said.running) source.close();
    });
  }
})();
