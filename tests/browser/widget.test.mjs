// <graticule-map> on a page of another origin.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, colourOf, decodePng, demo, launch, missing, near, serveFiles, startServer } from './lib.mjs';

const known = JSON.parse(fs.readFileSync(new URL('./known.json', import.meta.url)));
let server;
before(async () => {
  if (!missing) server = await startServer({ ostia: demo(known.ostia.file), ncep: demo(known.ncep.file) });
});
after(() => server?.stop());

for (const backend of Object.keys(BACKENDS)) {
  describe(`on ${backend}`, { skip: missing }, () => {
    test('a poster stands in until the map is drawn, and goes then', async () => {
      const other = await serveFiles({ 'index.html': `<!doctype html><script type="module" src="${server.url}/widget.js"></script>
        <graticule-map id="a" style="width:400px;height:300px" src="${server.url}/zarr/ncep" variable="rhum" colormap="haline" unit="1" controls></graticule-map>
        <graticule-map id="b" style="width:400px;height:300px" src="${server.url}/zarr/ncep" poster="own.png"></graticule-map>
        <graticule-map id="c" style="width:400px;height:300px" src="${server.url}/zarr/ncep" poster="none"></graticule-map>
        <script>window.loaded = []; for (const e of document.querySelectorAll('graticule-map')) e.addEventListener('load', () => loaded.push(e.id))</script>`,
      'own.png': Buffer.from(await (await fetch(`${server.url}/api/collections/ostia/preview.png`)).arrayBuffer()) });
      const browser = await launch(backend);
      const page = await (await browser.newContext({ viewport: { width: 900, height: 1000 } })).newPage();
      const requests = [];
      page.on('request', (r) => requests.push(r.url()));
      let release;
      const held = new Promise((r) => { release = r; });
      await page.route(/\/app-[^/]*\.wasm$/, async (route) => { await held; await route.continue(); });
      const poster = (id) => page.evaluate((i) => {
        const img = document.getElementById(i).shadowRoot.querySelector('img.poster');
        return { shown: !img.hidden && img.naturalWidth > 0, src: img.src, height: img.getBoundingClientRect().height };
      }, id);
      try {
        await page.goto(`${other.url}/index.html`);
        await page.waitForFunction(() => ['a', 'b'].every((id) => { const i = document.getElementById(id).shadowRoot?.querySelector('img.poster'); return i && !i.hidden; }), null, { timeout: 15_000 });
        const [a, b, c] = [await poster('a'), await poster('b'), await poster('c')];
        assert.equal(a.src, `${server.url}/api/collections/ncep/preview.png?variable=rhum&colormap=haline`);
        assert.equal(b.src, `${other.url}/own.png`);
        assert.deepEqual([a.shown, b.shown, c.shown, a.height], [true, true, false, 300]);
        assert.equal(c.src, '');
        release();
        await page.waitForFunction(() => new Set(loaded).size === 3, null, { timeout: 30_000 });
        for (const id of ['a', 'b', 'c']) assert.equal((await poster(id)).shown, false, id);
        assert.equal(requests.filter((r) => r.includes('preview.png')).length, 1);
        // The unit is the legend's and the readout's affair; a share of one has no sign.
        const scale = () => page.evaluate(() => [...document.getElementById('a').shadowRoot.querySelectorAll('.scale span')].map((s) => s.textContent));
        const [low, high, unit] = await scale();
        assert.ok(Number(low) >= 0 && Number(high) > 0.5 && Number(high) <= 1.01 && unit === '', `${low} ${high} ${unit}`);
        await page.evaluate(() => { document.getElementById('a').unit = '%'; });
        assert.deepEqual((await scale())[2], '%');
      } finally {
        release();
        await browser.close();
        await other.stop();
      }
    });

    test('two elements of another origin draw, answer, tell, and share one module and one device', async () => {
      const { longitude, latitude, value } = known.ostia.points[1];
      const page_ = `<!doctype html><style>* { font-size: 40px; color: lime } canvas { display: none }</style>
        <script type="module" src="${server.url}/widget.js"></script>
        <graticule-map id="a" style="width:400px;height:300px" src="${server.url}/zarr/ostia" variable="analysed_sst" colormap="viridis" clim="270,310" view="${longitude},${latitude},6" smooth="0" controls></graticule-map>
        <graticule-map id="b" style="width:400px;height:300px" src="${server.url}/zarr/ncep" variable="air" time="1996-12-01" projection="globe"></graticule-map>
        <script>window.heard = []; for (const id of ['a', 'b']) for (const name of ['load', 'timechange', 'viewchange', 'error', 'hover', 'select'])
          document.getElementById(id).addEventListener(name, (e) => heard.push([id, name, e.detail]))</script>`;
      const other = await serveFiles({ 'index.html': page_ });
      const browser = await launch(backend);
      const page = await (await browser.newContext({ viewport: { width: 900, height: 700 } })).newPage();
      await page.addInitScript(() => {
        window.devices = 0;
        const request = window.GPUAdapter?.prototype.requestDevice;
        if (request) GPUAdapter.prototype.requestDevice = function (...args) { window.devices++; return request.apply(this, args); };
      });
      const requests = [];
      page.on('request', (r) => requests.push(r.url()));
      try {
        await page.goto(`${other.url}/index.html`);
        await page.waitForFunction(() => ['a', 'b'].every((id) => heard.some(([i, n]) => i === id && n === 'load')), null, { timeout: 30_000 });
        const answer = await page.evaluate((p) => document.getElementById('a').queryData({ type: 'Point', coordinates: p }), [longitude, latitude]);
        assert.equal(answer.value, value);
        const png = await page.evaluate(async () => {
          const blob = await document.getElementById('a').toImage();
          return btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
        });
        const image = decodePng(Buffer.from(png, 'base64'));
        const drawn = image.at(image.width / 2, image.height / 2);
        assert.ok(near(drawn, colourOf('viridis', value, 270, 310)), `drawn ${drawn}`);
        // The screen shows it too, whatever the page's own styles say of canvases.
        const box = await page.locator('#a').boundingBox();
        const shot = decodePng(await page.screenshot());
        assert.ok(near(shot.at(Math.floor(box.x + 200), Math.floor(box.y + 150)), colourOf('viridis', value, 270, 310)));

        assert.equal((await page.evaluate(() => document.getElementById('b').state)).time, '1996-12-01T00:00:00');
        await page.evaluate(() => { document.getElementById('b').time = '1996-03-01'; });
        await page.waitForFunction(() => heard.some(([i, n, d]) => i === 'b' && n === 'timechange' && d.time === '1996-03-01T00:00:00'));
        await page.evaluate(() => { document.getElementById('a').setClim(280, 300); });
        assert.equal(await page.evaluate(() => document.getElementById('a').clim), '280,300');
        const build = backend === 'webgl' ? /app-webgl-[^/]*\.wasm/ : /app-webgpu-[^/]*\.wasm/;
        assert.equal(requests.filter((r) => build.test(r)).length, 1);

        if (backend === 'webgpu') assert.equal(await page.evaluate(() => window.devices), 1, 'one device for both');

        await page.evaluate((u) => { document.getElementById('a').src = u; }, `${server.url}/zarr/nowhere`);
        await page.waitForFunction(() => heard.some(([i, n]) => i === 'a' && n === 'error'));
        await page.evaluate(() => document.getElementById('a').remove());
      } finally {
        await browser.close();
        await other.stop();
      }
    });
  });
}

describe('the bare map at /embed', { skip: missing }, () => {
  test('shows the map, a small legend and the time, and no tools', async () => {
    const browser = await launch('webgl');
    const page = await browser.newPage();
    await page.goto(`${server.url}/embed?collection=ncep`);
    await page.waitForFunction(() => window.graticule?.idle === true, null, { timeout: 30_000 });
    assert.equal(await page.locator('.g-rail, .g-headline').count(), 0);
    assert.ok(await page.locator('.g-legend').isVisible());
    assert.ok(await page.locator('.g-strip').isVisible());
    await browser.close();
  });
});
