// The range that nobody chose is the same wherever a link looks, and the server's.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BACKENDS, launch, missing, openMap, serveFiles, startServer } from './lib.mjs';
import { halves } from './stores.mjs';

/** Where all is 0, where much is not, both at the other step, and all at once. */
const LINKS = ['at=-120,20,6', 'at=100,-30,6', 'at=-120,20,6&time=2020-01-02T00:00:00', 'at=0,0,1'];

for (const backend of Object.keys(BACKENDS)) {
  describe(`the first range (${backend})`, { skip: missing }, () => {
    let server, other, browser, folder;
    before(async () => {
      folder = fs.mkdtempSync(path.join(os.tmpdir(), 'graticule-halves-'));
      for (const [name, bytes] of Object.entries(halves())) {
        fs.mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
        fs.writeFileSync(path.join(folder, name), bytes);
      }
      server = await startServer({ halves: folder });
      other = await serveFiles(halves());
      browser = await launch(backend);
    });
    after(async () => {
      await browser?.close();
      await other?.stop();
      await server?.stop();
      fs.rmSync(folder, { recursive: true, force: true });
    });

    const opened = async (query) => {
      const { page, context, requests } = await openMap(browser, `${server.url}/?${query}&coastlines=0&projection=mercator`);
      const { clim, step } = await page.evaluate(() => window.graticule.state());
      await context.close();
      return { clim, step, requests };
    };

    test('is that of the coarsest level at the first step, as in the legend of the server', async () => {
      const legend = await (await fetch(`${server.url}/api/collections/halves/legend?f=json&variable=sun`)).json();
      assert.ok(legend.range[0] === 0 && legend.range[1] > 400 && legend.range[1] < 500, `${legend.range}`);
      for (const link of LINKS) {
        const { clim, step } = await opened(`collection=halves&var=sun&${link}`);
        assert.equal(step, link.includes('time') ? 1 : 0);
        assert.deepEqual(clim, legend.range, link);
      }
    });

    test('of a store without coarser levels is that of some blocks, not of all', async () => {
      const found = [];
      for (const link of LINKS.slice(0, 3)) {
        const { clim, requests } = await opened(`data=${encodeURIComponent(other.url)}&var=sun&${link}`);
        const blocks = requests.filter((r) => r.includes('/sun/c/'));
        assert.equal(new Set(blocks).size, blocks.length, 'a block is fetched once');
        assert.ok(blocks.length < 40, `${blocks.length} of 128 blocks were fetched`);
        found.push(clim);
      }
      assert.ok(found[0][0] === 0 && found[0][1] > 300 && found[0][1] < 500, `${found[0]}`);
      assert.deepEqual(found[1], found[0]);
      assert.deepEqual(found[2], found[0]);
    });

    test('that was chosen is left alone, and nothing is fetched for another', async () => {
      const { clim, requests } = await opened(`data=${encodeURIComponent(other.url)}&var=sun&${LINKS[0]}&clim=-5,7`);
      assert.deepEqual(clim, [-5, 7]);
      const columns = requests.filter((r) => r.includes('/sun/c/')).map((r) => r.split('/').at(-1));
      assert.deepEqual([...new Set(columns)], ['2'], 'columns of blocks, of 16');
    });
  });
}
