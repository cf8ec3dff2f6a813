// Part III: the playground in the browser: it asks, draws, and takes what a person does.
//
// Python trains (run.py) and sends the parameters of every epoch. Here a network is only evaluated,
// to draw it. So neither the slider nor a fold that is dragged waits for an answer. That both agree
// is checked with every picture: see `isDrawnRight`.
//
// In this order: the network, shapes on the plane, tools for drawing, the four pictures, what the
// browser knows of a run, and the playground itself.

const CLASS_COLORS = [
  [0, 114, 178],
  [230, 159, 0],
  [0, 158, 115],
]; // as in plots.py
const GREY = [70, 70, 70];
const GOOD = "#44aa99"; // as in plots.py
const BAD = "#882255";
const SHADE = 0.6; // how deep a colour is where a class is certain, as in plots.py
const ABOVE_0 = "#333333"; // the colours of weights
const BELOW_0 = "#cc3377";

const ASPECT = 3 / 4; // height of a map by its width
const LARGE_COLUMNS = 120; // of the grid on which a map is computed
const SMALL_COLUMNS = 28;
const MOST_LINES = 1000; // that a diagram draws at a time
const TIMES_FOR_LARGE_GRID = 1000; // weights: of more, the grid is coarser

const HAS_LITTLE_MOTION = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const FRAME_MS = HAS_LITTLE_MOTION ? 1000 : 25; // from one picture to the next
const EPOCHS_A_FRAME = HAS_LITTLE_MOTION ? 30 : 1; // at first, then more
const BUSY_MS = 2000; // without an answer

// The network.

// Return the layers of a network of these sizes, whose parameters lie one behind the other.
function layersOf(params, sizes) {
  const layers = [];
  let start = 0;
  for (let l = 0; l + 1 < sizes.length; l++) {
    const nIn = sizes[l];
    const nOut = sizes[l + 1];
    const end = start + nIn * nOut;
    const weight = params.subarray(start, end); // row i holds the weights from input i
    const bias = params.subarray(end, end + nOut);
    layers.push({ nIn, nOut, weight, bias });
    start = end + nOut;
  }
  return layers;
}

// Return for each layer x W + b, an array for each unit: its values at many points.
// `points` is an array for each coordinate.
function evaluate(layers, points) {
  const all = [];
  let inputs = points;
  for (const { nIn, nOut, weight, bias } of layers) {
    const outputs = [];
    for (let j = 0; j < nOut; j++) {
      const sum = new Float32Array(points[0].length).fill(bias[j]);
      for (let i = 0; i < nIn; i++) addMultiple(sum, weight[i * nOut + j], inputs[i]);
      outputs.push(sum);
    }
    all.push(outputs);
    inputs = outputs.map(relu);
  }
  return all;
}

function addMultiple(sum, factor, values) {
  for (let k = 0; k < sum.length; k++) sum[k] += factor * values[k];
}

function relu(values) {
  const outputs = new Float32Array(values.length);
  for (let k = 0; k < values.length; k++) outputs[k] = Math.max(0, values[k]);
  return outputs;
}

// Return the most probable class at point k, and its probability, by the softmax of the logits.
function classAt(logits, k) {
  let best = 0;
  for (let c = 1; c < logits.length; c++) {
    if (logits[c][k] > logits[best][k]) best = c;
  }
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit[k] - logits[best][k]);
  return [best, 1 / sum];
}

// Return how far the logits of a class lead those of all others.
function leadOf(logits, c) {
  return logits[c].map((logit, k) => {
    let largest = -Infinity;
    for (let i = 0; i < logits.length; i++) {
      if (i !== c) largest = Math.max(largest, logits[i][k]);
    }
    return logit - largest;
  });
}

// Return the mean cross-entropy on points; their third coordinate is their class.
function lossOf(layers, points) {
  const logits = evaluate(layers, points).at(-1);
  const largest = -Math.log(1e-15); // CrossEntropy clips probabilities there
  let sum = 0;
  for (let k = 0; k < points[2].length; k++) {
    const [best, p] = classAt(logits, k);
    const logRatio = logits[best][k] - logits[points[2][k]][k];
    sum += Math.min(logRatio - Math.log(p), largest);
  }
  return sum / points[2].length;
}

// Shapes on the plane. A frame is a rectangle of it: `left`, `top`, `width` and `height`.

// Return the frame that holds all points, a little larger.
function frameOf(...pointSets) {
  const [left, right] = extent(pointSets.flatMap((points) => [...points[0]]));
  const [low, high] = extent(pointSets.flatMap((points) => [...points[1]]));
  const width = 1.1 * Math.max(right - left, (high - low) / ASPECT);
  const height = ASPECT * width;
  return { left: (left + right - width) / 2, top: (low + high + height) / 2, width, height };
}

function isWithin([x, y], { left, top, width, height }) {
  return x > left && x < left + width && y < top && y > top - height;
}

function extent(values) {
  return [Math.min(...values), Math.max(...values)];
}

// Return the coordinates of a grid over a frame, row by row from its top left.
function gridOf(frame, columns) {
  const n = columns * Math.round(columns * ASPECT);
  const step = frame.width / columns;
  const x = new Float32Array(n);
  const y = new Float32Array(n);
  for (let k = 0; k < n; k++) {
    x[k] = frame.left + ((k % columns) + 0.5) * step;
    y[k] = frame.top - (Math.floor(k / columns) + 0.5) * step;
  }
  return [x, y];
}

// Return where the line w.x + b = 0 enters and leaves a frame, or null if it passes by.
function endsOfLine([w1, w2, b], { left, top, width, height }) {
  const ends = [];
  for (const x of [left, left + width]) {
    const y = -(w1 * x + b) / w2;
    if (y >= top - height && y <= top) ends.push([x, y]);
  }
  for (const y of [top - height, top]) {
    const x = -(w2 * y + b) / w1;
    if (x > left && x < left + width) ends.push([x, y]);
  }
  return ends.length === 2 ? ends : null;
}

// Return a line w.x + b = 0, shifted.
function shifted([w1, w2, b], dx, dy) {
  return [w1, w2, b - w1 * dx - w2 * dy];
}

// Return a line w.x + b = 0, turned about one of its points.
function turned([w1, w2], angle, [x, y]) {
  const u1 = w1 * Math.cos(angle) - w2 * Math.sin(angle);
  const u2 = w1 * Math.sin(angle) + w2 * Math.cos(angle);
  return [u1, u2, -u1 * x - u2 * y];
}

// Return the lines along which values on a grid are 0, as pairs of places in cells of the grid.
function zeroLines(values, columns) {
  const rows = values.length / columns;
  const lines = [];
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      if (!hasBothSigns(values, row * columns + column, columns)) continue;
      const corners = [
        [column, row],
        [column + 1, row],
        [column + 1, row + 1],
        [column, row + 1],
      ];
      const crossings = [];
      for (let side = 0; side < 4; side++) {
        const crossing = zeroBetween(corners[side], corners[(side + 1) % 4], values, columns);
        if (crossing) crossings.push(crossing);
      }
      for (let i = 0; i + 1 < crossings.length; i += 2) lines.push(crossings.slice(i, i + 2));
    }
  }
  return lines;
}

// Return whether the values at the corners of a cell, of which k is one, differ in their sign.
function hasBothSigns(values, k, columns) {
  const isAbove = values[k] > 0;
  return (
    values[k + 1] > 0 !== isAbove ||
    values[k + columns] > 0 !== isAbove ||
    values[k + columns + 1] > 0 !== isAbove
  );
}

// Return the place between two neighbours of a grid where the values are 0, or null.
function zeroBetween([x0, y0], [x1, y1], values, columns) {
  const value0 = values[y0 * columns + x0];
  const value1 = values[y1 * columns + x1];
  if (value0 > 0 === value1 > 0) return null;
  const t = value0 / (value0 - value1);
  return [x0 + t * (x1 - x0) + 0.5, y0 + t * (y1 - y0) + 0.5];
}

