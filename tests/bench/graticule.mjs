// Adapter for a viewer benchmark that times Zarr viewers in one run: the built
// client (dist/) stands at the root of an origin, the store on another.
// Copy to adapters/, dist/ to www/graticule/.
export default {
  name: 'graticule',
  needs: 'graticule/index.html',
  version: () => 'graticule',
  url: ({ page, data, variable }) =>
    `${page('graticule')}/?src=${encodeURIComponent(data)}&variable=${variable}&colormap=viridis&clim=230,310&chrome=0&lines=0&view=0,0,0.6438`,
  mapRect: { x: 245, y: 5, w: 790, h: 790 },
  background: [[0, 0, 0], [255, 255, 255], [11, 14, 20]],
  map: 'Web Mercator, whole world in 800x800 px, no lines, viridis 230..310',
  ready: (page) => page.waitForFunction(() => window.graticule?.idle === true, null, { timeout: 60000 }),
  setTime: (page, i) => page.evaluate((i) => { window.graticule.setTime(i) }, i),
  setRange: (page, a, b) => page.evaluate(([a, b]) => { window.graticule.setClim(a, b) }, [a, b]),
}
