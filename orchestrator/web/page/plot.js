// Draws samples: of what falls into a column of pixels the least and the greatest, so that 100,000
// points cost no more than the columns that there are.

function range(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (Number.isFinite(value)) { if (value < low) low = value; if (value > high) high = value; }
  if (low > high) return null;
  if (low === high) { const by = Math.abs(low) * 0.01 || 1; return [low - by, high + by]; }
  return [low, high];
}

export function thin(xs, ys, columns, low, high) {
  if (xs.length <= 4 * columns) return Array.from(xs.keys());
  const least = new Map(), most = new Map(), first = new Map();
  for (let i = 0; i < xs.length; i++) {
    if (!Number.isFinite(xs[i]) || !Number.isFinite(ys[i])) continue;
    const column = Math.floor(((xs[i] - low) / (high - low)) * columns);
    if (!first.has(column)) { first.set(column, i); least.set(column, i); most.set(column, i); continue; }
    if (ys[i] < ys[least.get(column)]) least.set(column, i);
    if (ys[i] > ys[most.get(column)]) most.set(column, i);
  }
  return [...new Set([...first.values(), ...least.values(), ...most.values()])].sort((a, b) => a - b);
}

export function draw(canvas, xs, ys) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  pen.scale(ratio, ratio);
  pen.font = "12px sans-serif";
  pen.fillStyle = style.getPropertyValue("--text");
  const xr = range(xs), yr = range(ys);
  if (!xr || !yr) { pen.fillText("nothing sampled yet", 10, 20); return; }
  const left = 60, right = 12, top = 10, bottom = 24;
  const x = (v) => left + ((v - xr[0]) / (xr[1] - xr[0])) * (width - left - right);
  const y = (v) => height - bottom - ((v - yr[0]) / (yr[1] - yr[0])) * (height - top - bottom);
  const text = (v) => String(Number(v.toPrecision(5)));
  pen.fillText(text(yr[1]), 4, top + 10); pen.fillText(text(yr[0]), 4, height - bottom);
  pen.fillText(text(xr[0]), left, height - 6);
  pen.textAlign = "right"; pen.fillText(text(xr[1]), width - right, height - 6);
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.strokeRect(left, top, width - left - right, height - top - bottom);
  pen.strokeStyle = pen.fillStyle = style.getPropertyValue("--plot");
  const shown = thin(xs, ys, Math.max(width - left - right, 1), xr[0], xr[1]);
  pen.beginPath();
  let down = false;
  for (const i of shown) {
    if (!Number.isFinite(xs[i]) || !Number.isFinite(ys[i])) { down = false; continue; }
    if (down) pen.lineTo(x(xs[i]), y(ys[i])); else pen.moveTo(x(xs[i]), y(ys[i]));
    down = true;
  }
  pen.stroke();
  if (shown.length <= 200) for (const i of shown) if (Number.isFinite(xs[i]) && Number.isFinite(ys[i])) pen.fillRect(x(xs[i]) - 2, y(ys[i]) - 2, 4, 4);
}

// A line of CSV (RFC 4180); the texts of channels may have commas and quotes in them.
export function cells(line) {
  const found = [];
  let at = 0;
  while (at <= line.length) {
    if (line[at] !== '"') {
      const end = line.indexOf(",", at);
      found.push(line.slice(at, end < 0 ? line.length : end));
      if (end < 0) return found;
      at = end + 1;
    } else {
      let text = "";
      for (at++; at < line.length; at++) {
        if (line[at] !== '"') text += line[at];
        else if (line[at + 1] === '"') { text += '"'; at++; } else break;
      }
      found.push(text);
      at += 2;
      if (at > line.length) return found;
    }
  }
  return found;
}
