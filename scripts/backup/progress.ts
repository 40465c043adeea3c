/** Says how far a long work has come: over one line on a terminal, else now and then a line. */
export interface Progress {
  /** `total` undefined: not known yet. */
  at(what: string, done: number, total?: number): void
  /** Ends the line. */
  done(): void
}

/** Milliseconds between two lines where no terminal is. */
const every = 10_000

export function progressOn(output: NodeJS.WriteStream): Progress {
  let last = output.isTTY ? 0 : Date.now()
  let isOpen = false
  return {
    at(what, done, total) {
      const text = `${what}: ${done}${total === undefined ? '' : ` of ${total}`}`
      const now = Date.now()
      if (output.isTTY) {
        if (now - last < 100 && done !== total) return
        output.write(`\r\u001B[2K${text}`)
        isOpen = true
      } else {
        if (now - last < every) return
        output.write(`${text}\n`)
      }
      last = now
    },
    done() {
      if (isOpen) output.write('\r\u001B[2K')
      isOpen = false
    },
  }
}

export function sizeOf(bytes: number): string {
  return bytes < 1e6
    ? `${Math.ceil(bytes / 1e3)} kB`
    : bytes < 1e9
      ? `${(bytes / 1e6).toFixed(1)} MB`
      : `${(bytes / 1e9).toFixed(2)} GB`
}
