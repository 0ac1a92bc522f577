// The viewer and a report in a real browser: node viewer.mjs FOLDER_OF_PACKAGES URL REPORT HOSTILE_EPISODE
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const [packages, url, report, hostile] = process.argv.slice(2);
const require = createRequire(`${packages}/node_modules/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
const trouble = [];
page.on("pageerror", (error) => trouble.push(String(error)));
page.on("console", (message) => { if (message.type() === "error") trouble.push(message.text()); });
page.on("dialog", (dialog) => { trouble.push(`a text ran: ${dialog.message()}`); dialog.dismiss(); });
context.on("request", (request) => {
  if (!request.url().startsWith(url) && !/^(file|data):/.test(request.url())) trouble.push(`asked ${request.url()}`);
});

// Nothing serious, in light and in dark, wide and narrow.
const accessible = async (what) => {
  // The page's own policy forbids foreign scripts; the debugger may run them.
  const session = await context.newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe });
  const said = await session.send("Runtime.evaluate", {
    expression: "axe.run({ resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))",
    awaitPromise: true, returnByValue: true,
  });
  await session.detach();
  const found = JSON.parse(said.result.value).filter((one) => ["serious", "critical"].includes(one.impact));
  const words = found.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html).join(" | ")}`);
  assert.deepEqual(words, [], `axe on ${what}`);
};
const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
const narrow = async (what) => {
  await page.setViewportSize({ width: 390, height: 800 });
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${what} is ${over} px too wide at 390 px`);
  await page.setViewportSize({ width: 1280, height: 900 });
};

// The list: filters, sorting, search.
await page.goto(url);
const rows = () => page.locator("#rows a.open").count();
const all = await rows();
assert.ok(all > 3, `${all} episodes are listed`);
await accessible("the list");
await narrow("the list");
await page.selectOption("select[name=show]", "failed");
await page.click("form.filters button");
assert.equal(await rows(), 1, "one episode failed");
await page.goto(`${url}?sort=steps`);
await page.fill("#search", "hostile-needle");
await page.keyboard.press("Enter");
await page.waitForURL(/q=hostile-needle/);
assert.equal(await rows(), 1, "one log has these words");

// Hostile text is text: markup, escapes, and a megabyte of it.
await page.click("#rows a.open");
await page.waitForURL(new RegExp(hostile));
const text = await page.locator(".story").innerText();
assert.ok(text.includes("<script>alert(1)</script>") && text.includes("<img src=x onerror=alert(2)>"), text.slice(0, 400));
assert.ok(text.includes("␛[2J") && !text.includes("\u001b"), "escapes are shown");
assert.equal(await page.locator(".story script, .story img").count(), 0);
assert.ok((await page.content()).length < 200_000, "a long text is cut");
await page.click("text=all of it");
assert.ok((await page.locator("body").innerText()).length > 1_000_000, "and whole on request");

// By keyboard alone: list, episode, decision, its calls, theme, the next failure, side by side, up.
await page.goto(url);
await page.keyboard.press("j");
await page.keyboard.press("Enter");
await page.waitForSelector(".story");
await accessible("an episode");
await narrow("an episode");
await page.keyboard.press("j");
await page.keyboard.press("o");
await page.waitForSelector(".step .call .answer");
assert.ok((await page.locator(".step .call").first().innerText()).includes("copy prompt"));
await accessible("an open decision");
const before = await theme();
await page.keyboard.press("t");
assert.notEqual(await theme(), before);
await accessible("an episode in the other theme");
await page.reload();
assert.equal(await theme(), "dark", "the theme is remembered");
await page.keyboard.press("?");
assert.ok(await page.locator("#help").isVisible());
await page.keyboard.press("Escape");
const here = page.url();
await page.keyboard.press("f");
await page.waitForURL((there) => String(there) !== here);
await page.goto(here);
await page.keyboard.press("b");
await page.waitForSelector(".sides");
assert.equal(await page.locator(".sides > .side").count(), 2);
await accessible("two planners side by side");
await narrow("two planners side by side");
await page.keyboard.press("u");
await page.waitForSelector(".around");
await page.keyboard.press("u");
await page.waitForSelector("#rows");

// A search tree.
await page.click("header nav a:has-text('lats')");
await page.waitForSelector("#rows");
await page.locator("#rows a.open").first().click();
await page.locator("details.reasons > summary").first().click();
assert.ok(await page.locator(".tree li.best").first().isVisible(), "the best path is marked");
assert.ok(await page.locator(".tree .tree li.best").first().isVisible(), "and open below the first move");
await accessible("a search tree");

// The report, from its file.
await page.goto(`file://${report}`);
assert.ok(await page.locator("svg.plot").count() >= 2);
await accessible("the report");
await narrow("the report");

assert.deepEqual(trouble, []);
await browser.close();
