// Grids that are not on latitude and longitude: what is drawn where, and what is read there.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, ROOT, colourOf, idle, launch, near, openMap, picture, pixelAt, serveFiles } from './lib.mjs';

const DIST = path.join(ROOT, 'dist');
const skip = fs.existsSync(path.join(DIST, 'index.html')) ? false : `SKIPPED: no client in ${DIST} (make dist/index.html)`;
if (skip) console.error(`\n*** ${skip} ***\n`);

const RAD = Math.PI / 180;
const FILL = -999;

// ---- two grids, written by hand as Zarr v3 without compression ----

/** A cell's number; some are none. */
const value = (t, r, c) => ((r % 23 === 5 && c % 17 === 4) ? FILL : (r * 7 + c * 3 + t * 31) % 100);

/** Files of an array, cut into chunks, and its metadata. */
function array(files, name, { shape, chunk, dims, type, at, attributes, fill = 0 }) {
  const bytes = { float32: 4, float64: 8 }[type];
  const counts = shape.map((n, d) => Math.ceil(n / chunk[d]));
  const walk = (limits, visit, index = []) => {
    if (index.length === limits.length) return visit(index);
    for (let i = 0; i < limits[index.length]; i++) walk(limits, visit, [...index, i]);
  };
  walk(counts, (block) => {
    const data = Buffer.alloc(chunk.reduce((a, b) => a * b, bytes));
    let n = 0;
    walk(chunk, (within) => {
      const index = within.map((i, d) => block[d] * chunk[d] + i);
      const v = index.every((i, d) => i < shape[d]) ? at(...index) : fill;
      if (type === 'float32') data.writeFloatLE(v, 4 * n++); else data.writeDoubleLE(v, 8 * n++);
    });
    files[`${name}/c/${block.join('/')}`] = data;
  });
  return {
    zarr_format: 3, node_type: 'array', shape, data_type: type, fill_value: fill, dimension_names: dims, attributes,
    chunk_grid: { name: 'regular', configuration: { chunk_shape: chunk } },
    chunk_key_encoding: { name: 'default', configuration: { separator: '/' } },
    codecs: [{ name: 'bytes', configuration: { endian: 'little' } }],
  };
}

function group(nodes, attributes = {}) {
  return JSON.stringify({
    zarr_format: 3, node_type: 'group', attributes,
    consolidated_metadata: { kind: 'inline', must_understand: false, metadata: nodes },
  });
}

const multiscales = { multiscales: { layout: [{ asset: '.' }, { asset: '1', derived_from: '.' }] } };

/** Lambert's conformal conic on a sphere (Snyder 15-1 to 15-11, one parallel), 20 km cells about (10 E, 52 N). */
const cone = {
  rows: 150, columns: 200, step: 20_000, n: Math.sin(52 * RAD), radius: 6_371_229,
  place(r, c) {
    const F = (Math.cos(52 * RAD) * Math.tan(Math.PI / 4 + 26 * RAD) ** this.n) / this.n;
    const rho0 = (this.radius * F) / Math.tan(Math.PI / 4 + 26 * RAD) ** this.n;
    const [x, y] = [(c - (this.columns - 1) / 2) * this.step, ((this.rows - 1) / 2 - r) * this.step];
    const rho = Math.hypot(x, rho0 - y);
    const latitude = 2 * Math.atan(((this.radius * F) / rho) ** (1 / this.n)) - Math.PI / 2;
    return [10 + Math.atan2(x, rho0 - y) / this.n / RAD, latitude / RAD];
  },
};

/** Bent, turned, across the antimeridian, with a corner that has no place. */
const bent = {
  rows: 120, columns: 160,
  place(r, c) {
    const longitude = 168 + 0.2 * c + 0.03 * r + 1.5 * Math.sin(r / 40);
    return [longitude > 180 ? longitude - 360 : longitude, -20 + 0.2 * r - 0.04 * c + Math.sin(c / 50)];
  },
  none: (r, c) => r > 100 && c > 130,
};

function levels(files, nodes, store, grid, attributes, coordinates) {
  for (const k of [0, 1]) {
    const f = 2 ** k, prefix = k ? `${k}/` : '';
    const [rows, columns] = [Math.ceil(grid.rows / f), Math.ceil(grid.columns / f)];
    const add = (name, a) => { nodes[prefix + name] = array(files, `${store}/${prefix}${name}`, a); };
    if (k) nodes['1'] = { zarr_format: 3, node_type: 'group', attributes: {} };
    add('v', {
      shape: [2, rows, columns], chunk: [1, 64, 48], dims: ['time', 'y', 'x'], type: 'float32', fill: FILL,
      at: (t, r, c) => value(t, r * f, c * f), attributes: { _FillValue: FILL, units: '1', ...attributes },
    });
    coordinates(add, f, rows, columns);
  }
  files[`${store}/zarr.json`] = group(nodes, multiscales);
}

function stores() {
  const files = {};
  const time = (files, store) => array(files, `${store}/time`, {
    shape: [2], chunk: [2], dims: ['time'], type: 'float64', at: (i) => i,
    attributes: { units: 'days since 2020-01-01', standard_name: 'time' },
  });
  levels(files, { time: time(files, 'cone') }, 'cone', cone, { grid_mapping: 'crs' }, (add, f, rows, columns) => {
    const axis = (name, n, from, step) => add(name, {
      shape: [n], chunk: [n], dims: [name], type: 'float64', at: (i) => from + step * (i * f + (f - 1) / 2),
      attributes: { standard_name: `projection_${name}_coordinate`, units: 'm' },
    });
    axis('y', rows, ((cone.rows - 1) / 2) * cone.step, -cone.step);
    axis('x', columns, (-(cone.columns - 1) / 2) * cone.step, cone.step);
    add('crs', {
      shape: [], chunk: [], dims: [], type: 'float64', at: () => 0,
      attributes: {
        grid_mapping_name: 'lambert_conformal_conic', standard_parallel: 52, longitude_of_central_meridian: 10,
        latitude_of_projection_origin: 52, earth_radius: cone.radius,
      },
    });
  });
  levels(files, { time: time(files, 'bent') }, 'bent', bent, { coordinates: 'nav_lat nav_lon' }, (add, f, rows, columns) => {
    const angle = (name, which, units) => add(name, {
      shape: [rows, columns], chunk: [50, 70], dims: ['y', 'x'], type: 'float64', fill: NaN,
      at: (r, c) => (bent.none(r * f, c * f) ? NaN : bent.place(r * f + (f - 1) / 2, c * f + (f - 1) / 2)[which]),
      attributes: { standard_name: name === 'nav_lat' ? 'latitude' : 'longitude', units },
    });
    angle('nav_lat', 1, 'degrees_north');
    angle('nav_lon', 0, 'degrees_east');
  });
  return fixNaN(files);
}

/** JSON has no NaN: Zarr writes it as a word. */
function fixNaN(files) {
  for (const key of Object.keys(files).filter((k) => k.endsWith('zarr.json'))) {
    files[key] = files[key].replaceAll('"fill_value":null', '"fill_value":"NaN"');
  }
  return files;
}

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
