// zarrita.js, unmodified, on the URLs that the explorer reads: stored cubes, pinned versions and views.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import * as zarr from 'zarrita';
import { BIN, demo, missing, startServer } from './lib.mjs';

const run = promisify(execFile);

describe('zarrita.js', { skip: missing }, () => {
  let server;
  before(async () => {
    server = await startServer({ ncep: demo('ncep-climatology.nc') });
    const file = path.join(server.data, 'celsius.toml');
    fs.writeFileSync(file, '[view]\nid = "celsius"\nof = "ncep"\n[formula.air]\nis = "air - 273.15"\nunits = "degC"\n');
    await run(BIN, ['view', file, '--data', server.data]);
  });
  after(() => server.stop());

  const array = async (collection, name) => {
    const store = await zarr.withConsolidatedMetadata(new zarr.FetchStore(`${server.url}/zarr/${collection}`));
    const group = await zarr.open.v3(store, { kind: 'group' });
    return zarr.open.v3(group.resolve(name), { kind: 'array' });
  };
  const values = async (collection, name, where) => (await zarr.get(await array(collection, name), where)).data;

  test('reads what the position query answers', async () => {
    const [lat, lon] = [await values('ncep', 'lat'), await values('ncep', 'lon')];
    const [row, column] = [20, 70];
    const answer = await fetch(`${server.url}/api/collections/ncep/position?coords=POINT(${lon[column]}%20${lat[row]})&parameter-name=air`).then((r) => r.json());
    const known = answer.ranges.air.values;
    const air = await array('ncep', 'air');
    const read = (await zarr.get(air, [null, row, column])).data;
    assert.equal(read.length, known.length);
    const scale = Number(air.attrs.scale_factor ?? 1), offset = Number(air.attrs.add_offset ?? 0);
    known.forEach((v, i) => assert.ok(Math.abs(read[i] * scale + offset - v) < 1e-4, `${i}: ${read[i]} is not ${v}`));
  });

  test('reads a pinned version and a coarser level', async () => {
    const { versions } = await fetch(`${server.url}/api/collections/ncep/versions`).then((r) => r.json());
    const pinned = await values(`ncep@${versions[0].id}`, 'air', [0, null, null]);
    assert.deepEqual(pinned, await values('ncep', 'air', [0, null, null]));
    const meta = await fetch(`${server.url}/zarr/ncep/zarr.json`).then((r) => r.json());
    const levels = meta.attributes.multiscales?.layout ?? [];
    for (const { asset } of levels.slice(1)) {
      const coarse = await values('ncep', `${asset}/air`, [0, null, null]);
      assert.ok(coarse.length < pinned.length && coarse.some(Number.isFinite));
    }
  });

  test('reads a view, whose chunks are made when they are asked for', async () => {
    const [air, celsius] = [await array('ncep', 'air'), await array('celsius', 'air')];
    const kelvin = (await zarr.get(air, [3, null, null])).data;
    const scale = Number(air.attrs.scale_factor ?? 1), offset = Number(air.attrs.add_offset ?? 0);
    const made = (await zarr.get(celsius, [3, null, null])).data;
    assert.equal(celsius.attrs.units, 'degC');
    made.forEach((v, i) => assert.ok(Math.abs(v - (kelvin[i] * scale + offset - 273.15)) < 1e-3, `${i}`));
  });
});
