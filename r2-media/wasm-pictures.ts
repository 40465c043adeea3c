/**
 * WebP and AVIF, by libwebp and libavif compiled to WebAssembly.
 *
 * Each picture gets an instance of its own, whose memory cannot grow beyond a limit: whatever a file claims or hides, the
 * isolate survives it. Both decode a picture as a whole, so its pixels must be few.
 */
import avifCodec, { type AVIFModule } from '@jsquash/avif/codec/dec/avif_dec.js'
import avifCode from '@jsquash/avif/codec/dec/avif_dec.wasm'
import webpCodec, { type WebPModule } from '@jsquash/webp/codec/dec/webp_dec.js'
import webpCode from '@jsquash/webp/codec/dec/webp_dec.wasm'

import type { Pixels } from './downscale.ts'
import { join } from './media-store.ts'

const maxMemory = 80 * 1024 * 1024
const pageSize = 65_536

/** The picture, or undefined where it cannot be decoded. Of one that moves, the first frame. */
export async function decodeWebp(bytes: Uint8Array): Promise<Pixels | undefined> {
  const still = stillWebp(bytes)
  if (!still) return undefined
  return attempt(async () => {
    const codec: WebPModule = await webpCodec(optionsFor(webpCode))
    return codec.decode(still)
  })
}

/** The picture, or undefined where it cannot be decoded. Of one that moves, the picture that stands for it. */
export function decodeAvif(bytes: Uint8Array): Promise<Pixels | undefined> {
  return attempt(async () => {
    const codec: AVIFModule = await avifCodec(optionsFor(avifCode))
    return codec.decode(bytes, 8)
  })
}

interface Decoded {
  readonly width: number
  readonly height: number
  readonly data: ArrayLike<number> & { readonly buffer: ArrayBufferLike }
}

async function attempt(decode: () => Promise<Decoded | null>): Promise<Pixels | undefined> {
  try {
    const decoded = await decode()
    if (!decoded || decoded.data.length !== decoded.width * decoded.height * 4) return undefined
    return { width: decoded.width, height: decoded.height, data: new Uint8Array(decoded.data.buffer) }
  } catch {
    // The codecs throw numbers and traps on what they cannot read, and when the memory does not suffice.
    return undefined
  }
}

function optionsFor(code: WebAssembly.Module) {
  return {
    noInitialRun: true,
    instantiateWasm(imports: WebAssembly.Imports, ready: (instance: WebAssembly.Instance) => void) {
      const instance = new WebAssembly.Instance(code, imports)
      for (const memory of Object.values(instance.exports)) if (memory instanceof WebAssembly.Memory) limit(memory)
      ready(instance)
      return instance.exports
    },
  }
}

/** The codec takes a memory that does not grow for one that is full. */
function limit(memory: WebAssembly.Memory): void {
  const grow = memory.grow.bind(memory)
  memory.grow = (pages) => {
    if (memory.buffer.byteLength + pages * pageSize > maxMemory)
      throw new RangeError('the picture takes too much memory')
    return grow(pages)
  }
}

/**
 * A file of the first frame alone, since the codec knows none that move; the file itself where it does not. Undefined where
 * that frame does not cover the whole. WebP container specification, "Animation".
 */
function stillWebp(bytes: Uint8Array): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const nameAt = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4))
  if (bytes.byteLength < 30 || nameAt(12) !== 'VP8X' || (view.getUint8(20) & 2) === 0) return bytes
  for (let at = 30; at + 24 <= bytes.byteLength;) {
    const size = view.getUint32(at + 4, true)
    if (nameAt(at) === 'ANMF') {
      const isWhole = bytes.subarray(at + 8, at + 14).every((byte) => byte === 0)
      const isAsLarge = bytes.subarray(at + 14, at + 20).every((byte, n) => byte === bytes[24 + n])
      if (!isWhole || !isAsLarge || at + 8 + size > bytes.byteLength) return undefined
      const frame = bytes.subarray(at + 24, at + 8 + size)
      const head = bytes.slice(0, 30)
      head[20] = (head[20] ?? 0) & 0x10
      new DataView(head.buffer).setUint32(4, 22 + frame.byteLength, true)
      return join([head, frame], head.byteLength + frame.byteLength)
    }
    at += 8 + size + (size & 1)
  }
  return undefined
}
