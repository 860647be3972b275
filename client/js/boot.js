// Chooses what this browser can draw with and loads the viewer for it.
//
// There are two builds of the viewer, because WebGL2 makes it several times
// larger: only a browser without WebGPU pays for that. The decoder is the last
// thing needed and the largest, so it is asked for first and waited for by nobody.

// Replaced, when the site is laid out, by a table from plain to content-hashed names.
const ASSETS = "__ASSETS__";

/** Absolute URL of a file beside this one. */
export const asset = (file) =>
  new URL(`./${typeof ASSETS === 'string' ? file : (ASSETS[file] ?? file)}`, import.meta.url).href;

export class NoGpu extends Error {}

const loaded = new Map();

/** The backend to use, `webgpu` or `webgl`, and the adapter that was found. */
async function choose(wanted) {
  if (wanted !== 'webgl' && navigator.gpu) {
    // The explorer's page has asked already; an adapter gives one device, so once.
    const { graticuleAdapter: asked } = globalThis;
    delete globalThis.graticuleAdapter;
    const adapter = await (asked ?? navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null));
    if (adapter) return { backend: 'webgpu', adapter };
  }
  if (!document.createElement('canvas').getContext('webgl2')) {
    throw new NoGpu('This browser offers neither WebGPU nor WebGL2.');
  }
  return { backend: 'webgl' };
}

/** The next to ask for an adapter gets this one: another takes as long again. */
function handOver(adapter) {
  const { gpu } = navigator;
  gpu.requestAdapter = () => {
    delete gpu.requestAdapter;
    return Promise.resolve(adapter);
  };
}

async function instantiate(backend) {
  const wasm = fetch(asset(`app-${backend}.wasm`));
  const app = await import(asset(`app-${backend}.js`));
  await app.default({ module_or_path: wasm });
  // Starting is a task of its own: the page stays responsive in between.
  await (globalThis.scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve)));
  return app;
}

function begin(backend) {
  if (!loaded.has(backend)) loaded.set(backend, instantiate(backend));
  return loaded.get(backend);
}

/** One instance of the viewer for the page, however many maps are on it. */
export async function load(wanted) {
  decoder();
  // The likely build comes while the adapter is still being asked for.
  if (wanted !== 'webgl' && navigator.gpu) begin('webgpu').catch(() => {});
  const { backend, adapter } = await choose(wanted);
  return { app: await begin(backend), backend, adapter };
}

/**
 * The decode workers of a page: `module` is compiled once and posted to each,
 * `hire()` gives the workers of one map. Those of the first start with the page:
 * they are ready before the viewer is.
 */
export function decoder() {
  if (globalThis.graticuleDecode) return globalThis.graticuleDecode;
  const module = WebAssembly.compileStreaming(fetch(asset('decode.wasm')));
  // Whoever awaits it hears of a failure; without this the console would shout first.
  module.catch(() => {});
  const count = Math.min(4, Math.max(1, (navigator.hardwareConcurrency || 2) - 1));
  const hire = () => Array.from({ length: count }, () => {
    const worker = start(asset('decode-worker.js'));
    module.then((module) => worker.postMessage({ module }), () => {});
    return worker;
  });
  let first = null;
  // A page may forbid workers: the map says so in its place, if it comes to that.
  try { first = hire(); } catch { /* asked for again, and answered, below */ }
  globalThis.graticuleDecode = {
    base: new URL('./', import.meta.url).href,
    module,
    hire() {
      const workers = first ?? hire();
      first = null;
      return workers;
    },
  };
  return globalThis.graticuleDecode;
}

/** A worker from another origin is refused, a blob that imports from there is not. */
function start(script) {
  if (script.startsWith(`${location.origin}/`)) return new Worker(script, { type: 'module' });
  const blob = new Blob([`import ${JSON.stringify(script)}`], { type: 'text/javascript' });
  // The URL must outlive the worker's start; it is one short string.
  return new Worker(URL.createObjectURL(blob), { type: 'module' });
}

/** Starts the explorer in `host`. */
export async function explore(host) {
  const query = new URLSearchParams(location.search);
  try {
    const { app, backend, adapter } = await load(query.get('gpu'));
    // Not in `load`: on somebody else's page the next to ask may be somebody else.
    if (adapter) handOver(adapter);
    try {
      await app.explore(host);
    } catch (error) {
      // A canvas that failed WebGPU cannot become WebGL2: start again with fresh ones.
      if (backend !== 'webgpu') throw error;
      host.replaceChildren();
      await (await load('webgl')).app.explore(host);
    }
  } catch (error) {
    say(host, error);
  }
}

function say(host, error) {
  const words = error instanceof NoGpu
    ? ['This browser cannot draw the map',
       'It offers neither WebGPU nor WebGL2. Use a current Firefox, Chrome, Edge or Safari, or switch hardware acceleration on in its settings. The data itself can still be read: see /api.']
    : ['The map did not start', `${error?.message ?? error}. Reload the page; if it stays so, the server may be older than this page.`];
  const box = document.createElement('div');
  box.className = 'g-cannot';
  box.setAttribute('role', 'alert');
  for (const [tag, text] of [['h1', words[0]], ['p', words[1]]]) {
    box.appendChild(document.createElement(tag)).textContent = text;
  }
  host.replaceChildren(box);
  if (error instanceof NoGpu) picture(box).catch(() => {});
}

// What can be seen all the same: the server's own small picture.
async function picture(box) {
  const id = new URLSearchParams(location.search).get('collection')
    ?? (await (await fetch(new URL('api/collections', document.baseURI))).json()).collections
      .find((c) => !c['table:columns'])?.id;
  if (!id) return;
  const image = document.createElement('img');
  image.alt = `The collection ${id}, as the server draws it`;
  image.onload = () => box.append(image);
  image.src = new URL(`api/collections/${encodeURIComponent(id)}/preview.png`, document.baseURI).href;
}
