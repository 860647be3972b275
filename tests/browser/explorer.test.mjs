// The controls: keys, words for what went wrong, news of versions, the first moments.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import zlib from 'node:zlib';
import { BACKENDS, decodePng, demo, idle, launch, missing, openMap, serveFiles, startServer } from './lib.mjs';

const OSTIA = demo('ostia-sst.nc');
/** 2017-06-05T12:00 in seconds since 1981, as the file stores it. */
const OSTIA_TIME = 1149508800;

/** A small Zarr v3 store: one variable on a 45 degree grid, gzip. */
function store({ chunk } = {}) {
  const floats = (v) => Buffer.from(new Float32Array(v).buffer);
  const array = (shape, names, attributes) => ({
    zarr_format: 3, node_type: 'array', shape, data_type: 'float32', fill_value: 'NaN', attributes, dimension_names: names,
    chunk_grid: { name: 'regular', configuration: { chunk_shape: shape } }, chunk_key_encoding: { name: 'default', configuration: { separator: '/' } },
    codecs: [{ name: 'bytes', configuration: { endian: 'little' } }, { name: 'gzip', configuration: { level: 5 } }],
  });
  const nodes = {
    lat: array([4], ['lat'], { units: 'degrees_north' }),
    lon: array([8], ['lon'], { units: 'degrees_east' }),
    warmth: array([4, 8], ['lat', 'lon'], { units: 'degC', long_name: 'warmth' }),
  };
  const root = { zarr_format: 3, node_type: 'group', attributes: { title: 'A small store' }, consolidated_metadata: { kind: 'inline', must_understand: false, metadata: nodes } };
  return {
    'zarr.json': JSON.stringify(root),
    'lat/c/0': zlib.gzipSync(floats([-67.5, -22.5, 22.5, 67.5])),
    'lon/c/0': zlib.gzipSync(floats([-157.5, -112.5, -67.5, -22.5, 22.5, 67.5, 112.5, 157.5])),
    'warmth/c/0/0': chunk ?? zlib.gzipSync(floats(Array.from({ length: 32 }, (_, i) => i))),
  };
}

/** Colours here and there on the map, away from the controls. */
async function pixels(page) {
  const image = decodePng(await page.screenshot({ clip: { x: 200, y: 120, width: 300, height: 300 } }));
  return [[5, 5], [150, 40], [290, 200], [40, 290], [10, 180]].map(([x, y]) => image.at(x, y).join());
}

let server;
before(async () => {
  if (!missing) server = await startServer({ ncep: demo('ncep-climatology.nc'), ostia: OSTIA });
});
after(() => server?.stop());

