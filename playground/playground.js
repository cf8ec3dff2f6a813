// Part III: the playground in the browser: it asks, draws, and takes what a person does.
//
// Python trains (run.py) and sends the parameters of every epoch. Here a network is only evaluated,
// to draw it. So neither the slider nor a fold that is dragged waits for an answer. That both agree
// is checked with every picture: see `isDrawnRight`.
//
// In this order: the network, how much its units bend, shapes on the plane, tools for drawing, the
// four pictures, what the browser knows of a run, the questions to the person, the hands on the map
// and on the diagram, and the playground itself.

const CLASS_COLORS = [
  [0, 114, 178],
  [230, 159, 0],
  [0, 158, 115],
]; // as in plots.py
const FOLD_COLORS = ["#003a5c", "#7a5400"]; // the same, darker, to be seen on these
const GREY = [70, 70, 70];
const GOOD = "#44aa99"; // as in plots.py
const BAD = "#882255";
const SHADE = 0.6; // how deep a colour is where a class is certain, as in plots.py
const ABOVE_0 = "#333333"; // the colours of weights
const BELOW_0 = "#cc3377";

const ASPECT = 3 / 4; // height of a map by its width
const LARGE_COLUMNS = 120; // of the grid on which a map is computed
const COARSE_COLUMNS = 64; // the same, for a large network
const SMALL_COLUMNS = 28; // and for the map of a unit in the diagram
const MOST_LINES = 1000; // that the diagram draws at a time

const HAS_LITTLE_MOTION = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const FRAME_MS = HAS_LITTLE_MOTION ? 1000 : 31; // from one picture to the next
const EPOCHS_A_FRAME = HAS_LITTLE_MOTION ? 30 : 1; // at first, then more
const BUSY_MS = 2000; // without an answer
const OWN = "own"; // the data set of one's own points
const MOST_BYTES = 500_000; // of a file of points

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

