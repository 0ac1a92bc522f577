// Scrolls through the list of a viewer and prints the times between frames: node scroll.mjs FOLDER_OF_PACKAGES URL
import { createRequire } from "node:module";

const [packages, url] = process.argv.slice(2);
const { chromium } = createRequire(`${packages}/node_modules/`)("playwright-core");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const begun = Date.now();
await page.goto(url);
console.log(`first page: ${Date.now() - begun} ms`);
const said = await page.evaluate(() => new Promise((done) => {
  const gaps = [];
  let last = performance.now();
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    scrollBy(0, 60);
    if (gaps.length < 600) return requestAnimationFrame(step);
    gaps.sort((a, b) => a - b);
    const at = (share) => gaps[Math.floor((gaps.length - 1) * share)].toFixed(1);
    const rows = document.querySelectorAll("#rows a.open").length;
    done(`${rows} rows; ms between frames: median ${at(0.5)}, 95 % ${at(0.95)}, worst ${at(1)}`);
  };
  requestAnimationFrame(step);
}));
console.log(said);
await browser.close();
