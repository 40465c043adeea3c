/** From the coefficients of a JPEG to its rows. ITU T.81, annex A.3.3; T.871 for the colours. Pure. */
import type { Component, Frame, Kept } from './jpeg-frame.ts'

/** The picture at `kept` eighths of its size, row by row as RGBA, from the top. The row is overwritten after each call. */
export function emitRows(frame: Frame, kept: Kept, row: (rgba: Uint8Array) => void): void {
  const width = Math.ceil((frame.width * kept) / 8)
  const height = Math.ceil((frame.height * kept) / 8)
  const transform = inverseOf(kept)
  const bands = frame.components.map((component) => ({
    component,
    stride: component.blocksWide * kept,
    samples: new Uint8ClampedArray(component.blocksWide * kept * component.v * kept),
    columns: Int32Array.from({ length: width }, (_, x) => Math.floor((x * component.h) / frame.maxH)),
  }))
  const rgba = new Uint8Array(width * 4)
  const paint = painterOf(frame, rgba)
  const bandHeight = frame.maxV * kept
  for (let y = 0; y < height; y++) {
    if (y % bandHeight === 0)
      for (const { component, stride, samples } of bands)
        for (let line = 0; line < component.v; line++)
          transform(component, (y / bandHeight) * component.v + line, samples.subarray(line * kept * stride), stride)
    const lines = bands.map(({ component, stride, samples }) => {
      const line = Math.floor(((y % bandHeight) * component.v) / frame.maxV)
      return samples.subarray(line * stride, (line + 1) * stride)
    })
    paint(
      lines,
      bands.map(({ columns }) => columns),
    )
    row(rgba)
  }
}

/** Transforms a row of blocks into samples. Blocks of 8 lose their high frequencies and become `kept` wide and high. */
function inverseOf(kept: Kept) {
  /** By sample and frequency. */
  const basis = Float64Array.from({ length: kept * kept }, (_, index) => {
    const [x, u] = [Math.floor(index / kept), index % kept]
    const scale = Math.sqrt((u === 0 ? 1 : 2) / kept) * Math.sqrt(kept / 8)
    return scale * Math.cos(((2 * x + 1) * u * Math.PI) / (2 * kept))
  })
  const [columns, block] = [new Float64Array(kept * kept), new Float64Array(kept * kept)]
  return (
    { coefficients, quantisation, blocksWide }: Component,
    row: number,
    samples: Uint8ClampedArray,
    stride: number,
  ) => {
    for (let column = 0; column < blocksWide; column++) {
      const from = (row * blocksWide + column) * kept * kept
      for (let i = 0; i < kept * kept; i++) {
        const place = Math.floor(i / kept) * 8 + (i % kept)
        block[i] = (coefficients[from + i] ?? 0) * (quantisation?.[place] ?? 0)
      }
      for (let u = 0; u < kept; u++) {
        for (let y = 0; y < kept; y++) {
          let sum = 0
          for (let v = 0; v < kept; v++) sum += (basis[y * kept + v] ?? 0) * (block[v * kept + u] ?? 0)
          columns[y * kept + u] = sum
        }
      }
      for (let y = 0; y < kept; y++) {
        for (let x = 0; x < kept; x++) {
          let sum = 128
          for (let u = 0; u < kept; u++) sum += (basis[x * kept + u] ?? 0) * (columns[y * kept + u] ?? 0)
          samples[y * stride + column * kept + x] = sum
        }
      }
    }
  }
}

/** Fills `rgba` from the samples of each component. */
function painterOf({ components, adobe }: Frame, rgba: Uint8Array) {
  const count = components.length
  const spellsRgb = String.fromCharCode(...components.map(({ id }) => id)) === 'RGB'
  const isYcc = count === 3 ? (adobe === undefined ? !spellsRgb : adobe !== 0) : count === 4 && adobe === 2
  // Adobe stores the four inks inverted: 255 is none.
  const isInverted = adobe !== undefined
  const out = new Uint8ClampedArray(rgba.buffer)
  return (lines: readonly Uint8ClampedArray[], columns: readonly Int32Array[]) => {
    const at = (n: number, x: number) => lines[n]?.[columns[n]?.[x] ?? 0] ?? 0
    for (let x = 0; x * 4 < rgba.byteLength; x++) {
      const first = at(0, x)
      let [red, green, blue] = [first, first, first]
      if (isYcc) {
        const [cb, cr] = [at(1, x) - 128, at(2, x) - 128]
        red = first + 1.402 * cr
        green = first - 0.344136 * cb - 0.714136 * cr
        blue = first + 1.772 * cb
      } else if (count > 1) {
        green = at(1, x)
        blue = at(2, x)
      }
      if (count === 4) {
        const key = at(3, x)
        const ink = (value: number) => {
          const clamped = Math.max(0, Math.min(255, value))
          return ((isInverted ? clamped : 255 - clamped) * (isInverted ? key : 255 - key)) / 255
        }
        ;[red, green, blue] = [ink(red), ink(green), ink(blue)]
      }
      out[x * 4] = red
      out[x * 4 + 1] = green
      out[x * 4 + 2] = blue
      out[x * 4 + 3] = 255
    }
  }
}