// Return where the weight from one unit to another lies among the parameters.
function placeOfWeight(sizes, layer, from, to) {
  let start = 0;
  for (let l = 0; l < layer; l++) start += (sizes[l] + 1) * sizes[l + 1];
  return start + from * sizes[layer + 1] + to;
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

// How much each unit of a network with one hidden layer and two classes bends the log-odds,
// log(p1 / p0), over the training points: above 0 towards class 1. See `describe` in folds.py.

// Return columns that span all planes a x₁ + b x₂ + c over some points, each of length 1 and at
// right angles to the others: three, or fewer if all points lie on one line.
function planesOver([x, y]) {
  const columns = [];
  for (const values of [new Float32Array(x.length).fill(1), x, y]) {
    const rest = withoutPlanes(values, columns);
    const length = Math.sqrt(dot(rest, rest));
    const isNew = length > 1e-5 * Math.sqrt(x.length);
    if (isNew) columns.push(rest.map((value) => value / length));
  }
  return columns;
}

// Return values without their part along some columns of length 1.
function withoutPlanes(values, columns) {
  const rest = Float64Array.from(values);
  for (const column of columns) addMultiple(rest, -dot(column, rest), column);
  return rest;
}

function dot(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}

// Return for each hidden unit how much it bends, or null for another form of network.
function bendsOf(layers, { train, planes }) {
  if (layers.length !== 2 || layers[1].nOut !== 2) return null;
  const outputs = evaluate(layers, train)[0].map(relu);
  return outputs.map((output, j) => {
    const [towards0, towards1] = weightsFrom(layers, 0, j);
    const rest = withoutPlanes(output, planes);
    return (towards1 - towards0) * Math.sqrt(dot(rest, rest) / rest.length);
  });
}

// Return how much all units together bend towards each class.
function sumsOf(bends) {
  const sums = [0, 0];
  for (const bend of bends) sums[bend > 0 ? 1 : 0] += Math.abs(bend);
  return sums;
}

// Shapes on the plane. A frame is a rectangle of it: `left`, `top`, `width` and `height`.

// Return the frame that holds all points, a little larger.
function frameOf(...pointSets) {
  const [left, right] = extent(pointSets.flatMap((points) => [...points[0]]));
  const [low, high] = extent(pointSets.flatMap((points) => [...points[1]]));
  const width = 1.1 * Math.max(right - left, (high - low) / ASPECT, 1e-3);
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

function distance([x0, y0], [x1, y1]) {
  return Math.hypot(x1 - x0, y1 - y0);
}

function middleOf([x0, y0], [x1, y1]) {
  return [(x0 + x1) / 2, (y0 + y1) / 2];
}

function angleFrom([x0, y0], [x1, y1]) {
  return Math.atan2(y1 - y0, x1 - x0);
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

// Return an image of a unit: its depth is the square root of the output, so that small ones show.
function unitImage(values, columns, color) {
  const largest = values.reduce((a, b) => Math.max(a, b), 1e-12);
  return imageOf(columns, (k) => [color, 0.85 * Math.sqrt(Math.max(0, values[k]) / largest)]);
}

// Return ticks from 0 to `largest`, about `wanted` of them.
function ticksUpTo(largest, wanted) {
  let step = 10 ** Math.floor(Math.log10(largest / wanted));
  for (const factor of [2, 2.5, 2]) {
    if (largest / step > wanted) step *= factor; // from 1 to 2, 5 and 10
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
  const caption = make("div", {}, label);
  const told = make("div", { className: "told" });
  const figure = make("figure", {}, canvas, make("figcaption", {}, caption, told));
  return { canvas, caption, told, figure };
}

// The pictures. Each draws a `scene`:
//
//   run      the RunSoFar
//   epoch    the one that is shown
//   layers   of the network that is shown
//   unit     [layer, j], the hidden unit that is looked at, or null
//   isLarge  whether its map takes the place of the decision map
//   weight   the weight that is chosen, its `layer`, and `from` and `to` which unit; or null
//   bends    how much each unit bends the log-odds, or null
//   rows     numbers of the training points in the batch, or []
//   hasTestPoints  whether they are drawn
//   hasAnswers     whether what would answer an open question is drawn

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

const ON_THE_MAP =
  "Dotted: the folds of the first hidden layer, lines on which a unit begins to rise from 0. " +
  "Discs: training points. Triangles: test points.";
const PREDICTIONS =
  "The colour is the class that the network predicts, deeper where it is more certain. On the " +
  `black line, two classes are equally probable. ${ON_THE_MAP}`;
const UNIT_MAP =
  "The map of a hidden unit: deeper where its output is larger, white where it is 0. " + ON_THE_MAP;

// The plane: what the network predicts, or a unit's map, with points and folds.
class MapPicture {
  constructor() {
    Object.assign(this, picture("map", PREDICTIONS));
    this.canvas.tabIndex = 0;
  }

  draw(scene) {
    const { pen, width, height } = begin(this.canvas);
    const { run, layers, unit } = scene;
    this.scene = scene;
    const columns = run.nWeights > MOST_LINES ? COARSE_COLUMNS : LARGE_COLUMNS;
    const all = evaluate(layers, gridOf(run.frame, columns));
    const isOfUnit = scene.isLarge && unit !== null;
    this.tell(isOfUnit ? UNIT_MAP : PREDICTIONS);
    if (isOfUnit) {
      const [layer, j] = unit;
      const image = unitImage(all[layer][j], columns, unitColor(layers, layer, j));
      pen.drawImage(image, 0, 0, width, height);
      if (layer > 0) this.drawZeroLines(pen, all[layer][j], columns, 2);
    } else {
      pen.drawImage(decisionImage(all.at(-1), columns), 0, 0, width, height);
    }
    pen.drawImage(this.pointsImage(width, height), 0, 0, width, height);
    if (!isOfUnit) this.drawBoundaries(pen, all.at(-1), columns);
    this.drawBatch(pen, width);
    if (layers.length > 1) {
      for (let j = 0; j < layers[0].nOut; j++) this.drawFold(pen, j);
    }
    this.drawTicks(pen, width, height);
  }

  tell(words) {
    if (this.caption.textContent === words) return;
    this.caption.textContent = words;
    this.canvas.ariaLabel = words;
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

  // Draw the fold of a unit, the thicker, the more it bends.
  drawFold(pen, j) {
    const ends = this.foldEnds(j);
    if (!ends) return;
    const { bends } = this.scene;
    const [a, b] = ends.map(([x, y]) => this.toPage(x, y));
    if (!isSame(this.scene.unit, 0, j)) {
      const color = bends ? FOLD_COLORS[bends[j] > 0 ? 1 : 0] : "black";
      const width = bends ? 0.8 + Math.min(4, 4 * Math.abs(bends[j])) : 1;
      pen.setLineDash([2, 3]);
      drawLine(pen, a, b, color, width);
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
      "The network. Lines are weights: black above 0, pink below, thicker if larger. A rectangle " +
      "is the map of a hidden unit: white where it is 0, and in the colour of the class that it " +
      "speaks for; grey before the last hidden layer. A layer of many units has several columns.";
    Object.assign(this, picture("diagram", label));
  }

  draw(scene) {
    const { pen, width, height } = begin(this.canvas);
    const { run, layers } = scene;
    this.scene = scene;
    this.lines = []; // that are drawn: the weights, with `start` and `end`
    this.places = this.placesOf(run.sizes, width, height);
    const drawsAll = run.nWeights <= MOST_LINES;
    layers.forEach((layer, l) => this.drawWeights(pen, layer, l, drawsAll));
    if (!drawsAll && !scene.unit) write(pen, "Hover over a unit to see its weights", 4, 14);
    const all = evaluate(layers, gridOf(run.frame, SMALL_COLUMNS));
    for (let l = 0; l + 1 < layers.length; l++) this.drawUnits(pen, all[l], l);
    this.drawChosen(pen);
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
      const shift = nColumns > 1 ? (c % 2) / 2 - 0.25 : 0; // half a row: lines pass between the units
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
        pen.globalAlpha = unit && !isOfUnit ? 0.1 : 0.8;
        const start = [from.x + from.size / 2, from.y];
        const end = [to.x - to.size / 2, to.y];
        drawWeight(pen, start, end, w, unit ? 1 : 0.3);
        if (!unit || isOfUnit) this.lines.push({ layer: l, from: i, to: j, w, start, end });
      }
    }
    pen.globalAlpha = 1;
  }

  // Draw the weight that is chosen, with something to take hold of.
  drawChosen(pen) {
    const { weight } = this.scene;
    const line = this.lines.find((line) => isSameWeight(line, weight));
    if (!line) return;
    const { w, start, end } = line;
    drawWeight(pen, start, end, w, 3);
    drawDisc(pen, ...middleOf(start, end), 6, "white");
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

  // Return the nearest weight within four pixels of the mouse, or null.
  weightAt({ offsetX, offsetY }) {
    let weight = null;
    let least = 4;
    for (const line of this.lines) {
      const distance = distanceToLine([offsetX, offsetY], line.start, line.end);
      if (distance < least) {
        least = distance;
        weight = line;
      }
    }
    return weight;
  }
}

// Draw the line of a weight w, the thicker, the larger it is.
function drawWeight(pen, start, end, w, leastWidth) {
  const width = Math.max(leastWidth, Math.min(7, 2.5 * Math.abs(w)));
  drawLine(pen, start, end, w > 0 ? ABOVE_0 : BELOW_0, width);
}

// Return how far a place is from the straight line from a to b.
function distanceToLine([x, y], a, b) {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const t = ((x - a[0]) * dx + (y - a[1]) * dy) / (dx ** 2 + dy ** 2);
  const along = Math.max(0, Math.min(1, t));
  return distance([x, y], [a[0] + along * dx, a[1] + along * dy]);
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
    const before = scene.hasAnswers ? run.before : [];
    this.last = Math.max(10, run.metrics.length - 1, before.length - 1);
    this.left = 42;
    this.right = width - 20; // half of the last label lies beyond
    const panelHeight = (height - 36) / 2 - 26;
    const loss = { k: 0, name: "loss (cross-entropy)", scale: 1, top: 18, height: panelHeight };
    const accuracy = { k: 1, name: "accuracy (%)", scale: 100, top: 44 + panelHeight };
    const runs = [
      [before, "#b0b0b0"],
      [run.metrics, "black"],
    ];
    this.drawPanel(pen, { ...loss, ...this.lossRange(runs) }, runs);
    this.drawPanel(pen, { ...accuracy, height: panelHeight, ...this.accuracyRange(runs) }, runs);
    this.drawEpochs(pen, width, height);
    const hints = [];
    if (before.length > 0) {
      const { batch_size, learning_rate, seed } = run.textsBefore;
      const settings = `batch size ${batch_size}, learning rate ${learning_rate}, seed ${seed}`;
      hints.push(`Grey: the run before (${settings}).`);
    }
    if (scene.hasAnswers && run.best !== null)
      hints.push(`Green: the best possible classifier, ${percent(run.best)} on the test points.`);
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
    const { run, epoch, hasAnswers } = this.scene;
    const toY = (value) => top + height * (1 - (Math.min(value, high) - low) / (high - low));
    for (const tick of ticks) {
      drawLine(pen, [this.left, toY(tick)], [this.right, toY(tick)], "#dddddd");
      write(pen, Number((scale * tick).toFixed(2)), this.left - 4, toY(tick) + 4, "right");
    }
    write(pen, name, this.left, top - 5);
    if (k === 1 && hasAnswers && run.best !== null) {
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
    Object.assign(
      this,
      picture("ends", "Each dot is a seed, and where its run ends. Black: the seed that is shown."),
    );
    this.dots = [];
  }

  draw({ run, hasAnswers }) {
    const { pen, width, height } = begin(this.canvas);
    const seeds = hasAnswers ? run.seeds : null;
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
    if (seeds === null) return `“${nSeeds} seeds” trains them.`;
    const { ends, bound, texts } = seeds;
    const nDiverged = ends.filter((end) => !("train_loss" in end)).length;
    const words = [`${ends.length} of ${nSeeds} seeds at batch size ${texts.batch_size}.`];
    if (nDiverged > 0) {
      words.push(`${nDiverged} diverged: try a learning rate below ${texts.learning_rate}.`);
    }
    if (ends.length === nSeeds && nDiverged < nSeeds) words.push(this.wordsOfGroups(ends, bound));
    return words.join(" ");
  }

  wordsOfGroups(ends, bound) {
    const nThere = ends.filter((end) => "train_loss" in end).length;
    if (nThere < 10) return "These are too few to say whether some are stuck.";
    if (bound === null) return "There are no two groups: no gap says which are stuck.";
    const stuck = ends.filter((end) => end.train_loss > bound).map((end) => end.seed);
    return (
      `Two groups: ${nThere - stuck.length} learn, and ${stuck.length} are stuck, right of the ` +
      `dashed line: their loss hardly falls any more. These are the seeds ${stuck.join(", ")}.`
    );
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
    this.before = []; // the metrics of the run before, and its settings in the end
    this.textsBefore = null;
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
    if (this.metrics.length > answer.known + 1) {
      this.before = this.metrics;
      this.textsBefore = this.textsAt(this.lastEpoch);
    }
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
    this.planes = planesOver(this.train);
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

  // Return how many updates the network has had at an epoch.
  nUpdatesAt(epoch) {
    let n = 0;
    let from = 0;
    const changed = this.changes.map((change) => change.epoch).filter((other) => other < epoch);
    for (const to of [...changed, epoch]) {
      n += (to - from) * this.nBatchesAt(from);
      from = to;
    }
    return n;
  }

  // Return all that must be known to train this run again up to an epoch, as a text for an address.
  stateAt(epoch) {
    const state = new URLSearchParams();
    const texts = { ...this.texts };
    if (texts.dataset !== OWN) texts.points = ""; // they may be many, and are not used
    for (const [name, text] of Object.entries(texts)) {
      if (text !== this.firstTexts[name]) state.set(name, text);
    }
    state.set("epoch", epoch);
    const changes = this.changes.filter((change) => change.epoch <= epoch);
    if (changes.length > 0) state.set("changes", JSON.stringify(changes));
    return state.toString();
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

// Things to try: a question, a guess, and what comes out.
class QuestionBox {
  constructor(onguess) {
    this.element = make("div", { className: "question", role: "status" });
    this.onguess = onguess;
    this.ask(null);
  }

  // Ask the question of a trial, or none.
  ask(trial) {
    this.trial = trial;
    this.guess = "";
    this.result = "";
    this.isPast = false;
    this.show();
  }

  get isOpen() {
    return this.trial !== null && this.guess === "";
  }

  // The settings have changed that the question is about: of it only the advice is left.
  drop() {
    if (this.result === "") this.ask(null);
    this.isPast = true;
    this.show();
  }

  takeGuess(guess) {
    this.guess = guess;
    this.show();
    this.onguess(this.trial);
  }

  // Take what came out of the work, "play" or "seeds", if the question is about that.
  answer(work, result) {
    if (this.trial?.work !== work || this.isOpen || this.result !== "") return;
    this.result = result;
    this.show();
  }

  show() {
    this.element.replaceChildren();
    if (this.trial === null) return;
    if (this.isPast) {
      this.element.append(this.trial.look_at);
      return;
    }
    this.element.append(make("b", {}, this.trial.question), " ");
    if (this.isOpen) {
      this.element.append("Your guess: ");
      for (const guess of this.trial.answers) {
        const onclick = () => this.takeGuess(guess);
        this.element.append(make("button", { textContent: guess, onclick }));
      }
      return;
    }
    this.element.append(`Your guess: ${this.guess}. `);
    if (this.result !== "") {
      this.element.append(make("b", {}, `What came out: ${this.result} `), this.trial.look_at);
    }
  }
}

// A hand on the map: by mouse or by keyboard, it moves folds and adds points.
class MapHand {
  constructor(playground) {
    this.playground = playground;
    this.map = playground.map;
    this.pressed = null; // where the mouse was pressed, and the fold that it holds
    const { canvas } = this.map;
    canvas.onpointerdown = (event) => this.press(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = (event) => this.release(event);
    canvas.onpointercancel = () => playground.letGo();
    canvas.onpointerleave = () => this.playground.point(null);
    canvas.onkeydown = (event) => this.pressKey(event);
    canvas.onkeyup = () => this.commit();
    canvas.onblur = () => this.commit();
  }

  press(event) {
    if (this.playground.isRecorded || event.button !== 0) return;
    const place = this.map.toPlane(event);
    const unit = this.map.foldAt(place);
    const { work } = this.playground; // to go on with afterwards
    this.playground.showWholeEpoch();
    this.playground.point(unit);
    this.pressed = { x: event.offsetX, y: event.offsetY, work };
    if (unit === null || this.map.foldEnds(unit[1]) === null) return;
    this.map.canvas.setPointerCapture(event.pointerId);
    const [a, b] = this.map.foldEnds(unit[1]);
    const middle = middleOf(a, b);
    const isTurned = distance(place, middle) > 0.3 * distance(a, b);
    const fold = foldOf(this.map.scene.layers, unit[1]);
    Object.assign(this.pressed, { unit: unit[1], from: place, middle, isTurned, fold });
  }

  move(event) {
    const place = this.map.toPlane(event);
    if (this.pressed?.unit === undefined) {
      const unit = this.map.foldAt(place);
      this.map.canvas.style.cursor = unit ? "grab" : "crosshair";
      this.playground.point(unit);
    } else if (this.playground.moved || this.isFarFromPress(event)) {
      this.moveFold(this.pressed.unit, this.draggedTo(place));
    }
  }

  isFarFromPress({ offsetX, offsetY }) {
    return distance([offsetX, offsetY], [this.pressed.x, this.pressed.y]) > 3;
  }

  // Return the fold where it was dragged to: by its middle it moves, by an end it turns.
  draggedTo(place) {
    const { from, middle, isTurned, fold } = this.pressed;
    if (!isTurned) return shifted(fold, place[0] - from[0], place[1] - from[1]);
    return turned(fold, angleFrom(middle, place) - angleFrom(middle, from), middle);
  }

  release(event) {
    const { pressed } = this;
    this.pressed = null;
    if (pressed === null) return;
    if (this.playground.moved) this.commit();
    else this.playground.addPoint(this.map.toPlane(event), event.shiftKey ? 1 : 0);
    if (pressed.work === "play") this.playground.start("play");
  }

  // Move the fold of the unit that is looked at, or with Shift turn it.
  pressKey(event) {
    const direction = ARROWS[event.key];
    const unit = this.playground.pointed ?? this.playground.chosen;
    if (!direction || unit === null || unit[0] !== 0 || this.playground.isRecorded) return;
    event.preventDefault();
    this.playground.showWholeEpoch();
    const ends = this.map.foldEnds(unit[1]);
    if (ends === null) return;
    const fold = foldOf(this.map.scene.layers, unit[1]);
    const step = this.playground.run.frame.width / 100;
    const [right, up] = direction;
    const moved = event.shiftKey
      ? turned(fold, (up - right) / 30, middleOf(...ends))
      : shifted(fold, step * right, step * up);
    this.moveFold(unit[1], moved);
    this.playground.draw(); // now, for the next key
  }

  moveFold(unit, fold) {
    const [w1, w2, bias] = fold;
    const n = this.playground.run.sizes[1];
    const params = { [unit]: w1, [n + unit]: w2, [2 * n + unit]: bias };
    this.playground.isLarge = false;
    this.playground.move(params, { what: "fold", unit, weight: [w1, w2], bias });
  }

  commit() {
    if (this.pressed === null) this.playground.commit();
  }
}

// A hand on the diagram: it chooses a unit or a weight, and changes a weight.
class DiagramHand {
  constructor(playground) {
    this.playground = playground;
    this.diagram = playground.diagram;
    this.pressed = null; // where the mouse was pressed on a weight, and its value then
    this.weight = null; // the weight that is chosen: its `layer`, and `from` and `to` which unit
    this.label = make("span", {});
    this.field = numberField("Weight");
    this.field.disabled = playground.isRecorded;
    this.field.onchange = () => this.type();
    this.row = make("label", { className: "weight" }, this.label, this.field);
    this.hint = make("span", { textContent: playground.isRecorded ? CLICK : CLICK_AND_DRAG });
    this.diagram.told.append(this.hint, this.row);
    const { canvas } = this.diagram;
    canvas.tabIndex = 0;
    canvas.onpointerdown = (event) => this.press(event);
    canvas.onpointermove = (event) => this.move(event);
    canvas.onpointerup = () => this.release();
    canvas.onpointercancel = () => playground.letGo();
    canvas.onpointerleave = () => playground.point(null);
    canvas.onkeydown = (event) => this.pressKey(event);
  }

  press(event) {
    this.field.blur(); // what was typed is for the weight before
    const unit = this.diagram.unitAt(event);
    this.choose(unit ? null : this.diagram.weightAt(event));
    if (this.weight === null) this.playground.choose(unit, true);
    if (this.weight === null || this.playground.isRecorded || event.button !== 0) return;
    const { work } = this.playground; // to go on with afterwards
    this.playground.showWholeEpoch();
    this.pressed = { y: event.offsetY, value: this.value, work };
    this.diagram.canvas.setPointerCapture(event.pointerId);
  }

  // Upwards, a weight becomes larger.
  move(event) {
    if (this.pressed === null) {
      const isOnWeight = !this.diagram.unitAt(event) && this.diagram.weightAt(event);
      this.diagram.canvas.style.cursor = isOnWeight ? "ns-resize" : "";
      this.playground.point(this.diagram.unitAt(event), true);
      return;
    }
    const up = this.pressed.y - event.offsetY;
    if (!this.playground.moved && Math.abs(up) < 3) return; // a click may tremble
    const value = this.pressed.value + up / 50;
    this.playground.move({ [this.place]: value }, this.changeTo(value));
  }

  release() {
    const { pressed } = this;
    this.pressed = null;
    if (pressed === null) return;
    this.playground.commit();
    if (pressed.work === "play") this.playground.start("play");
  }

  // Choose the next weight, or the one before.
  pressKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const { lines } = this.diagram;
    if (step === undefined || lines.length === 0) return;
    event.preventDefault();
    const i = lines.findIndex((line) => isSameWeight(line, this.weight));
    const next = i < 0 ? 0 : (i + step) % lines.length;
    this.choose(lines.at(next));
    this.playground.draw(); // now, for the next key
  }

  type() {
    this.playground.change(this.changeTo(this.field.valueAsNumber));
  }

  choose(weight) {
    this.weight = weight;
    this.playground.touch();
  }

  get place() {
    const { layer, from, to } = this.weight;
    return placeOfWeight(this.playground.run.sizes, layer, from, to);
  }

  get value() {
    return this.playground.paramsShown[this.place];
  }

  changeTo(value) {
    const { layer, from, to } = this.weight;
    return { what: "weight", layer, from, to, value };
  }

  // Tell the chosen weight, but leave the field alone in which someone types.
  tell() {
    this.row.hidden = this.weight === null;
    this.hint.hidden = this.weight !== null;
    if (this.weight === null) return;
    const { layer, from, to } = this.weight;
    const { sizes } = this.playground.run;
    const names = [nameOfUnit(sizes, layer, from), nameOfUnit(sizes, layer + 1, to)];
    this.label.textContent = `Weight from ${names.join(" to ")}`;
    if (document.activeElement !== this.field) this.field.value = Number(this.value.toFixed(4));
  }
}

function isSameWeight(weight, other) {
  return (
    other !== null &&
    weight.layer === other.layer &&
    weight.from === other.from &&
    weight.to === other.to
  );
}

// Return the name of a unit of a layer, where layer 0 holds the inputs.
function nameOfUnit(sizes, layer, j) {
  if (layer === 0) return ["x₁", "x₂"][j];
  if (layer === sizes.length - 1) return `class ${j}`;
  return sizes.length > 3 ? `unit ${j} of layer ${layer}` : `unit ${j}`;
}

const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

// The playground.

const FIELDS = {
  dataset: ["Data", "The data set"],
  noise: ["Noise", "Standard deviation of the noise on the points, from 0 to 1"],
  data_seed: ["Data seed", "Other points of the same kind"],
  hidden_units: ["Hidden units", "Such as 20, or 8,8 for two layers, or none"],
  seed: ["Seed", "Of the initial weights and the shuffles"],
  learning_rate: [
    "Learning rate",
    "How far an update goes along the gradient. It can be changed in the middle of a run",
  ],
  batch_size: [
    "Batch size",
    "How many points an update uses, or full for all. It can be changed in the middle of a run",
  ],
  epochs: ["Epochs", "How many epochs the run has"],
};
const IN_A_RUN = ["learning_rate", "batch_size"]; // what can be changed without a new one

const QUIET = ["train", "gradient"]; // questions after which all stays as it is shown

const POINT_AT = "Point at a unit to see its map and its fold.";
const DRAG = "Drag a fold to move it, or its end to turn it.";
const OPEN =
  "A CSV file with a line x1,x2,class for each point; the class is 0, 1 or 2. You can also drop it " +
  "onto the page";
const CLICK = "Click on a line to see its weight.";
const CLICK_AND_DRAG = "Click on a line to see its weight, and drag it up or down.";
const WRONG =
  "These pictures are wrong: they are drawn with ReLU layers and a softmax, and the forward pass " +
  "in Python gives another loss.";
const BUSY = "Python is busy, or was stopped.";
const NO_KERNEL = "The kernel was stopped. Run the cell again.";
const RECORDED =
  "This is a recorded run. To train networks yourself, run python -m playground in the folder of " +
  "the project “Neural networks from first principles, in NumPy”.";

class Playground {
  constructor(model, root) {
    this.model = model;
    this.isRecorded = model.isRecorded ?? false;
    this.hasAddress = model.hasAddress ?? false; // whether the page's address holds the state
    this.tab = Math.random().toString(36).slice(2);
    this.run = new RunSoFar();
    this.nAsked = 0;
    this.asked = null; // the last question
    this.isWaiting = false; // for its answer
    this.isLost = false; // nobody will answer any more
    this.work = ""; // "play", "rush" (to `goal`, as fast as it goes), "seeds", or none
    this.goal = 0;
    this.shown = 0; // the epoch that is drawn
    this.within = null; // what is shown of the next epoch, after a few of its batches
    this.pointed = null; // [layer, j], the unit under the mouse
    this.chosen = null; // and the one that was chosen
    this.isLarge = false; // whether its map takes the place of the decision map
    this.moved = null; // parameters that a hand has moved, until Python has made the change
    this.typing = ""; // the name of the field in which someone types
    this.gradient = null; // of the next batch, in the order of the parameters, if it was asked for
    this.stateTold = ""; // the state when the address was last read or written
    this.nFrames = 0;
    this.lastFrame = 0;
    this.build(root);
    this.hear = (answer, buffers) => this.take(answer, buffers);
    this.lose = () => this.loseAnswer();
    model.on("msg:custom", this.hear);
    model.on("comm_live_update", this.lose);
    this.watcher = new ResizeObserver(() => this.touch());
    this.watcher.observe(this.root);
    if (this.hasAddress) window.addEventListener("hashchange", () => this.takeAddress());
    this.loop = requestAnimationFrame((now) => this.tick(now));
    this.begin();
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
    this.mapHand = new MapHand(this);
    this.diagramHand = new DiagramHand(this);
    this.questionBox = new QuestionBox((trial) => this.tryOut(trial));
    this.note = make("div", { className: "note", role: "status" });
    this.readout = make("span", {});
    this.trials = make("div", { className: "row" });
    this.retry = make("button", { textContent: "Try again", onclick: () => this.begin() });
    this.controls = make(
      "div",
      {},
      this.trials,
      this.questionBox.element,
      this.buildFields(),
      this.buildButtons(),
      make("div", { className: "row" }, "Epoch", this.buildSlider(), this.readout),
    );
    this.pictures = make(
      "div",
      {},
      make(
        "div",
        { className: "panels" },
        make("div", {}, this.map.figure, this.buildHands()),
        this.diagram.figure,
        make("div", { className: "last" }, this.curves.figure, this.ends.figure),
      ),
      this.buildSavers(),
    );
    this.root = make(
      "div",
      { className: "playground", view: this }, // `view` is for tests and measurements
      this.controls,
      this.note,
      this.retry,
      this.pictures,
    );
    this.root.onkeydown = (event) => event.stopPropagation(); // or JupyterLab takes the keys
    root.append(this.root);
    this.listen();
    this.stop();
    this.hideUnlessThere();
    if (this.isRecorded) this.leaveOutWhatTrains();
  }

  buildFields() {
    this.fields = {};
    const fields = make("div", { className: "row" });
    for (const [name, [label, title]] of Object.entries(FIELDS)) {
      const field = name === "dataset" ? make("select", {}) : make("input", { type: "text" });
      Object.assign(field, { title, ariaLabel: label });
      field.oninput = () => (this.typing = name);
      field.onblur = () => (this.typing = "");
      field.onchange = () => {
        this.typing = "";
        this.set(name, field.value.trim());
      };
      this.fields[name] = field;
      fields.append(make("label", { title }, label, field));
    }
    return fields;
  }

  buildButtons() {
    const button = (textContent, title, onclick) => make("button", { textContent, title, onclick });
    this.playButton = button("", "Train while you watch", () => this.play());
    this.playButton.className = "play";
    this.undoButton = button("Undo", "Take back the last change by hand", () => this.ask("undo"));
    this.plantButton = button(
      "Plant a fold",
      "On the moons: change one unit so that its fold lies at x₁ = 1",
      () => this.plant(),
    );
    this.seedsButton = button(
      "",
      "Train twenty networks with these settings, from this seed on",
      () => this.trySeeds(),
    );
    this.testBox = make("input", { type: "checkbox", checked: true });
    this.testBox.onchange = () => this.touch();
    this.batchButton = button("One batch", "A single update", () => this.stepBatch());
    this.stepButton = button("Step", "One epoch", () => this.start("rush", this.shown + 1));
    this.trainers = [
      this.batchButton,
      this.stepButton,
      button("To the end", "Train without watching", () => this.start("rush", this.end)),
      button(
        "New run",
        "Begin again at epoch 0 with the settings in the fields. Folds and points go back",
        () => this.newRun({}),
      ),
      this.undoButton,
      this.plantButton,
      this.seedsButton,
    ];
    const title = "Show the test points, as triangles";
    const test = make("label", { title }, this.testBox, "test points");
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
    this.unitList.onchange = () => this.choose(this.units[this.unitList.selectedIndex].unit);
    this.x1 = numberField("x₁ of a new point");
    this.x2 = numberField("x₂ of a new point");
    this.classList = make("select", { ariaLabel: "Class of new points" });
    this.classList.title = "Of the points that you add; a click with Shift adds the next class";
    const add = make("button", { textContent: "Add", title: "Add a training point here" });
    add.onclick = () => this.addPoint([this.x1.valueAsNumber, this.x2.valueAsNumber]);
    this.adders = [
      make("label", {}, "x₁", this.x1),
      make("label", {}, "x₂", this.x2),
      this.classList,
      add,
    ];
    const unit = make("label", {}, "Unit", this.unitList);
    return make("div", { className: "row" }, unit, ...this.adders);
  }

  // One's own points, and what one can take away of the epoch that is shown.
  buildSavers() {
    const file = make("input", { type: "file", accept: ".csv,.txt", hidden: true });
    file.onchange = () => {
      this.openPoints(file.files[0]);
      file.value = ""; // so that the same file can be opened again, after an edit
    };
    const button = (textContent, title, onclick) => make("button", { textContent, title, onclick });
    this.savers = make(
      "div",
      { className: "row" },
      file,
      button("Open points", OPEN, () => file.click()),
      button("Save points", "Yours: those that you opened, and those that you added", () =>
        this.save("save_points"),
      ),
      button("Save network", "The parameters, as a file for MLP.load", () =>
        this.save("save_network", { epoch: this.shown }),
      ),
      button("Save script", "Lines of Python that train this network again", () =>
        this.save("save_script", { epoch: this.shown }),
      ),
      this.buildState(),
    );
    return this.savers;
  }

  buildState() {
    this.state = make("input", { type: "text", className: "long", ariaLabel: "State" });
    this.state.title = "All settings and changes. Copy it to keep this run, or paste one here";
    this.state.onfocus = () => this.state.select();
    this.state.onchange = () => {
      this.questionBox.ask(null);
      this.restore(this.state.value);
      this.state.blur(); // so that it tells the state again
    };
    const properties = { className: "long", hidden: this.hasAddress };
    return make("label", properties, "State", this.state);
  }

  leaveOutWhatTrains() {
    this.trials.textContent = RECORDED;
    for (const field of Object.values(this.fields)) field.disabled = true;
    const parts = [...this.trainers, ...this.adders, this.savers, this.ends.figure];
    for (const part of parts) part.hidden = true;
  }

  listen() {
    this.root.ondragover = (event) => event.preventDefault(); // else the browser opens the file
    this.root.ondrop = (event) => {
      event.preventDefault();
      const [file] = event.dataTransfer.files;
      if (file && !this.isRecorded) this.openPoints(file);
    };

    const ends = this.ends.canvas;
    ends.onpointermove = (event) => this.tellEnd(this.ends.endAt(event));
    ends.onclick = (event) => this.trainEnd(this.ends.endAt(event));
  }

  // While there is no run, only a note is there, and a button to ask again.
  hideUnlessThere() {
    const { isThere } = this.run;
    this.controls.hidden = !isThere;
    this.pictures.hidden = !isThere;
    this.retry.hidden = isThere || this.isWaiting;
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
    const texts = this.run.textsAt(this.shown);
    this.ask("try_seeds", { texts }, () => this.tryMoreSeeds());
  }

  tryMoreSeeds() {
    const { seeds, nSeeds } = this.run;
    if (this.work !== "seeds") return;
    if (seeds.ends.length < nSeeds) {
      this.ask("try_seeds", {}, () => this.tryMoreSeeds());
      return;
    }
    this.questionBox.answer("seeds", this.ends.words(seeds, nSeeds));
    this.stop();
  }

  // Train the seed of a dot.
  trainEnd(end) {
    if (!end) return;
    const texts = { ...this.run.seeds.texts, seed: String(end.seed) };
    this.stop();
    this.newRun(texts, () => this.start("rush", this.end));
  }

  // Take what was typed into a field.
  set(name, text) {
    if (name === "epochs") {
      this.ask("set_epochs", { text });
    } else if (IN_A_RUN.includes(name) && (this.shown > 0 || this.run.changes.length > 0)) {
      this.change({ what: name, value: text });
    } else {
      this.newRun({ [name]: text });
    }
  }

  // Begin a run with the settings that are shown, but for these.
  newRun(texts, then = null) {
    if (this.work !== "play") this.stop();
    this.ask("new_run", { texts: { ...this.run.textsAt(this.shown), ...texts } }, then);
  }

  // Move parameters by hand: `params` has their new values, by their places among all.
  move(params, change) {
    this.moved = { params, change, number: null };
    this.gradient = null;
    this.touch();
  }

  // Make what was moved a change of the run.
  commit() {
    if (this.moved === null || this.moved.number !== null) return;
    this.change(this.moved.change);
    if (this.moved) this.moved.number = this.nAsked;
  }

  // Let go of what a hand has moved.
  letGo() {
    this.mapHand.pressed = null;
    this.diagramHand.pressed = null;
    this.moved = null;
    this.touch();
  }

  // The parameters that are shown.
  get paramsShown() {
    const params = this.within?.params ?? this.run.params[this.shown];
    if (this.moved === null) return params;
    return Object.assign(params.slice(), this.moved.params);
  }

  change(change) {
    this.ask("change", { change: { epoch: this.shown, ...change } }, () => this.tellChange());
  }

  // Ask for the gradient at a unit of the first layer that is looked at, when nothing else goes on.
  askGradient({ unit }) {
    if (unit?.[0] !== 0 || this.gradient || this.within || this.moved) return;
    if (this.work !== "" || this.isWaiting || this.isRecorded) return;
    this.gradient = [];
    this.ask("gradient", { epoch: this.shown });
  }

  plant() {
    this.ask("plant", { epoch: this.shown }, () => {
      const { unit } = this.run.changes.at(-1);
      this.choose([0, unit]);
      this.note.textContent =
        `Unit ${unit} now has its fold at x₁ = 1, and bends towards class 1. ` +
        "Play on: does the boundary bend there?";
    });
  }

  addPoint(point, shift = 0) {
    if (point.some(Number.isNaN)) {
      this.note.textContent = "A point needs both of its coordinates, such as 0.5 and -0.25.";
      return;
    }
    const label = (this.classList.selectedIndex + shift) % this.run.sizes.at(-1);
    this.change({ what: "point", point, class: label });
  }

  tellChange() {
    const { what, epoch, value } = this.run.changes.at(-1);
    if (!(what in FIELDS) || this.work === "play") return;
    const [label] = FIELDS[what];
    this.note.textContent =
      `${label} ${value} from epoch ${epoch} on. Play goes on from there; ` +
      "“New run” begins again.";
  }

  // Begin a run with the points of a file.
  async openPoints(file) {
    if (file.size > MOST_BYTES) {
      this.note.textContent = `${file.name} is too large: give at most 2000 points.`;
      return;
    }
    const points = await file.text();
    this.newRun({ dataset: OWN, points }, () => {
      const { train, test } = this.run;
      this.note.textContent =
        `${file.name}: ${train[0].length} points for training, ${test[0].length} for testing.`;
    });
  }

  // Save the file that Python answers.
  save(question, values = {}) {
    this.showWholeEpoch();
    this.ask(question, values, ({ file }) => {
      const href = `data:application/octet-stream;base64,${file.base64}`;
      make("a", { href, download: file.name }).click();
    });
  }

  // Set up something to try, and ask about it.
  setUp(trial) {
    this.stop();
    const { firstTexts } = this.run;
    const { points } = this.run.texts;
    const texts = { ...firstTexts, points, ...trial.settings };
    this.newRun(texts, () => this.questionBox.ask(trial));
  }

  // Do what a guess is about.
  tryOut(trial) {
    if (trial.work === "play") this.start("play");
    else if (this.work !== "seeds") this.trySeeds();
  }

  // Questions to Python and its answers.

  // Ask; `then` is called with the answer, if that is the last one and nothing was wrong.
  ask(what, values = {}, then = null) {
    if (this.isLost) {
      this.letGo();
      this.stop(NO_KERNEL);
      return;
    }
    if (this.work === "seeds" && what !== "try_seeds") this.stop();
    this.nAsked += 1;
    this.asked = { what, values, then };
    this.isWaiting = true;
    this.askedAt = performance.now();
    this.model.send({ ask: what, tab: this.tab, number: this.nAsked, values });
    this.hideUnlessThere();
  }

  take(answer, buffers) {
    const isMine = answer.tab === this.tab; // in a notebook, a run may be shown twice
    const isLast = isMine && answer.number === this.nAsked;
    if (isLast) this.isWaiting = false;
    if (isMine && this.moved?.number === answer.number) this.moved = null; // it is in the answer
    if (answer.is_gone) {
      if (isLast) this.beginFromState();
      return;
    }
    if (answer.known === undefined) {
      this.stop(answer.note); // the question was refused
    } else if (answer.known > this.run.params.length) {
      this.ask("show"); // another view has trained it
    } else {
      this.takeNews(answer, buffers);
      if (isLast) this.goOn(answer);
    }
    this.hideUnlessThere();
    this.touch();
  }

  takeNews(answer, buffers) {
    this.run.take(answer, buffers);
    this.root.dataset.kernelSeconds = answer.seconds;
    if (answer.texts) this.fillLists(answer);
    if (answer.within) this.takeWithin(answer.within);
    else if (!QUIET.includes(answer.ask)) this.within = null;
    if (answer.gradient) this.takeGradient(answer.gradient);
    else if (!QUIET.includes(answer.ask)) this.gradient = null;
    const isChange = ["change", "plant", "undo"].includes(answer.ask) && !answer.note;
    if (isChange || isNewRun(answer)) this.shown = this.run.lastEpoch;
    if (isChange || ["new_run", "set_epochs"].includes(answer.ask)) this.dropQuestion(answer);
    if (isNewRun(answer)) {
      this.pointed = null;
      this.choose(null);
      this.diagramHand.choose(null);
    }
  }

  // The question was about other settings, unless these were refused.
  dropQuestion(answer) {
    if (!answer.note) this.questionBox.drop();
  }

  fillLists(answer) {
    const { sizes } = this.run;
    const classes = Array.from({ length: sizes.at(-1) }, (_, c) => `class ${c}`);
    this.units = [{ unit: null, name: "no unit" }, ...hiddenUnits(sizes)];
    const names = this.units.map(({ name }) => name);
    fillList(this.fields.dataset, answer.datasets);
    fillList(this.classList, classes);
    fillList(this.unitList, names);
    if (this.trials.childElementCount > 0 || this.isRecorded) return;
    this.trials.append("Try:");
    for (const trial of answer.trials) {
      const onclick = () => this.setUp(trial);
      this.trials.append(make("button", { textContent: trial.name, onclick }));
    }
  }

  takeGradient({ epoch, values }) {
    const isOfThis = epoch === this.shown && !this.moved;
    this.gradient = isOfThis ? Float32Array.from(values) : null;
  }

  takeWithin(within) {
    this.within = { ...within, params: Float32Array.from(within.params) };
    this.shown = within.epoch;
  }

  // Do what is next, now that the last question is answered.
  goOn(answer) {
    const isWork = ["train", "try_seeds"].includes(answer.ask);
    if (answer.note && isWork) {
      this.stop(answer.note);
      return;
    }
    if (!isWork && answer.ask !== "gradient") this.note.textContent = answer.note;
    if (answer.note) return;
    this.asked.then?.(answer);
    if (this.work === "play") this.trainAhead();
    if (this.work === "rush") this.rushOn();
  }

  // Show the run, or the one that the address holds.
  begin() {
    this.ask("show", {}, () => this.takeAddress());
  }

  // Restore the state of the address. If there is none, or a bad one, the address stays until the
  // run changes.
  takeAddress() {
    const text = location.hash.slice(1);
    this.stateTold = this.run.stateAt(this.shown);
    if (!this.hasAddress || text === "") return;
    this.questionBox.ask(null);
    this.restore(text);
  }

  // Write the state into the address, when it has changed and the page has come to rest: a browser
  // allows it only so often.
  tellAddress() {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => {
      if (this.work !== "" || this.isChanging) return;
      const state = this.run.stateAt(this.shown);
      if (state !== this.stateTold) history.replaceState(null, "", `#${state}`);
      this.stateTold = state;
    }, 300);
  }

  // Begin a run from a state, and train it as far.
  restore(text, then = null) {
    this.stop();
    this.ask("restore", { text }, ({ goal }) => this.start("rush", goal, then));
  }

  // The server has begun anew, or had too many tabs: restore the run, and ask again.
  beginFromState() {
    const { asked, work, goal } = this;
    if (!this.run.isThere) {
      this.begin();
      return;
    }
    const epoch = asked.what === "undo" ? this.run.lastEpoch : this.shown;
    this.restore(this.run.stateAt(epoch), () => {
      if (asked.what === "try_seeds") {
        this.trySeeds();
        return;
      }
      if (asked.what !== "train") this.ask(asked.what, asked.values, asked.then);
      this.start(work, goal);
    });
  }

  // There will be no answer. A server may come back, a kernel does not.
  loseAnswer() {
    this.isWaiting = false;
    this.isLost = this.model.lostText === undefined;
    this.letGo();
    this.stop(this.model.lostText ?? NO_KERNEL);
    this.hideUnlessThere();
  }

  // Time.

  // Begin to work; `then` is called when a rush has come to its goal.
  start(work, goal = 0, then = null) {
    this.note.textContent = "";
    this.work = work;
    this.goal = goal;
    this.atGoal = then;
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
    this.gradient = null;
    this.letGo();
  }

  // Show the epoch as it was before the batches of the next one: changes are made there.
  showWholeEpoch() {
    this.stop();
    if (this.within === null) return;
    this.within = null;
    this.draw();
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

  // Whether the run may become another one with the answer to the last question.
  get isChanging() {
    return this.moved !== null || (this.isWaiting && this.asked.what !== "train");
  }

  // One epoch a frame at first, then more and more.
  get stride() {
    return EPOCHS_A_FRAME * (1 + Math.floor(this.shown / 50));
  }

  playOn(now) {
    if (this.isChanging) return;
    this.trainAhead();
    const next = Math.min(this.shown + this.stride, this.end);
    if (next <= this.run.lastEpoch) {
      this.show(next);
      this.lastFrame = Math.max(this.lastFrame + FRAME_MS, now - FRAME_MS); // a late one catches up
    }
    if (this.shown >= this.end) {
      this.tellResult();
      this.stop();
    }
  }

  // Ask for the epochs of the next frames in time.
  trainAhead() {
    const { stride, shown, run } = this;
    if (run.lastEpoch < shown + 3 * stride) this.trainOn(4 * stride, this.end);
  }

  rushOn() {
    if (this.isChanging) return;
    this.show(this.goal);
    if (this.shown < this.goal) {
      this.trainOn(this.goal, this.goal);
      return;
    }
    const then = this.atGoal;
    if (this.goal >= this.end) this.tellResult();
    this.stop();
    then?.();
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
    const params = this.paramsShown;
    const metrics = within?.metrics ?? run.metrics[shown];
    const scene = {
      run,
      epoch: shown,
      layers: layersOf(params, run.sizes),
      unit: this.pointed ?? this.chosen,
      isLarge: this.isLarge,
      weight: this.diagramHand.weight,
      bends: null,
      rows: within?.rows ?? [],
      hasTestPoints: this.testBox.checked,
      hasAnswers: !this.questionBox.isOpen,
    };
    scene.bends = bendsOf(scene.layers, run);
    this.map.draw(scene);
    this.diagram.draw(scene);
    this.curves.draw(scene);
    this.ends.draw(scene);
    this.map.told.textContent = scene.unit ? this.wordsOf(scene) : this.wordsOfMap(scene);
    this.tellEpoch(metrics);
    this.tellSettings();
    this.diagramHand.tell();
    const isAsTrained = this.moved === null;
    if (isAsTrained && !isDrawnRight(scene.layers, run.test, metrics[2])) {
      this.note.textContent = WRONG;
    }
    if (this.hasAddress) this.tellAddress();
    this.askGradient(scene);
    this.nFrames += 1;
    const ms = performance.now() - start;
    Object.assign(this.root.dataset, { frames: this.nFrames, shown, ms });
  }

  tellEpoch([trainLoss, trainAccuracy, testLoss, testAccuracy]) {
    const { run, shown, within } = this;
    const batch = within ? `, batch ${within.batch} of ${run.nBatchesAt(shown)}` : "";
    this.slider.max = run.lastEpoch;
    this.slider.value = shown;
    const nUpdates = run.nUpdatesAt(shown) + (within?.batch ?? 0);
    this.readout.textContent =
      `${shown} of ${this.end}${batch} · ${nUpdates.toLocaleString("en")} updates · ` +
      `loss ${trainLoss.toFixed(3)}, test ${testLoss.toFixed(3)} · ` +
      `accuracy ${percent(trainAccuracy)}, test ${percent(testAccuracy)}`;
  }

  // Show the settings of this epoch, but leave the field alone in which someone types.
  tellSettings() {
    const { run, shown } = this;
    const texts = run.textsAt(shown);
    for (const [name, field] of Object.entries(this.fields)) {
      if (name !== this.typing && field.value !== texts[name]) field.value = texts[name];
    }
    const isAtEnd = shown >= this.end;
    this.batchButton.disabled = isAtEnd;
    this.stepButton.disabled = isAtEnd;
    this.undoButton.disabled = run.changes.length === 0;
    this.plantButton.disabled = !run.canPlant;
    this.fields.noise.disabled = this.isRecorded || texts.dataset === OWN;
    if (!this.hasAddress && document.activeElement !== this.state) {
      this.state.value = run.stateAt(shown);
    }
  }

  // Tell what came out of the run, if there was a question about it.
  tellResult() {
    const { run } = this;
    const [trainLoss, , , testAccuracy] = run.metrics.at(-1);
    const result =
      `after ${run.lastEpoch} epochs, train loss ${trainLoss.toFixed(3)}, ` +
      `test accuracy ${percent(testAccuracy)}.`;
    this.questionBox.answer("play", result);
  }

  wordsOfMap({ bends, rows }) {
    const words = [];
    if (rows.length > 0) words.push("Ringed: the points of the last batch.");
    if (bends) {
      const [towards0, towards1] = sumsOf(bends).map((sum) => sum.toFixed(2));
      words.push(
        `The folds bend the boundary: ${towards0} in all towards class 0 (blue), ` +
          `${towards1} towards class 1 (orange). Thick ones bend most.`,
      );
    }
    const hasUnits = this.run.sizes.length > 2;
    if (hasUnits) words.push(POINT_AT);
    if (hasUnits && !this.isRecorded) words.push(DRAG);
    if (!this.isRecorded) words.push("Click to add a point.");
    return words.join(" ");
  }

  wordsOf({ unit: [layer, j], layers, bends }) {
    const values = evaluate(layers, this.run.train)[layer][j];
    const n = values.filter((value) => value > 0).length;
    const words = [`Unit ${j} is above 0 on ${n} of ${values.length} training points.`];
    if (n === 0) words.push("It is dead: no gradient reaches it.");
    if (layer === 0) {
      const [w1, w2, b] = foldOf(layers, j);
      const sum = `${w1.toFixed(2)} x₁ ${signed(w2)} x₂ ${signed(b)}`;
      words.push(`Its output is max(0, ${sum}).`);
      if (n > 0) words.push(...this.wordsOfGradient(j));
    }
    if (bends) {
      const size = Math.abs(bends[j]).toFixed(2);
      words.push(`It bends the boundary by ${size} towards class ${bends[j] > 0 ? 1 : 0}.`);
    }
    if (layer + 2 === layers.length) {
      const weights = weightsFrom(layers, layer, j).map((w) => w.toFixed(2));
      words.push(`Its weights to the classes are ${weights.join(", ")}.`);
    }
    return words.join(" ");
  }

  wordsOfGradient(j) {
    if (!this.gradient?.length) return [];
    const ofUnit = foldOf(layersOf(this.gradient, this.run.sizes), j);
    const numbers = ofUnit.map((value) => value.toPrecision(2));
    return [`The gradient of the next batch for these three numbers: ${numbers.join(", ")}.`];
  }

  tellEnd(end) {
    const { canvas } = this.ends;
    canvas.style.cursor = end ? "pointer" : "";
    canvas.title = "";
    if (!end) return;
    const loss = end.train_loss.toFixed(3);
    const accuracy = percent(end.test_accuracy);
    const words = [`Seed ${end.seed}: train loss ${loss}, test accuracy ${accuracy}.`];
    canvas.title = [...words, "Click to train it."].join(" ");
  }

  // Units.

  // Look at the unit under the mouse, or no longer.
  point(unit, isInDiagram = false) {
    if (this.mapHand.pressed || String(unit) === String(this.pointed)) return;
    this.pointed = unit;
    this.isLarge = isInDiagram && unit !== null;
    this.touch();
  }

  // Look at a unit from now on.
  choose(unit, isLarge = false) {
    this.chosen = unit;
    this.isLarge = isLarge && unit !== null;
    this.unitList.selectedIndex = this.units.findIndex(
      (other) => String(other.unit) === String(unit),
    );
    this.touch();
  }
}

// Return all hidden units, [layer, j], and their names.
function hiddenUnits(sizes) {
  const units = [];
  sizes.slice(1, -1).forEach((n, layer) => {
    for (let j = 0; j < n; j++) {
      const name = sizes.length > 3 ? `${j} of layer ${layer + 1}` : `${j}`;
      units.push({ unit: [layer, j], name });
    }
  });
  return units;
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