// Tools for drawing. All canvases are drawn in pixels of the page.

// Clear a canvas; return a pen on it, and its size.
function begin(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "13px sans-serif";
  return { pen, width, height };
}

function drawLine(pen, [x0, y0], [x1, y1], color = "black", width = 1) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function write(pen, words, x, y, align = "left", color = "#444") {
  pen.textAlign = align;
  pen.fillStyle = color;
  pen.fillText(words, x, y);
}

function drawDisc(pen, x, y, radius, fill, edge = "black", width = 1) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  paint(pen, fill, edge, width);
}

function drawTriangle(pen, x, y, radius, fill, edge = "black", width = 1) {
  pen.beginPath();
  pen.moveTo(x, y - radius);
  pen.lineTo(x + radius, y + radius);
  pen.lineTo(x - radius, y + radius);
  pen.closePath();
  paint(pen, fill, edge, width);
}

function paint(pen, fill, edge, width) {
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = edge;
  pen.lineWidth = width;
  pen.stroke();
}

function cssColor(color) {
  return `rgb(${color})`;
}

const scratches = {}; // a canvas for each size of a grid, since to make one takes long

// Return an image of a grid; lookAt(k) returns a colour, and from 0 to 1 how deep it is.
// The next image of this size takes its place: draw it at once.
function imageOf(columns, lookAt) {
  const rows = Math.round(columns * ASPECT);
  scratches[columns] ??= new OffscreenCanvas(columns, rows);
  const pen = scratches[columns].getContext("2d");
  const image = pen.createImageData(columns, rows);
  for (let k = 0; k < columns * rows; k++) {
    const [color, depth] = lookAt(k);
    for (let c = 0; c < 3; c++) image.data[4 * k + c] = 255 - depth * (255 - color[c]);
    image.data[4 * k + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
  return scratches[columns];
}

// Return an image of the most probable class, deeper where it is more certain.
function decisionImage(logits, columns) {
  const nClasses = logits.length;
  return imageOf(columns, (k) => {
    const [best, p] = classAt(logits, k);
    const certainty = (p * nClasses - 1) / (nClasses - 1);
    return [CLASS_COLORS[best], SHADE * certainty];
  });
}

// Return an image of a unit: the deeper, the larger its output, as the square root.
function unitImage(values, columns, color) {
  const largest = values.reduce((a, b) => Math.max(a, b), 1e-12);
  return imageOf(columns, (k) => [color, 0.85 * Math.sqrt(Math.max(0, values[k]) / largest)]);
}

// Return ticks from 0 to `largest`, about `wanted` of them.
function ticksUpTo(largest, wanted) {
  let step = 10 ** Math.floor(Math.log10(largest / wanted));
  for (const factor of [2, 2.5, 2]) {
    if (largest / step > wanted) step *= factor;
  }
  const ticks = [];
  for (let i = 0; i * step <= largest; i++) ticks.push(Number((i * step).toPrecision(6)));
  return ticks;
}

// Return ticks for a square-root scale: 0, the last, and between them 1, 2, 5, 10, ... from above.
function epochTicks(last) {
  const ticks = [0, last];
  for (let power = 10 ** Math.floor(Math.log10(last)); power >= 1; power /= 10) {
    for (const digit of [5, 2, 1]) {
      if (digit * power < last) ticks.push(digit * power);
    }
  }
  return ticks;
}

// Return for each dot the row in which it hides no other; the places `xs` are sorted.
function rowsOfDots(xs, size) {
  const lastInRow = [];
  return xs.map((x) => {
    let row = 0;
    while (lastInRow[row] > x - size) row += 1;
    lastInRow[row] = x;
    return row;
  });
}

function signed(number) {
  return `${number < 0 ? "−" : "+"} ${Math.abs(number).toFixed(2)}`;
}

function percent(fraction) {
  return `${(100 * fraction).toFixed(1)}\u00a0%`; // no line ends before the sign
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function numberField(ariaLabel) {
  return make("input", { type: "number", step: "any", value: "0", ariaLabel });
}

// Return a canvas with a caption.
function picture(className, label) {
  const canvas = make("canvas", { className, role: "img", ariaLabel: label });
  const told = make("div", { className: "told" });
  const figure = make("figure", {}, canvas, make("figcaption", {}, label, told));
  return { canvas, told, figure };
}

// The pictures. Each draws a `scene`:
//
//   run      the RunSoFar
//   epoch    the one that is shown
//   layers   of the network that is shown
//   unit     [layer, j], the hidden unit that is looked at, or null
//   isLarge  whether its map takes the place of the decision map
//   rows     numbers of the training points in the batch, or []
//   ...      and what is to be seen: `hasTestPoints`, `hasBest`, `hasBefore`

function isSame(unit, layer, j) {
  return unit !== null && unit[0] === layer && unit[1] === j;
}

// Return the weights from a hidden unit to the next layer.
function weightsFrom(layers, layer, j) {
  const { nOut, weight } = layers[layer + 1];
  return Array.from(weight.subarray(j * nOut, (j + 1) * nOut));
}

// Return w and b of a unit of the first layer.
function foldOf(layers, j) {
  const { nOut, weight, bias } = layers[0];
  return [weight[j], weight[nOut + j], bias[j]];
}

// Return the colour of the class that a unit speaks for; before the last hidden layer, grey.
function unitColor(layers, layer, j) {
  if (layer + 2 < layers.length) return GREY;
  const weights = weightsFrom(layers, layer, j);
  return CLASS_COLORS[weights.indexOf(Math.max(...weights))];
}

// The plane: what the network predicts, or a unit's map, with points and folds.
class MapPicture {
  constructor() {
    const label =
      "The colour is the class that the network predicts, deeper where it is more certain. On the " +
      "black line, two classes are equally probable. Dotted: the folds of the hidden units. " +
      "Discs: training points. Triangles: test points.";
    Object.assign(this, picture("map", label));
    this.canvas.tabIndex = 0;
  }

  draw(scene) {
    const { pen, width, height } = begin(this.canvas);
    const { run, layers, unit } = scene;
    this.scene = scene;
    const columns = run.nWeights > TIMES_FOR_LARGE_GRID ? 72 : LARGE_COLUMNS;
    const all = evaluate(layers, gridOf(run.frame, columns));
    if (scene.isLarge && unit) {
      const [layer, j] = unit;
      const image = unitImage(all[layer][j], columns, unitColor(layers, layer, j));
      pen.drawImage(image, 0, 0, width, height);
      if (layer > 0) this.drawZeroLines(pen, all[layer][j], columns, 2);
    } else {
      pen.drawImage(decisionImage(all.at(-1), columns), 0, 0, width, height);
    }
    pen.drawImage(this.pointsImage(width, height), 0, 0, width, height);
    if (!scene.isLarge || !unit) this.drawBoundaries(pen, all.at(-1), columns);
    this.drawBatch(pen, width);
    if (layers.length > 1) {
      for (let j = 0; j < layers[0].nOut; j++) this.drawFold(pen, j);
    }
    this.drawTicks(pen, width, height);
  }

  drawTicks(pen, width, height) {
    const { left, top } = this.scene.run.frame;
    const { width: frameWidth, height: frameHeight } = this.scene.run.frame;
    for (let x = Math.ceil(left); x < left + frameWidth; x++) {
      const [place] = this.toPage(x, 0);
      if (place > 30 && place < width - 30) write(pen, x, place, height - 5, "center");
    }
    for (let y = Math.ceil(top - frameHeight); y < top; y++) {
      const [, place] = this.toPage(0, y);
      if (place > 10 && place < height - 20) write(pen, y, 5, place + 4);
    }
    write(pen, "x₁", width - 18, height - 5);
    write(pen, "x₂", 5, 14);
    pen.strokeStyle = "#888";
    pen.lineWidth = 1;
    pen.strokeRect(0.5, 0.5, width - 1, height - 1);
  }

  // Draw the lines on which the two most probable classes are equally probable.
  drawBoundaries(pen, logits, columns) {
    const nLines = logits.length === 2 ? 1 : logits.length;
    for (let c = 0; c < nLines; c++) {
      this.drawZeroLines(pen, leadOf(logits, c), columns, 1.8);
    }
  }

  drawZeroLines(pen, values, columns, lineWidth) {
    const cell = this.canvas.clientWidth / columns;
    pen.strokeStyle = "black";
    pen.lineWidth = lineWidth;
    pen.beginPath();
    for (const [[x0, y0], [x1, y1]] of zeroLines(values, columns)) {
      pen.moveTo(cell * x0, cell * y0);
      pen.lineTo(cell * x1, cell * y1);
    }
    pen.stroke();
  }

  // The points mostly stay where they are: they are drawn once.
  pointsImage(width, height) {
    const { run, epoch, hasTestPoints } = this.scene;
    const nTrain = run.nTrainAt(epoch);
    const key = [width, height, hasTestPoints, nTrain, run.pointsKey].join(" ");
    if (this.pointsKey === key) return this.points;
    this.pointsKey = key;
    this.points = new OffscreenCanvas(1, 1);
    const { pen } = begin(this.points, width, height);
    const size = this.pointSize(width);
    for (let k = 0; k < nTrain; k++) {
      const [x, y] = this.toPage(run.train[0][k], run.train[1][k], width);
      drawDisc(pen, x, y, size, cssColor(CLASS_COLORS[run.train[2][k]]), "white", 0.6);
    }
    for (let k = 0; hasTestPoints && k < run.test[0].length; k++) {
      const [x, y] = this.toPage(run.test[0][k], run.test[1][k], width);
      drawTriangle(pen, x, y, 1.3 * size, cssColor(CLASS_COLORS[run.test[2][k]]), "black", 0.9);
    }
    return this.points;
  }

  pointSize(width) {
    return Math.max(2, Math.min(4, width / 160));
  }

  // Ring the points of a batch.
  drawBatch(pen, width) {
    const { run, rows } = this.scene;
    for (const k of rows) {
      const [x, y] = this.toPage(run.train[0][k], run.train[1][k]);
      const color = cssColor(CLASS_COLORS[run.train[2][k]]);
      drawDisc(pen, x, y, 1.8 * this.pointSize(width), color, "black", 2);
    }
  }

  drawFold(pen, j) {
    const ends = this.foldEnds(j);
    if (!ends) return;
    const [a, b] = ends.map(([x, y]) => this.toPage(x, y));
    if (!isSame(this.scene.unit, 0, j)) {
      pen.setLineDash([2, 3]);
      drawLine(pen, a, b);
      pen.setLineDash([]);
      return;
    }
    drawLine(pen, a, b, "black", 3);
    for (const t of [0.06, 0.94]) {
      drawDisc(pen, a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1]), 6, "white");
    }
  }

  foldEnds(j) {
    return endsOfLine(foldOf(this.scene.layers, j), this.scene.run.frame);
  }

  // Return the unit of the nearest fold within six pixels of a place of the plane, or null.
  foldAt([x, y]) {
    const { layers, run } = this.scene;
    if (layers.length === 1) return null;
    let unit = null;
    let least = (6 * run.frame.width) / this.canvas.clientWidth;
    for (let j = 0; j < layers[0].nOut; j++) {
      const [w1, w2, b] = foldOf(layers, j);
      const distance = Math.abs(w1 * x + w2 * y + b) / Math.hypot(w1, w2);
      if (distance < least) {
        least = distance;
        unit = [0, j];
      }
    }
    return unit;
  }

  // From the plane to the page.
  toPage(x, y, width = this.canvas.clientWidth) {
    const { frame } = this.scene.run;
    const scale = width / frame.width;
    return [(x - frame.left) * scale, (frame.top - y) * scale];
  }

  // From a place of the mouse to the plane.
  toPlane({ offsetX, offsetY }) {
    const { frame } = this.scene.run;
    const scale = frame.width / this.canvas.clientWidth;
    return [frame.left + offsetX * scale, frame.top - offsetY * scale];
  }
}

// The network: lines are weights, nodes are the maps of the units.
class DiagramPicture {
  constructor() {
    const label =
      "The network. Lines are weights: black above 0, pink below, thicker if larger. Each node is " +
      "the map of a hidden unit: white where its ReLU gives 0.";
    Object.assign(this, picture("diagram", label));
  }

  draw(scene) {
    const { pen, width, height } = begin(this.canvas);
    const { run, layers } = scene;
    this.scene = scene;
    this.places = this.placesOf(run.sizes, width, height);
    const drawsAll = run.nWeights <= MOST_LINES;
    layers.forEach((layer, l) => this.drawWeights(pen, layer, l, drawsAll));
    if (!drawsAll && !scene.unit) write(pen, "Hover over a unit to see its weights", 4, 14);
    const all = evaluate(layers, gridOf(run.frame, SMALL_COLUMNS));
    for (let l = 0; l + 1 < layers.length; l++) this.drawUnits(pen, all[l], l);
    this.places[0].forEach(({ x, y }, i) => write(pen, ["x₁", "x₂"][i], x + 8, y + 4, "right"));
    this.places.at(-1).forEach(({ x, y }, c) => {
      drawDisc(pen, x, y, 11, cssColor(CLASS_COLORS[c]));
    });
  }

  // Return the places of all units, in columns of at most ten, from the inputs to the classes.
  placesOf(sizes, width, height) {
    const columns = [];
    sizes.forEach((n, layer) => {
      const nColumns = Math.ceil(n / 10);
      for (let c = 0; c < nColumns; c++) columns.push({ layer, c, nColumns, n });
    });
    const step = (width - 70) / (columns.length - 1);
    const places = sizes.map(() => []);
    columns.forEach(({ layer, c, nColumns, n }, k) => {
      const nRows = Math.ceil(n / nColumns);
      const shift = nColumns > 1 ? (c % 2) / 2 - 0.25 : 0; // so that lines pass between
      const gap = Math.min(110, (height - 24) / (nRows + Math.abs(2 * shift)));
      const isEnd = layer === 0 || layer === sizes.length - 1;
      const size = isEnd ? 22 : Math.min(0.62 * step, (gap - 4) / ASPECT);
      for (let row = 0; row < nRows && places[layer].length < n; row++) {
        const y = 20 + (height - 20) / 2 + (row + shift - (nRows - 1) / 2) * gap;
        places[layer].push({ x: 30 + k * step, y, size });
      }
    });
    return places;
  }

  drawWeights(pen, { nIn, nOut, weight }, l, drawsAll) {
    const { unit } = this.scene;
    for (let i = 0; i < nIn; i++) {
      for (let j = 0; j < nOut; j++) {
        const isOfUnit = isSame(unit, l, j) || isSame(unit, l - 1, i);
        if (!drawsAll && !isOfUnit) continue;
        const w = weight[i * nOut + j];
        const from = this.places[l][i];
        const to = this.places[l + 1][j];
        const width = Math.max(unit ? 1 : 0.3, Math.min(7, 2.5 * Math.abs(w)));
        pen.globalAlpha = unit && !isOfUnit ? 0.1 : 0.8;
        const start = [from.x + from.size / 2, from.y];
        const end = [to.x - to.size / 2, to.y];
        drawLine(pen, start, end, w > 0 ? ABOVE_0 : BELOW_0, width);
      }
    }
    pen.globalAlpha = 1;
  }

  drawUnits(pen, outputs, l) {
    const { layers, unit } = this.scene;
    this.places[l + 1].forEach(({ x, y, size }, j) => {
      const image = unitImage(outputs[j], SMALL_COLUMNS, unitColor(layers, l, j));
      const tile = [x - size / 2, y - (ASPECT * size) / 2, size, ASPECT * size];
      pen.drawImage(image, ...tile);
      pen.strokeStyle = "black";
      pen.lineWidth = isSame(unit, l, j) ? 3 : 1;
      pen.strokeRect(...tile);
    });
  }

  // Return the hidden unit under the mouse, or null.
  unitAt({ offsetX, offsetY }) {
    const isHere = ({ x, y, size }) =>
      Math.abs(offsetX - x) < size / 2 && Math.abs(offsetY - y) < (ASPECT * size) / 2;
    for (let l = 0; l + 2 < this.places.length; l++) {
      const j = this.places[l + 1].findIndex(isHere);
      if (j >= 0) return [l, j];
    }
    return null;
  }
}

// Loss and accuracy against the epoch, with those of the run before in grey.
class CurvesPicture {
  constructor() {
    const label = "Loss and accuracy. Solid: training points, dashed: test points.";
    Object.assign(this, picture("curves", label));
  }

  draw(scene) {
    const { pen, width, height } = begin(this.canvas);
    const { run } = scene;
    this.scene = scene;
    const before = scene.hasBefore ? run.before : [];
    this.last = Math.max(10, run.metrics.length - 1, before.length - 1);
    this.left = 42;
    this.right = width - 20; // half of the last label lies beyond
    const panelHeight = (height - 36) / 2 - 26;
    const loss = { k: 0, name: "loss (nats)", scale: 1, top: 18, height: panelHeight };
    const accuracy = { k: 1, name: "accuracy (%)", scale: 100, top: 44 + panelHeight };
    const runs = [
      [before, "#b0b0b0"],
      [run.metrics, "black"],
    ];
    this.drawPanel(pen, { ...loss, ...this.lossRange(runs) }, runs);
    this.drawPanel(pen, { ...accuracy, height: panelHeight, ...this.accuracyRange(runs) }, runs);
    this.drawEpochs(pen, width, height);
    const hints = [];
    if (before.length > 0) hints.push("Grey: the run before.");
    if (scene.hasBest)
      hints.push(`Green: the best rule there is, ${percent(run.best)} on the test points.`);
    if (run.changes.length > 0) hints.push("Small triangles: changes by hand.");
    this.told.textContent = hints.join(" ");
  }

  lossRange(runs) {
    let largest = 0.1;
    for (const [metrics] of runs) {
      for (const values of metrics) largest = Math.max(largest, values[0], values[2]);
    }
    const high = 1.05 * Math.min(3, largest);
    return { low: 0, high, ticks: ticksUpTo(high, 4) };
  }

  accuracyRange(runs) {
    let least = 0.9;
    for (const [metrics] of runs) {
      for (const values of metrics) least = Math.min(least, values[1], values[3]);
    }
    const low = Math.floor(10 * least) / 10;
    return { low, high: 1.01, ticks: [low, (1 + low) / 2, 1] };
  }

  toX(epoch) {
    return this.left + (this.right - this.left) * Math.sqrt(epoch / this.last);
  }

  // Draw the metrics number k, of training, and k + 2, of testing.
  drawPanel(pen, { k, name, scale, top, height, low, high, ticks }, runs) {
    const { run, epoch, hasBest } = this.scene;
    const toY = (value) => top + height * (1 - (Math.min(value, high) - low) / (high - low));
    for (const tick of ticks) {
      drawLine(pen, [this.left, toY(tick)], [this.right, toY(tick)], "#dddddd");
      write(pen, Number((scale * tick).toFixed(2)), this.left - 4, toY(tick) + 4, "right");
    }
    write(pen, name, this.left, top - 5);
    if (k === 1 && hasBest) {
      drawLine(pen, [this.left, toY(run.best)], [this.right, toY(run.best)], GOOD, 2);
    }
    for (const [metrics, color] of runs) {
      this.drawCurve(pen, metrics, k, toY, color);
      pen.setLineDash([5, 3]);
      this.drawCurve(pen, metrics, k + 2, toY, color);
      pen.setLineDash([]);
    }
    const x = this.toX(epoch);
    drawLine(pen, [x, top], [x, top + height], "black", 1);
    for (const change of run.changes) {
      drawTriangle(pen, this.toX(change.epoch), top + height - 3, 3, "black");
    }
  }

  drawCurve(pen, metrics, k, toY, color) {
    pen.strokeStyle = color;
    pen.lineWidth = 1.3;
    pen.beginPath();
    let xBefore = -1;
    metrics.forEach((values, epoch) => {
      const x = this.toX(epoch);
      const isLast = epoch + 1 === metrics.length;
      if (x < xBefore + 0.7 && !isLast) return; // no two on a pixel
      pen.lineTo(x, toY(values[k]));
      xBefore = x;
    });
    pen.stroke();
  }

  drawEpochs(pen, width, height) {
    let free = Infinity; // left of it there is room for a label
    for (const tick of epochTicks(this.last)) {
      const x = this.toX(tick);
      if (tick > 0 && (x > free || x < this.left + 24)) continue;
      write(pen, tick, x, height - 20, "center");
      if (tick > 0) free = x - 38;
    }
    write(pen, "epoch (square-root scale)", width / 2, height - 4, "center");
  }
}

// Where each of twenty seeds ends: a dot each, none hidden by another.
class EndsPicture {
  constructor() {
    Object.assign(this, picture("ends", "Each dot is a seed, and where its run ends."));
    this.dots = [];
  }

  draw({ run, hasEnds }) {
    const { pen, width, height } = begin(this.canvas);
    const seeds = hasEnds ? run.seeds : null;
    this.dots = [];
    this.told.textContent = this.words(seeds, run.nSeeds);
    if (seeds === null) return;
    const ends = seeds.ends.filter((end) => "train_loss" in end);
    ends.sort((a, b) => a.train_loss - b.train_loss);
    const largest = 1.05 * Math.max(0.1, ...ends.map((end) => end.train_loss));
    const toX = (loss) => 14 + ((width - 28) * loss) / largest;
    const floor = height - 42;
    drawLine(pen, [14, floor + 8], [width - 14, floor + 8], "#888888");
    for (const tick of ticksUpTo(largest, 6)) write(pen, tick, toX(tick), floor + 22, "center");
    write(pen, "train loss at the end", width / 2, height - 4, "center");
    if (seeds.bound !== null) {
      const x = toX(seeds.bound);
      pen.setLineDash([5, 3]);
      drawLine(pen, [x, 4], [x, floor + 8], BAD, 1.5);
      pen.setLineDash([]);
      write(pen, "stuck", x + 5, 15, "left", BAD);
    }

    const xs = ends.map((end) => toX(end.train_loss));
    let size = 13;
    while (size > 4 && size * (1 + Math.max(0, ...rowsOfDots(xs, size))) > floor - 4) size -= 1;
    const rows = rowsOfDots(xs, size);
    ends.forEach((end, i) => {
      const y = floor - size * rows[i];
      const isShown = String(end.seed) === run.texts.seed;
      drawDisc(pen, xs[i], y, size / 2 - 1, isShown ? "black" : "white", "black", 1.2);
      this.dots.push({ x: xs[i], y, end });
    });
  }

  words(seeds, nSeeds) {
    if (seeds === null) return `Press “${nSeeds} seeds” to see them.`;
    const { ends, bound, texts } = seeds;
    const nDiverged = ends.filter((end) => !("train_loss" in end)).length;
    const words = [`${ends.length} of ${nSeeds} seeds, batch size ${texts.batch_size}.`];
    if (nDiverged > 0) {
      words.push(`${nDiverged} diverged: try a learning rate below ${texts.learning_rate}.`);
    }
    if (ends.length === nSeeds && nDiverged < nSeeds) words.push(this.wordsOfGroups(ends, bound));
    return words.join(" ");
  }

  wordsOfGroups(ends, bound) {
    if (bound === null) return "They form no two groups.";
    const nStuck = ends.filter((end) => end.train_loss > bound).length;
    return `${nStuck} of them are stuck, above the gap in the losses.`;
  }

  // Return the end whose dot is nearest to the mouse, within seven pixels.
  endAt({ offsetX, offsetY }) {
    let nearest = undefined;
    let least = 7;
    for (const { x, y, end } of this.dots) {
      const distance = Math.hypot(x - offsetX, y - offsetY);
      if (distance < least) {
        least = distance;
        nearest = end;
      }
    }
    return nearest;
  }
}

// What the browser knows of a run: all that Python has told.
class RunSoFar {
  constructor() {
    this.params = []; // of each epoch
    this.metrics = []; // [train loss, train accuracy, test loss, test accuracy] of each epoch
    this.before = []; // the metrics of the run before
    this.seeds = null;
    this.pointsKey = 0; // another number whenever points may have changed
  }

  get isThere() {
    return this.params.length > 0;
  }

  get lastEpoch() {
    return this.params.length - 1;
  }

  get nWeights() {
    let n = 0;
    for (let l = 0; l + 1 < this.sizes.length; l++) n += this.sizes[l] * this.sizes[l + 1];
    return n;
  }

  // Take an answer: it has the epochs from number `known` on.
  take(answer, buffers) {
    const [params, metrics, train, test] = buffers.map(floatsOf);
    if (this.metrics.length > answer.known + 1) this.before = this.metrics;
    this.params = this.params.slice(0, answer.known);
    this.metrics = this.metrics.slice(0, answer.known);
    const nParams = params.length / answer.n_new;
    for (let i = 0; i < answer.n_new; i++) {
      this.params.push(params.subarray(nParams * i, nParams * (i + 1)));
      this.metrics.push(metrics.subarray(4 * i, 4 * (i + 1)));
    }
    if (train) this.takeCircumstances(answer, train, test);
  }

  takeCircumstances(answer, train, test) {
    this.texts = answer.texts;
    this.firstTexts = answer.first_texts;
    this.changes = answer.changes;
    this.sizes = answer.sizes;
    this.best = answer.best;
    this.canPlant = answer.can_plant;
    this.nSeeds = answer.n_seeds;
    this.seeds = answer.seeds;
    this.train = columnsOf(train);
    this.test = columnsOf(test);
    this.pointsKey += 1;
    this.frame = this.newFrame();
  }

  // Return the frame of the points. One that is added by hand does not move it, if it lies within.
  newFrame() {
    const added = this.changes.filter((change) => change.what === "point");
    const n = this.train[0].length - added.length;
    const frame = frameOf(
      this.train.map((column) => column.slice(0, n)),
      this.test,
    );
    if (added.every(({ point }) => isWithin(point, frame))) return frame;
    return frameOf(this.train, this.test);
  }

  // Return how many training points there were at an epoch: those added by hand come last.
  nTrainAt(epoch) {
    const later = this.changes.filter((change) => change.what === "point" && change.epoch > epoch);
    return this.train[0].length - later.length;
  }

  // Return the settings, as texts, that hold from an epoch on.
  textsAt(epoch) {
    const texts = { ...this.texts };
    for (const { what, epoch: from, value } of this.changes) {
      if (what in texts && from <= epoch) texts[what] = value;
    }
    return texts;
  }

  nBatchesAt(epoch) {
    const { batch_size: size } = this.textsAt(epoch);
    return size === "full" ? 1 : Math.ceil(this.nTrainAt(epoch) / Number(size));
  }

  // Return all that must be known to train this run again up to an epoch, as a text.
  stateAt(epoch) {
    const changes = this.changes.filter((change) => change.epoch <= epoch);
    return JSON.stringify({ ...this.texts, changes, epoch });
  }
}

function isNewRun(answer) {
  return answer.known === 0 && ["show", "new_run", "restore"].includes(answer.ask);
}

// Return the floats of a buffer, which may begin anywhere in memory.
function floatsOf({ buffer, byteOffset, byteLength }) {
  return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

// Return rows of three numbers as three columns.
function columnsOf(flat) {
  return [0, 1, 2].map((column) => flat.filter((_, i) => i % 3 === column));
}

// The playground.

const FIELDS = {
  dataset: ["Data", "The data set"],
  noise: ["Noise", "Standard deviation of the points, from 0 to 1"],
  data_seed: ["Data seed", "Other points of the same kind"],
  hidden_units: ["Hidden units", "Such as 20, or 8,8 for two layers, or none"],
  seed: ["Seed", "Of the initial weights and the shuffles"],
  learning_rate: [
    "Learning rate",
    "Factor of the gradient. It can be changed in the middle of a run",
  ],
  batch_size: [
    "Batch size",
    "Rows of an update, or full. It can be changed in the middle of a run",
  ],
  epochs: ["Epochs", "Where the run ends"],
};
const IN_A_RUN = ["learning_rate", "batch_size"]; // what can be changed without a new one

const HOVER = "Hover over a unit to see its map and its fold.";
const DRAG = "Drag a fold to move it, or its end to turn it. Click to add a point.";
const WRONG =
  "These pictures are wrong: they are drawn with ReLU layers and a softmax, and the forward pass " +
  "in Python gives another loss.";
const BUSY = "Python is busy, or was stopped.";
const NO_KERNEL = "The kernel was stopped. Run the cell again.";

class Playground {
  constructor(model, root) {
    this.model = model;
    this.isRecorded = model.isRecorded ?? false;
    this.tab = Math.random().toString(36).slice(2);
    this.run = new RunSoFar();
    this.nAsked = 0;
    this.isWaiting = false; // for the answer to the last question
    this.work = ""; // "play", "rush" (to `goal`, as fast as it goes), "seeds", or none
    this.goal = 0;
    this.shown = 0; // the epoch that is drawn
    this.within = null; // what is shown of the epoch behind it, after a few batches
    this.pointed = null; // [layer, j], the unit under the mouse
    this.chosen = null; // and the one that was chosen
    this.edited = null; // the parameters with a fold as it is moved
    this.question = null; // a trial, the guess, and what came out
    this.nFrames = 0;
    this.lastFrame = 0;
    this.build(root);
    this.hear = (answer, buffers) => this.take(answer, buffers);
    this.isLost = false;
    this.lose = () => {
      this.isWaiting = false;
      this.isLost = model.lostText === undefined; // a server may come back, a kernel does not
      this.stop(model.lostText ?? NO_KERNEL);
    };
    model.on("msg:custom", this.hear);
    model.on("comm_live_update", this.lose);
    this.watcher = new ResizeObserver(() => this.touch());
    this.watcher.observe(this.root);
    this.loop = requestAnimationFrame((now) => this.tick(now));
    this.ask("show");
  }

  close() {
    cancelAnimationFrame(this.loop);
    this.watcher.disconnect();
    this.model.off("msg:custom", this.hear);
    this.model.off("comm_live_update", this.lose);
  }

  // Controls.

  build(root) {
    this.map = new MapPicture();
    this.diagram = new DiagramPicture();
    this.curves = new CurvesPicture();
    this.ends = new EndsPicture();
    this.note = make("div", { className: "note", role: "status" });
    this.readout = make("span", {});
    this.questionBox = make("div", { className: "question", role: "status" });
    this.root = make(
      "div",
      { className: "playground", view: this },
      this.buildTrials(),
      this.questionBox,
      this.buildFields(),
      this.buildButtons(),
      make("div", { className: "row" }, "Epoch", this.buildSlider(), this.readout),
      this.note,
      make(
        "div",
        { className: "panels" },
        make("div", {}, this.map.figure, this.buildHands()),
        this.diagram.figure,
        make("div", { className: "last" }, this.curves.figure, this.ends.figure),
      ),
      this.buildState(),
    );
    this.root.onkeydown = (event) => event.stopPropagation(); // or JupyterLab takes the keys
    root.append(this.root);
    this.listen();
    this.stop();
    if (this.isRecorded) this.leaveOutWhatTrains();
  }

  buildTrials() {
    this.trials = make("div", { className: "row" });
    return this.trials;
  }

  buildFields() {
    this.fields = {};
    this.settings = make("div", { className: "row" });
    for (const [name, [label, title]] of Object.entries(FIELDS)) {
      const field = name === "dataset" ? make("select", {}) : make("input", { type: "text" });
      Object.assign(field, { title, ariaLabel: label, onchange: () => this.set(name) });
      this.fields[name] = field;
      this.settings.append(make("label", { title }, label, field));
    }
    return this.settings;
  }

  buildButtons() {
    const button = (textContent, title, onclick) => make("button", { textContent, title, onclick });
    this.playButton = button("", "Train while you watch", () => this.play());
    this.playButton.className = "play";
    this.undoButton = button("Undo", "Take back the last change by hand", () => this.ask("undo"));
    this.plantButton = button(
      "Plant a fold",
      "On the moons: turn one unit into the upward fold that stuck networks lack",
      () => this.ask("plant", { epoch: this.shown }),
    );
    this.seedsButton = button(
      "",
      "Train twenty networks with these settings, from this seed on",
      () => this.trySeeds(),
    );
    this.testBox = make("input", { type: "checkbox", checked: true });
    this.testBox.onchange = () => this.touch();
    this.trainers = [
      button("One batch", "A single update", () => this.stepBatch()),
      button("Step", "One epoch", () => this.start("rush", this.shown + 1)),
      button("To the end", "Train without watching", () => this.start("rush", this.end)),
      button("New run", "Begin again with these settings, without the changes by hand", () =>
        this.newRun({}),
      ),
      this.undoButton,
      this.plantButton,
      this.seedsButton,
    ];
    const test = make(
      "label",
      { title: "Show the test points, as triangles" },
      this.testBox,
      "test points",
    );
    return make("div", { className: "row" }, this.playButton, ...this.trainers, test);
  }

  buildSlider() {
    const properties = { type: "range", className: "long", ariaLabel: "Epoch shown", min: 0 };
    this.slider = make("input", { ...properties, title: "Any epoch so far" });
    this.slider.oninput = () => {
      this.stop();
      this.show(Number(this.slider.value));
    };
    return this.slider;
  }

  // What the mouse does in the map, for the keyboard.
  buildHands() {
    this.unitList = make("select", { ariaLabel: "Unit" });
    this.unitList.title = "Its fold moves with the arrow keys on the map, and turns with Shift";
    this.unitList.onchange = () => this.choose(this.unitList.selectedOptions[0].unit);
    this.x1 = numberField("x₁ of a new point");
    this.x2 = numberField("x₂ of a new point");
    this.classList = make("select", { ariaLabel: "Class of new points" });
    this.classList.title = "Of the points that you add; a click with Shift adds the next class";
    const add = make("button", { textContent: "Add", title: "Add a training point here" });
    add.onclick = () => this.addPoint([this.x1.valueAsNumber, this.x2.valueAsNumber]);
    this.hands = make(
      "div",
      { className: "row" },
      make("label", {}, "Unit", this.unitList),
      make("label", {}, "x₁", this.x1),
      make("label", {}, "x₂", this.x2),
      make("label", {}, this.classList),
      add,
    );
    return this.hands;
  }

  buildState() {
    this.state = make("input", { type: "text", className: "long", ariaLabel: "State" });
    this.state.title = "All settings and changes. Copy it to keep this run, or paste one here";
    this.state.onfocus = () => this.state.select();
    this.state.onchange = () => {
      this.question = null;
      this.ask("restore", { text: this.state.value });
      this.state.blur(); // so that it tells the state again
    };
    this.stateRow = make("div", { className: "row" }, "State", this.state);
    return this.stateRow;
  }

  leaveOutWhatTrains() {
    const words =
      "This is a recorded run. To train networks yourself: python -m playground, in the folder " +
      "of the project.";
    this.trials.textContent = words;
    for (const field of Object.values(this.fields)) field.disabled = true;
    for (const element of [...this.trainers, this.stateRow, this.ends.figure])
      element.hidden = true;
    for (const label of [...this.hands.children].slice(1)) label.hidden = true;
  }

  listen() {
    const { canvas } = this.map;
    canvas.onpointerdown = (event) => this.press(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = (event) => this.release(event);
    canvas.onpointercancel = () => this.drop();
    canvas.onpointerleave = () => this.point(null);
    canvas.onkeydown = (event) => this.moveByKey(event);
    canvas.onkeyup = () => this.commit();
    canvas.onblur = () => this.commit();

    const diagram = this.diagram.canvas;
    diagram.onpointermove = (event) => this.point(this.diagram.unitAt(event), true);
    diagram.onpointerleave = () => this.point(null);
    diagram.onclick = (event) => this.choose(this.diagram.unitAt(event));

    const ends = this.ends.canvas;
    ends.onpointermove = (event) => this.tellEnd(this.ends.endAt(event));
    ends.onclick = (event) => {
      const end = this.ends.endAt(event);
      if (end) this.newRun({ ...this.run.seeds.texts, seed: String(end.seed) });
    };
  }

  // What a click does.

  get end() {
    return this.isRecorded ? this.run.lastEpoch : Number(this.run.texts.epochs);
  }

  play() {
    if (this.work === "play") {
      this.stop();
      return;
    }
    if (!this.run.isThere) {
      this.ask("show"); // at first there was no answer
      return;
    }
    if (this.shown >= this.end) this.show(0);
    this.start("play");
  }

  stepBatch() {
    this.stop();
    const batch = (this.within?.batch ?? 0) + 1;
    if (batch < this.run.nBatchesAt(this.shown)) {
      this.ask("train_batches", { epoch: this.shown, n_batches: batch });
    } else {
      this.start("rush", this.shown + 1); // the last batch ends the epoch
    }
  }

  trySeeds() {
    if (this.work === "seeds") {
      this.stop();
      return;
    }
    this.start("seeds");
    this.ask("try_seeds", { texts: this.run.textsAt(this.shown) });
  }

  // Take what was typed into a field.
  set(name) {
    const text = this.fields[name].value.trim();
    if (name === "epochs") {
      this.ask("set_epochs", { text });
    } else if (IN_A_RUN.includes(name) && (this.shown > 0 || this.run.changes.length > 0)) {
      this.change({ what: name, value: text });
    } else {
      this.newRun({ [name]: text });
    }
  }

  // Begin a run with the settings that are shown, but for these.
  newRun(texts, question = null) {
    if (this.work !== "play") this.stop();
    this.question = question;
    this.ask("new_run", { texts: { ...this.run.textsAt(this.shown), ...texts } });
  }

  change(change) {
    this.ask("change", { change: { epoch: this.shown, ...change } });
  }

  addPoint(point, shift = 0) {
    const label = (this.classList.selectedIndex + shift) % this.run.sizes.at(-1);
    this.change({ what: "point", point, class: label });
  }

  // Things to try: a question, a guess, and what comes out.

  tryOut(trial) {
    this.stop();
    this.newRun({ ...this.run.firstTexts, ...trial.settings }, { trial, guess: "", result: "" });
  }

  guess(text) {
    this.question.guess = text;
    if (this.question.trial.work === "seeds") this.trySeeds();
    else this.start("play");
    this.touch();
  }

  // Keep what came out, when the work that answers a question is done.
  answerQuestion() {
    const { question, run } = this;
    if (!question || question.result || question.trial.work !== this.work) return;
    const [trainLoss, , , testAccuracy] = run.metrics.at(-1);
    const accuracy = percent(testAccuracy);
    question.result =
      this.work === "seeds"
        ? this.ends.words(run.seeds, run.nSeeds)
        : `After ${run.lastEpoch} epochs, train loss ${trainLoss.toFixed(3)}, test accuracy ${accuracy}.`;
  }

  showQuestion() {
    const key = JSON.stringify(this.question);
    if (this.questionKey === key) return;
    this.questionKey = key;
    this.questionBox.replaceChildren();
    if (!this.question) return;
    const { trial, guess, result } = this.question;
    this.questionBox.append(make("b", {}, trial.question), " ");
    if (guess === "") {
      this.questionBox.append("Your guess: ");
      for (const answer of trial.answers) {
        const onclick = () => this.guess(answer);
        this.questionBox.append(make("button", { textContent: answer, onclick }));
      }
      return;
    }
    this.questionBox.append(`Your guess: ${guess}. `);
    if (result) this.questionBox.append(make("b", {}, `What came out: ${result} `));
    this.questionBox.append(trial.look_at);
  }

  // Questions to Python and its answers.

  ask(what, values = {}) {
    if (this.isLost) {
      this.stop(NO_KERNEL);
      return;
    }
    this.nAsked += 1;
    this.isWaiting = true;
    this.askedAt = performance.now();
    this.model.send({ ask: what, tab: this.tab, number: this.nAsked, values });
  }

  take(answer, buffers) {
    const isMine = answer.tab === this.tab; // in a notebook, a run may be shown twice
    if (isMine && answer.number === this.nAsked) this.isWaiting = false;
    if (answer.is_gone) {
      this.beginFromState();
      return;
    }
    if (answer.known === undefined) {
      this.stop(answer.note); // there is no run
      return;
    }
    if (answer.known > this.run.params.length) {
      this.ask("show"); // another tab has trained it
      return;
    }
    this.run.take(answer, buffers);
    if (answer.texts) this.takeCircumstances(answer);
    if (answer.within) this.takeWithin(answer.within);
    else if (answer.ask !== "train") this.within = null;
    if (["change", "plant", "undo"].includes(answer.ask) || isNewRun(answer)) {
      this.shown = this.run.lastEpoch;
      this.edited = null;
    }
    this.root.dataset.kernelSeconds = answer.seconds;
    if (isMine) this.goOn(answer);
    this.touch();
  }

  takeCircumstances(answer) {
    const { run } = this;
    fillList(this.fields.dataset, answer.datasets);
    fillList(
      this.classList,
      Array.from({ length: run.sizes.at(-1) }, (_, c) => `class ${c}`),
    );
    fillList(this.unitList, ["no unit", ...unitNames(run.sizes)]);
    [...this.unitList.options].forEach((option, i) => {
      option.unit = i === 0 ? null : unitNumber(i - 1, run.sizes);
    });
    if (isNewRun(answer)) {
      this.pointed = null;
      this.chosen = null;
    }
    this.fieldsKey = null; // so that a text that is not valid goes
    if (this.trials.childElementCount > 0 || this.isRecorded) return;
    this.trials.append("Try:");
    for (const trial of answer.trials) {
      const onclick = () => this.tryOut(trial);
      this.trials.append(make("button", { textContent: trial.name, onclick }));
    }
  }

  takeWithin(within) {
    this.within = { ...within, params: Float32Array.from(within.params) };
    this.shown = within.epoch;
  }

  // The server has begun anew, or had too many tabs.
  beginFromState() {
    if (this.run.isThere) this.ask("restore", { text: this.run.stateAt(this.shown) });
    else this.ask("show");
  }

  goOn(answer) {
    const isWork = ["train", "try_seeds"].includes(answer.ask);
    if (!isWork) this.note.textContent = answer.note;
    else if (answer.note) this.stop(answer.note);
    if (answer.note) return;
    if (answer.ask === "restore") this.start("rush", answer.goal);
    if (answer.ask === "change" && this.work !== "play") this.tellChange();
    if (this.work === "seeds" && answer.ask === "try_seeds") this.tryMoreSeeds();
    if (this.work === "play") this.trainAhead();
    if (this.work === "rush") this.rushOn();
  }

  tryMoreSeeds() {
    const { seeds, nSeeds } = this.run;
    if (seeds.ends.length < nSeeds) {
      this.ask("try_seeds");
    } else {
      this.answerQuestion();
      this.stop();
    }
  }

  tellChange() {
    const { what, epoch, value } = this.run.changes.at(-1);
    if (!(what in FIELDS)) return;
    const [label] = FIELDS[what];
    this.note.textContent = `${label} ${value} from epoch ${epoch} on. Play goes on from there; “New run” begins again.`;
  }

  // Time.

  start(work, goal = 0) {
    this.note.textContent = "";
    this.work = work;
    this.goal = goal;
    this.root.dataset.work = work;
    this.playButton.textContent = work === "play" ? "❚❚ Pause" : "▶ Play";
    this.seedsButton.textContent = work === "seeds" ? "Stop" : "20 seeds";
  }

  stop(note = "") {
    this.start("");
    this.note.textContent = note;
    this.touch();
  }

  // Show an epoch, or the last there is.
  show(epoch) {
    const there = Math.min(epoch, this.run.lastEpoch);
    if (there === this.shown && !this.within) return;
    this.shown = there;
    this.within = null;
    this.touch();
  }

  touch() {
    this.isStale = true;
  }

  tick(now) {
    this.loop = requestAnimationFrame((later) => this.tick(later));
    if (!this.root.isConnected) return;
    this.tellIfBusy(now);
    if (!this.run.isThere) return;
    if (this.work === "play" && now - this.lastFrame >= FRAME_MS) this.playOn(now);
    if (this.work === "rush") this.rushOn();
    if (this.isStale) this.draw();
  }

  tellIfBusy(now) {
    const isBusy = this.isWaiting && now - this.askedAt > BUSY_MS;
    if (isBusy) this.note.textContent = BUSY;
    else if (this.note.textContent === BUSY) this.note.textContent = "";
  }

  // One epoch a frame at first, then more and more.
  get stride() {
    return EPOCHS_A_FRAME * (1 + Math.floor(this.shown / 50));
  }

  playOn(now) {
    this.trainAhead();
    const next = Math.min(this.shown + this.stride, this.end);
    if (next <= this.run.lastEpoch) {
      this.show(next);
      this.lastFrame = now;
    }
    if (this.shown >= this.end) {
      this.answerQuestion();
      this.stop();
    }
  }

  // Ask for the epochs of the next frames in time.
  trainAhead() {
    const { stride, shown, run } = this;
    if (run.lastEpoch < shown + 3 * stride) this.trainOn(4 * stride, this.end);
  }

  rushOn() {
    this.show(this.goal);
    if (this.shown >= this.goal) {
      this.stop();
    } else {
      this.trainOn(this.goal, this.goal);
    }
  }

  trainOn(nEpochs, end) {
    const nLeft = end - this.run.lastEpoch;
    if (this.isWaiting || nLeft < 1) return; // never two questions at a time
    this.ask("train", { n_epochs: Math.min(nEpochs, nLeft) });
  }

  // Drawing.

  draw() {
    if (this.map.canvas.clientWidth === 0) return;
    const start = performance.now();
    this.isStale = false;
    const { run, shown, within } = this;
    const params = this.edited ?? within?.params ?? run.params[shown];
    const hasAnswers = !this.question || this.question.guess !== "";
    const scene = {
      run,
      epoch: shown,
      layers: layersOf(params, run.sizes),
      unit: this.pointed ?? this.chosen,
      isLarge: this.isLarge,
      rows: within?.rows ?? [],
      hasTestPoints: this.testBox.checked,
      hasBest: hasAnswers,
      hasBefore: hasAnswers,
      hasEnds: hasAnswers,
    };
    this.map.draw(scene);
    this.diagram.draw(scene);
    this.curves.draw(scene);
    this.ends.draw(scene);
    this.tell(scene);
    this.nFrames += 1;
    const ms = performance.now() - start;
    Object.assign(this.root.dataset, { frames: this.nFrames, shown, ms });
  }

  tell(scene) {
    const { run, shown, within } = this;
    const metrics = within?.metrics ?? run.metrics[shown];
    this.slider.max = run.lastEpoch;
    this.slider.value = shown;
    this.readout.textContent = this.readoutText(metrics);
    this.undoButton.disabled = run.changes.length === 0;
    this.plantButton.disabled = !run.canPlant;
    if (document.activeElement !== this.state) this.state.value = run.stateAt(shown);
    this.tellSettings();
    this.showQuestion();
    this.map.told.textContent = scene.unit ? this.wordsOf(scene) : this.howTo;
    if (!this.edited && !isDrawnRight(scene.layers, run.test, metrics[2])) {
      this.note.textContent = WRONG;
    }
  }

  readoutText([trainLoss, trainAccuracy, testLoss, testAccuracy]) {
    const { within, shown } = this;
    const batch = within ? `, batch ${within.batch} of ${this.run.nBatchesAt(shown)}` : "";
    return (
      `${shown} of ${this.end}${batch} · ` +
      `loss ${trainLoss.toFixed(3)}, test ${testLoss.toFixed(3)} · ` +
      `accuracy ${percent(trainAccuracy)}, test ${percent(testAccuracy)}`
    );
  }

  // Show the settings of this epoch, but leave the field alone in which someone types.
  tellSettings() {
    const texts = this.run.textsAt(this.shown);
    const key = JSON.stringify(texts);
    if (this.fieldsKey === key) return;
    this.fieldsKey = key;
    for (const [name, field] of Object.entries(this.fields)) field.value = texts[name];
  }

  get howTo() {
    return this.isRecorded ? HOVER : `${HOVER} ${DRAG}`;
  }

  wordsOf({ unit: [layer, j], layers }) {
    const values = evaluate(layers, this.run.train)[layer][j];
    const fraction = values.filter((value) => value > 0).length / values.length;
    const words = [`Unit ${j} fires on ${(100 * fraction).toFixed(0)} % of the training points.`];
    if (layer === 0) {
      const [w1, w2, b] = foldOf(layers, j);
      const sum = `${w1.toFixed(2)} x₁ ${signed(w2)} x₂ ${signed(b)}`;
      words.push(`Its output is max(0, ${sum}).`);
    }
    if (layer + 2 === layers.length) {
      const weights = weightsFrom(layers, layer, j).map((w) => w.toFixed(2));
      words.push(`Its weights to the classes are ${weights.join(", ")}.`);
    }
    return words.join(" ");
  }

  tellEnd(end) {
    const { canvas } = this.ends;
    canvas.style.cursor = end ? "pointer" : "";
    canvas.title = "";
    if (!end) return;
    const loss = end.train_loss.toFixed(3);
    const accuracy = percent(end.test_accuracy);
    canvas.title = `Seed ${end.seed}: train loss ${loss}, test accuracy ${accuracy}. Click to train it.`;
  }

  // Units.

  point(unit, isInDiagram = false) {
    if (this.drag || String(unit) === String(this.pointed)) return;
    this.pointed = unit;
    this.isLarge = (isInDiagram && unit !== null) || (unit === null && this.chosen !== null);
    this.touch();
  }

  choose(unit) {
    this.chosen = unit;
    this.isLarge = unit !== null;
    const options = [...this.unitList.options];
    this.unitList.selectedIndex = options.findIndex(
      (option) => String(option.unit) === String(unit),
    );
    this.touch();
  }

  // Folds and points, by mouse.

  press(event) {
    if (this.isRecorded) return;
    const from = this.map.toPlane(event);
    const unit = this.map.foldAt(from);
    this.pressed = [event.offsetX, event.offsetY];
    if (!unit || !this.map.foldEnds(unit[1])) return;
    const { work } = this; // to go on with afterwards
    this.stop();
    this.map.canvas.setPointerCapture(event.pointerId);
    this.point(unit);
    const [a, b] = this.map.foldEnds(unit[1]);
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const fromMiddle = Math.hypot(from[0] - middle[0], from[1] - middle[1]);
    const isTurned = fromMiddle > 0.3 * Math.hypot(a[0] - b[0], a[1] - b[1]);
    const fold = foldOf(this.map.scene.layers, unit[1]);
    this.drag = { j: unit[1], from, middle, isTurned, fold, work };
  }

  move(event) {
    const place = this.map.toPlane(event);
    if (!this.drag) {
      const unit = this.map.foldAt(place);
      this.map.canvas.style.cursor = unit ? "grab" : "crosshair";
      this.point(unit);
    } else if (this.edited || this.hasMoved(event)) {
      this.edit(this.drag.j, this.draggedTo(place));
    }
  }

  hasMoved({ offsetX, offsetY }) {
    const [x, y] = this.pressed;
    return Math.hypot(offsetX - x, offsetY - y) > 3;
  }

  // Return the fold where it was dragged to: by its middle it moves, by an end it turns.
  draggedTo(place) {
    const { from, middle, isTurned, fold } = this.drag;
    if (!isTurned) return shifted(fold, place[0] - from[0], place[1] - from[1]);
    const angleOf = ([x, y]) => Math.atan2(y - middle[1], x - middle[0]);
    return turned(fold, angleOf(place) - angleOf(from), middle);
  }

  release(event) {
    const { drag, pressed } = this;
    this.drag = null;
    this.pressed = null;
    if (this.edited) this.commit();
    else if (pressed) this.addPoint(this.map.toPlane(event), event.shiftKey ? 1 : 0);
    if (drag?.work === "play") this.start("play");
  }

  drop() {
    this.drag = null;
    this.pressed = null;
    this.edited = null;
    this.touch();
  }

  // And by keyboard.

  moveByKey(event) {
    const directions = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    };
    const direction = directions[event.key];
    const unit = this.pointed ?? this.chosen;
    if (!direction || !unit || unit[0] !== 0 || this.isRecorded) return;
    event.preventDefault();
    const ends = this.map.foldEnds(unit[1]);
    if (!ends) return;
    const [[x0, y0], [x1, y1]] = ends;
    const fold = foldOf(this.map.scene.layers, unit[1]);
    const step = this.run.frame.width / 100;
    const moved = event.shiftKey
      ? turned(fold, (direction[0] - direction[1]) / -30, [(x0 + x1) / 2, (y0 + y1) / 2])
      : shifted(fold, step * direction[0], step * direction[1]);
    this.stop();
    this.edit(unit[1], moved);
    this.draw(); // now, for the next key
  }

  // Draw the network with another fold.
  edit(j, fold) {
    const n = this.run.sizes[1];
    this.edited = this.run.params[this.shown].slice();
    [this.edited[j], this.edited[n + j], this.edited[2 * n + j]] = fold;
    this.editedFold = { unit: j, weight: fold.slice(0, 2), bias: fold[2] };
    this.within = null; // a change is made at an epoch, not within one
    this.touch();
  }

  // Make a fold as it was moved a change of the run. It stays as drawn until the answer comes.
  commit() {
    if (!this.edited || this.drag || this.editedFold === null) return;
    this.change({ what: "fold", ...this.editedFold });
    this.editedFold = null;
  }
}

// Return the names of all hidden units, in the order of their layers.
function unitNames(sizes) {
  const names = [];
  sizes.slice(1, -1).forEach((n, layer) => {
    for (let j = 0; j < n; j++)
      names.push(sizes.length > 3 ? `${j} of layer ${layer + 1}` : `${j}`);
  });
  return names;
}

// Return [layer, j] of the hidden unit with this number.
function unitNumber(number, sizes) {
  return number < sizes[1] ? [0, number] : [1, number - sizes[1]];
}

// Give a list these options, if it has others.
function fillList(list, names) {
  if ([...list.options].map((option) => option.text).join() === names.join()) return;
  list.replaceChildren(...names.map((name) => make("option", {}, name)));
}

// Return whether the network as it is drawn has the test loss that Python has told.
function isDrawnRight(layers, test, loss) {
  return Math.abs(lossOf(layers, test) - loss) < 1e-3 * (1 + loss);
}

function render({ model, el }) {
  const playground = new Playground(model, el);
  return () => playground.close();
}

export default { render };
