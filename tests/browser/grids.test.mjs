// Grids that are not on latitude and longitude: what is drawn where, and what is read there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, ROOT, colourOf, idle, launch, near, openMap, picture, pixelAt, serveFiles } from './lib.mjs';
import { FILL, bent, cone, stores, value } from './stores.mjs';

const DIST = path.join(ROOT, 'dist');
const skip = fs.existsSync(path.join(DIST, 'index.html')) ? false : `SKIPPED: no client in ${DIST} (make dist/index.html)`;
if (skip) console.error(`\n*** ${skip} ***\n`);

function client() {
  const files = {};
  const walk = (folder) => {
    for (const entry of fs.readdirSync(path.join(DIST, folder), { withFileTypes: true })) {
      const name = path.posix.join(folder, entry.name);
      if (entry.isDirectory()) walk(name); else if (!name.endsWith('.br')) files[name] = fs.readFileSync(path.join(DIST, name));
    }
  };
  walk('');
  return files;
}

const GRIDS = { cone, bent };
/** Cells all over both grids; with their pages' borders, and one that is no data. */
const CELLS = {
  cone: [[75, 100], [63, 47], [64, 48], [5, 4], [120, 180], [149, 199], [28, 21]],
  bent: [[60, 80], [63, 47], [64, 48], [5, 4], [100, 30], [90, 120], [28, 21]],
};

