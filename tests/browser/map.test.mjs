// What is drawn is the data: pixels, readouts and requests, on both backends.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, chunks, colourOf, demo, idle, launch, missing, near, openMap, picture, pixelAt, startServer } from './lib.mjs';

const known = JSON.parse(fs.readFileSync(new URL('./known.json', import.meta.url)));
let server;
before(async () => {
  if (!missing) server = await startServer({ ostia: demo(known.ostia.file), ncep: demo(known.ncep.file) });
});
after(() => server?.stop());

const explorer = (query) => `${server.url}/?${new URLSearchParams(query)}`;

for (const backend of Object.keys(BACKENDS)) {
  describe(`on ${backend}`, { skip: missing }, () => {
    let browser;
    before(async () => { browser = await launch(backend); });
    after(() => browser?.close());

    test('the larger build is fetched only where there is no WebGPU', async () => {
      for (const query of [{ collection: 'ncep' }, { collection: 'ncep', gpu: 'webgl' }]) {
        const { page, context, requests, errors } = await openMap(browser, explorer(query));
        const state = await page.evaluate(() => window.graticule.state());
        const webgl = backend === 'webgl' || query.gpu === 'webgl';
        assert.equal(state.backend, webgl ? 'webgl2' : 'webgpu');
        assert.equal(requests.some((r) => r.includes('app-webgl')), webgl);
        if (query.gpu) assert.ok(!requests.some((r) => r.includes('app-webgpu')));
        assert.deepEqual(errors, []);
        await context.close();
      }
    });

    test('at known places the drawn colour is the colour map\'s colour of the known value', async () => {
      for (const projection of ['mercator', 'globe']) {
        for (const { longitude, latitude, value } of known.ostia.points.filter((p) => p.value !== null)) {
          const query = { collection: 'ostia', at: `${longitude},${latitude},6`, clim: '270,310', colormap: 'viridis', coastlines: 0, smooth: 0, projection };
          const { page, context } = await openMap(browser, explorer(query), { width: 500, height: 400 });
          const [drawn, expected] = [await pixelAt(page, longitude, latitude), colourOf('viridis', value, 270, 310)];
          assert.ok(near(drawn, expected), `${projection} ${longitude},${latitude}: drawn ${drawn}, expected ${expected}`);
          await context.close();
        }
      }
    });

    test('where there is no data the ground shows through', async () => {
      const { longitude, latitude } = known.ostia.points.find((p) => p.value === null);
      const pages = [];
      for (const opacity of [1, 0]) {
        const query = { collection: 'ostia', at: `${longitude},${latitude},6`, clim: '270,310', coastlines: 0, smooth: 0, opacity };
        pages.push(await openMap(browser, explorer(query), { width: 500, height: 400 }));
      }
      const read = await pages[0].page.evaluate(([x, y]) => window.graticule.readout(x, y), [longitude, latitude]);
      assert.equal(read.value ?? null, null);
      // The land under the data has its own file, which may come after it.
      let drawn;
      for (let i = 0; i < 20; i++) {
        drawn = await Promise.all(pages.map(({ page }) => pixelAt(page, longitude, latitude)));
        if (near(drawn[0], drawn[1], 0)) break;
        await new Promise((r) => setTimeout(r, 250));
      }
      assert.deepEqual(drawn[0], drawn[1]);
      await Promise.all(pages.map(({ context }) => context.close()));
    });

    test('the readout is the stored float, and the position query says the same', async () => {
      const { page, context } = await openMap(browser, explorer({ collection: 'ostia' }));
      for (const { longitude, latitude, value } of known.ostia.points) {
        const read = await page.evaluate(([x, y]) => window.graticule.readout(x, y), [longitude, latitude]);
        assert.equal(read?.value ?? null, value);
        const url = `${server.url}/api/collections/ostia/position?coords=POINT(${longitude} ${latitude})&parameter-name=analysed_sst`;
        const answer = await (await fetch(url)).json();
        assert.equal(answer.ranges.analysed_sst.values[0], value);
      }
      await context.close();
    });

    test('colour map, range, scale, projection and theme make no request; nor does a time seen before', async () => {
      const { page, context, requests } = await openMap(browser, explorer({ collection: 'ncep', clim: '-40,40', at: '0,20,0.7' }));
      await page.waitForTimeout(500);
      // Chosen by the variable's name, and told to the legend although the range came from the address.
      assert.equal(await page.evaluate(() => window.graticule.state().colormap), 'thermal');
      const drawn = (await picture(page)).at(450, 300);
      const before = requests.length;
      for (const step of [
        () => window.graticule.setColormap('turbo'),
        () => window.graticule.setClim(-20, 20),
        () => window.graticule.setTheme('light'),
        () => window.graticule.setProjection('globe'),
        () => window.graticule.setProjection('mercator'),
        () => window.graticule.setTheme('dark'),
      ]) {
        await page.evaluate(step);
        await idle(page);
      }
      assert.deepEqual(requests.slice(before), []);
      assert.notDeepEqual((await picture(page)).at(450, 300), drawn);

      await page.evaluate(() => window.graticule.setTime(11));
      await idle(page);
      const seen = requests.length;
      for (const t of [0, 11, 0]) {
        await page.evaluate((i) => window.graticule.setTime(i), t);
        await idle(page);
      }
      assert.deepEqual(chunks(requests.slice(seen)), []);
      await context.close();
    });

    test('each step of time draws its own values', async () => {
      const { longitude, latitude, first, second, last } = known.ncep.points[0];
      const query = { collection: 'ncep', at: `${longitude},${latitude},5`, clim: '0,10', colormap: 'viridis', coastlines: 0, smooth: 0 };
      const { page, context } = await openMap(browser, explorer(query), { width: 500, height: 400 });
      for (const [step, value] of [[0, first], [1, second], [11, last], [0, first]]) {
        await page.evaluate((i) => window.graticule.setTime(i), step);
        await idle(page);
        const [drawn, expected] = [await pixelAt(page, longitude, latitude), colourOf('viridis', value, 0, 10)];
        assert.ok(near(drawn, expected), `step ${step}: drawn ${drawn}, expected ${expected}`);
        assert.equal((await page.evaluate(([x, y]) => window.graticule.readout(x, y), [longitude, latitude])).value, value);
      }
      await context.close();
    });

    test('the address restores exactly what its sender saw', async () => {
      const query = {
        collection: 'ncep', var: 'rhum', time: '1996-04-01T00:00:00', at: '12.5,41.25,3.5', projection: 'globe', colormap: 'haline',
        reversed: 1, clim: '12.25,87.5', scale: 'log', opacity: '0.8', theme: 'light', graticule: 1, smooth: 1, unit: '1',
      };
      const one = await openMap(browser, explorer(query));
      await one.page.waitForTimeout(800);
      const link = one.page.url();
      const two = await openMap(browser, link);
      const [a, b] = await Promise.all([one, two].map(({ page }) => page.evaluate(() => window.graticule.state())));
      // Whether something is being prefetched just now is no part of what is seen.
      assert.deepEqual({ ...a, idle: null }, { ...b, idle: null });
      assert.equal(a.variable, 'rhum');
      assert.equal(a.unit, '1');
      assert.equal(a.time, '1996-04-01T00:00:00');
      assert.deepEqual(a.clim, [12.25, 87.5]);
      assert.deepEqual([a.projection, a.colormap, a.reversed, a.scale, a.opacity, a.theme], ['globe', 'haline', true, 'log', 0.8, 'light']);
      const pictures = await Promise.all([one, two].map(({ page }) => picture(page)));
      for (let x = 50; x < 900; x += 100) for (let y = 50; y < 600; y += 100) assert.ok(near(pictures[0].at(x, y), pictures[1].at(x, y), 2), `${x},${y}`);
      // The step of the link is asked for at once: none other comes before it.
      assert.ok(chunks(two.requests).length <= chunks(one.requests).length + 1);
      await Promise.all([one, two].map(({ context }) => context.close()));
    });
  });
}
