// The shader against its twins: some two hundred pixels of a map, each compared with
// the value that the position query gives for the place under it, put through the
// colour scale. Projection and colour are computed here anew, from their definitions.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, colourOf, demo, launch, missing, near, openMap, picture, startServer } from './lib.mjs';

const known = JSON.parse(fs.readFileSync(new URL('./known.json', import.meta.url)));
let server;
before(async () => {
  if (!missing) server = await startServer({ ostia: demo(known.ostia.file), ncep: demo(known.ncep.file) });
});
after(() => server?.stop());

const SIZE = { width: 500, height: 400 }, DEG = 180 / Math.PI;

/** Longitude and latitude under a pixel, and how near the limb it is (1: on it); null beside the Earth. */
function unproject({ projection, longitude, latitude, zoom }, x, y) {
  const world = 512 * 2 ** zoom, dx = x - SIZE.width / 2, dy = y - SIZE.height / 2;
  if (projection === 'mercator') {
    const v = 0.5 - Math.log(Math.tan(Math.PI / 4 + latitude / DEG / 2)) / (2 * Math.PI) + dy / world;
    if (v < 0 || v > 1) return null;
    return { longitude: longitude + (dx / world) * 360, latitude: (2 * Math.atan(Math.exp((0.5 - v) * 2 * Math.PI)) - Math.PI / 2) * DEG, limb: 0 };
  }
  const radius = world / (2 * Math.PI), u = dx / radius, v = -dy / radius, limb = Math.hypot(u, v);
  if (limb > 1) return null;
  const z = Math.sqrt(1 - limb * limb), sin = Math.sin(latitude / DEG), cos = Math.cos(latitude / DEG);
  return { longitude: longitude + Math.atan2(u, z * cos - v * sin) * DEG, latitude: Math.asin(v * cos + z * sin) * DEG, limb };
}

const wrap = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;

/** Of each place: the centre of its cell, and the stored value or null. */
async function values({ collection, variable, datetime }, places) {
  const out = [];
  for (let i = 0; i < places.length; i += 60) {
    const part = places.slice(i, i + 60);
    const coords = `MULTIPOINT(${part.map((p) => `(${wrap(p.longitude)} ${p.latitude})`).join(',')})`;
    const query = new URLSearchParams({ coords, 'parameter-name': variable, f: 'CSV', ...(datetime && { datetime }) });
    const answer = await fetch(`${server.url}/api/collections/${collection}/position?${query}`);
    assert.equal(answer.status, 200, await answer.clone().text());
    const rows = (await answer.text()).trim().split('\r\n').slice(1).map((r) => r.split(','));
    assert.equal(rows.length, part.length);
    out.push(...rows.map((r) => ({ longitude: Number(r[0]), latitude: Number(r[1]), value: r.at(-1) === '' ? null : Number(r.at(-1)) })));
  }
  return out;
}

const views = [
  { collection: 'ostia', variable: 'analysed_sst', step: 0.25, clim: [270, 310], projection: 'mercator', longitude: 150, latitude: -30, zoom: 4.3 },
  { collection: 'ostia', variable: 'analysed_sst', step: 0.25, clim: [270, 310], projection: 'mercator', longitude: 179.5, latitude: 60, zoom: 5 },
  { collection: 'ostia', variable: 'analysed_sst', step: 0.25, clim: [270, 310], projection: 'globe', longitude: -20, latitude: 35, zoom: 4.3 },
  { collection: 'ncep', variable: 'air', datetime: '1996-01-01', step: 2.5, clim: [-40, 40], projection: 'mercator', longitude: 10, latitude: 20, zoom: 1.2 },
  { collection: 'ncep', variable: 'air', datetime: '1996-01-01', step: 2.5, clim: [-40, 40], projection: 'globe', longitude: 200, latitude: 40, zoom: 1.3 },
];