for (const backend of Object.keys(BACKENDS)) {
  describe(`on ${backend}`, { skip: missing }, () => {
    let browser;
    before(async () => { browser = await launch(backend); });
    after(() => browser?.close());

    const trouble = async (data) => {
      const { page, context } = await openMap(browser, `${server.url}/?data=${encodeURIComponent(data)}`, { complete: false });
      const box = page.locator('.g-trouble');
      await box.waitFor({ timeout: 15_000 });
      const words = await box.innerText();
      // The rest stays usable.
      await page.keyboard.press('t');
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
      await context.close();
      return words;
    };

    test('any Zarr of another origin opens by its address', async () => {
      const other = await serveFiles(store());
      const { page, context } = await openMap(browser, `${server.url}/?data=${encodeURIComponent(other.url)}`);
      assert.equal((await page.evaluate(() => window.graticule.readout(22.5, 22.5))).value, 20);
      assert.match(await page.locator('.g-headline').innerText(), /Warmth/);
      await context.close();
      await other.stop();
    });

    test('a NetCDF file dropped on the page opens, exact to the float, and its reader comes only then', async () => {
      const { page, context, requests, errors } = await openMap(browser, `${server.url}/?collection=ncep`);
      assert.ok(!requests.some((r) => /\/(files|drop)/.test(r)));
      const drop = (name, base64) => page.evaluate(([n, b]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(b), (c) => c.charCodeAt(0))], n));
        for (const type of ['dragover', 'drop']) document.querySelector('canvas').dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
      }, [name, base64]);
      await drop('my sea.nc', fs.readFileSync(OSTIA).toString('base64'));
      await page.waitForFunction(() => window.graticule.state().variable === 'analysed_sst', null, { timeout: 20_000 });
      await idle(page);
      assert.ok(requests.some((r) => /\/files-[0-9a-f]+\.wasm/.test(r)));
      const served = await openMap(browser, `${server.url}/?collection=ostia&var=analysed_sst`);
      for (const [longitude, latitude] of [[151.125, -33.625], [-140.125, 0.125], [-0.125, 51.625], [179.9, -60.1]]) {
        const both = await Promise.all([page, served.page].map((p) => p.evaluate(([x, y]) => window.graticule.readout(x, y), [longitude, latitude])));
        assert.equal(both[0]?.value ?? null, both[1]?.value ?? null, `${longitude} ${latitude}`);
      }
      await page.waitForTimeout(600);
      assert.doesNotMatch(page.url(), /dropped/);
      // One that is no such file is named, and what was shown stays.
      await drop('holiday.jpg', Buffer.from('\xff\xd8\xff\xe0 a picture', 'latin1').toString('base64'));
      await page.locator('.g-trouble').waitFor();
      assert.match(await page.locator('.g-trouble').innerText(), /holiday\.jpg/);
      assert.equal((await page.evaluate(() => window.graticule.state())).variable, 'analysed_sst');
      assert.deepEqual(errors, []);
      await Promise.all([context, served.context].map((c) => c.close()));
    });

    test('a page that may start no workers says so in its place', async () => {
      const context = await browser.newContext({ reducedMotion: 'reduce' });
      const page = await context.newPage();
      await page.addInitScript(() => { window.Worker = class { constructor() { throw new DOMException('refused', 'SecurityError'); } }; });
      await page.goto(`${server.url}/?collection=ncep`);
      const box = page.locator('.g-trouble');
      await box.waitFor({ timeout: 15_000 });
      assert.match(await box.innerText(), /worker/i);
      assert.equal(await page.locator('.g-rail').count(), 1);
      await context.close();
    });

    test('a store that is not there is named in words', async () => {
      assert.match(await trouble(`${server.url}/zarr/nowhere`), /no collection "nowhere"/);
    });

    test('a store without CORS says that it is CORS', async () => {
      const other = await serveFiles(store(), { cors: false });
      assert.match(await trouble(other.url), /CORS|Access-Control|cannot be reached/i);
      await other.stop();
    });

    test('a corrupt chunk is named in words', async () => {
      const other = await serveFiles(store({ chunk: Buffer.from('this is not gzip, whatever it says') }));
      assert.match(await trouble(other.url), /decod|corrupt|gzip|chunk/i);
      await other.stop();
    });

    test('keys play, step, zoom, turn to the globe, change the theme, move and speak the data cursor, hide the chrome', async () => {
      const { page, context } = await openMap(browser, `${server.url}/?collection=ncep`);
      const state = () => page.evaluate(() => window.graticule.state());
      const zoom = (await state()).zoom;
      await page.keyboard.press('ArrowRight');
      await idle(page);
      assert.equal((await state()).step, 1);
      await page.keyboard.press('+');
      await idle(page);
      assert.ok((await state()).zoom > zoom);
      await page.keyboard.press('g');
      await page.keyboard.press('t');
      await idle(page);
      assert.deepEqual([(await state()).projection, (await state()).theme], ['globe', 'light']);
      await page.focus('canvas.g-map');
      await page.keyboard.press('ArrowUp');
      await page.keyboard.press('ArrowRight');
      await page.waitForFunction(() => /° [NS]/.test(document.querySelector('.g-spoken').textContent), null, { timeout: 5000 });
      assert.match(await page.locator('.g-spoken').innerText(), /°C/);
      await page.keyboard.press(' ');
      await page.waitForFunction(() => window.graticule.state().step > 2, null, { timeout: 15_000 });
      await page.keyboard.press(' ');
      await page.keyboard.press('?');
      assert.ok(await page.locator('.g-help').isVisible());
      await page.keyboard.press('d');
      assert.ok(!(await page.locator('.g-headline').isVisible()));
      await context.close();
    });

    test('the colour editor sets map, range and scale', async () => {
      const { page, context } = await openMap(browser, `${server.url}/?collection=ncep&clim=-40,40`);
      const state = () => page.evaluate(() => window.graticule.state());
      await page.keyboard.press('c');
      await page.getByRole('option', { name: 'turbo' }).click();
      assert.equal((await state()).colormap, 'turbo');
      await page.locator('button.g-number').first().click();
      await page.waitForFunction(() => document.activeElement?.matches('input.g-number'));
      await page.keyboard.type('-12.5');
      await page.keyboard.press('Enter');
      assert.deepEqual((await state()).clim, [-12.5, 40]);
      const grip = await page.locator('.g-grip').last().boundingBox();
      await page.mouse.move(grip.x + 10, grip.y + 10);
      await page.mouse.down();
      await page.mouse.move(grip.x - 50, grip.y + 10, { steps: 4 });
      await page.mouse.up();
      const [, high] = (await state()).clim;
      assert.ok(high < 35 && high > 0, `dragged to ${high}`);
      await page.getByRole('radio', { name: 'Diverging' }).click();
      const [low, top] = (await state()).clim;
      assert.equal(low, -top);
      await context.close();
    });

    test('a click on the unit converts legend, readout and typed ends; the map stays and nothing is asked for', async () => {
      const { page, context, requests } = await openMap(browser, `${server.url}/?collection=ncep&clim=-40,40&at=10,30,2&coastlines=0`);
      const state = () => page.evaluate(() => window.graticule.state());
      const unit = page.locator('button.g-unit'), ends = () => page.locator('.g-number').allInnerTexts();
      assert.equal(await unit.innerText(), '°C');
      assert.deepEqual(await ends(), ['−40', '40']);
      await page.focus('canvas.g-map');
      await page.keyboard.press('ArrowUp');
      const readout = page.locator('.g-readout strong');
      await readout.waitFor();
      const celsius = Number((await readout.innerText()).replace('−', '-').replace(' °C', ''));
      const stored = await page.locator('.g-readout').getAttribute('data-value');
      await page.waitForTimeout(600);
      const drawn = await pixels(page);
      const asked = requests.length;
      await unit.click();
      assert.equal(await unit.innerText(), 'K');
      assert.deepEqual(await ends(), ['233.1', '313.1']);
      assert.ok(Math.abs(Number((await readout.innerText()).replace(' K', '')) - celsius - 273.15) < 0.01);
      await unit.click();
      assert.equal(await unit.innerText(), '°F');
      assert.deepEqual(await ends(), ['−40', '104']);
      assert.ok(Math.abs(Number((await readout.innerText()).replace('−', '-').replace(' °F', '')) - celsius * 1.8 - 32) < 0.01);
      // What is stored, what is drawn and what the range is stay as they are.
      assert.equal(await page.locator('.g-readout').getAttribute('data-value'), stored);
      assert.deepEqual((await state()).clim, [-40, 40]);
      assert.deepEqual(await pixels(page), drawn);
      assert.deepEqual(requests.slice(asked), []);
      // Typed in the unit shown, kept in the stored one.
      await page.locator('button.g-number').last().click();
      await page.keyboard.type('86');
      await page.keyboard.press('Enter');
      assert.ok(Math.abs((await state()).clim[1] - 30) < 1e-9, `${(await state()).clim}`);
      await page.waitForTimeout(600);
      const link = page.url();
      assert.match(link, /unit=degF/);
      assert.match(link, /clim=-40(%2C|,)(30|29\.99|30\.00)/);
      const again = await openMap(browser, link);
      assert.equal(await again.page.locator('button.g-unit').innerText(), '°F');
      assert.deepEqual(await again.page.locator('.g-number').allInnerTexts(), ['−40', '86']);
      // A variable that the unit does not fit keeps its own.
      await again.page.locator('.g-pick select').first().selectOption('rhum');
      await idle(again.page);
      assert.equal((await again.page.locator('.g-unit').innerText()), '%');
      await again.page.waitForTimeout(600);
      assert.doesNotMatch(again.page.url(), /unit=/);
      await Promise.all([context, again.context].map((c) => c.close()));
    });

    test('the interface appears before the decoder has arrived', async () => {
      const context = await browser.newContext();
      const page = await context.newPage();
      let release;
      const held = new Promise((r) => { release = r; });
      await page.route(/\/decode-[^/]*\.wasm$/, async (route) => { await held; await route.continue(); });
      await page.goto(`${server.url}/?collection=ncep`);
      await page.locator('.g-rail').waitFor({ timeout: 15_000 });
      await page.locator('.g-pick').first().waitFor({ timeout: 15_000 });
      assert.equal(await page.evaluate(() => window.graticule.idle), false);
      release();
      await idle(page);
      await context.close();
    });

    test('loading leaves the main thread free', async (t) => {
      const context = await browser.newContext({ viewport: { width: 900, height: 600 } });
      const page = await context.newPage();
      await page.addInitScript(() => {
        window.longTasks = [];
        new PerformanceObserver((l) => l.getEntries().forEach((e) => window.longTasks.push(Math.round(e.duration)))).observe({ type: 'longtask', buffered: true });
      });
      await page.goto(`${server.url}/?collection=ostia`);
      await idle(page);
      const tasks = await page.evaluate(() => window.longTasks);
      t.diagnostic(`long tasks while loading, ms (aim: none over 50): ${JSON.stringify(tasks)}`);
      // A software GPU draws on the very cores that are measured.
      assert.ok(Math.max(0, ...tasks) <= 1000, `${tasks}`);
      await context.close();
    });

    test('a new version appears in an open explorer without a reload', async () => {
      const fresh = await startServer({ sea: OSTIA });
      try {
        const { page, context } = await openMap(browser, `${fresh.url}/?collection=sea`);
        await page.evaluate(() => { window.sameDocument = true; });
        assert.equal((await page.evaluate(() => window.graticule.state())).steps, 1);
        // The same sea a day later.
        const later = fs.readFileSync(OSTIA);
        const from = Buffer.alloc(4);
        from.writeInt32BE(OSTIA_TIME);
        const at = later.lastIndexOf(from);
        assert.ok(at > 0, 'the sample stores its time as expected');
        later.writeInt32BE(OSTIA_TIME + 86400, at);
        const incoming = path.join(fresh.data, 'incoming');
        fs.mkdirSync(incoming, { recursive: true });
        const file = path.join(incoming, 'ostia-sst-20170606.nc');
        fs.writeFileSync(file, later);
        await fresh.publish(file, 'sea');
        await page.waitForFunction(() => window.graticule.state().steps === 2, null, { timeout: 20_000 });
        assert.equal(await page.evaluate(() => window.sameDocument), true);
        await page.locator('.g-strip').waitFor();
        await page.evaluate(() => window.graticule.setTime(1));
        await idle(page);
        assert.equal((await page.evaluate(() => window.graticule.state())).time, '2017-06-06T12:00:00');
        await context.close();
      } finally {
        await fresh.stop();
      }
    });
  });
}

