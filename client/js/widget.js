// <graticule-map>: the map as one element, on any page of any origin.
//
//   <script type="module" src="https://host/widget.js"></script>
//   <graticule-map src="https://host/zarr/oisst" variable="sst" time="2020-01-01"
//                  colormap="thermal" clim="-2,32" projection="globe" controls></graticule-map>
//
// Attributes mirror properties: src variable time colormap clim projection view
// ("longitude,latitude,zoom") theme opacity scale unit smooth poster controls.
// Until the map is drawn, `poster` is shown: any picture's address; without it, of a
// collection of the server that this script came from, one that the server draws;
// `poster="none"` for none. Events: load timechange hover select viewchange error.
// Methods: setSelector setClim queryData toImage; `ready` is a promise.
// Styles neither come in nor leak out: all is in a shadow root.
import { load } from './boot.js';

const PASSED_ON = ['variable', 'time', 'colormap', 'clim', 'projection', 'view', 'theme', 'opacity', 'scale', 'unit', 'smooth'];

const STYLE = `
:host{display:block;position:relative;overflow:hidden;min-height:160px;background:#0a0d12;contain:content;color-scheme:dark;--word:#eef2f7;--quiet:#a3adba;--plate:rgb(15 19 26/.9);--accent:#70b5ff}
:host([theme=light]){background:#e8ecf0;color-scheme:light;--word:#121a24;--quiet:#465364;--plate:rgb(255 255 255/.93);--accent:#0b63c4}
:host([hidden]){display:none}
*{box-sizing:border-box}
canvas{position:absolute;inset:0;width:100%;height:100%;display:block;touch-action:none;cursor:grab;outline-offset:-2px}
.poster{position:absolute;inset:0;width:100%;height:100%;object-fit:contain;pointer-events:none}
.plate{position:absolute;background:var(--plate);border-radius:7px;color:var(--word);font:12px/1.4 system-ui,sans-serif;padding:5px 9px;font-variant-numeric:tabular-nums}
.bar{left:8px;right:8px;bottom:8px;display:flex;align-items:center;gap:10px}
.bar button{all:unset;cursor:pointer;width:22px;height:22px;display:grid;place-items:center;border-radius:5px}
.bar button:focus-visible{outline:2px solid var(--accent)}
.bar input{flex:1;min-width:40px;accent-color:var(--accent);height:14px;margin:0}
.scale{display:flex;align-items:center;gap:6px;color:var(--quiet)}
.scale i{display:block;width:80px;height:8px;border-radius:2px}
.hover{left:8px;top:8px;pointer-events:none}
.trouble{left:8px;right:8px;top:8px}
.trouble b{display:block;font-weight:600}
[hidden]{display:none!important}`;

const PLAY = 'M5 3.5v11l8-5.5z', PAUSE = 'M5.5 4v10M11.5 4v10';

export class GraticuleMapElement extends HTMLElement {
  static observedAttributes = ['src', ...PASSED_ON, 'poster', 'controls'];

  #map = null;
  #parts = null;
  #loaded = false;
  #opened = false;
  #playing = 0;
  #time = { index: 0, steps: 0 };
  #resize = null;
  #settle = null;

  constructor() {
    super();
    this.ready = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    // An element that nobody awaits must not shout in the console.
    this.ready.catch(() => {});
  }

