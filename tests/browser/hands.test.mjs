// Fingers and keys on the map.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { demo, idle, launch, missing, openMap, startServer } from './lib.mjs';

let server;
before(async () => {
  if (!missing) server = await startServer({ ncep: demo('ncep-climatology.nc') });
});
after(() => server?.stop());

const PHONE = { width: 390, height: 844, hasTouch: true, isMobile: true };
const state = (page) => page.evaluate(() => window.graticule.state());
const project = (page, place) => page.evaluate(([lon, lat]) => window.graticule.project(lon, lat), place);

/** Real touches, as the browser's own input pipeline hands them on. */
async function touches(page) {
  const session = await page.context().newCDPSession(page);
  const send = (type, points) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
  /** Moves fingers from `a` to `b`, each a list of places, and lifts them. */
  return async (a, b, steps = 8) => {
    await send('touchStart', a);
    for (let i = 1; i <= steps; i++) {
      await send('touchMove', a.map(([x, y], f) => [x + ((b[f][0] - x) * i) / steps, y + ((b[f][1] - y) * i) / steps]));
      await page.waitForTimeout(16);
    }
    await page.waitForTimeout(80);
    await send('touchEnd', []);
  };
}

describe('fingers', { skip: missing }, () => {
  let browser;
  before(async () => { browser = await launch('webgl'); });
  after(() => browser?.close());

  const open = () => openMap(browser, `${server.url}/?collection=ncep&at=10,30,2`, PHONE);

  test('one finger carries the ground along', async () => {
    const { page, context } = await open();
    const drag = await touches(page), before_ = await state(page);
    const [x, y] = await project(page, [10, 30]);
    await drag([[x, y]], [[x - 90, y + 60]]);
    await idle(page);
    const after_ = await state(page);
    assert.equal(after_.zoom, before_.zoom);
    const [u, v] = await project(page, [10, 30]);
    assert.ok(Math.hypot(u - (x - 90), v - (y + 60)) < 3, `the ground is at ${u},${v}, the finger at ${x - 90},${y + 60}`);
    // The page itself has not moved.
    assert.deepEqual(await page.evaluate(() => [scrollX, scrollY, visualViewport.scale]), [0, 0, 1]);
    await context.close();
  });

  test('two fingers twice as far apart show twice the scale, and the ground stays under both', async () => {
    const { page, context } = await open();
    const pinch = await touches(page), before_ = await state(page);
    const from = [[150, 380], [240, 380]], to = [[105, 400], [285, 400]];
    const places = await page.evaluate((points) => {
      // Found by halving: the hook projects, a finger needs the inverse.
      return points.map(([x, y]) => {
        let [west, east, south, north] = [-170, 170, -80, 80];
        for (let i = 0; i < 50; i++) {
          const lon = (west + east) / 2, lat = (south + north) / 2, [u, v] = window.graticule.project(lon, lat);
          if (u < x) west = lon; else east = lon;
          if (v > y) south = lat; else north = lat;
        }
        return [west, south];
      });
    }, from);
    await pinch(from, to);
    await idle(page);
    assert.ok(Math.abs((await state(page)).zoom - before_.zoom - 1) < 0.02, `zoom ${before_.zoom} to ${(await state(page)).zoom}`);
    for (let f = 0; f < 2; f++) {
      const [x, y] = await project(page, places[f]);
      assert.ok(Math.hypot(x - to[f][0], y - to[f][1]) < 4, `finger ${f} is at ${to[f]}, its ground at ${x},${y}`);
    }
    await pinch(to, from);
    await idle(page);
    assert.ok(Math.abs((await state(page)).zoom - before_.zoom) < 0.04);
    assert.equal(await page.evaluate(() => visualViewport.scale), 1);
    // A pinch is no tap: nothing was read.
    assert.equal(await page.locator('.g-readout').count(), 0);
    await context.close();
  });

  test('a finger lifted out of a pinch leaves the other one panning, without a jump', async () => {
    const { page, context } = await open();
    // The input pipeline lifts all fingers or none: these are made by hand.
    const finger = (type, pointerId, clientX, clientY) => page.evaluate(([t, init]) => {
      document.querySelector('canvas.g-map').dispatchEvent(new PointerEvent(t, { bubbles: true, pointerType: 'touch', ...init }));
    }, [type, { pointerId, clientX, clientY }]);
    await finger('pointerdown', 11, 120, 380);
    await finger('pointerdown', 12, 260, 380);
    await finger('pointermove', 11, 100, 380);
    await finger('pointermove', 12, 280, 380);
    await finger('pointerup', 12, 280, 380);
    const middle = await state(page);
    assert.ok(middle.zoom > 2.3, `${middle.zoom}`);
    await finger('pointermove', 11, 100, 384);
    await finger('pointermove', 11, 100, 400);
    await page.waitForTimeout(100);
    await finger('pointerup', 11, 100, 400);
    await idle(page);
    const end = await state(page);
    assert.equal(end.zoom, middle.zoom);
    assert.ok(Math.abs(end.longitude - middle.longitude) < 0.5, `${middle.longitude} to ${end.longitude}`);
    assert.ok(end.latitude > middle.latitude, 'the ground followed the finger');
    await context.close();
  });

  test('sliders and the strip take fingers too', async () => {
    const { page, context } = await open();
    const drag = await touches(page);
    const track = await page.locator('.g-track').boundingBox();
    const y = track.y + track.height * 0.7;
    await drag([[track.x + 30, y]], [[track.x + track.width * 0.8, y]]);
    await idle(page);
    assert.equal((await state(page)).step, 9);
    await context.close();
  });
});

