// A file dropped on the page becomes a Zarr hierarchy under an address that only
// this page knows; what reads files is fetched with the first of them.
import { asset } from './boot.js';

const ROOT = 'https://dropped.invalid/';
/** More would not fit into the reader's memory beside what it makes of it. */
const MOST_BYTES = 1 << 30;

const stores = new Map();
let opened = 0;

class Reader {
  #worker = new Worker(asset('files-worker.js'), { type: 'module' });
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, bytes, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new Error(error)); else resolve(bytes);
    };
    this.#worker.onerror = (e) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(e.message || 'the reader of files did not start'));
      this.#waiting.clear();
    };
  }

  ask(message, transfer = []) {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...message, id }, transfer);
    });
  }

  close() { this.#worker.terminate(); }
}

// Asked instead of `fetch` for addresses below ROOT.
globalThis.graticuleFiles = async (request) => {
  const [, number, , key] = /^(\d+)\/([^/]*)\/(.*)$/.exec(request.url.slice(ROOT.length)) ?? [];
  const bytes = await stores.get(number)?.ask({ key: decodeURIComponent(key) });
  return bytes ? new Response(bytes) : new Response(null, { status: 404 });
};

/** Shows `file` in the explorer. */
export async function open(file) {
  const { graticule } = globalThis;
  const cannot = (why, next) => graticule.fail(`${file.name} cannot be opened`, why, next, `${file.name}, ${file.size} bytes`);
  if (file.size > MOST_BYTES) {
    return cannot(`it has ${(file.size / 2 ** 30).toFixed(1)} GiB, more than a page can hold`, 'Give it to a server: graticule ingest FILE --collection ID.');
  }
  graticule.say(`Reading ${file.name}`);
  const reader = new Reader();
  try {
    const bytes = await file.arrayBuffer();
    await reader.ask({ glue: asset('files.js'), module: asset('files.wasm'), name: file.name, bytes }, [bytes]);
  } catch (error) {
    reader.close();
    return cannot(error.message, 'NetCDF-3, NetCDF-4 and HDF5 files can be dropped here.');
  }
  // One at a time: the one before is looked at no more.
  for (const old of stores.values()) old.close();
  stores.clear();
  const number = String(++opened);
  stores.set(number, reader);
  graticule.open(`${ROOT}${number}/${encodeURIComponent(file.name)}`);
}
