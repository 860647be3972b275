// What the tests share: the real server on a fresh directory, a real browser on
// either backend, pixels, and the colour tables that the pixels are checked against.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { chromium } from 'playwright-core';

export const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** The binary under test, or a loud reason for skipping everything. */
export const BIN = process.env.GRATICULE_BIN ?? path.join(ROOT, 'target/release/graticule');
export const missing = fs.existsSync(BIN) ? false : `SKIPPED: no server binary at ${BIN} (make build, or set GRATICULE_BIN)`;
if (missing) console.error(`\n*** ${missing} ***\n`);

export const demo = (name) => path.join(ROOT, 'assets/demo', name);

export const freePort = () => new Promise((resolve, reject) => {
  const s = net.createServer().once('error', reject).listen(0, '127.0.0.1', () => {
    const { port } = s.address();
    s.close(() => resolve(port));
  });
});

/** A server on a new directory with `collections` (id → file) ingested. */
export async function startServer(collections = {}) {
  const data = fs.mkdtempSync(path.join(os.tmpdir(), 'graticule-browser-'));
  const ingest = (file, id) => run(BIN, ['ingest', file, '--collection', id, '--data', data]);
  for (const [id, file] of Object.entries(collections)) await ingest(file, id);
  const port = await freePort();
  const child = spawn(BIN, ['serve', '--data', data, '--bind', `127.0.0.1:${port}`, '--token', 'browser-tests-only'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (d) => { log = (log + d).slice(-4000); });
  const url = `http://127.0.0.1:${port}`;
  for (let i = 0; ; i++) {
    if (child.exitCode !== null || i > 200) throw new Error(`the server did not start: ${log}`);
    if (await fetch(`${url}/healthz`).then((r) => r.ok, () => false)) break;
    await new Promise((r) => setTimeout(r, 50));
  }
  return {
    url,
    data,
    ingest,
    /** Hands a file to the running server, as an operator would, and waits for the run's end. */
    async publish(file, id) {
      const headers = { authorization: 'Bearer browser-tests-only', 'content-type': 'application/json' };
      const answer = await fetch(`${url}/api/runs`, { method: 'POST', headers, body: JSON.stringify({ inputs: [file], collection: id }) });
      if (answer.status !== 202) throw new Error(`POST /api/runs: ${answer.status} ${await answer.text()}`);
      return new URL(answer.headers.get('location'), url).href;
    },
    async stop() {
      child.kill('SIGTERM');
      await new Promise((r) => { child.once('exit', r); setTimeout(() => { child.kill('SIGKILL'); r(); }, 3000).unref(); });
      fs.rmSync(data, { recursive: true, force: true });
    },
  };
}

const TYPES = { '.html': 'text/html', '.json': 'application/json', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm' };

/** A plain file server: another origin, with or without CORS; `files` maps paths to bytes or text. */
export async function serveFiles(files, { cors = true } = {}) {
  const server = http.createServer((req, res) => {
    const key = decodeURIComponent(req.url.split('?')[0]).slice(1);
    if (cors) {
      res.setHeader('access-control-allow-origin', '*');
      res.setHeader('access-control-allow-headers', 'range');
      res.setHeader('access-control-expose-headers', '*');
    }
    if (req.method === 'OPTIONS') return res.writeHead(204).end();
    const body = files[key];
    if (body === undefined) return res.writeHead(404).end();
    const bytes = Buffer.from(body);
    const range = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/.exec(req.headers.range ?? '');
    const type = TYPES[path.extname(key)] ?? 'application/octet-stream';
    res.setHeader('content-type', type);
    if (!range) return res.writeHead(200).end(bytes);
    const from = range[3] ? Math.max(0, bytes.length - range[3]) : Number(range[1]);
    const to = range[3] || !range[2] ? bytes.length : Math.min(bytes.length, Number(range[2]) + 1);
    res.setHeader('content-range', `bytes ${from}-${to - 1}/${bytes.length}`);
    res.writeHead(206).end(bytes.subarray(from, to));
  });
  await new Promise((r) => server.listen(0, '127.0.0.1', r));
  return { url: `http://localhost:${server.address().port}`, stop: () => new Promise((r) => { server.closeAllConnections(); server.close(r); }) };
}

export const BACKENDS = {
  webgpu: ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-vulkan=swiftshader', '--use-angle=swiftshader'],
  webgl: ['--disable-features=WebGPU', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
};

const open = new Set();

export async function launch(backend) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--hide-scrollbars', ...BACKENDS[backend]],
  });
  open.add(browser);
  browser.once('disconnected', () => open.delete(browser));
  return browser;
}