describe('keys', { skip: missing }, () => {
  let browser;
  before(async () => { browser = await launch('webgl'); });
  after(() => browser?.close());

  const spoken = (page) => page.locator('.g-spoken').innerText();

  test('the data cursor starts in the middle, moves by keys, speaks value, unit, place and time, and goes with Escape', async () => {
    const { page, context } = await openMap(browser, `${server.url}/?collection=ncep&at=10,30,3&time=1996-07-01T00:00:00`);
    const live = page.locator('.g-spoken');
    assert.deepEqual(await live.evaluate((e) => [e.getAttribute('role'), e.getAttribute('aria-live')]), ['status', 'polite']);
    assert.equal(await spoken(page), '');
    await page.focus('canvas.g-map');
    await page.keyboard.press('ArrowRight');
    await page.locator('.g-crosshair').waitFor();
    await page.waitForFunction(() => document.querySelector('.g-spoken').textContent);
    const first = await spoken(page);
    assert.match(first, /^[−\d.]+ °C, 30\.00° N 10\.00° E, .*1996/);
    // It says the stored value of that very place.
    const read = await page.evaluate(() => window.graticule.readout(10, 30));
    assert.equal(Number(first.split(' ')[0].replace('−', '-')).toFixed(2), read.value.toFixed(2));
    for (let i = 0; i < 6; i++) await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Shift+ArrowDown');
    await page.waitForFunction((before) => document.querySelector('.g-spoken').textContent !== before, first);
    await page.waitForTimeout(300);
    const [, lat, lon] = /, ([\d.]+)° N ([\d.]+)° E/.exec(await spoken(page));
    // Sixty pixels of a world 4096 wide, and one.
    assert.ok(Math.abs(Number(lon) - (10 + (60 * 360) / 4096)) < 0.06, lon);
    assert.ok(Number(lat) < 30 && Number(lat) > 29.8, lat);
    // Another step: another value is said, of the same place.
    const july = await spoken(page);
    await page.keyboard.press('.');
    await page.waitForFunction((before) => document.querySelector('.g-spoken').textContent !== before, july);
    await page.waitForTimeout(300);
    assert.match(await spoken(page), new RegExp(`${lat}° N ${lon}° E, .*Aug 1996`));
    // And another unit.
    const celsius = await spoken(page);
    await page.keyboard.press('u');
    await page.waitForFunction((before) => document.querySelector('.g-spoken').textContent !== before, celsius);
    assert.match(await spoken(page), / K, /);
    await page.keyboard.press('Escape');
    await page.locator('.g-crosshair').waitFor({ state: 'detached' });
    await context.close();
  });

  test('every control is reached by Tab, and shows that it is', async () => {
    const { page, context } = await openMap(browser, `${server.url}/?collection=ncep&at=10,30,2`);
    await page.evaluate(() => document.activeElement?.blur());
    const reached = new Map();
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const [name, visible] = await page.evaluate(() => {
        const e = document.activeElement, style = getComputedStyle(e), around = e.parentElement ? getComputedStyle(e.parentElement) : style;
        const ring = (s) => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow.includes('inset');
        return [e === document.body ? '' : (e.getAttribute('aria-label') ?? e.textContent.trim()), ring(style) || ring(around)];
      });
      if (reached.has(name)) { if (reached.size > 5) break; continue; }
      reached.set(name, visible);
    }
    const names = [...reached.keys()].filter(Boolean);
    for (const wanted of [/^Map/, /Variable/, /Play/, /Time step/, /Low end/, /High end/, /Unit/, /Colours/, /Layers/, /globe/, /Keys/]) {
      assert.ok(names.some((n) => wanted.test(n)), `${wanted} is not reached: ${names.join(' | ')}`);
    }
    for (const [name, visible] of reached) if (name) assert.ok(visible, `${name} has no focus ring`);
    await context.close();
  });
});
