// The server's pictures beside the browser's: the same view, pixel by pixel.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, demo, launch, missing, openMap, picture, startServer } from './lib.mjs';
import { bent, cone, stores } from './stores.mjs';

const SIZE = { width: 300, height: 300 };
const RADIUS = 6378137;
const metres = (lon, lat) => [RADIUS * lon * Math.PI / 180, RADIUS * Math.log(Math.tan(Math.PI / 4 + lat * Math.PI / 360))];

/** Pixels of a picture of the server, decoded by the page. */
const drawn = (page, url) => page.evaluate(async (href) => {
  const image = await createImageBitmap(await (await fetch(href)).blob(), { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return [...context.getImageData(0, 0, image.width, image.height).data];
}, url);

/** Each view, and what part of its pixels may differ. Where an edge of cells runs through the middle of pixels, float32
 *  and float64 choose either side; corners of meshes a GPU may round to a sixteenth of a pixel, and those of projected
 *  grids lie up to a tenth of one off. */
const VIEWS = [
  ['ncep', 'air', '-10,40', [10, 30, 3], 0.0002],
  ['ncep', 'air', '-10,40', [-170, -40, 5], 0.0002],
  ['ncep', 'air', '-10,40', [0, 10, 1], 0.0002],
  ['bent', 'v', '0,100', [...bent.place(60, 80), 6.5], 0.001],
  ['bent', 'v', '0,100', [...bent.place(100, 130), 5], 0.005],
  ['cone', 'v', '0,100', [...cone.place(75, 100), 6], 0.01],
];

for (const backend of Object.keys(BACKENDS)) {
  describe(`pictures of server and browser (${backend})`, { skip: missing }, () => {
    let server, browser, folder;
    before(async () => {
      folder = fs.mkdtempSync(path.join(os.tmpdir(), 'graticule-grids-'));
      for (const [name, bytes] of Object.entries(stores())) {
        fs.mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
        fs.writeFileSync(path.join(folder, name), bytes);
      }
      const grid = (name) => path.join(folder, name);
      server = await startServer({ ncep: demo('ncep-climatology.nc'), bent: grid('bent'), cone: grid('cone') });
      browser = await launch(backend);
    });
    after(async () => {
      await browser?.close();
      await server?.stop();
      fs.rmSync(folder, { recursive: true, force: true });
    });

    for (const [collection, variable, clim, at, allowed] of VIEWS) {
      test(`are one: ${collection} at ${at.map((n) => Number(n.toFixed(2)))}`, async (t) => {
        const style = { colormap: 'viridis', clim };
        const query = new URLSearchParams({ collection, var: variable, projection: 'mercator', at: at.join(), coastlines: 0, smooth: 0, ...style });
        const { page, context } = await openMap(browser, `${server.url}/?${query}`, SIZE);
        // The view in metres, from where two places are on the screen.
        const [lon, lat] = at;
        const places = [[lon, lat], [lon + 1, lat + 1]];
        const [p, q] = await page.evaluate((all) => all.map(([x, y]) => window.graticule.project(x, y)), places);
        const [a, b] = places.map(([x, y]) => metres(x, y));
        const [perX, perY] = [(b[0] - a[0]) / (q[0] - p[0]), (b[1] - a[1]) / (q[1] - p[1])];
        const left = a[0] - p[0] * perX, top = a[1] - p[1] * perY;
        const bbox = [left, top + SIZE.height * perY, left + SIZE.width * perX, top];
        const map = new URLSearchParams({ variable, crs: 'EPSG:3857', bbox: bbox.join(), 'bbox-crs': 'EPSG:3857', ...SIZE, ...style, f: 'png' });
        const theirs = await drawn(page, `${server.url}/api/collections/${collection}/map?${map}`);
        const ours = await picture(page);
        let compared = 0, apart = [];
        for (let y = 0; y < SIZE.height; y++) for (let x = 0; x < SIZE.width; x++) {
          const i = 4 * (y * SIZE.width + x);
          if (theirs[i + 3] !== 255) continue;
          compared++;
          if (ours.at(x, y).some((c, k) => c !== theirs[i + k])) apart.push([x, y]);
        }
        await context.close();

        assert.ok(compared > 0.3 * SIZE.width * SIZE.height, `${compared} pixels have data`);
        t.diagnostic(`${apart.length} of ${compared} pixels differ`);
        assert.ok(apart.length <= allowed * compared, `${apart.length} of ${compared} differ, such as ${JSON.stringify(apart.slice(0, 5))}`);
      });
    }
  });
}
