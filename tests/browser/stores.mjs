// Two grids that are not on latitude and longitude, written by hand as Zarr v3 without compression.

const RAD = Math.PI / 180;
export const FILL = -999;

/** A cell's number; some are none. */
export const value = (t, r, c) => ((r % 23 === 5 && c % 17 === 4) ? FILL : (r * 7 + c * 3 + t * 31) % 100);

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
    files[[name, 'c', ...block].join('/')] = data;
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
export const cone = {
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
export const bent = {
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

/** Files of both, by path. */
export function stores() {
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

/** Files of a store at its one level, in many blocks: nothing in the west, up to 479 in the east, more a step later. */
export function halves({ rows = 400, columns = 800, block = 50 } = {}) {
  const files = {};
  const axis = (name, n, step, units) => array(files, name, {
    shape: [n], chunk: [n], dims: [name], type: 'float64', at: (i) => step * (i - (n - 1) / 2), attributes: { units },
  });
  files['zarr.json'] = group({
    time: array(files, 'time', {
      shape: [2], chunk: [2], dims: ['time'], type: 'float64', at: (i) => i, attributes: { units: 'days since 2020-01-01' },
    }),
    lat: axis('lat', rows, -180 / rows, 'degrees_north'),
    lon: axis('lon', columns, 360 / columns, 'degrees_east'),
    sun: array(files, 'sun', {
      shape: [2, rows, columns], chunk: [1, block, block], dims: ['time', 'lat', 'lon'], type: 'float32', fill: FILL,
      at: (t, r, c) => (c < columns / 2 ? 0 : (r * 7 + c * 3) % 480 + t * 1000), attributes: { units: 'W m-2', _FillValue: FILL },
    }),
  });
  return files;
}

/** JSON has no NaN: Zarr writes it as a word. */
function fixNaN(files) {
  for (const key of Object.keys(files).filter((k) => k.endsWith('zarr.json'))) {
    files[key] = files[key].replaceAll('"fill_value":null', '"fill_value":"NaN"');
  }
  return files;
}
