// Decodes chunks off the main thread. The first message brings the compiled
// module and the address of its glue; then `{array, chain}` names an array's
// codec chain and `{job, array, bytes}` asks for one block. Buffers are
// transferred, never copied.
let Decoder
const decoders = new Map()

async function start({ glue, module }) {
  const m = await import(glue)
  await m.default({ module_or_path: module })
  Decoder = m.Decoder
  postMessage({ ready: true })
}

let started
onmessage = async ({ data }) => {
  if (data.glue) { started = start(data); started.catch((e) => postMessage({ broken: String(e) })); return }
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