// A failed test must not leave a browser behind, which would keep the run from ending.
after(() => Promise.all([...open].map((b) => b.close())));

/** A page at `url` whose map is complete; counts data requests. */
export async function openMap(browser, url, { width = 900, height = 600, complete = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const requests = [];
  const errors = [];
  page.on('request', (r) => { if (!r.url().startsWith('blob:') && !r.url().startsWith('data:')) requests.push(r.url()); });
  page.on('pageerror', (e) => errors.push(String(e)));
  await page.goto(url);
  if (complete) await idle(page);
  return { page, context, requests, errors };
}

/** Waits until nothing is on its way and the picture is drawn. */
export async function idle(page) {
  await page.waitForFunction(() => window.graticule?.idle === true, null, { timeout: 30_000, polling: 50 });
  await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
}

/** Only what lies under `/zarr/`. */
export const chunks = (requests) => requests.filter((r) => r.includes('/zarr/'));

// ---- pixels ----

/** Decodes an 8-bit RGB(A) PNG as Chromium writes it. */
export function decodePng(png) {
  let at = 8, width = 0, height = 0, channels = 4;
  const parts = [];
  while (at < png.length) {
    const length = png.readUInt32BE(at), type = png.toString('latin1', at + 4, at + 8), body = png.subarray(at + 8, at + 8 + length);
    if (type === 'IHDR') { width = body.readUInt32BE(0); height = body.readUInt32BE(4); channels = body[9] === 2 ? 3 : 4; }
    if (type === 'IDAT') parts.push(body);
    at += 12 + length;
  }
  const raw = zlib.inflateSync(Buffer.concat(parts)), stride = width * channels, out = Buffer.alloc(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const v = raw[y * (stride + 1) + 1 + x];
      const a = x >= channels ? out[y * stride + x - channels] : 0, b = y ? out[(y - 1) * stride + x] : 0;
      const c = y && x >= channels ? out[(y - 1) * stride + x - channels] : 0;
      const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
      const guess = [0, a, b, (a + b) >> 1, pa <= pb && pa <= pc ? a : pb <= pc ? b : c][filter];
      out[y * stride + x] = v + guess;
    }
  }
  return { width, height, at: (x, y) => [...out.subarray((y * width + x) * channels, (y * width + x) * channels + 3)] };
}

/** The colour of the map at a place, with the chrome hidden. */
export async function pixelAt(page, longitude, latitude) {
  const [x, y] = await page.evaluate(([lon, lat]) => window.graticule.project(lon, lat), [longitude, latitude]);
  return (await picture(page)).at(Math.floor(x), Math.floor(y));
}

export async function picture(page) {
  await page.addStyleTag({ content: '.g-ui{visibility:hidden}' });
  return decodePng(await page.screenshot({ type: 'png' }));
}

// ---- colours ----

const names = fs.readFileSync(path.join(ROOT, 'assets/colormaps/names.txt'), 'utf8').split('\n').filter(Boolean);
const tables = fs.readFileSync(path.join(ROOT, 'assets/colormaps/colormaps.bin'));

/** floor(t * 256) held to 0..255, as `shared/src/colormap.rs` says. */
export function colourOf(name, value, low, high) {
  const i = Math.min(255, Math.max(0, Math.floor(((value - low) / (high - low)) * 256)));
  const at = names.indexOf(name) * 768 + i * 3;
  return [...tables.subarray(at, at + 3)];
}

export const near = (a, b, slack = 1) => a.every((v, i) => Math.abs(v - b[i]) <= slack);
