// Decodes chunks off the main thread. One message brings the compiled module and
// the address of its glue, `{array, chain}` names an array's codec chain and
// `{job, array, bytes}` asks for one block; jobs may come before the module.
// Buffers are transferred, never copied.
let Decoder
const decoders = new Map()

async function start({ glue, module }) {
  const m = await import(glue)
  await m.default({ module_or_path: module })
  Decoder = m.Decoder
}

let hello
const started = new Promise((resolve) => { hello = resolve }).then(start)
started.catch((e) => postMessage({ broken: String(e) }))

onmessage = async ({ data }) => {
  if (data.glue) { hello(data); return }
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
