/** Makes a picture smaller, row by row: the whole of it is never in memory. Pure. */

/** Pixels as red, green, blue, alpha; one byte each, alpha not multiplied in. */
export interface Pixels {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** First to the scaled size, then the part of it that is kept. */
export interface ScalePlan {
  readonly scaledWidth: number
  readonly scaledHeight: number
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

export interface RowSink {
  /** The next row of the source, from the top: its pixels as RGBA. */
  row(rgba: Uint8Array): void
  result(): Pixels
}

/** Averages the source pixels that fall onto each pixel of the result. The scaled size is never larger than the source. */
export function downscaler(sourceWidth: number, sourceHeight: number, plan: ScalePlan): RowSink {
  const { scaledWidth, scaledHeight, left, top, width, height } = plan
  const data = new Uint8Array(width * height * 4)
  /** Where each source column goes: the index of its sums, or -1 when it is cropped away. */
  const columns = Int32Array.from({ length: sourceWidth }, (_, x) => {
    const column = Math.floor((x * scaledWidth) / sourceWidth) - left
    return column >= 0 && column < width ? column * 5 : -1
  })
  /** Per pixel of a row: red, green and blue times alpha, alpha, and how many. */
  const sums = new Float64Array(width * 5)
  let y = 0
  let current = -1

  const flush = () => {
    if (current < 0 || current >= height) return
    for (let x = 0; x < width; x++) {
      const [at, to] = [x * 5, (current * width + x) * 4]
      const alpha = sums[at + 3] ?? 0
      for (let c = 0; c < 3; c++) data[to + c] = alpha === 0 ? 0 : Math.round((sums[at + c] ?? 0) / alpha)
      data[to + 3] = Math.round(alpha / (sums[at + 4] || 1))
    }
  }

  return {
    row(rgba) {
      const target = Math.floor((y++ * scaledHeight) / sourceHeight) - top
      if (target !== current) {
        flush()
        sums.fill(0)
        current = target
      }
      if (target < 0 || target >= height) return
      for (let x = 0; x < sourceWidth; x++) {
        const to = columns[x] ?? -1
        if (to < 0) continue
        const from = x * 4
        const alpha = rgba[from + 3] ?? 0
        sums[to] = (sums[to] ?? 0) + (rgba[from] ?? 0) * alpha
        sums[to + 1] = (sums[to + 1] ?? 0) + (rgba[from + 1] ?? 0) * alpha
        sums[to + 2] = (sums[to + 2] ?? 0) + (rgba[from + 2] ?? 0) * alpha
        sums[to + 3] = (sums[to + 3] ?? 0) + alpha
        sums[to + 4] = (sums[to + 4] ?? 0) + 1
      }
    },
    result() {
      flush()
      current = -1
      return { width, height, data }
    },
  }
}