describe('without any GPU', { skip: missing }, () => {
  test('a sentence says so, and the server\'s picture is shown', async () => {
    const browser = await launch('webgl');
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.addInitScript(() => {
      const get = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...rest) { return /webgl/.test(kind) ? null : get.call(this, kind, ...rest); };
      Object.defineProperty(navigator, 'gpu', { value: undefined });
    });
    await page.goto(`${server.url}/`);
    await page.locator('.g-cannot').waitFor();
    assert.match(await page.locator('.g-cannot').innerText(), /neither WebGPU nor WebGL2/);
    await page.locator('.g-cannot img').waitFor();
    assert.ok(await page.locator('.g-cannot img').evaluate((i) => i.naturalWidth > 0 && i.src.endsWith('/preview.png')));
    await browser.close();
  });
});

describe('at the first look', { skip: missing }, () => {
  test('time moves by itself, unless the reader asked for stillness', async () => {
    const browser = await launch('webgl');
    for (const [reducedMotion, moves] of [['no-preference', true], ['reduce', false]]) {
      const { page, context } = await openMap(browser, `${server.url}/`, { complete: false, reducedMotion });
      await page.waitForFunction(() => window.graticule?.state().steps > 1, null, { timeout: 20_000 });
      const moved = await page.waitForFunction(() => window.graticule.state().step > 0, null, { timeout: moves ? 20_000 : 3000 }).then(() => true, () => false);
      assert.equal(moved, moves, reducedMotion);
      await context.close();
    }
    await browser.close();
  });
});

describe('on a phone', { skip: missing }, () => {
  test('a tap reads the value there, and nothing is wider than the screen', async () => {
    const browser = await launch('webgl');
    const { page, context } = await openMap(browser, `${server.url}/?collection=ncep`, { width: 390, height: 844, hasTouch: true, isMobile: true });
    await page.touchscreen.tap(180, 330);
    await page.locator('.g-readout').waitFor({ timeout: 5000 });
    assert.match(await page.locator('.g-readout').innerText(), /°C/);
    const over = await page.evaluate(() => [...document.querySelectorAll('.g-plate')].map((e) => e.getBoundingClientRect()).filter((r) => r.left < 0 || r.right > innerWidth + 0.5).length);
    assert.equal(over, 0);
    await context.close();
    await browser.close();
  });
});