for (const backend of Object.keys(BACKENDS)) {
  describe(`on ${backend}`, { skip: missing }, () => {
    let browser;
    before(async () => { browser = await launch(backend); });
    after(() => browser?.close());

    const open = (view, more) => openMap(browser, `${server.url}/?${new URLSearchParams({
      collection: view.collection, var: view.variable, colormap: 'viridis', clim: view.clim.join(), coastlines: 0, projection: view.projection,
      at: `${view.longitude},${view.latitude},${view.zoom}`, ...more })}`, SIZE);

    for (const view of views) {
      test(`${view.projection}, ${view.collection} at ${view.longitude} ${view.latitude}: two hundred pixels have the colours of their values`, async (t) => {
        const [shown, ground] = [await open(view, { smooth: 0 }), await open(view, { smooth: 0, opacity: 0 })];
        const pixels = [];
        for (let j = 0; j < 12; j++) for (let i = 0; i < 17; i++) pixels.push([Math.round(8 + i * 30.1), Math.round(6 + j * 35.3)]);
        const here = pixels.map(([x, y]) => ({ x, y, place: unproject(view, x + 0.5, y + 0.5) }));
        const inside = here.filter((p) => p.place && Math.abs(p.place.latitude) < 89.9);
        const cells = await values(view, inside.map((p) => p.place));
        const drawn = await picture(shown.page);
        // The land under the data has its own file, which may come after it.
        let bare = await picture(ground.page);
        for (let i = 0; i < 20; i++) {
          await ground.page.waitForTimeout(150);
          const again = await picture(ground.page);
          if (pixels.every(([x, y]) => near(again.at(x, y), bare.at(x, y), 0)) && i > 2) break;
          bare = again;
        }
        let compared = 0, empty = 0;
        inside.forEach(({ x, y, place }, i) => {
          const cell = cells[i], found = drawn.at(x, y);
          // Float32 may decide for the neighbour within a hundredth of a cell of the edge, and near the limb sooner.
          const off = Math.max(Math.abs(wrap(place.longitude - cell.longitude)), Math.abs(place.latitude - cell.latitude)) / view.step;
          if (off > 0.49 || place.limb > 0.97) return;
          compared++;
          if (cell.value === null) {
            empty++;
            assert.ok(near(found, bare.at(x, y), 0), `no data at ${x},${y}: drawn ${found}, the ground is ${bare.at(x, y)}`);
          } else {
            const expected = colourOf('viridis', cell.value, ...view.clim);
            assert.ok(near(found, expected), `${x},${y} (${place.longitude} ${place.latitude} = ${cell.value}): drawn ${found}, expected ${expected}`);
          }
        });
        for (const { x, y, place } of here) if (!place) assert.ok(near(drawn.at(x, y), bare.at(x, y), 0), `beside the Earth at ${x},${y}`);
        t.diagnostic(`${compared} pixels compared, ${empty} of them without data, ${here.length - inside.length} beside the Earth`);
        assert.ok(compared >= (view.projection === 'globe' && view.zoom < 2 ? 60 : 170), `only ${compared} of ${pixels.length} could be compared`);
        await Promise.all([shown, ground].map(({ context }) => context.close()));
      });
    }

    test('smooth: a cell\'s centre keeps its value, and halfway to the next is their mean', async () => {
      const view = { ...views[3], longitude: 20, latitude: 10, zoom: 3 };
      const { page, context } = await open(view, { smooth: 1 });
      const places = [];
      for (let lon = 0; lon <= 40; lon += 2.5) for (const lat of [0, 10, 20]) places.push({ longitude: lon, latitude: lat });
      const cells = await values(view, places);
      const at = new Map(places.map((p, i) => [`${p.longitude} ${p.latitude}`, cells[i].value]));
      const project = (lon, lat) => page.evaluate(([x, y]) => window.graticule.project(x, y), [lon, lat]);
      const drawn = await picture(page);
      // A pixel's centre lies up to half a pixel beside the place: the field's slope there is the slack.
      const fits = async (lon, lat, value, slope) => {
        const [x, y] = await project(lon, lat);
        const found = drawn.at(Math.floor(x), Math.floor(y));
        const some = [-1, -0.5, 0, 0.5, 1].some((k) => near(found, colourOf('viridis', value + k * slope, ...view.clim), 3));
        assert.ok(some, `${lon} ${lat} = ${value}: drawn ${found}, expected ${colourOf('viridis', value, ...view.clim)}`);
      };
      for (let lon = 2.5; lon < 37.5; lon += 2.5) for (const lat of [10]) {
        const [a, b] = [at.get(`${lon} ${lat}`), at.get(`${lon + 2.5} ${lat}`)];
        const slope = Math.max(Math.abs(a - b), 0.5) * 0.15;
        await fits(lon, lat, a, slope);
        await fits(lon + 1.25, lat, (a + b) / 2, slope);
      }
      await context.close();
    });

    test('large cells are smooth unless the address says otherwise, and small ones flat', async () => {
      const smooth = async (query) => {
        const { page, context } = await openMap(browser, `${server.url}/?${new URLSearchParams(query)}`, SIZE);
        const answer = await page.evaluate(() => window.graticule.state().smooth);
        // What is drawn: neighbouring pixels across a cell's width differ, or are one colour.
        const image = await picture(page), row = [];
        for (let x = 200; x < 260; x++) row.push(image.at(x, 200).join());
        const link = await page.evaluate(async () => { await new Promise((r) => setTimeout(r, 600)); return location.search; });
        await context.close();
        return { answer, colours: new Set(row).size, link };
      };
      const near_ = { collection: 'ncep', var: 'air', at: '20,20,3', clim: '-10,40', coastlines: 0, colormap: 'viridis' };
      const auto = await smooth(near_), flat = await smooth({ ...near_, smooth: 0 });
      assert.deepEqual([auto.answer, flat.answer], [true, false]);
      assert.ok(auto.colours > 2 * flat.colours, `${auto.colours} and ${flat.colours} colours`);
      assert.doesNotMatch(auto.link, /smooth=/);
      assert.match(flat.link, /smooth=0/);
      assert.equal((await smooth({ collection: 'ostia', at: '0,0,1', coastlines: 0 })).answer, false);
    });
  });
}
