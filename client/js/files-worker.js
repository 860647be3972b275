// Reads dropped files off the main thread: `{id, glue, module, name, bytes}` opens
// one, `{id, key}` asks for an object of it as of a Zarr store.
let file;

self.onmessage = async ({ data: { id, glue, module, name, bytes, key } }) => {
  try {
    if (glue) {
      const { default: init, File } = await import(glue);
      await init({ module_or_path: module });
      file = new File(name, new Uint8Array(bytes));
      postMessage({ id });
    } else {
      const found = file.get(key);
      postMessage({ id, bytes: found?.buffer }, found ? [found.buffer] : []);
    }
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};
