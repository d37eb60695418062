// Where the tiles of the wall go: every split of the field is tried, and the one with the largest readable type
// wins. Nothing scrolls, and as the outcome depends on size and names alone, no tile moves when a status does.

const LARGE = 40; // tiles at the most for the large kind, which has no headings
const ARC = (16 / 60) * (Math.PI / 180); // what a capital letter subtends at the least, by NUREG-0700
const NAME = 4.7; // units: the smallest type that is to be read from afar

// A hundredth of the screen's height in pixels, or of what would be that of a screen of usual shape. On one that
// stands, the field has the whole width, and more of it for each tile.
export const hundredth = () =>
  innerWidth > innerHeight ? Math.min(innerHeight / 100, innerWidth * 0.005625) : innerWidth * 0.008;

// The unit in pixels that all type is a multiple of, so that the name of a problem can be read at `distance` metres
// on a screen of `diagonal` inches. `sight` is how far it can be read: less, if the screen is too small for it.
export function unitFor({ distance, diagonal }) {
  const pixel = (diagonal * 0.0254) / Math.hypot(innerWidth, innerHeight); // metres
  const far = capital() * pixel * NAME / Math.tan(ARC); // metres for each pixel of the unit
  const most = innerWidth > innerHeight ? 1.45 * hundredth() : innerWidth / 98;
  const unit = Math.min(most, Math.max(0.6 * hundredth(), distance / far));
  return { unit, sight: unit * far };
}

// How high a capital letter is in this browser's font, in em.
function capital() {
  widthOf('H', 640);
  return pen.measureText('H').actualBoundingBoxAscent / 100;
}

// `groups` have a `name` and the `names` in it; `unit` is a hundredth of the screen's height in pixels. The
// densities are large (name, sparkline, age, milliseconds), list (shape and name), and cell (too many for names,
// unless `named` asks for them however small).
export function solve({ width, height, unit, groups, named = false }) {
  const total = groups.reduce((sum, { names }) => sum + names.length, 0);
  if (!total || !width || !height) return null;
  const measures = measure(groups);
  const flat = total <= LARGE;
  let best = null;
  for (let panels = 1; panels <= (flat ? 1 : Math.min(10, groups.length)); panels++) {
    for (let columns = 1; columns <= LARGE; columns++) {
      const split = divide({ width, height, unit, groups, total, flat, panels, columns });
      if (!split) continue;
      Object.assign(split, rate(split, measures, unit, total, groups.length, named));
      if (!best || split.quality > best.quality) best = split;
    }
  }
  return best;
}

// All but the widest twentieth of names and words must fit; those are cut off.
function measure(groups) {
  const most = (widths) => widths.sort((a, b) => a - b)[Math.floor(widths.length * 0.95)];
  const names = groups.flatMap((group) => group.names);
  return {
    heading: most(groups.map((group) => widthOf(group.name, 550))),
    name: most(names.map((name) => widthOf(name, 650))),
    // Of few, the widest too, unless it alone would make all the others small.
    halves: Math.min(Math.max(...names.map(halves)), 1.25 * most(names.map(halves))),
  };
}

// The width of a name on two lines, broken where that is least.
function halves(name) {
  const words = name.split(' ');
  const broken = words.map((_, n) => [words.slice(0, n), words.slice(n)].map((line) => widthOf(line.join(' '), 600)));
  return Math.min(...broken.map((lines) => Math.max(...lines)));
}

const pen = document.createElement('canvas').getContext('2d');

// In em, as this browser draws it: from one font to the next it differs by a fifth.
export function widthOf(text, weight) {
  const font = `${weight} 100px ${getComputedStyle(document.body).fontFamily}`;
  if (pen.wanted !== font) pen.font = pen.wanted = font;
  return pen.measureText(text).width / 100;
}

function divide({ width, height, unit, groups, total, flat, panels, columns }) {
  const groupGap = 1.5 * unit;
  const headingHeight = flat ? 0 : 3.1 * unit;
  const tileGap = (total > 160 ? 0.45 : 0.7) * unit;
  const rowsIn = (tiles) => Math.ceil(tiles / columns);
  const bands = []; // rows of tiles in each row of panels
  if (flat) bands.push(rowsIn(total));
  else {
    for (let i = 0; i < groups.length; i += panels) {
      bands.push(Math.max(...groups.slice(i, i + panels).map(({ names }) => rowsIn(names.length))));
    }
  }
  const rows = bands.reduce((sum, band) => sum + band, 0);
  const panelWidth = (width - groupGap * (panels - 1)) / panels;
  const tileWidth = (panelWidth - tileGap * (columns - 1)) / columns;
  const spent = bands.length * headingHeight + (bands.length - 1) * groupGap + (rows - bands.length) * tileGap;
  const tileHeight = (height - spent) / rows;
  if (tileWidth < 5 || tileHeight < 5) return null;
  return { flat, panels, columns, bands, groupGap, headingHeight, tileGap, panelWidth, tileWidth, tileHeight };
}

// The kind of tile a split allows, and how good it is: the most that can be read first, then large type, few
// empty places, headings that are whole, and tiles of a pleasant shape. The weights were found by looking at 4 to
// 1,000 tiles on four screens.
function rate(split, { heading, name, halves }, unit, total, groupCount, named) {
  const { flat, panels, columns, bands, panelWidth, tileWidth, tileHeight } = split;
  const large = tileWidth > 17 * unit && tileHeight > 13 * unit;
  const type = large
    ? Math.min(tileHeight * 0.152, tileWidth / Math.max(halves * 1.1 + 3.4, 8.8), 5 * unit)
    : Math.min(tileHeight * 0.46, tileWidth / (name + 5), 2.5 * unit);
  const density = large ? 'large' : named || (type >= 7 && type >= 0.95 * unit) ? 'list' : 'cell';
  const height = density === 'cell' ? Math.min(tileHeight, tileWidth * 1.2) : tileHeight;
  const places = flat
    ? bands[0] * columns
    : bands.reduce((sum, rows, i) => sum + rows * columns * Math.min(panels, groupCount - i * panels), 0);
  const waste = 1 - total / places;
  const unevenness = flat ? 0 : 1 - groupCount / (bands.length * panels);
  const cut = flat ? 0 : Math.max(0, ((heading * 1.85 + 3) * unit) / panelWidth - 1);
  const pleasant = { large: 1.7, list: 4.6, cell: 1 }[density];
  const quality =
    { large: 2000, list: 1000, cell: 0 }[density] +
    ((density === 'cell' ? Math.min(tileWidth, height) : type) * 10.8) / unit -
    waste * (density === 'cell' ? 60 : 6) -
    unevenness * 24 -
    cut * 60 -
    Math.abs(Math.log(tileWidth / height / pleasant)) * (density === 'cell' ? 2.2 : 1.4);
  return { density, type, quality, tileHeight: density === 'list' ? Math.min(height, 6.2 * unit) : height };
}
