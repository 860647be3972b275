// Decodes chunks off the main thread. The build puts wasm-bindgen's glue before
// this (`Decoder`, `__wbg_init`): one request instead of two.
//
// One message brings the compiled module, `{array, chain}` names an array's codec chain and
// `{job, array, bytes}` asks for one block; jobs may come before the module.
// Buffers are transferred, never copied.
const decoders = new Map()

let hello
const started = new Promise((resolve) => { hello = resolve })
  .then((module) => __wbg_init({ module_or_path: module }))
started.catch((e) => postMessage({ broken: String(e) }))

onmessage = async ({ data }) => {
  if (data.module) { hello(data.module); return }
  try { await started } catch { return }
  if (data.chain !== undefined) { decoders.set(data.array, data.chain); return }
  try {
    let d = decoders.get(data.array)
    if (typeof d === 'string') decoders.set(data.array, d = new Decoder(d))
    const out = d.decode(new Uint8Array(data.bytes, data.offset ?? 0, data.length))
    postMessage({ job: data.job, bytes: out.buffer }, [out.buffer])
  } catch (e) {
    postMessage({ job: data.job, error: String(e?.message ?? e) })
  }
}
