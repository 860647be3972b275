// A graphics device that goes away is no reason for a blank page.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, chunks, demo, idle, launch, missing, near, openMap, picture, startServer } from './lib.mjs';

let server;
before(async () => {
  if (!missing) server = await startServer({ ncep: demo('ncep-climatology.nc') });
});
after(() => server?.stop());

/** Keeps hold of every device and context, so that the test can take them away. */
function remember() {
  window.devices = [];
  window.contexts = [];
  if (window.GPUAdapter) {
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...args) {
      const device = await request.apply(this, args);
      window.devices.push(device);
      return device;
    };
  }
  const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const context = get.call(this, kind, ...rest);
    if (kind === 'webgl2' && this.isConnected && context && !window.contexts.includes(context)) window.contexts.push(context);
    return context;
  };
}

/** As a driver's restart does it. */
async function lose() {
  const gone = window.devices.length;
  window.devices.forEach((d) => d.destroy());
  for (const context of window.contexts) {
    const extension = context.getExtension('WEBGL_lose_context');
    extension.loseContext();
    await new Promise((r) => setTimeout(r, 300));
    extension.restoreContext();
  }
  return [gone, window.contexts.length];
}

for (const backend of Object.keys(BACKENDS)) {
  describe(`on ${backend}`, { skip: missing }, () => {
    let browser;
    before(async () => { browser = await launch(backend); });
    after(() => browser?.close());

    test('the map comes back as it was, twice, untouched, and asks for no chunk again', async () => {
      const query = { collection: 'ncep', time: '1996-04-01T00:00:00', at: '20,30,1.5', clim: '-40,40', colormap: 'turbo', graticule: 1 };
      const context = await browser.newContext({ viewport: { width: 900, height: 600 }, reducedMotion: 'reduce' });
      await context.addInitScript(remember);
      const page = await context.newPage();
      const requests = [], errors = [];
      page.on('request', (r) => requests.push(r.url()));
      page.on('pageerror', (e) => errors.push(String(e)));
      await page.goto(`${server.url}/?${new URLSearchParams(query)}`);
      await idle(page);
      await page.waitForTimeout(700);
      const before_ = await picture(page);
      const state = await page.evaluate(() => window.graticule.state());
      for (let round = 0; round < 2; round++) {
        const asked = requests.length;
        const [devices, contexts] = await page.evaluate(lose);
        assert.ok(backend === 'webgpu' ? devices === round + 1 : contexts === 1, `${devices} devices, ${contexts} contexts`);
        // No hand, no key, no resize in between.
        await page.waitForTimeout(400);
        await idle(page);
        await page.waitForTimeout(700);
        const again = await picture(page);
        let different = 0, compared = 0;
        for (let x = 5; x < 900; x += 20) for (let y = 5; y < 600; y += 20) {
          compared++;
          if (!near(before_.at(x, y), again.at(x, y), 2)) different++;
        }
        assert.ok(different === 0, `round ${round}: ${different} of ${compared} pixels differ; the middle is ${again.at(450, 300)}, was ${before_.at(450, 300)}`);
        assert.deepEqual(chunks(requests.slice(asked)), []);
        assert.deepEqual({ ...await page.evaluate(() => window.graticule.state()), idle: true }, { ...state, idle: true });
      }
      assert.equal(await page.locator('.g-trouble').count(), 0);
      assert.deepEqual(errors, []);
      // It goes on working.
      await page.evaluate(() => window.graticule.setTime(7));
      await idle(page);
      assert.notDeepEqual((await picture(page)).at(450, 200), before_.at(450, 200));
      await context.close();
    });
  });
}