describe('grids of their own', { skip }, () => {
  let page0, data;
  before(async () => {
    page0 = await serveFiles(client());
    data = await serveFiles(stores());
  });
  after(async () => { await page0?.stop(); await data?.stop(); });
  const map = (store, query) => `${page0.url}/index.html?${new URLSearchParams({ src: `${data.url}/${store}`, clim: '0,100', colormap: 'viridis', coastlines: 0, ...query })}`;

  for (const backend of Object.keys(BACKENDS)) {
    describe(`on ${backend}`, () => {
      let browser;
      before(async () => { browser = await launch(backend); });
      after(() => browser?.close());

      for (const store of Object.keys(GRIDS)) {
        for (const projection of ['mercator', 'globe']) {
          test(`${store}, ${projection}: at known places the colour and the readout are those of the known cell`, async () => {
            const grid = GRIDS[store];
            const [lon, lat] = grid.place(grid.rows / 2, grid.columns / 2);
            const { page, context, errors } = await openMap(browser, map(store, { at: `${lon},${lat},3.6`, projection }), { width: 1000, height: 800 });
            const shot = await picture(page);
            const wrong = [];
            let cells = 0;
            for (let r = 3; r < grid.rows; r += 5) {
              for (let c = 2; c < grid.columns; c += 7) {
                if (value(0, r, c) === FILL || grid.none?.(r, c)) continue;
                const [[x, y]] = await at(page, [grid.place(r, c)]);
                if (x < 0 || y < 0 || x >= 1000 || y >= 800) continue;
                cells++;
                const [drawn, expected] = [shot.at(Math.floor(x), Math.floor(y)), colourOf('viridis', value(0, r, c), 0, 100)];
                if (!near(drawn, expected)) wrong.push(`${r},${c}: drawn ${drawn}, expected ${expected}`);
              }
            }
            assert.ok(cells > 400, `${cells} cells in view`);
            assert.deepEqual(wrong, []);
            for (const [r, c] of CELLS[store]) {
              const [longitude, latitude] = grid.place(r, c);
              const read = await page.evaluate(([x, y]) => window.graticule.readout(x, y), [longitude, latitude]);
              assert.equal(read.value ?? null, value(0, r, c) === FILL ? null : value(0, r, c), `${r},${c}: ${JSON.stringify(read)}`);
              assert.deepEqual([read.row, read.column, read.level], [r, c, 0]);
              assert.ok(Math.abs(read.cellLatitude - latitude) < 1e-6, JSON.stringify(read));
            }
            assert.deepEqual(errors, []);
            await context.close();
          });
        }

        test(`${store}: no data and what lies beside the grid show the ground`, async () => {
          const [longitude, latitude] = GRIDS[store].place(28, 21);
          const shots = [];
          for (const opacity of [1, 0]) {
            const { page, context } = await openMap(browser, map(store, { at: `${longitude},${latitude},6.5`, opacity }), { width: 500, height: 400 });
            await page.waitForTimeout(1500);
            shots.push(await pixelAt(page, longitude, latitude));
            const beside = await page.evaluate(([x, y]) => window.graticule.readout(x, y), [longitude, latitude + 60]);
            assert.equal(beside ?? null, null);
            await context.close();
          }
          assert.deepEqual(shots[0], shots[1]);
        });

        test(`${store}: seen whole it is drawn from the coarse level, without gaps, and colours make no request`, async () => {
          const [lon, lat] = GRIDS[store].place(60, 80);
          const { page, context, requests } = await openMap(browser, map(store, { at: `${lon},${lat},0.3`, clim: '-1e6,1e6' }), { width: 500, height: 400 });
          assert.ok(requests.some((r) => r.includes(`/${store}/1/v/c/`)) && !requests.some((r) => r.includes(`/${store}/v/c/`)));
          // One colour for all numbers: whatever else shows between two cells with numbers is a gap.
          const one = colourOf('viridis', 0, -1, 1);
          const shot = await picture(page);
          const whole = [];
          for (let r = 4; r < GRIDS[store].rows - 4; r++) {
            for (let c = 4; c < GRIDS[store].columns - 4; c++) {
              if (value(0, r & ~1, c & ~1) !== FILL && !GRIDS[store].none?.(r + 4, c + 4)) whole.push(GRIDS[store].place(r, c));
            }
          }
          let gaps = 0, cells = 0;
          for (const [x, y] of await at(page, whole)) {
            if (x < 0 || y < 0 || x >= 500 || y >= 400) continue;
            cells++;
            gaps += near(shot.at(Math.floor(x), Math.floor(y)), one) ? 0 : 1;
          }
          assert.ok(cells > 1000, `${cells} cells in view`);
          assert.ok(gaps <= cells / 200, `${gaps} of ${cells}`);
          // The globe is seen from nearer by, with other pages.
          for (const projection of ['globe', 'mercator']) {
            await page.evaluate((p) => window.graticule.setProjection(p), projection);
            await idle(page);
          }
          const before = requests.length;
          for (const step of [() => window.graticule.setColormap('turbo'), () => window.graticule.setClim(-20, 20), () => window.graticule.setProjection('globe'), () => window.graticule.setProjection('mercator')]) {
            await page.evaluate(step);
            await idle(page);
          }
          assert.deepEqual(requests.slice(before), []);
          await context.close();
        });
      }

      test('pages meet without seams, on the map and on the globe', async () => {
        for (const store of Object.keys(GRIDS)) {
          for (const projection of ['mercator', 'globe']) {
            const [lon, lat] = GRIDS[store].place(63.5, 47.5);
            const { page, context } = await openMap(browser, map(store, { at: `${lon},${lat},5`, clim: '-1e6,1e6', projection }), { width: 500, height: 300 });
            const [shot, one] = [await picture(page), colourOf('viridis', 0, -1, 1)];
            let other = 0;
            for (let y = 0; y < 300; y++) for (let x = 0; x < 500; x++) other += near(shot.at(x, y), one) ? 0 : 1;
            // One cell in 23 * 17 is no data.
            assert.ok(other / (500 * 300) < 2 / (23 * 17), `${store}, ${projection}: ${other} pixels`);
            await context.close();
          }
        }
      });

      test('each step of time draws its own values', async () => {
        const [longitude, latitude] = bent.place(60, 80);
        const { page, context } = await openMap(browser, map('bent', { at: `${longitude},${latitude},7` }), { width: 500, height: 400 });
        for (const t of [1, 0]) {
          await page.evaluate((i) => window.graticule.setTime(i), t);
          await idle(page);
          const [drawn, expected] = [await pixelAt(page, longitude, latitude), colourOf('viridis', value(t, 60, 80), 0, 100)];
          assert.ok(near(drawn, expected), `step ${t}: drawn ${drawn}, expected ${expected}`);
        }
        await context.close();
      });
    });
  }
});

/** Where the map of a page has places. */
const at = (page, places) => page.evaluate((all) => all.map(([lon, lat]) => window.graticule.project(lon, lat)), places);