  connectedCallback() {
    if (this.#parts) return;
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    root.innerHTML = `<style>${STYLE}</style><canvas tabindex="0" role="application" aria-label="Map"></canvas>
      <img class="poster" alt="" hidden><div class="plate hover" hidden></div><div class="plate trouble" role="alert" hidden></div>
      <div class="plate bar" hidden><button aria-label="Play"><svg viewBox="0 0 18 18" width="18" height="18" fill="none" stroke="currentColor" stroke-width="1.5"><path d="${PLAY}"/></svg></button>
      <input type="range" min="0" step="1" value="0" aria-label="Time"><span class="time"></span>
      <span class="scale"><span></span><i></i><span></span><span></span></span></div>`;
    const $ = (s) => root.querySelector(s);
    this.#parts = { canvas: $('canvas'), poster: $('.poster'), hover: $('.hover'), trouble: $('.trouble'), bar: $('.bar'), play: $('button'), slider: $('input'), time: $('.time'), scale: $('.scale') };
    this.#parts.play.onclick = () => this.#play(!this.#playing);
    this.#parts.slider.oninput = () => { this.#play(false); this.#map?.step(Number(this.#parts.slider.value)); };
    this.#poster();
    this.#start().then(() => this.#settle.resolve(this), (error) => {
      this.#say({ what: 'The map did not start', why: String(error?.message ?? error), next: '' });
      this.#settle.reject(error);
    });
  }

  async #start() {
    let { app, backend } = await load(this.getAttribute('gpu'));
    if (!this.#parts) return;
    try {
      await this.#make(app);
    } catch (error) {
      if (backend !== 'webgpu') throw error;
      // A canvas that failed WebGPU cannot become WebGL2: take a fresh one.
      this.#map?.stop();
      this.#parts.canvas.replaceWith(this.#parts.canvas = this.#parts.canvas.cloneNode());
      ({ app } = await load('webgl'));
      await this.#make(app);
    }
  }

  async #make(app) {
    const { canvas } = this.#parts;
    this.#map = new app.GraticuleMap(canvas, (name, detail) => this.#hear(name, detail));
    const measure = () => {
      const { width, height } = canvas.getBoundingClientRect();
      if (width && height) this.#map?.resize(width, height, Math.min(devicePixelRatio || 1, 2));
    };
    this.#resize?.disconnect();
    this.#resize = new ResizeObserver(measure);
    this.#resize.observe(canvas);
    measure();
    for (const name of PASSED_ON) if (name !== 'clim' && this.hasAttribute(name)) this.#map.set(name, this.getAttribute(name));
    this.#open();
    await this.#map.ready();
  }

  // The address of the picture that stands in for the map; null for none.
  #posterUrl() {
    const named = this.getAttribute('poster');
    if (named !== null) return named && named !== 'none' ? new URL(named, document.baseURI).href : null;
    const src = this.getAttribute('src');
    // Only where a server of ours answers for certain: no guess may end in a failed request.
    const [, base, id] = /^(.*)\/zarr\/([^/@?#]+)\/?$/.exec(src ? new URL(src, document.baseURI).href : '') ?? [];
    if (!id || new URL('.', import.meta.url).href !== `${base}/`) return null;
    const url = new URL(`${base}/api/collections/${id}/preview.png`);
    for (const name of ['variable', 'colormap', 'clim']) if (this.hasAttribute(name)) url.searchParams.set(name, this.getAttribute(name));
    return url.href;
  }

  #poster() {
    const { poster } = this.#parts, url = this.#posterUrl();
    poster.hidden = true;
    poster.onload = () => { poster.hidden = this.#loaded; };
    // What is not there is not missed: the map comes all the same.
    if (url) poster.src = url; else poster.removeAttribute('src');
  }

  #open() {
    const src = this.getAttribute('src');
    if (!src || !this.#map) return;
    this.#loaded = false;
    this.#parts.trouble.hidden = true;
    if (this.#opened) this.#poster();
    this.#opened = true;
    this.#map.open(new URL(src, document.baseURI).href);
    // Opening forgets the range: said after it.
    if (this.hasAttribute('clim')) this.#map.set('clim', this.getAttribute('clim'));
    if (this.hasAttribute('time')) this.#map.set('time', this.getAttribute('time'));
  }

  disconnectedCallback() {
    // Moved, not removed, if it is back before the next task.
    setTimeout(() => {
      if (this.isConnected || !this.#parts) return;
      this.#play(false);
      this.#resize?.disconnect();
      this.#map?.stop();
      this.#map = this.#parts = null;
      this.#opened = false;
      this.ready = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
      this.ready.catch(() => {});
    });
  }

  attributeChangedCallback(name, before, now) {
    if (before === now || !this.#map) return;
    if (name === 'src') this.#open();
    else if (name === 'controls') this.#parts.bar.hidden = !this.#wantsBar();
    else if (name === 'poster') this.#poster();
    else if (now !== null) this.#map.set(name, now);
    if (name === 'unit' && this.#loaded) this.#legend();
  }

  #wantsBar() { return this.hasAttribute('controls') && this.getAttribute('controls') !== 'none'; }

  #hear(name, detail) {
    const p = this.#parts;
    if (!p) return;
    if (name === 'style') return this.#legend();
    if (name === 'timechange') {
      this.#time = detail;
      p.slider.max = Math.max(0, detail.steps - 1);
      p.slider.value = detail.index;
      p.time.textContent = detail.label ?? '';
      p.slider.hidden = p.play.hidden = detail.steps < 2;
    }
    if (name === 'load') {
      const first = !this.#loaded;
      this.#loaded = true;
      p.poster.hidden = true;
      this.#legend();
      p.bar.hidden = !this.#wantsBar();
      if (this.#playing) this.#next();
      if (!first) return;
    }
    if (name === 'hover') {
      p.hover.hidden = !detail;
      if (detail) p.hover.textContent = detail.words;
    }
    if (name === 'error') this.#say(detail);
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: false, composed: false }));
  }

  #say({ what, why, next }) {
    const box = this.#parts?.trouble;
    if (!box) return;
    box.replaceChildren(Object.assign(document.createElement('b'), { textContent: what }), `${why.charAt(0).toUpperCase()}${why.slice(1)}. ${next}`);
    box.hidden = false;
  }

  #legend() {
    const [low, bar, high, unit] = this.#parts.scale.children;
    [low.textContent, high.textContent, unit.textContent] = this.#map.labels();
    bar.style.background = this.#map.gradient();
  }

  #play(on) {
    clearTimeout(this.#playing);
    this.#playing = 0;
    this.#parts?.play.setAttribute('aria-label', on ? 'Pause' : 'Play');
    this.#parts?.play.querySelector('path').setAttribute('d', on ? PAUSE : PLAY);
    if (on) this.#next();
  }

  // The next step follows when this one is drawn whole, and not before its time.
  #next() {
    clearTimeout(this.#playing);
    this.#playing = setTimeout(() => this.#map?.step((this.#time.index + 1) % Math.max(1, this.#time.steps)), 250);
  }

  /** `{time: '2020-01-01', level: 850, member: {index: 3}}` */
  setSelector(selector) { this.#map?.setSelector(selector); }

  setClim(low, high) { this.setAttribute('clim', `${low},${high}`); }

  /** The stored value at a GeoJSON Point or `[longitude, latitude]`, of what is shown. */
  async queryData(geometry, selector, { signal } = {}) {
    await this.ready;
    const [longitude, latitude] = geometry?.type === 'Point' ? geometry.coordinates : geometry;
    if (!Number.isFinite(longitude) || !Number.isFinite(latitude)) throw new TypeError('queryData: a GeoJSON Point or [longitude, latitude] is needed');
    if (selector) this.setSelector(selector);
    signal?.throwIfAborted();
    const aborted = new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }));
    return signal ? Promise.race([this.#map.query(longitude, latitude), aborted]) : this.#map.query(longitude, latitude);
  }

  /** A PNG of the map as it is drawn. */
  async toImage({ type = 'image/png', quality } = {}) {
    await this.ready;
    const [width, height, pixels] = await this.#map.pixels();
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
  }

  /** How things stand: variable, indices, time, clim, view. */
  get state() { return this.#map?.state() ?? null; }
}

for (const name of ['src', ...PASSED_ON, 'poster', 'controls']) {
  Object.defineProperty(GraticuleMapElement.prototype, name, {
    get() { return this.getAttribute(name); },
    set(value) {
      if (value == null || value === false) this.removeAttribute(name);
      else this.setAttribute(name, value === true ? '' : Array.isArray(value) ? value.join(',') : String(value));
    },
    configurable: true,
    enumerable: true,
  });
}

if (!customElements.get('graticule-map')) customElements.define('graticule-map', GraticuleMapElement);
