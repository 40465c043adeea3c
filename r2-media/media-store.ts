/**
 * Writes media to R2 as it comes: counted, hashed, and never more than two parts of it in memory: one on its way,
 * and one that is being filled meanwhile.
 *
 * R2 takes a stream only when its length is known before, and the length that a sender announces is not to be trusted. So
 * what fits into one part is put at once, and anything larger goes up as a multipart upload. An object appears only when
 * all of it is there.
 */
import { encodeBase64UrlUnpadded } from '#protocol/signing/base64.ts'
import { createHash } from 'node:crypto'

/** All parts but the last must have the same size, 5 MiB or more. */
const partSize = 8 * 1024 * 1024

export interface StoredBytes {
  readonly size: number
  /** Unpadded URL-safe base64. */
  readonly sha256: string
}

export interface MediaWriter {
  /** Takes the next bytes. False once they are more than the limit: then `abort`. */
  write(chunk: Uint8Array): Promise<boolean>
  finish(): Promise<StoredBytes>
  /** Leaves nothing behind. Allowed at any time before `finish` has resolved. */
  abort(): Promise<void>
}

/** Begins an object of at most `maxSize` bytes. */
export function openMediaWriter(bucket: R2Bucket, key: string, maxSize: number): MediaWriter {
  const hash = createHash('sha256')
  let size = 0
  let pending: Uint8Array[] = []
  let pendingSize = 0
  let upload: R2MultipartUpload | undefined
  const parts: R2UploadedPart[] = []
  let sending: Promise<void> | undefined

  const send = async (bytes: Uint8Array) => {
    upload ??= await bucket.createMultipartUpload(key)
    parts.push(await upload.uploadPart(parts.length + 1, bytes))
  }
  /** Begins to send a part as soon as the one before has arrived. What became of it, the next call learns. */
  const uploadPart = async (bytes: Uint8Array) => {
    await sending
    sending = send(bytes)
    sending.catch(() => undefined)
  }
  const takePending = () => {
    const bytes = join(pending, pendingSize)
    pending = []
    pendingSize = 0
    return bytes
  }

  return {
    async write(chunk) {
      size += chunk.byteLength
      if (size > maxSize) return false
      hash.update(chunk)
      let rest = chunk
      while (pendingSize + rest.byteLength > partSize) {
        const head = rest.subarray(0, partSize - pendingSize)
        rest = rest.subarray(head.byteLength)
        pending.push(head)
        pendingSize += head.byteLength
        await uploadPart(takePending())
      }
      pending.push(rest)
      pendingSize += rest.byteLength
      return true
    },
    async finish() {
      const last = takePending()
      if (!sending) await bucket.put(key, last)
      else {
        await uploadPart(last)
        await sending
        await upload?.complete(parts)
      }
      return { size, sha256: encodeBase64UrlUnpadded(hash.digest()) }
    },
    async abort() {
      pending = []
      await sending?.catch(() => undefined)
      await upload?.abort()
    },
  }
}

/** Bytes in one piece. */
export function join(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.byteLength
  }
  return whole
}
