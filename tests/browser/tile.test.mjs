// The server's pictures beside the browser's: the same view, pixel by pixel.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, demo, launch, missing, openMap, picture, startServer } from './lib.mjs';

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

for (const backend of Object.keys(BACKENDS)) {
  describe(`pictures of server and browser (${backend})`, { skip: missing }, () => {
    let server, browser;
    before(async () => {
      server = await startServer({ ncep: demo('ncep-climatology.nc') });
      browser = await launch(backend);
    });
    after(() => server.stop());

    for (const at of ['10,30,3', '-170,-40,5', '0,10,1']) {
      test(`are one at ${at}`, async () => {
        const style = { colormap: 'viridis', clim: '-10,40' };
        const query = new URLSearchParams({ collection: 'ncep', var: 'air', projection: 'mercator', at, coastlines: 0, smooth: 0, ...style });
        const { page, context } = await openMap(browser, `${server.url}/?${query}`, SIZE);
        // The view in metres, from where two places are on the screen.
        const [lon, lat] = at.split(',').map(Number);
        const places = [[lon, lat], [lon + 1, lat + 1]];
        const [p, q] = await page.evaluate((all) => all.map(([x, y]) => window.graticule.project(x, y)), places);
        const [a, b] = places.map(([x, y]) => metres(x, y));
        const [perX, perY] = [(b[0] - a[0]) / (q[0] - p[0]), (b[1] - a[1]) / (q[1] - p[1])];
        const left = a[0] - p[0] * perX, top = a[1] - p[1] * perY;
        const bbox = [left, top + SIZE.height * perY, left + SIZE.width * perX, top];
        const map = new URLSearchParams({ variable: 'air', crs: 'EPSG:3857', bbox: bbox.join(), 'bbox-crs': 'EPSG:3857', ...SIZE, ...style, f: 'png' });
        const theirs = await drawn(page, `${server.url}/api/collections/ncep/map?${map}`);
        const ours = await picture(page);
        let compared = 0, apart = [];
        for (let y = 0; y < SIZE.height; y++) for (let x = 0; x < SIZE.width; x++) {
          const i = 4 * (y * SIZE.width + x);
          if (theirs[i + 3] !== 255) continue;
          compared++;
          if (ours.at(x, y).some((c, k) => c !== theirs[i + k])) apart.push([x, y]);
        }
        await context.close();
        assert.ok(compared > 0.5 * SIZE.width * SIZE.height, `${compared} pixels have data`);
        // Where an edge of cells runs through the middle of pixels, float32 and float64 choose either side.
        assert.ok(apart.length <= 0.0002 * compared, `${apart.length} of ${compared} differ, such as ${JSON.stringify(apart.slice(0, 5))}`);
      });
    }
  });
}
